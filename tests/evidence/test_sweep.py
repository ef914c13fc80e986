"""The inputs of a sweep of periods."""

import numpy as np
import pytest

from vitime_cache.attention.lags import MIN_PAIRS, pair_counts
from vitime_cache.attention.peaks import lags_of_peaks
from vitime_cache.evidence.levels.sweep import (
    BLOCKS,
    FEWEST_PATCHES,
    HARMONICS,
    measured_on,
    sweep_periods,
    sweep_signals,
)

SPP = 10.0
TIME = np.arange(400)


def power(values: np.ndarray) -> np.ndarray:
    return np.abs(np.fft.rfft(values - values.mean())) ** 2


def test_periods_run_from_four_patches_to_a_third_of_the_history():
    periods = sweep_periods(400, SPP)
    assert periods[0] == pytest.approx(4 * SPP)
    assert periods[-1] == pytest.approx(400 / 3)


@pytest.mark.parametrize("patches", [FEWEST_PATCHES, 18, 20, 51, 77])
def test_the_lags_of_the_history_show_a_peak_at_every_period_swept(patches):
    known = pair_counts(77, patches, "history→history")[76:] >= MIN_PAIRS
    longest = lags_of_peaks(np.arange(77), np.where(known, 1.0, np.nan)).max()
    assert sweep_periods(int(SPP * patches), SPP)[-1] / SPP <= longest


@pytest.mark.parametrize("n", [3, 8, 16, 24, 48])
def test_blocks_of_neighbouring_periods_are_chosen_on_and_measured_on_in_turn(n):
    measured = measured_on(n)
    assert np.abs(np.diff(measured.astype(int))).sum() == min(BLOCKS, n) - 1
    assert abs(int(measured.sum()) - int((~measured).sum())) <= max(n // BLOCKS, 1)


def test_every_signal_of_the_sweep_has_its_period_and_the_waveform_of_the_series():
    series = 7 + np.sin(2 * np.pi * TIME / 40) + 0.5 * np.sin(4 * np.pi * TIME / 40 + 1) + 0.01 * TIME
    for signal, period in zip(sweep_signals(series, 40.0, [25.0, 80.0], 400, 100), (25, 80), strict=True):
        np.testing.assert_allclose(signal.values[period:], signal.values[:-period], atol=1e-9)
        there = power(signal.values)
        assert there[2 * 400 // period] / there[400 // period] == pytest.approx(0.25, rel=0.05)


def test_the_waveform_of_the_sweep_has_as_many_harmonics_as_are_fitted_and_no_more() -> None:
    series = sum(np.cos(2 * np.pi * k * TIME / 40 + k) for k in range(1, HARMONICS + 2))
    [signal] = sweep_signals(series, 40.0, [80.0], 400, 100)
    there = power(signal.values)[np.arange(1, HARMONICS + 2) * 5]
    np.testing.assert_allclose(there[:-1], there[0], rtol=0.02)  # the noise is the harmonic that is not fitted
    assert power(signal.values)[60] > 0.5 * there[0]  # 40 / 6 samples, where it stays


def test_the_noise_of_the_series_comes_along_anew_for_every_period_and_neither_its_period_nor_others_do():
    rng = np.random.default_rng(0)
    noise = 0.3 * rng.standard_normal(400)
    series = np.sin(2 * np.pi * TIME / 40) + 2 * np.sin(2 * np.pi * TIME / 16) + noise
    first, second = (s.values for s in sweep_signals(series, 40.0, [50.0, 50.0], 400, 100, others=[16.0]))
    for values in (first, second):
        there = power(values)
        assert there[8] > 50 * np.median(there)
        assert there[[10, 25]].max() < 20 * np.median(there)
        assert np.median(there) == pytest.approx(np.median(power(noise)), rel=0.3)
    assert np.corrcoef(first - second, noise)[0, 1] < 0.2


@pytest.mark.parametrize("history", [300, 900])
def test_a_series_without_that_period_is_swept_with_a_sine_of_its_size(history):
    [signal] = sweep_signals(np.zeros(300), 30.0, [50.0], history, 100)
    assert len(signal.values) == history
    noise = 3 * np.random.default_rng(1).standard_normal(300)
    [signal] = sweep_signals(noise - noise.mean(), 30.0, [50.0], history, 100)
    assert np.isfinite(signal.values).all()
