"""Stand-ins for a history: the same samples at another phase of the period.

Shifting the history by a share of its period changes only *where in its period* each moment is. Level, trend, amplitude
and noise stay. The change of the forecast then shows what it takes from the phase. Plain arrays in and out.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from vitime_cache.arrays import Floats

# Shares of a period in the order in which stand-ins are made, the farthest from whole periods first.
PHASES = (0.5, 0.3, 0.7, 0.4, 0.6, 0.35, 0.65, 0.45, 0.55, 0.325, 0.675, 0.375, 0.625, 0.425, 0.575, 0.475)


def moved(history: ArrayLike, shift: int, period: float, earlier: ArrayLike = ()) -> Floats:
    """The history shifted `shift` samples later, with its linear trend kept in place.

    Parameters
    ----------
    history
        (T,)
    shift
        Samples, less than a period.
    period
        In samples. Samples from before the first known one are taken from whole periods later.
    earlier
        (E,) the samples just before the history, where they are known.

    Returns
    -------
    (T,): samples of the series about their trend, none of them interpolated.
    """
    x, before = np.asarray(history, dtype=np.float64), np.asarray(earlier, dtype=np.float64)
    time = np.arange(len(x))
    slope, level = np.polyfit(time, x, 1)
    known = np.concatenate((before, x)) - (level + slope * np.arange(-len(before), len(x)))
    source = time - shift
    missing = np.maximum(-len(before) - source, 0)
    source = np.rint(source + period * np.ceil(missing / period)).astype(np.intp) + len(before)
    placed: Floats = known[np.clip(source, 0, len(known) - 1)] + level + slope * time
    return placed


def shifts(period: float, n: int) -> list[int]:
    """`n` shifts in whole samples by the shares of `PHASES`; they repeat only when a short period has no more.

    Raises
    ------
    ValueError
        For a period below two samples, which has no other phase.
    """
    if period < 2:
        raise ValueError(f"a period of {period:g} samples has no other phase")
    each = list(dict.fromkeys(max(1, round(share * period)) for share in PHASES))
    return [each[i % len(each)] for i in range(n)]


def stand_ins(history: ArrayLike, period: float, n: int, earlier: ArrayLike = ()) -> Floats:
    """`n` stand-ins of a history, (n, T), by `moved` and `shifts`."""
    return np.stack([moved(history, shift, period, earlier) for shift in shifts(period, n)])
