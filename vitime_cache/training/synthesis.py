"""Random training series in the spirit of ViTime's RealTS (arXiv 2407.07311, section 3.1), seeded and vectorised.

Every generator maps (rng, n, length) to n series (n, length); time is counted in image columns.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Generator = Callable[[np.random.Generator, int, int], Floats]


@dataclass(frozen=True)
class Mixture:
    """Shares of the kinds of series in a training batch; they need not sum to 1.

    Attributes
    ----------
    slow
        One harmonic with a period of 64 to 160 columns: the easy part, on which forecasting is learnt first.
    periodic
        One to three periodic components of several shapes, periods 12 to 300 columns, with noise and often a trend.
    spectrum
        Inverse FFT of a random power-law spectrum.
    trend
        Linear, exponential or logistic growth, or a random walk with drift, each with noise.
    """

    slow: float = 0.25
    periodic: float = 0.55
    spectrum: float = 0.1
    trend: float = 0.1

    def __post_init__(self) -> None:
        shares = (self.slow, self.periodic, self.spectrum, self.trend)
        if min(shares) < 0 or not 0 < sum(shares) < float("inf"):
            raise ValueError(f"the shares of a mixture must not be negative and not all zero, got {self}")


def synthesise(rng: np.random.Generator, n: int, length: int, mixture: Mixture) -> Floats:
    """Draw `n` series of `length` columns, (n, length), each of a kind drawn from `mixture`."""
    kinds: Mapping[str, Generator] = {"slow": slow, "periodic": periodic, "spectrum": spectrum, "trend": trend}
    shares = np.array([getattr(mixture, kind) for kind in kinds])
    drawn = rng.choice(len(kinds), size=n, p=shares / shares.sum())
    series = np.empty((n, length))
    for index, generate in enumerate(kinds.values()):
        mine = drawn == index
        if mine.any():
            series[mine] = generate(rng, int(mine.sum()), length)
    return series


def slow(rng: np.random.Generator, n: int, length: int) -> Floats:
    """One sine with a period of 64 to 160 columns and a little noise."""
    return _waves(rng, n, length, (64.0, 160.0), shapes=("sine",)) + _noise(rng, n, length, 0.05)


def periodic(rng: np.random.Generator, n: int, length: int) -> Floats:
    """One to three waves with log-uniform periods of 12 to 300 columns, noise, and a trend for every third series."""
    total = _waves(rng, n, length, (12.0, 300.0))
    for probability in (0.6, 0.35):
        present = rng.random((n, 1)) < probability
        total += present * rng.uniform(0.2, 1.0, (n, 1)) * _waves(rng, n, length, (12.0, 300.0))
    drift = (rng.random((n, 1)) < 0.33) * rng.normal(0.0, 1.0, (n, 1)) * np.linspace(-1, 1, length)
    return total + drift + _noise(rng, n, length, 0.3)


def spectrum(rng: np.random.Generator, n: int, length: int) -> Floats:
    """Inverse FFT of independent Gaussian coefficients whose power falls as f^-a, a uniform in 0.5 … 3."""
    frequency = np.arange(1, length // 2 + 1)
    amplitude = frequency ** (-0.5 * rng.uniform(0.5, 3.0, (n, 1)))
    coefficients = amplitude * (
        rng.standard_normal((n, len(frequency))) + 1j * rng.standard_normal((n, len(frequency)))
    )
    series = np.fft.irfft(np.pad(coefficients, ((0, 0), (1, 0))), n=2 * (length // 2) + 2)[:, :length]
    return _standardise(series)


def trend(rng: np.random.Generator, n: int, length: int) -> Floats:
    """Growth of four kinds (linear, exponential, logistic, random walk with drift), with noise."""
    t = np.linspace(0, 1, length)
    rate = rng.uniform(1.0, 6.0, (n, 1))
    linear = np.broadcast_to(t, (n, length))
    exponential = np.expm1(rate * t) / np.expm1(rate)
    logistic = 1 / (1 + np.exp(-4 * rate * (t - rng.uniform(0.2, 0.8, (n, 1)))))
    steps = rng.standard_normal((n, length)) + rng.normal(0, 0.1, (n, 1))
    growth = np.stack([linear, exponential, logistic, _standardise(steps.cumsum(axis=1))])
    chosen: Floats = growth[rng.integers(4, size=n), np.arange(n)]
    sign: Floats = rng.choice([-1.0, 1.0], (n, 1))
    return _standardise(chosen) * sign + _noise(rng, n, length, 0.2)


def _waves(
    rng: np.random.Generator,
    n: int,
    length: int,
    periods: tuple[float, float],
    shapes: tuple[str, ...] = ("sine", "sine", "square", "triangle", "sawtooth", "pulse", "harmonics"),
) -> Floats:
    """One wave a series with unit standard deviation, log-uniform period, uniform phase and a shape out of `shapes`."""
    period = np.exp(rng.uniform(np.log(periods[0]), np.log(periods[1]), (n, 1)))
    phase = (np.arange(length) / period + rng.random((n, 1))) % 1.0  # in turns
    sine = np.sin(2 * np.pi * phase)
    order = np.arange(2, 6)[:, None, None]
    weight = rng.normal(0, 1, (4, n, 1)) / order
    waves: dict[str, Floats] = {
        "sine": sine,
        "square": np.tanh(8 * sine),
        "triangle": 1 - 4 * np.abs(phase - 0.5),
        "sawtooth": 2 * phase - 1,
        "pulse": np.exp(-0.5 * ((phase - 0.5) / 0.08) ** 2),
        "harmonics": sine + (weight * np.sin(2 * np.pi * order * phase)).sum(axis=0),
    }
    chosen = rng.choice(len(shapes), size=n)
    return _standardise(np.stack([waves[shapes[shape]][i] for i, shape in enumerate(chosen)]))


def _noise(rng: np.random.Generator, n: int, length: int, largest: float) -> Floats:
    """White noise whose standard deviation is uniform in 0 … largest, one for each series."""
    noise: Floats = rng.uniform(0, largest, (n, 1)) * rng.standard_normal((n, length))
    return noise


def _standardise(series: Floats) -> Floats:
    centred = series - series.mean(axis=1, keepdims=True)
    standardised: Floats = centred / (centred.std(axis=1, keepdims=True) + 1e-9)
    return standardised
