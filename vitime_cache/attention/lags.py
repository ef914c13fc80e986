"""How far back a head looks: curves of attention over time lag.

A lag is signed: positive when the key lies in the past of the query. Arrays count it in patches; pages and reports show
samples, `lag * samples_per_patch`. "forecast→history" means that queries in the forecast look at keys in the history.
Curves are means over diagonals of time attention (reference study; ViTime paper, arXiv 2407.07311).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import ArrayLike, NDArray

from vitime_cache.arrays import Array
from vitime_cache.checks import choice, numbers, whole
from vitime_cache.errors import VitimeError

Region = Literal["all", "history→history", "forecast→history", "forecast→forecast"]
REGIONS: tuple[Region, ...] = get_args(Region)

MIN_PAIRS = 8  # a diagonal mean over fewer pairs is not shown


class LagError(VitimeError):
    """Time attention, a lag curve or a region that cannot be analysed."""


@dataclass(frozen=True, eq=False)
class LagCurve:
    """Mean attention over lag with its 95 % interval; every array ends in the lag axis.

    Attributes
    ----------
    lag
        -(n - 1) … n - 1 in patches, (L,).
    mean, low, high
        Mean of the diagonal and its interval, (..., L); NaN where a region has fewer pairs than required.
    pairs
        Query–key pairs behind each mean, (L,).
    """

    lag: NDArray[np.intp]
    mean: Array
    low: Array
    high: Array
    pairs: NDArray[np.intp]


def lag_means(time_attention: ArrayLike) -> tuple[NDArray[np.intp], Array]:
    """Mean of every diagonal of (..., n, n): lags -(n - 1) … n - 1 in patches, and means (..., 2 n - 1)."""
    attention = _square(time_attention)
    n = attention.shape[-1]
    lag = np.arange(-(n - 1), n)
    return lag, _skew(attention).sum(axis=-2) / (n - np.abs(lag)).astype(attention.dtype)


def mean_attention_vs_time_lag(time_attention: ArrayLike, max_lag: int = 40) -> tuple[NDArray[np.intp], Array]:
    """The reference study's curve: lags 1 … min(max_lag, n - 1) in patches and the mean of `np.diag(A, -lag)`."""
    most = whole(max_lag, "max_lag", 1, error=LagError)
    lag, mean = lag_means(numbers(time_attention, "time attention", error=LagError))
    shown = (lag >= 1) & (lag <= most)
    return lag[shown], mean[..., shown]


def pair_counts(patches: int, history_patches: int | None = None, region: Region = "all") -> NDArray[np.intp]:
    """Query–key pairs behind each lag -(patches - 1) … patches - 1 of a region, (2 patches - 1,)."""
    query, key = _region(patches, history_patches, region)
    return _pair_counts(patches, query.indices(patches)[:2], key.indices(patches)[:2]).copy()


def lag_curve(
    time_attention: ArrayLike,
    history_patches: int | None = None,
    region: Region = "all",
    *,
    min_pairs: int = MIN_PAIRS,
) -> LagCurve:
    """Mean attention against lag within a region, with a 95 % interval.

    Parameters
    ----------
    time_attention
        (..., n, n), query by key.
    history_patches
        Patch columns that show history; needed for every region but "all".
    region
        Which queries look at which keys.
    min_pairs
        Lags with fewer pairs are NaN.

    Notes
    -----
    Neighbours on a diagonal are correlated, so the plain standard error of their mean is too small. The interval uses
    the Newey–West long-run variance (Econometrica 1987) with Bartlett weights over floor(1.3 √pairs) steps along the
    diagonal (Lazarus, Lewis, Stock and Watson, JBES 2018) and the fixed-b critical value of Kiefer and Vogelsang
    (Econometric Theory 2005). It covers the query positions within this one signal, not other signals.
    """
    attention = _square(time_attention)
    n = attention.shape[-1]
    query, key = _region(n, history_patches, region)
    pairs = pair_counts(n, history_patches, region)
    inside = np.zeros((n, n), dtype=bool)
    inside[query, key] = True
    present = _skew(inside)  # (n, L): each diagonal is a column
    cells = _skew(np.where(inside, attention, 0))  # (..., n, L)
    counted = np.maximum(pairs, 1)
    mean = cells.sum(axis=-2) / counted
    half = _half_width(np.where(present, cells - mean[..., None, :], 0), counted)
    shown = pairs >= max(min_pairs, 1)
    mean, half = (np.where(shown, values, np.nan) for values in (mean, half))
    return LagCurve(np.arange(-(n - 1), n), mean, mean - half, mean + half, pairs)


def diagonal_means(
    time_attention: ArrayLike, history_patches: int | None = None, region: Region = "all", min_pairs: int = MIN_PAIRS
) -> Array:
    """The mean of `lag_curve` without its interval, (..., L): all that runs on null inputs need."""
    attention = _square(time_attention)
    n = attention.shape[-1]
    query, key = _region(n, history_patches, region)
    queries, keys = query.indices(n), key.indices(n)
    pairs = _pair_counts(n, queries[:2], keys[:2])
    sums = np.zeros((*attention.shape[:-2], 2 * n - 1), attention.dtype)
    first = queries[0] - keys[1] + n  # the smallest lag of the region's block, counted from -(n - 1)
    block = _skew(attention[..., query, key]).sum(axis=-2)
    sums[..., first : first + block.shape[-1]] = block
    return np.where(pairs >= max(min_pairs, 1), sums / np.maximum(pairs, 1), np.nan)


