"""What ``gcbarrier run`` was asked for, as one record: a run's manifest keeps it, and so it can be asked for again."""

from attrs import field, frozen

from gcbarrier.campaign.settings import Settings


@frozen(kw_only=True)
class Request:
    """An experiment, and everything that its plan is changed by."""

    experiment: str
    quick: bool = False
    verify: bool = False
    settings: Settings = field(factory=Settings)
