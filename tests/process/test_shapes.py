"""Plug-ins of the wrong shape: each is a sentence that names the file and the line, and none ends the program."""

import pickle
import re
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from places import PLUGINS

from gcbarrier import barriers, collectors, measure
from gcbarrier.campaign import experiments as campaign
from gcbarrier.campaign import settings
from gcbarrier.campaign.plans import Plan
from gcbarrier.errors import GcBarrierError
from gcbarrier.machines.lab import calls
from gcbarrier.machines.lab.wire import Call, Decoder, Failed
from gcbarrier.model import Config, Probe
from gcbarrier.plugins import discovery, params
from gcbarrier.session import program as programs

MUTATOR = (PLUGINS / "heaps" / "ring" / "mutator.c").read_text()
RING = (PLUGINS / "heaps" / "ring" / "heap.py").read_text()
Maker = Callable[[str, str], Path]
Run = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def own(tmp_path: Path) -> Maker:
    """``own("heaps/x/heap.py", "text")``: a file in a folder of one's own, and a mutator beside a heap."""

    def write(path: str, text: str) -> Path:
        file = tmp_path / "own" / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
        if file.name == "heap.py":
            file.with_name("mutator.c").write_text(MUTATOR)
        discovery.add_path(tmp_path / "own")
        return file

    return write


def config(heap: str, **changes: object) -> Config:
    shared = {"barrier": "none", "collector": "stop-the-world", "heap_bytes": 8 << 20, "duration_s": 0.1}
    return Config(heap=heap, **shared | changes)


def params_class(field: str) -> str:
    return f"from attrs import frozen\n\n@frozen(kw_only=True)\nclass Params:\n    fine: int = 1\n    {field}\n"


RESOLVE = params_class("other: int = 2") + "\ndef resolve(params, *, heap_bytes, mutators):\n    "


@pytest.mark.parametrize(
    ("text", "line", "said"),
    [
        (params_class("count: int = 1.5"), 6, "the default of count must be a whole number of 64 bits, not 1.5"),
        (params_class("count: int = 1 << 63"), 6, "the default of count must be a whole number of 64 bits"),
        (params_class("count: int = None"), 6, "the default of count must be a whole number of 64 bits, not None"),
        (params_class("share: float = 'much'"), 6, "the default of share must be a finite number, not 'much'"),
        (params_class("share: float = float('inf')"), 6, "the default of share must be a finite number, not inf"),
        (params_class("wild: bool = 2"), 6, "the default of wild must be true or false, not 2"),
        (params_class("name: str = 3"), 6, "the default of name must be a text, not 3"),
        (params_class("sizes: list = ()"), 6, "sizes must be of type int, float, bool or str"),
        (params_class("count: int"), 6, "count needs a default"),
        (params_class("count: 'nowhere' = 3"), 4, "the types of its fields can't be told: NameError"),
        (RESOLVE + "return None\n", 8, r"resolve\(\) must return Params, not None"),
        (RESOLVE + "return Params(other='x')\n", 8, r"resolve\(\): other must be a whole number of 64 bits, not 'x'"),
        (RESOLVE + "return 1 // 0\n", 9, "ZeroDivisionError: integer division"),
    ],
)
def test_a_heaps_parameters_of_the_wrong_shape(own: Maker, text: str, line: int, said: str) -> None:
    file = own("heaps/odd/heap.py", text)
    with pytest.raises(
        GcBarrierError, match=rf"the heap 'odd' can't be used: {re.escape(str(file))}, line {line}: {said}"
    ):
        measure(config("odd"))


def test_barriers_and_collectors_are_held_to_the_same(own: Maker) -> None:
    own("barriers/odd.py", "from gcbarrier import Barrier\nBARRIER = Barrier()\n" + params_class("count: int = 1.5"))
    own("barriers/odd.c", "")
    with pytest.raises(
        GcBarrierError, match=r"the barrier 'odd' can't be used: .*odd\.py, line 8: the default of count"
    ):
        barriers.choose("odd")
    inherited = params_class("count: int = 'x'").replace("class Params", "class Params(Triggered)")
    own(
        "collectors/odd.py",
        f"from gcbarrier.collectors import Triggered\n{inherited}\ndef collect(heap, params): ...\n",
    )
    with pytest.raises(
        GcBarrierError, match=r"the collector 'odd' can't be used: .*odd\.py, line 7: the default of count"
    ):
        collectors.find("odd")


