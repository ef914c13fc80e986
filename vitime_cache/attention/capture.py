"""Run the model once and read the attention of every layer and head on the way.

Attention is computed for a block of query rows at a time. While its softmax is still in cache it is applied to the
values, pooled to time, and, where asked for, cast into the head's token map; it never exists as a whole, let alone for
all layers. The network's answer is that of its plain forward pass.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from itertools import product
from typing import Any

import numpy as np
import torch
import xarray as xr
from einops import rearrange
from numpy.typing import ArrayLike, NDArray
from torch import Tensor

from vitime_cache.attention import schema
from vitime_cache.attention.lags import lag_means
from vitime_cache.errors import VitimeError
from vitime_cache.model.encoding import SeriesEncoding
from vitime_cache.model.network import ViTime
from vitime_cache.series.signal import Signal

TokenSink = Callable[[int, str, int, NDArray[np.float16]], None]
Arrays = dict[str, NDArray[Any]]

# Scores of one block of query rows on a device; on the CPU a block is one grid row, which fits a core's L2 cache.
DEVICE_BLOCK_BYTES = 2**29

# Attention modules are swapped while a capture runs, and torch's thread count is a global: one capture at a time.
_capture_lock = threading.Lock()


class CaptureError(VitimeError):
    """The attention of some layer did not pass through the capture."""


def capture(
    model: ViTime, signal: Signal | ArrayLike, horizon: int | None = None, tokens: str | Sequence[str] = ()
) -> xr.Dataset:
    """Run `model` on one signal and label what every head looks at.

    Parameters
    ----------
    signal
        A `Signal`, or plain samples (T,).
    horizon
        Samples to forecast; None takes the signal's own (720 for plain samples).
    tokens
        Layers whose token maps are kept: "all", "none" or names such as "decoder.5".

    Returns
    -------
    xarray.Dataset
        As `schema` describes, without the dimension `signal`; `token_attention` only if any was asked for.

    Raises
    ------
    CaptureError, SignalError, EncodingError, ConfigError
        Naming what does not fit.
    """
    if not isinstance(signal, Signal):
        signal = Signal("signal", np.asarray(signal, dtype=np.float64))
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

    (arrays,) = capture_batch(model, [signal], kept, keep)
    if token_maps is not None:
        arrays[schema.TOKEN_ATTENTION] = token_maps
    coordinates = schema.signal_coordinates(signal, config)
    return schema.dataset(
        config, arrays, coordinates, schema.attributes(config, model.weights, str(model.dtype).removeprefix("torch."))
    )


def capture_batch(
    model: ViTime, signals: Sequence[Signal], tokens: str | Sequence[str] = (), on_tokens: TokenSink | None = None
) -> list[Arrays]:
    """Run `model` once on several signals.

    Parameters
    ----------
    tokens
        Layers whose token maps are handed out.
    on_tokens
        Called as (index of the signal, layer, head, map (N, N) float16) while the model runs, from several threads at
        once; the map is only valid during the call.

    Returns
    -------
    list
        For each signal every variable of the schema but `token_attention`, without the signal dimension.

    Raises
    ------
    CaptureError
        If the attention of a layer was not seen, naming it.
    """
    config = model.config
    encodings = [SeriesEncoding.fit(s.values, s.horizon, config) for s in signals]
    images = np.stack([e.image(s.values) for e, s in zip(encodings, signals, strict=True)])  # (B, W, h)
    batch = torch.from_numpy(images).transpose(1, 2).unsqueeze(1).to(model.device, model.dtype)  # (B, 1, h, W)
    kept = config.select_layers(tokens) if on_tokens else ()
    with _capture_lock, torch.inference_mode(), _Streaming(model, len(signals), kept, on_tokens) as stream:
        probability = model(batch).cpu().numpy()  # (B, W, h)
    time, cls = stream.time.cpu().numpy(), stream.cls.cpu().numpy()
    return [
        _arrays(signal, encoding, probability[i], time[:, i], cls[:, i])
        for i, (signal, encoding) in enumerate(zip(signals, encodings, strict=True))
    ]


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
        schema.HISTORY: history.astype(np.float32),
        schema.FORECAST: np.where(is_history, np.nan, encoding.series(probability, "max")).astype(np.float32),
        schema.FORECAST_QUANTILE: np.where(
            is_history, np.nan, encoding.quantiles(probability, schema.QUANTILES)
        ).astype(np.float32),
        schema.COMPONENT_PERIOD: np.array([h.period for h in signal.harmonics], np.float32),
        schema.COMPONENT_AMPLITUDE: np.array([h.amplitude for h in signal.harmonics], np.float32),
    }


class _Streaming:
    """While entered, every attention module of the model computes block by block and leaves its maps here.

    Attributes
    ----------
    time
        (layers, B, heads, gw, gw) float32, mean over both value axes.
    cls
        (layers, B, heads, N) float32, what each token gives to CLS.
    """

    def __init__(self, model: ViTime, batch: int, tokens: tuple[str, ...], on_tokens: TokenSink | None) -> None:
        config = model.config
        self.model, self.tokens, self.on_tokens = model, tokens, on_tokens
        columns, layers = config.grid[1], len(config.layers)
        self.time = torch.zeros(layers, batch, config.heads, columns, columns, device=model.device)
        self.cls = torch.zeros(layers, batch, config.heads, config.tokens, device=model.device)
        self.seen: set[str] = set()
        self.threads = torch.get_num_threads()
        self.buffers = threading.local()
        self.copying: _HostCopy | None = None

    def __enter__(self) -> _Streaming:
        self.pool = ThreadPoolExecutor(self.threads, initializer=torch.set_num_threads, initargs=(1,))
        for layer, block in self.model.blocks_by_layer().items():
            block.attn.forward = partial(self._attention, layer, block.attn)
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        for block in self.model.blocks_by_layer().values():
            del block.attn.forward  # the class's own method shows again
        try:
            if kind is None:
                self._hand_out_copied()
        finally:
            self.pool.shutdown(cancel_futures=True)
        if kind is None and (missed := [layer for layer in self.model.config.layers if layer not in self.seen]):
            raise CaptureError(
                f"no attention was captured in {', '.join(missed)}: the model does not call the attention modules of "
                "those blocks. Load it anew with load_model, and do not compile or trace it before a capture"
            )

    def _attention(self, layer: str, attention: Any, x: Tensor, **_: object) -> Tensor:
        """What timm's Attention computes, (B, 1 + N, D) → (B, 1 + N, D), seen on the way."""
        qkv = rearrange(attention.qkv(x), "b n (three h d) -> three b h n d", three=3, h=attention.num_heads)
        q = (attention.q_norm(qkv[0]) * attention.scale).contiguous()
        k, v = attention.k_norm(qkv[1]).contiguous(), qkv[2].contiguous()
        out = torch.empty_like(q)  # (B, heads, 1 + N, d)
        stream = self._stream_on_device if x.is_cuda else self._stream_on_cores
        stream(layer, q, k, v, out)
        self.seen.add(layer)
        mixed: Tensor = attention.proj(rearrange(out, "b h n d -> b n (h d)"))
        return mixed

    def _stream_on_cores(self, layer: str, q: Tensor, k: Tensor, v: Tensor, out: Tensor) -> None:
        """One head per thread: its scores stay in that core's cache, and no thread waits for another."""
        time, cls = self._maps_of(layer)

        def one_head(head: tuple[int, int]) -> None:
            with torch.inference_mode():  # a setting of each thread
                token_map = self._token_buffer() if layer in self.tokens else None
                attend(q[head], k[head], v[head], out[head], self.model.config.grid, time[head], cls[head], token_map)
                if token_map is not None and self.on_tokens is not None:
                    self.on_tokens(head[0], layer, head[1], token_map.numpy())

        torch.set_num_threads(1)
        try:
            list(self.pool.map(one_head, product(range(q.shape[0]), range(q.shape[1]))))
        finally:
            torch.set_num_threads(self.threads)

    def _stream_on_device(self, layer: str, q: Tensor, k: Tensor, v: Tensor, out: Tensor) -> None:
        """All heads at once, in blocks of bounded size; token maps travel to the host while the next layer runs."""
        config = self.model.config
        row_bytes = 4 * q.shape[0] * q.shape[1] * config.grid[1] * (config.tokens + 1)
        token_maps = None
        if layer in self.tokens:
            token_maps = torch.empty(*q.shape[:2], config.tokens, config.tokens, dtype=torch.float16, device=q.device)
        rows = max(1, DEVICE_BLOCK_BYTES // row_bytes)
        attend(q, k, v, out, config.grid, *self._maps_of(layer), token_maps, rows)
        if token_maps is not None:
            self._hand_out_copied()
            self.copying = _HostCopy(layer, token_maps)

    def _hand_out_copied(self) -> None:
        """Wait for the token maps under way and pass them on."""
        if self.copying is None or self.on_tokens is None:
            return
        layer, maps, sink = self.copying.layer, self.copying.wait(), self.on_tokens
        self.copying = None
        heads = product(range(maps.shape[0]), range(maps.shape[1]))
        list(self.pool.map(lambda head: sink(head[0], layer, head[1], maps[head]), heads))

    def _maps_of(self, layer: str) -> tuple[Tensor, Tensor]:
        index = self.model.config.layers.index(layer)
        return self.time[index], self.cls[index]

    def _token_buffer(self) -> Tensor:
        """One (N, N) float16 map for each thread, used again for its next head."""
        if not hasattr(self.buffers, "token_map"):
            n = self.model.config.tokens
            self.buffers.token_map = torch.empty(n, n, dtype=torch.float16)
        token_map: Tensor = self.buffers.token_map
        return token_map


class _HostCopy:
    """Token maps of one layer on their way from a CUDA device to pinned memory, on a stream of their own."""

    def __init__(self, layer: str, maps: Tensor) -> None:
        self.layer, self.host, self.done = layer, maps, None
        if not maps.is_cuda:
            return
        self.host = torch.empty(maps.shape, dtype=maps.dtype, pin_memory=True)
        stream = torch.cuda.Stream(maps.device)
        stream.wait_stream(torch.cuda.current_stream(maps.device))
        with torch.cuda.stream(stream):
            self.host.copy_(maps, non_blocking=True)
            self.done = stream.record_event()
        maps.record_stream(stream)  # the allocator must not reuse the memory before the copy has read it

    def wait(self) -> NDArray[np.float16]:
        if self.done is not None:
            self.done.synchronize()
        return self.host.numpy()


def attend(
    q: Tensor, k: Tensor, v: Tensor, out: Tensor, grid: tuple[int, int], time: Tensor, cls: Tensor,
    token_map: Tensor | None = None, rows: int = 1,
) -> None:  # fmt: skip
    """Softmax attention by blocks of query rows, pooled to time on the way (reference study; arXiv 2407.07311).

    Parameters
    ----------
    q, k, v
        (..., 1 + N, d), CLS first; q already scaled.
    out
        (..., 1 + N, d): receives softmax(q kᵀ) v.
    grid
        Token rows gh and columns gw, N = gh * gw.
    time
        (..., gw, gw): receives the mean over both value axes, CLS dropped.
    cls
        (..., N): receives the weight each token gives to CLS.
    token_map
        (..., N, N) float16: receives the weights themselves, CLS dropped.
    rows
        Grid rows of queries in one block.
    """
    gh, gw = grid
    keys = k.transpose(-2, -1)  # (..., d, 1 + N)
    time.zero_()
    out[..., :1, :] = (q[..., :1, :] @ keys).softmax(dim=-1) @ v  # CLS looks too, but stands at no time
    # Buffers outlive the loop: fresh ones would be returned to the system and faulted in again for every block.
    shape = (*q.shape[:-2], min(rows, gh) * gw, k.shape[-2])
    scores_buffer = q.new_empty(shape)
    p_buffer = scores_buffer if q.dtype == torch.float32 else q.new_empty(shape, dtype=torch.float32)
    for first in range(0, gh, rows):
        block = slice(first * gw, min(first + rows, gh) * gw)  # tokens without CLS
        queries = slice(block.start + 1, block.stop + 1)
        n = block.stop - block.start
        scores, p = scores_buffer[..., :n, :], p_buffer[..., :n, :]  # (..., n, 1 + N)
        torch.matmul(q[..., queries, :], keys, out=scores)
        torch.softmax(scores, dim=-1, dtype=torch.float32, out=p)
        out[..., queries, :] = p.to(v.dtype) @ v
        cls[..., block] = p[..., 0]
        by_patch = p[..., 1:].unflatten(-1, (gh, gw)).unflatten(-3, (-1, gw))  # (..., rows, gw, gh, gw)
        time += by_patch.sum(dim=(-4, -2))
        if token_map is not None:
            token_map[..., block, :] = p[..., 1:]
    time /= gh * gh
