"""Coverage-guided fuzzing of the readers, with Atheris (``pip install -e '.[fuzz]'``); not a part of the test suite.

::

    python tests/fuzz/explore.py snapshot                       # for a minute
    python tests/fuzz/explore.py run -max_total_time=600        # libFuzzer's options follow the target's name

What it finds is written to ``crash-*`` in the working directory. ``-minimize_crash=1 -runs=10000 crash-x`` makes it
smaller; then it belongs into ``regressions.py``, and the test suite replays it for ever.
"""

import random
import sys
import tempfile
from pathlib import Path

import atheris
from mutations import mutate

with atheris.instrument_imports(include=["gcbarrier", "zipfile", "numpy.lib", "json", "cattrs"]):
    import targets

from regressions import REGRESSIONS

BOUNDS = ("-timeout=5", "-rss_limit_mb=1024", "-max_len=8192", "-print_final_stats=1")


def damaged(data: bytes, most: int, seed: int) -> bytes:
    """libFuzzer's own mutations know nothing of numbers and pieces; ours know nothing of coverage. Half of each."""
    chance = random.Random(seed)
    return atheris.Mutate(data, most) if chance.random() < 0.5 else mutate(data, chance)[:most]


def main(name: str, options: list[str]) -> None:
    """Fuzz one target until libFuzzer has had enough."""
    target = targets.TARGETS[name]
    if not any(option.startswith(("-max_total_time", "-runs")) for option in options):
        options = ["-max_total_time=60", *options]
    with tempfile.TemporaryDirectory(prefix=f"fuzz-{name}-") as place:
        scratch, found, words = (Path(place) / part for part in ("scratch", "found", "words"))
        scratch.mkdir()
        found.mkdir()
        for number, seed in enumerate([*target.seeds(), *REGRESSIONS[name].values()]):
            (found / f"seed-{number}").write_bytes(seed)
        escaped = ["".join(f"\\x{byte:02x}" for byte in word.encode()) for word in ("gcbarrier", *target.words)]
        words.write_text("".join(f'"{word}"\n' for word in escaped))

        def once(data: bytes) -> None:
            targets.check(target, data, scratch)

        given = [option for option in options if not option.startswith("-")]
        atheris.Setup(
            [sys.argv[0], *BOUNDS, f"-dict={words}", *options, *([] if given else [str(found)])],
            once,
            custom_mutator=damaged,
        )
        atheris.Fuzz()


if __name__ == "__main__":
    if len(sys.argv) < 2 or sys.argv[1] not in targets.TARGETS:
        sys.exit(f"which reader? {', '.join(targets.TARGETS)}")
    main(sys.argv[1], sys.argv[2:])
