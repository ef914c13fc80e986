"""A head on two signals: what they share, and what may be said where one is a reduction of the other."""

import re
from dataclasses import replace

import numpy as np
import pytest

from vitime_cache.compare.maps import CompareError
from vitime_cache.compare.reduction import RATIO_FLOOR, SignalCurve, compare, prominence_ratio, times
from vitime_cache.compare.words import reading

LAG = np.arange(-40, 41)
SPP = 16.0
REMOVAL = ("remov", "gone", "vanish", "without", "whole", "harmonic")


def bumps(*lags_in_samples: float, spp: float = SPP, lag: np.ndarray = LAG) -> np.ndarray:
    """A flat curve with a bump at each lag, 0.7 patches wide."""
    return sum((np.exp(-0.5 * ((lag - at / spp) / 0.7) ** 2) for at in lags_in_samples), np.full(len(lag), 0.2))


def whole(*lags: float, periods: tuple[float, ...] = (62.8, 31.4), **options) -> SignalCurve:
    return SignalCurve("whole", LAG, bumps(*lags), SPP, periods, **options)


def reduced(*lags: float, periods: tuple[float, ...] = (31.4,), of: str = "whole") -> SignalCurve:
    return SignalCurve("reduced", LAG, bumps(*lags), SPP, periods, reduced_of=of)


def words(found) -> str:
    said = reading(found)
    return " ".join((said.conclusion, *said.supports, *said.does_not_support))


def test_peaks_are_kept_vanished_or_new():
    result = compare(whole(64, 128, 300), reduced(144, 480), period=62.8)
    assert [(c.lag, c.status) for c in result.changes] == [
        (64, "vanished"),
        (128, "kept"),
        (304, "vanished"),
        (480, "new"),
    ]
    assert [c.multiple for c in result.changes] == [1, 2, 0, 0]


@pytest.mark.parametrize("lags", [(128, 480), (80, 144, 480)])  # the latter a patch from those of the whole
def test_the_reduction_may_be_chosen_first_and_is_still_called_the_reduction(lags):
    forth = compare(whole(64, 128), reduced(*lags))
    back = compare(reduced(*lags), whole(64, 128))
    assert [(c.lag, c.status) for c in back.changes] == [(c.lag, c.status) for c in forth.changes]
    np.testing.assert_array_equal(
        [(c.first, c.second) for c in back.changes], [(c.second, c.first) for c in forth.changes]
    )
    assert reading(back) == reading(forth)
    assert back.ratios == forth.ratios


@pytest.mark.parametrize("pair", [(whole(64, 192), reduced(300, of="")), (whole(64, 192), whole(64, 192))])
def test_nothing_is_said_to_be_removed_where_neither_signal_reduces_the_other(pair):
    result = compare(*pair, period=64.0)
    said = reading(result)
    claimed = " ".join((said.conclusion, *said.supports))
    assert not any(word in claimed.replace("whole only", "").replace("in whole", "") for word in REMOVAL)
    assert result.ratios == {}
    assert "neither" in " ".join(said.does_not_support)


def test_what_was_removed_comes_from_the_signals_and_not_from_the_period_asked_about():
    result = compare(whole(64, 136), reduced(), period=136.0)
    assert result.removed == (62.8,)
    assert "multiples of 62.8, are gone" in reading(result).conclusion
    assert "136 samples, at" not in reading(result).conclusion
    assert [c.multiple for c in result.changes] == [0, 1]


def test_an_unknown_removal_is_not_named():
    result = compare(whole(64, periods=()), reduced(periods=()), period=64.0)
    assert result.removed == ()
    assert "harmonic" not in reading(result).conclusion
    assert "Which period was removed" in words(result)


def test_what_was_removed_is_not_known_where_the_periods_of_the_reduction_are_not():
    for one, other in ((whole(64), reduced(periods=())), (reduced(periods=()), whole(64))):
        result = compare(one, other)
        assert result.removed == ()
        assert result.ratios == {}
        assert "with that harmonic" not in words(result)
        assert "Which period was removed" in words(result)


def test_of_a_removed_period_beyond_what_the_axes_show_nothing_is_said():
    result = compare(whole(64, periods=(31.4, 630.0)), reduced(64))
    assert "no peak to lose" not in words(result)
    assert "Anything about 630 samples: these lag axes show no peak at a multiple of it." in words(result)


def test_unequal_lag_axes_are_compared_in_samples_where_both_can_show_a_peak():
    lag = np.arange(-76, 77)
    coarse = SignalCurve("coarse", LAG, bumps(64, 288), SPP)
    fine = SignalCurve("fine", lag, bumps(66, 20, spp=4.0, lag=lag), 4.0)
    result = compare(coarse, fine)
    assert [(c.lag, c.status) for c in result.changes] == [(64, "in both"), (288, "first only")]
    assert "16 samples a patch, fine 4" in words(result)
    short = SignalCurve("short", lag, bumps(66, spp=1.3, lag=lag), 1.3)
    assert [c.lag for c in compare(coarse, short).changes] == [64], "288 lies beyond the axis of the other"


