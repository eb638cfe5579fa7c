"""What ``gcbarrier run`` was asked for, as one record: a run's manifest keeps it, and so it can be asked for again."""

from attrs import field, frozen

from gcbarrier.campaign.settings import Settings
from gcbarrier.campaign.until import BUDGET_S


@frozen(kw_only=True)
class Request:
    """An experiment, and everything that its plan is changed by."""

    experiment: str
    quick: bool = False
    verify: bool = False
    settings: Settings = field(factory=Settings)
    until: float = 0.0
    """Add invocations until the intervals that the report shows are as narrow: the half width as a share of the centre
    (:mod:`gcbarrier.campaign.until`). 0: the plan's invocations and no more."""
    budget_s: float = BUDGET_S
    """For how long a machine may take then, the plan's own invocations included."""
