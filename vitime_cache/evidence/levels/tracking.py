"""Does a head's peak move with the period? A regression over a sweep of periods; plain arrays in and out.

This is a property of the network. The series provides only its cycle and noise; its own period may lie anywhere.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from vitime_cache.arrays import Array, Bools
from vitime_cache.attention.lags import over_baseline
from vitime_cache.attention.peaks import FIRST_SHARE, first_peaks
from vitime_cache.errors import VitimeError
from vitime_cache.evidence.levels.claimed import Claimed
from vitime_cache.evidence.verdict.schema import three_values

TRACKING_SLOPE = (0.9, 1.1)
TRACKING_R_SQUARED = 0.95
FOUND = 0.8  # least share of the periods at which a tracking head has a peak
FEWEST_PEAKS = 4  # fewest peaks for an interval of a slope


class EvidenceError(VitimeError):
    """Curves and periods from which nothing can be concluded."""


@dataclass(frozen=True, eq=False)
class Tracking:
    """Lag of the first peak regressed on the period, for every head of a sweep.

    Attributes
    ----------
    lags
        First prominent peak in samples, (P, ...); NaN where there is none.
    slope, intercept, r_squared
        Ordinary least squares over the periods with a peak, (...,); NaN with fewer than three.
    error
        Standard error of the slope, (...,).
    found
        Share of the periods with a peak, (...,).
    """

    lags: Array
    slope: Array
    intercept: Array
    r_squared: Array
    error: Array
    found: Array

    @property
    def tracks(self) -> Bools:
        """Heads whose slope is within 0.9 … 1.1 with R² of 0.95 or more, and a peak at four periods of five."""
        low, high = TRACKING_SLOPE
        straight = (self.slope >= low) & (self.slope <= high) & (self.r_squared >= TRACKING_R_SQUARED)
        tracks: Bools = straight & (self.found >= FOUND)
        return tracks

    @property
    def degrees(self) -> NDArray[np.intp]:
        """Degrees of freedom of the slope's error, (...,); 0 with fewer than `FEWEST_PEAKS` peaks."""
        count = np.isfinite(self.lags).sum(axis=0)
        return np.where(count >= FEWEST_PEAKS, count - 2, 0)


@dataclass(frozen=True, eq=False)
class Tracked:
    """The result of a sweep for every head. Head axes are (layer, head).

    Attributes
    ----------
    claimed
        The claim "tracks": the slope on the periods measured on, with its interval.
    sweep_peak
        First prominent peak at every period in samples, (period, layer, head).
    intercept, r_squared, found
        Fit over the measured periods.
    chosen
        Whether the head tracks on the periods it was chosen on.
    """

    claimed: Claimed
    sweep_peak: Array
    intercept: Array
    r_squared: Array
    found: Array
    chosen: Bools


def track(
    curves: ArrayLike, periods: ArrayLike, measured: ArrayLike, samples_per_patch: float, unrelated: ArrayLike,
    asked: Bools, level: float,
) -> Tracked:  # fmt: skip
    """Choose the heads whose first peak follows the period, and measure them on other periods.

    Parameters
    ----------
    curves
        (period, layer, head, n) over lags 0 … n - 1.
    measured
        (period,): periods used to measure slopes; heads are chosen on the others.
    unrelated
        Mean curve of inputs without a period, (layer, head, n); it shows position alone and is divided out.
    asked
        (layer, head): the heads asked about.
    level
        Family-wise error over the heads chosen.

    Notes
    -----
    A chosen head is supported if its slope's interval lies within 0.9 … 1.1 (two one-sided tests: Schuirmann,
    J. Pharmacokinetics and Biopharmaceutics 1987) and it has a peak at four periods of five; the interval's level is
    divided by the number of heads chosen. A head is refuted if its interval lies outside that range, or its peaks are
    too rare.
    """
    from scipy.stats import binom  # a second, which pages that only read need not wait
    from scipy.stats import t as student

    sweep, period = np.asarray(curves, dtype=np.float64), np.asarray(periods, dtype=np.float64)
    half = np.asarray(measured, dtype=bool)
    lag, baseline = np.arange(sweep.shape[-1]), np.asarray(unrelated)[None]
    first, second = (track_periods(lag, sweep[p], period[p], samples_per_patch, baseline) for p in (~half, half))
    chosen = first.tracks & asked
    family = max(int(chosen.sum()), 1)
    low_slope, high_slope = TRACKING_SLOPE
    known, degrees = second.degrees > 0, np.maximum(second.degrees, 1)
    error = np.where(known, np.maximum(second.error, 1e-12), np.nan)
    reach = student.isf(level / family, degrees) * error
    low, high = second.slope - reach, second.slope + reach
    nearest = np.minimum(second.slope - low_slope, high_slope - second.slope) / error
    p_value = np.where(chosen, np.minimum(student.sf(nearest, degrees) * family, 1), np.nan)
    often = second.found >= FOUND
    supported = chosen & often & (low >= low_slope) & (high <= high_slope)
    count = len(second.lags)
    rare = binom.cdf(np.rint(second.found * count), count, FOUND) <= level / max(int(asked.sum()), 1)
    elsewhere = ((low > high_slope) | (high < low_slope)) & (second.found >= 0.5)
    slope, low, high, p_value = (np.where(asked, each, np.nan) for each in (second.slope, low, high, p_value))
    claimed = Claimed(slope, low, high, p_value, three_values(supported, rare | elsewhere, asked))
    peaks = np.empty(sweep.shape[:-1])
    peaks[~half], peaks[half] = first.lags, second.lags
    return Tracked(claimed, peaks, second.intercept, second.r_squared, second.found, chosen)


