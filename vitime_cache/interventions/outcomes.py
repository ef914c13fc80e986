"""The effect of an intervention on a forecast: four numbers, in standard deviations of the history where possible.

A forecast is read as the mean row of each image column, which varies continuously; the most probable row stays the same
under a small change and jumps under a larger one. Plain arrays in and out.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

from vitime_cache.arrays import Array
from vitime_cache.model.config import ViTimeConfig
from vitime_cache.model.encoding import SeriesEncoding
from vitime_cache.series.signal import Signal

OUTCOME = "outcome"  # dimension of results

# Outcome → (meaning, units). Each is the value for the changed forecast minus that for the intact one.
OUTCOMES: Mapping[str, tuple[str, str]] = {
    "distance": (
        "root mean square distance of the forecast from the intact one, never negative",
        "standard deviations of the history",
    ),
    "error": (
        "change of the mean absolute error; NaN where the future is not known",
        "standard deviations of the history",
    ),
    "seasonal_power": (
        "change of the share of the forecast's energy within ± 1 Fourier bin of 1 / period; NaN without a period, and "
        "where the horizon is shorter than it",
        "share",
    ),
    "log_score": (
        "change of the mean log probability of the true row per column; NaN where the future is not known",
        "nats",
    ),
}

FLAT = 1e-4  # a forecast whose standard deviation is below this share of the history's has no season
LEAST_PROBABILITY = 1e-12  # a row of probability 0 costs 28 nats instead of infinity


@dataclass(frozen=True, eq=False)
class ForecastScorer:
    """Measures changed forecasts of one signal against the intact one.

    Attributes
    ----------
    intact
        The intact forecast (H,) in units of the signal.
    """

    encoding: SeriesEncoding
    period: float | None
    intact: Array
    future: Array | None
    true_rows: NDArray[np.intp] | None
    intact_values: Mapping[str, float]

    @classmethod
    def of(cls, signal: Signal, config: ViTimeConfig, probability: Array, period: float | None = None) -> Self:
        """From the intact probability image (W, h); `period` in samples."""
        encoding = SeriesEncoding.fit(signal.values, signal.horizon, config)
        true_rows = None
        if signal.future is not None:
            length = len(signal.values) + signal.horizon
            at = np.linspace(0, length - 1, config.columns)[encoding.history_columns :]
            true_rows = encoding.rows(np.interp(at, np.arange(length), signal.known))
        blank = cls(encoding, period, np.zeros(signal.horizon), signal.future, true_rows, {})
        intact = blank.forecast(probability)
        values = {name: float(value[0]) for name, value in blank._values(probability[None], intact[None]).items()}
        return cls(encoding, period, intact, signal.future, true_rows, values)

    def forecast(self, probability: Array) -> Array:
        """Probability images (..., W, h) as forecasts (..., H) in units of the signal."""
        return self.encoding.series(probability, "expectation")[..., -self.encoding.horizon :]

    def measure(self, probability: Array) -> Array:
        """Outcomes of changed forecasts (B, W, h), (outcome, B) in the order of `OUTCOMES`."""
        forecast = self.forecast(probability)
        change = {name: value - self.intact_values[name] for name, value in self._values(probability, forecast).items()}
        change["distance"] = np.sqrt((((forecast - self.intact) / self._std) ** 2).mean(axis=-1))
        return np.stack([change[name] for name in OUTCOMES])

    @property
    def _std(self) -> float:
        return float(self.encoding.std[0])

    def _values(self, probability: Array, forecast: Array) -> dict[str, Array]:
        """The values behind outcomes that are differences, for images (B, W, h) and their forecasts (B, H)."""
        unknown = np.full(len(forecast), np.nan)
        error, score = unknown, unknown
        if self.future is not None and self.true_rows is not None:
            error = np.abs(forecast - self.future).mean(axis=-1) / self._std
            columns = np.arange(self.encoding.history_columns, self.encoding.config.columns)
            true = probability[:, columns, self.true_rows].astype(np.float64)
            score = np.log(np.maximum(true, LEAST_PROBABILITY)).mean(axis=-1)
        season = unknown if self.period is None else seasonal_power(forecast / self._std, self.period, FLAT)
        return {"error": error, "seasonal_power": season, "log_score": score}


def seasonal_power(series: Array, period: float, least_deviation: float = 0.0) -> Array:
    """Share of the energy of series (..., H) about their mean within ± 1 Fourier bin of 1 / period, (...).

    0 if the standard deviation of the series is at most `least_deviation`; NaN if it is shorter than the period.
    """
    length = series.shape[-1]
    at = length / period  # in bins
    if at < 1 or period < 2:
        return np.full(series.shape[:-1], np.nan)
    centred = series - series.mean(axis=-1, keepdims=True)
    power = np.abs(np.fft.rfft(centred)) ** 2
    weight = np.full(power.shape[-1], 2.0)  # a bin also counts for its negative frequency
    weight[0] = 1.0
    if length % 2 == 0:
        weight[-1] = 1.0
    power = power * weight
    bins = np.arange(power.shape[-1])
    near = (np.abs(bins - at) <= 1) & (bins > 0)
    varies = centred.std(axis=-1) > least_deviation
    total = power.sum(axis=-1)
    share: Array = np.where(varies & (total > 0), power[..., near].sum(axis=-1) / np.where(total > 0, total, 1), 0.0)
    return share
