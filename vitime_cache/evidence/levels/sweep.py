"""A sweep of periods run for one question: the signal's own waveform, heads chosen on some periods, measured on others.

Heads are chosen on every second period and measured on those between, so that a head is never praised for the periods
it was picked by. Plain arrays in and out; running the model is `ask`'s part.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.stats import binom
from scipy.stats import t as student

from vitime_cache.arrays import Array
from vitime_cache.evidence.levels.tracking import TRACKING_SLOPE, Tracking, track_periods
from vitime_cache.series.signal import Signal
from vitime_cache.stats.corrections import holm

PERIODS = 24
SHORTEST_SWEPT = 4  # patches
FOUND = 0.8  # share of the periods at which a head that tracks has a peak
PERMUTATIONS = 4999
HARMONICS = 5


def sweep_periods(history: int, samples_per_patch: float, n: int = PERIODS) -> Array:
    """`n` periods in equal ratios from four patches to a third of the history.

    Two patches are resolved, but only four show a period well: below, a wave's second harmonic aliases, in any head.
    """
    shortest = SHORTEST_SWEPT * samples_per_patch
    periods: Array = np.geomspace(shortest, max(history / 3, 1.5 * shortest), n)
    return periods


def sweep_signals(
    series: ArrayLike, period: float, periods: ArrayLike, history: int, horizon: int, seed: int = 0
) -> list[Signal]:
    """The series' mean cycle at `period`, at each of `periods` and a random phase, (T,) each.

    The cycle is the sum of the period's first harmonics, fitted by least squares; where it explains next to nothing of
    the series it is a sine.
    """
    x = np.asarray(series, dtype=np.float64)
    x = x - x.mean()
    order = np.arange(1, max(1, min(HARMONICS, int(period / 2))) + 1)
    angle = 2 * np.pi * np.outer(np.arange(len(x)), order) / period
    trend = np.linspace(-1, 1, len(x))[:, None]
    basis = np.concatenate((np.cos(angle), np.sin(angle), trend, np.ones_like(trend)), axis=1)
    fitted = np.linalg.lstsq(basis, x, rcond=None)[0]
    cosines, sines = fitted[: len(order)], fitted[len(order) : 2 * len(order)]
    strength = float((cosines**2 + sines**2).sum())
    if strength < 1e-6 * float(x.var()) or strength == 0:
        cosines, sines = np.zeros(len(order)), np.eye(1, len(order))[0]
    rng = np.random.default_rng([seed, 1])
    time = np.arange(history)
    signals = []
    for number, target in enumerate(np.asarray(periods, dtype=np.float64)):
        shown = order[order <= target / 2]
        turn = 2 * np.pi * np.outer(time / target + rng.random(), shown)
        values = np.cos(turn) @ cosines[: len(shown)] + np.sin(turn) @ sines[: len(shown)]
        signals.append(Signal(f"sweep {number}", values, horizon))
    return signals


@dataclass(frozen=True, eq=False)
class Judged:
    """What a sweep says of every head, (layer, head); `measured` holds the periods that slopes are taken on.

    `low` and `high` are the slope's 95 % interval; `p_value`, corrected over the heads chosen, is that of peaks as near
    to their periods if every order of the periods were as likely, and 1 for heads that were not chosen.
    """

    all_periods: Tracking
    measured: Tracking
    chosen: NDArray[np.bool_]
    low: Array
    high: Array
    p_value: Array

    def supported(self, level: float) -> NDArray[np.bool_]:
        """Chosen on the one half, straight with a slope near 1 on the other, and not by chance."""
        tracks: NDArray[np.bool_] = self.chosen & self.measured.tracks & (self.p_value <= level)
        return tracks

    def refuted(self, level: float) -> NDArray[np.bool_]:
        """The slope's interval excludes 0.9 … 1.1, or peaks are too rare for a head that tracks."""
        low, high = TRACKING_SLOPE
        n = len(self.measured.periods)
        rare = binom.cdf(np.rint(self.measured.found * n), n, FOUND) <= level
        other = (self.low > high) | (self.high < low)
        refuted: NDArray[np.bool_] = rare | (other & (self.measured.found >= 0.5))
        return refuted


def judge_sweep(
    curves: ArrayLike, periods: ArrayLike, samples_per_patch: float, unrelated: ArrayLike,
    asked: NDArray[np.bool_], seed: int = 0,
) -> Judged:  # fmt: skip
    """Which heads' first peaks follow the period.

    Parameters
    ----------
    curves
        (period, layer, head, n) over lags 0 … n - 1.
    unrelated
        Curves of inputs without a period, (input, layer, head, n); what they share is position and is divided out.
    asked
        (layer, head): the heads that the correction is over.
    """
    sweep, period = np.asarray(curves, dtype=np.float64), np.asarray(periods, dtype=np.float64)
    lag = np.arange(sweep.shape[-1])
    measured_on = np.arange(len(period)) % 2 == 1

    def tracking(some: NDArray[np.bool_]) -> Tracking:
        return track_periods(lag, sweep[some], period[some], samples_per_patch, unrelated)

    first, second, whole = tracking(~measured_on), tracking(measured_on), tracking(np.ones_like(measured_on))
    chosen = first.tracks & asked
    p_value = _p_of_agreement(second, samples_per_patch, seed)
    low, high = _slope_interval(second)
    corrected = np.where(chosen, holm(p_value, chosen), 1.0)
    return Judged(whole, second, chosen, low, high, np.where(asked, corrected, np.nan))


def _p_of_agreement(found: Tracking, samples_per_patch: float, seed: int) -> Array:
    """Permutation p-value of the number of peaks within a patch, or a tenth, of their own period."""
    tolerance = np.maximum(samples_per_patch, 0.1 * found.periods)
    peaks = found.lags.reshape(len(found.periods), -1)  # (S, heads)
    near = np.abs(peaks.T[:, :, None] - found.periods) <= tolerance  # (heads, peak, period); False for NaN
    observed = np.einsum("hii->h", near.astype(np.int64))
    rng = np.random.default_rng([seed, 2])
    n = len(found.periods)
    reached = np.zeros(len(near), dtype=np.int64)
    rows = np.arange(n)
    for _ in range(PERMUTATIONS):
        reached += near[:, rows, rng.permutation(n)].sum(axis=-1) >= observed
    p_value: Array = ((1 + reached) / (1 + PERMUTATIONS)).reshape(found.slope.shape)
    return p_value


def _slope_interval(found: Tracking) -> tuple[Array, Array]:
    """95 % interval of an ordinary least squares slope, by Student's t; NaN with fewer than four peaks."""
    count = np.isfinite(found.lags).sum(axis=0)
    periods = np.where(np.isfinite(found.lags), found.periods.reshape(-1, *[1] * (found.lags.ndim - 1)), np.nan)
    spread = np.nansum((periods - np.nansum(periods, axis=0) / np.maximum(count, 1)) ** 2, axis=0)
    rest = found.lags - (found.intercept + found.slope * periods)
    degrees = np.maximum(count - 2, 1)
    error = np.sqrt(np.nansum(rest**2, axis=0) / degrees / np.where(spread > 0, spread, np.nan))
    half = np.where(count >= 4, student.ppf(0.975, degrees) * error, np.nan)
    return found.slope - half, found.slope + half
