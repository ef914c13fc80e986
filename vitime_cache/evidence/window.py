"""Which stretch of a series a question is asked on, and which period where none was named.

The lag axis has one point a patch, and a patch is (T + H) / columns samples: a period shows when it spans two patches
and is seen well when it spans four, so T + H must not exceed columns · P / 4. The tool chooses that stretch, says which
samples it leaves out, and cuts the series into several such windows where it is long enough.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike
from scipy.optimize import minimize, minimize_scalar
from scipy.signal import detrend, periodogram

from vitime_cache.arrays import Array
from vitime_cache.attention.peaks import SHORTEST_PERIOD
from vitime_cache.evidence.verdict.schema import VerdictError

GOOD_PATCHES = 4  # patches that a period should span
PATCHES = 5  # what is aimed at: a whole number, so that a period is one bin, with room between its multiples
HORIZON_SHARE = 1 / 3  # of a window: enough forecast to ask about, enough history to forecast from
FEWEST_PERIODS = 5  # in the history: with fewer, nothing repeats
MOST_WINDOWS = 6
LONGEST_SHARE = 1 / 3  # of the series: a longer period cannot be told from a trend
SHORTEST_HISTORY = 2  # periods
SHORTEST_SAMPLES = 2  # of a period: a shorter one shows as a longer one once it is sampled
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


@dataclass(frozen=True)
class Window:
    """The stretches of a series that a question is asked on, all of one geometry, side by side up to its end.

    Attributes
    ----------
    starts
        First sample of each window in the series, oldest first.
    history, horizon
        Samples of each window; what comes in the horizon is known and held out.
    length
        Samples of the series.
    samples_per_patch
        What one patch of lag stands for.
    period
        In samples.
    chosen
        Whether the tool chose the geometry; False where a person did.
    """

    starts: tuple[int, ...]
    history: int
    horizon: int
    length: int
    samples_per_patch: float
    period: float
    chosen: bool

    @property
    def patches_per_period(self) -> float:
        """Points of the lag axis in one period."""
        return self.period / self.samples_per_patch

    @property
    def left_out(self) -> int:
        """Samples at the start of the series that lie in no window."""
        return self.starts[0]

    @property
    def words(self) -> str:
        """What is asked on, in one line."""
        shape = f"{self.history} samples of history and a horizon of {self.horizon}"
        where = f"{len(self.starts)} windows of {shape}" if len(self.starts) > 1 else f"One window: {shape}"
        seen = f"at {self.samples_per_patch:.3g} samples a patch the period of {self.period:.4g} spans "
        seen += f"{self.patches_per_period:.1f} patches"
        if self.patches_per_period < GOOD_PATCHES:
            seen += f", fewer than the {GOOD_PATCHES} that show it well"
        rest = f"; the first {self.left_out} of {self.length} samples are left out" if self.left_out else ""
        return f"{where}; {seen}{rest}."

    def facts(self, proposed: Sequence[Proposal] = ()) -> dict[str, Any]:
        """Everything about the window, for a verdict's attribute "window_facts"."""
        derived = {name: getattr(self, name) for name in ("patches_per_period", "left_out", "words")}
        return asdict(self) | derived | {"starts": list(self.starts), "proposed": [asdict(p) for p in proposed]}


def choose_window(
    length: int, period: float, *, columns: int, patch_width: int,
    history: int | None = None, horizon: int | None = None, most: int = MOST_WINDOWS,
) -> Window:  # fmt: skip
    """History and horizon on which a period of `period` samples can be seen, and where the windows lie.

    Parameters
    ----------
    length
        Samples of the series.
    columns, patch_width
        The model's image: columns, and columns of a patch.
    history, horizon
        A person's own; both or none.
    most
        Windows at most.

    Raises
    ------
    VerdictError
        If the window cannot show the period, saying what would.
    """
    patches = columns / patch_width
    if not SHORTEST_SAMPLES <= period < np.inf:
        raise VerdictError(f"the period must be a number of at least {SHORTEST_SAMPLES} samples, got {period:.4g}")
    if (history is None) != (horizon is None):
        raise VerdictError("give a window's history and horizon, or neither")
    chosen = history is None or horizon is None
    if history is None or horizon is None:
        span = min(int(patches * period / GOOD_PATCHES), max(int(patches * period / PATCHES), _enough(period)), length)
        horizon = max(round(span * HORIZON_SHARE), 1)
        history = span - horizon
    elif history < 4 or horizon < 1 or history + horizon > length:
        raise VerdictError(
            f"a window needs 4 samples of history and 1 of horizon or more, within the {length} samples of the "
            f"series; got {history} and {horizon}"
        )
    spp = patch_width * (history + horizon) / columns
    if period < SHORTEST_PERIOD * spp * (1 - 1e-9):
        raise VerdictError(
            f"a period of {period:.4g} samples cannot be seen at {spp:.3g} samples a patch; history and horizon of "
            f"{int(patches * period / SHORTEST_PERIOD)} samples together would show it, and "
            f"{int(patches * period / GOOD_PATCHES)} would show it well"
        )
    if history < SHORTEST_HISTORY * period or history < 4:
        raise VerdictError(
            f"a period of {period:.4g} samples needs a history of at least {SHORTEST_HISTORY} periods, and this one "
            f"has {history} of the series' {length} samples; ask about a shorter period or give a longer series"
        )
    count = min(max(length // (history + horizon), 1), most)
    starts = tuple(length - (history + horizon) * (count - i) for i in range(count))
    return Window(starts, history, horizon, length, spp, float(period), chosen)


def _enough(period: float) -> int:
    """Samples of a window whose history repeats often enough, where the lag axis has few points."""
    return int(np.ceil(FEWEST_PERIODS * period / (1 - HORIZON_SHARE)))


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
