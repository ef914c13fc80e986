"""Compares one head on two signals: shared lag peaks, and the ratio at a period that one of them lacks.

`words` puts the result in words.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from vitime_cache.arrays import Array
from vitime_cache.attention.peaks import Peak, Side, lag_peaks, lags_of_peaks, period_prominence
from vitime_cache.compare.maps import CompareError

RATIO_FLOOR = 0.02  # share of the curve's mean: least prominence in a ratio, so that noise does not decide it
SAME_PERIOD = 1e-3  # relative: true periods are stored as float32
WHOLE_TIMES = 0.05  # share of the shorter period within which its multiple must match a longer one

Status = Literal["kept", "vanished", "new", "in both", "first only", "second only"]
Statuses = tuple[Status, Status, Status]  # for a peak of both signals, of the first only, of the second only


@dataclass(frozen=True, eq=False)
class SignalCurve:
    """The lag curve of one head on one signal.

    Attributes
    ----------
    lag, mean
        Signed lags in patches and mean attention, (L,); NaN for lags with too few pairs.
    samples_per_patch
        Samples per patch of lag.
    periods
        True periods of the signal in samples, if known.
    reduced_of
        Name of the fuller signal that this one is a reduction of, or "".
    sample_seconds
        From one sample to the next; 0 where that is not known.
    """

    signal: str
    lag: NDArray[np.intp]
    mean: Array
    samples_per_patch: float
    periods: tuple[float, ...] = ()
    reduced_of: str = ""
    sample_seconds: float = 0.0

    def __post_init__(self) -> None:
        if np.shape(self.lag) != np.shape(self.mean) or np.ndim(self.lag) != 1:
            raise CompareError(
                f"a lag curve needs a value for each lag, got shapes {np.shape(self.lag)}, {np.shape(self.mean)}"
            )

    def reach(self, side: Side = "past") -> tuple[float, float]:
        """The shortest and the longest lag in samples at which this curve could have a peak; ∞ and -∞ for none."""
        shown = lags_of_peaks(self.lag, self.mean, side) * self.samples_per_patch
        return float(shown.min(initial=np.inf)), float(shown.max(initial=-np.inf))

    def could_peak(self, lag: float, side: Side) -> bool:
        """Whether this curve could have a peak at a lag in samples."""
        shortest, longest = self.reach(side)
        return shortest <= lag <= longest


@dataclass(frozen=True)
class PeakChange:
    """A lag peak of one signal or both; lag in samples, prominences in means of the curve, NaN where it is absent.

    Of a peak of both, `lag` is that in the full signal of a reduction, else that in the first; the other's lies `apart`
    samples from it, within a patch. `multiple` is the multiple of the given period at which the peak lies, 0 for none.
    """

    status: Status
    lag: float
    multiple: int
    first: float
    second: float
    apart: float = 0.0


@dataclass(frozen=True, eq=False)
class Comparison:
    """A head on two signals.

    Attributes
    ----------
    first, second
        The compared curves, in the given order.
    whole, reduced
        The same two as full signal and reduction, if one is recorded as a reduction of the other; else None.
    removed
        Known periods in samples that the full signal has and its reduction lacks.
    changes
        Peaks by lag; of those that only one has, the ones where the other could have one.
    ratios
        Lag in samples -> ratio of prominence there, whole over reduced, at one and two of each visible removed period,
        where either has a peak. One that has none counts as `RATIO_FLOOR`.
    side
        Keys in the past or in the future of the query.
    """

    first: SignalCurve
    second: SignalCurve
    whole: SignalCurve | None
    reduced: SignalCurve | None
    removed: tuple[float, ...]
    changes: tuple[PeakChange, ...]
    ratios: dict[float, float]
    side: Side

    @property
    def shown(self) -> tuple[float, float]:
        """The shortest and the longest lag in samples at which both could have a peak; the first is larger for none."""
        reaches = np.array([self.first.reach(self.side), self.second.reach(self.side)])
        return float(reaches[:, 0].max()), float(reaches[:, 1].min())

    @property
    def sample_seconds(self) -> float:
        """From one sample to the next, where it is the same of both; else 0."""
        return self.first.sample_seconds if self.first.sample_seconds == self.second.sample_seconds else 0.0

    @property
    def coarser(self) -> float:
        """Samples per patch of the coarser lag axis."""
        return max(self.first.samples_per_patch, self.second.samples_per_patch)


def compare(first: SignalCurve, second: SignalCurve, *, period: float | None = None, side: Side = "past") -> Comparison:
    """Find which lag peaks two signals share.

    Parameters
    ----------
    period
        Period in samples by whose multiples the peaks are named. The removed periods follow from the signals alone.
    side
        Keys in the past or in the future of the query.
    """
    pair = _reduction(first, second)
    if pair is None:
        changes = _match(first, second, period, side, ("in both", "first only", "second only"))
        return Comparison(first, second, None, None, (), changes, {}, side)
    whole, reduced = pair
    changes = _match(whole, reduced, period, side, ("kept", "vanished", "new"))
    if whole is second:
        changes = tuple(replace(change, first=change.second, second=change.first) for change in changes)
    gone = (p for p in whole.periods if not any(_same(p, other) for other in reduced.periods))
    removed = tuple(gone) if reduced.periods else ()  # else it is not known which are left
    ratios = {
        k * p: prominence_ratio(whole, reduced, p, (k,), side=side)
        for p in removed
        for k in (1, 2)
        if any(_prominence(curve, p, k, side) > 0 for curve in pair)
    }
    seen = {at: ratio for at, ratio in ratios.items() if np.isfinite(ratio)}
    return Comparison(first, second, whole, reduced, removed, changes, seen, side)


def prominence_ratio(
    whole: SignalCurve, reduced: SignalCurve, period: float, multiples: Sequence[int] = (1, 2), *, side: Side = "past"
) -> float:
    """Smallest ratio of prominence, whole over reduced, at these multiples of a period; NaN if one is not visible."""
    ratios = []
    for multiple in multiples:
        full, less = (_prominence(curve, period, multiple, side) for curve in (whole, reduced))
        known = np.isfinite(full) and np.isfinite(less)
        ratios.append(max(full, RATIO_FLOOR) / max(less, RATIO_FLOOR) if known else np.nan)
    return float(np.min(ratios))


def _prominence(curve: SignalCurve, period: float, multiple: int, side: Side) -> float:
    """Relative prominence of a curve's peak at a multiple of a period; 0 without one, NaN where it is not visible."""
    return float(period_prominence(curve.lag, curve.mean, curve.samples_per_patch, period, (multiple,), side=side))


