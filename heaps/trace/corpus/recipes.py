"""What is recorded: for each program where it comes from, how it is made ready, and the command that is watched.

Everything happens in one scratch folder, which is also the working directory: so commands, and with them the
recordings, name no path of the machine.
"""

import json
import shutil
import subprocess
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from attrs import field, frozen

PROGRAMS = Path(__file__).with_name("programs")
TYPESCRIPT, RXJS = "typescript@5.9.3", "rxjs@7.8.1"


def _nothing(scratch: Path) -> None:
    """Nothing is to be made ready."""


@frozen(kw_only=True)
class Recipe:
    """A program, and what it takes to record it."""

    command: Sequence[str]
    """What is watched, in the scratch folder."""
    needs: Mapping[str, str]
    """The commands that must be there, and the Debian packages that have them."""
    npm: Sequence[str] = ()
    """What is fetched from npm, into the scratch folder."""
    prepare: Callable[[Path], None] = _nothing
    """Done in the scratch folder before anything is watched."""
    client: Sequence[str] = ()
    """What runs beside it, not watched: it loads each server that comes up, and ends it."""
    version: Sequence[str]
    """Prints the program's version."""
    shipped: bool = True
    """Is it of the corpus?"""
    environment: Mapping[str, str] = field(factory=dict)


def _typescript(scratch: Path) -> None:
    settings = {
        "compilerOptions": {
            "noEmit": True,
            "strict": True,
            "target": "es2019",
            "module": "commonjs",
            "moduleResolution": "node",
            "lib": ["es2019", "dom"],
            "types": [],
        },
        "include": ["node_modules/rxjs/src/**/*.ts"],
        "exclude": [],
    }
    (scratch / "tsconfig.json").write_text(json.dumps(settings, indent=1))


def _java(scratch: Path) -> None:
    subprocess.run(["javac", "-d", ".", "Work.java"], cwd=scratch, check=True)


def _sqlite(scratch: Path) -> None:
    with open(scratch / "orders.sql", "w") as script:
        subprocess.run(["python3", "sqlite.py", "360"], cwd=scratch, check=True, stdout=script)


def _redis(scratch: Path) -> None:
    # Debian's redis-tools has the server's program under another name; redis-server, the package, would start one.
    (scratch / "redis-server").unlink(missing_ok=True)
    (scratch / "redis-server").symlink_to(str(shutil.which("redis-check-rdb")))


_PYTHON = {"python3": "python3"}

RECIPES: Mapping[str, Recipe] = {
    "cpython": Recipe(
        command=["/usr/bin/python3", "cpython.py"],
        needs={"/usr/bin/python3": "python3"},
        version=["/usr/bin/python3", "--version"],
        environment={"PYTHONHASHSEED": "0"},
    ),
    "node": Recipe(
        command=["node", "node_modules/typescript/bin/tsc", "-p", "."],
        needs={"node": "nodejs", "npm": "npm"},
        npm=[TYPESCRIPT, RXJS],
        prepare=_typescript,
        version=["node", "--version"],
    ),
    "jvm": Recipe(
        command=[
            *("java", "-Xms128m", "-Xmx128m", "-XX:+UseSerialGC", "-XX:-UseTransparentHugePages", "-XX:-UsePerfData"),
            *("-cp", ".", "Work", "400"),
        ],
        needs={"java": "openjdk-17-jdk-headless", "javac": "openjdk-17-jdk-headless"},
        prepare=_java,
        version=["java", "-version"],
    ),
    "sqlite": Recipe(
        command=["sqlite3", ":memory:", ".read orders.sql"],
        needs={"sqlite3": "sqlite3", **_PYTHON},
        prepare=_sqlite,
        version=["sqlite3", "--version"],
    ),
    "redis": Recipe(
        command=[
            *("./redis-server", "--port", "0", "--unixsocket", "redis.sock", "--save", "", "--appendonly", "no"),
            *("--loglevel", "warning", "--enable-protected-configs", "local"),
        ],
        needs={"redis-check-rdb": "redis-tools", **_PYTHON},
        prepare=_redis,
        client=["python3", "redis_client.py", "redis.sock", "120000", "800000"],
        version=["./redis-server", "--version"],
    ),
    "service": Recipe(
        command=["/usr/bin/python3", "service.py", "serve", "service.sock"],
        needs={"/usr/bin/python3": "python3"},
        client=["python3", "service.py", "load", "service.sock", "30000"],
        version=["/usr/bin/python3", "--version"],
        shipped=False,
        environment={"PYTHONHASHSEED": "0"},
    ),
}
