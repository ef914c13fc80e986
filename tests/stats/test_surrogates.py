"""Null inputs."""

import numpy as np
import pytest
from scipy.signal import lfilter

from vitime_cache.stats import surrogates as nulls

T = 512


@pytest.fixture
def series():
    time = np.arange(T)
    noise = lfilter([1], [1, -0.7], np.random.default_rng(0).standard_normal(T))
    return 3 + np.sin(2 * np.pi * time / 62.8) + 0.5 * np.sin(2 * np.pi * time / 31.4) + 0.3 * noise


@pytest.mark.parametrize("kind", nulls.KINDS)
def test_every_null_is_fixed_by_its_seed_and_unlike_the_next(kind, series):
    first = nulls.null_series(kind, series, 5, seed=3, period=62.8)
    assert first.shape == (5, T)
    np.testing.assert_array_equal(first, nulls.null_series(kind, series, 5, seed=3, period=62.8))
    assert (np.abs(first[0] - first[1]) > 1e-6).mean() > 0.9
    assert not np.allclose(first, nulls.null_series(kind, series, 5, seed=4, period=62.8))


def test_shuffled_keeps_the_samples_and_loses_the_correlation(series):
    null = nulls.shuffled(series, 50)
    np.testing.assert_allclose(np.sort(null, axis=1), np.sort(series)[None].repeat(50, 0))
    lag_1 = [np.corrcoef(x[1:], x[:-1])[0, 1] for x in null]
    assert abs(np.mean(lag_1)) < 3 / np.sqrt(50 * T)


def test_ar1_has_the_mean_variance_and_lag_1_correlation_of_the_series_but_no_period(series):
    null = nulls.ar1(series, 400)
    assert null.mean() == pytest.approx(series.mean(), abs=0.1)
    assert null.std() == pytest.approx(series.std(), rel=0.05)
    e, x = null - null.mean(), series - series.mean()
    lag_1 = (e[:, 1:] * e[:, :-1]).sum() / (e**2).sum()
    assert lag_1 == pytest.approx((x[1:] * x[:-1]).sum() / (x**2).sum(), abs=0.01)
    power = (np.abs(np.fft.rfft(e)) ** 2).mean(axis=0)
    assert power[8] < power[4:8].mean()  # a red spectrum, without the peak that bin 8 (64 samples) has in the series


def test_phase_randomised_keeps_the_spectrum_and_the_mean(series):
    for x in (series, series[:-1]):
        null = nulls.phase_randomised(x, 4)
        np.testing.assert_allclose(np.abs(np.fft.rfft(null)), np.abs(np.fft.rfft(x))[None].repeat(4, 0), atol=1e-8)
        np.testing.assert_allclose(null.mean(axis=1), x.mean())


@pytest.mark.parametrize("period", [62.8, 50.0, 33.3])
def test_notched_takes_the_period_and_its_harmonics_out_and_leaves_what_lies_between_them(period):
    time = np.arange(T)
    periodic = np.sin(2 * np.pi * time / period + 0.4) + 0.6 * np.cos(4 * np.pi * time / period)
    assert np.std(nulls.notched(periodic, period)) < 1e-6 * np.std(periodic)
    between = np.cos(2 * np.pi * time * 2.5 / period + 1)
    rest = nulls.notched(2 + between + periodic, period)
    assert rest.mean() == pytest.approx(2, abs=0.05)
    assert np.mean((rest - 2 - between) ** 2) < 0.05 * np.var(between)


def test_a_period_known_to_a_quarter_bin_is_still_notched():
    time = np.arange(T)
    x = np.sin(2 * np.pi * time * (1 / 62.8 + 0.25 / T))
    assert np.std(nulls.notched(x, 62.8)) < 1e-3


def test_the_table_says_which_nulls_a_claim_about_a_period_is_held_against():
    assert nulls.null_kinds(50.0) == ("shuffled", "ar1", "notched")
    assert nulls.null_kinds() == ("shuffled", "ar1")


def test_a_constant_series_has_constant_nulls():
    for kind in nulls.KINDS:
        np.testing.assert_allclose(nulls.null_series(kind, np.full(64, 2.5), 3, period=16), 2.5, atol=1e-9)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: nulls.null_series("pink", np.arange(9.0), 3), "no null 'pink'"),
        (lambda: nulls.null_series("notched", np.arange(9.0), 3), "needs the period"),
        (lambda: nulls.notched(np.arange(9.0), 1.5), "got 1.5"),
        (lambda: nulls.shuffled([1.0, np.nan, 2.0, 3.0], 2), "finite"),
        (lambda: nulls.shuffled(np.arange(9.0), 0), "got 0"),
    ],
)
def test_what_cannot_be_made_is_an_error_that_says_why(call, message):
    with pytest.raises(nulls.NullError, match=message):
        call()
