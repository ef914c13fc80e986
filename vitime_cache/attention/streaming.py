"""The forward pass, with every head's attention pooled as it is computed.

On the CPU attention is computed for a block of query rows at a time. While its softmax is still in the cache, it is
applied to the values, pooled to time and, if requested, cast into the head's token map. The whole attention never
exists at once. On a CUDA device one kernel computes and pools it (see `kernel`), except in layers whose token maps are
requested or whose attention is masked. The forecast equals that of the plain forward pass.
"""

from __future__ import annotations

import threading
import warnings
from collections.abc import Callable, Sequence
from importlib.util import find_spec
from itertools import product
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from vitime_cache.attention.cores import on_cores
from vitime_cache.attention.forward import Edit, Mask, Replace, run_layers, sort_edits, split_heads
from vitime_cache.attention.host import HostCopy
from vitime_cache.errors import Note
from vitime_cache.model.checkpoint import DTYPES, dtype_name
from vitime_cache.model.config import ViTimeConfig
from vitime_cache.model.network import ViTime

TokenSink = Callable[[int, str, int, NDArray[np.float16]], None]
Progress = Callable[[float, str], object]

Way = Literal["blocks", "kernel"]
_Shares = tuple[Tensor | None, Tensor | None]

DEVICE_BLOCK_BYTES = 2**29  # scores of one block of query rows on a device
SMALL_BYTES = 2**22  # scores of a head up to which the CPU is quicker with all heads together than one head per core
MOST_ROWS = 64  # of the grid, for the kernel: it holds whole columns
TENSOR_CORES = (8, 0)  # least compute capability of a CUDA device with TF32 products
_without_kernel: set[Any] = set()  # models for which triton could not make it


