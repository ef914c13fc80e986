"""Period tracking."""

import numpy as np
import pytest
from scipy.stats import linregress

from vitime_cache.evidence.levels import tracking as evidence
from vitime_cache.evidence.verdict import schema as vschema

LAG = np.arange(-40, 41)
SPP = 16.0
PERIODS = np.linspace(48, 224, 12)


def bump(lag_in_samples: float, height: float = 1.0) -> np.ndarray:
    return 0.2 + height * np.exp(-0.5 * ((LAG - lag_in_samples / SPP) / 0.8) ** 2)


def sweep(*heads) -> np.ndarray:
    """Curves (period, head, L) of heads whose peak lies at head(period) samples."""
    return np.stack([[bump(head(p)) for head in heads] for p in PERIODS])


def test_a_head_that_follows_the_period_has_slope_one_and_a_positional_head_slope_zero():
    tracking = evidence.track_periods(LAG, sweep(lambda p: p, lambda _: 100.0, lambda p: 2 * p), PERIODS, SPP)
    np.testing.assert_allclose(tracking.slope, [1, 0, 2], atol=0.03)
    assert (tracking.r_squared[[0, 2]] > 0.99).all()
    assert tracking.r_squared[1] == 0
    assert tracking.tracks.tolist() == [True, False, False]


def test_slope_and_r_squared_are_those_of_least_squares_over_the_periods_with_a_peak():
    rng = np.random.default_rng(0)
    curves = sweep(lambda p: p + rng.normal(0, 25))
    curves[[2, 7], 0] = 0.2  # no peak at two periods
    tracking = evidence.track_periods(LAG, curves, PERIODS, SPP)
    known = np.isfinite(tracking.lags[:, 0])
    assert tracking.found == pytest.approx([10 / 12])
    expected = linregress(PERIODS[known], tracking.lags[known, 0])
    assert tracking.slope[0] == pytest.approx(expected.slope)
    assert tracking.intercept[0] == pytest.approx(expected.intercept)
    assert tracking.r_squared[0] == pytest.approx(expected.rvalue**2)


@pytest.mark.parametrize("unit", [1e-4, 1e4])
def test_slope_and_r_squared_do_not_depend_on_the_unit_of_time(unit):
    """Periods of seconds counted in days, say: guards against dividing by zero must guard against nothing else."""
    curves = sweep(lambda p: p + 20 * np.sin(p), lambda p: 100 + 0.1 * p)
    tracking = evidence.track_periods(LAG, curves, PERIODS, SPP)
    scaled = evidence.track_periods(LAG, curves, unit * PERIODS, unit * SPP)
    for name in ("slope", "r_squared", "error", "found"):
        np.testing.assert_allclose(getattr(scaled, name), getattr(tracking, name), rtol=1e-6, err_msg=name)
    for name in ("lags", "intercept"):
        np.testing.assert_allclose(getattr(scaled, name), unit * getattr(tracking, name), rtol=1e-6, err_msg=name)


def test_dividing_by_unrelated_signals_uncovers_a_peak_that_position_hides():
    positional = bump(48, height=6.0)
    curves = positional * sweep(lambda p: p)
    hidden = evidence.track_periods(LAG, curves, PERIODS, SPP)
    unrelated = np.stack([positional, 2 * positional])[:, None]
    shown = evidence.track_periods(LAG, curves, PERIODS, SPP, unrelated)
    assert not hidden.tracks[0]
    assert shown.tracks[0]


def test_a_head_without_peaks_has_no_slope_and_is_never_chosen():
    curves = np.concatenate((np.full((12, 1, 81), 0.2), sweep(lambda p: p)), axis=1)
    tracking = evidence.track_periods(LAG, curves, PERIODS, SPP)
    assert np.isnan(tracking.slope[0])
    assert tracking.found.tolist() == [0, 1]
    assert evidence.choose_head(tracking) == (1,)
    with pytest.raises(evidence.EvidenceError, match="no head"):
        evidence.choose_head(evidence.track_periods(LAG, curves[:, :1], PERIODS, SPP))


def test_the_head_chosen_among_layers_and_heads_is_the_one_that_tracks():
    curves = sweep(lambda p: 0.5 * p + 60, lambda _: 90.0, lambda p: p + 3, lambda p: 300 - p).reshape(12, 2, 2, 81)
    tracking = evidence.track_periods(LAG, curves, PERIODS, SPP)
    assert evidence.choose_head(tracking) == (1, 0)
    assert tracking.tracks.tolist() == [[False, False], [True, False]]


