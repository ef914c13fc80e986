"""Two periods of one series: which heads carry which, what is said of it, and what cannot be compared."""

import re

import numpy as np
import pytest
import xarray as xr

from vitime_cache.compare.maps import CompareError
from vitime_cache.compare.periods import compare_periods, conclusion, limits, shares, supports
from vitime_cache.evidence.verdict import schema as vschema
from vitime_cache.evidence.verdict.mock import mock_verdict


def with_set(ds: xr.Dataset, *heads: tuple[int, int]) -> xr.Dataset:
    rank = np.full(ds["set_rank"].shape, np.nan, np.float32)
    for place, at in enumerate(heads, 1):
        rank[at] = place
    return ds.assign(set_rank=(ds["set_rank"].dims, rank))


def day(**options) -> xr.Dataset:
    return mock_verdict(period=24.0, sample_seconds=3600.0, **options)


def week(**options) -> xr.Dataset:
    return mock_verdict(period=168.0, sample_seconds=3600.0, **options)


def test_heads_of_both_sets_are_told_apart_from_those_of_one():
    found = compare_periods(with_set(day(), (2, 3), (0, 1), (2, 0)), with_set(week(), (2, 0), (1, 1)))
    assert found.both == ((2, 0),)
    assert found.first_only == ((2, 3), (0, 1))
    assert found.second_only == ((1, 1),)
    assert found.periods == (24.0, 168.0)
    said = conclusion(found)
    assert "A period of 24 samples (24 hours)" in said or "A period of 24 samples" in said
    assert "1 carries both (decoder.0 · 0), 2 only the first (decoder.0 · 3; encoder.0 · 1), 1 only the second" in said


def test_a_head_that_was_not_tried_for_the_other_period_is_not_said_to_be_of_one_alone():
    tried = with_set(week(), (2, 0))
    tried["head_share"][2, 3] = np.nan
    told = limits(compare_periods(with_set(day(), (2, 3), (0, 1)), tried))
    assert "That a period of 168 samples (7 days) does without decoder.0 · 3: not tried alone there." in told


def test_shares_and_places_of_both_are_told_of_every_head():
    table = shares(compare_periods(with_set(day(), (2, 3)), with_set(week(), (2, 3), (0, 0))))
    assert set(table) == {"first", "second", "first_place", "second_place"}
    assert int(table["first_place"][2, 3]) == 1
    assert int(table["first_place"][0, 0]) == 0
    assert int(table["second_place"][0, 0]) == 2


def test_a_week_that_is_seven_days_shares_its_lags_with_the_day_and_that_is_said():
    assert any("168 = 7 × 24" in limit for limit in limits(compare_periods(day(), week())))
    near = vschema.with_facts(week(), question=vschema.facts(week(), "question") | {"period": 167.5})
    assert any("167.5 ≈ 7 × 24" in limit for limit in limits(compare_periods(day(), near)))
    half = mock_verdict(period=36.0, sample_seconds=3600.0)
    for pair in ((day(), half), (half, day())):
        assert any("2 × 36 = 3 × 24" in limit for limit in limits(compare_periods(*pair)))
    other = mock_verdict(period=100.0)
    assert not any("×" in limit for limit in limits(compare_periods(mock_verdict(period=64.0), other)))


def test_other_stretches_and_levels_that_are_missing_are_told():
    found = compare_periods(day(), week(stages=vschema.STAGES[:2]))
    assert any("not worked on yet: the few heads" in limit for limit in limits(found))
    assert "No set of heads is named for a period of 168" in conclusion(found)
    longer = vschema.with_facts(week(), window_facts=vschema.facts(week(), "window_facts") | {"history": 999})
    assert any("999" in limit for limit in limits(compare_periods(day(), longer)))


def test_a_stretch_that_was_given_or_has_fewer_windows_is_not_said_to_be_chosen_for_its_period():
    given = vschema.with_facts(
        week(), window_facts=vschema.facts(week(), "window_facts") | {"history": 999, "chosen": False}
    )
    assert "shows its period well" not in " ".join(limits(compare_periods(day(), given)))
    [said] = [each for each in limits(compare_periods(day(windows=2), week())) if "only the period differs" in each]
    assert "2 windows" in said
    assert "one window" in said


def test_periods_that_are_nearly_equal_are_not_separate():
    near = vschema.with_facts(day(), question=vschema.facts(day(), "question") | {"period": 24.1})
    for pair in ((day(), near), (near, day())):
        assert "That the two are separate: they differ by 0.1 samples (6 minutes), so" in " ".join(
            limits(compare_periods(*pair))
        )


def test_without_a_share_none_is_made_up():
    (first, second) = supports(compare_periods(day(), week(kind="indifferent")))
    assert "84 %" in first
    assert "no share is known" in second


def test_verdicts_of_other_series_or_weights_and_of_one_period_are_not_compared():
    def changed(ds: xr.Dataset, **facts: object) -> xr.Dataset:
        return vschema.with_facts(ds, question=vschema.facts(ds, "question") | facts)

    for other, words in (
        (changed(week(), series_sha256="1"), "different series"),
        (changed(week(), weights_sha256="1"), "different weights"),
        (day(), r"both verdicts are about 24 samples \(24 hours\)"),
    ):
        with pytest.raises(CompareError, match=words):
            compare_periods(day(), other)


def test_nothing_is_claimed_of_a_difference():
    found = compare_periods(day(), week())
    claimed = " ".join((conclusion(found), *supports(found))).lower()
    for word in ("because", "speciali", "signific", "more than the", "tracks"):
        assert word not in claimed
    assert "exceeds chance" in " ".join(limits(found))


def test_every_span_that_two_periods_are_compared_by_is_told_in_time_too():
    longer = vschema.with_facts(week(), window_facts=vschema.facts(week(), "window_facts") | {"history": 999})
    found = compare_periods(day(), longer)
    said = " ".join((conclusion(found), *supports(found), *limits(found)))
    assert "999, " in said
    assert said.count("samples (") >= 5
    assert not re.search(r"\d samples(?! \()", said)
