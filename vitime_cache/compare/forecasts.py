"""Compares the forecasts of two networks for one series."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from vitime_cache.attention import schema
from vitime_cache.compare.maps import CompareError
from vitime_cache.model.encoding import is_flat

MEDIAN = 0.5
DEVIATIONS, UNITS = "standard deviations of the history", "units of the series, whose history is constant,"


@dataclass(frozen=True)
class ForecastGap:
    """Median forecasts of one series by two networks, in standard deviations of its history unless that is constant.

    Attributes
    ----------
    apart, widest
        Mean and largest absolute difference between the two.
    first_error, second_error
        Mean absolute error of each against the true future; NaN if that is unknown.
    unit
        What all of these are in.
    """

    apart: float
    widest: float
    first_error: float
    second_error: float
    unit: str = DEVIATIONS


def same_series(first: xr.Dataset, second: xr.Dataset) -> bool:
    """Whether two Datasets have the same series and horizon, judged by the samples; names need not be unique."""
    a, b = (_history(ds) for ds in (first, second))
    return a.shape == b.shape and int(first[schema.HORIZON]) == int(second[schema.HORIZON]) and bool((a == b).all())


def compare_forecasts(first: xr.Dataset, second: xr.Dataset, future: NDArray[np.float64] | None = None) -> ForecastGap:
    """Measure how far two networks' forecasts of one series are apart.

    Parameters
    ----------
    future
        The true future, (horizon,), if known.

    Raises
    ------
    CompareError
        If the two are not of the same series.
    """
    if not same_series(first, second):
        raise CompareError("forecasts of two different series cannot be compared: choose the same series for both")
    flat = bool(is_flat(_history(first)))  # whose deviation is 0 or, from rounding, next to it
    scale = 1.0 if flat else float(np.std(_history(first)))
    a, b = (median_forecast(ds) for ds in (first, second))
    gap = np.abs(a - b) / scale
    one = other = np.nan
    if future is not None and len(future) >= len(a):
        one, other = (float(np.mean(np.abs(each - future[: len(each)])) / scale) for each in (a, b))
    return ForecastGap(float(gap.mean()), float(gap.max()), one, other, UNITS if flat else DEVIATIONS)


def median_forecast(ds: xr.Dataset) -> NDArray[np.float64]:
    """The median of the model's own distribution over the horizon, (horizon,)."""
    start = int(ds[schema.N_HISTORY])
    median = ds[schema.FORECAST_QUANTILE].sel({schema.QUANTILE: MEDIAN}, method="nearest").values
    return np.asarray(median[start : start + int(ds[schema.HORIZON])], dtype=np.float64)


def _history(ds: xr.Dataset) -> NDArray[np.float64]:
    return np.asarray(ds[schema.HISTORY].values[: int(ds[schema.N_HISTORY])], dtype=np.float64)