@pytest.mark.parametrize(("curves", "periods"), [(np.ones((2, 81)), [50, 60]), (np.ones((4, 81)), [50, 60, 70])])
def test_a_sweep_without_enough_periods_or_curves_is_an_error(curves, periods):
    with pytest.raises(evidence.EvidenceError, match=f"got {len(periods)} periods"):
        evidence.track_periods(LAG, curves, periods, SPP)


N = 60
MANY = np.geomspace(48, 300, 48)
HALF = np.arange(48) // 6 % 2 == 1


def tracked(*heads, rng=None, jitter: float = 0.0, level: float = 0.05):
    """(1, head) of curves whose bump lies where each head's function of the period says, None for a flat curve."""
    rng = rng or np.random.default_rng(0)
    lag, rows = np.arange(N), []
    for period in MANY:
        places = [None if (p := head(period)) is None else p + jitter * rng.standard_normal() for head in heads]
        bumps = [0 * lag if p is None else np.exp(-0.5 * ((lag - p / SPP) / 0.8) ** 2) for p in places]
        rows.append([0.2 + bump for bump in bumps])
    flat = np.full((1, len(heads), N), 0.2)
    asked = np.ones((1, len(heads)), dtype=bool)
    return evidence.track(np.array(rows)[:, None], MANY, HALF, SPP, flat, asked, level)


def test_a_head_that_follows_is_supported_and_one_that_stays_or_has_no_peak_is_refuted():
    found = tracked(lambda p: p, lambda _: 90.0, lambda _: None, lambda p: 1.5 * p)
    assert found.claimed.verdict[0].tolist() == [vschema.SUPPORTED, *[vschema.NOT_SUPPORTED] * 3]
    low, high = evidence.TRACKING_SLOPE
    assert low <= found.claimed.low[0, 0] <= found.claimed.figure[0, 0] <= found.claimed.high[0, 0] <= high
    assert found.claimed.p_value[0, 0] <= 0.05
    assert np.isnan(found.claimed.p_value[0, 1:]).all()
    assert found.chosen.tolist() == [[True, False, False, False]]


def test_a_head_is_judged_by_its_own_curves_whatever_is_known_of_another():
    lag = np.arange(N)
    curves = np.array([[0.2 + np.exp(-0.5 * ((lag - p / SPP) / 0.8) ** 2)] * 2 for p in MANY])[:, None]
    baseline = np.full((1, 2, N), 0.2)
    baseline[0, 1, 10:] = 0  # the second head never attends there
    found = evidence.track(curves, MANY, HALF, SPP, baseline, np.ones((1, 2), dtype=bool), 0.05)
    assert found.claimed.verdict[0, 0] == vschema.SUPPORTED


def test_a_slope_near_one_whose_interval_is_wide_is_neither_supported_nor_refuted():
    found = tracked(lambda p: p, jitter=35.0)
    assert found.claimed.verdict[0, 0] == vschema.INCONCLUSIVE
    low, high = evidence.TRACKING_SLOPE
    assert found.claimed.low[0, 0] < low or found.claimed.high[0, 0] > high
    assert not found.claimed.p_value[0, 0] <= 0.05


def test_a_head_is_measured_on_other_blocks_of_periods_than_it_was_chosen_on():
    chosen_on = set(MANY[~HALF].tolist())
    found = tracked(lambda p: p if p in chosen_on else 90.0)
    assert found.chosen.all()
    assert (found.claimed.verdict != vschema.SUPPORTED).all()


def test_p_value_and_interval_agree_and_peaks_at_random_are_never_said_to_follow():
    rng = np.random.default_rng(4)
    found = tracked(*[lambda _: rng.uniform(40, 400)] * 100, *[lambda p: p] * 3, rng=rng, jitter=12.0)
    assert (found.claimed.verdict[0, :100] != vschema.SUPPORTED).all()
    low, high = evidence.TRACKING_SLOPE
    inside = (found.claimed.low >= low) & (found.claimed.high <= high)
    chosen = found.chosen & np.isfinite(found.claimed.p_value)
    assert chosen.sum() >= 3
    np.testing.assert_array_equal(inside[chosen], (found.claimed.p_value <= 0.05)[chosen])


def test_the_error_of_a_slope_is_that_of_least_squares():
    rng = np.random.default_rng(0)
    tracking = evidence.track_periods(LAG, sweep(lambda p: p + rng.normal(0, 25)), PERIODS, SPP)
    assert tracking.error[0] == pytest.approx(linregress(PERIODS, tracking.lags[:, 0]).stderr)
