"""Losses that were found here and that no barrier can help: allowed where they are named, and nowhere else.

A barrier's own ``loses`` is prose for people; these are the circumstances that the checks make, by the check's name or
the way of a kernel store. The lab's test demands that each of them is observed: one that is no longer has to go.
"""

import os

from attrs import frozen

from conformance.subject import Subject

PRIVATE = ("anonymous", "anonymous-thp")
ANY = ("shmem", "shmem-thp", *PRIVATE)


@frozen
class Loss:
    """Where a barrier loses writes."""

    barrier: str
    memories: tuple[str, ...]
    where: str
    why: str
    user: str = ""
    """``root`` or ``nobody``, where it is lost to one of them alone."""


LOSSES = (
    Loss("mprotect", ANY, "check_protected_and_released", "the program's own mprotect gives the right to write back"),
    Loss("mprotect", PRIVATE, "write_own_memory", "a debugger's write ignores the protection"),
    Loss(
        *("uffd-wp-sync", PRIVATE, "check_dropped_from_the_page_tables"),
        "private memory that was given back comes back unprotected",
    ),
    Loss("uffd-wp-sync", PRIVATE, "check_read_after_a_drop", "the same"),
    Loss(
        *("uffd-wp-sigbus", PRIVATE, "check_dropped_from_the_page_tables"),
        "private memory that was given back comes back unprotected",
    ),
    Loss("uffd-wp-sigbus", PRIVATE, "check_read_after_a_drop", "the same"),
    Loss(
        *("uffd-wp-async", ("hugetlb",), "check_dropped_from_the_page_tables"),
        "PAGEMAP_SCAN passes over a huge page that is in no page table, written before or not, until it is touched",
    ),
    *(
        Loss("uffd-wp-log", ANY, way, "a fault in pages that the kernel pins leaves no record")
        for way in ("read_a_file_directly", "write_a_process", "write_own_memory")
    ),
    *(
        Loss("uffd-wp-log", ANY, way, "perf watches no user's kernel-mode faults at perf_event_paranoid 2", "nobody")
        for way in ("read_a_file", "read_a_pipe", "receive")
    ),
)


def known_losses(subject: Subject) -> dict[str, str]:
    """Where this one loses writes, and why."""
    user = "nobody" if os.geteuid() else "root"
    return {
        loss.where: loss.why
        for loss in LOSSES
        if loss.barrier == subject.barrier and subject.memory in loss.memories and loss.user in ("", user)
    }
