"""A program's heap, written down by the program itself: how one is started for that, and what runs in it.

``python.py`` starts a CPython program unmodified; ``inside/`` is what runs in it, and stands alone: the program's
interpreter knows nothing of gcbarrier. What it wrote is read by an importer like any other snapshot. May import
``graphs`` and what lies below it.
"""
