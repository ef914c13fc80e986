"""Charts of differences: every head's map in two runs, two forecasts, and what heads carry for two periods.

Orange means more in the first, purple more in the second. Galleries have the point selection "head" with the fields
`layer` and `head`.
"""

from __future__ import annotations

import numpy as np
import pandas as pd
import xarray as xr

from vitime_cache.attention import schema
from vitime_cache.charts import tables
from vitime_cache.charts.clock import Clock
from vitime_cache.charts.head_grid import HEAD_CLICK, MARGIN, MOST_PIXELS, head_axes, pictures_of_heads
from vitime_cache.charts.raster import shrink
from vitime_cache.charts.style import (
    CATEGORICAL,
    DIVERGING,
    HISTORY,
    MOST_POINTS,
    NEUTRAL,
    SHRINK,
    STRETCH,
    ChartError,
    Spec,
    above,
    assemble,
    category,
    layer,
    quantity,
    subtitle_lines,
    thin,
    thin_range,
    tip,
)
from vitime_cache.compare.forecasts import compare_forecasts
from vitime_cache.compare.maps import FIRST, MOVED, SECOND, compare_maps
from vitime_cache.numerals import PERCENT, PERCENT_1, number, percent

WIDTH, SIDE = 1120, 112  # pixels: the gallery, and the most for a head's map
PERCENTILE = 99.5  # of the absolute differences, at which the colour scale ends
ACTUAL = "actual"


def difference_gallery_table(first: xr.Dataset, second: xr.Dataset) -> pd.DataFrame:
    """layer, head and the share of attention that lies elsewhere, largest first."""
    return _ranked(compare_maps(first, second))


def _ranked(found: xr.Dataset) -> pd.DataFrame:
    moved = found[MOVED].to_dataframe().reset_index()
    return moved[[schema.LAYER, schema.HEAD, MOVED]].sort_values(MOVED, ascending=False, ignore_index=True)


def difference_gallery(
    first: xr.Dataset,
    second: xr.Dataset,
    names: tuple[str, str],
    *,
    selected: tuple[str, int] | None = None,
    width: int = WIDTH,
) -> Spec:
    """The differences of all heads' maps in one picture, layers down, heads across, on one shared scale.

    Parameters
    ----------
    names
        Names of the two.

    Raises
    ------
    CompareError
        For heads without counterparts, and maps on different axes.
    """
    found = compare_maps(first, second)
    gap = shrink(found[FIRST].values - found[SECOND].values, MOST_PIXELS)
    limit = float(np.percentile(np.abs(gap), PERCENTILE)) or float(np.abs(gap).max()) or 1.0
    table = _ranked(found)
    layers, heads = found.sizes[schema.LAYER], found.sizes[schema.HEAD]
    shades = np.clip(gap / limit, -1, 1) / 2 + 0.5
    tooltip = [
        tip(schema.LAYER, "layer"), tip(schema.HEAD, "head", "d"), tip(MOVED, "attention that lies elsewhere", PERCENT),
    ]  # fmt: skip
    wide = min((width - MARGIN) / heads, SIDE)
    said = subtitle_lines(
        f"Orange: {names[0]} looks there more; purple: {names[1]} does. Full colour: {number(limit)} × even"
        f"{' or more' if np.abs(gap).max() > limit else ''}, without CLS.",
        "Query downwards, key to the right.",
        width=width,
    )
    return assemble(
        [
            pictures_of_heads(shades, DIVERGING),
            layer(table, "rect", encoding=head_axes(found) | {"tooltip": tooltip}, opacity=0)
            | HEAD_CLICK,
            *_framed(selected),
        ],
        f"Where every head differs: {names[0]} and {names[1]}",
        said,
        width=wide * heads + MARGIN, height=wide * layers + above(said), autosize=SHRINK,
    )  # fmt: skip


def two_forecasts_table(
    first: xr.Dataset, second: xr.Dataset, names: tuple[str, str], future: np.ndarray | None = None,
    limit: int | None = None,
) -> pd.DataFrame:  # fmt: skip
    """sample, part and value: the history, the actual future if known, and both median forecasts.

    Every sample, with low and high, the 90 % ranges of both, and its time (ISO 8601) if that is known; or for a chart
    about `limit` points of each part that keep its envelope, without them.
    """
    compare_forecasts(first, second)
    history = int(first[schema.N_HISTORY])
    parts = {schema.HISTORY: tables.part_table(first, schema.HISTORY, limit)}
    if future is not None:  # before the forecasts, so that it is drawn below them
        ahead = future[: int(first[schema.HORIZON])]
        parts[ACTUAL] = thin(history + np.arange(len(ahead)), ahead, limit)
    medians = (tables.part_table(ds, schema.FORECAST, limit) for ds in (first, second))
    parts |= dict(zip(names, medians, strict=True))
    each = [table.rename(columns={"time": "sample"}).assign(part=part) for part, table in parts.items()]
    table = pd.concat(each, ignore_index=True)[["sample", "part", "value"]]
    ranges = pd.concat([_range(ds).assign(part=name) for name, ds in zip(names, (first, second), strict=True)])
    return table if limit else Clock.of(first).with_times(table.merge(ranges, "left", ["sample", "part"]))


