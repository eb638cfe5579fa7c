"""Wrong on purpose: a reference is held in a local while another object is allocated, and no handle holds it."""

from attrs import field, frozen, validators


@frozen(kw_only=True)
class Params:
    """How much there is besides."""

    entries: int = field(default=256, validator=validators.ge(1))
    """References in the table of each mutator."""
