"""What becomes HTML: escaped by construction, sortable by value, without anything of its own to load."""

import re
from xml.etree import ElementTree

import pytest
from matplotlib.figure import Figure
from rich.console import Console, ConsoleOptions, Group, RenderResult
from rich.table import Table
from rich.text import Text
from synthetic import make_outcomes, make_run

from gcbarrier.model import Config
from gcbarrier.report import BARRIER, NS, Axis, Lines, Measure, Pauses
from gcbarrier.report.html.figures import svg
from gcbarrier.report.html.markup import Markup, element
from gcbarrier.report.html.tables import Written, flat, number
from gcbarrier.report.numbered import Numbered
from gcbarrier.results import cells


def test_only_markup_is_not_escaped() -> None:
    inner = element("b", "<i>&")
    assert element("p", inner, "<script>", Text("a<b"), None, ["x", Markup("<br>")]) == (
        "<p><b>&lt;i&gt;&amp;</b>&lt;script&gt;a&lt;bx<br></p>"
    )
    assert element("td", "1", class_="number", data_value='"><', hidden=True, id=None, open=False) == (
        '<td class="number" data-value="&quot;&gt;&lt;" hidden>1</td>'
    )
    # Text that is put together with markup is text again.
    assert element("p", inner + "<script>") == "<p>&lt;b&gt;&amp;lt;i&amp;gt;&amp;amp;&lt;/b&gt;&lt;script&gt;</p>"


@pytest.mark.parametrize(
    ("words", "value"),
    [
        ("345 ns", 345.0),
        ("1.2 ms", 1.2e6),
        ("1.2 ms (1 \N{EN DASH} 3 ms)", 1.2e6),
        ("9,730", 9730.0),
        ("12 %", 12.0),
        ("1.5 k", 1500.0),
        ("68 MiB (2x)", 68 * 2.0**20),
        ("\N{MINUS SIGN}3", -3.0),
        ("1e+12 instr.", 1e12),
        ("", None),
        ("\N{EN DASH}", None),
        ("6.12.95", None),
        ("3 barriers", None),
        ("uffd-wp-log", None),
    ],
)
def test_numbers_in_words(words: str, value: float | None) -> None:
    assert number(words) == value


def places(html: str) -> list[tuple[str, str | None]]:
    """The words of each place of a table's body, and the number behind them."""
    body = ElementTree.fromstring(f"<x>{html}</x>").iter("td")
    return [("".join(place.itertext()), place.get("data-value")) for place in body]


def test_a_table_has_the_number_behind_each_place() -> None:
    run = make_run(make_outcomes([Config(heap="gcbench", barrier="none", collector="stop-the-world")], invocations=3))
    remark = Measure("pause", NS, lambda cell: cell.medians("full"))
    rate = Axis("rate", "heap_params.rate_per_s", endless=0.0)
    found = cells(run.outcomes)
    html = Written().html(Group(*Lines(remark.ranged, rate).parts("native", found, BARRIER)))
    (name, pause, limit) = places(html)
    assert name == ("none", None)
    assert pause[0].endswith(")")
    assert pause[1] == repr(remark.value(found[0]).centre), "the whole number, not what its words have left of it"
    assert limit == ("no limit", "inf")
    assert "<caption>native</caption>" in html


def test_a_name_is_said_in_every_row_for_who_sorts() -> None:
    pairs = [("none", "stop-the-world"), ("soft-dirty", "mostly-concurrent")]
    configs = [Config(heap="gcbench", barrier=barrier, collector=collector) for barrier, collector in pairs]
    run = make_run(make_outcomes(configs))
    html = Written().html(Group(*Pauses().parts("native", cells(run.outcomes), BARRIER)))
    assert html.count('<td class="again">soft-dirty</td>') == 1
    assert html.count("<td>soft-dirty</td>") == 1
    assert re.search(r'<td class="number again" data-value="[\d.]+">', html), "the bill as well"


class ByHand:
    """Something of a user's own that prints itself."""

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        yield Text("above")
        table = Table("x", "what", title="[b]title")
        table.add_row("2 ms", Text("<b>"))
        table.add_row("30 µs", "\N{EN DASH}")
        yield table


def test_whatever_prints_itself_is_read() -> None:
    assert [type(part).__name__ for part in flat(Group("one", ByHand()))] == ["str", "str", "Table"]
    html = Written("t", skip=["elsewhere"]).html(Group("one", Text(""), ByHand(), Text("elsewhere"), "below"))
    assert html.startswith("<p>one</p><div")
    assert html.endswith("</div><p>below</p>")
    assert "<caption>above</caption>" in html
    assert places(re.sub(r"^<p>one</p>", "", html)) == [
        ("2 ms", "2000000.0"),
        ("<b>", None),
        ("30 µs", "30000.0"),
        ("\N{EN DASH}", None),
    ]


def test_a_place_that_is_said_above_keeps_its_words() -> None:
    place = Numbered("soft-dirty", 2.0, again=True)
    assert (place.plain, place.whole, place.value) == ("", "soft-dirty", 2.0)


def test_a_figure_brings_nothing_but_itself() -> None:
    figure = Figure()
    axes = figure.add_subplot(title="<script>")
    axes.plot([1, 2], [3, 4], marker="o")
    one, other = (svg(figure, prefix, 'what "it" shows') for prefix in ("a-", "b-"))
    root = ElementTree.fromstring(one)
    assert "http" not in one
    assert not {each.tag for each in root.iter()} & {"style", "script", "metadata", "image"}
    assert not [each for each in root.iter() if "style" in each.attrib]
    ids = [each.get("id") for each in root.iter() if each.get("id")]
    assert ids
    assert all(name and name.startswith("a-") for name in ids)
    referred = re.findall(r'(?:href="|url\()#([^")]+)', one)
    assert referred
    assert set(referred) <= set(ids)
    assert one.replace('"a-', '"b-').replace("#a-", "#b-") == other
    assert root.get("aria-label") == 'what "it" shows'
    # What a style said, an attribute says: lines keep their colour.
    assert any(each.get("stroke") == "#1f77b4" for each in root.iter())
