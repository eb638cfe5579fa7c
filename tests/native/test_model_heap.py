"""The real heap against a model of Python objects: any script, the same graph in the end and in between.

``GCBARRIER_MODEL_EXAMPLES=5000 pytest tests/native/test_model_heap.py`` tries so many scripts for each collector
(and other ones each time) instead of the few of the regular run.
"""

import os

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from places import SUPPORT
from puppet import NOBODY, TOP, Op, Operation, encode, fitted
from puppet_stage import Mutant, Stage

from gcbarrier import barriers
from gcbarrier.errors import GcBarrierError
from gcbarrier.model import Config

MIB = 1 << 20
LIVE_BYTES = 300 << 10
"""What scripts keep alive at most: the rest of the mebibyte is for floating garbage and the gaps between objects."""
EXAMPLES = int(os.environ.get("GCBARRIER_MODEL_EXAMPLES", "0"))

COLLECTORS = {
    # The trigger is so small that a cycle follows upon the other; the pauses between operations let it get on.
    "concurrent": ("uffd-wp-async", "mostly-concurrent", {"trigger": 0.001, "every_s": 0.0002}),
    # What is allocated during a cycle is only ever looked at page by page.
    "black": ("cards", "mostly-concurrent", {"trigger": 0.001, "every_s": 0.0002, "black": "always"}),
    "stopped": ("none", "stop-the-world", {"trigger": 0.001, "every_s": 0.0002}),
    "minor": ("uffd-wp-log", "generational", {"trigger": 0.001, "every_s": 0.0002}),
    "aging": ("cards", "generational", {"trigger": 0.001, "every_s": 0.0002, "survivals": 2, "concurrent": False}),
}

Phrase = list[Operation]

# References and raw bytes: at and around the boundaries of small, medium and large (512 bytes, 16 KiB), of pages and
# of blocks (32 KiB).
SIZES = [
    (0, 0), (0, 1), (1, 0), (1, 8), (2, 8), (3, 40), (8, 0), (0, 200), (62, 0), (63, 0), (64, 8), (70, 700), (510, 0),
    (511, 0), (600, 4096), (0, 5000), (1000, 0), (2046, 0), (2047, 0), (2048, 0), (0, 20_000), (4094, 8), (4096, 0),
    (5000, 300), (9000, 0), (100, 70_000), (0, 98_300),
]  # fmt: skip
HANDLE = st.one_of(st.integers(0, 40), st.integers(TOP, TOP + 6))
VALUE = st.one_of(HANDLE, st.just(NOBODY))
SLOT = st.one_of(st.integers(0, 5), st.integers(0, 5000))
SHORT_NAP = st.sampled_from([0, 0, 20, 100, 400, 900])


def operation(op: Op, *numbers: st.SearchStrategy[int]) -> st.SearchStrategy[Phrase]:
    """One operation, its missing numbers 0."""
    padding = [st.just(0)] * (3 - len(numbers))
    return st.tuples(st.just(int(op)), *numbers, *padding).map(lambda made: [made])


def sized(op: Op, count: st.SearchStrategy[int] | None, most_bytes: int) -> st.SearchStrategy[Phrase]:
    """An operation that ends with a size, of those up to ``most_bytes``."""
    small = [size for size in SIZES if 8 * (1 + size[0]) + size[1] <= most_bytes]

    def make(size: tuple[int, int], number: int) -> Phrase:
        return [(int(op), *size, 0) if count is None else (int(op), number, *size)]

    return st.builds(make, st.sampled_from(small), st.just(0) if count is None else count)


def sized_slots(draw: st.DrawFn) -> tuple[tuple[int, int], int]:
    size = draw(st.sampled_from([size for size in SIZES if size[0]]))
    return size, draw(st.one_of(st.integers(0, size[0] - 1), st.just(size[0] - 1)))


@st.composite
def moves(draw: st.DrawFn) -> Phrase:
    """What is behind one slot goes behind another, and for a moment only a handle holds it."""
    giver, taker, slot, other, nap = draw(st.tuples(HANDLE, HANDLE, SLOT, SLOT, SHORT_NAP))
    # `giver` and `taker` are counted without the handle in between.
    above = [handle + 1 if handle >= TOP else handle for handle in (giver, taker)]
    return [
        (Op.LOAD, giver, slot, 0),
        (Op.STORE, above[0], slot, NOBODY),
        (Op.NAP, nap, 0, 0),
        (Op.STORE, above[1], other, TOP),
        (Op.DROP, 1, 0, 0),
    ]


@st.composite
def hides(draw: st.DrawFn) -> Phrase:
    """An old object moves from an old one into a new one. If a cycle has just begun then nothing but a rescan finds it
    there: the new one is black, and the old one has lost it before the marker came."""
    size, slot = sized_slots(draw)
    before, after = draw(st.tuples(SHORT_NAP, SHORT_NAP))
    return [
        (Op.ALLOC, 1, 0, 0),
        (Op.ALLOC, 0, 16, 0),
        (Op.RAW, TOP, 0, draw(st.integers(1, 1 << 40))),
        (Op.STORE, TOP + 1, 0, TOP),
        (Op.DROP, 1, 0, 0),
        (Op.NAP, before, 0, 0),
        (Op.ALLOC, *size, 0),
        (Op.LOAD, TOP + 1, 0, 0),
        (Op.STORE, TOP + 2, 0, NOBODY),
        (Op.STORE, TOP + 1, slot, TOP),
        (Op.DROP, 1, 0, 0),
        (Op.NAP, after, 0, 0),
    ]


