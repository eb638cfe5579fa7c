"""The recordings that come along: whole, small, measured, made by their script, and told in the README as they are."""

import re
from functools import cache

import pytest
from corpus_script import CORPUS, recipes
from places import CHECKOUT

from gcbarrier.page_traces import corpus
from gcbarrier.page_traces.overview import Overview
from gcbarrier.page_traces.pagesfile import read
from gcbarrier.report.page_writes.table import markdown

RECIPES = {name: recipe for name, recipe in recipes().RECIPES.items() if recipe.shipped}


@cache
def shipped(name: str) -> Overview:
    recording = read(corpus.find(name))
    return Overview(name=name, recording=recording, trace=recording.main)


def test_all_that_the_script_records_came_along() -> None:
    assert corpus.names() == tuple(sorted(RECIPES))


@pytest.mark.parametrize("name", RECIPES)
def test_a_recording_is_of_what_its_recipe_says(name: str) -> None:
    own = shipped(name)
    assert own.recording.command == tuple(RECIPES[name].command)
    assert own.recording.every_ns == 10_000_000
    assert corpus.find(name).stat().st_size < 3 << 20
    assert own.trace.duration_ns > 1e9, "several seconds of steady work"
    assert own.trace.ended == "exit 0"


@pytest.mark.parametrize("name", RECIPES)
def test_its_slow_down_was_measured_three_times(name: str) -> None:
    found = {each.every_ns: len(each.wall) for each in shipped(name).slowdowns}
    assert found == {0: 3, 10_000_000: 3, 100_000_000: 3}


@pytest.mark.parametrize("name", RECIPES)
def test_it_names_no_place_of_the_machine_that_made_it(name: str) -> None:
    recording = shipped(name).recording
    words = [*recording.command, *recording.notes, *recording.facts.values()]
    words += [word for trace in recording.traces for word in trace.command]
    words += [mapping.name for trace in recording.traces for mapping in trace.mappings]
    assert not [word for word in words if re.search(r"/(home|root|work|tmp)\b", word)]


def test_the_redis_server_forked_once() -> None:
    assert [trace.began for trace in shipped("redis").recording.traces] == ["start", "fork"]


def test_the_readme_has_the_numbers_of_the_recordings() -> None:
    text = (CHECKOUT / "README.md").read_text(encoding="utf-8")
    ((names, table),) = re.findall(r"<!-- pages ([\w ]+) -->\n(.*?)\n<!-- end of pages -->", text, re.DOTALL)
    assert table == markdown([shipped(name) for name in names.split()])


def test_the_corpus_is_described_whole() -> None:
    text = (CORPUS / "README.md").read_text(encoding="utf-8")
    assert re.findall(r"^\| `(\w+)` \|", text, re.MULTILINE) == list(RECIPES)
