"""``gcbarrier doctor BARRIER``: one barrier, looked at from all sides."""

import json

import attrs
from rich.table import Table

from gcbarrier import report
from gcbarrier.campaign.checkup import checkup
from gcbarrier.commands._progress import waiting
from gcbarrier.core import build
from gcbarrier.machines.fresh import FreshExecutor


def show(name: str, *, as_json: bool) -> int:
    """Look at the barrier and print what came out; 1 where it does not work here."""
    with waiting(f"trying {name} here"), FreshExecutor(environment=build.preload()) as executor:
        found = checkup(name, executor)
    if as_json:
        print(json.dumps({**attrs.asdict(found), "works": found.works}, indent=2))
        return 0 if found.works else 1
    print(f"{name} {'works here' if found.works else 'does not work here'}: {found.summary}")
    table = Table(box=None, show_header=False, pad_edge=False, padding=(0, 2, 0, 0))
    for each in found.findings:
        remedy = f" ({each.remedy})" if each.remedy else ""
        table.add_row(each.what, "" if each.works else "no:", f"{each.told}{remedy}")
    report.show(table)
    return 0 if found.works else 1
