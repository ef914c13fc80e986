"""Building blocks of synthetic series: arbitrary waveforms, sines, textbook waves, noise; seeded, vectorised.

Time is counted in image columns; n series of a length are (n, length).
"""

from __future__ import annotations

import numpy as np

from vitime_cache.arrays import Floats

Range = tuple[float, float]

PROFILE = 256  # points of one cycle of an arbitrary waveform


def profiles(rng: np.random.Generator, n: int) -> Floats:
    """One cycle of each of `n` arbitrary waveforms, (n, PROFILE), with mean 0 and standard deviation 1.

    Two of five are sums of random harmonics, the others steps, broken lines and bumps.
    """
    t = np.arange(PROFILE) / PROFILE
    draw = (_harmonics, _harmonics, _steps, _broken_line, _bumps)
    return standardise(np.stack([draw[kind](rng, t) for kind in rng.integers(len(draw), size=n)]))


def _harmonics(rng: np.random.Generator, t: Floats) -> Floats:
    order = np.arange(1, rng.integers(2, 14))[:, None]
    amplitude = rng.standard_normal(order.shape) * order ** -rng.uniform(0.0, 2.0)
    total: Floats = (amplitude * np.sin(2 * np.pi * (order * t + rng.random(order.shape)))).sum(axis=0)
    return total


def _steps(rng: np.random.Generator, t: Floats) -> Floats:
    edges = np.sort(rng.random(rng.integers(2, 9)))
    level: Floats = rng.standard_normal(len(edges))[np.searchsorted(edges, t) % len(edges)]
    return level


def _broken_line(rng: np.random.Generator, t: Floats) -> Floats:
    knots = np.sort(rng.random(rng.integers(2, 9)))
    line: Floats = np.interp(t, knots, rng.standard_normal(len(knots)), period=1)
    return line


def _bumps(rng: np.random.Generator, t: Floats) -> Floats:
    total = np.zeros_like(t)
    for _ in range(rng.integers(1, 4)):
        distance = (t - rng.random() + 0.5) % 1 - 0.5
        total += rng.normal(1.0, 0.6) * np.exp(-0.5 * (distance / rng.uniform(0.02, 0.12)) ** 2)
    return total


def cycle(tables: Floats, period: Floats, phase: Floats, length: int) -> Floats:
    """Repeat each row of `tables` (n, PROFILE) with a period of `period` columns: (n, length)."""
    turn = (np.arange(length) / period[:, None] + phase[:, None]) % 1.0 * PROFILE
    left = turn.astype(np.intp) % PROFILE
    weight = turn - np.floor(turn)
    row = np.arange(len(tables))[:, None]
    played: Floats = tables[row, left] * (1 - weight) + tables[row, (left + 1) % PROFILE] * weight
    return played


def sine(rng: np.random.Generator, period: Floats, length: int) -> Floats:
    """A sine of amplitude 1 and random phase for each period (n,)."""
    drawn: Floats = np.sin(2 * np.pi * (np.arange(length) / period[:, None] + rng.random((len(period), 1))))
    return drawn


def log_uniform(rng: np.random.Generator, between: Range, n: int) -> Floats:
    """`n` numbers whose logarithm is uniform."""
    drawn: Floats = np.exp(rng.uniform(np.log(between[0]), np.log(between[1]), n))
    return drawn


def textbook_waves(
    rng: np.random.Generator,
    n: int,
    length: int,
    periods: Range,
    shapes: tuple[str, ...] = ("sine", "sine", "square", "triangle", "sawtooth", "pulse", "harmonics"),
) -> tuple[Floats, Floats]:
    """One wave per series with unit standard deviation, log-uniform period, uniform phase and one of `shapes`."""
    period = log_uniform(rng, periods, n)
    phase = (np.arange(length) / period[:, None] + rng.random((n, 1))) % 1.0  # in turns
    wave = np.sin(2 * np.pi * phase)
    order = np.arange(2, 6)[:, None, None]
    weight = rng.normal(0, 1, (4, n, 1)) / order
    waves: dict[str, Floats] = {
        "sine": wave,
        "square": np.tanh(8 * wave),
        "triangle": 1 - 4 * np.abs(phase - 0.5),
        "sawtooth": 2 * phase - 1,
        "pulse": np.exp(-0.5 * ((phase - 0.5) / 0.08) ** 2),
        "harmonics": wave + (weight * np.sin(2 * np.pi * order * phase)).sum(axis=0),
    }
    chosen = rng.choice(len(shapes), size=n)
    return standardise(np.stack([waves[shapes[shape]][i] for i, shape in enumerate(chosen)])), period


def noise(rng: np.random.Generator, n: int, length: int, largest: float) -> Floats:
    """White noise whose standard deviation is uniform in 0 … largest, one for each series."""
    drawn: Floats = rng.uniform(0, largest, (n, 1)) * rng.standard_normal((n, length))
    return drawn


def standardise(series: Floats) -> Floats:
    """Scale each row to mean 0 and standard deviation 1."""
    centred = series - series.mean(axis=1, keepdims=True)
    standardised: Floats = centred / (centred.std(axis=1, keepdims=True) + 1e-9)
    return standardised
