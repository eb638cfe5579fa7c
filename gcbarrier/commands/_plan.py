"""What a run would do, before it does anything: its configurations, on which machine, and how long that may take."""

from collections.abc import Mapping, Sequence

from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from gcbarrier import report
from gcbarrier.campaign import until
from gcbarrier.campaign.preview import preview
from gcbarrier.campaign.request import Request
from gcbarrier.commands._progress import said_s
from gcbarrier.model import Config, Probe


def show_plan(request: Request) -> None:
    """Print it. Raises GcBarrierError where it can't be run."""
    for part in preview(request):
        report.show(Text(part.machine, style="bold"))
        report.show(_table(part.parts))
        count = len(part.parts) * part.invocations
        report.show(Text(f"{len(part.parts)} times {part.invocations} invocations: {count}, {said_s(part.estimate_s)}"))
        for line in part.remarks:
            report.show(Text(line))
        if request.until:
            report.show(Text(until.promise(request.until, request.budget_s)))


def _table(parts: Sequence[Config | Probe]) -> RenderableType:
    table = Table(box=None, pad_edge=False, header_style="", show_edge=False)
    for head in ("what", "heap", "mutators", "seconds", "parameters"):
        table.add_column(head, overflow="fold")
    for one in parts:
        table.add_row(*(Text(word) for word in _words(one)))
    return table


def _words(one: Config | Probe) -> tuple[str, ...]:
    if isinstance(one, Probe):
        params = {**one.barrier_params, **one.arguments}
        return one.label, str(one.heap_bytes >> 20) + " MiB", "", f"{one.estimate_s:g}", _params(params)
    size = f"{one.heap_times:g}x the smallest" if one.heap_times and not one.minheap_bytes else one.size
    time = f"{one.operations:,} operations" if one.operations else f"{one.duration_s:g}"
    params = {**one.heap_params, **one.barrier_params, **one.collector_params}
    return one.label, size, str(one.mutators), time, _params(params)


def _params(params: Mapping[str, object]) -> str:
    return " ".join(f"{name}={value}" for name, value in params.items())
