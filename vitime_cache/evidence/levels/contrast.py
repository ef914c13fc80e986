"""Does a head look one period back more than beside it? Plain arrays.

A curve's excess is its value at the period's lag less the mean at the lags half a period to either side, in means of
the curve: a peak there raises it, a level or a slope does not. A query's contrast is (a - b) / (a + b) of its attention
a at the period and b beside it, -1 … 1: every query counts alike, however much of its attention goes elsewhere. A head
that looks one, two and three periods back has all of it one period back where no more lie behind, and a third later;
its excess varies so much over queries that nothing could be said of it. Where the lags are interchangeable the contrast
is zero on average or, as b varies less than a, below: what it finds is there.

The peak's prominence describes, the contrast is held against chance and the excess against null inputs.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.stats import t as student

from vitime_cache.arrays import Array
from vitime_cache.attention.peaks import MIN_PROMINENCE, SHORTEST_PERIOD, period_prominence
from vitime_cache.errors import VitimeError
from vitime_cache.stats.corrections import holm

MIN_QUERIES = 12  # that see the period and both of its flanks


class ContrastError(VitimeError):
    """A period whose contrast cannot be taken on this lag axis."""


@dataclass(frozen=True, eq=False)
class Lags:
    """Lags in patches at a period and beside it: `at` within half a patch of it, `beside` a quarter period or more off.

    With a period of two patches or more neither is ever empty.
    """

    at: NDArray[np.intp]
    beside: NDArray[np.intp]

    @classmethod
    def of(cls, patches_per_period: float, patches: int) -> Lags:
        """For a period in patches, on an axis of `patches` columns."""
        if not patches_per_period >= SHORTEST_PERIOD * (1 - 1e-9):
            raise ContrastError(f"a period of {patches_per_period:.3g} patches cannot be seen; it needs two or more")
        lag = np.arange(1, patches)
        off = np.abs(lag - patches_per_period)
        near = off <= 0.5 + 1e-9
        beside = (off >= max(patches_per_period / 4, 0.5 + 1e-6)) & (off <= patches_per_period / 2 + 0.5) & ~near
        found = cls(lag[near], lag[beside])
        if not near.any() or patches - patches_per_period * 1.5 < MIN_QUERIES:
            raise ContrastError(
                f"a period of {patches_per_period:.3g} patches is too long for an axis of {patches}: fewer than "
                f"{MIN_QUERIES} queries look that far back; ask about a shorter period or on a longer window"
            )
        return found

    def excess(self, curves: ArrayLike) -> Array:
        """Excess of curves (..., patches) over lags 0 … patches - 1, in means of each curve, (...)."""
        values = np.asarray(curves, dtype=np.float64)
        # Of two lags within half a patch of the period a head may use either.
        difference: Array = values[..., self.at].max(axis=-1) - values[..., self.beside].mean(axis=-1)
        return difference / _level(values)

    def by_query(self, time_attention: Array) -> tuple[Array, Array]:
        """What each query that sees all of `at` and `beside` attends to there, of (..., n, n), query by key.

        Returns
        -------
        (lag in `at`, ..., query), and the mean over the lags beside, (..., query).
        """
        query = np.arange(self.beside.max(), time_attention.shape[-1])
        beside: Array = time_attention[..., query[:, None], query[:, None] - self.beside].mean(axis=-1)
        return np.stack([time_attention[..., query, query - k] for k in self.at]), beside


@dataclass(frozen=True, eq=False)
class Mean:
    """A mean over queries and windows, its standard error, and the degrees of freedom of their ratio."""

    value: Array
    error: Array
    degrees: int

    @classmethod
    def of(cls, each: Array, patches_per_period: float) -> Mean:
        """Of values (window, ..., query), whose queries are neighbours in time.

        The standard error takes the long-run variance by equal-weighted cosines, with floor(0.4 n^(2/3)) of them, and t
        with as many degrees of freedom (Lazarus, Lewis, Stock and Watson, JBES 2018). A short period allows more: what
        alternates within half a period or less averages out over the window.
        """
        windows, queries = len(each), each.shape[-1]
        cosines = max(int(0.4 * queries ** (2 / 3)), int(queries / patches_per_period), 2)
        error = np.sqrt(_long_run_variance(each, cosines).mean(axis=0) / queries / windows)
        return cls(each.mean(axis=(0, -1)), error, cosines * windows)

    def p_value(self) -> Array:
        """That it is not above zero."""
        certain = np.where(self.value > 0, np.inf, 0.0)
        p: Array = student.sf(
            np.where(self.error > 0, self.value / np.where(self.error > 0, self.error, 1), certain), self.degrees
        )
        return p

    def upper(self, level: float) -> Array:
        """Its upper confidence limit."""
        limit: Array = self.value + student.ppf(1 - level, self.degrees) * self.error
        return limit


@dataclass(frozen=True, eq=False)
class Looks:
    """What a head's maps show at a period, for every head, (layer, head).

    Attributes
    ----------
    contrast, excess
        Means over queries: of their contrast, which says whether, and of their excess, in means of the head's curve,
        which says how much.
    prominence
        Of the mean curve's peak at the period, in means of the curve.
    p_value
        That the contrast is not above zero, corrected over the heads asked about (Holm).
    """

    contrast: Mean
    excess: Mean
    prominence: Array
    p_value: Array

    def supported(self, level: float) -> NDArray[np.bool_]:
        """A peak at the period, and more attention there than beside it."""
        seen: NDArray[np.bool_] = (self.prominence >= MIN_PROMINENCE) & (self.p_value <= level)
        return seen

    def refuted(self, level: float) -> NDArray[np.bool_]:
        """The excess's upper confidence limit lies below what counts as a peak."""
        below: NDArray[np.bool_] = (self.excess.upper(level) < MIN_PROMINENCE) & (self.prominence < MIN_PROMINENCE)
        return below


