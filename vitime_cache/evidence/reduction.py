"""One head on a signal and on its reduction: which lag peaks stay, and what that does and does not support."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike

from vitime_cache.attention.peaks import MIN_PROMINENCE, SHORTEST_PERIOD, Peak, lag_peaks, period_prominence, resolvable
from vitime_cache.evidence.tracking import EvidenceError


@dataclass(frozen=True)
class PeakChange:
    """A lag peak of the full signal, the reduced one or both; lag in samples, prominences in means of the curve."""

    status: Literal["kept", "vanished", "new"]
    lag: float
    multiple: int
    full: float
    reduced: float


@dataclass(frozen=True)
class Comparison:
    """A head on a signal and on its reduction.

    Attributes
    ----------
    changes
        Peaks by lag.
    ratios
        Multiple of the removed period -> prominence there, full over reduced; empty for a period that cannot be
        resolved. Prominences below `peaks.MIN_PROMINENCE` count as that, so that no ratio is taken with noise.
    conclusion, supports, does_not_support
        In words, and no more than the comparison permits.
    """

    changes: tuple[PeakChange, ...]
    ratios: dict[int, float]
    conclusion: str
    supports: tuple[str, ...]
    does_not_support: tuple[str, ...]


def compare_curves(
    lag: ArrayLike,
    full: ArrayLike,
    reduced: ArrayLike,
    samples_per_patch: float,
    removed: float | None = None,
    *,
    others: Sequence[float] = (),
) -> Comparison:
    """Peaks kept, vanished and new when a signal is reduced.

    Parameters
    ----------
    lag
        Signed lags in patches, (L,).
    full, reduced
        Lag curve of one head on either signal, (L,); only keys in the past are compared.
    removed
        Period in samples that the reduced signal lacks.
    others
        Periods that both have: a multiple of theirs may lie on one of `removed`.
    """
    curves = [np.asarray(curve, dtype=np.float64) for curve in (full, reduced)]
    if curves[0].shape != curves[1].shape or curves[0].ndim != 1:
        raise EvidenceError(f"two curves on the same lags are needed, got shapes {curves[0].shape}, {curves[1].shape}")
    first, second = (lag_peaks(lag, curve, samples_per_patch, period=removed) for curve in curves)
    changes = _match(first, second)
    ratios = {}
    for multiple in (1, 2) if removed and resolvable(removed, samples_per_patch) else ():
        at = period_prominence(lag, np.stack(curves), samples_per_patch, removed or np.nan, (multiple,))
        whole, rest = (max(float(value), MIN_PROMINENCE) for value in at)
        ratios[multiple] = whole / rest
    vanished = [c for c in changes if c.status == "vanished"]
    kept = [c for c in changes if c.status == "kept"]
    new = [c for c in changes if c.status == "new"]
    supports = []
    if vanished:
        supports.append(f"On these two signals this head's lag {_peaks(vanished)} only while the signal is whole.")
    if kept:
        supports.append(f"Its lag {_peaks(kept)} with and without the part removed, and so does not need it.")
    if new:
        supports.append(f"Without that part the lag {_peaks(new)} instead.")
    return Comparison(
        tuple(changes),
        ratios,
        _conclusion(vanished, kept, new, removed),
        tuple(supports) or ("That neither signal gives this head a lag peak that the axis can resolve.",),
        tuple(_limits(vanished, samples_per_patch, removed, others)),
    )


def _match(full: list[Peak], reduced: list[Peak]) -> list[PeakChange]:
    """Pair peaks at most one patch apart, nearest first: each is known to half a patch."""
    pairs = sorted((abs(a.patches - b.patches), i, j) for i, a in enumerate(full) for j, b in enumerate(reduced))
    partner: dict[int, int] = {}
    for distance, i, j in pairs:
        if distance <= 1 and i not in partner and j not in partner.values():
            partner[i] = j
    changes = []
    for i, a in enumerate(full):
        b = reduced[partner[i]].relative_prominence if i in partner else 0.0
        status: Literal["kept", "vanished"] = "kept" if i in partner else "vanished"
        changes.append(PeakChange(status, a.lag, a.multiple if a.matches else 0, a.relative_prominence, b))
    for j, peak in enumerate(reduced):
        if j not in partner.values():
            multiple = peak.multiple if peak.matches else 0
            changes.append(PeakChange("new", peak.lag, multiple, 0.0, peak.relative_prominence))
    return sorted(changes, key=lambda change: change.lag)


def _peaks(changes: Sequence[PeakChange]) -> str:
    """ "curve peaks at 64 (1 × the removed period), 192 samples"."""
    named = [f"{c.lag:g}" + (f" ({c.multiple} × the removed period)" if c.multiple else "") for c in changes]
    return f"curve peaks at {', '.join(named)} samples"


def _conclusion(
    vanished: Sequence[PeakChange], kept: Sequence[PeakChange], new: Sequence[PeakChange], removed: float | None
) -> str:
    if not (vanished or kept or new):
        return "No resolvable lag peak in either signal: there is nothing to compare."
    counts = f"Lag peaks: {len(kept)} kept, {len(vanished)} vanished, {len(new)} new."
    if removed is None:
        return counts
    lost, stayed = (", ".join(f"{c.lag:g}" for c in group if c.multiple) for group in (vanished, kept))
    said = []
    if lost:
        said.append(f"Those at {lost} samples, at multiples of {removed:g}, are gone with that harmonic.")
    if stayed:
        said.append(f"Those at {stayed} samples, at multiples of {removed:g} too, stay without that harmonic.")
    return " ".join(
        [counts, *said] if said else [counts, f"None at a multiple of {removed:g} samples was there to lose."]
    )


def _limits(
    vanished: Sequence[PeakChange], samples_per_patch: float, removed: float | None, others: Sequence[float]
) -> list[str]:
    limits = []
    shortest = SHORTEST_PERIOD * samples_per_patch
    if removed and not resolvable(removed, samples_per_patch):
        limits.append(
            f"Anything about {removed:.4g} samples: the lag axis resolves no period below {shortest:g} samples."
        )
    for other in others:
        near = [c.lag for c in vanished if abs(c.lag - max(round(c.lag / other), 1) * other) <= samples_per_patch / 2]
        if near and other != removed:
            where = ", ".join(f"{lag:g}" for lag in near)
            limits.append(
                f"That {where} samples belong to the removed period alone: {other:.4g} has a multiple there too."
            )
    return [
        *limits,
        "That the difference exceeds chance: that takes null inputs.",
        "That the head tracks periods: that takes a sweep, measured on other signals than the head was chosen on.",
        "That the forecast depends on this head or these lags: that takes knocking them out.",
        "That only this part differs: the image is scaled by the signal's own deviation, so the rest is drawn larger.",
    ]
