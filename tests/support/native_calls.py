"""Calls of the C core in any order and with any numbers, for a process that may not survive them."""

import random
import sys
from collections.abc import Callable
from typing import Any

from places import PLUGINS

from gcbarrier import barriers
from gcbarrier.core import build
from gcbarrier.core.library import open_core
from gcbarrier.model import Config
from gcbarrier.plugins import discovery
from gcbarrier.session import program as programs

HUGE = (1 << 32) - 1
CONFIG = Config(heap="ring", barrier="uffd-wp-async", collector="mostly-concurrent", heap_bytes=1 << 20, verify=True)
SIZES = (1 << 20, 1 << 20, 1 << 20, 1 << 16, 1 << 15, 0, 1, (1 << 20) + 1, 1 << 40, 1 << 63, (1 << 64) - 1)
"""Not what is merely more than the machine has: gcbarrier.machines.host.fits() is asked about that before."""


def play(seed: int, sequences: int, tracked: bool) -> dict[str, int]:
    """How often each call was made and how often it was refused (``-name``), in so many random sequences.

    Each call is named on standard error before it is made: what was named last is what crashed or hung.
    """
    discovery.add_path(PLUGINS)
    caller = _Caller(seed, tracked)
    for number in range(sequences):
        print(f"sequence {number} of seed {seed}", file=sys.stderr)
        caller.sequence()
    return caller.counts


def crash() -> None:
    """A call that nothing protects from its argument: no space."""
    discovery.add_path(PLUGINS)
    caller = _Caller(0, tracked=False)
    caller.call("gcb_space_address", caller.ffi.NULL)


def misuse() -> dict[str, Any]:
    """What once crashed, hung or went unnoticed: what each says now."""
    discovery.add_path(PLUGINS)
    caller = _Caller(0, tracked=True)
    lib, null, said = caller.lib, caller.ffi.NULL, {}

    def start(space: Any, mutators: int = 1) -> int:
        limits = caller.ffi.new("uint64_t[]", [5000] * 3)
        return int(lib.gcb_start(space, caller.program, mutators, 1, limits, caller.params, null, 0))

    def join(space: Any) -> int:
        return int(lib.gcb_join(space, caller.program, caller.ffi.new("uint64_t *")))

    def reason(result: int) -> str:
        return str(caller.ffi.string(lib.gcb_error()).decode()) if result < 0 else ""

    def attempt(name: str, *steps: Callable[[Any], Any]) -> None:
        print(name, file=sys.stderr, flush=True)
        space = lib.gcb_space_new(1 << 20, 0, caller.ops, True)
        result = [step(space) for step in steps][-1]
        said[name] = reason(result) if isinstance(result, int) else result
        lib.gcb_space_free(space)

    attempt("join before start", join)
    attempt("no mutators", lambda space: start(space, 0))
    attempt("more mutators than globals", lambda space: start(space, 257))
    attempt("start in a cycle", lib.gcb_begin_cycle, start)
    attempt("remark without a cycle", lambda space: lib.gcb_remark(space, 0, 0))
    attempt("watch with mutators", start, lib.gcb_watch_arm)
    attempt("join while stopped", start, lib.gcb_stop, lib.gcb_stop, join)
    attempt("free while stopped", start, lib.gcb_stop)
    # Once too often: the next stop would not have been one.
    attempt("resume without a stop", lib.gcb_resume, start, lib.gcb_begin_cycle, lib.gcb_full, join)
    for name in ("gcb_measured_granule_bytes", "gcb_fault_cost_ns"):
        said[name] = reason(getattr(lib, name)(0, null))
    return said


