"""How to measure it again: command lines, the seed, the versions."""

import shlex
from collections.abc import Iterator, Mapping
from typing import Any

from gcbarrier.report.html.machine import version
from gcbarrier.report.html.markup import Child, Markup, element
from gcbarrier.results.run import Run

_OTHERS = ("--from", "--resume")
"""Where these were typed, the plan is another run's."""


def reproduce(run: Run) -> Markup:
    """What to type, for each of the runs, and what it depends on besides."""
    alone = len(run.manifests) == 1
    lines = [list(commands(each, str(run.directory) if alone else "")) for each in run.manifests]
    parts: list[Child] = [element("pre", element("code", "\n".join(each))) for each in lines if each]
    if not parts:
        parts.append(element("p", "It has no plan of its own: its invocations were measured from Python."))
    seeds = ", ".join(dict.fromkeys(str(each["seed"]) for each in run.manifests if each.get("seed") is not None))
    versions = dict.fromkeys(version(run.facts(machine)) for machine in run.machines)
    folders = dict.fromkeys(str(one) for each in run.manifests for one in _list(each.get("search_path")))
    facts = [("Seed", seeds), ("Version", ", ".join(each for each in versions if each))]
    facts.append(("Plug-ins from", ", ".join(folders)))
    said = [[element("dt", name), element("dd", words)] for name, words in facts if words]
    return element("div", parts, element("dl", said) if said else None)


def commands(manifest: Mapping[str, Any], directory: str) -> Iterator[str]:
    """The same plan from the run directory or its manifest, and the words that it was asked for with."""
    if not manifest.get("plans"):
        return
    if "request" in manifest:
        # The page may be all that its reader has.
        yield "gcbarrier run --from manifest.json  # the manifest below, in a file"
        if directory:
            yield f"gcbarrier run --from {shlex.quote(directory)}"
    typed = [str(word) for word in _list(manifest.get("command_line"))]
    own = typed[1:2] == ["run"] and not any(word.startswith(_OTHERS) for word in typed)
    yield shlex.join(_typed(typed, manifest) if own else _made(manifest))


def _typed(words: list[str], manifest: Mapping[str, Any]) -> Iterator[str]:
    """As it was typed, into no folder and with the seed that was drawn."""
    left = iter(words)
    for word in left:
        if word == "--out":
            next(left, None)
        elif not word.startswith("--out="):
            yield word
    if not any(word.startswith("seed=") for word in words) and manifest.get("seed") is not None:
        yield from ("--set", f"seed={manifest['seed']}")


def _made(manifest: Mapping[str, Any]) -> Iterator[str]:
    """Out of the settings, of a run that has not kept the words."""
    yield from ("gcbarrier", "run", str(manifest.get("experiment", "")), *_options(manifest))


def _options(manifest: Mapping[str, Any]) -> Iterator[str]:
    yield from (f"--{name}" for name in ("quick", "verify") if manifest.get(name))
    settings = manifest.get("settings")
    pairs = dict(_settings(settings)) if isinstance(settings, Mapping) else {}
    if manifest.get("seed") is not None:
        pairs.setdefault("seed", str(manifest["seed"]))
    for key, value in pairs.items():
        yield from ("--set", f"{key}={value}")


def _settings(settings: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """As :mod:`gcbarrier.campaign.settings` read them."""
    for kind, names in _mapping(settings, "choices"):
        yield str(kind), ",".join(map(str, names)) if isinstance(names, list | tuple) else str(names)
    yield from ((str(key), str(value)) for key, value in _mapping(settings, "fields"))
    for owner, params in _mapping(settings, "params"):
        for name, value in params.items() if isinstance(params, Mapping) else ():
            yield f"{owner}.{name}", str(value)
    if isinstance(times := settings.get("times"), list | tuple) and times:
        yield "heap", ",".join(f"{each}x" for each in times)
    for name in ("invocations", "seed", "machine"):
        if settings.get(name) not in (None, ""):
            yield name, str(settings[name])


def _list(found: object) -> list[Any]:
    return found if isinstance(found, list) else []


def _mapping(settings: Mapping[str, Any], name: str) -> Iterator[tuple[Any, Any]]:
    found = settings.get(name)
    if isinstance(found, Mapping):
        yield from found.items()


__all__ = ["commands", "reproduce"]
