"""Attention pooled to time by the device's fused kernels, which never store the attention weights.

A fused kernel returns softmax(q kᵀ) v for any values. With an indicator of each key's patch column appended to the
values, one call returns the head's output and, for every query token, its attention to each column and to CLS. Only a
sum over query rows remains. The result is exact and uses plain torch, so it is tested on the CPU, where streaming
through the cache is quicker.

Whether a kernel takes values wider than keys depends on device and dtype. "wide" needs a kernel that does; "padded"
pads queries and keys with zeros to the same width. Both are tried once, and the quicker one is used.
"""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable, Mapping
from functools import lru_cache, partial
from typing import Any

import torch
from torch import Tensor
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.nn.functional import pad, scaled_dot_product_attention

Pooled = tuple[Tensor, Tensor, Tensor]  # output (B, heads, 1 + N, d), time (B, heads, gw, gw), CLS (B, heads, N)
Grid = tuple[int, int]

# Only fused kernels: the plain one would store all attention weights.
FUSED = [SDPBackend.FLASH_ATTENTION, SDPBackend.EFFICIENT_ATTENTION, SDPBackend.CUDNN_ATTENTION]
WIDTH = 8  # fused kernels take multiples of this many channels
TRIALS = 3


def pooled_attention(q: Tensor, k: Tensor, v: Tensor, grid: Grid, padded: bool = False) -> Pooled:
    """Attention of every head, with its weights pooled over both value axes (reference study) and CLS separate.

    Parameters
    ----------
    q, k, v
        (B, heads, 1 + N, d), CLS first, q not scaled.
    grid
        Token rows gh and columns gw, N = gh * gw.
    padded
        Pad queries and keys to the width of the values.

    Returns
    -------
    The heads' output in the dtype of v; time attention and attention to CLS in float32.
    """
    gh, gw = grid
    size, columns = v.shape[-1], 1 + gw
    wide = size + columns
    wide += -wide % WIDTH
    indicator = column_indicator(grid, wide - size, v.dtype, v.device)
    values = torch.cat((v, indicator.expand(*v.shape[:2], -1, -1)), dim=-1)  # (B, heads, 1 + N, wide)
    if padded:
        q, k = (pad(each, (0, wide - size)) for each in (q, k))
    out = scaled_dot_product_attention(q, k, values, scale=size**-0.5)
    by_column = out[:, :, 1:, size : size + columns].float()  # (B, heads, N, 1 + gw)
    pooled = by_column[..., 1:].unflatten(-2, (gh, gw)).sum(dim=-3) / gh**2
    return out[..., :size], pooled, by_column[..., 0]


@lru_cache(maxsize=8)
def column_indicator(grid: Grid, width: int, dtype: torch.dtype, device: torch.device) -> Tensor:
    """(1 + N, width): 1 where a key is CLS (channel 0) or lies in a patch column (channel 1 + column), else 0.

    It is cached: copying it to a device in every layer would wait for the layers before each time.
    """
    gh, gw = grid
    channel = torch.cat((torch.zeros(1, dtype=torch.long), 1 + torch.arange(gw).repeat(gh)))
    return torch.nn.functional.one_hot(channel, width).to(device, dtype)


def _fused_alone(padded: bool, q: Tensor, k: Tensor, v: Tensor, grid: Grid) -> Pooled:
    with sdpa_kernel(FUSED):
        return pooled_attention(q, k, v, grid, padded)


WAYS: Mapping[str, Callable[..., Pooled]] = {
    "wide": partial(_fused_alone, False), "padded": partial(_fused_alone, True),
}  # fmt: skip
_quickest: dict[Any, str | None] = {}


def quickest_way(q: Tensor, k: Tensor, v: Tensor, grid: Grid, others: Mapping[str, Callable[[], object]]) -> str:
    """Name of the quickest of `WAYS` and `others` for these tensors, measured once per shape, dtype and device.

    A way without a kernel on this device is skipped.
    """
    key = (str(q.device), q.dtype, tuple(q.shape), grid, *others)
    if key not in _quickest:
        tried = {name: partial(way, q, k, v, grid) for name, way in WAYS.items()} | dict(others)
        seconds = {name: took for name, run in tried.items() if (took := _seconds(run, q.device)) is not None}
        _quickest[key] = min(seconds, key=lambda name: seconds[name])
    chosen = _quickest[key]
    assert chosen is not None
    return chosen


def _seconds(run: Callable[[], object], device: torch.device) -> float | None:
    """Shortest of a few run times on the device, in seconds; None where the device has no kernel for it."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch warns about every kernel that does not fit
        return _least(run, device)


def _least(run: Callable[[], object], device: torch.device) -> float | None:
    took = []
    for _ in range(1 + TRIALS):
        try:
            _wait_for(device)
            began = time.perf_counter()
            run()
            _wait_for(device)
        except torch.OutOfMemoryError:
            raise
        except RuntimeError:  # torch: "No available kernel"
            return None
        took.append(time.perf_counter() - began)
    return min(took[1:])


def _wait_for(device: torch.device) -> None:
    if device.type != "cpu":
        getattr(torch, device.type).synchronize(device)
