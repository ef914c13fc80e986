"""Looking: does a head look whole periods back more than beside that? By region; plain arrays in and out.

A query's contrast is (a - b) / (a + b), in -1 … 1: a is its mean attention to keys of the history whole periods back, b
its mean attention to keys about half a period off on either side. Every query counts equally, however much of its
attention goes elsewhere. A constant or a slope has no contrast. If the lags are interchangeable the contrast is zero on
average or, because b varies less than a, below zero, so that the test is conservative.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from vitime_cache.arrays import Array, Bools
from vitime_cache.attention.lags import MIN_PAIRS, Region, diagonal_means, pair_counts
from vitime_cache.attention.peaks import SHORTEST_PERIOD, period_prominence, strongest_peak
from vitime_cache.errors import VitimeError
from vitime_cache.evidence.levels.claimed import Claimed
from vitime_cache.evidence.levels.table import NOT_SUPPORTED, NOT_TESTED, SUPPORTED
from vitime_cache.evidence.verdict.schema import REGIONS, three_values
from vitime_cache.interventions.lag_masks import GUARD, REACH
from vitime_cache.series.spans import samples_in_words

MIN_QUERIES = 12  # queries that see whole periods back and what lies beside them
LEAST_CONTRAST = 0.05  # attention a tenth larger than beside: a smaller contrast does not count


class LookingError(VitimeError):
    """A period whose lags the lag axis does not show."""


@dataclass(frozen=True, eq=False)
class Sight:
    """Which keys whole periods back, and beside them, the queries of a region see: weights whose rows sum to 1.

    Attributes
    ----------
    queries
        Indices of the queries that see a multiple of the period, and what lies beside it, in the history.
    there, beside
        Weights (query, key) of keys whole periods back and of keys about half a period off; multiples count equally.
        Both sides of a multiple have equally many keys, except for some periods of fewer than 3 patches, where other
        multiples take their place.
    """

    queries: NDArray[np.intp]
    there: Array
    beside: Array

    @classmethod
    def of(cls, region: Region, patches: int, history_patches: int, patches_per_period: float) -> Sight:
        """For a period in patches; `queries` is empty if none sees a whole multiple of it.

        Raises
        ------
        LookingError
            For a period of fewer than two patches.
        """
        period = patches_per_period
        if not SHORTEST_PERIOD * (1 - 1e-9) <= period < np.inf:
            raise LookingError(f"a period of {period:.3g} patches cannot be seen; it needs two or more")
        lag = np.arange(1, patches + int(np.ceil(period)))  # a multiple whose farther side is off the axis is not seen
        k = np.arange(1, int(patches / period) + 1)[:, None]
        teeth = np.abs(lag - k * period) < REACH  # (k, lag)
        centre = (teeth * lag).sum(axis=1, keepdims=True) / np.maximum(teeth.sum(axis=1, keepdims=True), 1)
        off = np.abs(lag - centre)  # not from k * period, so that both sides have equal lags
        beside = (off >= max(period / 4, min(GUARD, period / 2 - 0.5)) - 1e-9) & (off <= period / 2 + 0.5 + 1e-9)
        flanks = beside & ~teeth.any(axis=0)
        both = teeth | flanks
        first, last = lag[both.argmax(axis=1)], lag[-1 - both[:, ::-1].argmax(axis=1)]
        queries = np.arange(history_patches) if region == REGIONS[0] else np.arange(history_patches, patches)
        nearest = np.maximum(queries - history_patches + 1, 1)  # lag of the last sample of history
        seen = (first >= nearest[:, None]) & (last <= queries[:, None]) & teeth.any(axis=1) & flanks.any(axis=1)
        queries, seen = queries[seen.any(axis=1)], seen[seen.any(axis=1)]
        key = queries[:, None] - lag  # (query, lag); negative: before the history
        weights = []
        for some in (teeth, flanks):
            by_lag = seen @ (some / np.maximum(some.sum(axis=1, keepdims=True), 1)) / seen.sum(axis=1, keepdims=True)
            by_key = np.zeros((len(queries), patches))
            np.put_along_axis(by_key, np.maximum(key, 0), np.where(key > 0, by_lag, 0), axis=1)
            by_key[:, 0] = np.where(key == 0, by_lag, 0).sum(axis=1)
            weights.append(by_key)
        return cls(queries, *weights)

    def contrast(self, time_attention: ArrayLike) -> Array:
        """Contrast of every query of (..., n, n), query by key, (..., query); 0 where it attends to neither."""
        rows = np.asarray(time_attention, dtype=np.float64)[..., self.queries, :]
        there, beside = (np.einsum("...qk,qk->...q", rows, weights) for weights in (self.there, self.beside))
        both = there + beside
        contrast: Array = (there - beside) / np.where(both > 0, both, 1)
        return contrast


@dataclass(frozen=True, eq=False)
class Looking:
    """How every head looks at a period. The axis region is that of a verdict.

    Attributes
    ----------
    claimed
        The claim "looks", (layer, head): the contrast of the region with the highest lower end.
    looks
        The same verdict by region, (region, layer, head).
    query_contrast, query_contrast_error
        Mean over queries and windows, and its standard error, (region, layer, head); NaN where a region has too few
        queries.
    lag_curve
        Mean attention to a lag in the past, (region, layer, head, n) over lags 0 … n - 1; NaN below `MIN_PAIRS` pairs.
    peak_lag
        Lag of the strongest peak in samples, (region, layer, head); NaN where there is none.
    prominence
        Prominence of the largest peak at a multiple of the period, in means of the curve, (region, layer, head).
    left_out
        One sentence for each thing that could not be tested.
    """

    claimed: Claimed
    looks: NDArray[np.int8]
    query_contrast: Array
    query_contrast_error: Array
    lag_curve: Array
    peak_lag: Array
    prominence: Array
    left_out: tuple[str, ...]


def sights(patches: int, history_patches: int, patches_per_period: float) -> tuple[Sight, ...]:
    """The `Sight` of each region of `REGIONS` for a period in patches.

    Raises
    ------
    LookingError
        If no region has `MIN_QUERIES` queries that see whole periods back.
    """
    found = tuple(Sight.of(region, patches, history_patches, patches_per_period) for region in REGIONS)
    if max(len(sight.queries) for sight in found) < MIN_QUERIES:
        raise LookingError(
            f"a period of {patches_per_period:.3g} patches is too long for {history_patches} patches of history: fewer "
            f"than {MIN_QUERIES} queries look that far back; ask about a shorter period or on a longer window"
        )
    return found


def mean_contrast(time_attention: ArrayLike, seen: tuple[Sight, ...]) -> Array:
    """Mean contrast over queries, (..., n, n) → (region, ...); NaN for a region with too few queries."""
    attention = np.asarray(time_attention)
    nothing = np.full(attention.shape[:-2], np.nan)
    return np.stack([
        s.contrast(attention).mean(axis=-1) if len(s.queries) >= MIN_QUERIES else nothing for s in seen
    ])  # fmt: skip


def past_curves(time_attention: ArrayLike, history_patches: int) -> Array:
    """Lag curves by region over lags 0 … n - 1 into the past, (..., n, n) → (region, ..., n)."""
    attention = np.asarray(time_attention)
    n = attention.shape[-1]
    return np.stack([diagonal_means(attention, history_patches, region)[..., n - 1 :] for region in REGIONS])


def look(
    time_attention: ArrayLike, history_patches: int, patches_per_period: float, samples_per_patch: float, asked: Bools,
    level: float, sample_seconds: float = 0.0,
) -> Looking:  # fmt: skip
    """Test every head's attention whole periods back against its attention beside them.

    Parameters
    ----------
    time_attention
        (window, layer, head, n, n), query by key.
    history_patches
        Columns that show history.
    asked
        (layer, head): intervals are simultaneous over these heads.
    level
        Family-wise error over heads and regions.
    sample_seconds
        From one sample to the next; 0 where that is not known.

    Notes
    -----
    Queries are neighbours in time, so the standard error of a window's mean uses the long-run variance from
    equal-weighted cosines: floor(0.4 n^(2/3)) of them, or more for a short period, because what alternates within half
    a period averages out. Student's t has as many degrees of freedom (Lazarus, Lewis, Stock and Watson, JBES 2018).
    Intervals are Bonferroni-corrected over heads and regions, so that a head is supported if its interval lies above
    zero.
    """
    from scipy.stats import t as student  # a second, which pages that only read need not wait

    attention = np.asarray(time_attention)
    windows, patches = len(attention), attention.shape[-1]
    seen = sights(patches, history_patches, patches_per_period)
    tested = np.array([len(sight.queries) >= MIN_QUERIES for sight in seen])
    family = max(int(asked.sum()) * int(tested.sum()), 1)
    shape = (len(REGIONS), *attention.shape[1:3])
    contrast, error, half, p_value = (np.full(shape, np.nan) for _ in range(4))
    for r in np.flatnonzero(tested):
        each = seen[r].contrast(attention)  # (window, layer, head, query)
        cosines = _cosines(each.shape[-1], patches_per_period)
        degrees = cosines * windows
        contrast[r] = each.mean(axis=(0, -1))
        error[r] = np.sqrt(_long_run_variance(each, cosines).mean(axis=0) / each.shape[-1] / windows)
        half[r] = student.isf(level / family, degrees) * error[r]
        ratio = np.divide(contrast[r], error[r], out=np.where(contrast[r] > 0, np.inf, 0.0), where=error[r] > 0)
        p_value[r] = np.minimum(student.sf(ratio, degrees) * family, 1)
    low, high = contrast - half, contrast + half
    among = tested[:, None, None] & asked
    looks = by_region(contrast, low, high, among)
    curves = past_curves(attention, history_patches).mean(axis=1)  # (region, layer, head, n)
    lag = np.arange(patches)
    multiples = range(1, int(patches / patches_per_period) + 1)
    return Looking(
        over_regions(contrast, low, high, p_value, looks),
        looks, contrast, error, curves,
        strongest_peak(lag, curves, samples_per_patch),
        np.stack([period_prominence(lag, each, 1.0, patches_per_period, multiples) for each in curves]),
        tuple(_left_out(patches, history_patches, samples_per_patch, seen, sample_seconds)),
    )  # fmt: skip


def over_regions(contrast: Array, low: Array, high: Array, p_value: Array, looks: NDArray[np.int8]) -> Claimed:
    """The claim over regions, from arrays (region, layer, head) and the verdicts of `by_region`.

    It has the figures of the region with the highest lower end. It is supported if either region supports it, and not
    supported if no tested region leaves it open.
    """
    tested = looks != NOT_TESTED
    best = np.where(tested, low, -np.inf).argmax(axis=0)[None]
    figure, low, high, p_value = (
        np.where(tested.any(axis=0), np.take_along_axis(each, best, axis=0)[0], np.nan)
        for each in (contrast, low, high, p_value)
    )
    refuted = ((looks == NOT_SUPPORTED) | ~tested).all(axis=0)
    verdict = three_values((looks == SUPPORTED).any(axis=0), refuted, tested.any(axis=0))
    return Claimed(figure, low, high, p_value, verdict)


def by_region(contrast: Array, low: Array, high: Array, tested: Bools) -> NDArray[np.int8]:
    """Verdicts on contrasts with intervals (region, layer, head): above zero and large enough, or surely too small."""
    return three_values((low > 0) & (contrast >= LEAST_CONTRAST), high < LEAST_CONTRAST, tested)


def _left_out(
    patches: int, history_patches: int, samples_per_patch: float, seen: tuple[Sight, ...], sample_seconds: float
) -> list[str]:
    said = []
    for region, sight in zip(REGIONS, seen, strict=True):
        if len(sight.queries) < MIN_QUERIES:
            said.append(
                f"{region}: not tested, because {len(sight.queries)} queries see whole periods back in the history; "
                f"{MIN_QUERIES} are needed."
            )
        pairs = pair_counts(patches, history_patches, region)[patches:]  # lags 1 …
        shown = np.flatnonzero(pairs >= MIN_PAIRS) + 1
        if len(shown) == 0:
            said.append(f"{region}: no lag has {MIN_PAIRS} pairs of a query and a key.")
        elif len(shown) < len(pairs):
            first, last = (samples_in_words(float(lag) * samples_per_patch, sample_seconds) for lag in shown[[0, -1]])
            said.append(
                f"{region}: lags from {first} to {last} are shown, the others have fewer than {MIN_PAIRS} pairs of a "
                "query and a key."
            )
    return said


def _cosines(queries: int, patches_per_period: float) -> int:
    """Number of cosines for the long-run variance, as the notes of `look` say."""
    return max(int(0.4 * queries ** (2 / 3)), int(queries / patches_per_period), 2)


def _long_run_variance(series: Array, cosines: int) -> Array:
    """Long-run variance of (..., n) along its last axis."""
    n = series.shape[-1]
    angle = np.pi * np.outer(np.arange(n) + 0.5, np.arange(1, cosines + 1)) / n
    variance: Array = ((series @ (np.sqrt(2 / n) * np.cos(angle))) ** 2).mean(axis=-1)
    return variance
