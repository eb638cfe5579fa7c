"""HPROF, the heap dumps of Java virtual machines, with the addresses that the objects had.

They are made of a running program, or as it runs out of memory::

    jcmd PID GC.heap_dump -gz=1 app.hprof.gz          # what is reachable; with -all, what is not, too
    jmap -dump:live,format=b,file=app.hprof PID
    java -XX:+HeapDumpOnOutOfMemoryError ...

Versions 1.0.1 and 1.0.2, with ids of 4 or 8 bytes, plain or gzip'ed, are read; of Android's, what its ``hprof-conv``
makes of them. The ids are the objects' addresses, in HotSpot at least, and the graph keeps them. The file is read twice
from front to back in pieces of 8 MiB, so that a dump may be larger than memory: what stays is 16 bytes for each object,
later the graph's own arrays and 4 bytes for each slot.

What counts as a reference: every field and element that is not null, except the ``referent`` of weak and phantom
references, which keeps nothing alive. (A soft one's does, as long as there is memory.) A class is an object that
refers to its superclass, loader, signers, protection domain and what its static fields hold; what else HotSpot keeps in
one is in no dump. References to what is not in the dump (there are some in HotSpot's archive of classes) are none, and
the graph's source says how many there were. An object's own pointer to its class leads out of the heap and is none.
Roots are the dump's, and every class: HotSpot unloads them with their loaders only. Sizes are those of
``hprof/sizes.py``.
"""

from pathlib import Path

import numpy as np

from gcbarrier.graphs.graphfile import Graph, Source
from gcbarrier.graphs.hprof.objects import Objects
from gcbarrier.graphs.hprof.records import header, records
from gcbarrier.graphs.importers import Progress, quiet
from gcbarrier.graphs.linked import NOTHING
from gcbarrier.graphs.stream import Stream
from gcbarrier.graphs.unfit import Format

NAME = "hprof"
SUFFIXES = (".hprof", ".hprof.gz")

_FORMAT = Format(
    a_file="a Java heap dump",
    noun="heap dump",
    remedy="make it again, e.g. with `jcmd PID GC.heap_dump FILE`",
    if_too_large="dump a smaller heap or use a larger machine",
)


def read(path: Path, progress: Progress = quiet) -> Graph:
    """The graph of a Java heap, its objects in order of their addresses.

    Raises ``GcBarrierError`` where the file is missing, unreadable, cut short or not a consistent heap dump.
    """
    with _FORMAT.told(path):
        return _read(path, progress)


def _read(path: Path, progress: Progress) -> Graph:
    with Stream(path) as stream:
        head = header(stream)
        objects = Objects(head.id_bytes)
        for record in records(stream, head.id_bytes):
            objects.note(record)
            progress(stream.share / 2)
    filling, sizes_bytes, layout = objects.sorted_by_address()
    with Stream(path) as stream:
        header(stream)
        for record in records(stream, head.id_bytes):
            filling.fill(record)
            progress((1 + stream.share) / 2)
    links = filling.links
    strays = f", {links.strays} references to what is not in it" if links.strays else ""
    roots = links.nodes(objects.roots())
    offsets, targets = links.taken()
    return Graph(
        sizes_bytes=sizes_bytes,
        offsets=offsets,
        targets=targets,
        roots=np.unique(roots[roots != NOTHING]),
        source=Source(tool=f"a Java virtual machine (HPROF {head.version}, {layout}{strays})"),
        addresses=links.addresses,
    )
