"""One invocation of a configuration, in a process of its own.

``ours`` is the collector's thread over a heap of ours, ``foreign`` the same for a collector that brings its own memory;
``program`` makes a heap's mutators ready, ``surroundings`` tells where its threads ran and what else the machine did,
``oracle`` says whether it was all true. May import barriers, collectors and
what is below them; the heap that they drive is ``core.heap``, and who starts an invocation is ``campaign.runner``.
"""
