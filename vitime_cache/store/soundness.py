"""Checks the numbers of a stored signal against each other and against the model that made them.

Rows must sum to what CLS leaves, lag curves must be the means of the diagonals, and a new capture must give the same
numbers.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from vitime_cache.attention.lags import lag_means
from vitime_cache.attention.schema import LAYER, TOKEN_ATTENTION
from vitime_cache.store.manifest import Manifest

if TYPE_CHECKING:
    from vitime_cache.model.network import ViTime
    from vitime_cache.series.sources import Signal
    from vitime_cache.store.writing import Capture

# For a sum of N float16 weights: each is off by at most 2^-11 of itself, and weights below 2^-25 are lost.
HALF_PRECISION = 2e-3
SINGLE_PRECISION = 1e-5
# Share of the largest value: another machine adds in another order.
RECOMPUTED = {"float32": 1e-3, "float16": 1e-2, "bfloat16": 5e-2}


@dataclass(frozen=True)
class Problem:
    """One fault: a sentence, and the place of the signal or the group of the verdict that has it.

    With neither, the whole store has the fault.
    """

    place: int | None
    what: str
    verdict: str | None = None


def check_numbers(ds: xr.Dataset, manifest: Manifest, place: int) -> Iterator[Problem]:
    """Check the numbers of one signal against each other, head by head."""
    rows, columns = manifest.identity.config.grid
    for layer in ds[LAYER].values:
        who = f"signal {manifest.entries[place].name!r}, layer {layer}"
        one = ds.sel(layer=layer)
        try:
            cls, time = one.cls_attention.values.astype(np.float64), one.time_attention.values.astype(np.float64)
            stored_lags = one.lag_attention.values
        except (ValueError, RuntimeError) as error:  # a wrong checksum or wrong compressed data
            yield Problem(place, f"{who}: time, lag or cls_attention cannot be decoded: {error}")
            continue
        mass = (1 - cls.reshape(-1, rows, columns).mean(axis=1)) / rows  # (head, query_patch)
        lags = lag_means(time)[1]
        for head in range(len(time)):
            if not np.allclose(time[head].sum(axis=-1), mass[head], rtol=SINGLE_PRECISION, atol=SINGLE_PRECISION):
                yield Problem(
                    place, f"{who}, head {head}: rows of time_attention do not sum to what cls_attention leaves"
                )
            if not np.allclose(lags[head], stored_lags[head], rtol=1e-4, atol=1e-9):
                yield Problem(place, f"{who}, head {head}: lag_attention is not the mean of time_attention's diagonals")
            if layer in manifest.entries[place].tokens:
                yield from _check_map(one.token_attention.isel(head=head), cls[head], place, f"{who}, head {head}")


def _check_map(token_map: xr.DataArray, cls: NDArray[np.float64], place: int, who: str) -> Iterator[Problem]:
    try:
        sums = token_map.values.sum(axis=-1, dtype=np.float32)
    except (ValueError, RuntimeError) as error:
        yield Problem(place, f"{who}: token_attention cannot be decoded: {error}")
        return
    if not np.allclose(sums, 1 - cls, rtol=0, atol=HALF_PRECISION):
        yield Problem(place, f"{who}: rows of token_attention do not sum to what cls_attention leaves")


def recompute(
    ds: xr.Dataset, manifest: Manifest, place: int, model: ViTime, signal: Signal, capture: Capture | None
) -> Iterator[Problem]:
    """Check the attention of one signal against a new capture."""
    if capture is None:
        from vitime_cache.attention.capture import capture_batch

        capture = capture_batch
    tolerance = RECOMPUTED[manifest.identity.dtype]
    worst: list[Problem] = []

    def compare(name: str, layer: str, head: int, fresh: NDArray[Any]) -> None:
        stored = ds[name].sel(layer=layer, head=head).values
        off = float(np.abs(stored.astype(np.float32) - fresh).max() / np.abs(fresh).max())
        if not off <= tolerance:
            who = f"signal {signal.name!r}, layer {layer}, head {head}"
            worst.append(Problem(place, f"{who}: {name} is off by {off:.2g} of its maximum from a new capture"))

    tokens = manifest.entries[place].tokens
    (arrays,) = capture(
        model, [signal], tokens, lambda _, layer, head, fresh: compare(TOKEN_ATTENTION, layer, head, fresh)
    )
    for number, layer in enumerate(manifest.identity.config.layers):
        for head in range(manifest.identity.config.heads):
            for name in ("time_attention", "lag_attention", "cls_attention"):
                compare(name, layer, head, arrays[name][number, head])
    yield from worst
