"""What fits into a time."""

import pytest

from vitime_cache.evidence.budget import Effort, fit_budget

FULL = Effort(heads=288, knocked=288, candidates=288, windows=4, nulls=99, kinds=3, sweep=24, controls=99, sets=99)


def test_a_question_that_fits_is_left_whole():
    assert fit_budget(FULL, 0.001, 0.001, 600) == FULL


@pytest.mark.parametrize("minutes", [20, 30, 60, 240, 2000])
def test_a_smaller_budget_takes_no_longer_than_it_may_at_the_cost_of_the_published_network(minutes):
    effort = fit_budget(FULL, 10.4, 8.7, 60 * minutes)
    assert effort.seconds(10.4, 8.7) <= 60 * minutes or (effort.candidates == 1 and minutes < 30)
    assert effort.knocked >= min(12, effort.heads)
    assert effort.nulls >= 19
    assert effort.controls >= 24


def test_more_time_never_buys_fewer_candidates():
    found = [fit_budget(FULL, 10.4, 8.7, 60 * minutes).candidates for minutes in range(10, 600, 30)]
    assert found == sorted(found)
