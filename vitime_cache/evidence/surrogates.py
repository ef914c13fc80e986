"""Null inputs: series that lack what a claim is about, and the band that their attention stays in.

Phase-randomised surrogates keep the spectrum, hence the period: they test claims about the waveform. Claims about a
period are tested with shuffled samples, AR(1) noise of the same lag-1 correlation, and the series with the period and
its harmonics notched out. Plain arrays in, plain arrays out; every function is a pure function of its seed.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.signal import lfilter

from vitime_cache.errors import VitimeError

Array = NDArray[np.floating[Any]]
Null = Literal["shuffled", "ar1", "notched", "phase_randomised"]
NULLS: tuple[Null, ...] = get_args(Null)


class NullError(VitimeError):
    """A series, period or number of surrogates that no null can be made of."""


def null_series(kind: Null, series: ArrayLike, n: int, seed: int = 0, *, period: float | None = None) -> Array:
    """`n` null inputs of one kind, (n, T); "notched" needs the period in samples and randomises the phases that remain.

    19 or more of a kind give a one-sided 5 % band.
    """
    if kind == "shuffled":
        return shuffled(series, n, seed)
    if kind == "ar1":
        return ar1(series, n, seed)
    if kind == "phase_randomised":
        return phase_randomised(series, n, seed)
    if kind != "notched":
        raise NullError(f"no null {kind!r}; there are {', '.join(NULLS)}")
    if period is None:
        raise NullError("the notched null needs the period to take out")
    return phase_randomised(notched(series, period), n, seed)


def shuffled(series: ArrayLike, n: int, seed: int = 0) -> Array:
    """The same samples in `n` random orders, (n, T): keeps the distribution, nothing of time."""
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
    and subtracted: exact for a period that is no whole number of samples, and still good for one that is a quarter of
    a bin off. With eight periods in the series a component half-way between two harmonics loses some 5 % of its power;
    with fewer it loses more.
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


@dataclass(frozen=True, eq=False)
class Band:
    """One-sided band of null curves: `upper` (..., L), the level's critical score, and the p-value of the observed."""

    upper: Array
    score: float
    p_value: float

    def exceeded(self, curves: ArrayLike) -> NDArray[np.bool_]:
        """Where curves (..., L) stand above the band."""
        above: NDArray[np.bool_] = np.asarray(curves) > self.upper
        return above


def max_statistic_band(observed: ArrayLike, null: ArrayLike, level: float = 0.05) -> Band:
    """Band that null curves leave anywhere, in any head and at any lag, with probability `level` at most.

    Parameters
    ----------
    observed
        Curves (..., L) of the signal; axes before L, such as heads, are tested together.
    null
        The same of each null input, (n, ..., L).
    level
        Family-wise error; n must be at least 1 / level - 1 (19 for 5 %).

    Notes
    -----
    A curve's score is its largest excess over the null mean in null standard deviations, over all heads and lags
    (maximum statistic: Nichols and Holmes, Human Brain Mapping 2002). Each null is scored against the others, so that
    it is as much a stranger to its mean and deviation as the observed curves are. NaN is ignored.
    """
    curves, nulls = np.asarray(observed, dtype=np.float64), np.asarray(null, dtype=np.float64)
    n = len(nulls)
    if nulls.shape[1:] != curves.shape:
        raise NullError(f"null curves of shape {nulls.shape[1:]} do not fit observed curves of shape {curves.shape}")
    if not 0 < level < 1 or n + 1 < 1 / level - 1e-9:
        raise NullError(f"a level of {level:g} needs {round(1 / level) - 1 if level > 0 else 'more'} nulls, got {n}")
    mean, deviation = nulls.mean(axis=0), nulls.std(axis=0, ddof=1)
    others_mean = (n * mean - nulls) / (n - 1)
    squares = (nulls**2).sum(axis=0) - nulls**2
    others = np.sqrt(np.maximum(squares - (n - 1) * others_mean**2, 0) / (n - 2))
    scores = np.sort([_score(curve, m, s) for curve, m, s in zip(nulls, others_mean, others, strict=True)])
    critical = float(scores[int(np.ceil((n + 1) * (1 - level) - 1e-9)) - 1])
    reached = int((scores >= _score(curves, mean, deviation)).sum())
    return Band(mean + critical * deviation, critical, (1 + reached) / (n + 1))


def _score(curves: Array, mean: Array, deviation: Array) -> float:
    varies = deviation > 0  # False for NaN too
    return float(((curves[varies] - mean[varies]) / deviation[varies]).max(initial=-np.inf))


def _checked(series: ArrayLike, n: int) -> Array:
    x = np.asarray(series, dtype=np.float64)
    if x.ndim != 1 or len(x) < 4 or not np.isfinite(x).all():
        raise NullError(f"a null needs at least four finite samples in one dimension, got shape {x.shape}")
    if n < 1:
        raise NullError(f"the number of nulls must be at least 1, got {n}")
    return x