def two_forecasts(
    first: xr.Dataset,
    second: xr.Dataset,
    names: tuple[str, str],
    future: np.ndarray | None = None,
    *,
    width: int = 860,
    height: int = 220,
) -> Spec:
    """One series with the forecasts of two networks and their 90 % ranges.

    Parameters
    ----------
    names
        Names of the two networks; they must differ.
    future
        The actual future, (horizon,), if known.
    """
    if len({*names, schema.HISTORY, ACTUAL}) < 4:
        raise ChartError(f"two networks named {names[0]} and {names[1]} cannot be distinguished in one chart")
    table = two_forecasts_table(first, second, names, future, MOST_POINTS)
    colours = {schema.HISTORY: HISTORY, ACTUAL: NEUTRAL, names[0]: CATEGORICAL[1], names[1]: CATEGORICAL[2]}
    shown = [part for part in colours if part in set(table["part"])]
    colour = category(
        "part", scale={"domain": shown, "range": [colours[part] for part in shown]},
        legend={"title": None, "orient": "top", "symbolOpacity": 1, "columns": 2, "labelLimit": 190},
    )  # fmt: skip
    ends = float(table["sample"].min()), float(table["sample"].max())
    clock = Clock.of(first)
    x = quantity("sample", scale={"domain": ends, "nice": False}, **clock.axis(*ends))
    y = quantity("value", "value", scale={"zero": False})
    points, tooltip = clock.points_tip(table)
    area = {"x": quantity("sample"), "y": quantity("low"), "y2": {"field": "high"}}
    bands = [
        layer(thin_range(_range(ds), "low", "high"), "area", encoding=area, color=colours[name], opacity=0.16)
        for name, ds in zip(names, (first, second), strict=True)
    ]
    return assemble(
        [
            *bands,
            layer(table, "line", encoding={"x": x, "y": y, "color": colour}, strokeWidth=1.5),
            layer(points, "rule", encoding={"x": quantity("sample"), "tooltip": tooltip}, opacity=0, strokeWidth=3),
        ],
        f"Both forecasts of {schema.name_of(first)}",
        "Lines: medians. Bands: the 90 % range of each network",
        width=width, height=height, autosize=STRETCH,
    )  # fmt: skip


def period_shares_table(shares: xr.Dataset) -> pd.DataFrame:
    """layer, head, share alone and place in the set for both periods, and the difference of the shares."""
    table = shares.to_dataframe().reset_index()
    return table.assign(difference=table["first"] - table["second"])


def period_shares(shares: xr.Dataset, names: tuple[str, str], *, width: int = 620) -> Spec:
    """What each head carries alone for two periods: colour is the difference, numbers are places in the two sets.

    Parameters
    ----------
    shares
        From `compare.periods.shares`.
    names
        Names of the two periods.
    """
    table = period_shares_table(shares).dropna(subset=["difference"], ignore_index=True)
    if table.empty:
        raise ChartError("the few heads have not been looked for at both periods yet")
    most = max(float(table["difference"].abs().max()), 0.05)
    table = table.assign(
        label=[
            " · ".join(filter(None, (f"A{a}" if a else "", f"B{b}" if b else "")))
            for a, b in zip(table["first_place"], table["second_place"], strict=True)
        ]
    )
    axes = head_axes(shares)
    colour = quantity("difference", scale={"domain": [-most, most], "range": list(DIVERGING)}, legend=None)
    tooltip = [
        tip(schema.LAYER, "layer"), tip(schema.HEAD, "head", "d"), tip("first", f"A, {names[0]}", PERCENT_1),
        tip("second", f"B, {names[1]}", PERCENT_1), tip("label", "places in the sets"),
    ]  # fmt: skip
    dark = {"test": f"abs(datum.difference) > {0.55 * most:.6g}", "value": "#ffffff"}
    words = axes | {"text": category("label"), "color": {"condition": dark, "value": "#000000"}}
    return assemble(
        [
            layer(table, "rect", encoding=axes | {"color": colour}),
            layer(table, "text", encoding=words, fontSize=11),
            layer(table, "rect", encoding=axes | {"tooltip": tooltip}, opacity=0)
            | HEAD_CLICK,
        ],
        "Which heads carry which period",
        [f"Orange: carries more of A, {names[0]}; purple: of B, {names[1]}.",
         f"Numbers: places in the sets. Full colour: {percent(most)} more of it alone."],
        width=width, height=26 * shares.sizes[schema.LAYER], autosize=STRETCH,
    )  # fmt: skip


def _range(ds: xr.Dataset) -> pd.DataFrame:
    """sample, low, high: the 90 % range of the network's forecast."""
    bounds = {
        name: ds[schema.FORECAST_QUANTILE].sel({schema.QUANTILE: at}, method="nearest").values
        for name, at in (("low", 0.05), ("high", 0.95))
    }
    return pd.DataFrame({"sample": np.arange(len(bounds["low"])), **bounds}).dropna()


def _framed(selected: tuple[str, int] | None) -> list[Spec]:
    if selected is None:
        return []
    place = [{schema.LAYER: selected[0], schema.HEAD: int(selected[1])}]
    encoding = {"x": {"field": schema.HEAD, "type": "ordinal"}, "y": {"field": schema.LAYER, "type": "ordinal"}}
    return [layer(place, "rect", encoding=encoding, fillOpacity=0, stroke="#111111", strokeWidth=2.5)]
