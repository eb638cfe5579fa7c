"""The cost model: what a barrier will cost a program, from constants of this machine and what the program does.

``constants`` are the records, each number with draws of what it might as well have been; ``fitting`` gets such numbers
out of readings, and ``measured`` all of them out of a run of probes. ``curves`` is how many pages a program writes
within a window, ``workload`` what else of it matters, and ``traces`` gets both out of a recording of page writes.
``formula`` puts the two together; ``advice`` says for one recording what that means, ``sentences`` in words. Of heaps
that were run, ``described`` is what they do and ``judged`` how far off the formula is. ``kept`` is where the constants
of a machine lie. It may import the model, results, page traces, and from ``machines`` the cache folder.
"""
