"""Finds the periods of a series: those whose spectral line stands out of any smooth spectrum of noise."""

from __future__ import annotations

from dataclasses import dataclass, fields

import numpy as np
from numpy.typing import ArrayLike, NDArray
from threadpoolctl import threadpool_limits

from vitime_cache.arrays import Array, Bools, Floats
from vitime_cache.stats.spectrum import Noise, noise_spectrum, running_mean_spectrum

LONGEST_SHARE = 1 / 3  # of the series: a longer period cannot be distinguished from a trend
MOST_SAMPLES = 2**15  # samples examined, the last ones: questions are asked on the end of a series
MOST = 5  # periods proposed for a series
MOST_LINES = 12  # spectral lines examined, whether or not they are periods
TRIED = 2  # candidates for the next line: this many bins of most power, and this many that stand out most
HIDES = 0.2  # share of the variance from which a line may hide the shape of the noise
ROUNDING = 1e-12  # standard deviation up to which a detrended series of size 1 is only rounding
NOTHING_LEFT = 1e-6  # share of the variance
MIN_SAMPLES = 16  # fewest samples for which periods are proposed
SAME_LINE = 0.5  # bins by which a line may miss a multiple of its fundamental
ABOUT = 0.8  # share of the strongest power that counts as equally strong
TOGETHER = 64  # series analysed at once
LEVEL = 0.0075  # family-wise error over frequencies, for noise of the fitted kind


@dataclass(frozen=True)
class Proposal:
    """A period of a series: its length in samples, its share of the variance, and the p-value of its peak in noise."""

    period: float
    power: float
    p_value: float


def propose_periods(series: ArrayLike) -> list[Proposal]:
    """Periods of a series that stand out of noise, strongest first; empty if none does.

    Among about equally strong periods the longer comes first; harmonics of a stronger period come last. There are at
    most `MOST`. Only the last `MOST_SAMPLES` samples of a series are examined.

    Notes
    -----
    The periodogram (scipy.signal) of the detrended series is tested against a smooth spectrum of noise, fitted to the
    series without the line in question (`stats.spectrum`); the level is divided by the number of bins. The significant
    line of most power is fitted by a sine and subtracted before the next search. Among about equally strong lines the
    slowest is taken, so that a waveform's fundamental comes before its harmonics. If what is left after all lines has
    the spectrum of a running mean, lines that are no more than its lobes are dropped.
    """
    return propose_periods_of_each(np.asarray(series, dtype=np.float64)[None])[0]


def propose_periods_of_each(series: Array) -> list[list[Proposal]]:
    """`propose_periods` of n series (n, T), which are analysed together: much faster than one by one.

    Notes
    -----
    numpy would spread each product over the cores. These are so many and so small that the threads would only wait for
    one another: four times as long as one thread on 16 cores, and as long on two busy ones.
    """
    proposals: list[list[Proposal]] = [[] for _ in series]
    rows, prepared = _prepared(series)
    with threadpool_limits(1, user_api="blas"):
        for start in range(0, len(rows), TOGETHER):
            some = slice(start, start + TOGETHER)
            for row, found in zip(rows[some], _lines(prepared[some]), strict=True):
                proposals[row] = found[:MOST]
    return proposals


def _lines(x: Floats) -> list[list[Proposal]]:
    """Periods of prepared series (n, T), in the order of proposals."""
    length = x.shape[1]
    longest, variance, whole = length * LONGEST_SHARE, x.var(axis=1), x
    frequency, power = _spectrum(x)
    noise = noise_spectrum(power)
    x = x.copy()
    found: list[list[Proposal]] = [[] for _ in x]
    rows = np.arange(len(x))
    for _ in range(MOST_LINES):
        line = _strongest_line(x[rows], noise[rows], frequency, longest)
        rows, line = rows[line.there], line[line.there]
        share = line.values.var(axis=1) / variance[rows]
        goes_on = np.ones(len(rows), bool)
        for at, row in enumerate(rows):
            period = float(1 / line.frequency[at])
            known = any(abs(1 / period - 1 / each.period) < 1.5 / length for each in found[row])
            if period <= 1.01 * longest and not known:
                found[row].append(Proposal(period, float(share[at]), float(line.p_value[at])))
            else:  # the remains of a trend, or of a line that is not a sine
                goes_on[at] = share[at] >= 1e-4
        rows, line = rows[goes_on], line[goes_on]
        x[rows] -= line.values
        noise[rows] = line.rest
        rows = rows[x[rows].var(axis=1) > NOTHING_LEFT * variance[rows]]
        if not len(rows):
            break
    periodic = [row for row, proposals in enumerate(found) if proposals]
    means = running_mean_spectrum(_spectrum(x[periodic])[1]) if periodic else {}
    for number, which in enumerate(periodic):
        beyond = found[which]
        if number in means:
            beyond = _beyond_lobes(beyond, means[number], power[which])
        fundamental = _fundamental(whole[which], _peaks(power[which], frequency >= 1 / longest), frequency, beyond)
        found[which] = _in_order(beyond + fundamental, length)
    return found


