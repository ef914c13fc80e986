"""The spectrum of the noise below spectral lines, of many series at once. Plain arrays in and out."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any

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
    """Smooth spectra fitted to n periodograms: each a weighted sum of the first functions of a common basis.

    Attributes
    ----------
    observed
        The periodograms, (n, bins).
    fitted_to
        Bins, (fitted,).
    basis
        Orthonormal functions, (fitted, most).
    size
        Number of functions in each fit, (n,).
    log_power
        Logarithm of the spectra, (n, fitted).
    """

    observed: Floats
    fitted_to: NDArray[np.intp]
    basis: Floats
    size: NDArray[np.intp]
    log_power: Floats

    def __getitem__(self, some: Any) -> Noise:
        """The fits of some of the periodograms."""
        return replace(self, observed=self.observed[some], size=self.size[some], log_power=self.log_power[some])

    def __setitem__(self, some: Any, other: Noise) -> None:
        """Replace the fits of some of the periodograms."""
        self.observed[some], self.size[some], self.log_power[some] = other.observed, other.size, other.log_power

    @property
    def power(self) -> Floats:
        """The spectra at every bin, (n, bins)."""
        bins = np.arange(self.observed.shape[1])
        return np.exp([np.interp(bins, self.fitted_to, log_power) for log_power in self.log_power])

    def of(self, observed: Array) -> Noise:
        """Fit the same numbers of functions to other periodograms (n, bins)."""
        power = _positive(observed)
        log_power = _fit(self.basis, self.size, power[:, self.fitted_to], self.log_power)
        return replace(self, observed=power, log_power=log_power)

    def p_value(self, at: NDArray[np.intp], power: Array) -> Floats:
        """Probability that noise alone puts this much power (n,) in bin `at` (n,), given the bins that a line leaves.

        The power of a noise bin is exponentially distributed. The other bins give the logarithm of its mean with some
        variance, which is treated as that of a gamma variable.
        """
        rest = np.abs(self.fitted_to - at[:, None]) > LOBE  # (n, fitted)
        basis = self.basis[:, : self.size.max()]
        kept = np.arange(basis.shape[1]) < self.size[:, None]  # (n, most)
        some = basis * rest[:, :, None] * kept[:, None, :]
        inverse = np.linalg.pinv(some.mT @ some)  # (n, most, most)
        observed, log = self.observed[:, self.fitted_to], self.log_power.copy()

        def step(rows: NDArray[np.intp]) -> Floats:
            slope = _surplus(log[rows], observed[rows]) * rest[rows] @ basis * kept[rows]
            taken: Floats = (slope[:, None] @ inverse[rows])[:, 0] @ basis.T
            return taken

        _climb(log, step)
        here = basis[np.abs(self.fitted_to - at[:, None]).argmin(axis=1)] * kept
        variance = np.maximum(CORRELATED * ((here[:, None] @ inverse)[:, 0] * here).sum(axis=1), 1e-9)
        expected = [np.interp(bin_, self.fitted_to, row) for bin_, row in zip(at, log, strict=True)]
        with np.errstate(over="ignore"):
            ratio = power / np.exp(expected)
        probability: Floats = np.exp(-np.log1p(variance * ratio) / variance)
        return probability


def noise_spectrum(power: Array) -> Noise:
    """Fit smooth noise spectra to periodograms (n, bins), from the first bin above zero to the Nyquist frequency.

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
    some, functions = _functions(observed.shape[1])
    return _chosen(observed, some, functions, FEWEST)[0]


def running_mean_spectrum(power: Array) -> dict[int, Noise]:
    """Fit to periodograms (n, bins) the spectrum of a running mean, or of differences over many samples.

    Such a spectrum has zeros, and lobes between them that a smooth one takes for lines. Its logarithm is one more
    function in the fit.

    Returns
    -------
    dict
        By row, the fit to each of the periodograms that it fits better than a smooth spectrum.
    """
    observed = _positive(power)
    lengths = {row: found for row, one in enumerate(observed) if (found := _averaged_over(one))}
    if not lengths:
        return {}
    bins = observed.shape[1]
    some, functions = _functions(bins)
    least = dict(zip(lengths, _chosen(observed[list(lengths)], some, functions, FEWEST)[1], strict=True))
    noise: dict[int, Noise] = {}
    for number in range(MEANS):
        tried = {row: each[number] for row, each in lengths.items() if number < len(each)}
        for samples in sorted(set(tried.values())):
            rows = [row for row in tried if tried[row] == samples]
            lobes = np.log(_running_mean(bins, samples))[some]
            basis = np.linalg.qr(np.insert(functions, FEWEST, lobes, axis=1))[0]
            other, criteria = _chosen(observed[rows], some, basis, FEWEST + 1)
            for at, (row, criterion) in enumerate(zip(rows, criteria, strict=True)):
                if criterion + 2 * np.log(bins) < least[row]:
                    noise[row], least[row] = other[[at]], criterion
    return noise


def _chosen(observed: Floats, some: NDArray[np.intp], functions: Floats, fewest: int) -> tuple[Noise, Floats]:
    """The fits of as many functions as an information criterion chooses for each, and that criterion (n,)."""
    fitted = observed[:, some]
    log = best = np.log(fitted)
    size, least = np.ones(len(observed), np.intp), np.full(len(observed), np.inf)
    for count in _sizes(fewest, functions.shape[1]):
        log = _fit(functions[:, :count], np.full(len(fitted), count), fitted, log)
        misfit = (log + np.minimum(fitted * np.exp(-log), FAR)).sum(axis=1)
        criterion = 2 * misfit / CORRELATED + count * PENALTY
        better = criterion < least
        size, least = np.where(better, count, size), np.where(better, criterion, least)
        best = np.where(better[:, None], log, best)
    return Noise(observed, some, functions, size, best), least


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


def _fit(basis: Floats, size: NDArray[np.intp], observed: Floats, start: Array) -> Floats:
    """Logarithms of the most likely spectra (n, fitted) of `size` (n,) functions, by Fisher scoring from a start."""
    kept = np.arange(basis.shape[1]) < size[:, None]
    log: Floats = start @ basis * kept @ basis.T
    log += np.log(np.median(observed * np.exp(-log), axis=1, keepdims=True) / np.log(2))
    _climb(log, lambda rows: _surplus(log[rows], observed[rows]) @ basis * kept[rows] @ basis.T)
    return log


def _climb(log: Floats, step: Callable[[NDArray[np.intp]], Floats]) -> None:
    """Take steps of Fisher scoring in place, for each row until they are small."""
    rows = np.arange(len(log))
    for _ in range(STEPS):
        taken = step(rows)
        log[rows] += np.clip(taken, -1, 1)
        rows = rows[np.abs(taken).max(axis=1) >= CLOSE]
        if not len(rows):
            break


def _surplus(log: Array, observed: Array) -> Floats:
    """Excess of each bin over its expectation, relative to it: the slope of the likelihood."""
    with np.errstate(over="ignore"):
        surplus: Floats = np.minimum(observed * np.exp(-log), CLIP) - (1 - np.exp(-CLIP))
    return surplus
