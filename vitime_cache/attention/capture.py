"""Run the model once on a signal and label what every head looks at. `streaming` reads the attention as it runs."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, overload

import numpy as np
import torch
import xarray as xr
from numpy.typing import ArrayLike, NDArray
from torch import Tensor

from vitime_cache.attention import schema
from vitime_cache.attention.forward import CaptureError, Edit
from vitime_cache.attention.host import HostCopy, to_device
from vitime_cache.attention.lags import lag_means
from vitime_cache.attention.passes import at_once, in_passes
from vitime_cache.attention.streaming import Progress, Streaming, TokenSink
from vitime_cache.checks import called
from vitime_cache.model.checkpoint import check_model, dtype_name
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
    encodings = [SeriesEncoding.fit(s.values, s.horizon, config) for s in signals]
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
        stream.run(images_of(some, [SeriesEncoding.fit(s.values, s.horizon, config) for s in some], model))
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


def images_of(signals: Sequence[Signal], encodings: Sequence[SeriesEncoding], model: ViTime) -> Tensor:
    """The signals drawn as a batch that `model` takes, (B, 1, h, W), on its device and in its dtype."""
    rows = [e.history_rows(s.values) for e, s in zip(encodings, signals, strict=True)]
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
    """What one pass read for each signal; arrays are made on access, in the thread that asks for them."""

    def __init__(self, signals: Sequence[Signal], encodings: Sequence[SeriesEncoding], copy: HostCopy) -> None:
        self._signals, self._encodings, self._copy = signals, encodings, copy

    def __len__(self) -> int:
        return len(self._signals)

    @overload
    def __getitem__(self, at: int) -> Arrays: ...
    @overload
    def __getitem__(self, at: slice) -> list[Arrays]: ...
    def __getitem__(self, at: int | slice) -> Arrays | list[Arrays]:
        if isinstance(at, slice):
            return [self[each] for each in range(*at.indices(len(self)))]
        signal, encoding = self._signals[at], self._encodings[at]
        probability, time, cls = self._copy.wait()
        return _arrays(signal, encoding, probability[at], time[:, at], cls[:, at])


def _arrays(
    signal: Signal,
    encoding: SeriesEncoding,
    probability: NDArray[np.float32],
    time_attention: NDArray[np.float32],
    cls_attention: NDArray[np.float32],
) -> Arrays:
    n_history, length = len(signal.values), len(signal.values) + signal.horizon
    is_history = np.arange(length) < n_history
    history = np.full(length, np.nan)
    history[:n_history] = signal.values
    return {
        schema.TIME_ATTENTION: time_attention,
        schema.LAG_ATTENTION: lag_means(time_attention)[1].astype(np.float32),
        schema.CLS_ATTENTION: cls_attention,
        schema.HISTORY: history,
        schema.FORECAST: np.where(is_history, np.nan, encoding.series(probability, "max")),
        schema.FORECAST_QUANTILE: np.where(is_history, np.nan, encoding.quantiles(probability, schema.QUANTILES)),
        schema.COMPONENT_PERIOD: np.array([h.period for h in signal.harmonics], np.float32),
        schema.COMPONENT_AMPLITUDE: np.array([h.amplitude for h in signal.harmonics], np.float32),
    }
