"""A scheduler's workers, and which of them are machines to measure on."""

import contextlib
import logging
import re
import socket
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from types import ModuleType
from typing import Any
from urllib.parse import urlsplit

from attrs import evolve, frozen

from gcbarrier.errors import GcBarrierError, Unavailable
from gcbarrier.machines import host
from gcbarrier.machines.cluster import there
from gcbarrier.machines.cluster.executor import RESOURCE, DaskExecutor, WorkerFacts
from gcbarrier.machines.cluster.luggage import Luggage, digest

_KNOCK_S, _ANSWERS_S = 5.0, 30.0


@frozen(kw_only=True)
class Cluster:
    """The machines that a scheduler has for us."""

    scheduler: str
    executors: tuple[DaskExecutor, ...]
    refused: Mapping[str, str]
    """Workers that nothing is run on, and why, in a sentence each."""


@contextlib.contextmanager
def connect(address: str, luggage: Luggage, *, share_hosts: bool = False) -> Iterator[Cluster]:
    """The workers of the scheduler at ``address``, each of them a machine that has ``luggage``.

    Those that are there now: what joins later is not used. Of several on one host only the first is, unless
    ``share_hosts``. Left by an exception, it ends what runs there. Raises Unavailable without Dask, GcBarrierError
    where nobody answers, no worker is left, or one has other code than this machine.
    """
    dask = _package()
    try:
        _knock(address)
        client = dask.Client(address, timeout=_ANSWERS_S, set_as_default=False)
    except (OSError, ValueError, TypeError) as problem:
        said = f"{type(problem).__name__}: {problem}".partition("\n")[0]
        raise GcBarrierError(
            f"no Dask scheduler answers at {address} ({said}): start one with `dask scheduler`, or correct --on"
        ) from problem
    with _hushed(), client:
        executors: dict[str, DaskExecutor] = {}
        gone: set[str] = set()

        def heard(event: tuple[float, Any]) -> None:
            _, message = event
            if isinstance(message, dict) and message.get("action") == "remove-worker":
                gone.add(message["worker"])
                if (executor := executors.get(message["worker"])) is not None:
                    executor.lose()

        # Before the workers are listed, so that none can go unheard.
        client.subscribe_topic("all", heard)
        facts, refused = _choose(client, address, share_hosts)
        run = uuid.uuid4().hex
        executors |= {one.address: DaskExecutor(client, one, run) for one in facts}
        for lost in gone & executors.keys():
            executors[lost].lose()
        with contextlib.ExitStack() as stack:
            for executor in executors.values():
                stack.enter_context(executor)
            _each(client, there.receive, run, luggage, workers=list(executors))
            yield Cluster(scheduler=address, executors=tuple(executors.values()), refused=refused)


@contextlib.contextmanager
def _hushed() -> Iterator[None]:
    """Without Dask's own tracebacks on the terminal: what happens to workers and scheduler is told in a sentence."""
    loggers = [logging.getLogger(f"distributed.{name}") for name in ("client", "core", "comm")]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.CRITICAL)
    try:
        yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)


def _knock(address: str) -> None:
    """Raises OSError where nobody listens, ValueError where none could: Dask would ask until its time is over."""
    place = urlsplit(address if "://" in address else f"tcp://{address}")
    if place.scheme in ("tcp", "tls"):
        if not place.hostname or not place.port:
            raise ValueError("an address is tcp://HOST:PORT")
        socket.create_connection((place.hostname, place.port), timeout=_KNOCK_S).close()


