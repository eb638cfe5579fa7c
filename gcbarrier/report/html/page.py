"""The page that one hands on: everything of one or more runs in one file that loads nothing."""

import base64
import hashlib
import json
from collections.abc import Mapping, Sequence
from functools import cache
from importlib.resources import files

from attrs import field, frozen
from matplotlib.figure import Figure
from rich.console import RenderableType

from gcbarrier.report.html.figures import svg, zoomable
from gcbarrier.report.html.machine import machines, missing, said_elsewhere
from gcbarrier.report.html.markup import Child, Markup, element, joined
from gcbarrier.report.html.reproduce import reproduce
from gcbarrier.report.html.tables import Written
from gcbarrier.results.busy import told
from gcbarrier.results.lost import losses
from gcbarrier.results.run import Run


@frozen(kw_only=True)
class Part:
    """What a page shows of one run, or of several of one experiment that were united."""

    run: Run
    question: str
    """The first line of what the experiment says of itself."""
    verdict: str
    """A sentence, or one on a line for each machine; "": nothing can be said."""
    figures: Mapping[str, Figure]
    printed: Sequence[RenderableType] = field(converter=tuple)
    """What the experiment prints of it."""
    notes: Sequence[str] = ()
    """What a reader must know besides that the run itself tells."""


def page(parts: Sequence[Part]) -> str:
    """The whole document."""
    title = " \N{MIDDLE DOT} ".join(dict.fromkeys(part.run.experiment for part in parts))
    body = [_part(part, f"r{number}-", alone=len(parts) == 1) for number, part in enumerate(parts, 1)]
    contents = _contents(parts) if len(parts) > 1 else None
    style, script = _own("style.css"), _own("script.js")
    head = [
        element("meta", charset="utf-8"),
        element("meta", http_equiv="Content-Security-Policy", content=policy(style, script)),
        element("meta", name_="viewport", content="width=device-width, initial-scale=1"),
        element("title", f"{title} \N{EN DASH} gcbarrier"),
        element("style", Markup(style)),
    ]
    foot = element("footer", "Written by ", element("code", "gcbarrier report"), ". This page loads nothing.")
    inner = [element("main", contents, body), foot, element("script", Markup(script))]
    return f'<!doctype html>\n<html lang="en">{element("head", head)}{element("body", inner)}</html>\n'


def policy(style: str, script: str) -> str:
    """Nothing is loaded, and of styles and scripts only the page's own are heeded."""
    return (
        f"default-src 'none'; style-src '{_digest(style)}'; script-src '{_digest(script)}'; "
        "base-uri 'none'; form-action 'none'"
    )


def _digest(text: str) -> str:
    return f"sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}"


@cache
def _own(name: str) -> str:
    return files(__package__).joinpath(name).read_text(encoding="utf-8")


def _contents(parts: Sequence[Part]) -> Markup:
    links = [
        element("li", element("a", part.question or part.run.experiment, href=f"#r{number}-"), f" ({_where(part)})")
        for number, part in enumerate(parts, 1)
    ]
    return element("nav", element("ol", links), aria_label="Runs")


def _where(part: Part) -> str:
    return ", ".join(part.run.machines) or "nothing measured"


def _part(part: Part, prefix: str, *, alone: bool) -> Markup:
    run = part.run
    heading = "h1" if alone else "h2"
    below = "h2" if alone else "h3"
    told = [element("li", line, class_=kind) for kind, line in missing(run)]
    sections: list[tuple[str, str, Child]] = [
        ("figures", "Figures", _figures(part, prefix)),
        ("numbers", "Numbers", _numbers(part, prefix)),
        ("missing", "What failed or was left out", element("ul", told, class_="told") if told else None),
        ("machines", "Machine" if len(run.machines) == 1 else "Machines", machines(run)),
        ("repeat", "How to measure it again", [reproduce(run), _manifest(run)]),
    ]
    return element(
        "article",
        element(
            "header",
            element("p", run.experiment, class_="name"),
            element(heading, part.question or run.experiment),
            [element("p", line, class_="verdict") for line in part.verdict.splitlines() if line.strip()],
            element("p", _summary(run), class_="summary"),
            [element("p", note, class_="note") for note in (*_notes(run), *part.notes)],
        ),
        [
            element("section", element(below, title), content, class_=kind)
            for kind, title, content in sections
            if content
        ],
        id=prefix,
    )


def _figures(part: Part, prefix: str) -> Child:
    found = []
    for number, (name, figure) in enumerate(part.figures.items(), 1):
        title = " ".join([name, *(text.get_text() for text in figure.texts[:1])])
        found.append(zoomable(svg(figure, f"{prefix}f{number}-", title), name))
    return found or None


def _numbers(part: Part, prefix: str) -> Child:
    written = Written(f"{prefix}t", skip=said_elsewhere(part.run))
    return joined(written.html(each) for each in part.printed) or None


def _summary(run: Run) -> str:
    count, whole = len(run.outcomes) + len(run.findings), run.expected
    failed = sum(bool(one.error) for one in run.outcomes) + sum(bool(one.error) for one in run.findings)
    dates = dict.fromkeys(str(each.get("date", ""))[:10] for each in run.manifests)
    there = f"{count:,} of {whole:,}" if whole > count else f"{count:,}"
    done = f"{there} invocation{'s' * (max(count, whole) != 1)}" + f", {failed} of them failed" * bool(failed)
    facts = [", ".join(each for each in dates if each), ", ".join(run.machines), done]
    return " \N{MIDDLE DOT} ".join(fact for fact in facts if fact)


def _notes(run: Run) -> list[str]:
    """What a reader must know before believing it."""
    found = [*losses(run), *told(run)]
    if any(manifest.get("quick") for manifest in run.manifests):
        found.append("Measured with --quick: a first look, not for a paper.")
    if any(outcome.invocation.config.verify for outcome in run.outcomes):
        found.append("Measured with --verify, which takes time.")
    return found


def _manifest(run: Run) -> list[Markup]:
    return [
        element(
            "details",
            element("summary", "Manifest", f" of {manifest.get('date', '')}" * (len(run.manifests) > 1)),
            element("pre", json.dumps(manifest, indent=2, ensure_ascii=False, default=str)),
            class_="manifest",
        )
        for manifest in run.manifests
    ]


__all__ = ["Part", "page", "policy"]
