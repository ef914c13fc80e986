"""The spectrum of noise, and how improbable a line in it is."""

import numpy as np
import pytest
from scipy.signal import freqz, lfilter, periodogram
from scipy.stats import kstest

from vitime_cache.stats.spectrum import noise_spectrum, running_mean_spectrum

N = 800


def spectrum(x: np.ndarray) -> np.ndarray:
    return periodogram(x, window="hann", scaling="density")[1][1:]


def noise(rng: np.random.Generator, numerator, denominator) -> np.ndarray:
    return lfilter(numerator, denominator, rng.standard_normal(N + 500))[500:]


@pytest.mark.parametrize(
    ("numerator", "denominator"),
    [([1], [1]), ([1], [1, -0.9]), ([1, 0.6], [1]), ([1], [1, -1.2, 0.64]), ([1], [1, 0.7])],
    ids=["white", "red", "moving average", "broad resonance", "blue"],
)
def test_the_spectrum_fitted_is_that_of_the_noise(numerator, denominator):
    rng = np.random.default_rng(0)
    fitted = noise_spectrum(np.stack([spectrum(noise(rng, numerator, denominator)) for _ in range(20)])).power
    true = 2 * np.abs(freqz(numerator, denominator, 2 * np.pi * np.arange(1, N // 2 + 1) / N)[1]) ** 2
    ratio = np.log(fitted / true)
    assert np.abs(ratio[:, 20:-20].mean(axis=0)).max() < 0.35
    assert np.abs(ratio.mean()) < 0.1


@pytest.mark.parametrize("samples", [24, 60, 150])
@pytest.mark.parametrize("memory", [0.0, 0.9])
def test_the_spectrum_fitted_to_a_running_mean_has_its_zeros(samples, memory):
    rng = np.random.default_rng(9)
    seen = [spectrum(noise(rng, np.full(samples, 1 / samples), [1, -memory])) for _ in range(200)]
    fitted = [one.power[0] for one in running_mean_spectrum(np.stack(seen[:20])).values()]
    assert len(fitted) == 20
    ratio = np.log(np.mean(fitted, axis=0) / np.mean(seen, axis=0))
    zeros = np.arange(2, samples // 2) * N // samples - 1
    assert np.abs(ratio[zeros]).mean() < 0.5
    assert np.abs(ratio[10:-10]).mean() < 0.3


@pytest.mark.parametrize("memory", [0.0, 0.95, -0.7])
def test_noise_that_is_no_running_mean_is_not_taken_for_one(memory):
    rng = np.random.default_rng(10)
    assert len(running_mean_spectrum(np.stack([spectrum(noise(rng, [1], [1, -memory])) for _ in range(60)]))) <= 1


def test_a_line_does_not_move_the_spectrum_of_the_noise_that_it_stands_in():
    rng = np.random.default_rng(1)
    x = noise(rng, [1], [1, -0.6])
    line = 5 * np.sin(2 * np.pi * np.arange(N) / 20)
    with_line, without = noise_spectrum(np.stack((spectrum(x + line), spectrum(x)))).power
    ratio = with_line / without
    assert np.median(ratio) == pytest.approx(1, abs=0.1)
    assert ratio.max() < 2


@pytest.mark.parametrize("memory", [0.0, 0.8])
def test_the_p_value_of_a_bin_named_beforehand_is_uniform(memory):
    rng = np.random.default_rng(2)
    power = np.stack([spectrum(noise(rng, [1], [1, -memory])) for _ in range(300)])
    p = noise_spectrum(power).p_value(np.full(300, 60), power[:, 60])
    assert kstest(p, "uniform").pvalue > 0.01
    assert np.mean(p <= 0.01) <= 0.03


def test_more_power_gives_a_smaller_p_value_and_no_power_gives_one():
    power = np.array([0.0, 1.0, 10.0, 100.0, 1e300])
    fitted = noise_spectrum(np.tile(spectrum(noise(np.random.default_rng(3), [1], [1])), (len(power), 1)))
    p = fitted.p_value(np.full(len(power), 50), power)
    assert p[0] == 1
    assert np.all(np.diff(p) < 0)
    assert p[-1] >= 0


@pytest.mark.parametrize("bins", [8, 9, 50, 5000])
def test_spectra_of_any_length_and_without_power_are_fitted(bins):
    rng = np.random.default_rng(4)
    assert noise_spectrum(rng.exponential(size=(2, bins))).power.shape == (2, bins)
    assert np.isfinite(noise_spectrum(np.zeros((1, bins))).power).all()


def test_a_spectrum_is_fitted_the_same_alone_and_among_others():
    rng = np.random.default_rng(5)
    power = np.stack([spectrum(noise(rng, [1], [1, -memory])) for memory in (0.0, 0.5, 0.99)])
    at, high = np.array([7, 60, 200]), power.max(axis=1)
    together = noise_spectrum(power)
    alone = [noise_spectrum(each[None]) for each in power]
    np.testing.assert_allclose(together.power, [each.power[0] for each in alone], rtol=1e-9)
    p = [each.p_value(at[[i]], high[[i]])[0] for i, each in enumerate(alone)]
    np.testing.assert_allclose(together.p_value(at, high), p, rtol=1e-6)
