"""HPROF, the heap dumps of Java virtual machines, piece by piece: what ``importers/hprof.py`` puts together.

``records`` finds what begins where in a dump's bytes, ``classes`` knows what fields an object has, ``kinds`` what all
objects of a class have in common, and ``sizes`` how large that made them. ``objects`` is what is noted of each object
as the dump is read for the first time, and ``filling`` what they refer to, the second time. A dump may be larger than
memory: pieces come and go, and what stays of an object is a few numbers in arrays.
"""
