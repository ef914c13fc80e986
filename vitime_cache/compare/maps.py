"""Compares the attention maps of every head in two runs: how much attention differs, and where.

The two runs are two signals in one network, or one signal in two networks. Maps are compared as shares of a query's
attention without CLS, in multiples of even attention: 1 everywhere if all patches count equally. Networks with
different numbers of tokens per column can therefore be compared too.
"""

from __future__ import annotations

import numpy as np
import xarray as xr
from numpy.typing import ArrayLike

from vitime_cache.arrays import Array
from vitime_cache.attention import schema
from vitime_cache.errors import VitimeError
from vitime_cache.shown import counted

MOVED, FIRST, SECOND = "moved", "first", "second"


class CompareError(VitimeError):
    """Two things that cannot be compared, and why."""


def in_multiples(time_attention: ArrayLike) -> Array:
    """Time attention (..., query, key) in multiples of even attention without CLS: the mean of each row is 1."""
    attention = np.asarray(time_attention, dtype=np.float64)
    level = attention.mean(axis=-1, keepdims=True)
    multiples: Array = attention / np.where(level > 0, level, 1.0)
    return multiples


def moved_share(first: ArrayLike, second: ArrayLike) -> Array:
    """Share of attention on different patches, mean over queries: 0 for equal maps, 1 for no patch in common.

    This is the total variation distance between the rows of two maps (..., query, key), as distributions over keys.
    """
    return _apart(in_multiples(first), in_multiples(second))


def _apart(first: Array, second: Array) -> Array:
    share: Array = np.abs(first - second).mean(axis=-1).mean(axis=-1) / 2
    return share


def compare_maps(first: xr.Dataset, second: xr.Dataset) -> xr.Dataset:
    """Compare every head of two Datasets of one signal each.

    Returns
    -------
    xarray.Dataset
        `first`, `second`: maps in multiples of even attention without CLS, (layer, head, query_patch, key_patch);
        `moved`: share of attention that lies elsewhere, (layer, head).

    Raises
    ------
    CompareError
        If heads of one have no counterpart in the other, or maps have different axes; see `why_not`.
    """
    if reason := why_not(first, second):
        raise CompareError(reason)
    dims = (schema.LAYER, schema.HEAD, schema.QUERY_PATCH, schema.KEY_PATCH)
    a, b = (in_multiples(ds[schema.TIME_ATTENTION].transpose(*dims).values) for ds in (first, second))
    words = "in multiples of even attention, without CLS"
    return xr.Dataset(
        {
            FIRST: (dims, a, {"long_name": "attention of the first", "units": words}),
            SECOND: (dims, b, {"long_name": "attention of the second", "units": words}),
            MOVED: (dims[:2], _apart(a, b), {"long_name": "share of attention elsewhere", "units": "0 … 1"}),
        },
        coords={name: first[name] for name in dims},
    )


def why_not(first: xr.Dataset, second: xr.Dataset) -> str:
    """Why the heads of two Datasets cannot be compared, in one line; empty if they can."""
    return _other_heads(first, second) or other_axes(first, second)


def _other_heads(first: xr.Dataset, second: xr.Dataset) -> str:
    a, b = (([str(name) for name in ds[schema.LAYER].values], ds.sizes[schema.HEAD]) for ds in (first, second))
    if a == b:
        return ""
    shapes = [
        f"{ds.attrs['weights']} has {counted(len(layers), 'layer')} of {counted(heads, 'head')}"
        for ds, (layers, heads) in ((first, a), (second, b))
    ]
    return f"{', '.join(shapes)}: heads of one network have no counterparts in the other"


def other_axes(first: xr.Dataset, second: xr.Dataset) -> str:
    """Why the maps of two Datasets have different axes, in one line; empty if they have the same."""
    columns = [ds.sizes[schema.QUERY_PATCH] for ds in (first, second)]
    if columns[0] != columns[1]:
        return f"one network cuts time into {columns[0]} patches, the other into {columns[1]}: maps do not fit"
    for name, what in ((schema.N_HISTORY, "samples of history"), (schema.SAMPLES_PER_PATCH, "samples a patch")):
        a, b = (float(ds[name]) for ds in (first, second))
        if a != b:
            return (
                f"{schema.name_of(first)} has {a:g} {what}, {schema.name_of(second)} {b:g}: their maps do not fit on "
                "one another; compare signals of one length and horizon"
            )
    return ""
