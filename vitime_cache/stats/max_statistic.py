"""Bands and p-values that hold over all heads and lags tested together (the maximum statistic)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from vitime_cache.arrays import Array
from vitime_cache.stats.surrogates import NullError

ROUNDING = 1e-7  # share of the mean: smaller variation counts as rounding


@dataclass(frozen=True, eq=False)
class Band:
    """A band that null values exceed anywhere with a probability of at most the level.

    Attributes
    ----------
    upper
        One-sided band, (...,).
    score
        Height of the band above the mean of the nulls, in their standard deviations.
    p_value
        For each observed value, (...,): how often the most extreme null value lies as far out; NaN for NaN.
    """

    upper: Array
    score: float
    p_value: Array

    def exceeded(self, observed: ArrayLike) -> NDArray[np.bool_]:
        """Where values (...,) stand above the band."""
        above: NDArray[np.bool_] = np.asarray(observed) > self.upper
        return above


def max_statistic(observed: ArrayLike, null: ArrayLike, level: float = 0.05) -> Band:
    """Test observed values against those of null inputs, all of them together.

    Parameters
    ----------
    observed
        One number for each head, or for each head and lag, (...,); NaN is ignored.
    null
        The same numbers for each null input, (n, ...).
    level
        Family-wise error; n must be at least 3 and at least 1 / level - 1 (19 for 5 %).

    Notes
    -----
    A value's score is its excess over the null mean in null standard deviations; the score of a set of values is the
    largest among them (maximum statistic: Nichols and Holmes, Human Brain Mapping 2002; single-step adjusted p-values:
    Westfall and Young, Resampling-Based Multiple Testing, 1993). Each null is scored against the other nulls: like the
    observed values, it then has no part in the mean and deviation that score it. Where the nulls do not vary, p = 1.
    """
    values, nulls = np.asarray(observed, dtype=np.float64), np.asarray(null, dtype=np.float64)
    n = len(nulls)
    if nulls.shape[1:] != values.shape:
        raise NullError(f"null values of shape {nulls.shape[1:]} do not fit observed values of shape {values.shape}")
    if not 0 < level < 1 or n < max(1 / level - 1 - 1e-9, 3):
        raise NullError(f"a level of {level:g} needs {max(round(1 / max(level, 1e-9)) - 1, 3)} nulls, got {n}")
    mean, deviation = nulls.mean(axis=0), nulls.std(axis=0, ddof=1)
    extremes = _extremes(nulls)
    critical = float(extremes[int(np.ceil((n + 1) * (1 - level) - 1e-9)) - 1])
    varies = deviation > ROUNDING * np.abs(mean)  # False for NaN too
    score = np.where(varies, (values - mean) / np.where(varies, deviation, 1), -np.inf)
    reached = n - np.searchsorted(extremes, score, side="left")
    p_value = np.where(np.isfinite(values), (1 + reached) / (n + 1), np.nan)
    return Band(mean + np.where(varies, critical, 0) * deviation, critical, p_value)


def _extremes(nulls: Array) -> Array:
    """The largest score of each null against the other nulls, ascending, (n,)."""
    n, mean = len(nulls), nulls.mean(axis=0)
    others_mean = (n * mean - nulls) / (n - 1)
    squares = (nulls**2).sum(axis=0) - nulls**2
    others = np.sqrt(np.maximum(squares - (n - 1) * others_mean**2, 0) / (n - 2))
    varies = others > ROUNDING * np.abs(others_mean)
    score = np.where(varies, (nulls - others_mean) / np.where(varies, others, 1), -np.inf)
    return np.sort(score.reshape(n, -1).max(axis=-1, initial=-np.inf))