@pytest.mark.parametrize(
    ("shown", "expected"), [((8, 40), [304]), ((0, 12), [64, 128]), ((6, 16), [128]), ((3, 3), [])]
)
def test_a_peak_is_said_to_be_missing_only_where_the_other_axis_could_show_one(shown, expected):
    """Lags with too few pairs are missing at either end, and no peak counts two steps from there."""
    flat = np.where((np.abs(LAG) >= shown[0]) & (np.abs(LAG) <= shown[1]), 0.2, np.nan)
    other = SignalCurve("reduced", LAG, flat, SPP, (31.4,), reduced_of="whole")
    found = compare(whole(64, 128, 304), other)
    assert [(c.lag, c.status) for c in found.changes] == [(lag, "vanished") for lag in expected]
    assert list(found.ratios) == [k * 62.8 for k in (1, 2) if k * 64 in expected]
    assert "both can show peaks" in words(found)
    beside = compare(whole(64, 128, 304), replace(other, reduced_of=""))
    assert [(c.lag, c.status) for c in beside.changes] == [(lag, "first only") for lag in expected]


def test_that_peaks_of_both_are_a_patch_apart_is_said():
    apart, near = compare(whole(128, 300), reduced(144, 300)), compare(whole(128, 304), reduced(128, 300))
    assert [(c.lag, c.apart) for c in apart.changes] == [(128, 16), (304, 0)]
    assert "peaks at 128 samples, to within a patch, with and without" in words(apart)
    assert "to within" not in words(near)
    lone = compare(whole(128), reduced(144, of=""))
    assert reading(lone).supports == ("On both signals this head's lag curve peaks at 128 samples, to within a patch.",)


def test_two_peaks_are_not_paired_with_the_same_one():
    result = compare(whole(128, 160), reduced(144))
    assert sorted(c.status for c in result.changes) == ["kept", "vanished"]


def test_future_keys_are_compared_on_their_own_side():
    a = SignalCurve("a", LAG, bumps(64, -160), SPP)
    b = SignalCurve("b", LAG, bumps(64), SPP)
    assert [(c.lag, c.status) for c in compare(a, b).changes] == [(64, "in both")]
    assert [(c.lag, c.status) for c in compare(a, b, side="future").changes] == [(160, "first only")]


def test_the_ratio_compares_prominence_at_one_and_two_periods_and_never_divides_by_noise():
    result = compare(whole(64, 128), reduced(128))
    one, two = result.ratios.values()
    assert one > 10
    assert "where no peak counts as 0.02: " in reading(result).conclusion
    assert list(compare(whole(64, 300), reduced(300)).ratios) == [62.8], "no ratio where neither has a peak"
    assert two == pytest.approx(1, rel=0.5)
    assert "whole over reduced" in reading(result).conclusion
    assert prominence_ratio(whole(64, 128), reduced(128), 62.8) == pytest.approx(two)
    assert prominence_ratio(whole(), reduced(), 62.8) == 1
    level = bumps(64)[LAG >= 2].mean()
    assert prominence_ratio(whole(64), reduced(), 62.8, (1,)) == pytest.approx(1 / level / RATIO_FLOOR, rel=1e-2)
    assert np.isnan(prominence_ratio(whole(64), reduced(), 6.28))


def test_a_lost_multiple_is_said_and_so_is_one_that_stays():
    lost = reading(compare(whole(64, 192), reduced()))
    assert "64, 192 samples" in lost.conclusion
    assert "gone" in lost.conclusion
    stayed = reading(compare(whole(64, 192), reduced(64, 192)))
    assert "Those at 64, 192 samples, at multiples of 62.8, stay without that harmonic: 62.8 = " in stayed.conclusion
    assert "gone" not in stayed.conclusion
    one = reading(compare(whole(64, 192, periods=(62.8, 31.4, 20.93)), reduced(192, periods=(31.4, 20.93)))).conclusion
    assert "The one at 64 samples, at a multiple of 62.8, is gone with that harmonic. The one at 192 samples, " in one
    assert "too, stays without it: 62.8 = 2 × 31.4 samples ≈ 3 × 20.93 samples, which remain." in one
    assert "62.8 = 2 × 31.4 samples" in " ".join(stayed.supports), "what remains explains them"
    assert "no peak to lose at a multiple" in reading(compare(whole(300), reduced())).conclusion


