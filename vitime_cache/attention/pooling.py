"""Attention between tokens pooled to attention between patch columns, as the reference study does.

A token is one patch of the image; token t lies at (row, column) = divmod(t, columns), row 0 at the bottom of the
value range. Plain arrays in, plain arrays out; leading dimensions (layer, head, …) are carried along.
"""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike

from vitime_cache.arrays import Array
from vitime_cache.checks import numbers
from vitime_cache.errors import VitimeError

Grid = tuple[int, int]  # token rows (value axis), token columns (time axis)


class PoolingError(VitimeError):
    """Input that is not attention, or whose shape does not fit the token grid."""


def tokens_to_time(attention: ArrayLike, grid: Grid, drop_cls: Literal["auto"] | bool = "auto") -> Array:
    """Mean of token attention over both value axes.

    Parameters
    ----------
    attention
        Token attention (..., S, S), query by key, with CLS first if present: an array, or a tensor on any device.
        16-bit numbers are summed in float32.
    grid
        Token rows and columns.
    drop_cls
        "auto" drops CLS when S is tokens + 1; True requires S with CLS, False requires S without it.

    Returns
    -------
    Time attention (..., columns, columns), query by key. Rows sum to (1 - attention to CLS) / token rows.

    Raises
    ------
    PoolingError
        Naming S and the sizes expected.
    """
    tokens = _without_cls(attention, grid, drop_cls)
    rows, columns = grid
    regrouped = tokens.reshape(*tokens.shape[:-2], rows, columns, rows, columns)
    pooled: Array = regrouped.mean(axis=(-4, -2), dtype=_accumulator(tokens.dtype))  # (..., columns, columns)
    return pooled


def pool_queries_by_ink(
    attention: ArrayLike, ink: ArrayLike, grid: Grid, drop_cls: Literal["auto"] | bool = "auto"
) -> Array:
    """Time attention in which the queries of a column are weighted by their ink.

    Most tokens of a column are blank, so the plain mean of `tokens_to_time` mostly shows where blank tokens look.
    Keys are still averaged evenly, so both poolings have the same scale.

    Parameters
    ----------
    attention
        As in `tokens_to_time`.
    ink
        Ink of each token, (rows, columns) or (tokens,), not negative: see `token_ink`. A column without ink, as in the
        horizon of the model's input, falls back to the plain mean.
    """
    tokens = _without_cls(attention, grid, drop_cls)
    rows, columns = grid
    weight = column_weights(ink, grid).astype(_accumulator(tokens.dtype))  # (rows, columns)
    regrouped = tokens.reshape(*tokens.shape[:-2], rows, columns, rows, columns)
    keys = regrouped.mean(axis=-2, dtype=weight.dtype)  # (..., query row, query column, key column)
    pooled: Array = np.einsum("...rqk,rq->...qk", keys, weight)
    return pooled


def column_weights(ink: ArrayLike, grid: Grid) -> Array:
    """Ink as weights that sum to 1 down each token column, (rows, columns); 1 / rows where a column is blank."""
    amount = numbers(ink, "ink", error=PoolingError).astype(np.float64)
    if amount.size != grid[0] * grid[1]:
        raise PoolingError(f"ink has shape {amount.shape}, expected one number per token of the {grid} grid")
    if not (np.isfinite(amount).all() and (amount >= 0).all()):
        raise PoolingError("ink must be finite and not negative")
    amount = amount.reshape(grid)
    total = amount.sum(axis=0)
    return np.where(total > 0, amount / np.where(total > 0, total, 1.0), 1.0 / grid[0])


def token_ink(image: ArrayLike, grid: Grid) -> Array:
    """Mean ink of each token, (rows, columns), for an image (W, h) from `SeriesEncoding.image`."""
    pixels = numbers(image, "an image", error=PoolingError)
    rows, columns = grid
    if pixels.ndim != 2 or pixels.shape[0] % columns or pixels.shape[1] % rows:
        raise PoolingError(f"an image of shape {pixels.shape} does not divide into a grid of {columns} × {rows} tokens")
    patches = pixels.reshape(columns, pixels.shape[0] // columns, rows, pixels.shape[1] // rows)
    ink: Array = patches.mean(axis=(1, 3), dtype=_accumulator(pixels.dtype)).T
    return ink


def tokens_of_column(column: int, grid: Grid) -> slice:
    """The tokens of one patch column as a slice, so that only those rows of a stored token map are read."""
    if not 0 <= column < grid[1]:
        raise PoolingError(f"no patch column {column}; there are 0 … {grid[1] - 1}")
    return slice(column, None, grid[1])


def key_image(query_rows: ArrayLike, grid: Grid, weights: ArrayLike | None = None) -> Array:
    """Where the given queries look, on the image of the series.

    Parameters
    ----------
    query_rows
        Rows of token attention without CLS, (queries, tokens), or (tokens,) for a single query.
    weights
        Weight of each query, or None for the plain mean.

    Returns
    -------
    Attention (rows, columns), row 0 at the bottom of the value range; its sum is 1 - attention to CLS.
    """
    attention = np.atleast_2d(numbers(query_rows, "query rows", error=PoolingError))
    if attention.shape[-1] != grid[0] * grid[1]:
        raise PoolingError(f"a query row has {attention.shape[-1]} keys, expected {grid[0] * grid[1]} for grid {grid}")
    accumulator = _accumulator(attention.dtype)
    weight = (
        np.ones(len(attention))
        if weights is None
        else numbers(weights, "weights", error=PoolingError).ravel().astype(np.float64)
    )
    if weight.size != len(attention) or not weight.sum() > 0:
        raise PoolingError(f"{weight.size} weights with sum {weight.sum()} for {len(attention)} queries")
    share = (weight / weight.sum()).astype(accumulator)
    image: Array = (share @ attention.astype(accumulator, copy=False)).reshape(grid)
    return image


def _without_cls(attention: ArrayLike, grid: Grid, drop_cls: Literal["auto"] | bool) -> Array:
    tokens = numbers(attention, "attention", error=PoolingError)
    if drop_cls != "auto" if isinstance(drop_cls, str) else not isinstance(drop_cls, bool | np.bool_):
        raise PoolingError(f"drop_cls must be 'auto', True or False, got {drop_cls!r:.60}")
    plain, with_cls = grid[0] * grid[1], grid[0] * grid[1] + 1
    expected = {"auto": (plain, with_cls), True: (with_cls,), False: (plain,)}[drop_cls]
    if tokens.ndim < 2 or tokens.shape[-1] != tokens.shape[-2] or tokens.shape[-1] not in expected:
        raise PoolingError(
            f"attention of shape {tokens.shape} has S = {tokens.shape[-1] if tokens.ndim else 0} tokens a side; "
            f"a grid of {grid[0]} × {grid[1]} has S = {plain} without CLS or S = {with_cls} with it"
            + ("" if drop_cls == "auto" else f", and drop_cls={drop_cls} asks for {expected[0]}")
        )
    return tokens[..., 1:, 1:] if tokens.shape[-1] == with_cls else tokens


def _accumulator(dtype: np.dtype[Any]) -> np.dtype[Any]:
    """The type to sum in. float16 has three digits, too few to sum thousands of small weights."""
    return np.promote_types(dtype, np.float32)
