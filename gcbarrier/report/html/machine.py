"""What was measured on, and where nothing was: a column for each machine."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from gcbarrier.model import format_bytes
from gcbarrier.report.footer import lacking, left_out
from gcbarrier.report.html.markup import Markup, element
from gcbarrier.report.report import failures
from gcbarrier.report.units import TIMES, format_ns
from gcbarrier.results.run import Run

Facts = Mapping[str, Any]
_UNKNOWN = "not recorded"


def machines(run: Run) -> Markup:
    """A table of what the manifest knows of each machine."""
    every = [run.facts(machine) for machine in run.machines]
    heads = [element("th", ""), *(element("th", machine, scope="col") for machine in run.machines)]
    rows = []
    for label, say in _ROWS:
        said = [say(facts) for facts in every]
        if any(said):
            places = [element("td", words or _UNKNOWN) for words in said]
            rows.append(element("tr", element("th", label, scope="row"), places))
    table = element("table", element("thead", element("tr", heads)), element("tbody", rows), class_="facts")
    return element("div", table, class_="scroll")


def _at(facts: Facts, *path: str) -> Any:
    found: Any = facts
    for key in path:
        found = found.get(key) if isinstance(found, Mapping) else None
    return found


def _text(*path: str) -> Callable[[Facts], str]:
    return lambda facts: "" if (found := _at(facts, *path)) is None else str(found)


def _kernel(facts: Facts) -> str:
    preemption = ("NONE", "VOLUNTARY", "LAZY", "RT")
    chosen = [each.lower() for each in preemption if _at(facts, "kernel", "config", f"CONFIG_PREEMPT_{each}") == "y"]
    chosen += ["full"] if _at(facts, "kernel", "config", "CONFIG_PREEMPT") == "y" else []
    release = _text("kernel", "release")(facts)
    return release + (f", preemption {' or '.join(chosen)}" if release and chosen else "")


def _processor(facts: Facts) -> str:
    affinity, model = _at(facts, "cpu", "affinity"), _text("cpu", "model")(facts)
    count = f"{len(affinity)} {TIMES} " if isinstance(affinity, list) else ""
    governor = _text("cpu", "governor")(facts)
    return f"{count}{model}" + (f", governor {governor}" if governor not in ("", "unknown") else "")


def _place(facts: Facts) -> str:
    hypervisor = _text("hypervisor")(facts)
    return _text("accelerator")(facts) + (f", hypervisor {hypervisor}" if hypervisor not in ("", "none") else "")


def _memory(facts: Facts) -> str:
    total, swap = _at(facts, "memory", "total"), _at(facts, "memory", "swap_total")
    if not isinstance(total, int):
        return ""
    return format_bytes(total) + (f", swap {format_bytes(swap)}" if isinstance(swap, int) and swap else "")


def _huge(facts: Facts) -> str:
    enabled, shared = _text("thp", "enabled")(facts), _text("thp", "shmem_enabled")(facts)
    return f"{enabled}, for shmem {shared}" if enabled else ""


def _load(facts: Facts) -> str:
    loads = _at(facts, "load_average")
    fit = isinstance(loads, list) and all(isinstance(each, int | float) for each in loads)
    return ", ".join(f"{each:.2f}" for each in loads) if fit else ""


def _clock(facts: Facts) -> str:
    reading = _at(facts, "clock", "read_ns")
    source = _text("cpu", "clocksource")(facts)
    return f"{source}, a reading takes {format_ns(reading)}" if isinstance(reading, int | float) else source


def version(facts: Facts) -> str:
    """Of gcbarrier, with the revision and whether it was changed since."""
    number, revision = _text("gcbarrier", "version")(facts), _text("gcbarrier", "revision")(facts)
    changed = ", with changes that are in no revision" if _at(facts, "gcbarrier", "dirty") is True else ""
    return number + (f" ({revision[:12]}{changed})" if revision else "")


def _packages(facts: Facts) -> str:
    found = _at(facts, "packages")
    said = [f"{name} {number}" for name, number in found.items()] if isinstance(found, Mapping) else []
    python = _text("python", "version")(facts)
    return ", ".join([f"Python {python}"] * bool(python) + said)


_ROWS: Sequence[tuple[str, Callable[[Facts], str]]] = (
    ("Kernel", _kernel),
    ("Processor", _processor),
    ("Runs", _place),
    ("Memory", _memory),
    ("Huge pages", _huge),
    ("Load before", _load),
    ("Clock", _clock),
    ("Compiler", _text("compiler", "version")),
    ("gcbarrier", version),
    ("With", _packages),
    ("When", _text("date")),
)


def missing(run: Run) -> Iterator[tuple[str, str]]:
    """What is not there and should be told: its kind, and a line for each.

    The lines of a machine read as those below a table do; what a page says here it says there no more.
    """
    for machine in run.machines:
        yield from (("failed", line) for line in failures(run, machine))
        yield from (("left", f"{machine}: {line}") for line in (*left_out(run, machine), *lacking(run, machine)))


def said_elsewhere(run: Run) -> list[str]:
    """The lines below an experiment's tables that :func:`missing` has as well."""
    found = []
    for machine in run.machines:
        found += [*failures(run, machine), *left_out(run, machine), *lacking(run, machine)]
    return found


__all__ = ["machines", "missing", "said_elsewhere", "version"]