class _Caller:
    def __init__(self, seed: int, tracked: bool) -> None:
        self.chance = random.Random(seed)
        self.counts: dict[str, int] = {}
        module = open_core(build.core())
        self.ffi, self.lib = module.ffi, module.lib
        prepared = programs.prepare(CONFIG)
        self.params = self.ffi.from_buffer(prepared.params)
        self.program = self.ffi.new("gcb_program *")
        assert self.lib.gcb_load_program(str(prepared.plugin.library).encode(), self.program) == 0
        self.ops = self.ffi.NULL
        if tracked:
            found = self.ffi.new("const gcb_barrier_ops **")
            library = barriers.choose(CONFIG.barrier).compile().library
            assert self.lib.gcb_load_barrier(str(library).encode(), found) == 0
            self.ops = found[0]

    def sequence(self) -> None:
        """One space from its making to its end."""
        any_of = self.chance.choice
        memory, verify = any_of((0, 0, 0, 0, 99, HUGE)), any_of((False, True))
        space = self.call("gcb_space_new", any_of(SIZES), memory, any_of((self.ops, self.ffi.NULL)), verify)
        if space:
            names = list(self.arguments())
            for _ in range(self.chance.randrange(40)):
                name = any_of((*names, *_LIKELY))
                self.call(name, space, *self.arguments()[name])
            self.lib.gcb_space_free(space)
        self.without_a_space()

    def arguments(self) -> dict[str, tuple[Any, ...]]:
        """What each call gets beside its space, this time."""
        any_of, new, null = self.chance.choice, self.ffi.new, self.ffi.NULL
        truth, capacity = any_of((False, True)), any_of((0, 1, 5000))
        mutators = any_of((1, 1, 1, 3, 0, 257, HUGE))
        limits = new("uint64_t[]", [any_of((0, 1, 500, (1 << 64) - 1))] * mutators) if mutators < 4 else null
        number = any_of((0, 1, 1 << 16, (1 << 64) - 1))
        return {
            "gcb_start": (self.program, mutators, number, any_of((limits, null)), self.params, null, 0),
            "gcb_join": (self.program, new("uint64_t *")),
            "gcb_wait": (any_of((0, 1, 200_000)),),
            "gcb_collect": (truth, any_of((False, True))),
            "gcb_arm": (truth,),
            "gcb_stick": (any_of((1, 2, 0, 3)),),
            "gcb_remember": (any_of((False, True)),),
            "gcb_mark": (truth,),
            "gcb_watch_collect": (truth,),
            "gcb_set_trigger": (number,),
            "gcb_ask_to_help": (any_of((0, 1000)),),
            "gcb_remark": (any_of((0, 1, 8)), any_of((0, 1000))),
            "gcb_set_markers": (any_of((1, 2, 3, 0, 9)),),
            "gcb_take_events": (new("char[]", capacity * 64) if capacity else null, capacity),
            "gcb_get_operations": (new("uint64_t[]", 4),),
            "gcb_get_totals": (new("gcb_totals *"),),
            "gcb_get_verification": (new("gcb_verification *"),),
            **dict.fromkeys(_PLAIN, ()),
        }

    def without_a_space(self) -> None:
        """What takes no space, with nothing or nonsense in its place."""
        memory = self.chance.choice((0, 99, HUGE))
        self.call("gcb_measured_granule_bytes", memory, self.ffi.NULL)
        self.call("gcb_fault_cost_ns", memory, self.ffi.NULL)
        for path in (b"", b"/dev/null", b"/nowhere/x.so"):
            self.call("gcb_load_barrier", path, self.ffi.new("const gcb_barrier_ops **"))
            self.call("gcb_load_program", path, self.ffi.new("gcb_program *"))

    def call(self, name: str, *arguments: Any) -> Any:
        """A refusal must come with a reason."""
        said = ", ".join(str(each) for each in arguments if isinstance(each, int))
        print(f"{name}({said})", file=sys.stderr, flush=True)
        result = getattr(self.lib, name)(*arguments)
        refused = (isinstance(result, int) and result < 0) or (name == "gcb_space_new" and not result)
        if refused:
            assert self.ffi.string(self.lib.gcb_error()), f"{name} says nothing of why"
        self.counts[name] = self.counts.get(name, 0) + 1
        self.counts[f"-{name}"] = self.counts.get(f"-{name}", 0) + refused
        return result


_PLAIN = (
    "gcb_finish", "gcb_abandon", "gcb_allocated_bytes", "gcb_begin_cycle", "gcb_snapshot",
    "gcb_allocate_black_from_now", "gcb_forget_marks", "gcb_minor", "gcb_full", "gcb_rescan", "gcb_sweep",
    "gcb_end_cycle", "gcb_stop", "gcb_resume",
    "gcb_watch_arm", "gcb_watch_words", "gcb_granule_bytes", "gcb_space_address", "gcb_metadata_bytes",
    "gcb_alias_huge", "gcb_markers_cpu_ns",
)  # fmt: skip
# Chance alone seldom gets as far as a cycle.
_LIKELY = (
    "gcb_start", "gcb_begin_cycle", "gcb_begin_cycle", "gcb_begin_cycle", "gcb_arm", "gcb_arm", "gcb_mark",
    "gcb_collect", "gcb_rescan", "gcb_remark", "gcb_remark", "gcb_full", "gcb_end_cycle", "gcb_wait",
)  # fmt: skip
