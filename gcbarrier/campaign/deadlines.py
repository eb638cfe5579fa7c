"""How long an invocation may take before it counts as hung: by what it is to take, and by what its like has taken.

The first of a configuration has what was guessed of it many times over. Its like have run on this machine in this very
hour: those after it get a few times what the longest of them took. Within an invocation the session is stricter still
once the heap is built (:mod:`gcbarrier.session.deadline`).
"""

from attrs import field, frozen

from gcbarrier.model import Config, to_json

_TIMES = 5
"""Invocations of a configuration differ; not by so much unless one hangs."""
_LEAST_S = 20.0
"""A machine may be busy for a while that has nothing to do with how long an invocation is."""


def guessed_s(estimate_s: float) -> float:
    """Before anything is known: many times the estimate, and a minute for what it does not know of."""
    return 60 + 10 * estimate_s


@frozen(kw_only=True)
class Deadlines:
    """Of one run: what each configuration has taken so far."""

    _longest_s: dict[str, float] = field(factory=dict, init=False)

    def limit_s(self, config: Config, at_most_s: float) -> float:
        """After so long the next invocation counts as hung; never more than ``at_most_s``."""
        longest_s = self._longest_s.get(to_json(config))
        return at_most_s if longest_s is None else min(at_most_s, _LEAST_S + _TIMES * longest_s)

    def took(self, config: Config, seconds: float) -> None:
        """One has ended well after so long."""
        key = to_json(config)
        self._longest_s[key] = max(self._longest_s.get(key, 0.0), seconds)


__all__ = ["Deadlines", "guessed_s"]
