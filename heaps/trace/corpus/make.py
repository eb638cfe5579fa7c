"""Records the corpus: fetches what it is made of, runs each program under ``gcbarrier record``, keeps the recordings.

Made for Debian 12. Without --yes it says what it would install system-wide, and asks. Run it with the Python that
gcbarrier is installed for::

    .venv/bin/python heaps/trace/corpus/make.py                    # the five of the corpus, beside this file
    .venv/bin/python heaps/trace/corpus/make.py --only redis       # one of them
    .venv/bin/python heaps/trace/corpus/make.py --only service --out /tmp    # one that is not shipped
    .venv/bin/python heaps/trace/corpus/make.py --bare             # the programs by themselves, nothing recorded
"""

import argparse
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from recipes import PROGRAMS, RECIPES, Recipe


def main() -> int:
    """Install, make ready, record."""
    given = _arguments()
    recipes = {name: RECIPES[name] for name in given.only or [name for name in RECIPES if RECIPES[name].shipped]}
    scratch: Path = given.scratch
    if not _install_packages(recipes, given.yes):
        return 2
    scratch.mkdir(parents=True, exist_ok=True)
    fetched = [package for recipe in recipes.values() for package in recipe.npm]
    if fetched:
        print(f"from npm, into {scratch}: {', '.join(fetched)}")
        # No scripts of theirs are run.
        subprocess.run(
            ["npm", "install", "--ignore-scripts", "--no-audit", "--no-fund", "--prefix", ".", *fetched],
            cwd=scratch,
            check=True,
        )
    shutil.copytree(PROGRAMS, scratch, dirs_exist_ok=True, ignore=shutil.ignore_patterns("__pycache__"))
    for name, recipe in recipes.items():
        recipe.prepare(scratch)
        print(f"{name}: {_version(recipe, scratch)}", flush=True)
        with _client(recipe, scratch) as client:
            if given.bare:
                _run_bare(recipe, scratch, client)
            else:
                given.out.mkdir(parents=True, exist_ok=True)
                _record(recipe, scratch, given.out.resolve() / f"{name}.pages", given, client)
    return 0


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", action="append", choices=sorted(RECIPES), help="this program; may be repeated")
    parser.add_argument("--yes", action="store_true", help="install Debian packages that are lacking without asking")
    parser.add_argument("--bare", action="store_true", help="run the programs, and record nothing")
    parser.add_argument(
        "--scratch",
        type=Path,
        default=Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "gcbarrier" / "corpus",
        help="where everything else goes that is fetched or made; default: %(default)s",
    )
    parser.add_argument("--out", type=Path, default=Path(__file__).parent, help="where the recordings go")
    parser.add_argument("--every", default="10ms", help="how long a tick is")
    parser.add_argument(
        "--slow-down", default="3", metavar="TIMES", help="repetitions of each arming interval; 0: none"
    )
    parser.add_argument("--at", default="10ms,100ms", help="the arming intervals whose slow-down is measured")
    return parser.parse_args()


def _install_packages(recipes: Mapping[str, Recipe], yes: bool) -> bool:
    """Have Debian's packages there; False where they are not, and must not be installed."""
    needs = {command: package for recipe in recipes.values() for command, package in recipe.needs.items()}
    lacking = sorted({package for command, package in needs.items() if shutil.which(command) is None})
    if not lacking:
        return True
    install = ["apt-get", "install", "--yes", "--no-install-recommends", *lacking]
    if os.geteuid() != 0:
        install.insert(0, "sudo")
    print(f"These Debian packages are lacking, and would be installed system-wide: {', '.join(lacking)}")
    print(f"The command for it: {' '.join(install)}")
    if not yes and not (sys.stdin.isatty() and input("Install them? [y/N] ").strip().lower() in ("y", "yes")):
        print("Nothing was installed: say --yes, install them yourself, or leave programs out with --only.")
        return False
    subprocess.run([*install[: install.index("apt-get")], "apt-get", "update"], check=True)
    subprocess.run(install, check=True)
    return True


def _version(recipe: Recipe, scratch: Path) -> str:
    # Java tells it on standard error.
    said = subprocess.run(recipe.version, cwd=scratch, check=True, capture_output=True, text=True)
    return (said.stdout or said.stderr).splitlines()[0]


@contextmanager
def _client(recipe: Recipe, scratch: Path) -> Iterator["subprocess.Popen[bytes] | None"]:
    """What loads a server, for as long as this lasts; None of a program that needs nobody to."""
    if not recipe.client:
        yield None
        return
    with subprocess.Popen(recipe.client, cwd=scratch) as client:
        try:
            yield client
        finally:
            client.kill()


@contextmanager
def _ended(running: "subprocess.Popen[bytes]") -> Iterator[None]:
    """At an exception it is ended, too."""
    try:
        yield
    except BaseException:
        running.terminate()
        raise


def _run(command: Sequence[str], recipe: Recipe, scratch: Path, client: "subprocess.Popen[bytes] | None") -> None:
    """To its end, or until what loads it has failed: a server that nobody asks would wait for ever."""
    environment = {**os.environ, **recipe.environment}
    with subprocess.Popen(command, cwd=scratch, env=environment) as running, _ended(running):
        while (status := running.poll()) is None:
            if client is not None and client.poll() is not None:
                sys.exit(f"what loads it ended with status {client.returncode}; is another server at its socket?")
            time.sleep(0.05)
    if status:
        sys.exit(f"{' '.join(command)} ended with status {status}")


def _run_bare(recipe: Recipe, scratch: Path, client: "subprocess.Popen[bytes] | None") -> None:
    began = time.perf_counter()
    _run(recipe.command, recipe, scratch, client)
    print(f"  took {time.perf_counter() - began:.1f} s")


def _record(
    recipe: Recipe,
    scratch: Path,
    path: Path,
    given: argparse.Namespace,
    client: "subprocess.Popen[bytes] | None",
) -> None:
    command: Sequence[str] = [
        *(sys.executable, "-m", "gcbarrier", "record", "--every", given.every, "--out", str(path)),
        *(("--slow-down", given.slow_down, "--at", given.at) if given.slow_down != "0" else ()),
        *("--", *recipe.command),
    ]
    _run(command, recipe, scratch, client)


if __name__ == "__main__":
    sys.exit(main())
