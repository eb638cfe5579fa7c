"""Booting with the best accelerator that truly works here."""

import os
import tempfile
from pathlib import Path

from gcbarrier.errors import GcBarrierError
from gcbarrier.lab.guest import Guest, GuestSpec
from gcbarrier.lab.qemu import explain_kvm
from gcbarrier.lab.status import accelerator_note, known_accelerator

# Hardware takes a second or two; whatever needs longer is no better than emulation.
_KVM_DEADLINE_S = 8.0
_TCG_DEADLINE_S = 120.0
_SMALLEST_BYTES = 512 << 20


def boot(spec: GuestSpec) -> Guest:
    """Boot under KVM if that works, else under emulation (TCG). What served is remembered until this machine restarts.

    ``GcBarrierError`` if the guest does not come up, with the end of its console, or its memory does not fit.
    """
    _check_memory(spec.memory_bytes)
    known = known_accelerator(spec.kernel, spec.qemu)
    if known != "tcg" and not explain_kvm():
        try:
            guest = Guest(spec, "kvm", _KVM_DEADLINE_S)
        except GcBarrierError:
            pass
        else:
            _remember(spec, "kvm")
            return guest
    guest = Guest(spec, "tcg", _TCG_DEADLINE_S)
    # Not for want of permission, which may be granted any time.
    if not explain_kvm():
        _remember(spec, "tcg")
    return guest


def _remember(spec: GuestSpec, accelerator: str) -> None:
    note = accelerator_note(spec.kernel, spec.qemu)
    for old in note.parent.glob(f"{note.name.rpartition('-')[0]}-*"):
        if old != note:
            old.unlink(missing_ok=True)
    with tempfile.NamedTemporaryFile("w", dir=note.parent, delete=False) as file:
        file.write(accelerator)
    os.rename(file.name, note)


def _check_memory(memory_bytes: int) -> None:
    if memory_bytes < _SMALLEST_BYTES:
        raise GcBarrierError(
            f"a guest of {memory_bytes >> 20} MiB can't hold Python: give it {_SMALLEST_BYTES >> 20} MiB or more"
        )
    for line in Path("/proc/meminfo").read_text().splitlines():
        if line.startswith("MemAvailable:"):
            available = int(line.split()[1]) << 10
            if memory_bytes > available:
                raise GcBarrierError(
                    f"a guest of {memory_bytes >> 20} MiB does not fit: this machine has {available >> 20} MiB free"
                )
