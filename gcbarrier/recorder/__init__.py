"""Watching a program that knows nothing of it: which pages each of its processes writes, tick by tick.

All is done from outside. By write-protection, ``preload.c`` is loaded into the program only to hand a userfaultfd
over, and ``door`` takes it; ``maps`` says what the program has mapped, ``trackers`` arm that and collect what was
written, ``process`` is one process under a tracker, ``watch`` all of them, and ``ticks`` the loop that goes round by
the clock. ``programs`` tells beforehand which program can be watched, ``launch`` starts one and hands signals on,
``family`` finds descendants that got away; ``run`` is one run of a program, ``slowdown`` measures what watching costs
it, and ``session`` is the whole of it.

By ``soft_dirty`` nothing is loaded into the program, so it may run already: ``attach`` finds it and its descendants,
and ``still`` holds each still while its bits are read and cleared. ``agreement`` is both at once, compared; ``lab``
does it all in the lab's guest, whose kernel has those bits. May import what compiles (core) and what is below; the
file that is written is ``page_traces``.
"""