def looks_back(
    time_attention: ArrayLike, curves: ArrayLike, patches_per_period: float, asked: NDArray[np.bool_]
) -> Looks:
    """Hold every head's attention one period back against that beside it.

    Parameters
    ----------
    time_attention
        (window, layer, head, n, n), query by key.
    curves
        Their mean over windows as lag curves, (layer, head, n), lags 0 … n - 1.
    asked
        (layer, head): the heads that the correction is over.
    """
    attention, mean = np.asarray(time_attention, dtype=np.float64), np.asarray(curves, dtype=np.float64)
    lags = Lags.of(patches_per_period, attention.shape[-1])
    there, beside = lags.by_query(attention)
    both = there + beside
    contrast = Mean.of(_better((there - beside) / np.where(both > 0, both, 1)), patches_per_period)
    excess = Mean.of(_better(there - beside) / _level(mean)[..., None], patches_per_period)
    p_value = holm(np.minimum(contrast.p_value() * len(lags.at), 1), asked)  # the better of two lags was taken
    return Looks(contrast, excess, _prominence(mean, patches_per_period), p_value)


def _level(curves: Array) -> Array:
    """Means of curves (..., patches) over the lags that the axis resolves; NaN where there is nothing."""
    level = np.nanmean(curves[..., SHORTEST_PERIOD:], axis=-1)
    return np.where(level > 0, level, np.nan)


def _better(each: Array) -> Array:
    """Of two lags within half a patch of the period a head may use either: (at, window, ..., query) → without `at`."""
    best: Array = np.take_along_axis(each, each.mean(axis=(1, -1)).argmax(axis=0)[None, None, ..., None], axis=0)[0]
    return best


def _long_run_variance(series: Array, cosines: int) -> Array:
    """Long-run variance of (..., n) along its last axis."""
    n = series.shape[-1]
    angle = np.pi * np.outer(np.arange(n) + 0.5, np.arange(1, cosines + 1)) / n
    variance: Array = ((series @ (np.sqrt(2 / n) * np.cos(angle))) ** 2).mean(axis=-1)
    return variance


def _prominence(curves: Array, patches_per_period: float) -> Array:
    lag: NDArray[Any] = np.arange(curves.shape[-1])
    return period_prominence(lag, curves, 1.0, patches_per_period)
