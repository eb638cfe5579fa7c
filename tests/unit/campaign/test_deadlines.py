"""How long an invocation may take: by the guess, and then by what its like has taken."""

from gcbarrier.campaign.deadlines import Deadlines
from gcbarrier.model import Config, evolve

SHORT = Config(heap="ring", barrier="none", collector="stop-the-world", duration_s=0.1)


def test_the_guess_stands_until_one_of_its_kind_has_ended() -> None:
    deadlines = Deadlines()
    deadlines.took(evolve(SHORT, duration_s=9.0), 10.0)
    assert deadlines.limit_s(SHORT, 600.0) == 600.0


def test_afterwards_it_follows_the_longest_and_never_exceeds_the_guess() -> None:
    deadlines = Deadlines()
    for seconds in (3.0, 7.0, 2.0):
        deadlines.took(SHORT, seconds)
    limit_s = deadlines.limit_s(SHORT, 600.0)
    assert 7.0 < limit_s < 600.0
    longer = Deadlines()
    longer.took(SHORT, 14.0)
    assert longer.limit_s(SHORT, 600.0) - limit_s == 5 * 7.0
    assert longer.limit_s(SHORT, 30.0) == 30.0
