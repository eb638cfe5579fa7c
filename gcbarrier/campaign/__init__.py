"""A whole experiment, or a few configurations: every invocation on its machine, in order, into one run directory.

``plans`` is what an experiment hands over, ``settings`` what a user changed about it (``pairs`` and ``sweeps`` read it,
from a command line and from a file, and ``replacing`` puts names in place of the plan's), and ``matching`` what goes
with what. ``experiments`` runs it here and, for what this kernel can't do, in the lab: ``places`` are these machines,
``lacking`` is what each can't do of it, ``minheap`` finds the smallest heap of which others are multiples, and
``runner`` orders the invocations, ends of ranges first (``order``), and has each taken in a fresh process.
``availability`` tries on a machine what a plan asks of it, ``shipping`` takes compiled files to one without a compiler,
``watching`` is who is told how it comes along, ``until`` adds invocations where a report is to be more precise, and
``saving`` keeps what :func:`gcbarrier.measure` returned. May import every room below: ``session`` and ``bench`` are
what one invocation does, ``machines`` where it does it, ``results`` where it ends up, ``report`` what is made of it.
"""