def _reduction(first: SignalCurve, second: SignalCurve) -> tuple[SignalCurve, SignalCurve] | None:
    """The whole signal and its reduction; None if neither names the other."""
    if second.reduced_of and second.reduced_of == first.signal:
        return first, second
    if first.reduced_of and first.reduced_of == second.signal:
        return second, first
    return None


def _same(period: float, other: float) -> bool:
    return abs(period - other) <= SAME_PERIOD * period


def times(period: float, other: float) -> int:
    """The n in period = n × other, as in 62.83 = 2 × 31.42; 0 if it is not a whole number of at least 2."""
    count = round(period / other)
    return count if count >= 2 and abs(period - count * other) <= WHOLE_TIMES * other else 0


def _match(
    first: SignalCurve, second: SignalCurve, period: float | None, side: Side, statuses: Statuses
) -> tuple[PeakChange, ...]:
    """Pair the peaks of two curves, nearest first; a peak without a partner counts where the other could show one."""
    one, two = (
        lag_peaks(each.lag, each.mean, each.samples_per_patch, period=period, side=side) for each in (first, second)
    )
    reach = (first.samples_per_patch + second.samples_per_patch) / 2  # each peak is known to half a patch
    pairs = sorted((abs(a.lag - b.lag), i, j) for i, a in enumerate(one) for j, b in enumerate(two))
    partner: dict[int, int] = {}
    for distance, i, j in pairs:
        if distance <= reach + 1e-9 and i not in partner and j not in partner.values():
            partner[i] = j
    shared, only_first, only_second = statuses
    changes = []
    for i, j in partner.items():
        a, b = one[i], two[j]
        prominences = a.relative_prominence, b.relative_prominence
        changes.append(PeakChange(shared, a.lag, _named(a), *prominences, apart=abs(a.lag - b.lag)))
    changes += [
        PeakChange(only_first, peak.lag, _named(peak), peak.relative_prominence, np.nan)
        for i, peak in enumerate(one)
        if i not in partner and second.could_peak(peak.lag, side)
    ]
    changes += [
        PeakChange(only_second, peak.lag, _named(peak), np.nan, peak.relative_prominence)
        for j, peak in enumerate(two)
        if j not in partner.values() and first.could_peak(peak.lag, side)
    ]
    return tuple(sorted(changes, key=lambda change: change.lag))


def _named(peak: Peak) -> int:
    return peak.multiple if peak.matches else 0
