from __future__ import annotations

from collections.abc import Callable
from dataclasses import fields

import numpy as np
import pytest
from scipy.ndimage import median_filter
from scipy.stats import kurtosis, skew

from vitime_cache.arrays import Floats
from vitime_cache.training import lifelike
from vitime_cache.training.lifelike import (
    autoregressive,
    drifting,
    meander,
    outliers,
    red_noise,
    sampled,
    seasons,
    skewed,
)
from vitime_cache.training.synthesis import PERIODS, Mixture, repeats, sines, synthesise

Kind = Callable[..., tuple[Floats, Floats]]


@pytest.mark.parametrize("generate", [autoregressive, drifting, seasons, skewed, outliers])
def test_every_lifelike_kind_is_finite_of_ordinary_size_and_fixed_by_its_seed(generate: Kind) -> None:
    (first, period), (again, _) = (generate(np.random.default_rng(1), 40, 600, PERIODS) for _ in range(2))
    assert first.shape == (40, 600)
    assert period.shape == (40,)
    assert np.isfinite(first).all()
    assert 0.3 < first.std(axis=1).min() <= first.std(axis=1).max() < 3
    assert np.nanmin(period) >= PERIODS[0]
    assert np.nanmax(period) <= PERIODS[1]
    np.testing.assert_array_equal(first, again)
    assert not np.allclose(first, generate(np.random.default_rng(2), 40, 600, PERIODS)[0])


@pytest.mark.parametrize("length", [40, 600, 2464])
@pytest.mark.parametrize("periods", [(2.0, 3.0), (24.0, 300.0), (500.0, 900.0)])
def test_every_kind_of_a_mixture_takes_any_length_and_any_periods(length: int, periods: tuple[float, float]) -> None:
    for kind in (field.name for field in fields(Mixture)):
        drawn, _ = synthesise(np.random.default_rng(0), 5, length, Mixture(**{kind: 1.0}), periods)
        assert drawn.shape == (5, length), kind
        assert np.isfinite(drawn).all(), kind


def test_a_quarter_of_the_autoregressive_series_have_no_wave_and_say_so() -> None:
    _, period = autoregressive(np.random.default_rng(0), 400, 200, PERIODS)
    assert 70 < np.isnan(period).sum() < 130


def test_red_noise_is_stationary_and_forgets_as_its_memory_says(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lifelike, "MEMORY", (20.0, 20.0))
    noise = red_noise(np.random.default_rng(0), 4000, 100)
    np.testing.assert_allclose(noise.var(axis=0), 1, atol=0.15)
    for lag in (1, 10, 40):
        np.testing.assert_allclose((noise[:, lag] * noise[:, 0]).mean(), np.exp(-lag / 20), atol=0.06)


def test_a_drifting_series_keeps_neither_its_level_nor_its_amplitude() -> None:
    def change(generate: Kind) -> tuple[float, float]:
        series, _ = generate(np.random.default_rng(0), 300, 1200, (24.0, 60.0))
        ends = series[:, :300], series[:, -300:]
        level = np.abs(ends[0].mean(axis=1) - ends[1].mean(axis=1))
        swing = np.abs(np.log(ends[0].std(axis=1) / ends[1].std(axis=1)))
        return float(np.median(level)), float(np.median(swing))

    (level, swing), (level_kept, swing_kept) = change(drifting), change(repeats)
    assert level > 0.5 > 0.1 > level_kept
    assert swing > 0.2 > 0.1 > swing_kept


def test_meandering_curves_are_smooth_and_about_as_large_as_the_wave_they_move() -> None:
    curve = meander(np.random.default_rng(0), 400, 1000)
    assert 0.5 < np.sqrt((curve**2).mean()) < 1.5
    assert np.abs(np.diff(curve)).max() < 0.1


def test_two_seasons_return_better_after_the_long_one_than_after_the_short_one() -> None:
    def gain(generate: Kind) -> Floats:
        """Autocorrelation at the best multiple of the period, less that at the period."""
        series, period = generate(np.random.default_rng(0), 100, 2400, (24.0, 60.0))

        def alike(values: Floats, lag: float) -> float:
            return float(np.corrcoef(values[round(lag) :], values[: -round(lag)])[0, 1])

        gains = [max(alike(x, k * p) for k in range(2, 13)) - alike(x, p) for x, p in zip(series, period, strict=True)]
        return np.array(gains)

    assert np.mean(gain(seasons) > 0.05) > 0.75
    assert np.mean(gain(repeats) > 0.05) < 0.25, "of periods that are no whole number of columns"


def test_the_short_of_two_seasons_leaves_room_for_the_long_one() -> None:
    _, period = seasons(np.random.default_rng(0), 200, 600, PERIODS)
    assert period.max() <= 600 * 0.6 / 2


def test_skewed_series_are_skewed_or_bounded_and_sines_are_neither() -> None:
    def odd(generate: Kind) -> float:
        series, _ = generate(np.random.default_rng(0), 200, 1000, PERIODS)
        at_bound = np.maximum(
            *((np.abs(series - edge(axis=1, keepdims=True)) < 0.05).mean(axis=1) for edge in (series.max, series.min))
        )
        return float(np.mean((np.abs(skew(series, axis=1)) > 0.5) | (at_bound > 0.2)))

    assert odd(skewed) > 0.7
    assert odd(sines) < 0.2


def test_outliers_are_single_samples_far_from_their_neighbours(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lifelike, "_intervals", lambda rng, n: np.ones(n))  # noqa: ARG005
    monkeypatch.setattr(lifelike, "MEMORY", (200.0, 200.0))
    series, _ = outliers(np.random.default_rng(0), 100, 1200, (100.0, 300.0))
    off = np.abs(series - median_filter(series, size=(1, 5))) > 2
    assert off.any(axis=1).mean() > 0.95
    assert np.median(off.sum(axis=1)) <= 5, "the edges of steps count too"
    assert np.median(kurtosis(series, axis=1)) > kurtosis(np.sin(np.arange(600)))


def test_an_outlier_of_a_coarse_series_is_as_wide_as_its_sampling(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lifelike, "_intervals", lambda rng, n: np.full(n, 8.0))  # noqa: ARG005
    series, _ = outliers(np.random.default_rng(3), 50, 801, PERIODS)
    bends = np.abs(np.diff(series, 2)) > 1e-9
    assert not bends[:, np.arange(1, 800) % 8 != 0].any(), "straight between its samples"


@pytest.mark.parametrize("interval", [1.0, 2.0, 3.7, 12.0, 100.0])
def test_sampled_series_pass_through_what_was_sampled_and_are_straight_between(interval: float) -> None:
    series = np.random.default_rng(0).standard_normal((2, 101))
    joined = sampled(series, np.full(2, interval))
    at = np.unique(np.round(np.append(np.arange(0, 100, interval), 100)).astype(int))
    np.testing.assert_array_equal(joined[:, at], series[:, at])
    between = np.setdiff1d(np.arange(1, 100), at)
    np.testing.assert_allclose(np.diff(joined, 2)[:, between - 1], 0, atol=1e-12)
