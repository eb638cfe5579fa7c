"""Compiling the C on demand: the core, barriers and mutators, each once and kept in the user's cache.

A result's name holds a hash of everything that went into it (sources, headers, flags, compiler), so nothing stale is
ever loaded. The core is a shared library; the cffi module over it and the barriers and mutators link against it.

``CC`` chooses the compiler. ``GCBARRIER_SANITIZE`` (``address,undefined`` or ``thread``) builds everything with those
sanitizers; a process that loads the result then needs :func:`preload` in its environment from the start.
"""

import contextlib
import functools
import hashlib
import io
import os
import re
import shlex
import shutil
import subprocess
import sysconfig
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from attrs import frozen

from gcbarrier.errors import GcBarrierError, Unavailable
from gcbarrier.machines.cache import cache_home

# Not -march=native: the same objects run in an emulated guest.
CFLAGS = (
    "-std=gnu11",
    "-D_GNU_SOURCE",
    "-O2",
    "-g",
    "-fPIC",
    "-pthread",
    "-Wall",
    "-Wextra",
    "-Wconversion",
    "-Werror",
)
NATIVE = Path(__file__).resolve().parents[1] / "native"
MODULE = "_gcbarrier"
"""The cffi module over the core, in the core's folder."""
SANITIZE_VARIABLE = "GCBARRIER_SANITIZE"

# Python's side of a prototype barrier (gcbarrier.core.prototype).
_CALLBACKS = """
extern "Python" int gcb_python_arm(void *self);
extern "Python" int gcb_python_collect(void *self, bool rearm, uint64_t *words, size_t pages);
"""
_KEPT_S = 30 * 86400.0
_CORE = "gcbarrier-core"


@frozen(kw_only=True)
class Plugin:
    """A compiled barrier or mutator, and the core that it was linked against."""

    library: Path
    core: Path


def sanitizers() -> tuple[str, ...]:
    """What ``GCBARRIER_SANITIZE`` asks for."""
    return tuple(name for name in os.environ.get(SANITIZE_VARIABLE, "").split(",") if name)


def cflags() -> tuple[str, ...]:
    """The flags that everything is compiled with."""
    extra = sanitizers()
    return (*CFLAGS, f"-fsanitize={','.join(extra)}", "-fno-sanitize-recover=all") if extra else CFLAGS


def preload() -> dict[str, str]:
    """Environment of a process that loads sanitized code into an interpreter that isn't; empty without sanitizers."""
    libraries = {"address": "libasan.so", "undefined": "libubsan.so", "thread": "libtsan.so"}
    chosen = [libraries[name] for name in sanitizers() if name in libraries]
    if not chosen:
        return {}
    found = [_ask((*compiler(), f"-print-file-name={name}")) for name in chosen]
    return {
        "LD_PRELOAD": ":".join(os.path.realpath(path) for path in found),
        # The interpreter keeps what it allocated until it ends; that is no leak of ours.
        "ASAN_OPTIONS": "detect_leaks=0",
        "UBSAN_OPTIONS": "print_stacktrace=1",
    }


def compiler() -> tuple[str, ...]:
    """The compiler's command. Raises Unavailable where there is none."""
    try:
        command = tuple(shlex.split(os.environ.get("CC", ""))) or ("cc",)
    except ValueError as problem:
        raise GcBarrierError(f"CC is no command ({problem}): correct or unset it") from problem
    if shutil.which(command[0]) is None:
        raise Unavailable("a C compiler", f"there is no {command[0]}", "install gcc, or name a compiler in CC")
    return command


def core() -> Path:
    """The folder of the compiled core: its library and the cffi module over it, compiled if need be.

    Raises Unavailable without a compiler or Python's C headers, GcBarrierError where the compiler fails.
    """
    sources = sorted(NATIVE.glob("*.c"))
    headers = sorted(NATIVE.glob("*.h"))
    include = sysconfig.get_path("include")
    key = _key([*sources, *headers, Path(__file__)], [include, sysconfig.get_config_var("SOABI")])
    folder = _build_home() / f"core-{key}"
    if folder.is_dir():
        os.utime(folder)
        return folder
    if not Path(include, "Python.h").is_file():
        remedy = "install them (on Debian: python3-dev)"
        raise Unavailable("the compiled core", "Python's C headers are missing (Python.h)", remedy)
    with _new_folder(folder) as work:
        name = f"lib{_CORE}.so"
        _compile([*map(str, sources), "-shared", f"-Wl,-soname,{name}", "-ldl", "-o", str(work / name)])
        glue = work / f"{MODULE}.c"
        _emit_glue(glue)
        # The glue is generated: what it warns of is not ours to mend.
        module = str(work / f"{MODULE}.abi3.so")
        _compile([str(glue), f"-I{include}", "-w", "-shared", *_link(work), "-Wl,-rpath,$ORIGIN", "-o", module])
    return folder


def barrier(source: Path, defines: Sequence[str] = ()) -> Plugin:
    """A barrier's C file, compiled against ``barrier.h`` and, for page tables, ``pagetables.h``.

    ``defines`` are its parameters, as ``-DNAME=VALUE``.
    """
    # A barrier may be a variant of the one beside it, and include that.
    return _plugin(source, [source, *_near(source)], defines)


def runtime(source: Path, defines: Sequence[str], libraries: Sequence[str]) -> Plugin:
    """The C file of a collector that brings its own memory, linked with the ``libraries`` that it is made of."""
    return _plugin(source, [source, *_near(source)], defines, libraries=libraries)


