"""Where heaps, barriers, collectors and experiments are found: by path, never in a table.

A heap is a folder ``heaps/x/`` with ``heap.py`` and ``mutator.c``; a barrier is ``barriers/x.py`` with ``x.c`` beside
it; a collector is ``collectors/x.py``; an experiment is ``experiments/x.py``. The user's own folders (``--path`` or the
environment variable ``GCBARRIER_PATH``) come first, then what comes with gcbarrier: an installed package holds all
four folders, a checkout has ``heaps/`` and ``experiments/`` beside it. Names starting with ``_`` or ``.`` are helpers,
not plug-ins. Two places with one name are refused: results must say which code made them.
"""

import ast
import contextlib
import difflib
import importlib
import importlib.util
import os
import sys
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from types import ModuleType

from gcbarrier.errors import GcBarrierError

KINDS = ("heaps", "barriers", "collectors", "experiments")
PATH_VARIABLE = "GCBARRIER_PATH"

_PACKAGE = Path(__file__).resolve().parents[1]
# A plug-in that ends the interpreter would end a run without a word, and as if all were well.
_MISTAKES = (Exception, SystemExit)
_loaded: dict[Path, ModuleType] = {}


def names(kind: str) -> list[str]:
    """The names of one of the :data:`KINDS`, sorted. Raises GcBarrierError where two places claim one name."""
    return sorted(name for name, file in _found(kind).items() if _missing(kind, file) is None)


def find(kind: str, name: str) -> Path:
    """The Python file behind a name; what belongs to it (``mutator.c``, ``x.c``) lies beside it.

    Raises GcBarrierError for a name that isn't there (with the nearest that is), that lacks its C file, or that two
    places claim.
    """
    files = _found(kind)
    if name not in files:
        hint = nearest(name, names(kind))
        raise GcBarrierError(f"no {kind[:-1]} is called {name!r}; {hint}`gcbarrier list {kind}` shows all")
    missing = _missing(kind, files[name])
    if missing is not None:
        raise GcBarrierError(f"the {kind[:-1]} {name!r} lacks its C file: write {missing}")
    return files[name]


def module(kind: str, name: str) -> ModuleType:
    """The plug-in's module, executed once per process.

    Raises GcBarrierError as :func:`find` does, and with file and line where the file itself fails.
    """
    file = find(kind, name)
    if file.is_relative_to(_PACKAGE):
        # Under its package name it is the same module that anyone else importing it gets.
        return importlib.import_module(".".join(("gcbarrier", *file.relative_to(_PACKAGE).with_suffix("").parts)))
    if file not in _loaded:
        _loaded[file] = _execute(kind, name, file)
    return _loaded[file]


@contextlib.contextmanager
def blamed(kind: str, name: str) -> Iterator[None]:
    """Around a call into a plug-in: what it raises becomes a GcBarrierError that names its file and line."""
    try:
        yield
    except GcBarrierError:
        raise
    except _MISTAKES as problem:
        raise _failed(kind, name, find(kind, name), problem) from problem


def misshapen(kind: str, name: str, what: str, *within: str) -> GcBarrierError:
    """What to raise where a plug-in's file can be executed and isn't what it must be.

    ``within`` says where in the file: ``"Params", "rate_per_s"`` is that field of that class.
    """
    file = find(kind, name)
    line = _line_of(file, within)
    return GcBarrierError(f"the {kind[:-1]} {name!r} can't be used: {file}{f', line {line}' if line else ''}: {what}")


def summary(kind: str, name: str) -> str:
    """The first line of the plug-in's docstring ("" without one), read without executing the file."""
    file = find(kind, name)
    try:
        tree = ast.parse(file.read_text(encoding="utf-8"))
    except (SyntaxError, ValueError, OSError) as problem:
        raise _failed(kind, name, file, problem) from problem
    return (ast.get_docstring(tree) or "").partition("\n")[0]


def add_path(folder: str | Path) -> None:
    """Search ``folder``'s heaps/, barriers/, collectors/ and experiments/ too, here and in every child process.

    Raises GcBarrierError for something that is no folder or holds none of the four.
    """
    root = _root(folder)
    if not root.is_dir():
        raise GcBarrierError(f"{folder} is not a folder: --path takes one that holds {_one_of_the_kinds()}")
    if not any((root / kind).is_dir() for kind in KINDS):
        raise GcBarrierError(f"{folder} holds nothing to find: put your files in its {_one_of_the_kinds()}")
    if os.pathsep in str(root):
        raise GcBarrierError(f"{folder} can't be searched: {os.pathsep!r} in its name separates folders; rename it")
    known = paths()
    if root not in known:
        # The environment is what a fresh interpreter inherits, whichever executor starts it.
        os.environ[PATH_VARIABLE] = os.pathsep.join(map(str, [*known, root]))


def paths() -> list[Path]:
    """The user's own folders, in search order. Raises GcBarrierError for one that isn't there."""
    roots = [_root(entry) for entry in os.environ.get(PATH_VARIABLE, "").split(os.pathsep) if entry]
    for root in roots:
        if not root.is_dir():
            raise GcBarrierError(f"{PATH_VARIABLE} names {root}, which is not a folder: correct or unset it")
    return roots


