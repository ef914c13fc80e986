"""The spectrum of the noise below spectral lines. Plain arrays in and out."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from vitime_cache.arrays import Array, Floats

MOST_BINS = 2000  # most bins that the noise is fitted to: the lowest ones, then evenly spaced ones
SLOWEST = 5.0  # bins: the narrowest feature at low frequencies; above, the width grows with the frequency
WARPED, EVEN = 8, 48  # most cosines over the logarithm of the frequency, and over the frequency
FEWEST = 2  # fewest functions in the fit
BINS_A_COSINE = 8  # fewest bins per cosine over the frequency, so that half a wave is no narrower than a line
CLIP = 4.0  # times the fitted power: the most that a bin counts, so that lines do not move the fit
FAR = 10.0  # the same while the number of functions is chosen, so that a trend is not taken for lines
LOBE = 1  # bins to either side that a line in a Hann window reaches
CORRELATED = 1.5  # neighbouring bins of a Hann window that carry the information of one
PENALTY = 3.0  # per function in the information criterion, between Akaike's 2 and Schwarz's log(bins)
SHORTEST_MEAN = 4  # samples of a running mean: cosines follow the spectrum of a shorter one
BETWEEN_ZEROS = 4  # fewest bins between two zeros of its spectrum: a line is as wide as the lobes of a longer one
MEANS = 2  # running means tried at most
DIP = 4.0  # standard deviations by which the cepstrum dips where one is tried
STEPS, CLOSE = 30, 0.01  # most steps of Fisher scoring, and the change of the logarithm at which it stops


@dataclass(frozen=True, eq=False)
class Noise:
    """A smooth spectrum fitted to a periodogram (bins,): cosines and their weights at the bins it was fitted to.

    Attributes
    ----------
    observed
        The periodogram, (bins,).
    fitted_to
        Bins, (fitted,).
    basis
        Orthonormal functions, (fitted, size).
    log_power
        Logarithm of the spectrum, (fitted,).
    """

    observed: Floats
    fitted_to: NDArray[np.intp]
    basis: Floats
    log_power: Floats

    @property
    def power(self) -> Floats:
        """The spectrum at every bin, (bins,)."""
        power: Floats = np.exp(np.interp(np.arange(len(self.observed)), self.fitted_to, self.log_power))
        return power

    def of(self, observed: Array) -> Noise:
        """Fit the same number of functions to another periodogram."""
        power = _positive(observed)
        return replace(self, observed=power, log_power=_fit(self.basis, power[self.fitted_to], self.log_power))

    def p_value(self, at: int, power: float) -> float:
        """Probability that noise alone puts this much power in bin `at`, given the bins that a line there cannot reach.

        The power of a noise bin is exponentially distributed. The other bins give the logarithm of its mean with some
        variance, which is treated as that of a gamma variable.
        """
        rest = np.abs(self.fitted_to - at) > LOBE
        some = self.basis[rest]
        inverse = np.linalg.pinv(some.T @ some)
        observed, log = self.observed[self.fitted_to], self.log_power
        for _ in range(STEPS):
            step = self.basis @ (inverse @ (some.T @ _surplus(log, observed)[rest]))
            log = log + np.clip(step, -1, 1)
            if np.abs(step).max() < CLOSE:
                break
        here = int(np.abs(self.fitted_to - at).argmin())
        variance = max(CORRELATED * float(self.basis[here] @ inverse @ self.basis[here]), 1e-9)
        with np.errstate(over="ignore"):
            ratio = float(power / np.exp(np.interp(at, self.fitted_to, log)))
        return float(np.exp(-np.log1p(variance * ratio) / variance))


def noise_spectrum(power: Array) -> Noise:
    """Fit a smooth noise spectrum to a periodogram (bins,), from the first bin above zero to the Nyquist frequency.

    Notes
    -----
    The logarithm of the spectrum is a sum of cosines over the frequency (the exponential model: Bloomfield, Biometrika
    1973), of cosines over the logarithm of the frequency, which follow trends and changes of level, and of
    log(2 - 2 cos ω), the spectrum of an integrated series (Beran, Biometrika 1993). It is fitted by Whittle's
    likelihood. A bin counts for at most four times the fitted power, so that lines do not move the fit. An information
    criterion chooses the number of functions. Autoregressive and moving-average noise, integrated or not, has such a
    spectrum unless it has a sharp resonance or zeros (`running_mean_spectrum`).
    """
    observed = _positive(power)
    some, functions = _functions(len(observed))
    return _chosen(observed, some, functions, FEWEST)[0]


def running_mean_spectrum(power: Array) -> Noise | None:
    """Fit the spectrum of a running mean, or of differences over many samples; None where that fits no better.

    Such a spectrum has zeros, and lobes between them that a smooth one takes for lines. Its logarithm is one more
    function in the fit.
    """
    observed = _positive(power)
    lengths = _averaged_over(observed)
    if not lengths:
        return None
    some, functions = _functions(len(observed))
    _, least = _chosen(observed, some, functions, FEWEST)
    noise = None
    for samples in lengths:
        lobes = np.log(_running_mean(len(observed), samples))[some]
        basis = np.linalg.qr(np.insert(functions, FEWEST, lobes, axis=1))[0]
        other, criterion = _chosen(observed, some, basis, FEWEST + 1)
        if criterion + 2 * np.log(len(observed)) < least:
            noise, least = other, criterion
    return noise


def _chosen(observed: Floats, some: NDArray[np.intp], functions: Floats, fewest: int) -> tuple[Noise, float]:
    """The fit of as many functions as an information criterion chooses, and that criterion."""
    log = np.log(observed[some])
    least, best = np.inf, (1, log)
    for size in _sizes(fewest, functions.shape[1]):
        log = _fit(functions[:, :size], observed[some], log)
        misfit = float((log + np.minimum(observed[some] * np.exp(-log), FAR)).sum())
        criterion = 2 * misfit / CORRELATED + size * PENALTY
        if criterion < least:
            least, best = criterion, (size, log)
    return Noise(observed, some, functions[:, : best[0]], best[1]), least


def _averaged_over(observed: Floats) -> list[int]:
    """Numbers of samples of which the series may be a running mean, or so many samples apart a difference.

    The logarithm of either's spectrum has the term -2 cos(2π f m), whatever the other series and the number m: a dip in
    the cepstrum (Bogert, Healy and Tukey, The quefrency alanysis of time series for echoes, 1963).
    """
    bins = len(observed)
    longest = 2 * bins // BETWEEN_ZEROS
    log = np.log(np.insert(observed, 0, observed[0]))  # as if at frequency zero too
    both_sides = np.concatenate((log, log[-2:0:-1]))
    cepstrum = np.fft.rfft(both_sides).real[SHORTEST_MEAN : longest + 1] / bins
    deviation = np.pi / np.sqrt(6) * np.sqrt(2 * CORRELATED / bins)  # of white noise
    deepest = np.argsort(cepstrum)[:MEANS]
    return [SHORTEST_MEAN + int(at) for at in deepest if cepstrum[at] < -DIP * deviation]


@lru_cache(maxsize=16)
def _running_mean(bins: int, samples: int) -> Floats:
    """Expected periodogram (bins,) of white noise after a running mean, in a Hann window; its largest value is 1.

    It is the Fourier transform of the products of the covariance and the window's own covariance.
    """
    n = 2 * bins
    window = np.hanning(n + 1)[:-1]
    of_window = np.fft.irfft(np.abs(np.fft.rfft(window, 2 * n)) ** 2)[:samples]
    covariance = np.zeros(n)
    covariance[:samples] = (1 - np.arange(samples) / samples) * of_window
    spectrum: Floats = 2 * np.fft.rfft(covariance).real[1:] - covariance[0]
    relative: Floats = np.maximum(spectrum / spectrum.max(), np.finfo(np.float64).eps)
    return relative


def _positive(power: Array) -> Floats:
    positive: Floats = np.maximum(np.asarray(power, dtype=np.float64), np.finfo(np.float64).tiny)
    return positive


@lru_cache(maxsize=4)
def _functions(bins: int) -> tuple[NDArray[np.intp], Floats]:
    """Bins to fit, (fitted,), and orthonormal functions on them from coarse to fine, (fitted, size).

    They span a constant, the integrated series, and cosines over both axes.
    """
    low = MOST_BINS // 2
    some = np.arange(bins)
    if bins > MOST_BINS:
        some = np.concatenate((some[:low], np.linspace(low, bins - 1, MOST_BINS - low).astype(np.intp)))
    frequency = (some + 1) / bins  # of the Nyquist frequency
    warped = np.log1p(some / SLOWEST) / np.log1p(bins / SLOWEST)
    columns = [np.ones(len(some)), np.log(2 - 2 * np.cos(np.pi * frequency))]
    for k in range(1, min(max(EVEN, WARPED), bins // BINS_A_COSINE) + 1):
        columns += [np.cos(np.pi * k * axis) for axis, last in ((frequency, EVEN), (warped, WARPED)) if k <= last]
    functions = np.linalg.qr(np.stack(columns, axis=1))[0]
    some.flags.writeable = functions.flags.writeable = False
    return some, functions


def _sizes(fewest: int, most: int) -> list[int]:
    sizes = (*range(fewest, 6), *range(6, 16, 2), *range(18, 30, 4), *range(34, 60, 8))
    return [size for size in sizes if size <= most] or [most]


def _fit(basis: Floats, observed: Floats, start: Array) -> Floats:
    """Logarithm of the most likely spectrum, by Fisher scoring from a first guess."""
    log: Floats = basis @ (basis.T @ start)
    log = log + np.log(np.median(observed * np.exp(-log)) / np.log(2))
    for _ in range(STEPS):
        step = basis @ (basis.T @ _surplus(log, observed))
        log = log + np.clip(step, -1, 1)
        if np.abs(step).max() < CLOSE:
            break
    return log


def _surplus(log: Array, observed: Array) -> Floats:
    """Excess of each bin over its expectation, relative to it: the slope of the likelihood."""
    with np.errstate(over="ignore"):
        surplus: Floats = np.minimum(observed * np.exp(-log), CLIP) - (1 - np.exp(-CLIP))
    return surplus
