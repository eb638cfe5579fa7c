"""``gcbarrier minheap``: the smallest heap that a program runs in."""

import argparse
import json
from pathlib import Path

from gcbarrier.campaign import minheap, settings
from gcbarrier.campaign.matching import partner
from gcbarrier.campaign.plans import Plan
from gcbarrier.commands._progress import RunProgress
from gcbarrier.errors import GcBarrierError
from gcbarrier.model import Config, converter, format_bytes
from gcbarrier.plugins import discovery

HELP = "find the smallest heap, in whole MiB, that a heap's program runs in"

_EPILOG = """what can be set:
heap_bytes=256MiB              the heap that automatic sizes are made for, and the largest that is tried
operations=N                   of each mutator; else what a first run of duration_s completes
barrier=x, collector=y         one of each; else none under stop-the-world, which needs the least
HEAP.NAME=VALUE                a parameter of the heap, the barrier or the collector
mutators=, memory=, seed=, machine=
invocations=3                  so many must end well in a heap
"""


def prepare_parser(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of ``minheap``."""
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.epilog = _EPILOG
    parser.add_argument("heap", metavar="HEAP", help="`gcbarrier list heaps` shows all")
    parser.add_argument("--json", action="store_true", help="print it with every heap that was tried, as JSON")
    parser.add_argument("--out", type=Path, metavar="FILE", help="keep that JSON in a new file as well")
    parser.add_argument(
        "--set", action="append", default=[], metavar="KEY=VALUE", dest="pairs", help="change the program (repeatable)"
    )


def run(args: argparse.Namespace) -> int:
    """Find it, say it."""
    discovery.find("heaps", args.heap)
    if args.out is not None:
        _require_new(args.out)
    chosen = settings.read(args.pairs)
    config = _config(args.heap, chosen)
    attempts, machine = chosen.invocations or 1, chosen.machine or "native"
    with RunProgress() as progress:
        found = minheap.smallest(
            config, machine=machine, seed=chosen.seed or 0, attempts=attempts, watch=progress.watch
        )
    told = json.dumps(converter.unstructure(found), indent=2)
    if args.out is not None:
        _require_new(args.out)
        args.out.write_text(told + "\n", encoding="utf-8")
    print(told if args.json else _words(found))
    return 0


def _require_new(path: Path) -> None:
    if path.exists():
        raise GcBarrierError(f"{path} is there already: name a new file")
    if not path.parent.is_dir():
        raise GcBarrierError(f"{path.parent} is no folder: name a file in one")


def _config(heap: str, chosen: settings.Settings) -> Config:
    """The one configuration that was asked for. Raises GcBarrierError where it can't be run."""
    if "heap" in chosen.choices or chosen.times:
        raise GcBarrierError("minheap takes its heap by name, and looks for its size: leave heap= out")
    for key in chosen.grid:
        raise GcBarrierError(f"minheap looks for one program's, and {key} has several values: set one")
    for kind, names in chosen.choices.items():
        if len(names) > 1:
            raise GcBarrierError(f"minheap looks under one {kind}, not under {len(names)}: name one")
    (barrier,) = chosen.choices.get("barrier", ("none",))
    (collector,) = chosen.choices.get("collector", (partner(barrier),))
    plain = Plan(configs=(Config(heap=heap, barrier=barrier, collector=collector),))
    (config,) = settings.Settings(fields=chosen.fields, params=chosen.params).apply(plain).configs
    return config


def _words(found: minheap.Minheap) -> str:
    small, config = found.too_small, found.config
    said = f"{config.heap} runs in {format_bytes(found.minheap_bytes)}"
    if small is not None:
        said += f", and not in {format_bytes(small.heap_bytes)}: {small.error}"
    pair = f"{config.collector} over {config.barrier}"
    made = f"made for {format_bytes(config.heap_bytes)}, {found.operations:,} operations"
    mutators = f" of each of {config.mutators} mutators" if config.mutators > 1 else ""
    params = "".join(f", {name}={value}" for name, value in config.heap_params.items())
    return f"{said}\n({pair}; {made}{mutators}{params}; {len(found.trials)} heaps tried)"
