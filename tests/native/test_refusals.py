"""What the core refuses, and what is left of it: machines with other pages, files that are no plug-ins."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from places import CHECKOUT

from gcbarrier.core import build
from gcbarrier.core.library import open_core

# As on a machine whose pages have 16 KiB.
LARGE_PAGES = """
#include <dlfcn.h>
#include <unistd.h>
long sysconf(int name) {
  long (*real)(int) = (long (*)(int))dlsym(RTLD_NEXT, "sysconf");
  return name == _SC_PAGESIZE ? 16384 : real(name);
}
"""
OPEN = """
import sys
from gcbarrier.errors import GcBarrierError
from gcbarrier.tracked import Tracked
try:
    Tracked(1 << 20, sys.argv[1])
except GcBarrierError as refusal:
    print(refusal)
"""


@pytest.mark.parametrize("barrier", ["none", "mprotect"])
def test_pages_of_another_size_are_refused(barrier: str, tmp_path: Path) -> None:
    source, shim = tmp_path / "pages.c", tmp_path / "pages.so"
    source.write_text(LARGE_PAGES)
    subprocess.run(["cc", "-D_GNU_SOURCE", "-shared", "-fPIC", source, "-o", shim, "-ldl"], check=True)
    done = subprocess.run(
        [sys.executable, "-c", OPEN, barrier],
        capture_output=True,
        text=True,
        check=True,
        cwd=CHECKOUT,
        env={**os.environ, "LD_PRELOAD": str(shim)},
    )
    assert done.stdout == (
        "a page has 16384 bytes here, and barriers tell pages of 4096 apart: boot a kernel with those\n"
    )


@pytest.mark.parametrize("call", ["gcb_load_program", "gcb_load_barrier", "gcb_adopt"])
def test_what_is_no_plugin_does_not_stay_loaded(call: str, tmp_path: Path) -> None:
    source, library = tmp_path / "other.c", tmp_path / "other.so"
    source.write_text("int other(void);\nint other(void) { return 1; }\n")
    subprocess.run(["cc", "-shared", "-fPIC", source, "-o", library], check=True)
    core = open_core(build.core())
    space = core.ffi.gc(core.lib.gcb_space_new(1 << 20, 0, core.ffi.NULL, False), core.lib.gcb_space_free)
    path = str(library).encode()
    answer = {
        "gcb_load_program": lambda: core.lib.gcb_load_program(path, core.ffi.new("gcb_program *")),
        "gcb_load_barrier": lambda: core.lib.gcb_load_barrier(path, core.ffi.new("const gcb_barrier_ops **")),
        "gcb_adopt": lambda: core.lib.gcb_adopt(space, path, 1 << 20),
    }[call]()
    assert answer == -1
    assert str(library) in str(core.failure())
    assert str(library) not in Path("/proc/self/maps").read_text()