PHRASES = st.one_of(
    sized(Op.ALLOC, None, 1 << 20),
    sized(Op.ALLOC, None, 600),
    operation(Op.STORE, HANDLE, SLOT, VALUE),
    operation(Op.STORE, HANDLE, SLOT, HANDLE),
    operation(Op.RAW, HANDLE, SLOT, st.integers(0, (1 << 64) - 1)),
    moves(),
    hides(),
    hides(),
    operation(Op.DROP, st.integers(0, 3)),
    operation(Op.SET, HANDLE, VALUE),
    operation(Op.GLOBAL, st.integers(0, 7), VALUE),
    operation(Op.LOAD, HANDLE, SLOT),
    operation(Op.FETCH, st.integers(0, 7)),
    sized(Op.GARBAGE, st.integers(1, 200), 600),
    sized(Op.GARBAGE, st.integers(1, 6), 1 << 20),
    sized(Op.CHAIN, st.integers(0, 2000), 64),
    operation(Op.FAN, HANDLE, st.integers(0, 63), HANDLE),
    operation(Op.NAP, SHORT_NAP),
    operation(Op.FOLD),
)
# At first a moment for a cycle to begin; in the end cycles and garbage, so that what was lost is written over.
BEGIN: Phrase = [(Op.NAP, 900, 0, 0)]
END: Phrase = [(Op.NAP, 900, 0, 0), (Op.NAP, 900, 0, 0), (Op.GARBAGE, 8000, 2, 16)] * 2
# Lists of hypothesis are short: several to a script.
SCRIPTS = st.lists(st.lists(PHRASES, min_size=8, max_size=40), min_size=4, max_size=12).map(
    lambda parts: BEGIN + [each for part in parts for made in part for each in made] + END
)


@pytest.fixture(autouse=True)
def _importable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", str(SUPPORT))


class Broken(AssertionError):  # noqa: N818 - named for what it is about
    """The heap and the model disagree."""


class Company:
    """Plays scripts and compares; counts what it has seen. After a crash the next script gets a new stage."""

    def __init__(self, name: str, *, verify: bool, mutant: Mutant | None = None) -> None:
        barrier, collector, params = COLLECTORS[name]
        self.config = Config(
            heap="puppet",
            barrier=barrier,
            collector=collector,
            collector_params=params,
            heap_bytes=MIB,
            duration_s=60,
            verify=verify,
        )
        self.mutant = mutant
        self.stage: Stage | None = None
        self.broken = ""
        self.scripts = self.operations = self.cycles = self.too_full = 0

    def compare(self, raw: list[Operation]) -> None:
        script, checksum = fitted(raw, LIVE_BYTES)
        if self.stage is None:
            self.stage = Stage(self.config, self.mutant).__enter__()
        try:
            played = self.stage.play(encode(script))
        except GcBarrierError as crash:
            self.close()
            self.broken = str(crash)
            raise Broken(self.broken) from crash
        self.scripts += 1
        self.operations += len(script)
        self.cycles += played.cycles
        if played.error.startswith("out of memory"):
            self.too_full += 1  # in pieces: the free blocks are not in a row
            return
        if (played.error, played.operations, played.checksum) != ("", len(script), checksum):
            self.broken = f"{len(script)} operations make {checksum:#x}, and what came of them is {played}"
            raise Broken(self.broken)

    def close(self) -> None:
        stage, self.stage = self.stage, None
        if stage is not None:
            stage.__exit__(None, None, None)


def thoroughly(company: Company, examples: int) -> None:
    """Run the property, and end the company's process whatever comes of it."""

    @settings(
        max_examples=EXAMPLES or examples,
        deadline=None,
        derandomize=not EXAMPLES,
        database=None,
        report_multiple_bugs=False,
        suppress_health_check=list(HealthCheck),
        phases=[Phase.generate] if company.mutant else [Phase.generate, Phase.shrink],
    )
    @given(SCRIPTS)
    def any_script(script: list[Operation]) -> None:
        if company.mutant and company.broken:
            raise Broken(company.broken)  # hypothesis tries again what failed, and chance need not break it again
        company.compare(script)

    try:
        any_script()
    finally:
        company.close()


@pytest.mark.parametrize("collector", COLLECTORS)
def test_any_script_leaves_the_graph_of_the_model(collector: str, needs) -> None:
    needs(*barriers.promises_of(COLLECTORS[collector][0]).needs)
    company = Company(collector, verify=True)
    thoroughly(company, 40)
    assert company.operations > 40 * company.scripts
    assert company.cycles > company.scripts
    # Where cycles leave dead objects marked, or blocks are few for so many sizes, more scripts run out of memory.
    assert company.too_full <= company.scripts // 5


MUTANTS = {
    "a large object that lives is freed": (
        "stopped",
        Mutant(
            source="heap/sweep.c",
            old="  bool dead = sweep_small(blocks, block);",
            new="  bool dead = sweep_small(blocks, block) || kind == GCB_HEAD;",
        ),
    ),
    "an object that reaches into a page is not rescanned": (
        "black",
        Mutant(source="mark/rescan.c", old="if (spanning != SIZE_MAX) {", new="if (0) {"),
    ),
    "what is old is not what has survived": (
        "minor",
        Mutant(source="heap/sweep.c", old="  if (blocks->survivals > 0)\n", new="  if (0)\n"),
    ),
}


@pytest.mark.parametrize("wrong", MUTANTS)
def test_a_core_that_is_wrong_is_found_out(wrong: str, needs) -> None:
    """Without the oracle: by what the program sees."""
    collector, mutant = MUTANTS[wrong]
    needs(*barriers.promises_of(COLLECTORS[collector][0]).needs)
    company = Company(collector, verify=False, mutant=mutant)
    with pytest.raises(Broken):
        thoroughly(company, 200)