class Streaming:
    """One pass of a model that collects the pooled maps of every head.

    Parameters
    ----------
    tokens
        Layers whose token maps are passed to `on_tokens`.
    on_tokens
        Called as (index in the batch, layer, head, map (N, N) float16) while the model runs, from several threads at
        once; the map is only valid during the call.
    edits
        Changes to heads; the maps are those of the changed network.
    progress
        Called as (share of the layers done, layer) when the attention of a layer has been read.
    block_bytes
        Most bytes for the scores of one block of query rows of all heads; a block is at least one grid row. 0 runs one
        head per CPU core, where a block of one grid row stays in the core's cache. None takes the quickest.
    way
        How layers without token maps and masks are read; None takes the kernel where it runs, else blocks. Where Triton
        turns out to be unable to make it, a `Note` says so once.

    Attributes
    ----------
    time
        (layers, B, heads, gw, gw) float32, mean over both value axes.
    cls
        (layers, B, heads, N) float32, attention of each token to CLS.
    """

    def __init__(
        self,
        model: ViTime,
        batch: int,
        tokens: Sequence[str] = (),
        on_tokens: TokenSink | None = None,
        edits: Sequence[Edit] = (),
        progress: Progress | None = None,
        block_bytes: int | None = None,
        way: Way | None = None,
    ) -> None:
        config = model.config
        self.way, self.must = way or ("kernel" if _has_kernel(model) else "blocks"), way is not None
        self.progress = progress
        self.model, self.batch, self.on_tokens = model, batch, on_tokens
        self.tokens = tokens if on_tokens else ()
        self.edits = sort_edits(model, edits, batch)
        self.block_bytes = _quickest(model) if block_bytes is None else block_bytes
        columns, layers = config.grid[1], len(config.layers)
        shape = (layers, batch, config.heads)
        # Not torch's default dtype, which the caller may have changed.
        self.time = torch.zeros(*shape, columns, columns, dtype=torch.float32, device=model.device)
        self.cls = self.time.new_zeros(*shape, config.tokens)
        self.buffers = threading.local()
        self.copying: tuple[str, HostCopy] | None = None

    @torch.inference_mode()
    def run(self, images: Tensor) -> Tensor:
        """Probability images (B, W, h) of images (B, 1, h, W)."""
        scores = run_layers(self.model, self.model.embed(images), self._outputs)
        self._hand_out_copied()
        return self.model.probability(scores)

    def _outputs(self, layer: str, attention: Any, x: Tensor) -> Tensor:
        q, k, v = split_heads(attention, x)
        shares, out = self._shares(layer), None
        if self.way == "kernel" and layer not in self.tokens and shares == (None, None):
            out = self._by_kernel(layer, q, k, v)
        if out is None:
            out = self._by_blocks(layer, q, k, v, shares)
        for edit in self.edits.get(layer, ()):
            if isinstance(edit, Replace):
                out[:, edit.head] = edit.output
        if self.progress is not None:
            layers = self.model.config.layers
            self.progress((layers.index(layer) + 1) / len(layers), layer)
        return out

    def _by_kernel(self, layer: str, q: Tensor, k: Tensor, v: Tensor) -> Tensor | None:
        """The outputs of a layer's heads; None, from then on for every such model, if the kernel cannot be made here.

        Triton builds it on first use, with the system's C compiler and Python's headers, in the memory of the device's
        processors. Its errors have no common class.
        """
        time, cls = self._maps_of(layer)
        try:
            from vitime_cache.attention.kernel import pooled_attention  # triton comes with torch for CUDA alone

            out, time[:], cls[:] = pooled_attention(q, k, v, self.model.config.grid)
        except torch.OutOfMemoryError:
            raise  # the caller goes on with fewer signals
        except Exception as error:
            if self.must:
                raise
            self.way = "blocks"
            _without_kernel.add(_alike(self.model))
            told = next(iter(str(error).splitlines()), "")
            warnings.warn(
                f"Triton cannot build the kernel that reads attention here ({type(error).__name__}: {told:.200}); "
                "attention is read without it, which is slower",
                Note,
                stacklevel=2,
            )
            return None
        return out

    def _by_blocks(self, layer: str, q: Tensor, k: Tensor, v: Tensor, shares: _Shares) -> Tensor:
        q, k, v = (part.contiguous() for part in (q * q.shape[-1] ** -0.5, k, v))
        out = torch.empty_like(q)  # (B, heads, 1 + N, d)
        stream = self._stream_on_cores if self.block_bytes == 0 else self._stream_at_once
        stream(layer, q, k, v, out, shares)
        return out

    def _stream_on_cores(self, layer: str, q: Tensor, k: Tensor, v: Tensor, out: Tensor, shares: _Shares) -> None:
        """Run one head per thread: its scores stay in that core's cache, and no thread waits for another."""
        time, cls = self._maps_of(layer)

        def one_head(head: tuple[int, int]) -> None:
            with torch.inference_mode():  # set per thread
                token_map = self._token_buffer() if layer in self.tokens else None
                before, after = (share if share is None else share[head] for share in shares)
                attend(
                    q[head], k[head], v[head], out[head], self.model.config.grid, time[head], cls[head], token_map,
                    before=before, after=after,
                )  # fmt: skip
                if token_map is not None and self.on_tokens is not None:
                    self.on_tokens(head[0], layer, head[1], token_map.numpy())

        on_cores(one_head, product(range(q.shape[0]), range(q.shape[1])))

    def _stream_at_once(self, layer: str, q: Tensor, k: Tensor, v: Tensor, out: Tensor, shares: _Shares) -> None:
        """Run all heads at once, in blocks of bounded size; token maps are copied to the host during the next layer."""
        config = self.model.config
        row_bytes = 4 * q.shape[0] * q.shape[1] * config.grid[1] * (config.tokens + 1)
        token_maps = None
        if layer in self.tokens:
            token_maps = torch.empty(*q.shape[:2], config.tokens, config.tokens, dtype=torch.float16, device=q.device)
        rows = max(1, self.block_bytes // row_bytes)
        before, after = shares
        attend(q, k, v, out, config.grid, *self._maps_of(layer), token_maps, rows, before=before, after=after)
        if token_maps is not None:
            self._hand_out_copied()
            self.copying = layer, HostCopy(token_maps)

    def _hand_out_copied(self) -> None:
        """Wait for the token maps being copied and pass them to `on_tokens`."""
        if self.copying is None or self.on_tokens is None:
            return
        (layer, copy), sink = self.copying, self.on_tokens
        (maps,) = copy.wait()
        self.copying = None
        on_cores(
            lambda head: sink(head[0], layer, head[1], maps[head]), product(range(maps.shape[0]), range(maps.shape[1]))
        )

    def _shares(self, layer: str) -> _Shares:
        """What the masks of a layer add to its scores and multiply its weights by, each (B, heads, N, gw) or None."""
        before = after = None
        config = self.model.config
        shape = (self.batch, config.heads, config.tokens, config.grid[1])
        for edit in self.edits.get(layer, ()):
            if not isinstance(edit, Mask):
                continue
            if edit.renormalise:
                before = self.time.new_zeros(shape) if before is None else before
                before[:, edit.head] = edit.keep.to(before).log()
            else:
                after = self.time.new_ones(shape) if after is None else after
                after[:, edit.head] = edit.keep.to(after)
        return before, after

    def _maps_of(self, layer: str) -> tuple[Tensor, Tensor]:
        index = self.model.config.layers.index(layer)
        return self.time[index], self.cls[index]

    def _token_buffer(self) -> Tensor:
        """One (N, N) float16 map per thread, reused for each of its heads."""
        if not hasattr(self.buffers, "token_map"):
            n = self.model.config.tokens
            self.buffers.token_map = torch.empty(n, n, dtype=torch.float16)
        token_map: Tensor = self.buffers.token_map
        return token_map


def _has_kernel(model: ViTime) -> bool:
    device = model.device
    return (
        device.type == "cuda"
        and torch.version.hip is None
        and torch.cuda.get_device_capability(device) >= TENSOR_CORES
        and model.config.grid[0] <= MOST_ROWS
        and dtype_name(model) in DTYPES
        and find_spec("triton") is not None
        and _alike(model) not in _without_kernel
    )


def _alike(model: ViTime) -> tuple[torch.device, torch.dtype, ViTimeConfig]:
    """What decides whether the kernel can be made."""
    return model.device, model.dtype, model.config


def _quickest(model: ViTime) -> int:
    """The quickest `block_bytes` on the model's device."""
    if model.device.type != "cpu":
        return DEVICE_BLOCK_BYTES
    # Small heads always take one grid row, so that a signal's sums are the same to the bit in every batch.
    return 1 if 4 * model.config.tokens**2 <= SMALL_BYTES else 0


def attend(
    q: Tensor, k: Tensor, v: Tensor, out: Tensor, grid: tuple[int, int], time: Tensor, cls: Tensor,
    token_map: Tensor | None = None, rows: int = 1, before: Tensor | None = None, after: Tensor | None = None,
) -> None:  # fmt: skip
    """Softmax attention in blocks of query rows, pooled to time as it is computed (reference study; arXiv 2407.07311).

    Parameters
    ----------
    q, k, v
        (..., 1 + N, d), CLS first; q is already scaled.
    out
        (..., 1 + N, d): receives softmax(q kᵀ) v.
    grid
        Token rows gh and columns gw, N = gh * gw.
    time
        (..., gw, gw): receives the mean over both value axes, CLS dropped.
    cls
        (..., N): receives the weight of each token on CLS.
    token_map
        (..., N, N) float16: receives the weights themselves, CLS dropped.
    rows
        Grid rows of queries in one block.
    before, after
        (..., N, gw) by query token and key column: added to the scores, and multiplied with the weights. Attention to
        CLS and from CLS is unchanged.
    """
    gh, gw = grid
    keys = k.transpose(-2, -1)  # (..., d, 1 + N)
    time.zero_()
    out[..., :1, :] = (q[..., :1, :] @ keys).softmax(dim=-1) @ v  # CLS attends too, but has no place in time
    # Buffers are reused: new ones would be returned to the system and paged in again for every block.
    shape = (*q.shape[:-2], min(rows, gh) * gw, k.shape[-2])
    scores_buffer = q.new_empty(shape)
    p_buffer = scores_buffer if q.dtype == torch.float32 else q.new_empty(shape, dtype=torch.float32)
    for first in range(0, gh, rows):
        block = slice(first * gw, min(first + rows, gh) * gw)  # tokens without CLS
        queries = slice(block.start + 1, block.stop + 1)
        n = block.stop - block.start
        scores, p = scores_buffer[..., :n, :], p_buffer[..., :n, :]  # (..., n, 1 + N)
        torch.matmul(q[..., queries, :], keys, out=scores)
        if before is not None:
            scores[..., 1:].unflatten(-1, (gh, gw)).add_(before[..., block, None, :])
        torch.softmax(scores, dim=-1, dtype=torch.float32, out=p)
        if after is not None:
            p[..., 1:].unflatten(-1, (gh, gw)).mul_(after[..., block, None, :])
        out[..., queries, :] = p.to(v.dtype) @ v
        cls[..., block] = p[..., 0]
        by_patch = p[..., 1:].unflatten(-1, (gh, gw)).unflatten(-3, (-1, gw))  # (..., rows, gw, gh, gw)
        time += by_patch.sum(dim=(-4, -2))
        if token_map is not None:
            token_map[..., block, :] = p[..., 1:]
    time /= gh * gh
