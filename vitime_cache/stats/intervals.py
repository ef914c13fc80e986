"""Confidence intervals of means and ratios over few replicates. Plain arrays in and out."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy.stats import t as student

from vitime_cache.arrays import Array


@dataclass(frozen=True, eq=False)
class Interval:
    """An estimate (...,) and its two-sided interval."""

    value: Array
    low: Array
    high: Array


def mean_interval(values: ArrayLike, level: float) -> Interval:
    """Student's t interval of the mean over the first axis, which misses by `level` in all; NaN is left out.

    With one replicate nothing is known of its spread, and the interval is infinite.
    """
    x = np.asarray(values, dtype=np.float64)
    n = np.isfinite(x).sum(axis=0)
    mean = np.nansum(x, axis=0) / np.where(n > 0, n, np.nan)
    degrees = np.maximum(n - 1, 1)
    error = np.sqrt(np.nansum((x - mean) ** 2, axis=0) / degrees / np.maximum(n, 1))
    half = np.where(n > 1, student.ppf(1 - level / 2, degrees) * error, np.where(n == 1, np.inf, np.nan))
    return Interval(mean, mean - half, mean + half)


def ratio_interval(numerator: ArrayLike, denominator: ArrayLike, level: float) -> Interval:
    """Interval of Σ numerator / Σ denominator over replicates: (n, ...) over (n,).

    By the delete-one jackknife (Quenouille 1956; Tukey 1958) with Student's t of n - 1 degrees of freedom: replicates in
    which the denominator is small weigh little.
    """
    given, by = np.asarray(numerator, dtype=np.float64), np.asarray(denominator, dtype=np.float64)
    by = by.reshape(len(by), *[1] * (given.ndim - 1))
    total = by.sum(axis=0)
    ratio = given.sum(axis=0) / total
    pseudo = pseudo_values(ratio, (given.sum(axis=0) - given) / (total - by)) if len(given) > 1 else given / by
    spread = mean_interval(pseudo, level)
    half = spread.high - spread.value
    return Interval(ratio, ratio - half, ratio + half)


def pseudo_values(whole: ArrayLike, without: ArrayLike) -> Array:
    """Jackknife pseudo-values (n, ...) of an estimate (...,) from those with each of n groups left out, (n, ...)."""
    left = np.asarray(without, dtype=np.float64)
    values: Array = len(left) * np.asarray(whole, dtype=np.float64) - (len(left) - 1) * left
    return values
