"""The C core under a program made to break it, and broken cores and barriers that the program must expose."""

import signal
import subprocess
from collections.abc import Callable
from functools import cache
from pathlib import Path

import attrs
import pytest
from pairwise import combined
from places import CHECKOUT, TESTS

from gcbarrier import barriers
from gcbarrier.plugins import params as parameters

NATIVE = CHECKOUT / "gcbarrier/native"
BARRIERS = CHECKOUT / "gcbarrier/barriers"
STRESS = TESTS / "native/stress.c"
SANITIZERS = {
    "plain": ("-O2",),
    "asan": ("-O1", "-g1", "-fsanitize=address,undefined", "-fno-sanitize-recover=all"),
    # One view: two would be two addresses, between which ThreadSanitizer sees no race.
    "tsan": ("-O1", "-g1", "-fsanitize=thread", "-DGCB_ONE_VIEW=1"),
}
POLICIES = {
    "none": "stop",
    "uffd_wp_async": "concurrent",
    "uffd_wp_pagemap": "rearm",
    "uffd_wp_log": "helped",
    "uffd_wp_sigbus": "concurrent",
    "cards": "concurrent",
    "cards_conditional": "rearm",
    "log": "concurrent",
    "satb": "snapshot",
}
PAGE_TABLES = ("async-uffd-wp", "pagemap-scan")
MUTATORS = 3

Needs = Callable[..., None]


class Workshop:
    """Compiles each source once for each sanitizer; links them to stress programs."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.object = cache(self._object)

    def _object(self, source: Path, sanitizer: str, options: tuple[str, ...] = ()) -> Path:
        target = self.folder / f"{sanitizer}-{source.stem}-{len(list(self.folder.iterdir()))}.o"
        _gcc(*SANITIZERS[sanitizer], *options, "-c", source, "-o", target)
        return target

    def program(
        self,
        barrier: Path,
        sanitizer: str = "plain",
        mutant: dict[Path, Path] | None = None,
        *,
        stressed: bool = False,
    ) -> Path:
        """With ``mutant``, some sources are replaced by others; ``stressed``: for ``_run(every=...)``."""
        options = dict.fromkeys((STRESS, barrier), _options(barrier))
        options[STRESS] += (f"-DGCB_STRESS={int(stressed)}",)
        objects = [
            self.object((mutant or {}).get(source, source), sanitizer, options.get(source, ()))
            for source in (*sorted(NATIVE.rglob("*.c")), STRESS, barrier)
        ]
        target = self.folder / f"stress-{len(list(self.folder.iterdir()))}"
        _gcc(*SANITIZERS[sanitizer], *objects, "-o", target, "-pthread", "-ldl")
        return target


def _options(barrier: Path) -> tuple[str, ...]:
    """What a software barrier's parameters and inline store ask for."""
    if barrier.parent != BARRIERS:
        return ()
    store = barrier.with_suffix(".h")
    checked = {"check": True} if barrier.stem == "uffd_wp_log" else {}
    defaults = parameters.c_defines(
        parameters.make(barriers.params_of(barrier.stem.replace("_", "-")), checked, barrier.stem)
    )
    if not store.is_file():
        return (*defaults, f"-I{store.parent}")
    return (*defaults, f'-DGCB_STORE_HEADER="{store.name}"', f"-I{store.parent}")


