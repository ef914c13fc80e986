from __future__ import annotations

import numpy as np
import pytest

from vitime_cache.stats.stand_ins import PHASES, moved, shifts, stand_ins


def test_a_wave_on_a_trend_is_moved_and_the_trend_is_not() -> None:
    time = np.arange(240.0)
    found = moved(np.sin(2 * np.pi * time / 24), 12, 24)
    np.testing.assert_allclose(found, -np.sin(2 * np.pi * time / 24), atol=0.12)  # half a period: the wave upside down
    slope = 0.05
    with_trend = moved(np.sin(2 * np.pi * time / 24) + slope * time, 12, 24)
    assert np.polyfit(time, with_trend, 1)[0] == pytest.approx(slope, rel=0.02)


def test_earlier_samples_come_in_where_they_are_known_else_those_a_whole_period_later() -> None:
    rng = np.random.default_rng(0)
    series = rng.standard_normal(100)
    series -= np.polyval(np.polyfit(np.arange(80), series[20:], 1), np.arange(-20, 80))  # the history has no trend
    np.testing.assert_allclose(moved(series[20:], 7, 10, series[:20]), series[13:93], atol=1e-12)
    alone = moved(series[20:], 7, 10)
    np.testing.assert_allclose(alone[7:], series[20:93], atol=1e-12)
    np.testing.assert_allclose(alone[:7], series[23:30], atol=1e-12)
    some = moved(series[20:], 7, 10, series[17:20])
    np.testing.assert_allclose(some[4:7], series[17:20], atol=1e-12)


@pytest.mark.parametrize("period", [2, 2.5, 3, 4.4, 7, 23.97, 62.83])
def test_shifts_are_whole_samples_less_than_a_period_and_differ_while_they_can(period: float) -> None:
    found = shifts(period, 8)
    assert all(1 <= shift < period for shift in found)
    assert len(set(found)) == min(8, len({max(1, round(p * period)) for p in PHASES}))
    assert found == shifts(period, 16)[:8]


def test_a_stand_in_has_the_samples_of_the_history_and_none_in_between() -> None:
    x = np.random.default_rng(1).standard_normal(50)
    trend = np.polyval(np.polyfit(np.arange(50), x, 1), np.arange(50))
    rest = set(np.round(x - trend, 9))
    for each in stand_ins(x, 10, 4):
        assert set(np.round(each - trend, 9)) <= rest


def test_a_period_of_one_sample_has_no_other_phase() -> None:
    with pytest.raises(ValueError, match="has no other phase"):
        shifts(1.9, 1)
