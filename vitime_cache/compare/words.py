"""Puts a comparison of one head on two signals in words: what it supports and what it does not."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

from vitime_cache.attention.peaks import SHORTEST_PERIOD, resolvable
from vitime_cache.compare.reduction import RATIO_FLOOR, Comparison, PeakChange, SignalCurve, times
from vitime_cache.numerals import equals, number
from vitime_cache.series.spans import in_words, samples_in_words

NO_PEAK = "That neither signal gives this head a lag peak that the axis can resolve."
BEYOND = (
    "That the difference exceeds chance: that takes null inputs.",
    "That the head tracks periods: that takes a sweep, measured on other signals than the head was chosen on.",
    "That the forecast depends on this head or these lags: that takes knocking them out.",
)
RESCALED = (
    "That only this part differs: the image is scaled by the signal's own deviation, so the rest is drawn larger."
)


@dataclass(frozen=True)
class Reading:
    """A comparison in words."""

    conclusion: str
    supports: tuple[str, ...]
    does_not_support: tuple[str, ...]


def reading(found: Comparison) -> Reading:
    """Put a comparison in words; it mentions a removal only if one signal is recorded as a reduction of the other."""
    if found.whole is None or found.reduced is None:
        return _described(found)
    return _concluded(found, found.whole, found.reduced)


def _described(found: Comparison) -> Reading:
    """Words for two signals without a recorded reduction."""
    a, b = found.first.signal, found.second.signal
    shared, one, two = (_with(found, status) for status in ("in both", "first only", "second only"))
    groups = ((shared, "both signals"), (one, f"{a} only"), (two, f"{b} only"))
    supports = [f"On {who} this head's lag curve {_at(found, group).rstrip(',')}." for group, who in groups if group]
    counts = f"Lag peaks: {len(shared)} in both, {len(one)} in {a} only, {len(two)} in {b} only."
    unknown = (
        f"What the peaks depend on: neither {a} nor {b} is recorded as a reduction of the other, and they may differ "
        "in many ways."
    )
    return Reading(
        counts if found.changes else _nothing().capitalize(),
        tuple(supports) or (NO_PEAK,),
        (unknown, *_axes(found), *BEYOND),
    )


def _concluded(found: Comparison, whole: SignalCurve, reduced: SignalCurve) -> Reading:
    """Words for a signal and its reduction: which peaks vanished with the removed part."""
    kept, vanished, new = (_with(found, status) for status in ("kept", "vanished", "new"))
    half, said_as = found.coarser / 2, partial(samples_in_words, sample_seconds=found.sample_seconds)
    fine = [period for period in found.removed if resolvable(period, found.coarser)]
    seen = [period for period in fine if _within_reach(found, period, half)]
    said = [
        f"Lag peaks from {whole.signal} to {reduced.signal}: {len(kept)} kept, {len(vanished)} vanished, "
        f"{len(new)} new."
    ]
    for period in seen:
        lost, stayed = (_near(group, period, half) for group in (vanished, kept))
        if lost:
            is_gone = "are gone" if len(lost) > 1 else "is gone"
            said.append(f"{_those(found, lost, period)}, {is_gone} with that harmonic.")
        if stayed:
            equal = _equation(period, reduced)
            remains = f": {equal}, which {'remain' if equal.count('×') > 1 else 'remains'}" if equal else ""
            said.append(
                f"{_those(found, stayed, period)}{' too' if lost else ''}, {'stay' if len(stayed) > 1 else 'stays'} "
                f"without {'it' if lost else 'that harmonic'}{remains}."
            )
        if not lost and not stayed:
            where = "" if _same_axes(found) else ", where both lag axes could show one"
            said.append(f"There was no peak to lose at a multiple of {said_as(period)}, the removed period{where}.")
    if found.ratios:
        listed = ", ".join(f"{number(ratio)} at {said_as(at)}" for at, ratio in found.ratios.items())
        said.append(f"Prominence, whole over reduced, where no peak counts as {number(RATIO_FLOOR)}: {listed}.")
    supports = []
    if vanished:
        supports.append(
            f"On these two signals this head's lag curve {_at(found, vanished)} only while the signal is whole."
        )
    supports += _kept(found, reduced, kept, half)
    if new:
        supports.append(f"Without that part the lag curve {_at(found, new)} instead.")
    limits = [] if found.removed else ["Which period was removed: the true periods of the two signals are not known."]
    limits += [
        f"Anything about {said_as(period)}: these lag axes resolve no period below "
        f"{said_as(SHORTEST_PERIOD * found.coarser)}."
        for period in found.removed
        if period not in fine
    ]
    limits += [
        f"Anything about {said_as(period)}: these lag axes show no peak at a multiple of it."
        for period in fine
        if period not in seen
    ]
    if kept and found.removed:
        limits.append("That the kept peaks do not depend on the removed part: a peak may have more than one source.")
    for other in (period for period in reduced.periods if seen and resolvable(period, found.coarser)):
        if near := _near(vanished, other, half):
            limits.append(
                f"That {_list(found, near)} belong to the removed period alone: {said_as(other)} has a multiple there "
                "too."
            )
    return Reading(
        " ".join(said) if found.changes else f"From {whole.signal} to {reduced.signal}: {_nothing()}",
        tuple(supports) or (NO_PEAK,),
        (*limits, *_axes(found), *BEYOND, RESCALED),
    )


def _kept(found: Comparison, reduced: SignalCurve, kept: Sequence[PeakChange], half: float) -> list[str]:
    """Words for the kept peaks, with those that a remaining period explains separate from the others."""
    explained: dict[str, list[PeakChange]] = {}
    others = []
    for change in kept:
        if reason := _explained(found, reduced, change, half):
            explained.setdefault(reason, []).append(change)
        else:
            others.append(change)
    said = [
        f"Its lag curve {_at(found, group)} with and without the removed part; what remains explains them: {reason}."
        for reason, group in explained.items()
    ]
    if others:
        said.append(f"Its lag curve {_at(found, others)} with and without the removed part.")
    return said


def _explained(found: Comparison, reduced: SignalCurve, change: PeakChange, half: float) -> str:
    """The remaining period with a multiple at the lag of a peak; empty if there is none.

    A period that the lag axis does not resolve has a multiple near every lag: it explains a peak only if the removed
    period is a multiple of it.
    """
    for period in found.removed:
        if _near([change], period, half) and (equal := _equation(period, reduced)):
            return equal
    for period in reduced.periods:
        if resolvable(period, found.coarser) and _near([change], period, half):
            return f"{samples_in_words(period, found.sample_seconds)} has a multiple there"
    return ""


def _equation(period: float, reduced: SignalCurve) -> str:
    """ "62.83 = 2 × 31.42 samples" for the remaining periods of which the removed one is a multiple."""
    said = partial(samples_in_words, sample_seconds=reduced.sample_seconds)
    equal = [
        f" {equals(period, n * each)} {n} × {said(each)}" for each in reduced.periods if (n := times(period, each))
    ]
    return f"{number(period, 4)}{''.join(equal)}" if equal else ""


def _axes(found: Comparison) -> tuple[str, ...]:
    """Limits from unequal lag axes."""
    a, b = found.first, found.second
    said = _spacing(a, b)
    if _same_axes(found):
        return said
    shortest, longest = found.shown
    both = f"from {_span(found, shortest)} to {_span(found, longest)}" if shortest <= longest else "at no lag"
    patches = [samples_in_words(each.samples_per_patch, each.sample_seconds) for each in (a, b)]
    return (
        f"Anything finer than the coarser lag axis, or beyond the shorter: {a.signal} has {patches[0]} a patch, "
        f"{b.signal} {patches[1]}; both can show peaks {both}.",
        *said,
    )


def _same_axes(found: Comparison) -> bool:
    """Whether the two curves could have peaks at the same lags."""
    a, b = found.first, found.second
    return a.samples_per_patch == b.samples_per_patch and a.reach(found.side) == b.reach(found.side)


def _within_reach(found: Comparison, period: float, half: float) -> bool:
    """Whether a multiple of a period lies where both curves could have a peak."""
    shortest, longest = found.shown
    multiple = max(math.ceil((shortest - half) / period), 1) if shortest <= longest else math.inf
    return multiple * period <= longest + half


def _span(found: Comparison, samples: float) -> str:
    return samples_in_words(samples, found.sample_seconds)


def _spacing(a: SignalCurve, b: SignalCurve) -> tuple[str, ...]:
    """A limit if samples of the two signals are known to be unequally far apart."""
    seconds = a.sample_seconds, b.sample_seconds
    if not all(seconds) or math.isclose(*seconds, rel_tol=1e-6):
        return ()
    one, other = (in_words(1, each, least=0.999) for each in seconds)
    return (
        f"That peaks in both are at one span of time: lags are compared in samples, {one} apart in {a.signal} and "
        f"{other} in {b.signal}.",
    )


def _nothing() -> str:
    return "no lag peak that both axes could show, in either signal: there is nothing to compare."


def _with(found: Comparison, status: str) -> list[PeakChange]:
    return [change for change in found.changes if change.status == status]


def _near(changes: Sequence[PeakChange], period: float, reach: float) -> list[PeakChange]:
    """The peaks within `reach` samples of a multiple of a period."""
    return [c for c in changes if abs(c.lag - max(round(c.lag / period), 1) * period) <= reach]


def _list(found: Comparison, changes: Sequence[PeakChange]) -> str:
    return samples_in_words([c.lag for c in changes], found.sample_seconds)


def _those(found: Comparison, changes: Sequence[PeakChange], period: float) -> str:
    """ "Those at 64, 128 samples, at multiples of 62.83" or "The one at 64 samples, at a multiple of 62.83"."""
    who, where = ("Those", "multiples") if len(changes) > 1 else ("The one", "a multiple")
    return f"{who} at {_list(found, changes)}, at {where} of {number(period, 4)}"


def _at(found: Comparison, changes: Sequence[PeakChange]) -> str:
    within = ", to within a patch," if any(change.apart for change in changes) else ""
    return f"peaks at {_list(found, changes)}{within}"