def _gcc(*arguments: str | Path) -> None:
    common = (
        "gcc",
        "-D_GNU_SOURCE",
        "-std=gnu11",
        "-Wall",
        "-Wextra",
        "-DGCB_VERIFY=1",
        f"-I{NATIVE}",
        f"-I{NATIVE}/include",
    )
    done = subprocess.run([*common, *map(str, arguments)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@pytest.fixture(scope="module")
def workshop(tmp_path_factory: pytest.TempPathFactory) -> Workshop:
    return Workshop(tmp_path_factory.mktemp("stress"))


def _run(
    program: Path,
    policy: str,
    *,
    seconds: float = 1.5,
    mib: int = 32,
    markers: int = 1,
    mutators: int = MUTATORS,
    epoch: int = 0,
    every: int = 0,
    seed: int = 1,
) -> subprocess.CompletedProcess[str]:
    numbers = (seconds, mib, mutators, seed, markers, epoch, every)
    command = [str(program), policy, *map(str, numbers)]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)


@pytest.mark.parametrize("sanitizer", SANITIZERS)
@pytest.mark.parametrize("barrier", POLICIES)
def test_nothing_is_lost(needs: Needs, workshop: Workshop, barrier: str, sanitizer: str) -> None:
    promises = barriers.promises_of(barrier.replace("_", "-"))
    needs(*promises.needs)
    program = workshop.program(BARRIERS / f"{barrier}.c", sanitizer)
    run = _run(program, POLICIES[barrier], seconds=3 if sanitizer == "tsan" else 2)
    assert (run.returncode, run.stderr) == (0, ""), run.stdout + run.stderr
    words = run.stdout.split()
    numbers = {name: int(value) for name, value in zip(words[::2], words[1::2], strict=True)}
    assert numbers["cycles"] >= 2
    assert numbers["checked"] > 5_000
    assert numbers["lost"] == 0
    if promises.tracks and not promises.snapshot:
        # A signal for each first store: a busy machine comes to few.
        assert numbers["written"] > (10 if barrier == "uffd_wp_sigbus" else 1000)
    if not promises.overreports:
        # Only stores under way while arming begins may be called false: a TLAB (2 or 3 pages) for each mutator.
        assert numbers["false"] <= 3 * MUTATORS * numbers["cycles"]


STICKY = [barrier for barrier in POLICIES if barrier not in ("none", "satb", "uffd_wp_sigbus")]
"""Barriers over which marks may stick; one that tells pages as another does is left out."""


def _sticky_policy(barrier: str, survivals: int) -> str:
    name = "minor" if survivals == 1 else "aging"
    return name if barriers.promises_of(barrier.replace("_", "-")).atomic else f"{name}-rearm"


@combined(barrier=STICKY, sanitizer=SANITIZERS, survivals=[1, 2], markers=[1, 3])
def test_nothing_is_lost_where_marks_stick(
    needs: Needs, workshop: Workshop, barrier: str, sanitizer: str, survivals: int, markers: int
) -> None:
    needs(*barriers.promises_of(barrier.replace("_", "-")).needs)
    program = workshop.program(BARRIERS / f"{barrier}.c", sanitizer)
    run = _run(program, _sticky_policy(barrier, survivals), seconds=5 if sanitizer == "tsan" else 2, markers=markers)
    assert (run.returncode, run.stderr) == (0, ""), run.stdout + run.stderr
    words = run.stdout.split()
    numbers = {name: int(value) for name, value in zip(words[::2], words[1::2], strict=True)}
    assert numbers["lost"] == 0
    assert numbers["minors"] >= 2


@combined(barrier=["none", "uffd_wp_async", "satb"], sanitizer=SANITIZERS, markers=[2, 3])
def test_nothing_is_lost_by_several_markers(
    needs: Needs, workshop: Workshop, barrier: str, sanitizer: str, markers: int
) -> None:
    promises = barriers.promises_of(barrier.replace("_", "-"))
    needs(*promises.needs)
    program = workshop.program(BARRIERS / f"{barrier}.c", sanitizer)
    run = _run(program, POLICIES[barrier], seconds=3 if sanitizer == "tsan" else 1.5, markers=markers)
    assert (run.returncode, run.stderr) == (0, ""), run.stdout + run.stderr
    words = run.stdout.split()
    numbers = {name: int(value) for name, value in zip(words[::2], words[1::2], strict=True)}
    assert numbers["lost"] == 0
    # The others took part.
    assert numbers["helped"] > 1000


@pytest.mark.parametrize("sanitizer", SANITIZERS)
@pytest.mark.parametrize("barrier", ["uffd_wp_log", "cards"])
def test_nothing_is_lost_where_a_stopped_mutator_helps(
    needs: Needs, workshop: Workshop, barrier: str, sanitizer: str
) -> None:
    """One mutator, which spins while it is stopped where there are two processors."""
    needs(*barriers.promises_of(barrier.replace("_", "-")).needs)
    run = _run(workshop.program(BARRIERS / f"{barrier}.c", sanitizer), "helped", mutators=1)
    assert (run.returncode, run.stderr) == (0, ""), run.stdout + run.stderr
    assert " lost 0 " in run.stdout


@combined(barrier=["none", "uffd_wp_async", "satb"], sanitizer=SANITIZERS, markers=[1, 3])
def test_nothing_that_lives_is_poisoned(
    needs: Needs, workshop: Workshop, barrier: str, sanitizer: str, markers: int
) -> None:
    needs(*barriers.promises_of(barrier.replace("_", "-")).needs)
    program = workshop.program(BARRIERS / f"{barrier}.c", sanitizer, stressed=True)
    # Far enough apart that the tables are filled in time.
    seconds, every = (4, 3000) if sanitizer == "tsan" else (1.5, 300)
    run = _run(program, POLICIES[barrier], seconds=seconds, markers=markers, every=every)
    assert (run.returncode, run.stderr) == (0, ""), run.stdout + run.stderr
    words = run.stdout.split()
    numbers = {name: int(value) for name, value in zip(words[::2], words[1::2], strict=True)}
    assert numbers["lost"] == 0
    assert numbers["operations"] > 0


@pytest.mark.parametrize("policy", ["concurrent", "minor"])
def test_large_objects_find_room_under_stress(needs: Needs, workshop: Workshop, policy: str) -> None:
    """Of a heap of which a tenth lives: cycles that are many do not leave an object in each of its blocks."""
    needs(*PAGE_TABLES)
    program = workshop.program(BARRIERS / "uffd_wp_async.c", stressed=True)
    run = _run(program, policy, mib=12, mutators=1, every=50)
    assert (run.returncode, run.stderr) == (0, ""), run.stdout + run.stderr


def test_a_heap_that_is_always_full(needs: Needs, workshop: Workshop) -> None:
    needs(*PAGE_TABLES)
    run = _run(workshop.program(BARRIERS / "uffd_wp_async.c"), "concurrent", mib=9)
    assert run.returncode == 0, run.stdout + run.stderr


@pytest.mark.parametrize("sanitizer", SANITIZERS)
@pytest.mark.parametrize("barrier", ["none", "uffd_wp_async"])
def test_epochs_come_round(needs: Needs, workshop: Workshop, barrier: str, sanitizer: str) -> None:
    """A block's state has 29 bits for the cycle in which it was swept."""
    needs(*barriers.promises_of(barrier.replace("_", "-")).needs)
    program = workshop.program(BARRIERS / f"{barrier}.c", sanitizer)
    run = _run(program, POLICIES[barrier], seconds=3 if sanitizer == "tsan" else 1.5, epoch=(1 << 29) - 1)
    assert (run.returncode, run.stderr) == (0, ""), run.stdout + run.stderr
    assert int(run.stdout.split()[1]) >= 2


def test_a_heap_that_is_too_small_is_an_error(workshop: Workshop) -> None:
    run = _run(workshop.program(BARRIERS / "none.c", "asan"), "stop", mib=2)
    assert (run.returncode, run.stderr) == (1, "")
    assert "out of memory: the heap of 2097152 bytes" in run.stdout


def test_a_lossy_barrier_is_caught(needs: Needs, workshop: Workshop) -> None:
    needs(*PAGE_TABLES)
    run = _run(workshop.program(TESTS / "native/lossy.c"), "concurrent", seconds=10)
    assert run.returncode == 1
    assert run.stdout.startswith("FAILED cycle ")
    assert "lost object at offset" in run.stdout
    assert "(page " in run.stdout
    assert "checksum" not in run.stdout


@attrs.frozen
class Mutant:
    """One change that makes the core wrong; the text must occur once."""

    file: Path
    text: str
    replacement: str
    message: str = "lost object"
    barrier: str = "uffd_wp_async"
    policy: str = "concurrent"
    markers: int = 1
    mutators: int = MUTATORS
    sanitizer: str = "plain"
    every: int = 0


LOST = ""
"""Seen as a lost object, or as a page that nobody looked at."""
MUTANTS = {
    "black before armed": Mutant(
        NATIVE / "cycle/cycle.c",
        "  gcb_oracle_arming(cycle);\n",
        "  gcb_oracle_arming(cycle);\n  gcb_allocate_black(cycle->world, true);\n",
        barrier="mprotect",
        policy="rearm",
    ),
    "rescan without the object that spans into the page": Mutant(
        NATIVE / "mark/rescan.c", "if (spanning != SIZE_MAX)", "if (0)"
    ),
    "rescan without a large object's later pages": Mutant(
        NATIVE / "mark/rescan.c", "if (kind == GCB_RESERVED)", "if (kind == GCB_RESERVED || kind == GCB_TAIL)"
    ),
    "what helpers have found is dropped": Mutant(
        *(NATIVE / "mark/rescan.c", "    objects += take_over(marking, &rescan->helpers[i]);"),
        "    rescan->helpers[i].count = 0;",
        policy="helped",
        mutators=1,
    ),
    "the rescan is over while somebody still helps": Mutant(
        NATIVE / "mark/rescan.c",
        "for (uint32_t turn = 1; atomic_load_explicit(&rescan->helping, memory_order_seq_cst); turn++)",
        "for (uint32_t turn = 1; false; turn++)",
        "",
        policy="helped",
        sanitizer="tsan",
    ),
    "what is handed out during a collect is forgotten": Mutant(
        NATIVE / "mark/rescan.c",
        "  for (size_t count; (count = put(marking)) > 0; empty(rescan)) {",
        "  empty(rescan);\n  for (size_t count; (count = put(marking)) > 0; empty(rescan)) {",
        barrier="uffd_wp_log",
        policy="helped",
    ),
    "granules are handed out without a release": Mutant(
        NATIVE / "mark/rescan.c",
        "  atomic_store_explicit(&rescan->count, count, memory_order_release);",
        "  atomic_store_explicit(&rescan->count, count, memory_order_relaxed);",
        "",
        barrier="uffd_wp_log",
        policy="helped",
        mutators=1,
        sanitizer="tsan",
    ),
    "remark without a rescan": Mutant(
        NATIVE / "cycle/cycle.c", "  if (!failed) {\n    (void)rescan(cycle);\n", "  if (!failed) {\n", policy="helped"
    ),
    "remark without roots": Mutant(
        NATIVE / "cycle/cycle.c",
        "  mark_roots(cycle);\n  int failed = collect(",
        "  int failed = collect(",
    ),
    "a block that is claimed does not count as young": Mutant(
        NATIVE / "heap/alloc.c", "  gcb_open_block(blocks, block);", "  (void)blocks;", LOST
    ),
    "a block that is allocated into is looked at once": Mutant(
        NATIVE / "mark/young.c",
        "        gcb_open_block(blocks, block);\n      add",
        "        (void)0;\n      add",
        LOST,
    ),
    "what is visited on a page that isn't armed is not pending": Mutant(
        NATIVE / "mark/young.c", "      gcb_dirty_add(&watch->pending, page, 1);", "      (void)watch;", LOST
    ),
    "what was written between two cycles is forgotten": Mutant(
        NATIVE / "mark/young.c",
        "  gcb_dirty_join(&watch->pending, &watch->dirty);\n  gcb_dirty_clear",
        "  gcb_dirty_clear",
        LOST,
    ),
    "what is young is not laid open in the remark": Mutant(
        NATIVE / "mark/young.c", "  gcb_dirty_join(&watch->dirty, &watch->pending);", "", LOST
    ),
    "what is not armed again in the remark is forgotten": Mutant(
        NATIVE / "mark/young.c",
        "  gcb_dirty_join(&watch->pending, &watch->dirty);\n  gcb_dirty_join",
        "  gcb_dirty_join",
        LOST,
    ),
    "a full collection marks without a log": Mutant(
        NATIVE / "cycle/cycle.c", "  cycle->marking->unlogged = true;", "", LOST
    ),
    "a page into which an object extends is not armed": Mutant(
        NATIVE / "mark/young.c", "  return start + gcb_object_bytes", "  return false && start + gcb_object_bytes", LOST
    ),
    "pages with live objects are opened": Mutant(
        NATIVE / "mark/young.c", "      if (page_lives(&live, page)) {", "      if (false) {", LOST
    ),
    "pages that are to be armed are not open": Mutant(
        BARRIERS / "uffd_wp_log.c",
        "  gcb_dirty_add(&f->open, first, granules);",
        "  (void)first, (void)granules;",
        LOST,
        barrier="uffd_wp_log",
    ),
    "globals are no roots": Mutant(
        NATIVE / "cycle/cycle.c",
        "  pushed->count += gcb_push_roots(pushed->marking, run, count);",
        "  if (count != GCB_GLOBALS)\n    pushed->count += gcb_push_roots(pushed->marking, run, count);",
        "reachable from a root, is not marked",
        "none",
        "stop",
    ),
    "re-armed whole, in a second step, while mutators run": Mutant(
        BARRIERS / "uffd_wp_pagemap.c",
        "  if (!rearm)\n    return 0;\n",
        "  return rearm ? gcb_uffd_protect(barrier, 0, dirty->granules) : 0;\n",
        barrier="uffd_wp_pagemap",
    ),
    "the sweep forgets what was allocated black": Mutant(
        NATIVE / "heap/sweep.c",
        "atomic_store_explicit(&blocks->live[word], live, memory_order_relaxed);",
        "atomic_store_explicit(&blocks->live[word], live & ~fresh, memory_order_relaxed);",
        "object",
    ),
    "a marker rests with parcels that nobody knows": Mutant(
        NATIVE / "mark/crew.c",
        "    gcb_publish_open(marker); /* before it rests: nobody else can reach what it holds */\n",
        "",
        markers=3,
    ),
    "what is left when all markers rest is forgotten": Mutant(
        NATIVE / "mark/regions.c",
        "    gcb_look_up_published(&marking->marker, which, marking->marker.capacity);",
        "    (void)which;",
        markers=3,
    ),
    "the phase is over when one marker says so": Mutant(
        NATIVE / "mark/crew.c", "  } while (rest(marking));", "  } while (false);", "", markers=3, sanitizer="tsan"
    ),
    "two markers own one region": Mutant(
        NATIVE / "mark/regions.c",
        "  return !atomic_load_explicit(&region->owned, memory_order_relaxed) &&",
        "  return true || !atomic_load_explicit(&region->owned, memory_order_relaxed) ||",
        "",
        markers=3,
        sanitizer="tsan",
    ),
    "a region is handed over without a release": Mutant(
        NATIVE / "mark/regions.c",
        "  atomic_store_explicit(&region->owned, 0, memory_order_release);",
        "  atomic_store_explicit(&region->owned, 0, memory_order_relaxed);",
        "",
        markers=3,
        sanitizer="tsan",
    ),
    "a block that somebody has is claimed again": Mutant(
        NATIVE / "heap/alloc.c",
        "  if (!room || state >> 3 != epoch)",
        "  (void)room;\n  if (state >> 3 != epoch)",
        "",
        "none",
        "stop",
    ),
    "the remembered set is forgotten": Mutant(
        NATIVE / "cycle/minor.c",
        "  seen->objects = gcb_rescan_remembered(cycle->marking);\n",
        "  gcb_dirty_clear(&cycle->watch->dirty);\n",
        policy="minor",
    ),
    "what is written between two cycles is forgotten": Mutant(
        NATIVE / "cycle/minor.c",
        "  gcb_blocks_keep_marks(cycle->blocks);\n",
        "  gcb_blocks_keep_marks(cycle->blocks);\n  (void)cycle->watch->ops->arm(&cycle->watch->barrier);\n",
        barrier="uffd_wp_log",
        policy="minor",
    ),
    "the last collect of a cycle lets the barrier go": Mutant(
        NATIVE / "cycle/cycle.c",
        "collect(cycle, gcb_stays_armed(cycle)) < 0",
        "collect(cycle, false) < 0",
        barrier="log",
        policy="minor",
    ),
    "nothing is carried to the next cycle, where what was black is young": Mutant(
        NATIVE / "cycle/minor.c", "  if (!cycle->sticky.carries)\n    return;", "  return;", policy="minor"
    ),
    "nothing is carried to the next cycle, where who has lived through one is young": Mutant(
        NATIVE / "cycle/minor.c", "cycle->blocks->survivals > 1 ? UINT64_MAX : 0", "0", barrier="cards", policy="aging"
    ),
    "black before the remembered set is taken": Mutant(
        NATIVE / "cycle/minor.c",
        "  bool known = cycle->watch->armed ||",
        "  gcb_allocate_black(cycle->world, true);\n  bool known = cycle->watch->armed ||",
        barrier="cards",
        policy="minor",
    ),
    "a stopped cycle arms no page on which somebody allocates": Mutant(
        NATIVE / "cycle/minor.c", "  cycle->marking->arms_all = true;\n", "", LOST, policy="minor"
    ),
    "what is written while the remembered set is taken is forgotten": Mutant(
        NATIVE / "mark/young.c",
        "  return found ? watch->ops->collect(&watch->barrier, true, found) : watch",
        "  return watch",
        LOST,
        policy="minor",
    ),
    "what a cycle leaves pending is not remembered": Mutant(
        NATIVE / "cycle/minor.c",
        "  gcb_blocks_keep_marks(cycle->blocks);\n",
        "  gcb_blocks_keep_marks(cycle->blocks);\n  if (cycle->watch->pending.words)\n"
        "    gcb_dirty_clear(&cycle->watch->pending);\n",
        LOST,
        policy="minor",
    ),
    "a full cycle arms nothing at its end": Mutant(
        NATIVE / "cycle/cycle.c",
        "  if (!failed)\n    failed = gcb_sticky_rearm(cycle);\n",
        "",
        LOST,
        barrier="cards",
        policy="minor",
    ),
    "old is who was live when the last cycle began": Mutant(
        NATIVE / "heap/sweep.c", "  if (blocks->survivals > 0)\n", "  if (0)\n", "object", policy="minor"
    ),
    "the marks of a full cycle are kept": Mutant(
        NATIVE / "cycle/minor.c",
        "  gcb_blocks_unmark(cycle->blocks);\n  gcb_sticky_forget(cycle);",
        "  gcb_sticky_forget(cycle);",
        barrier="cards",
        policy="minor",
    ),
    "poison is written through the mutators' view": Mutant(
        NATIVE / "heap/poison.c",
        "(void *)(blocks->alias + (granule",
        "(void *)(blocks->tracked + (granule",
        "written pages are not in the fault log",
        barrier="uffd_wp_log",
        every=300,
    ),
    "what was allocated black is poisoned": Mutant(
        NATIVE / "heap/sweep.c",
        "  bool dead = sweep_small(blocks, block);\n  gcb_poison_block(blocks, block, kind);\n",
        "  gcb_poison_block(blocks, block, kind);\n  bool dead = sweep_small(blocks, block);\n",
        "that a collection has freed",
        every=300,
    ),
    "TLABs outlive the flip": Mutant(
        NATIVE / "heap/blocks.c", "  retire_tlabs(blocks);\n", "", "object", "none", "stop"
    ),
}


@pytest.mark.parametrize("name", MUTANTS)
def test_a_broken_core_is_caught(needs: Needs, workshop: Workshop, tmp_path: Path, name: str) -> None:
    mutant = MUTANTS[name]
    if mutant.barrier != "none":
        needs(*PAGE_TABLES)
    text = mutant.file.read_text()
    assert text.count(mutant.text) == 1, f"{mutant.file} no longer holds once: {mutant.text}"
    broken = tmp_path / mutant.file.name
    broken.write_text(text.replace(mutant.text, mutant.replacement))
    program = workshop.program(
        *(BARRIERS / f"{mutant.barrier}.c", mutant.sanitizer), mutant={mutant.file: broken}, stressed=mutant.every > 0
    )
    # Some mistakes are met in the first moments or hardly ever: then another program may meet them.
    for seed in (1, 2, 3):
        run = _run(
            program,
            mutant.policy,
            seconds=5 if mutant.sanitizer == "tsan" else 10,
            markers=mutant.markers,
            mutators=mutant.mutators,
            every=mutant.every,
            seed=seed,
        )
        if run.returncode:
            break
    print(run.stdout)
    if mutant.sanitizer == "tsan" and "ThreadSanitizer: data race" in run.stderr:
        return
    if run.returncode == -signal.SIGSEGV:
        # It followed what it took for an object in memory that was used again: caught as well, if less politely.
        return
    assert run.returncode == 1, run.stdout + run.stderr
    assert mutant.message in run.stdout
