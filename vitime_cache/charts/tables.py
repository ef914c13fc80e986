"""The numbers behind each chart, as tables to download. Attention is in the unit of the view."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, fields

import numpy as np
import pandas as pd
import xarray as xr

from vitime_cache.arrays import Array
from vitime_cache.attention import lags, peaks, pooling, schema
from vitime_cache.attention.peaks import Peak, Side
from vitime_cache.charts.clock import Clock
from vitime_cache.charts.style import MOST_POINTS, ChartError, thin
from vitime_cache.charts.view import HeadView
from vitime_cache.compare.maps import other_axes
from vitime_cache.series.spans import in_words

FORECAST_ROWS = {"most probable": schema.FORECAST}
PROMINENCES = ("period_prominence", "multiples_prominence")
UNKNOWN = {"multiple": np.nan, "nearest": np.nan, "error": np.nan, "matches": None}


def series_table(ds: xr.Dataset) -> pd.DataFrame:
    """time, history, forecast and one column per quantile ("q05" …), up to the end of this signal."""
    end = int(ds[schema.N_HISTORY]) + int(ds[schema.HORIZON])
    columns = {"time": ds[schema.TIME].values[:end]}
    columns |= {name: ds[name].values[:end] for name in ("history", "forecast")}
    quantiles = ds[schema.FORECAST_QUANTILE].values[:, :end]
    columns |= {f"q{round(100 * q):02d}": row for q, row in zip(ds[schema.QUANTILE].values, quantiles, strict=True)}
    return pd.DataFrame(columns)


def heatmap_table(view: HeadView) -> pd.DataFrame:
    """One row per cell: query_patch, key_patch, first query_sample and key_sample, lag in samples, attention.

    Where the dates are known, query_time and key_time are those of the samples.
    """
    return _cells(view, {"attention": view.shown_attention}, view.clock)


def difference_table(a: HeadView, b: HeadView) -> pd.DataFrame:
    """As `heatmap_table` for two maps on the same axes: attention_a, attention_b and their difference a - b."""
    check_comparable(a, b)
    first, second = a.shown_attention, b.shown_attention
    clock = a.clock if a.clock == b.clock else Clock()
    return _cells(a, {"attention_a": first, "attention_b": second, "difference": first - second}, clock)


def token_table(view: HeadView, query: int, query_row: int | None = None) -> pd.DataFrame:
    """Where the tokens of patch column `query` look: token_row, token_column, key_sample, value range, attention.

    Where the dates are known, key_time is that of the sample.
    """
    image = query_image(view, query, query_row)
    rows, columns = view.grid
    row, column = (a.ravel() for a in np.mgrid[:rows, :columns])
    edges = value_edges(view)
    table = pd.DataFrame(
        {
            "token_row": row,
            "token_column": column,
            "key_sample": column * view.samples_per_patch,
            "value_low": edges[row],
            "value_high": edges[row + 1],
            "attention": image.ravel() * view.unit.factor,
        }
    )
    return view.clock.with_times(table, "key_sample")


def lag_table(views: Sequence[HeadView], region: lags.Region = "all", *, side: Side = "past") -> pd.DataFrame:
    """One row per curve and lag: curve (its label), patches, lag in samples, attention, low, high, pairs.

    If the time between samples is known, `time` is the lag in hours, days or similar.
    """
    labels = curve_labels(views)
    tables = []
    for label, view in zip(labels, views, strict=True):
        curve = view.lag_curve(region)
        distance = curve.lag if side == "past" else -curve.lag
        shown, factor = (distance >= 1) & np.isfinite(curve.mean), view.unit.factor
        table = pd.DataFrame(
            {
                "curve": label,
                "patches": distance[shown],
                "lag": distance[shown] * view.samples_per_patch,
                "attention": curve.mean[shown] * factor,
                "low": np.maximum(curve.low[shown], 0) * factor,  # attention is never negative
                "high": curve.high[shown] * factor,
                "pairs": curve.pairs[shown],
            }
        )
        tables.append(_in_time(table.sort_values("patches"), view))
    return pd.concat(tables, ignore_index=True)


def peak_table(
    views: Sequence[HeadView],
    region: lags.Region = "all",
    *,
    period: float | None = None,
    side: Side = "past",
    min_prominence: float = peaks.MIN_PROMINENCE,
) -> pd.DataFrame:
    """One row per peak of each curve: the curve's label, then the columns of `peaks.Peak`; lags in samples.

    For a period that the axis cannot resolve, the columns about it are missing: every lag is near a multiple of it.
    """
    rows: list[dict[str, object]] = []
    for label, view in zip(curve_labels(views), views, strict=True):
        curve = view.lag_curve(region)
        found = peaks.lag_peaks(
            curve.lag, curve.mean * view.unit.factor, view.samples_per_patch,
            period=period, pairs=curve.pairs, side=side, min_prominence=min_prominence,
        )  # fmt: skip
        known = period is None or peaks.resolvable(period, view.samples_per_patch)
        for peak in found:
            time = {"time": in_words(peak.lag, view.sample_seconds)}
            rows.append({"curve": label} | asdict(peak) | ({} if known else UNKNOWN) | time)
    return pd.DataFrame(rows, columns=["curve", *(field.name for field in fields(Peak)), "time"])


def _in_time(table: pd.DataFrame, view: HeadView) -> pd.DataFrame:
    """The table with every lag as time, if the time between samples is known."""
    if not view.sample_seconds:
        return table
    return table.assign(time=[in_words(lag, view.sample_seconds) for lag in table["lag"]])


def autocorrelation_table(ds: xr.Dataset, max_lag: float | None = None) -> pd.DataFrame:
    """lag in samples, autocorrelation of the history, pairs; up to three quarters of the history.

    Beyond that, less than a period of a slow component overlaps, and any smooth series correlates with itself.
    """
    n = int(ds[schema.N_HISTORY])
    last = max(3 * n // 4, 1)
    correlation = lags.autocorrelation(
        ds[schema.HISTORY].values[:n], last if max_lag is None else min(last, int(max_lag))
    )
    lag = np.arange(len(correlation))
    return pd.DataFrame({"lag": lag, "autocorrelation": correlation, "pairs": n - lag})


def measures_table(measures: xr.Dataset) -> pd.DataFrame:
    """One row per head: layer, head, every measure, and a note if the period asked about cannot be seen.

    The prominence of an absent peak is missing here; the measure itself counts it as 0.
    """
    frame = measures[list(measures.data_vars)].to_dataframe().reset_index()
    for name in PROMINENCES:
        if name in frame:
            frame[name] = frame[name].where(frame[name] > 0)
    table = frame[[schema.LAYER, schema.HEAD, *measures.data_vars]]
    return table.assign(note=measures.attrs["unseen"]) if "unseen" in measures.attrs else table


def part_table(ds: xr.Dataset, part: str, limit: int | None = MOST_POINTS) -> pd.DataFrame:
    """time and value of the history or the forecast; with a limit, about so many points that keep its envelope.

    "forecast" is the median of the model's own distribution. "most probable" is the variable `forecast` of the store,
    which jumps between rows where the distribution is broad.
    """
    values = median_forecast(ds) if part == "forecast" else ds[FORECAST_ROWS.get(part, part)].values
    known = np.flatnonzero(np.isfinite(values))
    return thin(known, values[known], limit)


def median_forecast(ds: xr.Dataset) -> np.ndarray:
    """The median of the model's forecast at each time, (time,)."""
    median: np.ndarray = ds[schema.FORECAST_QUANTILE].sel({schema.QUANTILE: 0.5}, method="nearest").values
    return median


