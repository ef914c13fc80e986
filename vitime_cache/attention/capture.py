"""Run the model once on a signal and label what every head looks at. `streaming` reads the attention as it runs."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any, overload

import numpy as np
import torch
import xarray as xr
from numpy.typing import ArrayLike, NDArray
from torch import Tensor

from vitime_cache.arrays import Floats
from vitime_cache.attention import schema
from vitime_cache.attention.forward import CaptureError, Edit
from vitime_cache.attention.host import HostCopy, to_device
from vitime_cache.attention.lags import lag_means
from vitime_cache.attention.passes import at_once, in_passes
from vitime_cache.attention.streaming import Progress, Streaming, TokenSink
from vitime_cache.checks import called
from vitime_cache.model.checkpoint import check_model, dtype_name
from vitime_cache.model.config import ViTimeConfig
from vitime_cache.model.drawing import draw
from vitime_cache.model.encoding import SeriesEncoding
from vitime_cache.model.network import ViTime
from vitime_cache.series.signal import Signal

__all__ = ["CaptureError", "capture", "capture_batch", "dtype_deviation", "images_of", "time_attention"]

MAPS_BYTES, MOST_ON_CPU = 2**28, 16  # the most bytes of maps and signals in one pass of `time_attention` on the CPU

Arrays = dict[str, NDArray[Any]]


def capture(
    model: ViTime,
    signal: Signal | ArrayLike | xr.Dataset,
    horizon: int | None = None,
    tokens: str | Sequence[str] = (),
    *,
    progress: Progress | None = None,
) -> xr.Dataset:
    """Run `model` on one signal and label what every head looks at.

    Parameters
    ----------
    signal
        A `Signal`, plain samples (T,) (a list, an array, a tensor), or the Dataset of one signal.
    horizon
        Samples to forecast; None takes the signal's own (720 for plain samples).
    tokens
        Layers whose token maps are kept: "all", "none" or names such as "decoder.5".
    progress
        Called as (share of the layers done, layer) while the model runs.

    Returns
    -------
    xarray.Dataset
        As `schema` describes, without the dimension `signal`; `token_attention` only if any was asked for.

    Raises
    ------
    CaptureError, SignalError, EncodingError, ConfigError, CheckpointError
        Naming what does not fit.
    """
    check_model(model)
    called(progress, "progress", error=CaptureError)
    signal = schema.to_signal(signal)
    if horizon is not None:
        signal = signal.with_horizon(horizon)
    config = model.config
    kept = config.select_layers(tokens)
    token_maps = None
    if kept:
        shape = (len(config.layers), config.heads, config.tokens, config.tokens)
        token_maps = np.full(shape, np.nan, np.float16)

    def keep(_: int, layer: str, head: int, token_map: NDArray[np.float16]) -> None:
        assert token_maps is not None
        token_maps[config.layers.index(layer), head] = token_map

    (arrays,) = capture_batch(model, [signal], kept, keep, progress=progress)
    if token_maps is not None:
        arrays[schema.TOKEN_ATTENTION] = token_maps
    coordinates = schema.signal_coordinates(signal, config)
    return schema.dataset(config, arrays, coordinates, schema.attributes(config, model.weights, dtype_name(model)))


def capture_batch(
    model: ViTime,
    signals: Sequence[Signal],
    tokens: str | Sequence[str] = (),
    on_tokens: TokenSink | None = None,
    edits: Sequence[Edit] = (),
    progress: Progress | None = None,
) -> Captured:
    """Run `model` once on several signals, of any lengths and horizons.

    A device may still be working when this returns; reading a signal's arrays waits for it.

    Parameters
    ----------
    tokens
        Layers whose token maps are passed to `on_tokens`.
    on_tokens
        Called as (index of the signal, layer, head, map (N, N) float16) while the model runs, from several threads at
        once; the map is only valid during the call.
    edits
        Changes to heads: the maps and forecasts are those of the changed network.
    progress
        As for `capture`.

    Returns
    -------
    Captured
        For each signal, every variable of the schema except `token_attention`, without the signal dimension.

    Raises
    ------
    CaptureError, EncodingError, ConfigError, EditError
        Naming what does not fit.
    """
    config = model.config
    encodings = encodings_of(signals, config)
    stream = Streaming(model, len(signals), config.select_layers(tokens), on_tokens, edits, progress)
    probability = stream.run(images_of(signals, encodings, model))  # (B, W, h)
    return Captured(signals, encodings, HostCopy(probability, stream.time, stream.cls))


def time_attention(
    model: ViTime, signals: Sequence[Signal], *, batch_size: int | None = None, progress: Progress | None = None
) -> Iterator[NDArray[np.float32]]:
    """Yield the time attention of each signal, (layer, head, gw, gw), and nothing else: enough for runs on nulls.

    Parameters
    ----------
    batch_size
        Signals in one pass; None takes as many as the device has room for.
    progress
        As for `capture`, for each pass.
    """
    config = model.config
    map_bytes = 4 * len(config.layers) * config.heads * config.grid[1] ** 2
    size = batch_size or at_once(model, on_cpu=max(1, min(MOST_ON_CPU, MAPS_BYTES // map_bytes)))

    def run(some: Sequence[Signal]) -> HostCopy:
        stream = Streaming(model, len(some), progress=progress)
        stream.run(images_of(some, encodings_of(some, config), model))
        return HostCopy(stream.time.transpose(0, 1))

    copies = (copy for _, copy in in_passes(signals, size, run))
    for copy in copies if model.device.type == "cpu" else _one_ahead(copies):
        yield from copy.wait()[0]


def _one_ahead(copies: Iterator[HostCopy]) -> Iterator[HostCopy]:
    """Yield each copy only after the next pass has started, so that device and host work at the same time."""
    if before := next(copies, None):
        for copy in copies:
            yield before
            before = copy
        yield before


def dtype_deviation(model: ViTime, exact: ViTime, signal: Signal) -> float:
    """How far the maps of `model` are from those of the same weights in float32, on one signal.

    Returns
    -------
    float
        The largest difference of a cell of time attention, as a share of the largest value of its head's float32 map;
        the worst head counts. Measured on random weights of full size it reaches 0.65 in bfloat16.
    """
    (rounded,), (true,) = (capture_batch(each, [signal]) for each in (model, exact))
    maps = true[schema.TIME_ATTENTION]
    difference = np.abs(rounded[schema.TIME_ATTENTION] - maps).max(axis=(-2, -1))
    return float((difference / maps.max(axis=(-2, -1))).max())


def encodings_of(signals: Sequence[Signal], config: ViTimeConfig) -> list[SeriesEncoding]:
    """The encoding of each signal; equally long ones are measured at once, to the same bits."""
    found: dict[int, SeriesEncoding] = {}
    for places, values in _equally_long(signals):
        fitted = SeriesEncoding.fit(values, signals[places[0]].horizon, config)
        found |= {at: replace(fitted, mean=fitted.mean[i], std=fitted.std[i]) for i, at in enumerate(places)}
    return [found[at] for at in range(len(signals))]


def _equally_long(signals: Sequence[Signal]) -> Iterator[tuple[list[int], Floats]]:
    """Group signals with as long a history and horizon: their places, and their histories (b, T)."""
    groups: dict[tuple[int, int], list[int]] = {}
    for at, signal in enumerate(signals):
        groups.setdefault((len(signal.values), signal.horizon), []).append(at)
    for places in groups.values():
        yield places, np.stack([signals[at].values for at in places])


def images_of(signals: Sequence[Signal], encodings: Sequence[SeriesEncoding], model: ViTime) -> Tensor:
    """The signals drawn as a batch that `model` takes, (B, 1, h, W), on its device and in its dtype."""
    found: dict[int, NDArray[np.intp]] = {}
    for places, values in _equally_long(signals):
        shared = SeriesEncoding.stack([encodings[at] for at in places])
        found |= zip(places, shared.history_rows(values), strict=True)
    rows = [found[at] for at in range(len(signals))]
    if model.device.type == "cpu":
        return as_batch(model, np.stack([e.ink(row) for e, row in zip(encodings, rows, strict=True)]))
    return drawn_there(model, rows)


def images_of_rows(rows: NDArray[np.intp], encoding: SeriesEncoding, model: ViTime) -> Tensor:
    """The same for image rows (B, history_columns) that share an encoding."""
    return as_batch(model, encoding.ink(rows)) if model.device.type == "cpu" else drawn_there(model, list(rows))


def drawn_there(model: ViTime, rows: Sequence[NDArray[np.intp]]) -> Tensor:
    """Draw image rows of histories of any lengths on the model's device, which is quicker than copying images there."""
    config = model.config
    padded = np.full((len(rows), max(map(len, rows))), config.image_height, np.int32)  # this row draws nothing
    for line, row in zip(padded, rows, strict=True):
        line[: len(row)] = row
    return draw(to_device(padded, model.device), config).to(model.dtype)


