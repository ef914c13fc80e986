"""Training series with properties of real series, from which a network learns when not to copy its past.

Every generator maps (rng, n, length, periods) to n series (n, length) and the main period of each (n,), NaN if there is
none; time is counted in image columns. Real series often have fewer samples than the image has columns, so two series
of three are sampled every 1 to 12 columns and joined by straight lines, as in the encoding.
"""

from __future__ import annotations

import numpy as np
from scipy.signal import lfilter

from vitime_cache.arrays import Floats
from vitime_cache.training.waveforms import (
    Range,
    cycle,
    log_uniform,
    profiles,
    sine,
    standardise,
)

MEMORY: Range = (0.3, 200.0)  # columns in which the correlation of autoregressive noise falls to 1 / e
SAMPLED_EVERY: Range = (1.0, 12.0)  # columns
LONGEST = 0.6  # share of a series: a longer season does not appear twice


def autoregressive(rng: np.random.Generator, n: int, length: int, periods: Range) -> tuple[Floats, Floats]:
    """A wave with first-order autoregressive noise of 0.1 to 2 times its size; one series of four is noise alone."""
    wave, period = _wave(rng, n, length, periods)
    alone = rng.random(n) < 0.25
    series = ~alone[:, None] * wave + _size(rng, n, 0.1, 2.0) * red_noise(rng, n, length)
    return sampled(standardise(series), _intervals(rng, n)), np.where(alone, np.nan, period)


def drifting(rng: np.random.Generator, n: int, length: int, periods: Range) -> tuple[Floats, Floats]:
    """A wave whose amplitude and level change slowly, by smooth curves or random walks, with some noise."""
    wave, period = _wave(rng, n, length, periods)
    amplitude = np.exp(rng.uniform(0, 0.8, (n, 1)) * meander(rng, n, length))
    level = rng.uniform(0, 2, (n, 1)) * np.where(
        rng.random((n, 1)) < 0.5,
        meander(rng, n, length),
        standardise(rng.standard_normal((n, length)).cumsum(axis=1)),
    )
    series = amplitude * wave + level + _size(rng, n, 0.02, 0.4) * red_noise(rng, n, length)
    return sampled(standardise(series), _intervals(rng, n)), period


def seasons(rng: np.random.Generator, n: int, length: int, periods: Range) -> tuple[Floats, Floats]:
    """A short season within a 2 to 12 times longer one, added to it or scaled by it; the period is the short one.

    Examples are days within a week and weeks within a year.
    """
    period = log_uniform(rng, (periods[0], max(periods[0], min(periods[1], LONGEST * length / 2))), n)
    most = np.clip(LONGEST * length / period, 2, 12).astype(np.intp)
    longer = period * rng.integers(2, most + 1)
    short = cycle(profiles(rng, n), period, rng.random(n), length)
    long = cycle(profiles(rng, n), longer, rng.random(n), length)
    weight = rng.uniform(0.3, 1.2, (n, 1))
    series = np.where(rng.random((n, 1)) < 0.5, short + weight * long, short * (1 + 0.5 * weight * long))
    series = standardise(series) + _size(rng, n, 0.02, 0.6) * red_noise(rng, n, length)
    return sampled(standardise(series), _intervals(rng, n)), period


def skewed(rng: np.random.Generator, n: int, length: int, periods: Range) -> tuple[Floats, Floats]:
    """A noisy wave whose values are made skewed (exponential, a power) or bounded (cut off, saturating)."""
    wave, period = _wave(rng, n, length, periods)
    x = standardise(wave + _size(rng, n, 0.05, 1.0) * red_noise(rng, n, length))
    bound = rng.uniform(-1.0, 0.5, (n, 1))
    strength = rng.uniform(0.4, 1.2, (n, 1))
    shaped = np.stack([np.exp(strength * x), np.maximum(x - bound, 0) ** (1 + strength), np.maximum(x, bound),
                       np.tanh(2 * strength * x)])  # fmt: skip
    chosen: Floats = shaped[rng.integers(len(shaped), size=n), np.arange(n)]
    sign: Floats = np.where(rng.random((n, 1)) < 0.75, 1.0, -1.0)
    return sampled(sign * standardise(chosen), _intervals(rng, n)), period


def outliers(rng: np.random.Generator, n: int, length: int, periods: Range) -> tuple[Floats, Floats]:
    """A wave with noise and one to five single samples that are 3 to 8 standard deviations off."""
    wave, period = _wave(rng, n, length, periods)
    every = _intervals(rng, n)
    series = sampled(standardise(wave + _size(rng, n, 0.02, 0.5) * red_noise(rng, n, length)), every)
    time = np.arange(length)
    for probability in (1.0, 0.6, 0.6, 0.4, 0.4):
        at = (rng.random(n) * length // every * every)[:, None]
        height = rng.choice([-1.0, 1.0], (n, 1)) * rng.uniform(3, 8, (n, 1)) * (rng.random((n, 1)) < probability)
        series += height * np.maximum(0, 1 - np.abs(time - np.round(at)) / every[:, None])
    return series, period


def red_noise(rng: np.random.Generator, n: int, length: int) -> Floats:
    """Stationary first-order autoregressive noise of variance 1, with memory log-uniform in `MEMORY`."""
    kept = np.exp(-1 / log_uniform(rng, MEMORY, n))
    shocks = rng.standard_normal((n, length))
    shocks[:, 1:] *= np.sqrt(1 - kept**2)[:, None]  # the first sample has the stationary distribution
    return np.stack([lfilter([1.0], [1.0, -a], row) for a, row in zip(kept, shocks, strict=True)])


def meander(rng: np.random.Generator, n: int, length: int) -> Floats:
    """Smooth curves with a standard deviation of about 1: three sines of half a turn to two, slower ones larger."""
    total = np.zeros((n, length))
    for turns in (0.5, 1.0, 2.0):
        period = length / (turns * rng.uniform(0.5, 1.0, n))
        total += rng.standard_normal((n, 1)) / (1 + turns) * np.sqrt(2) * sine(rng, period, length)
    return total


def sampled(series: Floats, every: Floats) -> Floats:
    """Sample series (n, length) every `every` (n,) columns and join the samples by straight lines."""
    time = np.arange(series.shape[1])
    joined = np.empty_like(series)
    for out, row, interval in zip(joined, series, every, strict=True):
        at = np.round(np.append(np.arange(0, time[-1], interval), time[-1])).astype(np.intp)
        out[:] = np.interp(time, at, row[at])
    return joined


def _intervals(rng: np.random.Generator, n: int) -> Floats:
    """Columns per sample: 1 for one series of three, else log-uniform in `SAMPLED_EVERY`."""
    return np.where(rng.random(n) < 1 / 3, 1.0, log_uniform(rng, SAMPLED_EVERY, n))


def _wave(rng: np.random.Generator, n: int, length: int, periods: Range) -> tuple[Floats, Floats]:
    """Half sines, half repeats of an arbitrary waveform; standard deviation about 1."""
    period = log_uniform(rng, periods, n)
    repeated = cycle(profiles(rng, n), period, rng.random(n), length)
    return np.where(rng.random((n, 1)) < 0.5, np.sqrt(2) * sine(rng, period, length), repeated), period


def _size(rng: np.random.Generator, n: int, smallest: float, largest: float) -> Floats:
    """Log-uniform factors (n, 1)."""
    return log_uniform(rng, (smallest, largest), n)[:, None]
