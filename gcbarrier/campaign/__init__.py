"""A whole experiment, or a few configurations: every invocation on its machine, in order, into one run directory.

``experiments`` runs a plan here and, for what this kernel can't do, in the lab; ``settings`` is what a user changed
about it; ``runner`` orders the invocations and has each taken in a fresh process. May import every room below:
``session`` and ``bench`` are what one invocation does, ``machines`` where it does it, ``results`` where it ends up.
"""