def as_batch(model: ViTime, images: NDArray[np.float32]) -> Tensor:
    """Ink (B, W, h) as what `model` takes, (B, 1, h, W), on its device and in its dtype."""
    return torch.from_numpy(images).transpose(1, 2).unsqueeze(1).to(model.device, model.dtype)


class Captured(Sequence[Arrays]):
    """What one pass read for each signal; arrays are made on access, in the thread that asks for them.

    A slice is quicker than its signals one by one: equally long ones are read at once, to the same bits.
    """

    def __init__(self, signals: Sequence[Signal], encodings: Sequence[SeriesEncoding], copy: HostCopy) -> None:
        self._signals, self._encodings, self._copy = signals, encodings, copy

    def __len__(self) -> int:
        return len(self._signals)

    @overload
    def __getitem__(self, at: int) -> Arrays: ...
    @overload
    def __getitem__(self, at: slice) -> list[Arrays]: ...
    def __getitem__(self, at: int | slice) -> Arrays | list[Arrays]:
        if not isinstance(at, slice):
            return self._arrays([range(len(self))[at]])[0]
        return self._arrays(range(len(self))[at])

    def _arrays(self, wanted: Sequence[int]) -> list[Arrays]:
        probability, time, cls = self._copy.wait()
        signals = [self._signals[at] for at in wanted]
        found: dict[int, Arrays] = {}
        for group, values in _equally_long(signals):
            encoding = SeriesEncoding.stack([self._encodings[wanted[i]] for i in group])
            probabilities = probability[[wanted[i] for i in group]]  # (b, W, h)
            forecast = encoding.series(probabilities, "max")  # (b, T + H)
            quantiles = encoding.quantiles(probabilities, schema.QUANTILES)  # (levels, b, T + H)
            for each in forecast, quantiles:
                each[..., : encoding.n_history] = np.nan
            history = np.full_like(forecast, np.nan)
            history[:, : encoding.n_history] = values
            for b, i in enumerate(group):
                maps, harmonics = time[:, wanted[i]], signals[i].harmonics
                found[i] = {
                    schema.TIME_ATTENTION: maps,
                    schema.LAG_ATTENTION: lag_means(maps)[1].astype(np.float32),
                    schema.CLS_ATTENTION: cls[:, wanted[i]],
                    schema.HISTORY: history[b],
                    schema.FORECAST: forecast[b],
                    schema.FORECAST_QUANTILE: quantiles[:, b],
                    schema.COMPONENT_PERIOD: np.array([h.period for h in harmonics], np.float32),
                    schema.COMPONENT_AMPLITUDE: np.array([h.amplitude for h in harmonics], np.float32),
                }
        return [found[i] for i in range(len(signals))]
