"""Which pages real programs wrote, tick by tick: what `gcbarrier record` makes and the heap `trace` replays.

``records`` is what a recording holds, ``pagesfile`` reads and writes it (its docstring is the format's definition),
``coding`` makes bytes of pages, ``corpus`` finds the shipped ones. Nothing here runs or watches anything.
"""
