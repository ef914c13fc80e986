"""Confidence intervals of means and ratios over few replicates. Plain arrays in and out.

scipy.stats is imported where it is used: it takes a second, and whoever reads a verdict imports this module.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from vitime_cache.arrays import Array, Bools


@dataclass(frozen=True, eq=False)
class Interval:
    """An estimate (...,) and its two-sided interval."""

    value: Array
    low: Array
    high: Array


@dataclass(frozen=True, eq=False)
class MeanWithError:
    """A mean over replicates (...,), its standard error and the degrees of freedom of their ratio.

    With one replicate the spread is unknown and the error is infinite; with none, value and error are NaN.
    """

    value: Array
    error: Array
    degrees: NDArray[np.intp]

    @classmethod
    def of(cls, values: ArrayLike) -> MeanWithError:
        """Compute it from replicates (n, ...); NaN is ignored."""
        x = np.asarray(values, dtype=np.float64)
        n = np.isfinite(x).sum(axis=0)
        mean = np.nansum(x, axis=0) / np.where(n > 0, n, np.nan)
        variance = np.nansum((x - mean) ** 2, axis=0) / np.maximum(n - 1, 1)
        error = np.where(n > 1, np.sqrt(variance / np.maximum(n, 1)), np.where(n == 1, np.inf, np.nan))
        return cls(mean, error, np.maximum(n - 1, 1))

    def interval(self, tail: float | Array) -> Interval:
        """Student's t interval; each end misses the true mean with probability `tail` (...,)."""
        from scipy.stats import t as student

        reach = student.isf(tail, self.degrees)
        half = reach * self.error
        return Interval(self.value, self.value - half, self.value + half)


def ratio_interval(numerator: ArrayLike, denominator: ArrayLike, tail: float) -> Interval:
    """Interval of Σ numerator / Σ denominator over replicates, (n, ...) over (n,); each end misses with `tail`.

    It uses the delete-one jackknife (Quenouille 1956; Tukey 1958) and Student's t with n - 1 degrees of freedom.
    Replicates with a small denominator get little weight.
    """
    given, by = np.asarray(numerator, dtype=np.float64), np.asarray(denominator, dtype=np.float64)
    by = by.reshape(len(by), *[1] * (given.ndim - 1))
    total = by.sum(axis=0)
    ratio = given.sum(axis=0) / total
    pseudo = pseudo_values(ratio, (given.sum(axis=0) - given) / (total - by)) if len(given) > 1 else given / by
    spread = MeanWithError.of(pseudo)
    return MeanWithError(ratio, spread.error, spread.degrees).interval(tail)


def pseudo_values(whole: ArrayLike, without: ArrayLike) -> Array:
    """Jackknife pseudo-values (n, ...) of an estimate (...,); `without` (n, ...) leaves out one of n groups each."""
    left = np.asarray(without, dtype=np.float64)
    values: Array = len(left) * np.asarray(whole, dtype=np.float64) - (len(left) - 1) * left
    return values


def held_against(margin: float, means: MeanWithError, asked: Bools, level: float) -> Interval:
    """Intervals that compare several means with one margin, at a family-wise error of `level`.

    Holm's step-down procedure (Scandinavian Journal of Statistics 1979): the mean farthest from the margin, in standard
    errors, is tested at the level divided by the number `asked` about. If that decides it, the next mean is tested at
    the level divided by one less, and so on. Each interval has the level of its step, so it excludes the margin exactly
    where the mean is decided. A mean is either above the margin or not, so only one end can err (directional errors:
    Shaffer, Annals of Statistics 1980). A mean that is asked about but unknown still counts in the number.
    """
    from scipy.stats import t as student

    distance = np.abs(means.value - margin)
    ratio = np.divide(distance, means.error, out=np.where(distance > 0, np.inf, 0.0), where=means.error > 0)
    p = np.where(asked & np.isfinite(means.error), student.sf(ratio, means.degrees), np.where(asked, 1.0, np.nan))
    count = int(asked.sum())
    tail = np.full(p.shape, level / max(count, 1))
    order = np.argsort(p, axis=None)[:count]  # NaN comes last
    for step, at in enumerate(order):
        tail.flat[order[step:]] = level / (count - step)
        if p.flat[at] >= level / (count - step):
            break
    return means.interval(tail)


def proportion_interval(count: int, n: int, level: float = 0.05) -> tuple[float, float]:
    """Exact interval of a proportion, given `count` of `n` observed (Clopper & Pearson, Biometrika 1934).

    It misses with probability `level` at most. For n = 0 it is 0 … 1.
    """
    from scipy.stats import binomtest

    if n == 0:
        return 0.0, 1.0
    found = binomtest(count, n).proportion_ci(1 - level, "exact")
    return float(found.low), float(found.high)
