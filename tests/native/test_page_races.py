"""Racing stores over barriers by page: nothing is lost, and two barriers that are wrong lose."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from places import CHECKOUT, TESTS
from race import build, run

from gcbarrier import barriers

BARRIERS = CHECKOUT / "gcbarrier/barriers"
NONATOMIC = TESTS / "native/nonatomic.c"

Needs = Callable[..., None]

ATOMIC = ("uffd_wp_async", "uffd_wp_sync", "uffd_wp_sigbus", "mprotect")


@pytest.fixture(scope="module")
def programs(tmp_path_factory: pytest.TempPathFactory) -> Callable[[Path], Path]:
    folder = tmp_path_factory.mktemp("race")
    return lambda source: build(source, folder / f"race-{source.stem}")


@pytest.mark.parametrize("name", ATOMIC)
@pytest.mark.parametrize("mode", ["run", "stop"])
def test_racing_stores_lose_nothing(name: str, mode: str, needs: Needs, programs: Callable[[Path], Path]) -> None:
    promises = barriers.promises_of(name.replace("_", "-"))
    assert promises.atomic
    needs(*promises.needs)
    counted = run(programs(BARRIERS / f"{name}.c"), 1, 16, 2, mode)
    assert counted["lost"] == 0
    assert counted["cycles"] >= 1
    assert counted["stores"] > 1000
    assert counted["reported"] > 1000


def loses(program: Path, mib: int) -> bool:
    """Sooner or later, which a busy machine decides."""
    return any(run(program, 0.5, mib, 2, "run")["lost"] > 0 for _ in range(20))


def test_racing_stores_show_a_barrier_that_reports_and_protects_in_two_steps(
    needs: Needs, programs: Callable[[Path], Path]
) -> None:
    needs("async-uffd-wp")
    program = programs(NONATOMIC)
    assert loses(program, 16)
    assert run(program, 0.5, 16, 2, "stop")["lost"] == 0, "with the writers stopped it is as good as any"


# Bit and protection in the wrong order, in the handler; each text must occur once: what sets the bit, and what opens.
EARLY = {
    "mprotect": (
        "  atomic_fetch_or_explicit(&w->written[page >> 6], UINT64_C(1) << (page & 63), memory_order_release);\n",
        "  if (change(w, page, 1, PROT_READ | PROT_WRITE))\n",
    ),
    "uffd_wp_sigbus": (
        """  uint64_t bit = UINT64_C(1) << (page & 63),
           before = atomic_fetch_or_explicit(&w->written[page >> 6], bit, memory_order_release);
""",
        "  if (change(w, page, 1, UFFDIO_WRITEPROTECT_MODE_DONTWAKE) && errno != ENOENT)\n",
    ),
}


@pytest.mark.parametrize("name", EARLY)
def test_racing_stores_show_a_bit_that_is_set_too_early(name: str, needs: Needs, tmp_path: Path) -> None:
    needs(*barriers.promises_of(name.replace("_", "-")).needs)
    text = (BARRIERS / f"{name}.c").read_text()
    bit, opened = EARLY[name]
    assert text.count(bit) == text.count(opened) == 1
    shutil.copy(BARRIERS / "fault_signals.h", tmp_path)
    broken = tmp_path / "early.c"
    broken.write_text(text.replace(bit, "").replace(opened, bit + opened))
    assert loses(build(broken, tmp_path / "race"), 1)
