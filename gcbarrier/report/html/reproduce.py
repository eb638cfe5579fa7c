"""How to measure it again: command lines, the seed, the versions."""

import shlex
from collections.abc import Iterator, Mapping
from typing import Any

from gcbarrier.report.html.machine import version
from gcbarrier.report.html.markup import Child, Markup, element
from gcbarrier.results.run import Run


def reproduce(run: Run) -> Markup:
    """What to type, for each of the runs, and what it depends on besides."""
    parts: list[Child] = []
    for manifest in run.manifests:
        parts.append(element("pre", element("code", "\n".join(commands(manifest, str(run.directory))))))
    seeds = ", ".join(dict.fromkeys(str(each.get("seed")) for each in run.manifests if each.get("seed") is not None))
    versions = dict.fromkeys(version(run.facts(machine)) for machine in run.machines)
    facts = [("Seed", seeds), ("Version", ", ".join(each for each in versions if each))]
    said = [[element("dt", name), element("dd", words)] for name, words in facts if words]
    return element("div", parts, element("dl", said) if said else None)


def commands(manifest: Mapping[str, Any], directory: str) -> Iterator[str]:
    """The same plan from the run directory, and the words that it was asked for with."""
    yield f"gcbarrier run --from {shlex.quote(directory)}"
    yield shlex.join(["gcbarrier", "run", str(manifest.get("experiment", "")), *_options(manifest)])


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


def _mapping(settings: Mapping[str, Any], name: str) -> Iterator[tuple[Any, Any]]:
    found = settings.get(name)
    if isinstance(found, Mapping):
        yield from found.items()


__all__ = ["commands", "reproduce"]
