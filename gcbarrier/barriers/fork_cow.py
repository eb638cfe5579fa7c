"""The kernel's copy-on-write as the snapshot: a forked child marks, and a first store copies its page.

``fork(2)`` write-protects the private memory of both processes, so the child keeps the heap as it was; Boehm, Demers
and Shenker (PLDI 1991) name it, Rodriguez-Rivera and Russo built it (Software: Practice and Experience 1997). It
reports nothing: what was unreachable at the fork stays unreachable, and what is new is kept. Every page that is written
while the child lives exists twice. userfaultfd has no part in it.
"""

from gcbarrier.barriers import Barrier

BARRIER = Barrier(atomic=True, snapshot=True, fork=True, memories=("anonymous", "anonymous-thp"))
