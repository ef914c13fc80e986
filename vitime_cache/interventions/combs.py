"""Which lags a mask takes: the comb of a period, control combs off the period and its multiples, and as much elsewhere.

Lags are whole patches into the past, 1 … gw - 1. Plain arrays in and out.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from vitime_cache.arrays import Array
from vitime_cache.attention.peaks import SHORTEST_PERIOD
from vitime_cache.errors import VitimeError

Mask = NDArray[np.bool_]

REACH = 0.8  # of the axis: fewer than a fifth of the queries have a key farther back


class CombError(VitimeError):
    """A period whose lags cannot be masked on this network's axis."""


def period_lags(period: float, samples_per_patch: float, patches: int, harmonics: bool = True) -> Mask:
    """The lags within half a patch of the period and, with `harmonics`, of its multiples: (patches,), index = lag.

    Raises
    ------
    CombError
        If the period spans less than two patches, or lies beyond the axis.
    """
    teeth = period / samples_per_patch
    if not np.isfinite(period) or teeth < SHORTEST_PERIOD * (1 - 1e-9):
        raise CombError(
            f"a period of {period:.4g} samples spans {teeth:.2g} patches of {samples_per_patch:.4g} samples and cannot "
            f"be told from others on this axis; give history and horizon of at most "
            f"{int(patches * period / SHORTEST_PERIOD) if np.isfinite(period) else 0} samples together"
        )
    if teeth > patches - 1:
        raise CombError(
            f"a period of {period:.4g} samples spans {teeth:.4g} patches, beyond the longest lag of {patches - 1}; "
            "give a longer history and horizon"
        )
    return _comb(teeth, patches, count=None if harmonics else 1)


@dataclass(frozen=True, eq=False)
class Combs:
    """The comb of a period and its controls: the same comb moved by whole patches.

    Attributes
    ----------
    lags
        (1 + n, patches) bool, index = lag; the period's own first.
    elsewhere
        (1 + n, patches) bool: for each comb the past lags of other phases, where as much attention can be taken.
    """

    lags: Mask
    elsewhere: Mask

    @property
    def smallest_p(self) -> float:
        """The smallest p-value that this many controls permit."""
        return 1 / len(self.lags)


def with_controls(
    period: float, samples_per_patch: float, patches: int, harmonics: bool = True, n: int = 99, seed: int = 0
) -> Combs:
    """The lags of a period and `n` control combs off the period and its multiples, or all there are.

    In a periodic series the keys that a comb takes from a query are all of one phase, and so must be those that a
    control takes. Combs of which each tooth, or each stretch of queries, moves by itself would be plentiful, but they
    average over phases, and any comb that does not would beat them. So a comb has no more controls than there are
    whole patches in its period, while a single tooth (`harmonics` False) has one for every lag off its multiples
    that a fifth of the queries see; where there are more than `n`, `seed` chooses.

    Raises
    ------
    CombError
        As `period_lags`.
    """
    own = period_lags(period, samples_per_patch, patches, harmonics)
    teeth = period / samples_per_patch
    multiples = _comb(teeth, patches)
    found: dict[bytes, tuple[int, Mask]] = {}
    for step in _around(int(np.ceil(teeth - 1e-9)) - 1 if harmonics else 2 * patches):
        comb = _comb(teeth, patches, step, None if harmonics else 1) & ~multiples
        if comb.any() and comb.argmax() <= REACH * patches:
            found.setdefault(comb.tobytes(), (step, comb))
    moved = list(found.values())
    if len(moved) > n:
        moved = [moved[i] for i in np.sort(np.random.default_rng(seed).choice(len(moved), n, replace=False))]
    combs = [(0, own), *moved]
    past = np.arange(patches) > 0
    elsewhere = [past & ~comb & ~_phase(teeth, patches, step) for step, comb in combs]
    return Combs(np.array([comb for _, comb in combs]), np.array(elsewhere))


def pairs_at(lags: Mask) -> Mask:
    """Lags (..., patches), index = lag, as pairs (..., query column, key column)."""
    patches = lags.shape[-1]
    lag = np.subtract.outer(np.arange(patches), np.arange(patches))  # query - key
    pairs: Mask = np.where(lag > 0, lags[..., np.maximum(lag, 0)], False)
    return pairs


def token_pairs(pairs: Mask, rows: int) -> Mask:
    """Pairs of columns (..., gw, gw) for every query token, (..., N, gw): token = row * gw + column."""
    return np.tile(pairs, (*[1] * (pairs.ndim - 2), rows, 1))


def even_keep(mass: Array, removed: Array, elsewhere: Mask) -> Array:
    """Shares of attention to keep so that each query loses as much elsewhere as a comb takes from it.

    Parameters
    ----------
    mass
        (N, gw) attention of each query token to each key column.
    removed
        (..., N) what the comb removes from each query.
    elsewhere
        (..., N, gw) bool: the key columns that as much is taken from, the same share of each.

    Returns
    -------
    (..., N, gw), 0 … 1. A query that has less attention elsewhere than that loses all that it has there.
    """
    share = _ratio(removed, np.where(elsewhere, mass, 0).sum(axis=-1))
    keep: Array = (1 - np.where(elsewhere, share[..., None], 0)).astype(np.float32)
    return keep


def _ratio(wanted: Array, there: Array) -> Array:
    known = there > 1e-30  # less would overflow, and is nothing
    share: Array = np.clip(np.where(known, wanted / np.where(known, there, 1), 0), 0, 1)
    return share


def _comb(teeth: float, patches: int, step: int = 0, count: int | None = None) -> Mask:
    """Lags within half a patch of k · teeth + step for k = 1 …, (patches,)."""
    most = int((patches - 1 + 0.5 - step) / teeth) if count is None else count
    centres = np.arange(1, max(most, 0) + 1) * teeth + step
    lag = np.arange(patches)
    comb: Mask = (np.abs(np.subtract.outer(lag, centres)) <= 0.5 + 1e-9).any(axis=-1) & (lag > 0)
    return comb


def _phase(teeth: float, patches: int, step: int) -> Mask:
    """Lags within half a patch of k · teeth + step for any whole k, (patches,)."""
    lag = np.arange(patches)
    off = (lag - step + teeth / 2) % teeth - teeth / 2
    near: Mask = np.abs(off) <= 0.5 + 1e-9
    return near


def _around(moves: int) -> list[int]:
    """The `moves` steps nearest to 0, one for each phase: -1, 1, -2, 2, … of which none is 0."""
    return sorted((step for step in range(-(moves // 2), moves - moves // 2 + 1) if step), key=abs)