def test_types_written_as_text_are_the_same_types(own: Maker) -> None:
    docstring, _, rest = RING.partition("\n")
    own("heaps/late/heap.py", f"{docstring}\nfrom __future__ import annotations\n{rest}")
    chosen = config("late", heap_params={"entries": 100, "keep": 0})
    assert programs.resolved(chosen).entries == 100
    assert params.c_header(programs.heap_module("late").Params).count("int64_t") == 3
    (outcome,) = measure(chosen)
    assert (outcome.error, bool(outcome.pauses)) == ("", True)


@pytest.mark.parametrize(
    ("plan", "said"),
    [
        ("Plan(configs=('x', 'y'))", "a plan's configs are Config records, not 'x'"),
        ("Plan(configs=Config(heap='ring', barrier='none', collector='never'))", "configs and probes are tuples"),
        ("Plan(probes=(3,))", "a plan's probes are Probe records, not 3"),
        ("Plan(configs=(), invocations=1.5)", "invocations must be a whole number, not 1.5"),
        ("Plan(configs=(), invocations=True)", "invocations must be a whole number, not True"),
        ("Plan(configs=(), invocations=0)", "'invocations' must be >= 1: 0"),
        ("Config(heap='ring', barrier='none', collector='never', heap_params=5)", "heap_params must map names to"),
        ("Config(heap='ring', barrier='none', collector='never', heap_params={'x': []})", "heap_params must map names"),
        ("Config(heap='ring', barrier='none', collector='never', heap_bytes=2e6)", "heap_bytes must be a whole number"),
        ("Config(heap='ring', barrier='none', collector='never', mutators=1.5)", "mutators must be a whole number"),
        ("Config(heap=None, barrier='none', collector='never')", "'heap' must be <class 'str'>"),
        ("exit()", "SystemExit"),
    ],
)
def test_a_plan_of_the_wrong_shape(own: Maker, tmp_path: Path, plan: str, said: str) -> None:
    text = (
        f"from sys import exit\nfrom gcbarrier import Config, Plan\ndef plan(*, machine, quick):\n    return {plan}\n"
    )
    file = own("experiments/odd.py", text + "def figures(run): ...\ndef table(run): ...\n")
    with pytest.raises(GcBarrierError) as caught:
        campaign.run("odd", out=tmp_path / "run")
    assert str(caught.value).startswith(f"the experiment 'odd' can't be used: {file}, line 4: ")
    assert said in str(caught.value)
    assert "Attribute(" not in str(caught.value)
    assert not (tmp_path / "run").exists()


def test_a_notebook_gets_a_sentence_too() -> None:
    with pytest.raises(GcBarrierError, match=r"that can't be measured: invocations must be a whole number, not 1\.5"):
        measure(config("graph_edits"), invocations=1.5)
    with pytest.raises(GcBarrierError, match="that can't be measured: a plan's configs are Config records, not 'x'"):
        measure("x")
    assert Plan(configs=[config("graph_edits")]).configs == (config("graph_edits"),), "any series of them will do"


EXITS = "import sys\n"


@pytest.mark.parametrize(
    ("path", "text", "call"),
    [
        ("heaps/quits/heap.py", EXITS + "sys.exit(0)\n", lambda: programs.heap_module("quits")),
        (
            "heaps/quits/heap.py",
            EXITS + params_class("x: int = 1") + "def check(params, **size):\n    sys.exit(0)\n",
            lambda: programs.resolved(config("quits")),
        ),
        (
            "barriers/quits.py",
            EXITS + "def BARRIER(params):\n    sys.exit(0)\n",
            lambda: barriers.choose("quits"),
        ),
        (
            "collectors/quits.py",
            EXITS + params_class("x: int = 1") + "    def __attrs_post_init__(self):\n        sys.exit(0)\n",
            lambda: params.of_plugin("collectors", "quits", discovery.module("collectors", "quits").Params),
        ),
        ("experiments/quits.py", EXITS + "sys.exit()\n", lambda: campaign.script_of("quits")),
    ],
)
def test_a_plugin_that_exits_does_not_end_the_program(
    own: Maker, path: str, text: str, call: Callable[[], object]
) -> None:
    file = own(path, text)
    if path.startswith("barriers"):
        own("barriers/quits.c", "")
    with pytest.raises(GcBarrierError, match=rf"{re.escape(str(file))}, line \d+: SystemExit"):
        call()


