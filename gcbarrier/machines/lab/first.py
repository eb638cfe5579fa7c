"""The guest's first program: mount what Python expects, start the agent, collect orphans, stop the machine.

It becomes ``/init`` in the guest, where only the standard library is within reach.
"""

import ctypes
import json
import os

# Nothing on /tmp or /run: what the caller includes may lie there.
_MOUNTS = (
    ("proc", "/proc", "proc", ""),
    ("sysfs", "/sys", "sysfs", ""),
    ("devtmpfs", "/dev", "devtmpfs", ""),
    ("devpts", "/dev/pts", "devpts", ""),
    ("tmpfs", "/dev/shm", "tmpfs", "mode=1777"),
)
_RESTART = 0x01234567  # LINUX_REBOOT_CMD_RESTART: QEMU was told to exit instead


def main() -> None:
    """Serve until the agent ends."""
    libc = ctypes.CDLL(None, use_errno=True)
    for device, folder, kind, options in _MOUNTS:
        os.makedirs(folder, exist_ok=True)
        if libc.mount(device.encode(), folder.encode(), kind.encode(), 0, options.encode()):
            print(f"lab: mounting {folder}: {os.strerror(ctypes.get_errno())}", flush=True)
    with open("/lab.json") as file:
        start = json.load(file)
    for folder in start["folders"]:
        os.makedirs(folder, exist_ok=True)
    libc.sethostname(b"lab", 3)
    os.symlink("/proc/self/fd", "/dev/fd")
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    agent = os.fork()
    if agent == 0:
        _become(start["command"], start["environment"])
    ended = status = 0
    while ended != agent:
        ended, status = os.wait()
    print(f"lab: the agent ended with status {os.waitstatus_to_exitcode(status)}", flush=True)
    libc.reboot(_RESTART)


def _become(command: list[str], environment: dict[str, str]) -> None:
    try:
        os.chdir("/")
        os.setsid()
        os.execve(command[0], command, environment)
    finally:
        # Never the parent's work in the child's process.
        os._exit(127)


if __name__ == "__main__" and os.getpid() == 1:
    main()
