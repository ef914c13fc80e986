"""Finds the periods of a series: those whose spectral line stands out of any smooth spectrum of noise."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from vitime_cache.arrays import Array, Bools, Floats
from vitime_cache.stats.spectrum import Noise, noise_spectrum, running_mean_spectrum

LONGEST_SHARE = 1 / 3  # of the series: a longer period cannot be distinguished from a trend
MOST_SAMPLES = 2**15  # samples examined, the last ones: questions are asked on the end of a series
MOST_LINES = 12  # spectral lines examined, whether or not they are periods
TRIED = 2  # candidates for the next line: this many bins of most power, and this many that stand out most
HIDES = 0.2  # share of the variance from which a line may hide the shape of the noise
ROUNDING = 1e-12  # standard deviation up to which a detrended series of size 1 is only rounding
NOTHING_LEFT = 1e-6  # share of the variance
MIN_SAMPLES = 16  # fewest samples for which periods are proposed
ABOUT = 0.8  # share of the strongest power that counts as equally strong
LEVEL = 0.0075  # family-wise error over frequencies, for noise of the fitted kind


@dataclass(frozen=True)
class Proposal:
    """A period of a series: its length in samples, its share of the variance, and the p-value of its peak in noise."""

    period: float
    power: float
    p_value: float


def propose_periods(series: ArrayLike, *, most: int = 5, level: float = LEVEL) -> list[Proposal]:
    """Periods of a series that stand out of noise, strongest first; empty if none does.

    Among about equally strong periods the longer comes first; harmonics of a stronger period come last. Only the last
    `MOST_SAMPLES` samples of a series are examined.

    Notes
    -----
    The periodogram (scipy.signal) of the detrended series is tested against a smooth spectrum of noise, fitted to the
    series without the line in question (`stats.spectrum`); the level is divided by the number of bins. The significant
    line of most power is fitted by a sine and subtracted before the next search. Among about equally strong lines the
    slowest is taken, so that a waveform's fundamental comes before its harmonics. If what is left after all lines has
    the spectrum of a running mean, lines that are no more than its lobes are dropped.
    """
    x = _prepared(series)
    if x is None:
        return []
    longest, variance = len(x) * LONGEST_SHARE, x.var()
    whole = x
    frequency, power = _spectrum(x)
    noise = noise_spectrum(power)
    found: list[Proposal] = []
    for _ in range(MOST_LINES):
        line = _strongest_line(x, noise, frequency, longest, level)
        if line is None:
            break
        period, p_value = 1 / line.frequency, line.p_value
        if period <= 1.01 * longest and not any(abs(1 / period - 1 / f.period) < 1.5 / len(x) for f in found):
            found.append(Proposal(period, float(line.values.var() / variance), p_value))
        elif line.values.var() < 1e-4 * variance:
            break  # the remains of a trend, or of a line that is not a sine
        x = x - line.values
        if x.var() <= NOTHING_LEFT * variance:
            break
        noise = line.rest
    found = _beyond_lobes(found, _spectrum(x)[1], power, level)
    found += _fundamental(whole, np.where(frequency >= 1 / longest, power, 0), frequency, found)
    return _in_order(found, len(x))[:most]


def _prepared(series: ArrayLike) -> Floats | None:
    """The last samples without their linear trend, scaled to standard deviation 1; None where nothing is left."""
    from scipy.signal import detrend  # half a second, which pages that propose nothing need not wait

    x = np.asarray(series, dtype=np.float64)[-MOST_SAMPLES:]
    if len(x) < MIN_SAMPLES or np.ptp(x) <= 1e-9 * np.abs(x).max():
        return None
    x = detrend(x / np.abs(x).max())
    if x.std() <= ROUNDING:
        return None  # a straight line
    prepared: Floats = x / x.std()
    return prepared


def _spectrum(x: Array) -> tuple[Floats, Floats]:
    from scipy.signal import periodogram

    frequency, power = periodogram(x, window="hann", scaling="spectrum")
    return frequency[1:], power[1:]


@dataclass(frozen=True, eq=False)
class _Line:
    """A sine in a series, and the noise of the series without it."""

    frequency: float
    values: Floats
    rest: Noise
    p_value: float


def _strongest_line(x: Floats, noise: Noise, frequency: Floats, longest: float, level: float) -> _Line | None:
    """The significant line of most power; among about equally strong ones the slowest."""
    bins = len(frequency)
    for at in _candidates(noise, frequency >= 1 / longest):
        near, values = _sine(x, frequency[at])
        without = _spectrum(x - values)[1]
        rest = noise_spectrum(without) if values.var() > HIDES * x.var() else noise.of(without)
        p_value = _over_bins(rest.p_value(at, noise.observed[at]), bins)
        if p_value <= level:
            return _Line(near, values, rest, p_value)
    return None


def _over_bins(p_value: float, bins: int) -> float:
    """Probability that the smallest of as many p-values is as small as this one."""
    return float(-np.expm1(bins * np.log1p(-min(p_value, 1 - 1e-12))))


def _beyond_lobes(found: list[Proposal], rest: Floats, power: Floats, level: float) -> list[Proposal]:
    """Proposals that also stand out of a running mean, if that is what `rest`, the spectrum without them, is of."""
    noise = running_mean_spectrum(rest) if found else None
    if noise is None:
        return found
    bins = len(power)
    at = [min(round(2 * bins / each.period), bins) - 1 for each in found]
    return [each for each, b in zip(found, at, strict=True) if _over_bins(noise.p_value(b, power[b]), bins) <= level]


def _candidates(noise: Noise, allowed: Bools) -> list[int]:
    """Bins that may be lines: those of most power and those that stand out most, ordered by power."""
    power = np.where(allowed, noise.observed, 0.0)
    peak = power * (power >= np.maximum(np.append(power[1:], 0), np.insert(power[:-1], 0, 0)))
    some = {int(at) for values in (peak, peak / noise.power) for at in np.argsort(-values)[:TRIED] if peak[at] > 0}
    order = sorted(some, key=lambda at: -peak[at])
    about = [at for at in order if peak[at] >= ABOUT * peak[order[0]]]
    return sorted(about) + order[len(about) :]


def _fundamental(x: Floats, power: Floats, frequency: Floats, found: list[Proposal]) -> list[Proposal]:
    """The period of most power, if its harmonics hide its significance and at least two of them are significant."""
    if not found:
        return []
    near, values = _sine(x, frequency[power.argmax()])
    known = any(abs(near - 1 / each.period) < 1.5 / len(x) for each in found)
    share = float(values.var() / x.var())
    here = Proposal(1 / near, share, max(each.p_value for each in found))
    harmonics = [each for each in found if _is_harmonic(each, here, len(x))]
    return [here] if not known and len(harmonics) >= 2 and share >= max(each.power for each in found) else []


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


def _sine(x: Array, frequency: float) -> tuple[float, Floats]:
    """Frequency and values of the best-fitting sine near `frequency`, by Gauss-Newton.

    The frequency stays within one bin of its start.
    """
    time = np.arange(len(x)) - (len(x) - 1) / 2
    window = np.hanning(len(x))
    best = frequency
    for _ in range(4):
        wave = np.exp(2j * np.pi * best * time)
        amplitude = 2 * (x * window) @ wave.conj() / window.sum()
        if amplitude == 0:
            break
        # x ≈ Re[(a + i a 2π δ t) wave]: the part that grows with time gives the change of frequency
        slope = 2 * (x * window * time) @ wave.conj() / (window @ time**2)
        best += float(np.clip((slope / amplitude).imag / (2 * np.pi), -0.5 / len(x), 0.5 / len(x)))
        best = float(np.clip(best, frequency - 1 / len(x), min(frequency + 1 / len(x), 0.5)))
    angle = 2 * np.pi * best * time
    basis = np.stack((np.cos(angle), np.sin(angle)), axis=1)
    return best, basis @ np.linalg.lstsq(basis, x, rcond=None)[0]
