"""Forecasts through the interface of the published code, as the reference study's scripts use it."""

from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor

from vitime_cache.checks import choice, is_number, numbers, positive, whole
from vitime_cache.errors import VitimeError
from vitime_cache.model.checkpoint import load_model
from vitime_cache.model.encoding import SeriesEncoding
from vitime_cache.model.network import ViTime
from vitime_cache.series.bounds import MAX_SAMPLES, MAX_VALUES


class PredictionError(VitimeError):
    """An option or a series with which no forecast can be made."""


class ViTimePrediction:
    """A ViTime model that forecasts, with the constructor and the method of the published code.

    Parameters
    ----------
    device
        A torch device name. A CUDA device on a machine without one falls back to the CPU, with a warning.
    model_name
        "MAE", the only published network.
    lookbackRatio
        Use the last int(lookbackRatio · horizon) samples of the history only; None uses all.
    tempature
        Temperature of the softmax from which samples are drawn, under its published name.
    temperature
        The same under its correct name; overrides `tempature`.
    weights
        A weights file; None takes the published one if it is there, else the shipped model (`load_model`).

    Raises
    ------
    PredictionError, CheckpointError
        Naming the option or what is wrong with the weights.
    """

    def __init__(
        self,
        device: str = "cuda:0",
        model_name: str = "MAE",
        lookbackRatio: float | None = None,
        tempature: float = 1,
        temperature: float | None = None,
        weights: str | Path | None = None,
    ) -> None:
        choice(model_name, "model_name", ("MAE",), error=PredictionError)
        if lookbackRatio is not None and not (is_number(lookbackRatio) and 0 < lookbackRatio < np.inf):
            raise PredictionError(f"lookbackRatio must be positive or None, got {lookbackRatio!r:.60}")
        self.lookbackRatio = lookbackRatio
        self.temperature = positive(
            tempature if temperature is None else temperature, "the temperature", error=PredictionError
        )
        if isinstance(device, str) and device.startswith("cuda") and not torch.cuda.is_available():
            warnings.warn(f"this machine has no CUDA device, so {device!r} falls back to the CPU", stacklevel=2)
            device = "cpu"
        self.model = load_model(weights, device)

    def prediction(
        self, historical_data: ArrayLike | Tensor, future_length: int, sampleNumber: int | None = None, *,
        seed: int | None = None,
    ) -> NDArray[np.float64]:  # fmt: skip
        """Forecast `future_length` samples.

        Parameters
        ----------
        historical_data
            One series, (T,), (1, T) or (T, 1).
        sampleNumber
            Number of forecasts to draw from the model's distribution; None takes the most probable value at each time.
        seed
            Makes the draws repeatable.

        Returns
        -------
        (future_length,), or (future_length, sampleNumber) draws, in units of the series.

        Raises
        ------
        PredictionError, EncodingError
            Naming what does not fit.
        """
        history = self.history(historical_data, future_length)
        if sampleNumber is not None:
            most = MAX_VALUES // future_length
            sampleNumber = whole(sampleNumber, "sampleNumber", 1, most, error=PredictionError)
        if seed is not None:
            seed = whole(seed, "seed", 0, 2**63, error=PredictionError)
        encoding, image = encode(self.model, history, future_length)
        with torch.inference_mode():
            probability = self.model(image, self.temperature)[0].cpu().numpy()  # (W, h)
        if sampleNumber is None:
            return encoding.series(probability, "max")[len(history) :]
        return encoding.sample(probability, sampleNumber, np.random.default_rng(seed))[len(history) :]

    def history(self, historical_data: ArrayLike | Tensor, future_length: int) -> NDArray[np.float64]:
        """The part of a series that the model sees, (T,): all of it, or what `lookbackRatio` keeps."""
        series = as_series(historical_data)
        future_length = whole(future_length, "future_length, the horizon,", 1, MAX_SAMPLES, error=PredictionError)
        if self.lookbackRatio is None:
            return series
        kept = int(self.lookbackRatio * future_length)
        if kept < 2:
            raise PredictionError(
                f"lookbackRatio {self.lookbackRatio} keeps {kept} samples for a horizon of {future_length}; "
                "at least 2 are needed, so raise it or pass None"
            )
        return series[-kept:]


def as_series(values: ArrayLike | Tensor) -> NDArray[np.float64]:
    """One series as (T,).

    Raises
    ------
    PredictionError
        For any shape other than (T,), (1, T) and (T, 1), and for anything but real numbers.
    """
    series = numbers(values, "one series", error=PredictionError).astype(np.float64)
    if series.ndim == 2 and 1 in series.shape:
        series = series.ravel()
    if series.ndim != 1:
        raise PredictionError(f"one series is expected, (T,), (1, T) or (T, 1), got shape {series.shape}")
    return series


def history_of(model: ViTimePrediction | ViTime, values: ArrayLike | Tensor, horizon: int) -> NDArray[np.float64]:
    """The part of one series that the model sees, (T,); a plain network sees all of it."""
    return model.history(values, horizon) if isinstance(model, ViTimePrediction) else as_series(values)


def encode(model: ViTime, history: NDArray[np.float64], horizon: int) -> tuple[SeriesEncoding, Tensor]:
    """The encoding of a history (T,) on the model's image, and that image, (1, 1, h, W)."""
    encoding = SeriesEncoding.fit(history, horizon, model.config)
    image = torch.from_numpy(encoding.image(history)).T[None, None]
    return encoding, image.to(model.device, model.dtype)
