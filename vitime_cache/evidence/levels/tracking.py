"""Does a head's lag peak move with the period? A regression over a sweep of periods; plain arrays in and out."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from vitime_cache.arrays import Array
from vitime_cache.attention.lags import over_baseline
from vitime_cache.attention.peaks import FIRST_SHARE, first_peaks
from vitime_cache.errors import VitimeError

TRACKING_SLOPE = (0.9, 1.1)
TRACKING_R_SQUARED = 0.95


class EvidenceError(VitimeError):
    """Curves and periods from which nothing can be concluded."""


@dataclass(frozen=True, eq=False)
class Tracking:
    """Lag of the first peak regressed on the period, for every head of a sweep.

    Attributes
    ----------
    periods
        Samples, (P,).
    lags
        First prominent peak in samples, (P, ...); NaN where there is none.
    slope, intercept, r_squared
        Ordinary least squares over the periods with a peak, (...,); NaN with fewer than three.
    found
        Share of the periods with a peak, (...,).
    """

    periods: Array
    lags: Array
    slope: Array
    intercept: Array
    r_squared: Array
    found: Array

    @property
    def tracks(self) -> NDArray[np.bool_]:
        """Heads whose slope is within 0.9 … 1.1 with R² of 0.95 or more, and a peak at four periods of five."""
        low, high = TRACKING_SLOPE
        straight = (self.slope >= low) & (self.slope <= high) & (self.r_squared >= TRACKING_R_SQUARED)
        tracks: NDArray[np.bool_] = straight & (self.found >= 0.8)
        return tracks


def track_periods(
    lag: ArrayLike,
    curves: ArrayLike,
    periods: ArrayLike,
    samples_per_patch: float,
    unrelated: ArrayLike | None = None,
    share: float = FIRST_SHARE,
) -> Tracking:
    """Does the first peak of a head's lag curve follow the period?

    Parameters
    ----------
    lag
        Signed lags in patches, (L,).
    curves
        Lag curves of a sweep, (P, ..., L): one signal per period, any head axes.
    periods
        Periods in samples, (P,).
    unrelated
        Curves of signals without those periods, (signal, ..., L). The sweep is divided by their mean, which takes
        out what position alone produces.
    share
        Of the strongest peak's prominence, what the first one must have.
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
    # A peak that never moves explains nothing: R² of 0, not 0 / 0.
    r_squared = np.where(enough, np.where(yy > 0, slope * xy / np.where(yy > 0, yy, 1), 0.0), np.nan)
    return Tracking(period, found, slope, mean_y - slope * mean_x, r_squared, count / len(period))


def choose_head(tracking: Tracking) -> tuple[int, ...]:
    """Index of the head that tracks best: the greatest R² - |slope - 1| - share of periods without a peak.

    Measure the chosen head on another sweep: the best of many heads looks good by chance on the sweep it was chosen on.
    """
    score = tracking.r_squared - np.abs(tracking.slope - 1) - (1 - tracking.found)
    if not np.isfinite(score).any():
        raise EvidenceError("no head has a lag peak at three or more periods of the sweep")
    return tuple(int(i) for i in np.unravel_index(np.nanargmax(score), score.shape))
