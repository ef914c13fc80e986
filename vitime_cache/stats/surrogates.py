"""Null inputs: series that lack what a claim is about.

Phase-randomised surrogates keep the spectrum and so the period: they test claims about the waveform. Claims about a
period are tested with shuffled samples, AR(1) noise of the same lag-1 correlation, and the series with the period and
its harmonics notched out. Plain arrays in, plain arrays out; the seed alone decides what is random.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from vitime_cache.arrays import Array
from vitime_cache.errors import VitimeError


class NullError(VitimeError):
    """A series, period or number of surrogates from which no null can be made."""


@dataclass(frozen=True)
class Kind:
    """One kind of null input.

    Attributes
    ----------
    words
        The name shown to people.
    make
        (series, n, seed, period) → (n, T); the period is NaN where none is asked about.
    of_period
        Whether it removes a given period, and so needs one.
    keeps_period
        Whether it keeps the period of the series, and so cannot test a claim about a period.
    """

    words: str
    make: Callable[[Array, int, int, float], Array]
    of_period: bool = False
    keeps_period: bool = False


def null_kinds(period: float | None = None) -> tuple[Null, ...]:
    """The kinds that test a claim about `period`, or about any lag where it is None."""
    usable = {name: kind for name, kind in KINDS.items() if not kind.keeps_period}
    return tuple(name for name, kind in usable.items() if period is not None or not kind.of_period)


def null_series(kind: Null, series: ArrayLike, n: int, seed: int = 0, *, period: float | None = None) -> Array:
    """`n` null inputs of one of the `KINDS`, (n, T); some kinds need the period in samples.

    19 or more of a kind give a one-sided 5 % band.
    """
    if kind not in KINDS:
        raise NullError(f"no null {kind!r}; there are {', '.join(KINDS)}")
    if period is None and KINDS[kind].of_period:
        raise NullError(f"the {kind} null needs the period to take out")
    return KINDS[kind].make(_checked(series, n), n, seed, np.nan if period is None else period)


def shuffled(series: ArrayLike, n: int, seed: int = 0) -> Array:
    """The same samples in `n` random orders, (n, T): keeps the distribution but no order in time."""
    x, rng = _checked(series, n), np.random.default_rng(seed)
    return rng.permuted(np.tile(x, (n, 1)), axis=1)


def ar1(series: ArrayLike, n: int, seed: int = 0) -> Array:
    """First-order autoregressive noise with the series' mean, variance and lag-1 correlation, (n, T)."""
    x, rng = _checked(series, n), np.random.default_rng(seed)
    centred = x - x.mean()
    power = centred @ centred
    memory = float(np.clip(centred[1:] @ centred[:-1] / power, -0.999, 0.999)) if power > 0 else 0.0
    shocks = rng.standard_normal((n, len(x)))
    shocks[:, 0] /= np.sqrt(1 - memory**2)  # start in the stationary distribution
    from scipy.signal import lfilter

    noise: Array = lfilter([1.0], [1.0, -memory], shocks, axis=1) * np.sqrt(1 - memory**2)
    scaled: Array = x.mean() + x.std() * noise
    return scaled


def phase_randomised(series: ArrayLike, n: int, seed: int = 0) -> Array:
    """Series with the same spectrum and random phases, (n, T) (Theiler et al., Physica D 1992)."""
    x, rng = _checked(series, n), np.random.default_rng(seed)
    spectrum = np.fft.rfft(x)
    turn = np.exp(2j * np.pi * rng.random((n, len(spectrum))))
    turn[:, 0] = 1
    if len(x) % 2 == 0:
        turn[:, -1] = 1  # the mean and the Nyquist term are real
    surrogates: Array = np.fft.irfft(spectrum * turn, len(x), axis=1)
    return surrogates


def notched(series: ArrayLike, period: float, harmonics: int = 5) -> Array:
    """The series without a period and its first harmonics, (T,).

    Sines and cosines at k / period and a quarter of a Fourier bin to either side are fitted together by least squares
    and subtracted. This is exact for a period that is not a whole number of samples, and still good for one that is a
    quarter of a bin off. With eight periods in the series, a component half-way between two harmonics loses about 5 %
    of its power; with fewer periods it loses more.
    """
    x = _checked(series, 1)
    if not 2 <= period <= len(x):
        raise NullError(f"the period must be 2 … {len(x)} samples, got {period}")
    fundamental = np.arange(1, harmonics + 1) / period
    frequency = np.add.outer(fundamental[fundamental <= 0.5], np.array([-0.25, 0.0, 0.25]) / len(x)).ravel()
    angle = 2 * np.pi * np.outer(np.arange(len(x)), frequency)
    basis = np.concatenate((np.ones((len(x), 1)), np.cos(angle), np.sin(angle)), axis=1)
    fit = basis[:, 1:] @ np.linalg.lstsq(basis, x, rcond=1e-8)[0][1:]
    without: Array = x - fit
    return without


def _checked(series: ArrayLike, n: int) -> Array:
    x = np.asarray(series, dtype=np.float64)
    if x.ndim != 1 or len(x) < 4 or not np.isfinite(x).all():
        raise NullError(f"a null needs at least four finite samples in one dimension, got shape {x.shape}")
    if n < 1:
        raise NullError(f"the number of nulls must be at least 1, got {n}")
    return x


Null = str  # a key of KINDS
# To add a null, add an entry here: the null test, `ask` and the pages read this table.
KINDS: Mapping[Null, Kind] = {
    "shuffled": Kind("shuffled", lambda x, n, seed, _: shuffled(x, n, seed)),
    "ar1": Kind("AR(1)", lambda x, n, seed, _: ar1(x, n, seed)),
    "notched": Kind(
        "without that period", lambda x, n, seed, period: phase_randomised(notched(x, period), n, seed), of_period=True
    ),
    "phase_randomised": Kind("phase-randomised", lambda x, n, seed, _: phase_randomised(x, n, seed), keeps_period=True),
}
