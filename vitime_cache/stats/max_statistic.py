"""Bands and p-values that hold over all heads and lags tested together (the maximum statistic)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from vitime_cache.arrays import Array
from vitime_cache.stats.surrogates import NullError

ROUNDING = 1e-7  # of the mean: what varies less does not vary


@dataclass(frozen=True, eq=False)
class Band:
    """One-sided band of null curves: `upper` (..., L), the level's critical score, and the p-value of the observed."""

    upper: Array
    score: float
    p_value: float

    def exceeded(self, curves: ArrayLike) -> NDArray[np.bool_]:
        """Where curves (..., L) stand above the band."""
        above: NDArray[np.bool_] = np.asarray(curves) > self.upper
        return above


def max_statistic_band(observed: ArrayLike, null: ArrayLike, level: float = 0.05) -> Band:
    """Band that null curves leave anywhere, in any head and at any lag, with probability `level` at most.

    Parameters
    ----------
    observed
        Curves (..., L) of the signal; axes before L, such as heads, are tested together.
    null
        The same of each null input, (n, ..., L).
    level
        Family-wise error; n must be at least 1 / level - 1 (19 for 5 %).

    Notes
    -----
    A curve's score is its largest excess over the null mean in null standard deviations, over all heads and lags
    (maximum statistic: Nichols and Holmes, Human Brain Mapping 2002). Each null is scored against the others, so that
    it is as much a stranger to its mean and deviation as the observed curves are. NaN is ignored.
    """
    curves, nulls = np.asarray(observed, dtype=np.float64), np.asarray(null, dtype=np.float64)
    n = len(nulls)
    if nulls.shape[1:] != curves.shape:
        raise NullError(f"null curves of shape {nulls.shape[1:]} do not fit observed curves of shape {curves.shape}")
    if not 0 < level < 1 or n + 1 < 1 / level - 1e-9:
        raise NullError(f"a level of {level:g} needs {round(1 / level) - 1 if level > 0 else 'more'} nulls, got {n}")
    mean, deviation = nulls.mean(axis=0), nulls.std(axis=0, ddof=1)
    scores = np.sort(_scores_of_nulls(nulls))
    critical = float(scores[int(np.ceil((n + 1) * (1 - level) - 1e-9)) - 1])
    reached = int((scores >= _score(curves, mean, deviation)).sum())
    return Band(mean + critical * deviation, critical, (1 + reached) / (n + 1))


def max_statistic_p(observed: ArrayLike, null: ArrayLike, least_deviation: float = 0.0) -> Array:
    """How often the most extreme of all null values strays as far as each observed one, (...,).

    Parameters
    ----------
    observed
        One number for each head, (...,); NaN takes no part.
    null
        The same of each null input or control, (n, ...), n of 3 or more.
    least_deviation
        Deviations among the nulls below this count as this, where nulls that all do nothing say little.

    Notes
    -----
    Single-step adjusted p-values (Westfall and Young, Resampling-Based Multiple Testing, 1993): scores as in
    `max_statistic_band`, and small where the observed value is large. A value that no null varies about gets 1.
    """
    values, nulls = np.asarray(observed, dtype=np.float64), np.asarray(null, dtype=np.float64)
    if nulls.shape[1:] != values.shape or len(nulls) < 3:
        raise NullError(f"three or more nulls of shape {values.shape} are needed, got shape {nulls.shape}")
    mean, deviation = nulls.mean(axis=0), nulls.std(axis=0, ddof=1)
    deviation = np.maximum(deviation, least_deviation)
    varies = deviation > ROUNDING * np.abs(mean)
    score = np.where(varies, (values - mean) / np.where(varies, deviation, 1), -np.inf)
    reached = (_scores_of_nulls(nulls, least_deviation).reshape(-1, *[1] * values.ndim) >= score).sum(axis=0)
    p_value: Array = np.where(np.isfinite(values), (1 + reached) / (len(nulls) + 1), np.nan)
    return p_value


def _scores_of_nulls(nulls: Array, least_deviation: float = 0.0) -> Array:
    """The largest score of each null, (n,), held against the others."""
    n, mean = len(nulls), nulls.mean(axis=0)
    others_mean = (n * mean - nulls) / (n - 1)
    squares = (nulls**2).sum(axis=0) - nulls**2
    others = np.maximum(np.sqrt(np.maximum(squares - (n - 1) * others_mean**2, 0) / (n - 2)), least_deviation)
    return np.array([_score(curve, m, s) for curve, m, s in zip(nulls, others_mean, others, strict=True)])


def _score(curves: Array, mean: Array, deviation: Array) -> float:
    varies = deviation > ROUNDING * np.abs(mean)  # False for NaN too
    return float(((curves[varies] - mean[varies]) / deviation[varies]).max(initial=-np.inf))
