"""Python's hand on the C core (``native/``): compiled, opened, and driven.

``build`` compiles the core and plug-ins into the cache (``buildcache``; ``includes`` is what a compilation reads);
``library`` is the core, opened; ``heap`` is a heap with its mutators and the phases of a cycle; ``prototype`` ties a
barrier in Python to it; ``events`` and ``times`` make records of what it recorded. May import ``plugins``,
``machines.cache`` and the records; barriers and collectors are above it.
"""
