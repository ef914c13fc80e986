"""The spectrum of noise under lines. Plain arrays in and out."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from vitime_cache.arrays import Array, Floats

MOST_BINS = 2000  # of a spectrum that noise is fitted to: all of the lowest, evenly chosen ones of the others
SLOWEST = 5.0  # bins: below, features may be as narrow as this, above, in proportion to the frequency
WARPED, EVEN = 8, 48  # cosines over the logarithm of the frequency and over the frequency, at most
FEWEST = 2  # functions
BINS_A_COSINE = 8  # the fewest bins to a cosine over the frequency: half a wave is no narrower than a line is
CLIP = 4.0  # times the fitted power: what a bin counts for at most, so that lines do not move the fit
FAR = 10.0  # the same where the number of functions is chosen, so that a trend is not taken for lines
LOBE = 1  # bins to either side that a line in a Hann window mostly reaches
CORRELATED = 1.5  # bins of a Hann window that are worth one
PENALTY = 3.0  # of a function in the information criterion, between Akaike's 2 and Schwarz's log(bins)
STEPS, CLOSE = 30, 0.01  # of Fisher scoring, and the change of the logarithm at which it ends


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
        """The same number of functions fitted to another periodogram."""
        power = _positive(observed)
        return replace(self, observed=power, log_power=_fit(self.basis, power[self.fitted_to], self.log_power))

    def p_value(self, at: int, power: float) -> float:
        """Probability of so much power in a bin, given all bins that a line there does not reach.

        A bin of noise is exponentially distributed about its power, of which the others tell the logarithm up to a
        variance, here as if up to a gamma variable.
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
    """Smooth spectrum of noise under a periodogram (bins,), from the first bin above zero to the Nyquist frequency.

    Notes
    -----
    The logarithm of the spectrum is a sum of cosines over the frequency (the exponential model: Bloomfield, Biometrika
    1973), of cosines over its logarithm, which follow trends and changes of level, and of log(2 - 2 cos ω), the
    spectrum of an integrated series (Beran, Biometrika 1993). It is fitted by Whittle's likelihood, in which a bin
    counts for four times the fitted power at most, so that lines do not move it; the number of functions is chosen by
    an information criterion. Autoregressive and moving-average noise, integrated or not, is of this kind unless it has
    a sharp resonance.
    """
    observed = _positive(power)
    some, functions = _functions(len(observed))
    log = np.log(observed[some])
    least, best = np.inf, (1, log)
    for size in _sizes(functions.shape[1]):
        log = _fit(functions[:, :size], observed[some], log)
        misfit = float((log + np.minimum(observed[some] * np.exp(-log), FAR)).sum())
        criterion = 2 * misfit / CORRELATED + size * PENALTY
        if criterion < least:
            least, best = criterion, (size, log)
    return Noise(observed, some, functions[:, : best[0]], best[1])


def _positive(power: Array) -> Floats:
    positive: Floats = np.maximum(np.asarray(power, dtype=np.float64), np.finfo(np.float64).tiny)
    return positive


@lru_cache(maxsize=4)
def _functions(bins: int) -> tuple[NDArray[np.intp], Floats]:
    """Bins to fit to, (fitted,), and orthonormal functions there from coarse to fine, (fitted, size).

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


def _sizes(most: int) -> list[int]:
    sizes = (*range(FEWEST, 6), *range(6, 16, 2), *range(18, 30, 4), *range(34, 60, 8))
    return [size for size in sizes if size <= most] or [most]


def _fit(basis: Floats, observed: Floats, start: Array) -> Floats:
    """Logarithm of the spectrum that is most likely, by Fisher scoring from a first guess."""
    log: Floats = basis @ (basis.T @ start)
    log = log + np.log(np.median(observed * np.exp(-log)) / np.log(2))
    for _ in range(STEPS):
        step = basis @ (basis.T @ _surplus(log, observed))
        log = log + np.clip(step, -1, 1)
        if np.abs(step).max() < CLOSE:
            break
    return log


def _surplus(log: Array, observed: Array) -> Floats:
    """What a bin has more than its expectation, in units of it: the likelihood's slope."""
    with np.errstate(over="ignore"):
        surplus: Floats = np.minimum(observed * np.exp(-log), CLIP) - (1 - np.exp(-CLIP))
    return surplus
