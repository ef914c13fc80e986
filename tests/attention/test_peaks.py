"""Peaks of lag curves."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.signal import peak_prominences

from vitime_cache.attention import peaks
from vitime_cache.attention.lags import LagError

LAG = np.arange(-30, 31)
SPP = 16.0


def bumps(*centres: float, width: float = 0.7, floor: float = 0.2) -> np.ndarray:
    """A curve over LAG with a bump of height 1 at each centre in patches."""
    return floor + sum(np.exp(-0.5 * ((LAG - c) / width) ** 2) for c in centres)


def test_peaks_are_found_where_they_were_put_and_held_against_multiples_of_the_period():
    found = peaks.lag_peaks(LAG, bumps(4, 8, 12), SPP, period=63.0, pairs=31 - np.abs(LAG))
    assert [p.lag for p in found] == [64, 128, 192]
    assert [p.multiple for p in found] == [1, 2, 3]
    assert [p.error for p in found] == [1, 2, 3]
    assert all(p.matches for p in found)
    assert [p.pairs for p in found] == [27, 23, 19]


def test_a_peak_off_every_multiple_does_not_match():
    (peak,) = peaks.lag_peaks(LAG, bumps(6), SPP, period=63.0)
    assert (peak.multiple, peak.error, peak.matches) == (2, 96 - 126, False)


def test_without_a_period_a_peak_is_no_multiple():
    (peak,) = peaks.lag_peaks(LAG, bumps(6), SPP)
    assert peak.multiple == 0
    assert np.isnan(peak.nearest)
    assert not peak.matches


def test_no_peak_matches_a_period_that_the_axis_cannot_resolve():
    (peak,) = peaks.lag_peaks(LAG, bumps(4), SPP, period=6.4)
    assert (peak.multiple, peak.error, peak.matches) == (10, 0, False)
    assert np.isnan(peaks.period_prominence(LAG, bumps(4), SPP, 6.4, (10,)))
    assert peaks.resolvable(32.0, SPP)
    assert not peaks.resolvable(31.4, SPP)
    assert not peaks.resolvable(None, SPP)


def test_peaks_below_two_patches_are_not_reported():
    assert peaks.lag_peaks(LAG, bumps(1, width=0.3), SPP) == []
    assert [p.patches for p in peaks.lag_peaks(LAG, bumps(2, width=0.3), SPP)] == [2]


def test_future_keys_are_read_on_their_own_side():
    curve = bumps(5, -9)
    assert [p.patches for p in peaks.lag_peaks(LAG, curve, SPP, side="future")] == [9]
    assert [p.patches for p in peaks.lag_peaks(LAG, curve, SPP, side="past")] == [5]


@given(centre=st.floats(5, 25))
def test_the_vertex_of_a_smooth_bump_is_finer_than_half_a_patch(centre):
    (peak,) = peaks.lag_peaks(LAG, bumps(centre, width=2.0), SPP)
    assert abs(peak.lag - centre * SPP) <= SPP / 2 + 1e-9
    assert abs(peak.vertex - centre * SPP) <= SPP / 20


def test_small_bumps_are_left_out_and_masked_ends_do_not_hide_peaks():
    curve = bumps(6) + 0.01 * np.exp(-0.5 * ((LAG - 14) / 0.7) ** 2)
    curve[np.abs(LAG) > 25] = np.nan
    assert [p.patches for p in peaks.lag_peaks(LAG, curve, SPP)] == [6]
    assert [p.patches for p in peaks.lag_peaks(LAG, curve, SPP, min_prominence=0.01)] == [6, 14]


def test_a_flat_curve_has_no_peak():
    assert peaks.lag_peaks(LAG, np.full(61, 0.5), SPP, min_prominence=0.0) == []
    assert peaks.lag_peaks(LAG, np.full(61, np.nan), SPP) == []


@given(arrays(np.float64, (2, 12), elements=st.floats(0, 1), unique=True))
def test_prominences_are_those_of_scipy_two_steps_from_either_end_and_zero_elsewhere(curves):
    for curve, strength in zip(curves, peaks.prominences(curves), strict=True):
        top = [i for i in range(2, 10) if curve[i] > max(curve[i - 1], curve[i + 1])]
        np.testing.assert_array_equal(np.flatnonzero(strength), top)
        np.testing.assert_allclose(strength[top], peak_prominences(curve, top)[0])


def test_prominence_at_the_period_is_measured_in_means_of_the_curve():
    curves = np.stack([bumps(4), bumps(6), bumps(8)])
    values = peaks.period_prominence(LAG, curves, SPP, 63.0)
    assert values[1:].tolist() == [0, 0]
    assert values[0] == pytest.approx(1 / bumps(4)[LAG >= 2].mean(), rel=1e-3)
    both = peaks.period_prominence(LAG, curves, SPP, 63.0, (1, 2))
    assert (both > 0).tolist() == [True, False, True]


def test_a_period_beyond_the_axis_has_no_prominence_not_none():
    assert np.isnan(peaks.period_prominence(LAG, bumps(4), SPP, 1e5))
    cut = np.where(np.abs(LAG) <= 12, bumps(4), np.nan)
    for patches in (20, 12, 11):  # the last two lags are known, but no peak counts there
        assert np.isnan(peaks.period_prominence(LAG, cut, SPP, patches * SPP))
    assert peaks.period_prominence(LAG, cut, SPP, 10 * SPP) == 0


def test_what_is_known_of_one_curve_does_not_change_what_is_found_of_another():
    """A head that never attends to a lag has no ratio to its baseline there."""
    short = np.where(np.abs(LAG) <= 12, bumps(5), np.nan)
    curves = np.stack([bumps(14), short, np.full(61, np.nan)])
    assert peaks.strongest_peak(LAG, curves, 1.0)[:2].tolist() == [14, 5]
    assert peaks.first_peaks(LAG, curves, 1.0)[:2] == pytest.approx([14, 5], abs=0.05)
    one_by_one = [peaks.period_prominence(LAG, curve, 1.0, 14.0) for curve in curves]
    np.testing.assert_allclose(peaks.period_prominence(LAG, curves, 1.0, 14.0), one_by_one)
    assert np.isfinite(one_by_one).tolist() == [True, False, False]


def test_the_prominence_of_future_keys_is_read_on_their_own_side():
    curve = bumps(5, -9)
    assert peaks.period_prominence(LAG, curve, SPP, 5 * SPP) > 1
    assert peaks.period_prominence(LAG, curve, SPP, 5 * SPP, side="future") == 0
    assert peaks.period_prominence(LAG, curve, SPP, 9 * SPP, side="future") > 1


@pytest.mark.parametrize("start", [7, 8])
def test_the_edge_where_a_region_ends_is_no_peak(start):
    falling = np.where(start <= LAG, np.exp(-LAG / 10), np.nan)
    falling[start == LAG] = falling[start + 1 == LAG] - 0.05  # one point below the next: a peak by the letter
    assert peaks.lag_peaks(LAG, falling, SPP) == []
    rising = np.where((LAG >= 2) & (LAG <= 20), np.exp(LAG / 10), np.nan)
    rising[LAG == 20] = rising[LAG == 19] - 0.5
    assert peaks.lag_peaks(LAG, rising, SPP) == []


def test_a_period_half_way_between_two_bins_counts_both():
    assert peaks.period_prominence(LAG, bumps(5), SPP, 5.5 * SPP) > 0
    assert peaks.period_prominence(LAG, bumps(6), SPP, 5.5 * SPP) > 0
    assert peaks.period_prominence(LAG, bumps(7), SPP, 5.5 * SPP) == 0


@given(centres=st.lists(st.floats(3, 25), min_size=1, max_size=4))
def test_first_peaks_are_the_nearest_of_the_listed_peaks_curve_by_curve(centres):
    curves = np.stack([bumps(c, c + 4) for c in centres] + [np.full(61, 0.3)])
    first = peaks.first_peaks(LAG, curves, SPP)
    listed = [peaks.lag_peaks(LAG, curve, SPP)[0].vertex for curve in curves[:-1]]
    np.testing.assert_allclose(first[:-1], listed)
    assert np.isnan(first[-1])


def test_a_ripple_before_the_first_real_peak_does_not_count():
    curve = bumps(9) + 0.2 * np.exp(-0.5 * ((LAG - 4) / 0.7) ** 2)
    assert peaks.first_peaks(LAG, curve, SPP) == pytest.approx(9 * SPP, abs=1)
    assert [p.patches for p in peaks.lag_peaks(LAG, curve, SPP)] == [4, 9]


def test_a_weaker_peak_before_the_strongest_is_the_first():
    curve = bumps(12) + 0.4 * np.exp(-0.5 * ((LAG - 6) / 0.7) ** 2)
    assert peaks.first_peaks(LAG, curve, SPP) == pytest.approx(6 * SPP, abs=1)


@pytest.mark.parametrize(
    ("change", "message"),
    [({"period": -3.0}, "got -3.0"), ({"side": "left"}, "'left'"), ({"curve": np.ones(4)}, r"\(4,\)")],
)
def test_bad_arguments_are_errors_that_quote_them(change, message):
    arguments = {"lag": LAG, "curve": bumps(4), "samples_per_patch": SPP} | change
    with pytest.raises(LagError, match=message):
        peaks.lag_peaks(**arguments)