def _prepared(series: Array) -> tuple[NDArray[np.intp], Floats]:
    """Rows of the series that are no straight lines, and their last samples detrended, of standard deviation 1."""
    from scipy.signal import detrend  # half a second, which pages that propose nothing need not wait

    x = np.asarray(series, dtype=np.float64)[:, -MOST_SAMPLES:]
    none = np.zeros(0, np.intp), x[:0]
    if x.shape[1] < MIN_SAMPLES:
        return none
    largest = np.abs(x).max(axis=1)
    rows = np.flatnonzero(np.ptp(x, axis=1) > 1e-9 * largest)
    if not len(rows):
        return none
    x = detrend(x[rows] / largest[rows, None])
    deviation = x.std(axis=1)
    bent = deviation > ROUNDING
    prepared: Floats = x[bent] / deviation[bent, None]
    return rows[bent], prepared


def _spectrum(x: Array) -> tuple[Floats, Floats]:
    """Frequency (bins,) in cycles per sample and power (..., bins) of (..., T), without the bin of the mean."""
    from scipy.signal import periodogram

    frequency, power = periodogram(x, window="hann", scaling="spectrum")
    return frequency[1:], power[..., 1:]


@dataclass(frozen=True, eq=False)
class _Line:
    """A sine in each of n series, and the noise of the series without it.

    Attributes
    ----------
    there
        (n,): whether the series has a significant line; the other arrays say nothing where it has none.
    frequency, p_value
        (n,): cycles per sample, and the p-value over all bins.
    values
        (n, T): the sine.
    """

    there: Bools
    frequency: Floats
    values: Floats
    rest: Noise
    p_value: Floats

    def __getitem__(self, some: Bools) -> _Line:
        return _Line(*(getattr(self, field.name)[some] for field in fields(self)))

    def __setitem__(self, some: NDArray[np.intp], other: _Line) -> None:
        for field in fields(self):
            getattr(self, field.name)[some] = getattr(other, field.name)


def _strongest_line(x: Floats, noise: Noise, frequency: Floats, longest: float) -> _Line:
    """The significant line of most power in each series (n, T); among about equally strong ones the slowest."""
    n, bins = noise.observed.shape
    candidates = [
        _candidates(*each, frequency >= 1 / longest) for each in zip(noise.observed, noise.power, strict=True)
    ]
    found = _Line(np.zeros(n, bool), np.zeros(n), np.zeros(x.shape), noise[np.arange(n)], np.ones(n))
    for number in range(max(map(len, candidates))):
        rows = np.array([row for row in range(n) if not found.there[row] and number < len(candidates[row])], np.intp)
        if not len(rows):
            break
        at = np.array([candidates[row][number] for row in rows])
        near, values = _sine(x[rows], frequency[at])
        without = _spectrum(x[rows] - values)[1]
        rest = noise[rows].of(without)
        if (hides := values.var(axis=1) > HIDES * x[rows].var(axis=1)).any():
            rest[hides] = noise_spectrum(without[hides])
        p_value = _over_bins(rest.p_value(at, noise.observed[rows, at]), bins)
        there = p_value <= LEVEL
        found[rows[there]] = _Line(there, near, values, rest, p_value)[there]
    return found


def _over_bins(p_value: Floats, bins: int) -> Floats:
    """Probability that the smallest of as many p-values is as small as each of these."""
    smallest: Floats = -np.expm1(bins * np.log1p(-np.minimum(p_value, 1 - 1e-12)))
    return smallest


def _beyond_lobes(found: list[Proposal], mean: Noise, power: Floats) -> list[Proposal]:
    """Proposals that also stand out of the spectrum of a running mean, to which all but them was fitted."""
    bins = len(power)
    at = np.array([min(round(2 * bins / each.period), bins) - 1 for each in found])
    p_value = _over_bins(mean[np.zeros(len(at), np.intp)].p_value(at, power[at]), bins)
    return [each for each, p in zip(found, p_value, strict=True) if p <= LEVEL]


