"""One barrier, or the marker, by itself: what an experiment's probes measure, and whether a barrier works here at all.

``probes`` is a probe in its own process; ``costs``, ``marker``, ``circumstances``, ``tracking`` (a program that is
tracked) and ``ways`` (the kernel's own, as bare system calls) are the functions that plans name;
``trial`` writes known pages and demands them back. ``gaps`` and ``quiet`` look at the machine instead: what it alone
does to a thread. May import barriers and what is below them, and :mod:`gcbarrier.tracked`; sessions are next door in
``session``.
"""
