"""Compiling the C on demand: the core, barriers and mutators, each once and kept in the user's cache.

A result's name holds a hash of everything that went into it (flags, compiler, all that the compiler read), so nothing
stale is ever loaded (:mod:`gcbarrier.core.buildcache`). The core is a shared library; the cffi module over it and the
barriers and mutators link against it.

``CC`` chooses the compiler. ``gcbarrier run --sanitize address``, or the environment variable ``GCBARRIER_SANITIZE``
(``address,undefined`` or ``thread``), builds everything with those sanitizers; a process that loads the result then
needs :func:`preload` in its environment from the start.
"""

import contextlib
import functools
import io
import os
import re
import shlex
import shutil
import subprocess
import sysconfig
from collections.abc import Mapping, Sequence
from pathlib import Path

from attrs import frozen

from gcbarrier.core import buildcache, includes
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
SANITIZERS = ("address", "undefined", "thread")
"""What ``gcbarrier run --sanitize`` takes."""

# Python's side of a prototype barrier (gcbarrier.core.prototype).
_CALLBACKS = """
extern "Python" int gcb_python_arm(void *self);
extern "Python" int gcb_python_collect(void *self, bool rearm, uint64_t *words, size_t pages);
"""
_OWN_TEXT = Path(__file__).read_text(encoding="utf-8")
_GLUE = f"{MODULE}.c"
_CORE = "gcbarrier-core"
_PLUGIN = "plugin.so"


@frozen(kw_only=True)
class Plugin:
    """A compiled barrier or mutator, and the core that it was linked against."""

    library: Path
    core: Path


def sanitizers() -> tuple[str, ...]:
    """What ``GCBARRIER_SANITIZE`` asks for."""
    return tuple(name for name in os.environ.get(SANITIZE_VARIABLE, "").split(",") if name)


def sanitize(name: str) -> None:
    """Compile everything with this sanitizer from now on, in this process and its children; "": as it was."""
    if name:
        os.environ[SANITIZE_VARIABLE] = name


def cflags() -> tuple[str, ...]:
    """The flags that everything is compiled with."""
    extra = sanitizers()
    if not extra:
        return CFLAGS
    # Two views of one memory are two places to it, and no race between them is seen.
    one_view = ["-DGCB_ONE_VIEW=1"] if "thread" in extra else []
    return (*CFLAGS, f"-fsanitize={','.join(extra)}", "-fno-sanitize-recover=all", *one_view)


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
    sources = [str(source) for source in sorted(NATIVE.rglob("*.c"))]
    include = sysconfig.get_path("include")
    library, module = f"lib{_CORE}.so", f"{MODULE}.abi3.so"

    def compile_both(work: Path) -> None:
        if not os.path.isfile(os.path.join(include, "Python.h")):
            remedy = "install them (on Debian: python3-dev)"
            raise Unavailable("the compiled core", "Python's C headers are missing (Python.h)", remedy)
        # Calls within the core go straight to what they call: by the linkage table they would be cold in a pause.
        options = ["-shared", "-Wl,-Bsymbolic-functions", f"-Wl,-soname,{library}", "-ldl", "-o", str(work / library)]
        _compile([*sources, f"-I{NATIVE}", *options], work.parent)
        _emit_glue(work / _GLUE)
        # It is generated: what it warns of is not ours to mend.
        options = [f"-I{include}", "-w", "-shared", *_link(work), "-Wl,-rpath,$ORIGIN", "-o", str(work / module)]
        _compile([str(work / _GLUE), *options], work.parent)

    return buildcache.folder(
        _build_home(),
        buildcache.Recipe(
            name="core",
            # The module's declarations are among what the sources read; the rest of it is Python's and cffi's.
            words=(*_compiler_words(), include, str(sysconfig.get_config_var("SOABI")), _cffi_version(), _OWN_TEXT),
            where=(*_search_words(), *sources),
            results=(library, module),
            reading=lambda work: _reading(sources, [f"-I{NATIVE}"], work.parent),
            make=compile_both,
        ),
    )


def barrier(source: Path, defines: Sequence[str] = ()) -> Plugin:
    """A barrier's C file, compiled against what is in ``native/include``: ``barrier.h``, ``pagetables.h``.

    ``defines`` are its parameters, as ``-DNAME=VALUE``.
    """
    return _plugin(source, defines)


def runtime(source: Path, defines: Sequence[str], libraries: Sequence[str]) -> Plugin:
    """The C file of a collector that brings its own memory, linked with the ``libraries`` that it is made of."""
    return _plugin(source, defines, libraries=libraries)


