"""Inputs of a sweep of periods: the series' own cycle and noise at other periods, in blocks.

Neighbouring periods of a sweep give nearly the same input. Heads are chosen on some blocks of neighbours and measured
on the blocks between, so that no head is measured on the periods that selected it.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike

from vitime_cache.arrays import Array, Bools
from vitime_cache.attention.lags import MIN_PAIRS
from vitime_cache.attention.peaks import EDGE
from vitime_cache.series.signal import Signal
from vitime_cache.stats.surrogates import phase_randomised

PERIODS = 48  # periods in a sweep
BLOCKS = 8  # blocks of neighbouring periods, alternately for choosing and measuring
SHORTEST_SWEPT = 4  # patches
LEAST_SPAN = 1.5  # longest period over shortest: a slope needs periods that differ
HARMONICS = 5
# Patches of history whose lags can show the peak of every period swept, however short the history is.
FEWEST_PATCHES = int(np.ceil(LEAST_SPAN * SHORTEST_SWEPT)) + EDGE + MIN_PAIRS


def sweep_periods(history: int, samples_per_patch: float, n: int = PERIODS) -> Array:
    """`n` periods in equal ratios from four patches to a third of the history.

    Two patches resolve a period, but only four show it well: below, the second harmonic of a wave aliases in any head.
    """
    shortest = SHORTEST_SWEPT * samples_per_patch
    periods: Array = np.geomspace(shortest, max(history / 3, LEAST_SPAN * shortest), n)
    return periods


def measured_on(n: int = PERIODS) -> Bools:
    """Which of `n` ordered periods are used to measure slopes: every second block."""
    measured: Bools = np.arange(n) * min(BLOCKS, n) // n % 2 == 1
    return measured


def sweep_signals(
    series: ArrayLike, period: float, periods: ArrayLike, history: int, horizon: int, *, others: Sequence[float] = (),
    seed: int = 0,
) -> list[Signal]:  # fmt: skip
    """The series' mean cycle at each of `periods` with a random phase, in the series' own noise, (T,) each.

    The cycle is the sum of the period's first harmonics, fitted by least squares; if it explains almost nothing of the
    series, a sine is used. The noise is the series without the cycle, a linear trend and `others` (other periods of the
    series), with new random phases for every period.
    """
    x = np.asarray(series, dtype=np.float64)
    x = x - x.mean()
    order = np.arange(1, max(1, min(HARMONICS, int(period / 2))) + 1)
    frequency = np.concatenate((order / period, [1 / other for other in others]))
    angle = 2 * np.pi * np.outer(np.arange(len(x)), frequency)
    trend = np.linspace(-1, 1, len(x))[:, None]
    basis = np.concatenate((np.cos(angle), np.sin(angle), trend, np.ones_like(trend)), axis=1)
    fitted = np.linalg.lstsq(basis, x, rcond=None)[0]
    rest = x - basis @ fitted
    cosines, sines = fitted[: len(order)], fitted[len(frequency) : len(frequency) + len(order)]
    strength = float((cosines**2 + sines**2).sum())
    if strength < 1e-6 * float(x.var()) or strength == 0:
        cosines, sines = np.zeros(len(order)), x.std() * np.eye(1, len(order))[0]
    rng = np.random.default_rng([seed, 1])
    swept = np.asarray(periods, dtype=np.float64)
    # Phase-randomised noise is periodic in T: its last samples, or more than a period of it.
    noise = phase_randomised(rest, len(swept), seed).take(np.arange(-history, 0), axis=1, mode="wrap")
    time = np.arange(history)
    signals = []
    for number, target in enumerate(swept):
        shown = order[order <= target / 2]
        turn = 2 * np.pi * np.outer(time / target + rng.random(), shown)
        wave = np.cos(turn) @ cosines[: len(shown)] + np.sin(turn) @ sines[: len(shown)]
        signals.append(Signal(f"sweep {number}", wave + noise[number], horizon))
    return signals
