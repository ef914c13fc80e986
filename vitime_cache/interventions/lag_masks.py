"""Masks of lags and of query-key pairs for interventions: whole periods back, other phases of the period.

Lags are whole patches into the past, 0 … gw - 1; a period that is not a whole number of patches lies between two lags.
Plain arrays in and out.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from vitime_cache.arrays import Floats
from vitime_cache.attention.peaks import SHORTEST_PERIOD
from vitime_cache.checks import numbers
from vitime_cache.errors import VitimeError

Mask = NDArray[np.bool_]

REACH = 0.95  # patches: includes both patches that hold samples whole periods back, but not one with hardly any
GUARD = 1.9  # least distance in patches of another phase from whole periods, so that their patches do not overlap


class LagMaskError(VitimeError):
    """Lags that are not on this network's axis."""


def whole_periods(period: float, patches: int) -> Mask:
    """Lags at which a patch holds samples k periods back, k = 1, 2 …: (patches,), index = lag; period in patches."""
    lag = np.arange(patches)
    multiple = np.rint(lag / period)
    mask: Mask = (np.abs(lag - multiple * period) < REACH) & (multiple >= 1)
    return mask


def one_multiple(period: float, k: int, patches: int) -> Mask:
    """The lags of `whole_periods` at k periods, (patches,)."""
    lag = np.arange(patches)
    mask: Mask = whole_periods(period, patches) & (np.rint(lag / period) == k)
    return mask


def beside_whole_periods(period: float, patches: int) -> Mask:
    """Lags between `whole_periods` and the nearest of `other_phases`, (patches,); none for a short period."""
    lag = np.arange(patches)
    multiple = np.rint(lag / period)
    near = (np.abs(lag - multiple * period) < GUARD) & (multiple >= 1) & (period >= 2 * GUARD)
    mask: Mask = near & ~whole_periods(period, patches)
    return mask


def multiples(period: float, patches: int) -> int:
    """Number of whole periods on the lag axis."""
    return int(np.rint(np.flatnonzero(whole_periods(period, patches)).max(initial=0) / period))


def other_phases(period: float) -> Floats:
    """Offsets in patches of the phases that share no patch with whole periods; for a short period only half of it."""
    if period < 2 * GUARD:
        return np.array([period / 2])
    offset = np.arange(1.0, np.ceil(period))
    apart: Floats = offset[np.minimum(offset, period - offset) >= GUARD]
    return apart


def at_phase(period: float, offset: float, patches: int) -> Mask:
    """Lags `offset` patches beyond k periods, k = 0, 1 …, without those of `whole_periods`: (patches,)."""
    lag = np.arange(patches)
    back = lag - offset
    mask: Mask = (np.abs(back - period * np.rint(back / period)) < REACH) & (back > -period / 2) & (lag > 0)
    return mask & ~whole_periods(period, patches)


def comb(period: float, samples_per_patch: float, patches: int, harmonics: bool = True) -> Mask:
    """The lags within half a patch of a period in samples and, with `harmonics`, of its multiples: (patches,).

    Raises
    ------
    LagMaskError
        If the period spans less than two patches, or lies beyond the axis.
    """
    teeth = period / samples_per_patch
    if not np.isfinite(period) or teeth < SHORTEST_PERIOD * (1 - 1e-9):
        raise LagMaskError(
            f"a period of {period:.4g} samples spans {teeth:.2g} patches of {samples_per_patch:.4g} samples and cannot "
            f"be told from others on this axis; give history and horizon of at most "
            f"{int(patches * period / SHORTEST_PERIOD) if np.isfinite(period) else 0} samples together"
        )
    if teeth > patches - 1:
        raise LagMaskError(
            f"a period of {period:.4g} samples spans {teeth:.4g} patches, beyond the longest lag of {patches - 1}; "
            "give a longer history and horizon"
        )
    most = int((patches - 0.5) / teeth) if harmonics else 1
    lag, centres = np.arange(patches), np.arange(1, most + 1) * teeth
    mask: Mask = (np.abs(np.subtract.outer(lag, centres)) <= 0.5 + 1e-9).any(axis=-1) & (lag > 0)
    return mask


def lag_mask(lags: ArrayLike, patches: int) -> Mask:
    """Lags given as patches into the past, such as [5, 10], as (patches,) bool.

    Raises
    ------
    LagMaskError
        For lags that are not whole numbers from 1 to patches - 1, or an empty list.
    """
    given = numbers(lags, "lags", error=LagMaskError)
    if given.ndim != 1 or not given.size or given.dtype.kind not in "iu":
        raise LagMaskError(f"lags are whole numbers of patches such as [5, 10], got {lags!r:.60}")
    if given.min() < 1 or given.max() >= patches:
        raise LagMaskError(f"lags are 1 to {patches - 1} patches into the past, got {given.min()} … {given.max()}")
    mask = np.zeros(patches, dtype=bool)
    mask[given] = True
    return mask


def pairs_at(lags: Mask) -> Mask:
    """Lags (..., patches), index = lag, as pairs (..., query column, key column)."""
    patches = lags.shape[-1]
    lag = np.subtract.outer(np.arange(patches), np.arange(patches))  # query - key
    pairs: Mask = np.where(lag > 0, lags[..., np.maximum(lag, 0)], False)
    return pairs


def token_pairs(pairs: Mask, rows: int) -> Mask:
    """Pairs of columns (..., gw, gw) for every query token, (..., N, gw): token = row * gw + column."""
    return np.tile(pairs, (*[1] * (pairs.ndim - 2), rows, 1))