def injected(source: Path) -> Path:
    """A library by itself, for a program that knows nothing of us: linked with nothing of ours, never sanitized."""
    options = ["-fvisibility=hidden", "-shared", "-Wl,-z,relro,-z,now"]

    def compile_it(work: Path) -> None:
        command = [*compiler(), *CFLAGS, *options, str(source), "-o", str(work / _PLUGIN)]
        includes.run(command, os.environ | {"TMPDIR": str(work.parent)})

    def read(work: Path) -> includes.Reading:
        return includes.reading([*compiler(), *CFLAGS], [str(source)], os.environ | {"TMPDIR": str(work.parent)})

    recipe = buildcache.Recipe(
        name=source.stem,
        words=(*_compiler_words(), *CFLAGS, *options),
        where=(*_search_words(), str(source)),
        results=(_PLUGIN,),
        reading=read,
        make=compile_it,
    )
    return buildcache.folder(_build_home(), recipe) / _PLUGIN


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
    stressed: bool = False,
    store_header: Path | None = None,
    defines: Sequence[str] = (),
    runtime: Path | None = None,
    libraries: Sequence[str] = (),
) -> Plugin:
    """A heap's ``mutator.c``; ``params_header`` is what it includes as ``gcb_params.h``.

    ``store_header`` is the one with a software barrier's inline store, compiled with the barrier's ``defines``; without
    one a store is a plain store. ``runtime`` is the header with another collector's allocation, from ``libraries``.
    """
    options = [f"-DGCB_VERIFY={int(verify)}", f"-DGCB_TIMED={int(timed)}", f"-DGCB_STRESS={int(stressed)}"]
    folders = []
    if stressed:
        # Each call of gcb_dead() is to be told from the others by the line that it is made from. Clang need not know.
        options += ["-fno-crossjumping", "-fno-tree-tail-merge", "-Wno-ignored-optimization-argument"]
    if store_header is not None:
        options += [f'-DGCB_STORE_HEADER="{store_header.name}"', *defines]
        folders += [store_header.parent]
    if runtime is not None:
        options += [f'-DGCB_RUNTIME_HEADER="{runtime.name}"']
        folders += [runtime.parent]
    return _plugin(source, options, folders, {"gcb_params.h": params_header}, libraries)


def _plugin(
    source: Path,
    defines: Sequence[str],
    folders: Sequence[Path] = (),
    files: Mapping[str, str] = {},
    libraries: Sequence[str] = (),
) -> Plugin:
    library = core()
    searched = [f"-I{folder}" for folder in (NATIVE / "include", *folders)]

    def generate(work: Path) -> None:
        for name, text in files.items():
            (work / name).write_text(text, encoding="utf-8")

    def compile_it(work: Path) -> None:
        against = (*_link(library), f"-Wl,-rpath,{library}", "-lm", *(f"-l{name}" for name in libraries))
        options = [*searched, f"-I{work}", *defines, "-shared", *against, "-o", str(work / _PLUGIN)]
        _compile([str(source), *options], work.parent)

    folder = buildcache.folder(
        _build_home(),
        buildcache.Recipe(
            name=source.parent.name if source.stem == "mutator" else source.stem,
            words=(*_compiler_words(), *defines, *libraries, library.name, *files.values()),
            where=(*_search_words(), str(source), *searched),
            results=(_PLUGIN,),
            prepare=generate,
            reading=lambda work: _reading([str(source)], [*searched, f"-I{work}", *defines], work.parent),
            make=compile_it,
        ),
    )
    return Plugin(library=folder / _PLUGIN, core=library)


def source_name(plugin: Path) -> str:
    """What the source of a compiled plug-in is called, without its suffix."""
    return plugin.parent.name.rpartition("-")[0]


def _link(folder: Path) -> list[str]:
    return [f"-L{folder}", f"-l{_CORE}"]


def _emit_glue(target: Path) -> None:
    import cffi

    headers = (NATIVE / "include" / "records.h", NATIVE / "api.h")
    text = "\n".join(header.read_text(encoding="utf-8") for header in headers)
    declarations = re.sub(r"^#.*$", "", text, flags=re.MULTILINE)
    ffi = cffi.FFI()
    ffi.cdef(declarations)
    ffi.cdef(_CALLBACKS)
    includes = "#include <stdbool.h>\n#include <stddef.h>\n#include <stdint.h>\n"
    ffi.set_source(MODULE, includes + declarations)
    with contextlib.redirect_stdout(io.StringIO()):  # it tells what it generates
        ffi.emit_c_code(str(target))


def _compile(arguments: Sequence[str], temporary: Path) -> None:
    # A compiler that is killed leaves its temporary files behind.
    includes.run([*compiler(), *cflags(), *arguments], os.environ | {"TMPDIR": str(temporary)})


def _reading(sources: Sequence[str], options: Sequence[str], temporary: Path) -> includes.Reading:
    return includes.reading([*compiler(), *cflags(), *options], sources, os.environ | {"TMPDIR": str(temporary)})


def _compiler_words() -> tuple[str, ...]:
    """What every result depends on."""
    surroundings = (f"{name}={os.environ.get(name, '')}" for name in ("LIBRARY_PATH", "COMPILER_PATH"))
    return (*compiler(), _compiler_version(compiler()), *cflags(), *surroundings)


def _search_words() -> tuple[str, ...]:
    """What decides, beside the flags, which headers are found."""
    return tuple(f"{name}={os.environ.get(name, '')}" for name in ("CPATH", "C_INCLUDE_PATH"))


@functools.cache
def _compiler_version(command: tuple[str, ...]) -> str:
    return _ask((*command, "--version"))


def _cffi_version() -> str:
    # Cheaper than cffi, which only writing the glue needs.
    import _cffi_backend

    return str(_cffi_backend.__version__)


def _ask(command: Sequence[str]) -> str:
    done = subprocess.run(command, capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL)
    return done.stdout.strip()


def _build_home() -> Path:
    return cache_home() / "gcbarrier" / "build"
