"""When cycles begin, for a collector that takes another's place in a plan: when the plan says, as far as it can."""

import attrs

from gcbarrier import collectors
from gcbarrier.model import Config, Scalar

_TRIGGERS = frozenset(attrs.fields_dict(collectors.Triggered))
"""The parameters that say so. Whatever else one collector has is its own business."""


def inherited(config: Config, name: str) -> dict[str, Scalar]:
    """Of the parameters of ``config``'s collector those that say when a cycle begins, where ``name`` has them too.

    One that brings its own memory begins them by itself, and takes ``every_s`` alone.
    """
    own = attrs.fields_dict(collectors.find(name).params)
    return {key: value for key, value in config.collector_params.items() if key in _TRIGGERS and key in own}


__all__ = ["inherited"]
