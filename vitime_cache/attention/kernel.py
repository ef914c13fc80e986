"""Attention and its pooled weights by one Triton kernel, for CUDA devices.

A fused kernel (FlashAttention-2, arXiv 2307.08691) reads keys block by block and never holds a row of attention
weights. Here a block of keys is a few whole patch columns. The sum of its weights over key rows is the attention to
those columns, except for the factor of the softmax, which is known after the last block. The kernel stores these sums,
1 + gw numbers for each query instead of 1 + N. In the end it applies the factors and sums over query rows: its queries
are whole patch columns too. So attention is computed once, as in the plain forward pass.

float32 products are computed as three products in TF32, which is as exact and faster than the plain pass.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import e, log2
from typing import Any

import torch
import triton
import triton.language as tl
from torch import Tensor

Pooled = tuple[Tensor, Tensor, Tensor]  # output (B, heads, 1 + N, d), time (B, heads, gw, gw), CLS (B, heads, N)

SMALLEST = 16  # queries, keys and channels of a product, at least


@dataclass(frozen=True)
class Tile:
    """How much of the attention a program holds at once: at most so many queries and keys, in whole columns."""

    queries: int
    keys: int
    warps: int
    stages: int

    def columns(self, rows: int) -> tuple[int, int]:
        """Patch columns of `rows` slots each in a block of queries and in a block of keys."""
        least = max(1, SMALLEST // rows)
        return max(self.queries // rows, least), max(self.keys // rows, least)


# By bytes per number: the quickest on an H200, and what fits into the shared memory of smaller devices.
TILES = {
    2: (Tile(128, 64, 4, 3), Tile(64, 32, 4, 1)),
    4: (Tile(128, 32, 4, 2), Tile(32, 16, 4, 1)),
}
_too_large: set[tuple[Any, ...]] = set()


def pooled_attention(q: Tensor, k: Tensor, v: Tensor, grid: tuple[int, int]) -> Pooled:
    """Attention of every head, with its weights pooled over both value axes (reference study) and CLS separate.

    Parameters
    ----------
    q, k, v
        (B, heads, 1 + N, d), CLS first, q not scaled.
    grid
        Token rows gh and columns gw, N = gh * gw.

    Returns
    -------
    The heads' output in the dtype of v; time attention and attention to CLS in float32.

    Raises
    ------
    triton.OutOfResources
        If the device has too little shared memory for heads of this width.
    """
    q, k, v = (part if part.stride(-1) == 1 else part.contiguous() for part in (q, k, v))
    *others, last = TILES[q.itemsize]
    for tile in others:
        tried = (tile, q.device, q.dtype, q.shape[-1], grid[0])
        if tried not in _too_large:
            try:
                return _run(tile, q, k, v, grid)
            except triton.OutOfResources:
                _too_large.add(tried)
    return _run(last, q, k, v, grid)


def _run(tile: Tile, q: Tensor, k: Tensor, v: Tensor, grid: tuple[int, int]) -> Pooled:
    (batch, heads, tokens, d), (gh, gw) = q.shape, grid
    rows, channels = triton.next_power_of_2(gh), max(SMALLEST, triton.next_power_of_2(d))
    query_columns, key_columns = tile.columns(rows)
    programs, blocks = triton.cdiv(1 + gw, query_columns), triton.cdiv(1 + gw, key_columns)
    out = torch.empty(batch, tokens, heads, d, dtype=v.dtype, device=q.device).transpose(1, 2)
    time = torch.empty(batch, heads, gw, gw, dtype=torch.float32, device=q.device)  # not the caller's default dtype
    cls = time.new_empty(batch, heads, tokens - 1)
    sums = time.new_empty(batch * heads * programs, blocks * key_columns, query_columns * rows)
    largest = time.new_empty(batch * heads * programs, blocks, query_columns * rows)
    strides = [stride for part in (q, k, v, out) for stride in part.stride()[:3]]
    with torch.cuda.device_of(q):  # Triton runs on the current device, wherever the tensors are
        _attend[(batch * heads * programs,)](
            q, k, v, out, time, cls, sums, largest, d**-0.5 * log2(e), d, gh, gw, programs, blocks, heads, *strides,
            ROWS=rows, QUERY_COLUMNS=query_columns, KEY_COLUMNS=key_columns, CHANNELS=channels, ALL_ROWS=rows == gh,
            ALL_CHANNELS=channels == d, num_warps=tile.warps, num_stages=tile.stages,
        )  # fmt: skip
    return out, time, cls


@triton.jit
def _attend(
    q_start, k_start, v_start, out_start, time_start, cls_start, sums_start, largest_start,
    scale, d, gh, gw, programs, blocks, heads,
    q_batch, q_head, q_token, k_batch, k_head, k_token, v_batch, v_head, v_token, out_batch, out_head, out_token,
    ROWS: tl.constexpr, QUERY_COLUMNS: tl.constexpr, KEY_COLUMNS: tl.constexpr, CHANNELS: tl.constexpr,
    ALL_ROWS: tl.constexpr, ALL_CHANNELS: tl.constexpr,
):  # fmt: skip
    """One program: the queries of a few patch columns of one head, and all keys. `scale` includes log2 e."""
    QUERIES: tl.constexpr = QUERY_COLUMNS * ROWS
    program = tl.program_id(0).to(tl.int64)
    which, number = program // programs, program % programs
    sample, head = which // heads, which % heads
    query, channel = tl.arange(0, QUERIES), tl.arange(0, CHANNELS)
    token, there = _token(number * QUERIES + query, gh, gw, ROWS)
    known = there[:, None] & (channel < d)[None, :]
    q_at = sample * q_batch + head * q_head + token[:, None] * q_token + channel[None, :]
    q = tl.load(q_start + q_at, known, 0.0)
    k_start += sample * k_batch + head * k_head
    v_start += sample * v_batch + head * v_head
    sums_start += program * blocks * KEY_COLUMNS * QUERIES
    largest_start += program * blocks * QUERIES

    out = tl.zeros((QUERIES, CHANNELS), tl.float32)
    total = tl.zeros((QUERIES,), tl.float32)
    largest = tl.full((QUERIES,), float("-inf"), tl.float32)
    whole = gw // KEY_COLUMNS * KEY_COLUMNS if ALL_ROWS else 0  # blocks of whole columns alone need no mask
    for first in range(0, whole, KEY_COLUMNS):
        out, total, largest = _add_block(
            q, out, total, largest, first, k_start, v_start, sums_start, largest_start, k_token, v_token, d, gh, gw,
            scale, ROWS, QUERIES, KEY_COLUMNS, CHANNELS, ALL_CHANNELS,
        )  # fmt: skip
    for first in range(whole, 1 + gw, KEY_COLUMNS):
        out, total, largest = _add_block(
            q, out, total, largest, first, k_start, v_start, sums_start, largest_start, k_token, v_token, d, gh, gw,
            scale, ROWS, QUERIES, KEY_COLUMNS, CHANNELS, False,
        )  # fmt: skip
    out_at = sample * out_batch + head * out_head + token[:, None] * out_token + channel[None, :]
    tl.store(out_start + out_at, (out / total[:, None]).to(out_start.dtype.element_ty), known)

    tl.debug_barrier()  # the sums were stored by other threads of this program
    mine = number * QUERY_COLUMNS + tl.arange(0, QUERY_COLUMNS)
    for first in range(0, 1 + gw, KEY_COLUMNS):
        then = tl.load(largest_start + first // KEY_COLUMNS * QUERIES + query)
        column = first + tl.arange(0, KEY_COLUMNS)
        sums = tl.load(sums_start + column[None, :] * QUERIES + query[:, None])
        weight = tl.where(there[:, None], sums * (tl.exp2(then - largest) / total)[:, None], 0.0)
        pooled = tl.sum(tl.reshape(weight, (QUERY_COLUMNS, ROWS, KEY_COLUMNS)), 1) / (gh * gh)
        time_at = which * gw * gw + mine[:, None] * gw + column[None, :]
        tl.store(time_start + time_at, pooled, (mine < gw)[:, None] & (column < gw)[None, :])
    then = tl.load(largest_start + gw // KEY_COLUMNS * QUERIES + query)
    to_cls = tl.load(sums_start + gw * QUERIES + query) * tl.exp2(then - largest) / total
    tl.store(cls_start + which * gh * gw + token - 1, to_cls, there & (token > 0))


@triton.jit
def _add_block(
    q, out, total, largest, first, k_start, v_start, sums_start, largest_start, k_token, v_token, d, gh, gw, scale,
    ROWS: tl.constexpr, QUERIES: tl.constexpr, KEY_COLUMNS: tl.constexpr, CHANNELS: tl.constexpr, FULL: tl.constexpr,
):  # fmt: skip
    """The online softmax over the keys of a few columns, from `first` on; stores their sums.

    The sums are relative to the largest score so far, which is stored with them.
    """
    PRODUCT: tl.constexpr = "tf32x3"  # of float32; 16-bit numbers are multiplied as they are
    channel = tl.arange(0, CHANNELS)
    token, there = _token(first * ROWS + tl.arange(0, KEY_COLUMNS * ROWS), gh, gw, ROWS)
    k_at = token[None, :] * k_token + channel[:, None]
    v_at = token[:, None] * v_token + channel[None, :]
    if FULL:
        k, v = tl.load(k_start + k_at), tl.load(v_start + v_at)
        score = tl.dot(q, k, input_precision=PRODUCT)
    else:
        k = tl.load(k_start + k_at, there[None, :] & (channel < d)[:, None], 0.0)
        v = tl.load(v_start + v_at, there[:, None] & (channel < d)[None, :], 0.0)
        score = tl.where(there[None, :], tl.dot(q, k, input_precision=PRODUCT), float("-inf"))
    now = tl.maximum(largest, tl.max(score, 1) * scale)
    weight = tl.exp2(score * scale - now[:, None])
    by_column = tl.sum(tl.reshape(weight, (QUERIES, KEY_COLUMNS, ROWS)), 2)
    shrink = tl.exp2(largest - now)
    total = total * shrink + tl.sum(by_column, 1)
    out = tl.dot(weight.to(v.dtype), v, out * shrink[:, None], input_precision=PRODUCT)
    query = tl.arange(0, QUERIES)
    tl.store(sums_start + (first + tl.arange(0, KEY_COLUMNS))[None, :] * QUERIES + query[:, None], by_column)
    tl.store(largest_start + first // KEY_COLUMNS * QUERIES + query, now)
    return out, total, now


@triton.jit
def _token(slot, gh, gw, ROWS: tl.constexpr):
    """Token in each slot, and whether there is one. Slots go column by column; CLS is alone in column gw."""
    column, row = slot // ROWS, slot % ROWS
    there = ((row < gh) & (column < gw)) | ((row == 0) & (column == gw))
    return tl.where(column < gw, 1 + row * gw + column, 0), there
