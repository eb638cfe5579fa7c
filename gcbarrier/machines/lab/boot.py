"""Booting with the best accelerator that truly works here."""

import os
import tempfile
import threading

from gcbarrier.errors import GcBarrierError
from gcbarrier.machines.host import available_bytes
from gcbarrier.machines.lab.guest import Guest, GuestLost, GuestSpec
from gcbarrier.machines.lab.qemu import explain_kvm
from gcbarrier.machines.lab.status import accelerator_note, known_accelerator
from gcbarrier.model import format_bytes

# Hardware takes a second or two; whatever needs longer is no better than emulation.
_KVM_DEADLINE_S = 8.0
_TCG_DEADLINE_S = 120.0
_MOST_CPUS = 255


def boot(spec: GuestSpec, stop: threading.Event) -> Guest:
    """Boot under KVM if that works, else under emulation (TCG). What served is remembered until this machine restarts.

    A guest that counts instructions is emulated in any case.

    ``GuestLost`` if the guest does not come up, or if ``stop`` is set meanwhile; ``GcBarrierError`` if its memory does
    not fit.
    """
    check_size(spec.memory_bytes, spec.cpus)
    if spec.icount:
        return Guest(spec, "tcg-icount", _TCG_DEADLINE_S, stop)
    known = known_accelerator(spec.kernel, spec.qemu)
    if known != "tcg" and not explain_kvm():
        try:
            guest = Guest(spec, "kvm", _KVM_DEADLINE_S, stop)
        except GuestLost:
            if stop.is_set():
                raise
        else:
            _remember(spec, "kvm")
            return guest
    guest = Guest(spec, "tcg", _TCG_DEADLINE_S, stop)
    # Not for want of permission, which may be granted any time.
    if not explain_kvm():
        _remember(spec, "tcg")
    return guest


def check_size(memory_bytes: int, cpus: int) -> None:
    """``GcBarrierError`` if this machine can't give a guest so much."""
    if not 1 <= cpus <= _MOST_CPUS:
        raise GcBarrierError(f"a guest can't have {cpus} CPUs: give it 1 to {_MOST_CPUS}")
    available = available_bytes()
    if memory_bytes > available:
        raise GcBarrierError(
            f"a guest of {format_bytes(memory_bytes)} does not fit: this machine has {format_bytes(available)} "
            "free; give the guest less or free some"
        )


def _remember(spec: GuestSpec, accelerator: str) -> None:
    note = accelerator_note(spec.kernel, spec.qemu)
    for old in note.parent.glob(f"{note.name.rpartition('-')[0]}-*"):
        if old != note:
            old.unlink(missing_ok=True)
    with tempfile.NamedTemporaryFile("w", dir=note.parent, delete=False) as file:
        file.write(accelerator)
    os.rename(file.name, note)
