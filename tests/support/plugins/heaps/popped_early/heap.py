"""Wrong on purpose: a handle is popped, and then what it held is used once more, behind a safepoint."""

from attrs import field, frozen, validators


@frozen(kw_only=True)
class Params:
    """How much there is besides."""

    entries: int = field(default=256, validator=validators.ge(1))
    """References in the table of each mutator."""
