"""Wrong on purpose: the object that was made last is kept in a variable of the program's own, and in no global."""

from attrs import field, frozen, validators


@frozen(kw_only=True)
class Params:
    """How much there is besides."""

    entries: int = field(default=256, validator=validators.ge(1))
    """References in the table of each mutator."""
