"""A ring of references to small objects, overwritten at random: the smallest heap that a collector can get wrong."""

from attrs import field, frozen, validators


@frozen(kw_only=True)
class Params:
    """How large it is."""

    entries: int = field(default=4096, validator=validators.ge(1))
    """References in the ring."""
    raw_bytes: int = field(default=16, validator=validators.ge(8))
    """Raw bytes of each object."""
    keep: bool = False
    """Let every object refer to the one made before it, so that nothing ever dies."""
