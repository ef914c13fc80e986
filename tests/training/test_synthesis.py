from __future__ import annotations

import numpy as np
import pytest

from vitime_cache.training.synthesis import Mixture, periodic, slow, spectrum, synthesise, trend


@pytest.mark.parametrize("generate", [slow, periodic, spectrum, trend])
def test_every_kind_is_finite_of_ordinary_size_and_fixed_by_its_seed(generate: object) -> None:
    first, again = (generate(np.random.default_rng(1), 20, 300) for _ in range(2))  # type: ignore[operator]
    assert first.shape == (20, 300)
    assert np.isfinite(first).all()
    assert 0.2 < first.std(axis=1).min() <= first.std(axis=1).max() < 5
    np.testing.assert_array_equal(first, again)
    other = generate(np.random.default_rng(2), 20, 300)  # type: ignore[operator]
    assert not np.allclose(first, other)
    assert len(np.unique(first[:, 0])) == 20, "series of a batch differ"


def test_slow_series_have_the_period_they_claim() -> None:
    length = 1280
    series = slow(np.random.default_rng(0), 50, length)
    power = np.abs(np.fft.rfft(series - series.mean(axis=1, keepdims=True))) ** 2
    period = length / power.argmax(axis=1)
    assert period.min() > 58
    assert period.max() < 175


def test_a_random_spectrum_falls_as_a_power_law() -> None:
    series = spectrum(np.random.default_rng(0), 400, 1024)
    power = (np.abs(np.fft.rfft(series)) ** 2).mean(axis=0)
    slope = np.polyfit(np.log(np.arange(4, 200)), np.log(power[4:200]), 1)[0]
    assert -3.0 < slope < -0.5


def test_a_mixture_of_one_kind_draws_that_kind_alone() -> None:
    drawn = synthesise(np.random.default_rng(3), 10, 640, Mixture(slow=1, periodic=0, spectrum=0, trend=0))
    power = np.abs(np.fft.rfft(drawn - drawn.mean(axis=1, keepdims=True))) ** 2
    share = power.max(axis=1) / power.sum(axis=1)
    assert share.min() > 0.3, "one harmonic holds most of the power"


@pytest.mark.parametrize("shares", [(-1, 1, 0, 0), (0, 0, 0, 0), (float("nan"), 1, 0, 0), (float("inf"), 0, 0, 0)])
def test_impossible_shares_are_refused(shares: tuple[float, float, float, float]) -> None:
    with pytest.raises(ValueError, match="shares of a mixture"):
        Mixture(*shares)
