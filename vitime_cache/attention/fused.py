"""Attention pooled to time by the device's own fused kernels, without the weights ever being written down.

A fused kernel returns softmax(q kᵀ) v for whatever values it is given. Put the indicator of each key's patch column
beside the values, and the one call returns the head's output and, for every query token, its attention to each column
and to CLS; what is left is a sum over query rows. It is exact, and plain torch, so it is tested on the CPU, where
streaming through the cache is quicker.

Which kernels take values wider than keys differs by device and dtype: "wide" asks for one that does, "padded" fills
queries and keys up with zeros to the same width. The quicker of the two is found by trying them once.
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

# Of the fused kernels only: the plain one would write all weights down, which is what is to be avoided.
FUSED = [SDPBackend.FLASH_ATTENTION, SDPBackend.EFFICIENT_ATTENTION, SDPBackend.CUDNN_ATTENTION]
WIDTH = 8  # channels that fused kernels take are multiples of this
TRIALS = 3


def pooled_attention(q: Tensor, k: Tensor, v: Tensor, grid: Grid, padded: bool = False) -> Pooled:
    """Attention of every head with its weights pooled over both value axes (reference study), CLS apart.

    Parameters
    ----------
    q, k, v
        (B, heads, 1 + N, d), CLS first, q not scaled.
    grid
        Token rows gh and columns gw, N = gh * gw.
    padded
        Give the kernel queries and keys as wide as the values.

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
    """(1 + N, width): 1 where a key is CLS (channel 0) or stands in a patch column (channel 1 + column), else 0.

    Kept, as to bring it to a device in every layer would each time wait for the layers before.
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
    """The name of the quickest of `WAYS` and of `others` for such tensors, tried once for each shape, dtype and device.

    A way for which the device has no kernel is not taken.
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
    """What a run takes on its device, the least of a few; None where it has no kernel for it."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch explains at length which kernel does not take what
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
