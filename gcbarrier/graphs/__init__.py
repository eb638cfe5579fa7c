"""Object graphs of real programs: the file that the heap ``snapshot`` replays, and what makes such files.

``graphfile`` reads and writes it (``addresses`` is how it keeps where objects lay), ``importers/`` holds a file for
each foreign format. What these need lies beside: ``stream``, a dump in pieces; ``hprof/`` and ``protobuf``, what two
formats consist of; ``linked``, from addresses to references between nodes; ``reachable``, what the roots reach. May
import ``machines.cache``, ``plugins`` and the records; nothing here runs anything.
"""
