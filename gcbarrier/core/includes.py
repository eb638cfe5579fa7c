"""What a compilation reads, by the compiler's own word (``-M``), and what would come before it if it were there."""

import os
import re
import signal
import subprocess
from collections.abc import Mapping, Sequence

from attrs import frozen

from gcbarrier.errors import GcBarrierError


@frozen(kw_only=True)
class Reading:
    """The files that a compilation reads, in that order, as the compiler names them.

    ``absent`` are not there, files or folders: under their names, what is searched earlier would have had headers
    that were found later.
    """

    files: tuple[str, ...]
    absent: tuple[str, ...]


_ERROR = re.compile(r"\berror: |No space left", re.IGNORECASE)
# The line of the source that the compiler shows, and where in it.
_EXCERPT = re.compile(r"^\s+\d*\s*\|")
# Where something is wrong, what is only doubtful, and that something was wrong.
_CONTEXT = re.compile(r"^\s|[:,]$|^In file included |: (warning|note): |^collect2: ", re.IGNORECASE)


def reading(command: Sequence[str], sources: Sequence[str], environment: Mapping[str, str]) -> Reading:
    """What ``command`` with its flags reads when it compiles ``sources``. Raises GcBarrierError where it can't."""
    asked = run([*command, "-w", "-v", "-M", "-MT", ".", *sources], environment)
    files = tuple(dict.fromkeys(_prerequisites(asked.stdout)))
    return Reading(files=files, absent=_overshadowing(files, sources, _searched(asked.stderr)))


def run(command: Sequence[str], environment: Mapping[str, str]) -> subprocess.CompletedProcess[str]:
    """Run the compiler. Raises GcBarrierError with its first complaint where it fails."""
    # What it says is read here, so it is to say it in English.
    done = subprocess.run(
        command,
        capture_output=True,
        encoding="utf-8",
        errors="surrogateescape",
        check=False,
        stdin=subprocess.DEVNULL,
        env={**environment, "LC_ALL": "C"},
    )
    if done.returncode < 0:
        why = f"{command[0]} was ended by signal {-done.returncode} ({signal.strsignal(-done.returncode)})"
    else:
        why = _complaint(done.stderr) or f"{command[0]} ended with status {done.returncode} and said nothing"
    if done.returncode:
        raise GcBarrierError(f"the C compiler failed: {why}")
    return done


def _complaint(stderr: str) -> str:
    """What is wrong: the first line that is called an error, else the first that is more than context.

    With what the compiler shows of it, who had included the file, and how many more there are.
    """
    lines = [line for line in stderr.splitlines() if line.strip()]
    telling = [at for at, line in enumerate(lines) if not _CONTEXT.search(line)]
    errors = [at for at in telling if _ERROR.search(lines[at])]
    first = next(iter(errors or telling or range(len(lines))), None)
    if first is None:
        return ""
    said = lines[first]
    if includer := _includer(lines[:first], said):
        said += f" (included from {includer})"
    for line in lines[first + 1 :]:
        if not _EXCERPT.match(line):
            break
        said += f"\n{line}"
    more = len([at for at in errors if at != first and not lines[at].startswith("collect2:")])
    return f"{said}\nand {more} more error{'s' if more > 1 else ''}" if more else said


def _includer(before: Sequence[str], said: str) -> str:
    """The line of the compiled file that has brought the one in which the error is; "" where that is itself."""
    chains = re.findall(r"^In file included from (?:.*,\n +from )*(.*):$", "\n".join(before), re.MULTILINE)
    return chains[-1] if chains and not said.startswith(f"{chains[-1].rpartition(':')[0]}:") else ""


def _prerequisites(rules: str) -> list[str]:
    """What stands right of the colon in make's rules, whose target is a dot."""
    # Make's quoting: a space or tab has a backslash, and backslashes right before it are doubled; # has one, $ is
    # doubled; any other backslash is itself.
    words = re.findall(r"(?:\\[ \t]|\S)+", rules.replace("\\\n", " "))
    plain = (re.sub(r"(\\*)\\([ \t])", lambda found: found[1][::2] + found[2], word) for word in words if word != ".:")
    return [word.replace("\\#", "#").replace("$$", "$") for word in plain]


def _searched(said: str) -> list[str]:
    """The folders that headers are looked for in; those that aren't there come first, for they may be made."""
    missing: list[str] = re.findall(r'^ignoring nonexistent directory "(.*)"$', said, re.MULTILINE)
    lists: list[str] = re.findall(r"search starts here:\n((?: .*\n)+)", said)
    return list(dict.fromkeys([*missing, *(line[1:] for each in lists for line in each.splitlines())]))


def _overshadowing(files: Sequence[str], sources: Sequence[str], searched: Sequence[str]) -> tuple[str, ...]:
    """Where a header would have been found in place of one of ``files``."""
    # A quoted name is first looked for beside the file that includes it.
    apart = [file for file in files if not any(_below(file, folder) for folder in searched)]
    order = list(dict.fromkeys([*(os.path.dirname(file) for file in (*sources, *apart)), *searched]))
    found: dict[str, None] = {}
    for file in files:
        for position, folder in enumerate(order):
            if _below(file, folder):
                found |= dict.fromkeys(os.path.join(earlier, _name(file, folder)) for earlier in order[:position])
    return tuple(dict.fromkeys(_missing(path) for path in found if not os.path.exists(path)))


def _missing(path: str) -> str:
    """The first part of a path that isn't there."""
    parent = os.path.dirname(path)
    return path if not parent or os.path.exists(parent) else _missing(parent)


def _below(file: str, folder: str) -> bool:
    return file.startswith(os.path.join(folder, ""))


def _name(file: str, folder: str) -> str:
    return file[len(os.path.join(folder, "")) :]
