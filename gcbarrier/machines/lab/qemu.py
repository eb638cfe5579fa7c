"""The command that starts a guest."""

import os
from collections.abc import Sequence

from gcbarrier.machines.host import HUGE_BYTES
from gcbarrier.machines.lab.status import Kernel, Qemu
from gcbarrier.machines.lab.wire import PORT

# Five-level page tables cost emulation a level on each walk and give a guest of this size nothing.
_ACCELERATORS = {
    "kvm": ("-accel", "kvm", "-cpu", "host"),
    "tcg": ("-accel", "tcg,thread=multi", "-cpu", "max,la57=off"),
    # Virtual time is the number of instructions executed, a nanosecond each, whatever the host does meanwhile.
    "tcg-icount": ("-accel", "tcg,thread=single", "-cpu", "max,la57=off", "-icount", "shift=0,sleep=off"),
}
# What a barrier is tried on.
_TRIED_HUGE_PAGES = 2
# Emulation reads the host's own counter, which is steady; without this the guest may distrust it and take a
# clock that costs an exit at each reading.
_STEADY = " tsc=reliable clocksource=tsc"
_KERNEL_ARGUMENTS = {"kvm": "", "tcg": _STEADY, "tcg-icount": _STEADY}

# Should this process vanish without a word, the guest goes with it, also if that was before it could ask for it.
_UNLESS_ORPHANED = '[ "$PPID" = "$0" ] && exec "$@"'


def command(
    qemu: Qemu,
    kernel: Kernel,
    *,
    accelerator: str,
    memory_bytes: int,
    cpus: int,
    initrd: int,
    port: int,
    huge_bytes: int = 0,
) -> list[str]:
    """The command line; ``initrd`` and ``port`` are descriptors it inherits: no name, nothing to clean up.

    Its standard output is the guest's console.
    """
    # Restarting on a panic and not restarting at all make QEMU end when the guest crashes.
    arguments = f"console=ttyS0 quiet panic=-1 random.trust_cpu=on{_KERNEL_ARGUMENTS[accelerator]}"
    if huge_bytes:
        # Set aside while the kernel starts: later there may be none that lie together.
        arguments += f" hugepages={max(-(-huge_bytes // HUGE_BYTES), _TRIED_HUGE_PAGES)}"
    firmware = [word for folder in qemu.firmware for word in ("-L", str(folder))]
    return [
        *("setpriv", "--pdeathsig", "KILL", "sh", "-c", _UNLESS_ORPHANED, str(os.getpid())),
        *(str(qemu.program), "-nodefaults", "-no-user-config", "-no-reboot", "-display", "none"),
        *("-machine", "pc", *firmware, *_ACCELERATORS[accelerator]),
        *("-m", f"{memory_bytes // (1 << 20)}M", "-smp", str(cpus)),
        *("-kernel", str(kernel.image), "-initrd", f"/proc/self/fd/{initrd}", "-append", arguments),
        *("-chardev", "stdio,id=console,signal=off", "-serial", "chardev:console"),
        *("-chardev", f"socket,id=agent,fd={port}"),
        *("-device", "virtio-serial-pci", "-device", f"virtserialport,chardev=agent,name={PORT}"),
    ]


def explain_kvm() -> str:
    """Why KVM can't even be tried here; empty if it can."""
    if not os.path.exists("/dev/kvm"):
        return "there is no /dev/kvm"
    if not os.access("/dev/kvm", os.R_OK | os.W_OK):
        return "/dev/kvm is not open to this user"
    return ""


def tail(console: bytes, lines: int = 25) -> str:
    """The end of a console, as text fit for a message."""
    text = console.decode("utf-8", "replace").replace("\r", "")
    kept: Sequence[str] = [line for line in text.splitlines() if line.strip()][-lines:]
    return "\n".join("  | " + "".join(c for c in line if c.isprintable() or c == "\t") for line in kept)
