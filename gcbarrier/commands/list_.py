"""``gcbarrier list``: what there is to choose from."""

import argparse
import json

from gcbarrier.errors import GcBarrierError, Unavailable
from gcbarrier.plugins import discovery

HELP = "list the heaps, barriers, collectors or experiments that can be named"


def prepare_parser(parser: argparse.ArgumentParser) -> None:
    """Add this command's arguments."""
    parser.add_argument("kind", choices=discovery.KINDS, metavar="|".join(discovery.KINDS), help="what to list")
    parser.add_argument("--json", action="store_true", help="print a JSON array of {name, summary, file}")


def run(args: argparse.Namespace) -> int:
    """Print them, sorted by name."""
    found = [
        {"name": name, "summary": _summary(args.kind, name), "file": str(discovery.find(args.kind, name))}
        for name in discovery.names(args.kind)
    ]
    if args.json:
        print(json.dumps(found, indent=2))
        return 0
    width = max((len(entry["name"]) for entry in found), default=0)
    for entry in found:
        print(f"{entry['name']:{width}}  {entry['summary']}".rstrip())
    return 0


def _summary(kind: str, name: str) -> str:
    try:
        return discovery.summary(kind, name) + _lacking(kind, name)
    except GcBarrierError as problem:
        # One broken file must not hide the others.
        return f"({problem})"


def _lacking(kind: str, name: str) -> str:
    """Of a collector that is made of somebody else's library, what is missing of that here."""
    if kind != "collectors" or not discovery.find(kind, name).with_suffix(".c").is_file():
        return ""
    # Loading a collector takes longer than listing all that there is.
    from gcbarrier import collectors

    try:
        collectors.find(name).require()
    except Unavailable as problem:
        return f" ({problem})"
    return ""