def test_a_collector_that_exits_is_an_invocation_that_failed(own: Maker) -> None:
    body = "from gcbarrier.collectors import Triggered\nParams, NEEDS_TRACKING = Triggered, False\n"
    own("collectors/quits.py", EXITS + body + "def collect(heap, params):\n    sys.exit(0)\n")
    (outcome,) = measure(config("graph_edits", collector="quits"))
    assert "the collector quits raised SystemExit: 0 (" in outcome.error
    assert "quits.py:5 in collect)" in outcome.error


def test_a_job_that_exits_in_the_guest_does_not_end_the_host() -> None:
    call = Call(module="sys", job=pickle.dumps((exit_with, (0,), {})), environment={})
    decoder = Decoder()
    decoder.feed(calls._outcome(call))
    answer = decoder.message()
    assert isinstance(answer, Failed)
    assert str(answer.error) == "SystemExit in the lab's guest: 0"
    assert isinstance(answer.error, GcBarrierError)


def exit_with(status: int) -> None:
    raise SystemExit(status)


def test_what_reads_as_markup_is_printed_as_it_is(own: Maker, gcbarrier: Run, tmp_path: Path) -> None:
    own("barriers/odd.py", '"""[/nope] :smile:"""\nraise ValueError("[/nope] [bold]loud[/bold] :smile:")\n')
    own("barriers/odd.c", "")
    plan = (
        "Plan(configs=(Config(heap='[x]', barrier='none', collector='stop-the-world', duration_s=0.1),), invocations=1)"
    )
    own(
        "experiments/odd.py",
        f"from gcbarrier import Config, Plan\ndef plan(*, machine, quick):\n    return {plan}\n"
        "def figures(run):\n    return {}\ndef table(run):\n    return '[/nope] [bold]loud[/bold]'\n",
    )
    own("heaps/[x]/heap.py", RING)
    path = ("--path", str(tmp_path / "own"))
    looked = gcbarrier(*path, "doctor", "--no-lab", timeout=300)
    assert (looked.returncode, looked.stderr) == (0, "")
    assert "[/nope] [bold]loud[/bold] :smile:" in looked.stdout
    done = gcbarrier(*path, "run", "odd", "--verify", "--out", str(tmp_path / "run"), timeout=300)
    assert (done.returncode, done.stderr) == (0, "")
    assert "[/nope] [bold]loud[/bold]" in done.stdout
    assert "[x], 64 MiB" in done.stdout, "what was verified"
    assert "[/nope]" in gcbarrier(*path, "list", "barriers").stdout


def test_one_name_for_a_heap_and_a_collector_is_ambiguous_in_a_parameter(own: Maker) -> None:
    file = own("heaps/never/heap.py", RING)
    with pytest.raises(GcBarrierError) as caught:
        settings.read(["never.entries=5"])
    theirs = discovery.find("collectors", "never")
    assert str(caught.value) == (
        f"never.entries is ambiguous, as never is the name of a heap ({file}) and a collector ({theirs}): rename yours"
    )
    assert settings.read(["heap=never", "collector=never"]).choices == {"heap": ("never",), "collector": ("never",)}


@pytest.mark.parametrize(
    ("pairs", "verify", "said"),
    [
        (["heap=gcbench"], False, "so heap= would change nothing: leave it out"),
        (["collector=never", "mutators=2", "duration_s=3"], False, "so collector= and mutators= and duration_s= would"),
        ([], True, "so --verify would change nothing: leave it out"),
    ],
)
def test_what_probes_ignore_is_refused(pairs: list[str], verify: bool, said: str) -> None:
    plan = campaign.script_of("accuracy").plan(machine=campaign.NATIVE, quick=True)
    with pytest.raises(GcBarrierError, match=said):
        settings.read(pairs).apply(plan, verify=verify)
    probes = (Probe(function="gcbarrier.bench.costs:operations", barrier="none"),)
    both = Plan(configs=(config("graph_edits"),), probes=probes)
    assert settings.read(["mutators=2"]).apply(both, verify=True).configs[0].mutators == 2
