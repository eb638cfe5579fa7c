"""Operations that burn a known time and sleep another of their own will: what is timed must tell them apart."""

from attrs import field, frozen, validators


@frozen(kw_only=True)
class Params:
    """How long."""

    burn_ns: int = field(default=3_000_000, validator=validators.ge(0))
    """By the clock, in each operation."""
    rate_per_s: float = field(default=100.0, validator=validators.gt(0))
    """Operations per second: the rest of the time is slept."""