def has_header(name: str) -> bool:
    """Whether the compiler finds this header. Raises Unavailable without a compiler."""
    command = [*compiler(), "-fsyntax-only", "-include", name, "-x", "c", "/dev/null"]
    return subprocess.run(command, capture_output=True, check=False, stdin=subprocess.DEVNULL).returncode == 0


def mutator(
    source: Path,
    params_header: str,
    *,
    verify: bool,
    timed: bool = False,
    store_header: Path | None = None,
    defines: Sequence[str] = (),
    runtime: Path | None = None,
    libraries: Sequence[str] = (),
) -> Plugin:
    """A heap's ``mutator.c``; ``params_header`` is what it includes as ``gcb_params.h``.

    ``store_header`` is the one with a software barrier's inline store, compiled with the barrier's ``defines``; without
    one a store is a plain store. ``runtime`` is the header with another collector's allocation, from ``libraries``.
    """
    inputs = [source, *_near(source), *sorted(source.parent.parent.glob("_*/*.h"))]
    options = [f"-DGCB_VERIFY={int(verify)}", f"-DGCB_TIMED={int(timed)}"]
    if store_header is not None:
        inputs += [store_header, *_near(store_header)]
        options += [f'-DGCB_STORE_HEADER="{store_header.name}"', f"-I{store_header.parent}", *defines]
    if runtime is not None:
        inputs += [runtime]
        options += [f'-DGCB_RUNTIME_HEADER="{runtime.name}"', f"-I{runtime.parent}"]
    return _plugin(source, inputs, options, {"gcb_params.h": params_header}, libraries)


def _near(source: Path) -> list[Path]:
    """What lies beside a file and may be included by it."""
    return sorted({*source.parent.glob("*.h"), *source.parent.glob("*.c")} - {source})


def _plugin(
    source: Path,
    inputs: Sequence[Path],
    defines: Sequence[str],
    files: Mapping[str, str] = {},
    libraries: Sequence[str] = (),
) -> Plugin:
    library = core()
    key = _key([*inputs, *sorted(NATIVE.glob("*.h"))], [*defines, *libraries, library.name, *files.values()])
    folder = _build_home() / f"{source.parent.name if source.stem == 'mutator' else source.stem}-{key}"
    plugin = Plugin(library=folder / "plugin.so", core=library)
    if plugin.library.is_file():
        os.utime(folder)
        return plugin
    with _new_folder(folder) as work:
        for name, text in files.items():
            (work / name).write_text(text, encoding="utf-8")
        includes = (f"-I{NATIVE}", f"-I{work}")
        against = (*_link(library), f"-Wl,-rpath,{library}", "-lm", *(f"-l{name}" for name in libraries))
        _compile([str(source), *includes, *defines, "-shared", *against, "-o", str(work / plugin.library.name)])
    return plugin


def _link(folder: Path) -> list[str]:
    return [f"-L{folder}", f"-l{_CORE}"]


def _emit_glue(target: Path) -> None:
    import cffi

    declarations = (NATIVE / "api.h").read_text(encoding="utf-8")
    ffi = cffi.FFI()
    ffi.cdef(re.sub(r"^#.*$", "", declarations, flags=re.MULTILINE))
    ffi.cdef(_CALLBACKS)
    includes = "#include <stdbool.h>\n#include <stddef.h>\n#include <stdint.h>\n"
    ffi.set_source(MODULE, includes + declarations)
    with contextlib.redirect_stdout(io.StringIO()):  # it tells what it generates
        ffi.emit_c_code(str(target))


def _compile(arguments: Sequence[str]) -> None:
    command = [*compiler(), *cflags(), *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL)
    if done.returncode:
        said = [line for line in done.stderr.splitlines() if "error" in line or "No space left" in line]
        why = (
            said or done.stderr.splitlines() or [f"{command[0]} ended with status {done.returncode} and said nothing"]
        )[0]
        raise GcBarrierError(f"the C compiler failed: {why}")


def _key(files: Sequence[Path], words: Sequence[str]) -> str:
    digest = hashlib.sha256(repr((compiler(), _compiler_version(compiler()), cflags(), *words)).encode())
    for file in files:
        digest.update(file.name.encode() + b"\0" + file.read_bytes() + b"\0")
    return digest.hexdigest()[:16]


@functools.cache
def _compiler_version(command: tuple[str, ...]) -> str:
    return _ask((*command, "--version"))


def _ask(command: Sequence[str]) -> str:
    done = subprocess.run(command, capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL)
    return done.stdout.strip()


def _build_home() -> Path:
    return cache_home() / "gcbarrier" / "build"


@contextlib.contextmanager
def _new_folder(folder: Path) -> Iterator[Path]:
    """A folder to fill that takes its name only when the block ends well."""
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
    except OSError as problem:
        reason = os.strerror(problem.errno or 0)
        raise GcBarrierError(
            f"{folder.parent} can't be made: {reason}; set XDG_CACHE_HOME to a folder of yours"
        ) from problem
    with tempfile.TemporaryDirectory(prefix=".new-", dir=folder.parent) as outer:
        work = Path(outer) / "work"
        work.mkdir()
        yield work
        try:
            work.rename(folder)
        except OSError:
            # Another process was faster, and made the same.
            if not folder.is_dir():
                raise
    _forget_unused(folder.parent)


def _forget_unused(home: Path) -> None:
    for old in home.iterdir():
        # Somebody else may be cleaning up as well.
        with contextlib.suppress(FileNotFoundError):
            if time.time() - old.stat().st_mtime > _KEPT_S:
                shutil.rmtree(old, ignore_errors=True)
