from __future__ import annotations

import numpy as np
import pytest

from vitime_cache.training.synthesis import (
    Mixture,
    blends,
    copies,
    periodic,
    repeats,
    sines,
    slow,
    spectrum,
    synthesise,
    trend,
)
from vitime_cache.training.waveforms import profiles


@pytest.mark.parametrize("generate", [copies, repeats, slow, sines, blends, periodic, spectrum, trend])
def test_every_kind_is_finite_of_ordinary_size_and_fixed_by_its_seed(generate: object) -> None:
    (first, period), (again, _) = (generate(np.random.default_rng(1), 20, 600) for _ in range(2))  # type: ignore[operator]
    assert first.shape == (20, 600)
    assert period.shape == (20,)
    assert np.isfinite(first).all()
    assert 0.05 < first.std(axis=1).min() <= first.std(axis=1).max() < 8
    np.testing.assert_array_equal(first, again)
    other, _ = generate(np.random.default_rng(2), 20, 600)  # type: ignore[operator]
    assert not np.allclose(first, other)
    assert len(np.unique(first[:, 0])) > 10, "series of a batch differ"


def test_copies_repeat_exactly_after_a_whole_number_of_patches_in_the_range() -> None:
    series, period = copies(np.random.default_rng(0), 30, 640, (64.0, 96.0))
    assert set(period) == {64.0, 80.0, 96.0}
    for values, p in zip(series, period.astype(int), strict=True):
        np.testing.assert_allclose(values[p:], values[:-p], atol=1e-9)


def test_repeats_return_after_their_period_and_periods_keep_to_their_range() -> None:
    series, period = repeats(np.random.default_rng(0), 200, 640, (40.0, 200.0))
    assert 40 <= period.min() < 50 < 150 < period.max() <= 200
    at = np.arange(640)
    for values, p in zip(series[:20], period, strict=False):
        later = np.interp(at[at < 640 - p - 1] + p, at, values)
        assert np.median(np.abs(later - values[: len(later)])) < 0.1, "interpolated between samples"


def test_the_main_period_of_sines_is_that_of_the_strongest() -> None:
    series, period = sines(np.random.default_rng(0), 60, 4096, (30.0, 300.0))
    power = np.abs(np.fft.rfft(series * np.hanning(4096))) ** 2
    assert np.mean(np.abs(np.log(4096 / power.argmax(axis=1) / period)) < 0.1) > 0.9


def test_series_without_a_period_say_so() -> None:
    mixture = Mixture(repeats=0.5, trend=0.5)
    series, period = synthesise(np.random.default_rng(0), 40, 200, mixture)
    assert series.shape == (40, 200)
    assert 10 < np.isnan(period).sum() < 30
    assert np.nanmin(period) >= 24


def test_waveforms_are_of_many_kinds_and_scaled_alike() -> None:
    drawn = profiles(np.random.default_rng(0), 50)
    np.testing.assert_allclose(drawn.mean(axis=1), 0, atol=1e-9)
    np.testing.assert_allclose(drawn.std(axis=1), 1, atol=1e-6)
    levels = [len(np.unique(np.round(each, 6))) for each in drawn]
    assert min(levels) < 10, "steps"
    assert max(levels) > 200, "smooth ones"


def test_slow_series_have_the_period_they_claim() -> None:
    length = 1280
    series, period = slow(np.random.default_rng(0), 50, length)
    power = np.abs(np.fft.rfft(series - series.mean(axis=1, keepdims=True))) ** 2
    found = length / power.argmax(axis=1)
    assert 64 <= period.min() <= period.max() <= 160
    np.testing.assert_allclose(found, period, rtol=0.1)


def test_a_random_spectrum_falls_as_a_power_law() -> None:
    series, _ = spectrum(np.random.default_rng(0), 400, 1024)
    power = (np.abs(np.fft.rfft(series)) ** 2).mean(axis=0)
    slope = np.polyfit(np.log(np.arange(4, 200)), np.log(power[4:200]), 1)[0]
    assert -3.0 < slope < -0.5


def test_a_mixture_of_one_kind_draws_that_kind_alone() -> None:
    drawn, _ = synthesise(np.random.default_rng(3), 10, 640, Mixture(slow=1))
    power = np.abs(np.fft.rfft(drawn - drawn.mean(axis=1, keepdims=True))) ** 2
    share = power.max(axis=1) / power.sum(axis=1)
    assert share.min() > 0.3, "one harmonic holds most of the power"


@pytest.mark.parametrize("shares", [(-1, 1, 0, 0), (0, 0, 0, 0), (float("nan"), 1, 0, 0), (float("inf"), 0, 0, 0)])
def test_impossible_shares_are_refused(shares: tuple[float, float, float, float]) -> None:
    with pytest.raises(ValueError, match="shares of a mixture"):
        Mixture(*shares)