def _choose(client: Any, address: str, share_hosts: bool) -> tuple[list[WorkerFacts], dict[str, str]]:
    listed = client.scheduler_info(n_workers=-1)["workers"]
    if not listed:
        raise GcBarrierError(f"the Dask scheduler at {address} has no workers yet: start some with {_command(address)}")
    refused = {}
    for where, about in listed.items():
        if about["resources"].get(RESOURCE, 0) != 1:
            name = _name(where, about)
            refused[name] = (
                f"the worker {name} does not declare that it runs one invocation at a time: "
                f"start it with {_command(address, name)}"
            )
    willing = [where for where, about in listed.items() if about["resources"].get(RESOURCE, 0) == 1]
    if not willing:
        raise GcBarrierError(next(iter(refused.values())))
    answers = _each(client, there.describe, workers=willing)
    found = [_facts(where, listed[where], answers[where]) for where in willing]
    found.sort(key=lambda one: _natural(one.name))
    _check_names(found)
    if share_hosts:
        return [evolve(one, shares_host_with=_neighbours(one, found)) for one in found], refused
    first: dict[str, WorkerFacts] = {}
    for one in found:
        if (other := first.setdefault(one.boot, one)) is not one:
            refused[one.name] = (
                f"the worker {one.name} is on the same host as {other.name}, where they would disturb each other: "
                "it is left out (--share-hosts uses it all the same)"
            )
    return list(first.values()), refused


def _each(client: Any, function: Callable[..., Any], *arguments: Any, workers: Sequence[str]) -> dict[str, Any]:
    """What the function returns on each worker. Raises GcBarrierError where one can't run it."""
    answers: dict[str, Any] = client.run(function, *arguments, workers=workers, on_error="return")
    for where, answer in answers.items():
        if isinstance(answer, GcBarrierError):
            raise GcBarrierError(f"{where}: {answer}")
        if isinstance(answer, Exception):
            raise GcBarrierError(
                f"the worker at {where} can't run this gcbarrier ({type(answer).__name__}: {answer}): install "
                f"{_version()} there, in the environment that `dask worker` is started in"
            )
    return answers


def _facts(where: str, about: Mapping[str, Any], answer: Mapping[str, Any]) -> WorkerFacts:
    name = _name(where, about, answer["host"])
    if answer["digest"] != digest():
        theirs = f"gcbarrier {answer['version']} (code {answer['digest']})"
        raise GcBarrierError(
            f"the worker {name} has {theirs}, and this machine {_version()}: results of different code don't compare; "
            "bring both to the same, and start the worker again"
        )
    return WorkerFacts(
        name=name,
        address=where,
        host=answer["host"],
        boot=answer["boot"],
        pid=answer["pid"],
        profiled=answer["profiled"],
    )


def _version() -> str:
    return f"gcbarrier {host.gcbarrier_version()} (code {digest()})"


def _name(where: str, about: Mapping[str, Any], host_name: str = "") -> str:
    """The worker's own name; where it has none but its address, its host's."""
    given = str(about.get("name", where))
    if "://" in given:
        given = host_name or given.partition("://")[2]
    # It names figures' files as well.
    return re.sub(r"[^\w.-]+", "-", given).strip("-.") or "worker"


def _natural(name: str) -> list[tuple[int, str]]:
    return [(int(part), "") if part.isdecimal() else (0, part) for part in re.split(r"(\d+)", name)]


def _check_names(found: Sequence[WorkerFacts]) -> None:
    names = [one.name for one in found]
    for name in names:
        if name in ("native", "lab") or name.startswith("lab-"):
            raise GcBarrierError(f"a worker is called {name}, as results call this machine or its guest: rename it")
        if names.count(name) > 1:
            raise GcBarrierError(
                f"two workers are called {name}, and results tell machines by name: give one another "
                "with `dask worker --name`"
            )


def _neighbours(one: WorkerFacts, found: Sequence[WorkerFacts]) -> tuple[str, ...]:
    return tuple(other.name for other in found if other is not one and other.boot == one.boot)


def _command(address: str, name: str = "") -> str:
    named = f" --name {name}" if name else ""
    return f'`dask worker {address}{named} --nthreads 1 --resources "{RESOURCE}=1"`'


def _package() -> ModuleType:
    try:
        import distributed
    except ImportError as problem:
        why = "its package distributed is not installed"
        raise Unavailable("Dask", why, "run `pip install 'gcbarrier[dask]'`") from problem
    return distributed


__all__ = ["Cluster", "connect"]
