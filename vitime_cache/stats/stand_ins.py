"""Stand-ins for a history: the same samples, each at another moment of the period.

What a forecast takes from *where in its period* the history is shows when the history is moved by a share of its
period: level, trend, amplitude and noise stay, only the moments change. Plain arrays in and out.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from vitime_cache.arrays import Floats

# Shares of a period, the farthest from whole periods first; the order in which stand-ins are taken.
PHASES = (0.5, 0.3, 0.7, 0.4, 0.6, 0.35, 0.65, 0.45, 0.55, 0.325, 0.675, 0.375, 0.625, 0.425, 0.575, 0.475)


def moved(history: ArrayLike, shift: int, period: float, earlier: ArrayLike = ()) -> Floats:
    """The history `shift` samples later, its linear trend left where it was.

    Parameters
    ----------
    history
        (T,)
    shift
        Samples, less than a period.
    period
        In samples. What would have to come from before the first sample known comes from whole periods later.
    earlier
        (E,) the samples that come before the history, where they are known.

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
    """`n` shifts in whole samples, by the shares of `PHASES`: different ones first, as far as a short period has them.

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