def test_a_peak_that_a_remaining_period_explains_is_said_to_be_and_none_is_said_to_need_nothing():
    both = compare(whole(64, 300), reduced(64, 300))
    explained, other = reading(both).supports
    assert "64 samples with and without the removed part; what remains explains them: 62.8 = 2 × 31.4" in explained
    assert "300" not in explained
    assert other == "Its lag curve peaks at 304 samples with and without the removed part."
    resolved = compare(whole(64, periods=(62.8, 64.0)), reduced(64, periods=(64.0,)))
    assert "64 samples has a multiple there" in " ".join(reading(resolved).supports)
    unrelated = compare(whole(128, periods=(62.8, 50.0)), reduced(128, periods=(50.0,)))
    assert "explains" not in words(unrelated)
    for found in (both, resolved, unrelated):
        assert "need" not in words(found)


def test_a_period_below_the_resolution_explains_only_what_it_makes_a_multiple_of():
    exact = compare(whole(64, periods=(62.83, 6.283)), reduced(64, periods=(6.283,)))
    assert "62.83 = 10 × 6.283" in words(exact)
    nearly = compare(whole(64, periods=(62.83, 31.9)), reduced(64, periods=(31.9, 31.415)))
    assert "62.83 ≈ 2 × 31.9 samples = 2 × 31.41 samples" in words(nearly)
    off = compare(whole(64, periods=(62.83, 6.7)), reduced(64, periods=(6.7,)))
    assert "explains" not in words(off), "every lag lies near a multiple of it"


@pytest.mark.parametrize(
    ("period", "other", "count"),
    [(62.83, 31.42, 2), (168.0, 24.0, 7), (62.83, 33.0, 0), (24.0, 168.0, 0), (24.0, 24.0, 0)],
)
def test_how_many_times_one_period_makes_another(period, other, count):
    assert times(period, other) == count


def test_an_absent_peak_has_no_prominence():
    vanished, new = compare(whole(64), reduced(300)).changes
    assert np.isnan(vanished.second)
    assert vanished.first > 0
    assert np.isnan(new.first)


def test_without_peaks_there_is_nothing_to_conclude():
    result = compare(whole(), reduced())
    assert result.changes == ()
    assert "nothing to compare" in reading(result).conclusion


@pytest.mark.parametrize("of", ["whole", ""])
@pytest.mark.parametrize("first", [(), (64, 192), (300,)])
@pytest.mark.parametrize("second", [(), (64,), (480,)])
def test_no_comparison_claims_tracking_causes_or_significance(first, second, of):
    said = reading(compare(whole(*first), reduced(*second, of=of), period=62.8))
    claimed = " ".join((said.conclusion, *said.supports)).lower()
    for word in ("track", "cause", "specialis", "significan", "because", "depends", "proves"):
        assert word not in claimed
    denied = " ".join(said.does_not_support)
    for rung in ("null inputs", "sweep", "knocking"):
        assert rung in denied


def test_a_period_below_the_resolution_and_one_that_shares_multiples_are_named_as_limits():
    unresolved = compare(whole(64, periods=(6.28, 200.0)), reduced(periods=(200.0,)))
    assert "6.28 samples: these lag axes resolve no period below 32 samples" in words(unresolved)
    assert unresolved.ratios == {}
    shared = reading(compare(whole(64, periods=(62.8, 33.0, 200.0)), reduced(periods=(33.0, 200.0)))).does_not_support
    assert any("33 samples has a multiple there" in limit for limit in shared)
    assert not any("200 has" in limit for limit in shared)


def test_a_curve_that_does_not_fit_its_lags_is_an_error():
    with pytest.raises(CompareError, match=r"\(81,\), \(4,\)"):
        SignalCurve("a", LAG, np.ones(4), SPP)


@pytest.mark.parametrize("pair", [
    (whole(64, 128, 300, sample_seconds=3600.0), replace(reduced(144, 480), sample_seconds=3600.0)),
    (whole(64, 128, 300, sample_seconds=3600.0), replace(reduced(144, 480, of=""), sample_seconds=3600.0)),
    (whole(64, periods=(62.8, 9.0), sample_seconds=3600.0), replace(reduced(), sample_seconds=3600.0)),
])  # fmt: skip
def test_every_span_that_two_hourly_signals_are_compared_by_is_told_in_time_too(pair):
    said = words(compare(*pair))
    assert " samples (" in said
    assert not re.search(r"samples(?! \()", said.replace("in samples", "")), said


def test_signals_of_other_spacing_are_compared_in_samples_alone():
    said = words(compare(whole(64, 128, sample_seconds=3600.0), reduced(144)))
    assert "hours" not in said
    assert "days" not in said
    daily = replace(reduced(64), sample_seconds=86400.0)
    other = words(compare(whole(64, 128, sample_seconds=3600.0), daily))
    assert "lags are compared in samples, 1 hour apart in whole and 1 day in reduced" in other
    assert "one span of time" not in words(compare(whole(64, sample_seconds=86400.0 * (1 + 1e-15)), daily))