def _candidates(observed: Floats, noise: Floats, allowed: Bools) -> list[int]:
    """Bins that may be lines: those of most power and those that stand out most of the noise, ordered by power."""
    peak = _peaks(observed, allowed)
    some = {int(at) for values in (peak, peak / noise) for at in np.argsort(-values)[:TRIED] if peak[at] > 0}
    order = sorted(some, key=lambda at: -peak[at])
    about = [at for at in order if peak[at] >= ABOUT * peak[order[0]]]
    return sorted(about) + order[len(about) :]


def _peaks(observed: Floats, allowed: Bools) -> Floats:
    """Power at local maxima that are allowed, else 0: the lowest allowed bin is none on the slope of a trend."""
    beside = np.maximum(np.append(observed[1:], 0), np.insert(observed[:-1], 0, 0))
    return np.where(allowed & (observed >= beside), observed, 0.0)


def _fundamental(x: Floats, peaks: Floats, frequency: Floats, found: list[Proposal]) -> list[Proposal]:
    """The period of the highest peak, if its harmonics hide its significance and are themselves significant."""
    if not found:
        return []
    (near,), (values,) = _sine(x[None], frequency[[peaks.argmax()]])
    if 1 / near > 1.01 * LONGEST_SHARE * len(x):
        return []
    known = any(abs(near - 1 / each.period) < 1.5 / len(x) for each in found)
    share = float(values.var() / x.var())
    here = Proposal(float(1 / near), share, max(each.p_value for each in found))
    strongest = share >= max(each.power for each in found)
    return [here] if not known and strongest and _have_fundamental(found, here, len(x)) else []


def _have_fundamental(found: list[Proposal], here: Proposal, length: int) -> bool:
    """Whether two or more lines are harmonics of this period and of no shorter one.

    A slow lump of noise has some multiple near every line. So the lines' own frequencies, which are known well, must
    have it as their common fundamental: a day and half a day have the day.
    """
    harmonics = [each for each in found if _is_harmonic(each, here, length)]
    orders = np.array([round(here.period / each.period) for each in harmonics])
    if len(orders) < 2 or np.gcd.reduce(orders) > 1:
        return False
    lines = np.array([length / each.period for each in harmonics])  # in bins
    common = (orders @ lines) / (orders @ orders)
    return bool(abs(common - length / here.period) < 1 and (np.abs(lines - orders * common) < SAME_LINE).all())


def _is_harmonic(one: Proposal, other: Proposal, length: int) -> bool:
    """Whether a period is another one divided by a whole number, within the resolution of the series."""
    order = round(other.period / one.period)
    return order > 1 and abs(1 / one.period - order / other.period) < order / length


def _in_order(found: list[Proposal], length: int) -> list[Proposal]:
    """Sort periods: strongest first, longer before shorter if about as strong as the strongest, harmonics last."""
    strongest = max((each.power for each in found), default=0.0)

    def is_mere_harmonic(one: Proposal) -> bool:
        return any(other.power >= ABOUT * one.power and _is_harmonic(one, other, length) for other in found)

    def place(one: Proposal) -> tuple[bool, float, float]:
        return is_mere_harmonic(one), -1.0 if one.power >= ABOUT * strongest else -one.power / strongest, -one.period

    return sorted(found, key=place)


def _sine(x: Array, frequency: Floats) -> tuple[Floats, Floats]:
    """Frequency (n,) and values (n, T) of the best-fitting sine near `frequency` in each series, by Gauss-Newton.

    The frequency stays within one bin of its start.
    """
    length = x.shape[1]
    time, window = np.arange(length) - (length - 1) / 2, np.hanning(length)
    low, high = frequency - 1 / length, np.minimum(frequency + 1 / length, 0.5)
    best: Floats = frequency
    for _ in range(4):
        wave = np.exp(-2j * np.pi * best[:, None] * time)
        amplitude = 2 * (x * window * wave).sum(axis=1) / window.sum()
        # x ≈ Re[(a + i a 2π δ t) wave]: the part that grows with time gives the change of frequency
        slope = 2 * (x * window * time * wave).sum(axis=1) / (window @ time**2)
        known = amplitude != 0
        change = np.divide(slope, amplitude, where=known, out=np.zeros_like(slope)).imag / (2 * np.pi)
        best = np.where(known, np.clip(best + np.clip(change, -0.5 / length, 0.5 / length), low, high), best)
    angle = 2 * np.pi * best[:, None] * time
    basis = np.stack((np.cos(angle), np.sin(angle)), axis=2)  # (n, T, 2)
    weights: Floats = np.linalg.pinv(basis, rcond=length * np.finfo(np.float64).eps) @ x[:, :, None]
    values: Floats = (basis @ weights)[:, :, 0]
    return best, values