def track_periods(
    lag: ArrayLike,
    curves: ArrayLike,
    periods: ArrayLike,
    samples_per_patch: float,
    unrelated: ArrayLike | None = None,
    share: float = FIRST_SHARE,
) -> Tracking:
    """Regress the first peak of a head's lag curve on the period.

    Parameters
    ----------
    lag
        Signed lags in patches, (L,).
    curves
        Lag curves of a sweep, (P, ..., L): one signal per period, any head axes.
    periods
        Periods in samples, (P,).
    unrelated
        Curves of signals without those periods, (signal, ..., L). The sweep is divided by their mean, which removes
        the structure that position alone produces.
    share
        Least prominence of the first peak, as a share of the strongest peak's.
    """
    sweep: Array = np.asarray(curves, dtype=np.float64)
    period: Array = np.asarray(periods, dtype=np.float64)
    if period.ndim != 1 or sweep.ndim < 2 or len(sweep) != len(period) or len(period) < 3:
        raise EvidenceError(
            f"a sweep needs three or more periods and a curve for each, got {period.size} periods and curves of "
            f"shape {sweep.shape}"
        )
    if unrelated is not None:
        sweep = over_baseline(sweep, unrelated)
    found = first_peaks(lag, sweep, samples_per_patch, share=share)  # (P, ...)
    known = np.isfinite(found)
    count = known.sum(axis=0)
    x = np.where(known, period.reshape(-1, *[1] * (found.ndim - 1)), 0)
    y = np.where(known, found, 0)
    mean_x, mean_y = x.sum(axis=0) / np.maximum(count, 1), y.sum(axis=0) / np.maximum(count, 1)
    dx, dy = np.where(known, x - mean_x, 0), np.where(known, y - mean_y, 0)
    xx, xy, yy = (dx**2).sum(axis=0), (dx * dy).sum(axis=0), (dy**2).sum(axis=0)
    enough = (count >= 3) & (xx > 0)
    slope = np.where(enough, xy / np.where(xx > 0, xx, 1), np.nan)
    # A peak that never moves explains nothing: R² is 0, not 0 / 0.
    r_squared = np.where(enough, np.where(yy > 0, slope * xy / np.where(yy > 0, yy, 1), 0.0), np.nan)
    rest = np.maximum(yy - slope * xy, 0)
    error = np.sqrt(rest / np.maximum(count - 2, 1) / np.where(xx > 0, xx, np.nan))
    return Tracking(found, slope, mean_y - slope * mean_x, r_squared, error, count / len(period))


def choose_head(tracking: Tracking) -> tuple[int, ...]:
    """Index of the head that tracks best: the largest R² - |slope - 1| - share of periods without a peak.

    Measure the chosen head on another sweep: the best of many heads looks good by chance on the sweep that selected it.
    """
    score = tracking.r_squared - np.abs(tracking.slope - 1) - (1 - tracking.found)
    if not np.isfinite(score).any():
        raise EvidenceError("no head has a lag peak at three or more periods of the sweep")
    return tuple(int(i) for i in np.unravel_index(np.nanargmax(score), score.shape))