def shipped(kind: str) -> Path:
    """The folder of what comes with gcbarrier: in the package, or beside it where that is a checkout's."""
    inside = _PACKAGE / kind
    # An installed package has all four; its neighbours are other people's.
    return inside if inside.is_dir() else _PACKAGE.parent / kind


def _root(folder: str | Path) -> Path:
    try:
        return Path(folder).expanduser().resolve()
    except RuntimeError as problem:
        raise GcBarrierError(f"{folder} is not a folder: whose home it should lie in is not known here") from problem


def nearest(name: str, known: Iterable[str]) -> str:
    """``"did you mean 'x'? "`` for the closest of ``known``, or "" where none is close: a clause for an error."""
    matches = difflib.get_close_matches(name, list(known), n=1)
    return f"did you mean {matches[0]!r}? " if matches else ""


def _folders(kind: str) -> Iterator[Path]:
    for root in paths():
        yield root / kind
    yield shipped(kind)


def _found(kind: str) -> dict[str, Path]:
    if kind not in KINDS:
        raise GcBarrierError(f"there are no {kind!r}; {nearest(kind, KINDS)}there are {', '.join(KINDS)}")
    files: dict[str, Path] = {}
    for folder in _folders(kind):
        for match in sorted(folder.glob("[!_.]*/heap.py" if kind == "heaps" else "[!_.]*.py")):
            if not match.is_file():
                continue
            file = match.resolve()
            name = _name(kind, match)
            other = files.setdefault(name, file)
            if other != file:
                ours = folder == shipped(kind)
                whose, which = (", which comes with gcbarrier", "yours") if ours else ("", "one of them")
                raise GcBarrierError(f"two {kind} are called {name!r}: {other} and {file}{whose}; rename {which}")
    return files


def _name(kind: str, file: Path) -> str:
    if kind == "heaps":
        return file.parent.name
    return file.stem.replace("_", "-") if kind in ("barriers", "collectors") else file.stem


def _missing(kind: str, file: Path) -> Path | None:
    """The C file that a plug-in can't do without and doesn't have."""
    if kind not in ("heaps", "barriers"):
        return None
    needed = file.with_name("mutator.c") if kind == "heaps" else file.with_suffix(".c")
    return None if needed.is_file() or (kind == "barriers" and _is_prototype(file)) else needed


def _is_prototype(file: Path) -> bool:
    """Whether a barrier is written in Python alone, told without executing it."""
    try:
        body = ast.parse(file.read_text(encoding="utf-8")).body
    except (SyntaxError, ValueError, OSError):
        return False
    return any(isinstance(each, ast.ClassDef) and each.name == "Prototype" for each in body)


def _execute(kind: str, name: str, file: Path) -> ModuleType:
    title = f"gcbarrier_{kind}_{name.replace('-', '_')}"
    spec = importlib.util.spec_from_file_location(title, file)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    # Class decorators and pickle look a class's module up by name.
    sys.modules[title] = module
    try:
        spec.loader.exec_module(module)
    except _MISTAKES as problem:
        del sys.modules[title]
        raise _failed(kind, name, file, problem) from problem
    return module


def _failed(kind: str, name: str, file: Path, problem: BaseException) -> GcBarrierError:
    what = problem.msg if isinstance(problem, SyntaxError) else str(problem)
    if type(problem) in (TypeError, ValueError) and problem.args:
        what = str(problem.args[0])  # attrs' validators hand over the field and the value besides
    line = _line_in(file, problem)
    where = f"{file}, line {line}" if line else str(file)
    return GcBarrierError(f"the {kind[:-1]} {name!r} can't be used: {where}: {type(problem).__name__}: {what}")


def _line_of(file: Path, within: Sequence[str]) -> int | None:
    """Where a definition begins, told without executing the file; of what is not found, where the last begins that is.

    What was inherited or computed is not in it.
    """
    try:
        body = ast.parse(file.read_text(encoding="utf-8")).body
    except (SyntaxError, ValueError, OSError):
        return None
    line = None
    for wanted in within:
        found = next((each for each in body if wanted in _defined(each)), None)
        if found is None:
            break
        line, body = found.lineno, getattr(found, "body", [])
    return line


def _defined(statement: ast.stmt) -> list[str]:
    match statement:
        case ast.ClassDef(name=name) | ast.FunctionDef(name=name):
            return [name]
        case ast.AnnAssign(target=ast.Name(id=name)):
            return [name]
        case ast.Assign(targets=targets):
            return [target.id for target in targets if isinstance(target, ast.Name)]
    return []


def _line_in(file: Path, problem: BaseException) -> int | None:
    """The last line of the user's own file that the failure went through."""
    if isinstance(problem, SyntaxError) and problem.filename in (str(file), "<unknown>"):
        return problem.lineno
    line, step = None, problem.__traceback__
    while step is not None:
        if step.tb_frame.f_code.co_filename == str(file):
            line = step.tb_lineno
        step = step.tb_next
    return line


def _one_of_the_kinds() -> str:
    return ", ".join(f"{kind}/" for kind in KINDS[:-1]) + f" or {KINDS[-1]}/"
