"""Random training series in the spirit of ViTime's RealTS (arXiv 2407.07311, section 3.1), seeded and vectorised.

Eight regular kinds are made here; five kinds that resemble real series are in `lifelike`.
Every generator maps (rng, n, length, periods) to n series (n, length) and the main period of each (n,), NaN where
there is none; time is counted in image columns.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass

import numpy as np

from vitime_cache.arrays import Floats
from vitime_cache.training.lifelike import autoregressive, drifting, outliers, seasons, skewed
from vitime_cache.training.waveforms import (
    Range,
    cycle,
    log_uniform,
    noise,
    profiles,
    sine,
    standardise,
    textbook_waves,
)

Generator = Callable[[np.random.Generator, int, int, Range], tuple[Floats, Floats]]

PERIODS: Range = (24.0, 300.0)
PATCH = 16  # columns: the whole-patch periods of `copies` are multiples of it


@dataclass(frozen=True)
class Mixture:
    """Shares of the kinds of series in a training batch; they need not sum to 1.

    Attributes
    ----------
    copies
        Exact repeats of an arbitrary waveform with a period of a whole number of patches of 16 columns, which teach
        copying.
    repeats
        The same with any period.
    slow
        One sine with a period of 64 to 160 columns and a little noise.
    sines
        One to four sines.
    blends
        Repeats with a second component, noise, and a trend for two series of five.
    periodic
        One to three waves of textbook shapes, periods 12 to 300 columns, with noise and often a trend.
    spectrum
        Inverse FFT of a random power-law spectrum.
    trend
        Linear, exponential or logistic growth, or a random walk with drift, each with noise.
    autoregressive, drifting, seasons, skewed, outliers
        Properties of real series (see `lifelike`): autoregressive noise; slowly changing amplitude and level; a short
        season within a long one, such as days within a week; skewed or bounded values; single outliers.
    """

    copies: float = 0.0
    repeats: float = 0.0
    slow: float = 0.0
    sines: float = 0.0
    blends: float = 0.0
    periodic: float = 0.0
    spectrum: float = 0.0
    trend: float = 0.0
    autoregressive: float = 0.0
    drifting: float = 0.0
    seasons: float = 0.0
    skewed: float = 0.0
    outliers: float = 0.0

    def __post_init__(self) -> None:
        shares = tuple(asdict(self).values())
        if min(shares) < 0 or not 0 < sum(shares) < float("inf"):
            raise ValueError(f"the shares of a mixture must not be negative and not all zero, got {self}")


def synthesise(
    rng: np.random.Generator, n: int, length: int, mixture: Mixture, periods: Range = PERIODS
) -> tuple[Floats, Floats]:
    """Draw `n` series of `length` columns, each of a kind drawn from `mixture`.

    Parameters
    ----------
    periods
        Smallest and largest period in columns, for all kinds except slow and periodic.

    Returns
    -------
    tuple
        The series (n, length) and the main period of each in columns (n,), NaN where there is none.
    """
    kinds: dict[str, Generator] = {
        "copies": copies, "repeats": repeats, "slow": slow, "sines": sines, "blends": blends, "periodic": periodic,
        "spectrum": spectrum, "trend": trend, "autoregressive": autoregressive, "drifting": drifting,
        "seasons": seasons, "skewed": skewed, "outliers": outliers,
    }  # fmt: skip
    shares = np.array([getattr(mixture, kind) for kind in kinds])
    drawn = rng.choice(len(kinds), size=n, p=shares / shares.sum())
    series, period = np.empty((n, length)), np.empty(n)
    for index, generate in enumerate(kinds.values()):
        chosen = drawn == index
        if chosen.any():
            series[chosen], period[chosen] = generate(rng, int(chosen.sum()), length, periods)
    return series, period


def copies(rng: np.random.Generator, n: int, length: int, periods: Range = PERIODS) -> tuple[Floats, Floats]:
    """Exact repeats whose period is a whole number of patches."""
    low, high = (max(1, round(p / PATCH)) for p in periods)
    period = PATCH * rng.integers(low, high + 1, n).astype(float)
    return cycle(profiles(rng, n), period, rng.random(n), length), period


def repeats(rng: np.random.Generator, n: int, length: int, periods: Range = PERIODS) -> tuple[Floats, Floats]:
    """Exact repeats of an arbitrary waveform, log-uniform periods."""
    period = log_uniform(rng, periods, n)
    return cycle(profiles(rng, n), period, rng.random(n), length), period


def slow(rng: np.random.Generator, n: int, length: int, periods: Range = PERIODS) -> tuple[Floats, Floats]:  # noqa: ARG001
    """One sine with a period of 64 to 160 columns and a little noise."""
    period = log_uniform(rng, (64.0, 160.0), n)
    return np.sqrt(2) * sine(rng, period, length) + noise(rng, n, length, 0.05), period


def sines(rng: np.random.Generator, n: int, length: int, periods: Range = PERIODS) -> tuple[Floats, Floats]:
    """One to four sines of amplitude 0.2 to 1; the main period is that of the strongest."""
    total, largest, main = np.zeros((n, length)), np.zeros(n), np.zeros(n)
    for probability in (1.0, 0.7, 0.4, 0.2):
        amplitude = (rng.random(n) < probability) * rng.uniform(0.2, 1.0, n)
        period = log_uniform(rng, periods, n)
        total += amplitude[:, None] * sine(rng, period, length)
        main = np.where(amplitude > largest, period, main)
        largest = np.maximum(amplitude, largest)
    return standardise(total), main


def blends(rng: np.random.Generator, n: int, length: int, periods: Range = PERIODS) -> tuple[Floats, Floats]:
    """Repeats; half of them with weaker repeats or sines added; noise up to 0.5; a trend for two of five."""
    first, period = repeats(rng, n, length, periods)
    second = np.where(rng.random((n, 1)) < 0.5, repeats(rng, n, length, periods)[0], sines(rng, n, length, periods)[0])
    weight = (rng.random((n, 1)) < 0.5) * rng.uniform(0.2, 1.0, (n, 1))
    drift = (rng.random((n, 1)) < 0.4) * rng.normal(0.0, 2.0, (n, 1)) * np.linspace(-1, 1, length)
    noisy = (rng.random((n, 1)) < 0.8) * noise(rng, n, length, 0.5)
    return standardise(first + weight * second) + drift + noisy, period


def periodic(rng: np.random.Generator, n: int, length: int, periods: Range = PERIODS) -> tuple[Floats, Floats]:  # noqa: ARG001
    """One to three waves with log-uniform periods of 12 to 300 columns, noise, and a trend for every third series."""
    total, period = textbook_waves(rng, n, length, (12.0, 300.0))
    for probability in (0.6, 0.35):
        present = rng.random((n, 1)) < probability
        total += present * rng.uniform(0.2, 1.0, (n, 1)) * textbook_waves(rng, n, length, (12.0, 300.0))[0]
    drift = (rng.random((n, 1)) < 0.33) * rng.normal(0.0, 1.0, (n, 1)) * np.linspace(-1, 1, length)
    return total + drift + noise(rng, n, length, 0.3), period


def spectrum(rng: np.random.Generator, n: int, length: int, periods: Range = PERIODS) -> tuple[Floats, Floats]:  # noqa: ARG001
    """Inverse FFT of independent Gaussian coefficients with power f^-a, where a is uniform in 0.5 … 3."""
    frequency = np.arange(1, length // 2 + 1)
    amplitude = frequency ** (-0.5 * rng.uniform(0.5, 3.0, (n, 1)))
    coefficients = amplitude * (
        rng.standard_normal((n, len(frequency))) + 1j * rng.standard_normal((n, len(frequency)))
    )
    series = np.fft.irfft(np.pad(coefficients, ((0, 0), (1, 0))), n=2 * (length // 2) + 2)[:, :length]
    return standardise(series), np.full(n, np.nan)


def trend(rng: np.random.Generator, n: int, length: int, periods: Range = PERIODS) -> tuple[Floats, Floats]:  # noqa: ARG001
    """Growth of four kinds (linear, exponential, logistic, random walk with drift), with noise."""
    t = np.linspace(0, 1, length)
    rate = rng.uniform(1.0, 6.0, (n, 1))
    linear = np.broadcast_to(t, (n, length))
    exponential = np.expm1(rate * t) / np.expm1(rate)
    logistic = 1 / (1 + np.exp(-4 * rate * (t - rng.uniform(0.2, 0.8, (n, 1)))))
    steps = rng.standard_normal((n, length)) + rng.normal(0, 0.1, (n, 1))
    growth = np.stack([linear, exponential, logistic, standardise(steps.cumsum(axis=1))])
    chosen: Floats = growth[rng.integers(4, size=n), np.arange(n)]
    sign: Floats = rng.choice([-1.0, 1.0], (n, 1))
    return standardise(chosen) * sign + noise(rng, n, length, 0.2), np.full(n, np.nan)
