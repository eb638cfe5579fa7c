"""``gcbarrier run``: an experiment from its plan to its figures."""

import argparse
from pathlib import Path

from gcbarrier.campaign import experiments as campaign
from gcbarrier.campaign import settings
from gcbarrier.commands._progress import RunProgress
from gcbarrier.commands._report import present
from gcbarrier.errors import GcBarrierError
from gcbarrier.plugins import discovery

HELP = "run an experiment and draw its figures"


def prepare_parser(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of ``run``."""
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.epilog = "what can be set:\n" + (settings.__doc__ or "").partition("\n\n")[2]
    parser.add_argument("experiment", metavar="EXPERIMENT", help="`gcbarrier list experiments` shows all")
    parser.add_argument("--out", type=Path, metavar="DIR", help="the run directory; default: runs/EXPERIMENT-TIME")
    parser.add_argument("--quick", action="store_true", help="smaller and shorter: for a first look, not for a paper")
    parser.add_argument("--verify", action="store_true", help="check every cycle against the truth (slower)")
    parser.add_argument(
        "--set", action="append", default=[], metavar="KEY=VALUE", dest="pairs", help="change the plan (repeatable)"
    )


def run(args: argparse.Namespace) -> int:
    """Run, draw, print the table. 1 where an invocation failed: the rest is there all the same."""
    discovery.find("experiments", args.experiment)
    chosen = settings.read(args.pairs)
    with RunProgress() as progress:
        done = campaign.run(
            args.experiment, out=args.out, quick=args.quick, verify=args.verify, settings=chosen, watch=progress.watch
        )
    out = done.directory
    try:
        present(done, out / "figures")
    except GcBarrierError as problem:
        kept = f"the run is kept in {out}, and `gcbarrier plot {out}` draws it again"
        raise GcBarrierError(f"{problem}; {kept}") from problem
    return 1 if campaign.failures(done) else 0
