"""Confidence intervals of means and ratios over few replicates. Plain arrays in and out."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.stats import binomtest
from scipy.stats import t as student

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

    The error is infinite for one replicate, of whose spread nothing is known; all is NaN where there is none.
    """

    value: Array
    error: Array
    degrees: NDArray[np.intp]

    @classmethod
    def of(cls, values: ArrayLike) -> MeanWithError:
        """Of replicates (n, ...); NaN is left out."""
        x = np.asarray(values, dtype=np.float64)
        n = np.isfinite(x).sum(axis=0)
        mean = np.nansum(x, axis=0) / np.where(n > 0, n, np.nan)
        variance = np.nansum((x - mean) ** 2, axis=0) / np.maximum(n - 1, 1)
        error = np.where(n > 1, np.sqrt(variance / np.maximum(n, 1)), np.where(n == 1, np.inf, np.nan))
        return cls(mean, error, np.maximum(n - 1, 1))

    def interval(self, tail: float | Array) -> Interval:
        """Student's t interval of which each end misses with probability `tail` (...,)."""
        reach = student.isf(tail, self.degrees)
        half = reach * self.error
        return Interval(self.value, self.value - half, self.value + half)


def ratio_interval(numerator: ArrayLike, denominator: ArrayLike, tail: float) -> Interval:
    """Interval of Σ numerator / Σ denominator over replicates: (n, ...) over (n,); each end misses by `tail`.

    By the delete-one jackknife (Quenouille 1956; Tukey 1958) with Student's t of n - 1 degrees of freedom. Replicates
    in which the denominator is small weigh little.
    """
    given, by = np.asarray(numerator, dtype=np.float64), np.asarray(denominator, dtype=np.float64)
    by = by.reshape(len(by), *[1] * (given.ndim - 1))
    total = by.sum(axis=0)
    ratio = given.sum(axis=0) / total
    pseudo = pseudo_values(ratio, (given.sum(axis=0) - given) / (total - by)) if len(given) > 1 else given / by
    spread = MeanWithError.of(pseudo)
    return MeanWithError(ratio, spread.error, spread.degrees).interval(tail)


def pseudo_values(whole: ArrayLike, without: ArrayLike) -> Array:
    """Jackknife pseudo-values (n, ...) of an estimate (...,) from those with each of n groups left out, (n, ...)."""
    left = np.asarray(without, dtype=np.float64)
    values: Array = len(left) * np.asarray(whole, dtype=np.float64) - (len(left) - 1) * left
    return values


def held_against(margin: float, means: MeanWithError, asked: Bools, level: float) -> Interval:
    """Intervals of several means against one margin, whose errors together miss by `level`.

    By Holm's step-down procedure (Scandinavian Journal of Statistics 1979): the mean that lies farthest from the
    margin, in standard errors, is held to the level over all of those `asked` about; where that decides it, the next is
    held to the level over one less. Each interval has the level of its step, so that it excludes the margin exactly
    where the mean is decided. A mean is either above the margin or not, so that only one end can err (directional
    errors: Shaffer, Annals of Statistics 1980). What is asked about and not known counts among all.
    """
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
    """Exact interval of a proportion of which `count` of `n` were seen (Clopper & Pearson, Biometrika 1934).

    It misses with probability `level` at most. Of none seen out of none nothing is known: 0 … 1.
    """
    if n == 0:
        return 0.0, 1.0
    found = binomtest(count, n).proportion_ci(1 - level, "exact")
    return float(found.low), float(found.high)