def over_baseline(curve: ArrayLike, unrelated: ArrayLike) -> Array:
    """A curve (..., L) divided by its mean over unrelated signals (signal, ..., L): 1 where only position matters.

    Fixed positional embeddings give every signal some lag structure; the ratio removes it. NaN where the baseline is
    zero or missing.
    """
    others = np.asarray(unrelated, dtype=np.float64)
    if others.ndim < 2 or len(others) == 0:
        raise LagError(f"the baseline needs at least one unrelated signal as its first axis, got shape {others.shape}")
    baseline = others.mean(axis=0)
    ratio: Array = np.asarray(curve) / np.where(baseline > 0, baseline, np.nan)
    return ratio


def autocorrelation(series: ArrayLike, max_lag: int | None = None) -> Array:
    """Correlation of a series (T,) with itself at lags 0 … max_lag samples: Pearson's r over the overlapping part.

    Over the overlap, r stays within ±1 and a periodic series peaks equally high at every multiple of its period. A lag
    curve is a mean over pairs too, so the two compare. NaN where an overlap is constant or a single sample.
    """
    x = np.asarray(series, dtype=np.float64)
    if x.ndim != 1 or len(x) < 2 or not np.isfinite(x).all():
        raise LagError(f"autocorrelation needs at least two finite samples in one dimension, got shape {x.shape}")
    n = len(x)
    if np.ptp(x) == 0:  # rounding in the mean would make a constant look like noise
        x = np.zeros(n)
    lag = np.arange((n - 1 if max_lag is None else min(max_lag, n - 1)) + 1)
    x = (x - x.mean()) / (x.std() or 1.0)
    products = np.fft.irfft(np.abs(np.fft.rfft(x, 2 * n)) ** 2)[: len(lag)]  # sum of x[t] x[t + lag]
    sums, squares = (np.concatenate(([0.0], np.cumsum(v))) for v in (x, x**2))
    pairs = n - lag
    early, late = sums[pairs] / pairs, (sums[n] - sums[lag]) / pairs  # means of x[: n - lag] and x[lag:]
    spread = (squares[pairs] / pairs - early**2) * ((squares[n] - squares[lag]) / pairs - late**2)
    varies = spread > 1e-18
    correlation: Array = np.where(
        varies, (products / pairs - early * late) / np.sqrt(np.where(varies, spread, 1)), np.nan
    )
    return np.clip(correlation, -1, 1)


def _square(time_attention: ArrayLike) -> Array:
    attention = np.asarray(time_attention)
    if attention.ndim < 2 or attention.shape[-1] != attention.shape[-2] or attention.shape[-1] < 2:
        raise LagError(f"time attention must be (..., n, n) with n of at least 2, got shape {attention.shape}")
    return attention.astype(np.promote_types(attention.dtype, np.float32), copy=False)


def _region(patches: int, history_patches: int | None, region: Region) -> tuple[slice, slice]:
    """The queries and the keys of a region."""
    choice(region, "region", REGIONS, error=LagError)
    if region == "all":
        return slice(None), slice(None)
    if history_patches is None or not 0 <= history_patches <= patches:
        raise LagError(f"region {region} needs history_patches of 0 … {patches}, got {history_patches}")
    part = {"history": slice(0, history_patches), "forecast": slice(history_patches, patches)}
    query, key = region.split("→")
    return part[query], part[key]


@lru_cache(maxsize=64)
def _pair_counts(patches: int, queries: tuple[int, int], keys: tuple[int, int]) -> NDArray[np.intp]:
    inside = np.zeros((patches, patches))
    inside[slice(*queries), slice(*keys)] = 1
    counts: NDArray[np.intp] = _skew(inside).sum(axis=0).astype(np.intp)
    return counts


def _skew(matrix: NDArray[Any]) -> NDArray[Any]:
    """Move each diagonal of (..., q, k) into a column: (..., q, q + k - 1), zeros elsewhere, lags ascending.

    Each row of k cells is padded to q + k and the result is read in rows of q + k - 1, which moves every row one more
    step to the right. With the keys reversed, cell (query, key) lands in column query - key + k - 1.
    """
    q, k = matrix.shape[-2:]
    diagonals = max(q + k - 1, 0)
    padded = np.zeros((*matrix.shape[:-1], q + k), dtype=matrix.dtype)
    padded[..., :k] = matrix[..., ::-1]
    flat = padded.reshape(*matrix.shape[:-2], q * (q + k))
    return flat[..., : q * diagonals].reshape(*matrix.shape[:-2], q, diagonals)


def _half_width(residual: Array, pairs: NDArray[np.intp]) -> Array:
    """Half the 95 % interval of each column's mean; `residual` (..., n, L) is zero outside the diagonal."""
    steps = np.minimum(np.floor(1.3 * np.sqrt(pairs)), pairs - 1)  # (L,)
    variance = (residual**2).sum(axis=-2)
    for step in range(1, int(steps.max()) + 1):
        weight = np.maximum(1 - step / (steps + 1), 0)
        variance = variance + 2 * weight * (residual[..., step:, :] * residual[..., :-step, :]).sum(axis=-2)
    b = (steps + 1) / pairs
    critical = 1.96 + 2.9694 * b + 0.4160 * b**2 - 0.5324 * b**3
    half: Array = critical * np.sqrt(np.maximum(variance, 0)) / pairs
    return half
