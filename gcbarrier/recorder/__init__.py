"""Watching a program that knows nothing of it: which pages each of its processes writes, tick by tick.

All is done from outside. ``preload.c`` is loaded into the program only to hand a userfaultfd over, and ``door`` takes
it; ``maps`` says what the program has mapped, ``trackers`` arm that and collect what was written, ``process`` is one
process under a tracker, ``watch`` all of them, and ``ticks`` the loop that goes round by the clock. ``programs`` tells
beforehand which program can be watched, ``launch`` starts one and hands signals on, ``family`` finds descendants that
got away; ``run`` is one run of a program, ``slowdown`` measures what watching costs it, and ``session`` is the whole of
it. May import what compiles (core) and what is below; the file that is written is ``page_traces``.
"""
