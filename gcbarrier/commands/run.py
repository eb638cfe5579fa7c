"""``gcbarrier run``: an experiment from its plan to its figures."""

import argparse
import sys
from pathlib import Path
from typing import Any

from gcbarrier.campaign import experiments as campaign
from gcbarrier.campaign import settings, stressing, sweeps, until
from gcbarrier.campaign.request import Request
from gcbarrier.campaign.watching import Watch
from gcbarrier.commands._plan import show_plan
from gcbarrier.commands._progress import RunProgress
from gcbarrier.commands._report import present
from gcbarrier.core import build
from gcbarrier.errors import GcBarrierError
from gcbarrier.model import evolve
from gcbarrier.plugins import discovery
from gcbarrier.results.run import Run

HELP = "run an experiment and draw its figures"


def prepare_parser(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of ``run``."""
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    shown = (sweeps.__doc__ or "").partition("::\n\n")[2]
    parser.epilog = f"what can be set:\n{(settings.__doc__ or '').partition(chr(10) * 2)[2]}\na sweep file:\n\n{shown}"
    parser.add_argument("experiment", metavar="EXPERIMENT", nargs="?", help="`gcbarrier list experiments` shows all")
    parser.add_argument("--out", type=Path, metavar="DIR", help="the run directory; default: runs/EXPERIMENT-TIME")
    parser.add_argument("--quick", action="store_true", help="smaller and shorter: for a first look, not for a paper")
    parser.add_argument("--verify", action="store_true", help="check every cycle against the truth (slower)")
    parser.add_argument(
        "--set", action="append", default=[], metavar="KEY=VALUE", dest="pairs", help="change the plan (repeatable)"
    )
    parser.add_argument("--sweep", type=Path, metavar="FILE", help="settings, a grid, points and exclusions as TOML")
    parser.add_argument(
        "--until",
        metavar="PERCENT",
        default="",
        help="add invocations until all intervals that the report shows are within so much of their centre: 5%%",
    )
    parser.add_argument(
        "--budget", metavar="TIME", default="", help="for how long at most, on each machine: 90s, 30min (default), 2h"
    )
    parser.add_argument(
        "--pin",
        metavar="PLACES",
        help="where threads run: apart, together, none, or processors such as 0/1-3, the collector's and the mutators'",
    )
    parser.add_argument(
        "--stress",
        nargs="?",
        type=_whole,
        const=stressing.USUAL,
        default=0,
        metavar="N",
        help="find references that no root holds: a whole cycle at every N-th safepoint of each mutator on average "
        f"({stressing.USUAL}; 1 is the hardest), what it frees poisoned, in small heaps. No measurement",
    )
    parser.add_argument(
        "--sanitize", choices=build.SANITIZERS, default="", help="compile everything with this sanitizer (slower)"
    )
    parser.add_argument("--dry-run", action="store_true", help="print the plan and how long it may take; run nothing")
    parser.add_argument("--resume", type=Path, metavar="DIR", help="do the rest of a run that stopped or was killed")
    parser.add_argument(
        "--from", type=Path, metavar="RUN", dest="source", help="the plan of an earlier run, or of its manifest, again"
    )
    parser.add_argument(
        "--on", default="", metavar="ADDRESS", help="on the workers of this Dask scheduler (tcp://...), not here"
    )
    parser.add_argument("--everywhere", action="store_true", help="with --on: all of the plan on each worker")
    parser.add_argument(
        "--share-hosts", action="store_true", help="with --on: several workers of a host, to try it out"
    )


def run(args: argparse.Namespace) -> int:
    """Run, draw, print the table. 1 where an invocation failed: the rest is there all the same."""
    _refuse_together(args)
    if args.dry_run:
        show_plan(_request(args))
        return 0
    with RunProgress() as progress:
        done = _measured(args, progress.watch)
    out = done.directory
    try:
        present(done, out / "figures")
    except (GcBarrierError, KeyboardInterrupt) as problem:
        kept = f"the run is kept in {out}, and `gcbarrier plot {out}` draws it again"
        if isinstance(problem, KeyboardInterrupt):
            print(kept, file=sys.stderr)
            raise
        raise GcBarrierError(f"{problem}; {kept}") from problem
    return 1 if campaign.failures(done) else 0


def _measured(args: argparse.Namespace, watch: Watch) -> Run:
    if args.resume is not None:
        return campaign.resume(args.resume, on=args.on, watch=watch)
    if args.source is not None:
        machine = settings.read(args.pairs).machine
        return campaign.repeat(args.source, out=args.out, machine=machine, workers=_workers(args), watch=watch)
    return campaign.begin(_request(args), out=args.out, watch=watch)


def _request(args: argparse.Namespace) -> Request:
    discovery.find("experiments", args.experiment)
    # One placement, whose commas are none between values.
    pin = args.pin.replace(",", "\\,") if args.pin is not None else None
    pairs = [*args.pairs, f"pin={pin}"] if pin is not None else args.pairs
    chosen = settings.read(pairs, sweep=args.sweep, experiment=args.experiment)
    if args.sanitize:
        if chosen.machine == "lab" or args.on:
            elsewhere = "--on" if args.on else "machine=lab"
            raise GcBarrierError(
                f"--sanitize needs the sanitizer's library, and is for this machine: leave {elsewhere} out"
            )
        chosen = evolve(chosen, machine="native")
    return Request(
        experiment=args.experiment,
        quick=args.quick,
        verify=args.verify,
        settings=chosen,
        until=until.read_share(args.until) if args.until else 0.0,
        budget_s=until.read_time(args.budget) if args.budget else until.BUDGET_S,
        stress=args.stress,
        sanitize=args.sanitize,
        **_workers(args),
    )


def _workers(args: argparse.Namespace) -> dict[str, Any]:
    """Fields of a request: on which workers; none where it is to be run here."""
    if not args.on and (args.everywhere or args.share_hosts):
        raise GcBarrierError("--everywhere and --share-hosts say how workers are used: name their scheduler with --on")
    return {"on": args.on, "everywhere": args.everywhere, "share_hosts": args.share_hosts} if args.on else {}


def _whole(word: str) -> int:
    """A number of safepoints."""
    if not word.isdecimal() or not 0 < int(word) < 1 << 62:
        raise argparse.ArgumentTypeError(
            f"it takes a whole number from 1, not {word!r}; the experiment comes before it"
        )
    return int(word)


def _refuse_together(args: argparse.Namespace) -> None:
    """What would be asked for in vain: an earlier run says itself what it was asked for."""
    if args.budget and not args.until:
        what = f"--budget {args.budget} limits what --until adds, and there is no --until"
        raise GcBarrierError(f"{what}: add it, with how narrow intervals are to be")
    earlier = "--resume" if args.resume is not None else "--from" if args.source is not None else ""
    if not earlier:
        if args.experiment is None:
            raise GcBarrierError("say which experiment to run; `gcbarrier list experiments` shows all")
        return
    others = {"--from": args.source, "--quick": args.quick, "--verify": args.verify, "--dry-run": args.dry_run}
    others |= {"--until": args.until, "--budget": args.budget, "--pin": args.pin}
    if earlier == "--resume":
        others |= {"--everywhere": args.everywhere, "--share-hosts": args.share_hosts}
    others |= {"--stress": args.stress, "--sanitize": args.sanitize}
    given = ["EXPERIMENT"] * (args.experiment is not None)
    given += [name for name, value in others.items() if value and name != earlier]
    machine_alone = earlier == "--from" and all(pair.startswith("machine=") for pair in args.pairs)
    given += ["--sweep"] * (args.sweep is not None)
    given += ["--set"] * bool(args.pairs and not machine_alone) + ["--out"] * bool(earlier == "--resume" and args.out)
    if given:
        raise GcBarrierError(
            f"{earlier} runs what that run was asked for, so {' and '.join(given)} can't be given with it: leave "
            f"{'it' if len(given) == 1 else 'them'} out"
        )
