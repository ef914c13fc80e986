"""Contrast of attention maps: how a value becomes a shade between 0 and 1, and which cells get an outline.

The options and their defaults are those of the reference study. They change what is visible, never the numbers: legends
and tooltips show attention itself.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from vitime_cache.arrays import Array
from vitime_cache.checks import is_number, truth
from vitime_cache.errors import VitimeError


class ContrastError(VitimeError):
    """A contrast option outside its range."""


@dataclass(frozen=True)
class Contrast:
    """Options for colouring a map.

    Parameters
    ----------
    powermap
        Raise shades to the power `gamma`; a `gamma` below 1 brightens faint values.
    robust_percentiles
        Percentiles of the values that become the darkest and the lightest shade; None takes the extremes.
    gamma
        Exponent of the power law, above 0.
    show_log
        Shade log1p(value / mean). The reference study takes log1p of the attention itself, which is nearly the identity
        at weights of 1e-3; relative to the mean the logarithm has an effect.
    top_overlay_percent
        Outline the cells at or above this percentile; None draws no outline.

    Raises
    ------
    ContrastError
        Naming the option, its value and its range.
    """

    powermap: bool = True
    robust_percentiles: tuple[float, float] | None = (5.0, 99.0)
    gamma: float = 0.1
    show_log: bool = True
    top_overlay_percent: float | None = 99.9

    def __post_init__(self) -> None:
        for name in ("powermap", "show_log"):
            truth(getattr(self, name), name, error=ContrastError)
        if not (is_number(self.gamma) and 0 < self.gamma <= 10):
            raise ContrastError(f"gamma must be above 0 and at most 10, got {self.gamma!r:.60}")
        ends, top = self.robust_percentiles, self.top_overlay_percent
        pair = isinstance(ends, Sequence) and len(ends) == 2 and all(map(is_number, ends))
        if ends is not None and not (pair and 0 <= ends[0] < ends[1] <= 100):
            raise ContrastError(f"robust_percentiles must satisfy 0 <= low < high <= 100, got {ends!r:.60}")
        if top is not None and not (is_number(top) and 0 <= top <= 100):
            raise ContrastError(f"top_overlay_percent must be between 0 and 100, got {top!r:.60}")


NO_CONTRAST = Contrast(powermap=False, robust_percentiles=None, gamma=1.0, show_log=False, top_overlay_percent=None)


@dataclass(frozen=True)
class Shading:
    """Converts values to shades and back, fitted to one map or to several that share a scale.

    Attributes
    ----------
    low, high
        Values that become shade 0 and 1; values beyond them are clipped.
    exponent
        Exponent of the power law, 1 for none.
    unit
        Mean by which values are divided before log1p, or 0 for no logarithm.
    threshold
        Smallest value that is outlined; infinite for no outline.
    """

    low: float
    high: float
    exponent: float
    unit: float
    threshold: float

    @classmethod
    def fit(cls, values: ArrayLike, contrast: Contrast) -> Self:
        """Take percentiles and mean from the finite values of any shape; if percentiles coincide, take the extremes."""
        known = np.asarray(values, dtype=np.float64)
        known = known[np.isfinite(known)]
        if known.size == 0:
            return cls(0.0, 1.0, 1.0, 0.0, np.inf)
        top = contrast.top_overlay_percent
        clipped = contrast.robust_percentiles or (0.0, 100.0)
        low, high, threshold = np.percentile(known, (*clipped, 100.0 if top is None else top))
        if low == high:
            low, high = known.min(), known.max()
        return cls(
            low=float(low),
            high=float(high),
            exponent=contrast.gamma if contrast.powermap else 1.0,
            unit=float(known.mean()) if contrast.show_log and known.min() >= 0 else 0.0,
            threshold=float(np.inf if top is None else threshold),
        )

    def shade(self, values: ArrayLike) -> Array:
        """Shades 0 … 1 of the values; NaN stays NaN, and a map of one value is all 0."""
        v = np.asarray(values, dtype=np.float64)
        if self.high <= self.low:
            return np.where(np.isfinite(v), 0.0, np.nan)
        low, high = self._warp(np.array([self.low, self.high]))
        linear = (self._warp(np.clip(v, self.low, self.high)) - low) / (high - low)
        shade: Array = np.clip(linear, 0, 1) ** self.exponent
        return shade

    def value(self, shade: ArrayLike) -> Array:
        """The value with a given shade, for legends: the inverse of `shade` between low and high."""
        low, high = self._warp(np.array([self.low, self.high]))
        warped: Array = low + np.asarray(shade, dtype=np.float64) ** (1 / self.exponent) * (high - low)
        return np.expm1(warped) * self.unit if self.unit > 0 else warped

    def outlined(self, values: ArrayLike) -> NDArray[np.bool_]:
        """Cells at or above the threshold."""
        inside: NDArray[np.bool_] = np.asarray(values) >= self.threshold
        return inside

    def _warp(self, values: Array) -> Array:
        return np.log1p(values / self.unit) if self.unit > 0 else values


def outline_segments(inside: NDArray[np.bool_]) -> NDArray[np.intp]:
    """The border of a set of cells as straight segments.

    Parameters
    ----------
    inside
        (rows, columns).

    Returns
    -------
    (segments, 4): column and row of the start, column and row of the end, counted in cell edges. Neighbouring
    unit edges in line are one segment.
    """
    framed = np.pad(inside, 1)
    level = framed[1:, 1:-1] != framed[:-1, 1:-1]  # (rows + 1, columns): edge above cell row r
    upright = framed[1:-1, 1:] != framed[1:-1, :-1]  # (rows, columns + 1): edge left of cell column c
    rows, start, stop = _runs(level)
    columns, top, bottom = _runs(upright.T)
    return np.concatenate(
        (np.stack((start, rows, stop, rows), axis=1), np.stack((columns, top, columns, bottom), axis=1))
    )


def _runs(edges: NDArray[np.bool_]) -> tuple[NDArray[np.intp], NDArray[np.intp], NDArray[np.intp]]:
    """Line, start and stop of every run of True along the last axis of a matrix."""
    change = np.diff(np.pad(edges, ((0, 0), (1, 1))).astype(np.int8), axis=1)
    line, start = np.nonzero(change == 1)
    _, stop = np.nonzero(change == -1)
    return line, start, stop
