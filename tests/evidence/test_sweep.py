"""The sweep that is run for one question."""

import numpy as np
import pytest

from vitime_cache.evidence.levels.sweep import judge_sweep, sweep_periods, sweep_signals

SPP, N = 10.0, 60
PERIODS = sweep_periods(400, SPP)
LAG = np.arange(N)


def curves(*heads) -> np.ndarray:
    """(period, 1, head, n): a bump where each head's function of the period says, None for a flat curve."""
    rows = []
    for period in PERIODS:
        places = [head(period) for head in heads]
        rows.append([0.2 + (0 * LAG if p is None else np.exp(-0.5 * ((LAG - p / SPP) / 0.8) ** 2)) for p in places])
    return np.array(rows)[:, None]


def judged(*heads):
    noise = 0.2 + 1e-4 * np.random.default_rng(0).random((20, 1, len(heads), N))
    return judge_sweep(curves(*heads), PERIODS, SPP, noise, np.ones((1, len(heads)), dtype=bool))


def test_periods_run_from_four_patches_to_a_third_of_the_history():
    assert PERIODS[0] == pytest.approx(4 * SPP)
    assert PERIODS[-1] == pytest.approx(400 / 3)


def test_every_signal_of_the_sweep_has_its_period_and_the_waveform_of_the_series():
    time = np.arange(400)
    series = 7 + np.sin(2 * np.pi * time / 40) + 0.5 * np.sin(4 * np.pi * time / 40 + 1) + 0.01 * time
    for signal, period in zip(sweep_signals(series, 40.0, [25.0, 80.0], 400, 100), (25, 80), strict=True):
        np.testing.assert_allclose(signal.values[period:], signal.values[:-period], atol=1e-9)
        power = np.abs(np.fft.rfft(signal.values[:400])) ** 2
        assert power[2 * 400 // period] / power[400 // period] == pytest.approx(0.25, rel=0.05)


def test_a_series_without_that_period_is_swept_with_a_sine():
    [signal] = sweep_signals(np.zeros(300), 30.0, [50.0], 300, 100)
    power = np.abs(np.fft.rfft(signal.values))
    assert power.argmax() == 6


def test_a_head_that_follows_is_supported_and_one_that_stays_or_has_no_peak_is_refuted():
    rng = np.random.default_rng(3)
    found = judged(lambda p: p, lambda _: 90.0, lambda _: None, lambda _: rng.uniform(30, 130))
    assert found.supported(0.05).tolist() == [[True, False, False, False]]
    assert found.refuted(0.05)[0, :3].tolist() == [False, True, True]
    assert found.measured.slope[0, 0] == pytest.approx(1, abs=0.05)
    assert (found.low[0, 0] <= found.measured.slope[0, 0] <= found.high[0, 0]).all()


def test_a_head_is_measured_on_other_periods_than_it_was_chosen_on():
    chosen_on = set(PERIODS[::2].tolist())
    found = judged(lambda p: p if p in chosen_on else 90.0)
    assert found.chosen.all()
    assert not found.supported(0.05).any()


def test_peaks_at_random_are_almost_never_said_to_follow():
    rng = np.random.default_rng(4)
    heads = [lambda _: rng.uniform(20, 200) for _ in range(200)]
    assert judged(*heads).supported(0.05).sum() == 0
