"""The result of a claim about single heads as plain arrays: a figure with its interval, a p-value and a verdict."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from vitime_cache.arrays import Array

LEVEL = 0.05  # default family-wise error over heads


@dataclass(frozen=True, eq=False)
class Claimed:
    """A claim over heads; every array is (layer, head), with NaN where nothing is known.

    Attributes
    ----------
    figure, low, high
        The figure behind the verdict and its interval, simultaneous over the heads asked about.
    p_value
        Corrected over the heads asked about; NaN without a test.
    verdict
        Codes of `levels.table.OUTCOMES`.
    """

    figure: Array
    low: Array
    high: Array
    p_value: Array
    verdict: NDArray[np.int8]