def curve_labels(views: Sequence[HeadView]) -> list[str]:
    """A label per view, without the parts that all of them share.

    Raises
    ------
    ChartError
        Without views, or with the same view twice.
    """
    if not views:
        raise ChartError("no head was chosen; choose at least one")
    parts = [_parts(view) for view in views]
    varying = [i for i in range(4) if len({part[i] for part in parts}) > 1] or [1, 2]
    labels = [", ".join(part[i] for i in varying) for part in parts]
    if twice := {label for label in labels if labels.count(label) > 1}:
        raise ChartError(f"{', '.join(sorted(twice))} was chosen twice; choose different heads or signals")
    return labels


def shared_label(views: Sequence[HeadView]) -> str:
    """The parts that the labels leave out because all views share them, as " (signal, layer, head)" for a title."""
    common = [names[0] for names in zip(*map(_parts, views), strict=True) if len(set(names)) == 1]
    named = ", ".join(name for name in common if name != _parts(views[0])[3])
    return f" ({named})" if named else ""


def query_image(view: HeadView, query: int, query_row: int | None) -> Array:
    """Where the tokens of a patch column look, (rows, columns): all of them weighted as in the view, or one row."""
    rows, _ = view.grid
    tokens = pooling.tokens_of_column(query, view.grid)
    if query_row is not None:
        if not 0 <= query_row < rows:
            raise ChartError(f"no token row {query_row}; there are 0 … {rows - 1}")
        weights = np.eye(rows)[query_row]
    else:
        weights = pooling.column_weights(view.ink, view.grid)[:, query] if view.queries == "ink" else np.ones(rows)
    return pooling.key_image(view.token_rows(tokens), view.grid, weights)


def value_edges(view: HeadView) -> np.ndarray:
    """Values at the edges of token rows, in units of the signal, (rows + 1,), ascending."""
    encoding, (rows, _) = view.encoding, view.grid
    deviations = np.arange(rows + 1) * encoding.config.patch_height * encoding.config.row_step
    edges: np.ndarray = (deviations - encoding.config.value_range) * encoding.std[0] + encoding.mean[0]
    return edges


def check_comparable(a: HeadView, b: HeadView) -> None:
    """Raise ChartError unless the two maps have the same axes."""
    if reason := why_no_difference(a, b):
        raise ChartError(reason)


def why_no_difference(a: HeadView, b: HeadView) -> str:
    """Why there is no map of the difference of two maps, in one line; empty if there is one."""
    if a.grid[1] == b.grid[1] and a.grid != b.grid:
        return f"maps of {a.grid} and {b.grid} tokens cannot be compared; use one model for both"
    return other_axes(a.ds, b.ds)


def _parts(view: HeadView) -> tuple[str, str, str, str]:
    return view.signal, view.layer, f"head {view.head}", f"queries by {view.queries}"


def _cells(view: HeadView, values: dict[str, Array], clock: Clock) -> pd.DataFrame:
    n = view.grid[1]
    query, key = (a.ravel() for a in np.mgrid[:n, :n])
    spp = view.samples_per_patch
    axes = {
        "query_patch": query, "key_patch": key,
        "query_sample": query * spp, "key_sample": key * spp, "lag": (query - key) * spp,
    }  # fmt: skip
    table = pd.DataFrame(axes | {name: v.ravel() for name, v in values.items()})
    return clock.with_times(clock.with_times(table, "query_sample"), "key_sample")
