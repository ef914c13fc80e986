"""One head of one signal, the input of most charts."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from typing import Literal

import numpy as np
import xarray as xr

from vitime_cache.arrays import Array
from vitime_cache.attention import lags, pooling, schema
from vitime_cache.charts.clock import Clock
from vitime_cache.charts.style import ChartError
from vitime_cache.charts.units import AttentionUnit, Unit, attention_unit
from vitime_cache.model.encoding import SeriesEncoding


@dataclass(frozen=True, eq=False)
class HeadView:
    """One head of one signal.

    Parameters
    ----------
    ds
        A Dataset of `schema`, one signal selected.
    layer, head
        The head.
    queries
        "even": all tokens of a column count equally, as stored; "ink": weighted by their ink, from token attention.
    shown_in
        "even": charts and their tables show multiples of even attention; "weight": softmax weights, as stored.

    Raises
    ------
    ChartError
        For a layer or head that does not exist, naming those that do, and for "ink" if the layer's token attention was
        not stored.
    """

    ds: xr.Dataset
    layer: str
    head: int
    queries: Literal["even", "ink"] = "even"
    shown_in: Unit = "even"
    _curves: dict[lags.Region, lags.LagCurve] = field(default_factory=dict, init=False, repr=False)

    def __post_init__(self) -> None:
        if schema.SIGNAL in self.ds.dims:
            raise ChartError("a chart shows one signal: select one with ds.sel(signal=...) first")
        layers, heads = list(self.ds[schema.LAYER].values), self.ds.sizes[schema.HEAD]
        if not isinstance(self.layer, str) or self.layer not in layers:
            raise ChartError(f"no layer {self.layer!r:.60}; there are {', '.join(layers)}")
        if not isinstance(self.head, int | np.integer) or self.head not in range(heads) or isinstance(self.head, bool):
            raise ChartError(f"no head {self.head!r:.60}; there are 0 … {heads - 1}")

    @property
    def signal(self) -> str:
        """Name of the signal."""
        return schema.name_of(self.ds)

    @property
    def label(self) -> str:
        """Signal, layer and head in one line."""
        return f"{self.signal}, {self.layer}, head {self.head}"

    @property
    def samples_per_patch(self) -> float:
        """Samples per patch of lag."""
        return float(self.ds[schema.SAMPLES_PER_PATCH])

    @property
    def sample_seconds(self) -> float:
        """Seconds from one sample to the next, 0 if unknown."""
        return self.clock.seconds

    @property
    def clock(self) -> Clock:
        """The times of the samples."""
        return Clock.of(self.ds)

    @property
    def history_patches(self) -> int:
        """Patch columns that show history."""
        return int(self.ds[schema.HISTORY_PATCHES])

    @property
    def n_history(self) -> int:
        """Samples of history."""
        return int(self.ds[schema.N_HISTORY])

    @property
    def grid(self) -> tuple[int, int]:
        """Token rows and columns."""
        columns = self.ds.sizes[schema.QUERY_PATCH]
        return self.ds.sizes[schema.QUERY_TOKEN] // columns, columns

    @property
    def unit(self) -> AttentionUnit:
        """The unit of charts of this head."""
        rows, columns = self.grid
        return attention_unit(self.shown_in, rows * columns)

    @cached_property
    def shown_attention(self) -> Array:
        """`time_attention` in the unit of the charts."""
        shown: Array = self.time_attention * np.float32(self.unit.factor)
        return shown

    @cached_property
    def time_attention(self) -> Array:
        """(columns, columns), query by key."""
        if self.queries == "ink":
            return pooling.pool_queries_by_ink(self.token_rows(slice(None)), self.ink, self.grid)
        return np.asarray(self._selected(schema.TIME_ATTENTION).values)

    def lag_curve(self, region: lags.Region = "all") -> lags.LagCurve:
        """Mean attention against lag within a region, cached."""
        if region not in self._curves:
            self._curves[region] = lags.lag_curve(self.time_attention, self.history_patches, region)
        return self._curves[region]

    @cached_property
    def encoding(self) -> SeriesEncoding:
        """The encoding of the history on the image of the model that wrote the Dataset."""
        return SeriesEncoding.fit(self.history, int(self.ds[schema.HORIZON]), schema.config_of(self.ds))

    @cached_property
    def history(self) -> np.ndarray:
        """(T,) samples of history."""
        return np.asarray(self.ds[schema.HISTORY].values[: self.n_history], dtype=np.float64)

    @cached_property
    def ink(self) -> Array:
        """Ink of each token in the model's input, (rows, columns)."""
        return pooling.token_ink(self.encoding.image(self.history), self.grid)

    def token_rows(self, tokens: slice) -> np.ndarray:
        """Token attention of some queries, (queries, tokens)."""
        if schema.TOKEN_ATTENTION not in self.ds:
            raise ChartError("token attention was not stored; build the store with --tokens all")
        rows: np.ndarray = self._selected(schema.TOKEN_ATTENTION).isel({schema.QUERY_TOKEN: tokens}).values
        if np.isnan(rows[0, 0]):
            raise ChartError(f"token attention of {self.layer} was not stored; build with --tokens all or {self.layer}")
        return rows

    def cls_share(self, tokens: slice) -> float:
        """Mean attention of some tokens to CLS."""
        return float(self._selected(schema.CLS_ATTENTION).isel({schema.QUERY_TOKEN: tokens}).values.mean())

    def _selected(self, variable: str) -> xr.DataArray:
        return self.ds[variable].sel({schema.LAYER: self.layer, schema.HEAD: self.head})
