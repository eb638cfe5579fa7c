"""Object graphs of real programs: the file that the heap ``snapshot`` replays, and what makes such files.

``graphfile`` reads and writes it, ``importers/`` holds a file for each foreign format. May import ``machines.cache``,
``plugins`` and the records; nothing here runs anything.
"""
