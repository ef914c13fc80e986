"""Peaks of lag curves: where they are, how far they stand out, and which multiple of a period they are.

The lag axis is sampled once per patch. A period below two patches aliases and does not show, a peak is located to half
a patch, and a period that is not a whole number of patches is split over two bins.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import ArrayLike, NDArray

from vitime_cache.arrays import Array, Bools
from vitime_cache.attention.lags import LagError
from vitime_cache.checks import choice

Side = Literal["past", "future"]

SHORTEST_PERIOD = 2  # patches that a period must span to be resolved
FIRST_SHARE = 0.25  # least prominence of a first peak, as a share of the strongest peak's
EDGE = 2  # least distance of a peak from either end of a curve, in steps
MIN_PROMINENCE = 0.1  # least prominence of a peak, as a share of the curve's mean


@dataclass(frozen=True)
class Peak:
    """A local maximum of a lag curve; lengths in samples unless said otherwise.

    `lag` is the sampled maximum, accurate to half a patch. `vertex` is the top of the parabola through it and its
    neighbours: more accurate for a smooth bump, not for a spike. `nearest` is `multiple * period` and `error` is the
    peak's distance from it. `matches` says whether that is within half a patch; it is False for a period that the axis
    cannot resolve, because every lag lies near a multiple of such a period.
    """

    patches: int
    lag: float
    vertex: float
    attention: float
    prominence: float
    relative_prominence: float
    pairs: int
    multiple: int
    nearest: float
    error: float
    matches: bool


def resolvable(period: float | None, samples_per_patch: float) -> bool:
    """Whether a period in samples spans at least two patches, so that the lag axis can show it."""
    return period is not None and period >= SHORTEST_PERIOD * samples_per_patch


def lag_peaks(
    lag: ArrayLike,
    curve: ArrayLike,
    samples_per_patch: float,
    *,
    period: float | None = None,
    pairs: ArrayLike | None = None,
    side: Side = "past",
    min_prominence: float = MIN_PROMINENCE,
) -> list[Peak]:
    """Find the peaks of one lag curve that the axis can resolve, nearest first.

    Parameters
    ----------
    lag, curve
        Signed lags in patches and attention, (L,); NaN stretches at the ends are ignored.
    period
        Period in samples whose multiples the peaks are compared with.
    pairs
        Pairs behind each lag, reported with the peak.
    side
        Keys in the past or in the future of the query; lags are reported without sign.
    min_prominence
        Least prominence (scipy.signal.peak_prominences) as a fraction of the curve's mean over resolvable lags.
    """
    if period is not None and not period > 0:
        raise LagError(f"the period must be a positive number of samples, got {period}")
    distance, values, order = _one_side(lag, curve, side)
    counts = np.zeros(len(distance), dtype=np.intp) if pairs is None else np.asarray(pairs)[order]
    strength = prominences(values)
    level = float(_level(distance, values))
    return [
        _peak(int(i), distance, values, float(strength[i]), level, int(counts[i]), samples_per_patch, period)
        for i in np.flatnonzero((distance >= SHORTEST_PERIOD) & (strength > 0) & (strength >= min_prominence * level))
    ]


def prominences(curves: ArrayLike) -> Array:
    """Prominence of the local maxima of (..., L) where `may_peak`, 0 elsewhere; NaN ends of a curve are ignored."""
    values = np.asarray(curves, dtype=np.float64)
    flat = values.reshape(-1, values.shape[-1])
    found = np.zeros_like(flat)
    known = np.flatnonzero(np.isfinite(flat).any(axis=1))
    if len(known) == 0:
        return found.reshape(values.shape)
    from scipy.signal import find_peaks  # imported here: it takes half a second, and the app's first page needs none

    for row in known:
        at, about = find_peaks(flat[row], prominence=0)
        found[row, at] = about["prominences"]
    return np.where(may_peak(values), found.reshape(values.shape), 0)


def may_peak(curves: ArrayLike) -> Bools:
    """Where a maximum of (..., L) counts as a peak: `EDGE` steps or more from either end of what is known of its curve.

    A maximum one step from an end has a single lower point on that side, and may be a cut-off slope.
    """
    known = np.isfinite(np.asarray(curves, dtype=np.float64))
    before, after = known.cumsum(axis=-1), known[..., ::-1].cumsum(axis=-1)[..., ::-1]
    inner: Bools = known & (before > EDGE) & (after > EDGE)
    return inner


def lags_of_peaks(lag: ArrayLike, curve: ArrayLike, side: Side = "past") -> NDArray[np.intp]:
    """Lags in patches, without sign, at which `lag_peaks` could find a peak of a curve (L,)."""
    distance, values, _ = _one_side(lag, curve, side)
    return distance[may_peak(values) & (distance >= SHORTEST_PERIOD)]


def first_peaks(
    lag: ArrayLike, curves: ArrayLike, samples_per_patch: float, side: Side = "past", share: float = FIRST_SHARE
) -> Array:
    """Interpolated lag in samples of the nearest prominent peak of each curve (..., L), (...,); NaN without a peak.

    Prominent means at least `MIN_PROMINENCE` of the curve's mean and `share` of the prominence of its strongest peak.
    A ripple before the first real peak then does not count, yet the nearest peak need not be the strongest: the head
    of the reference study looks hardest at three periods back.
    """
    distance, values, _ = _one_side(lag, curves, side)
    strength = np.where(distance >= SHORTEST_PERIOD, prominences(values), 0)
    least = np.maximum(MIN_PROMINENCE * _level(distance, values), share * strength.max(axis=-1))
    prominent = (strength > 0) & (strength >= least[..., None])
    first = prominent.argmax(axis=-1)
    around = np.clip(first[..., None] + np.array([-1, 0, 1]), 0, len(distance) - 1)
    before, top, after = np.moveaxis(np.take_along_axis(values, around, axis=-1), -1, 0)
    at: Array = (distance[first] + _vertex_offset(before, top, after)) * samples_per_patch
    return np.where(prominent.any(axis=-1), at, np.nan)


def strongest_peak(lag: ArrayLike, curves: ArrayLike, samples_per_patch: float, side: Side = "past") -> Array:
    """Lag in samples of the most prominent peak of each curve (..., L), (...,); NaN where there is none."""
    distance, values, _ = _one_side(lag, curves, side)
    strength = np.where(distance >= SHORTEST_PERIOD, prominences(values), 0)
    strongest = strength.max(axis=-1)
    found = (strongest > 0) & (strongest >= MIN_PROMINENCE * _level(distance, values))
    return np.where(found, distance[strength.argmax(axis=-1)] * samples_per_patch, np.nan)


def period_prominence(
    lag: ArrayLike,
    curves: ArrayLike,
    samples_per_patch: float,
    period: float,
    multiples: Sequence[int] = (1,),
    *,
    side: Side = "past",
) -> Array:
    """Largest relative prominence of a peak within half a patch of a multiple of the period, (...,).

    1 means that the peak rises above its surroundings by the mean of the whole curve; 0 means that there is no peak.
    NaN for a period that the axis cannot resolve, and where no multiple of it lies where the curve `may_peak`.
    """
    distance, values, _ = _one_side(lag, curves, side)
    targets = np.asarray(multiples) * (period / samples_per_patch)
    near = (np.abs(distance[:, None] - targets) <= 0.5 + 1e-9).any(axis=1) & (distance >= SHORTEST_PERIOD)
    seen = near & may_peak(values) & resolvable(period, samples_per_patch)
    strength = np.where(seen, prominences(values), 0).max(axis=-1)
    level = _level(distance, values)
    relative: Array = np.where(level > 0, strength / np.where(level > 0, level, 1), 0)
    return np.where(seen.any(axis=-1), relative, np.nan)


def _one_side(lag: ArrayLike, curves: ArrayLike, side: Side) -> tuple[NDArray[np.intp], Array, NDArray[np.intp]]:
    """Distance 0, 1, 2 … in patches, the curves there, and the indices that select them."""
    signed = np.asarray(lag)
    values = np.asarray(curves, dtype=np.float64)
    if signed.ndim != 1 or values.shape[-1:] != signed.shape:
        raise LagError(f"a curve of shape {values.shape} does not fit {signed.shape} lags")
    choice(side, "side", get_args(Side), error=LagError)
    distance = signed if side == "past" else -signed
    order = np.flatnonzero(distance >= 0)
    order = order[np.argsort(distance[order])]
    return distance[order], values[..., order], order


def _level(distance: NDArray[np.intp], values: Array) -> Any:
    """Mean of the curves over resolvable lags, which makes prominences of different heads comparable."""
    resolvable = values[..., distance >= SHORTEST_PERIOD]
    known = np.isfinite(resolvable)
    return np.where(known, resolvable, 0).sum(axis=-1) / np.maximum(known.sum(axis=-1), 1)


def _vertex_offset(before: ArrayLike, top: ArrayLike, after: ArrayLike) -> Array:
    """Offset of the top of the parabola through three neighbouring points from the middle one, in bins."""
    bend = np.asarray(before) - 2 * np.asarray(top) + np.asarray(after)
    curved = bend < 0
    offset: Array = np.where(curved, 0.5 * (np.asarray(before) - after) / np.where(curved, bend, 1), 0.0)
    return offset


def _peak(
    i: int,
    distance: NDArray[np.intp],
    values: Array,
    prominence: float,
    level: float,
    pairs: int,
    samples_per_patch: float,
    period: float | None,
) -> Peak:
    before, top, after = (float(v) for v in values[i - 1 : i + 2])
    vertex = distance[i] + _vertex_offset(before, top, after)
    lag = float(distance[i]) * samples_per_patch
    multiple = max(round(lag / period), 1) if period else 0
    nearest = multiple * period if period else float("nan")
    error = lag - nearest
    return Peak(
        patches=int(distance[i]),
        lag=lag,
        vertex=float(vertex) * samples_per_patch,
        attention=top,
        prominence=prominence,
        relative_prominence=prominence / level if level > 0 else float("inf"),
        pairs=pairs,
        multiple=multiple,
        nearest=nearest,
        error=error,
        matches=resolvable(period, samples_per_patch) and abs(error) <= samples_per_patch / 2,
    )
