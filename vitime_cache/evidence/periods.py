"""Which periods a series has, and which is its strongest."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy.optimize import minimize, minimize_scalar
from scipy.signal import detrend, periodogram

from vitime_cache.arrays import Array

LONGEST_SHARE = 1 / 3  # of the series: a longer period cannot be told from a trend
FLOOR_GAIN = 3.0  # in misfit over all bins: with less, there is no white floor
MOST_BINS = 10_000  # of a spectrum that noise is fitted to
MOST_LINES = 20  # of a spectrum that are looked at, periods or not
ROUNDING = 1e-12  # of a series of size 1, that is of its squares as detrending sums them
MIN_SAMPLES = 16  # of a series that periods are proposed for
ABOUT = 0.8  # of the strongest: as strong, for all that one series can say
LEVEL = 0.005  # the fitted noise makes p-values up to four times too small


@dataclass(frozen=True)
class Proposal:
    """A period that a series has: its share of the variance, and the probability of such a peak in red noise."""

    period: float
    power: float
    p_value: float


def propose_periods(series: ArrayLike, *, most: int = 5, level: float = LEVEL) -> list[Proposal]:
    """Periods of a series that stand out of noise, strongest first; empty if none does.

    Of periods about equally strong the longer comes first.

    Notes
    -----
    The periodogram (scipy.signal) of the detrended series is held against the spectrum of noise that is fitted to its
    logarithm by least absolute deviations, which a few tall peaks do not move: first-order autoregressive noise, as in
    Torrence and Compo (Bulletin of the AMS 1998, equation 16), on a white floor, as measured series have it. A bin of
    such noise is exponentially distributed about it, and the p-value is that of the largest of all bins. Of the bins
    that stand out the one of most power is fitted by a sine and subtracted before the next; of several about equally
    strong the slowest, as a waveform's fundamental comes before its harmonics. Noise of other kinds, such as a moving
    average over many samples, may be given a period that it has not.
    """
    x = np.asarray(series, dtype=np.float64)
    if len(x) < MIN_SAMPLES or np.ptp(x) <= 1e-9 * np.abs(x).max():
        return []
    x = detrend(x / np.abs(x).max())
    if x.std() <= ROUNDING:
        return []  # a straight line
    x = x / x.std()
    variance, n = x.var(), len(x)
    longest = n * LONGEST_SHARE
    found: list[Proposal] = []
    for _ in range(MOST_LINES):
        if len(found) == most or x.var() <= 1e-6 * variance:
            break
        frequency, power = (values[1:] for values in periodogram(x, window="hann", scaling="spectrum"))
        ratio = power / _red_noise(frequency, power)
        ratio[frequency < 1 / longest] = 1e-9
        with np.errstate(divide="ignore"):  # a bin without power, as in a series without noise, has p = 1
            p_values = -np.expm1(len(ratio) * np.log1p(-np.exp(-ratio)))
        shown = np.where(p_values <= level, power, 0.0)
        if not shown.any():
            break
        at = int((shown >= ABOUT * shown.max()).argmax())
        period, sine = _sine(x, frequency[at])
        of_a_trend = period > 1.01 * longest
        if not of_a_trend and not any(abs(1 / period - 1 / other.period) < 1.5 / n for other in found):
            found.append(Proposal(period, float(sine.var() / variance), float(p_values[at])))
        elif sine.var() < 1e-4 * variance:
            break  # what is left of a trend, or of a line that is no sine
        x = x - sine
    strongest = max((proposal.power for proposal in found), default=0.0)
    return sorted(found, key=lambda p: (-p.power, -p.period) if p.power < ABOUT * strongest else (-1, -p.period))


def strongest_period(series: ArrayLike) -> float | None:
    """The period in samples that stands out most, whether or not noise explains it; None of a series without any."""
    found = propose_periods(series, most=1, level=1.0)
    return found[0].period if found else None


def _red_noise(frequency: Array, power: Array) -> Array:
    """Mean power of first-order autoregressive noise on a white floor, of the shape and strength that fit best."""
    log_median = np.log(np.log(2))  # of an exponential variable of mean 1
    turn = np.cos(2 * np.pi * frequency)
    some = slice(None, None, 1 + len(power) // MOST_BINS)
    logs = np.log(np.maximum(power[some], np.finfo(np.float64).tiny))

    def shape(parameters: Array, turn: Array) -> Array:
        memory, average = 0.999 * np.tanh(parameters)  # the sum of the two is an ARMA(1, 1) process
        log: Array = np.log(1 + 2 * average * turn + average**2) - np.log(1 - 2 * memory * turn + memory**2)
        return log

    def misfit(parameters: Array) -> float:
        rest = logs - shape(parameters, turn[some])
        return float(np.abs(rest - np.median(rest)).mean())

    alone = minimize_scalar(lambda memory: misfit(np.array((memory, 0.0))), bounds=(0, 4), method="bounded")
    fits = [
        minimize(misfit, start, method="Nelder-Mead", bounds=((0, 4), (-4, 4)), options={"xatol": 0.01, "fatol": 1e-4})
        for start in ((float(alone.x), 0.0), (2.5, -1.0))
    ]
    both = min(fits, key=lambda fit: float(fit.fun))
    better = len(logs) * (float(alone.fun) - float(both.fun)) > FLOOR_GAIN
    best = shape(both.x if better else np.array((alone.x, 0.0)), turn)
    fitted: Array = np.exp(best + np.median(logs - best[some]) - log_median)
    return fitted


def _sine(x: Array, frequency: float) -> tuple[float, Array]:
    """Period and values of the sine nearest to `frequency` (within a bin) that fits the series best."""
    time = np.arange(len(x))

    def basis(f: float) -> Array:
        return np.stack((np.cos(2 * np.pi * f * time), np.sin(2 * np.pi * f * time)), axis=1)

    tapered = x * np.hanning(len(x))
    bounds = (frequency - 1 / len(x), min(frequency + 1 / len(x), 0.5))
    near = minimize_scalar(lambda f: -float(((tapered @ basis(f)) ** 2).sum()), bounds=bounds, method="bounded",
                           options={"xatol": 1e-4 / len(x)})  # fmt: skip
    best = basis(float(near.x))
    return 1 / float(near.x), best @ np.linalg.lstsq(best, x, rcond=None)[0]
