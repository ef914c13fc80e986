"""Does a head look there more than on null inputs? Makes the null inputs, and tests the signal against them.

Null series are made from the stretch of the question and cut into the same windows. The figure is that of `looking`:
the mean contrast of a region's queries at the period asked about. If that period was proposed from the series as its
strongest, a period is proposed for each null series in the same way, and the signal must also show more at its period
than null inputs show at theirs. Plain arrays in and out; the caller runs the model.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import product

import numpy as np
from numpy.typing import ArrayLike

from vitime_cache.arrays import Array, Bools
from vitime_cache.attention.peaks import SHORTEST_PERIOD
from vitime_cache.checks import is_number
from vitime_cache.evidence.levels.claimed import Claimed
from vitime_cache.evidence.levels.looking import Sight, by_region, mean_contrast, over_regions, past_curves, sights
from vitime_cache.evidence.periods import propose_periods_of_each
from vitime_cache.evidence.verdict.schema import REGIONS
from vitime_cache.series.signal import Signal
from vitime_cache.stats.max_statistic import max_statistic
from vitime_cache.stats.surrogates import KINDS, Null, NullError, null_kinds, null_series

NULLS = 99  # default number of null inputs of each kind
MOST_NULLS = 100_000
QUANTILE = 0.95  # of null curves, lag by lag, drawn as a band


@dataclass(frozen=True, eq=False)
class NullInput:
    """One window of a null series, ready to run.

    Attributes
    ----------
    kind, number
        The null series it belongs to.
    signal
        The input of the model.
    own_period
        The strongest period proposed for the null series in samples; None if there is none, or none was asked for.
    """

    kind: Null
    number: int
    signal: Signal
    own_period: float | None


@dataclass(frozen=True, eq=False)
class Nulls:
    """Every head against null inputs. The axis region is that of a verdict, the axis kind has the order of the inputs.

    Attributes
    ----------
    claimed
        The claim "depends", (layer, head): the least excess of the contrast over a kind's mean, in the region with the
        highest lower end.
    null_mean, null_upper
        Mean and 95 % quantile of null lag curves, (kind, region, layer, head, n).
    null_contrast
        Mean contrast of null inputs, (kind, region, layer, head).
    null_p
        p-values by the maximum over heads and regions, (kind, region, layer, head).
    """

    claimed: Claimed
    null_mean: Array
    null_upper: Array
    null_contrast: Array
    null_p: Array


def aperiodic(null_mean: Array, kinds: Sequence[Null]) -> Array:
    """Mean lag curve of the kinds without any period, which position alone produces, (kind, ...) → (...)."""
    some = [k for k, kind in enumerate(kinds) if not KINDS[kind].of_period]
    mean: Array = null_mean[some].mean(axis=0)
    return mean


def fewest_nulls(level: float) -> int:
    """The fewest null inputs of a kind whose p-value can be as small as `level`.

    Raises
    ------
    NullError
        For a level that is not between 0 and 1.
    """
    if not (is_number(level) and 0 < level < 1):
        raise NullError(f"the level must lie between 0 and 1, got {level!r:.60}")
    return max(int(np.ceil(1 / level - 1e-9)) - 1, 3)  # at least 3, to know their standard deviation


def null_inputs(
    stretch: ArrayLike, starts: Sequence[int], history: int, horizon: int, period: float | None, *, n: int = NULLS,
    seed: int = 0, proposed: bool = False,
) -> list[NullInput]:  # fmt: skip
    """Make `n` null series of each kind and cut them into windows.

    Parameters
    ----------
    stretch
        The samples of the question, from the start of the first window to the end of the last.
    starts
        First sample of each window in the stretch.
    period
        In samples; with None there are no series that lack it.
    proposed
        Whether the period was proposed from the series.
    """
    x = np.asarray(stretch, dtype=np.float64)
    kinds = null_kinds(period)
    every = np.concatenate([null_series(kind, x, n, _seed(seed, k), period=period) for k, kind in enumerate(kinds)])
    proposals = propose_periods_of_each(every) if proposed else [[]] * len(every)
    return [
        NullInput(
            kind, number, Signal(f"{kind} {number}", series[start : start + history], horizon),
            anew[0].period if anew else None,
        )
        for (kind, number), series, anew in zip(product(kinds, range(n)), every, proposals, strict=True)
        for start in starts
    ]  # fmt: skip


def against_null_inputs(
    query_contrast: ArrayLike, inputs: Sequence[NullInput], time_attention: Iterable[ArrayLike], history_patches: int,
    patches_per_period: float, samples_per_patch: float, asked: Bools, level: float,
) -> Nulls:  # fmt: skip
    """Test the signal's contrasts against those of null inputs.

    Parameters
    ----------
    query_contrast
        Contrasts of the signal, (region, layer, head), from `looking.look`; NaN is ignored.
    time_attention
        (layer, head, n, n) for each of `inputs`, in order; only one is in memory at a time.

    Raises
    ------
    NullError
        For fewer null inputs than the level needs.
    """
    kinds = tuple(dict.fromkeys(each.kind for each in inputs))
    n = max(each.number for each in inputs) + 1
    if n < fewest_nulls(level):
        raise NullError(f"a level of {level:g} needs {fewest_nulls(level)} nulls of a kind, got {n}")
    windows = len(inputs) / (n * len(kinds))
    observed = np.where(asked, np.asarray(query_contrast, dtype=np.float64), np.nan)
    contrasts = curves = None
    asked_about: tuple[Sight, ...] | None = None
    anew = any(each.own_period is not None for each in inputs)
    for each, maps in zip(inputs, time_attention, strict=True):
        attention = np.asarray(maps)
        asked_about = asked_about or sights(attention.shape[-1], history_patches, patches_per_period)
        contrast = _contrast(attention, history_patches, asked_about, each.own_period, samples_per_patch)
        contrast = contrast if anew else contrast[:1]
        curve = past_curves(attention, history_patches)
        if contrasts is None or curves is None:
            contrasts = np.zeros((len(kinds), n, *contrast.shape))
            curves = np.zeros((len(kinds), n, *curve.shape), dtype=np.float32)
        at = kinds.index(each.kind), each.number
        contrasts[at] += contrast / windows
        curves[at] += curve / windows
    assert contrasts is not None
    assert curves is not None
    contrasts = np.where(asked, contrasts, np.nan)  # (kind, n, which period, region, layer, head)
    mean = contrasts.mean(axis=1)
    bands = [[max_statistic(observed, of_kind[:, w], level) for w in range(mean.shape[1])] for of_kind in contrasts]
    p_value = np.array([[band.p_value for band in of_kind] for of_kind in bands])  # (kind, which period, …)
    low = observed - np.array([[band.upper for band in of_kind] for of_kind in bands])
    excess = observed - mean
    high = 2 * excess - low
    least, least_low, least_high = (each.min(axis=(0, 1)) for each in (excess, low, high))
    verdict = by_region(least, least_low, least_high, np.isfinite(least))
    return Nulls(
        over_regions(least, least_low, least_high, p_value.max(axis=(0, 1)), verdict),
        curves.mean(axis=1), np.quantile(curves, QUANTILE, axis=1), mean.max(axis=1), p_value.max(axis=1),
    )  # fmt: skip


def _contrast(
    attention: Array, history_patches: int, asked_about: tuple[Sight, ...], own: float | None, samples_per_patch: float
) -> Array:
    """Mean contrast at the period asked about, and at the null's own period if it has one that the axis can show."""
    at = mean_contrast(attention, asked_about)
    if own is None or own < SHORTEST_PERIOD * samples_per_patch:
        return np.stack((at, at))
    patches = attention.shape[-1]
    seen = tuple(Sight.of(region, patches, history_patches, own / samples_per_patch) for region in REGIONS)
    anew = mean_contrast(attention, seen)
    return np.stack((at, np.where(np.isfinite(anew), anew, at)))


def _seed(seed: int, kind: int) -> int:
    """A seed of its own for each kind of null, by its number."""
    return int(np.random.SeedSequence([seed, kind]).generate_state(1)[0])
