"""One head in linked charts: point at a moment on the series or on the map, and all charts show where it looks.

The chart holds the attention once, as a parameter; everything that follows the pointer is computed in the chart from
one row of it. A moment is a patch column; the last selected moment stays until another is selected.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from vitime_cache.attention import lags, schema
from vitime_cache.attention.peaks import Side
from vitime_cache.charts import curves, tables
from vitime_cache.charts.maps import AXIS, BOX, CASING, heatmap
from vitime_cache.charts.shading import Contrast
from vitime_cache.charts.style import (
    CONFIG,
    FORECAST,
    KEEP,
    ON_CANVAS,
    SCHEMA,
    STATED,
    TOP_LEVEL,
    ChartError,
    Spec,
    clicked,
    fitted,
    layer,
    quantity,
    tip,
)
from vitime_cache.charts.view import HeadView
from vitime_cache.numerals import SAMPLES

MOMENT = "moment"  # the selection of the patch column pointed at
NARROW = 700  # pixels of width below which the charts are stacked
GAP, EDGE = 24, 12  # pixels between charts, and of a label's overhang
LIT = "#e69f00"
ABOVE = 1.5  # height of the mean curve at which one moment's own curve is cut


def linked_head(
    view: HeadView,
    contrast: Contrast | None = None,
    *,
    beside: Sequence[HeadView] = (),
    region: lags.Region = "all",
    side: Side = "past",
    period: float | None = None,
    max_lag: float | None = None,
    log: bool = False,
    moment: int | None = None,
    total_width: int = 880,
) -> Spec:
    """Map, series and lag curve of one head, linked: the series is highlighted where the selected moment looks.

    Parameters
    ----------
    contrast
        Contrast of the map; see `heatmap`.
    beside
        Further heads for the lag curve.
    region, side, period, max_lag, log
        Options of the lag curve; see `lag_curves`.
    moment
        Patch column that is selected at first; None for the first of the forecast.
    total_width
        Total width in pixels; below `NARROW` the charts are stacked.

    Returns
    -------
    A chart with the selections "moment" (field `query_patch`, follows the pointer) and "cell" (of a click, as in
    `heatmap`).
    """
    columns = view.grid[1]
    first = min(view.history_patches, columns - 1) if moment is None else moment
    if not 0 <= first < columns:
        raise ChartError(f"no patch column {first}; there are 0 … {columns - 1}")
    narrow = total_width < NARROW
    whole = total_width - AXIS - EDGE
    side_length = min(whole, 460) if narrow else int(np.clip(0.44 * total_width, 300, 460))
    rest = whole if narrow else whole - side_length - AXIS - GAP
    map_part = _map(view, contrast, side_length)
    series_part = _series(view, whole, 150)
    curve_part = _curve(
        [view, *beside], region, side=side, period=period, max_lag=max_lag, log=log,
        width=rest, height=170 if narrow else side_length,
    )  # fmt: skip
    parts = [map_part, curve_part] if narrow else [{"hconcat": [map_part, curve_part], "spacing": GAP}]
    said = _said(view)
    events = {"on": "pointerover, touchstart, click", "clear": False, "toggle": False}
    select = {"type": "point", "fields": [schema.QUERY_PATCH], **events}
    # Next to a selection of the whole chart, a selection of a single layer would be dropped.
    clicks = clicked("cell", [schema.QUERY_PATCH, schema.KEY_PATCH])
    return {
        "$schema": SCHEMA,
        "background": "transparent",
        "autosize": KEEP,
        "config": CONFIG,
        "usermeta": ON_CANVAS | {STATED: " ".join(said[first])},
        "description": f"Where each moment looks: {view.label}. Map, series and lag curve, linked.",
        "spacing": GAP,
        "params": [
            {"name": MOMENT, "select": select, "views": ["cells", "moments"], "value": [{schema.QUERY_PATCH: first}]},
            *({**parameter, "views": ["cells"]} for parameter in clicks["params"]),
            {"name": "query", "expr": f"{MOMENT}.{schema.QUERY_PATCH} ? {MOMENT}.{schema.QUERY_PATCH}[0] : {first}"},
            {"name": "attention", "value": _rounded(view.shown_attention)},
            {"name": "strongest", "value": _rounded(view.shown_attention.max(axis=1))},
            {"name": "said", "value": said},
        ],
        "vconcat": [series_part, *parts],
        "resolve": {"scale": {"color": "independent"}, "legend": {"color": "independent"}},
    }


def _map(view: HeadView, contrast: Contrast | None, size: int) -> Spec:
    """The map with the row of the selected moment framed."""
    chart = heatmap(view, contrast, size=size, legend="bottom")
    *pictures, cells = chart["layer"]
    spp = view.samples_per_patch
    row = [("x", "0"), ("x2", f"{view.grid[1] * spp}"), ("y", f"query * {spp}"), ("y2", f"(query + 1) * {spp}")]
    frames = [
        layer([{}], "rect", encoding=BOX, fillOpacity=0, stroke=colour, strokeWidth=wide)
        | {"transform": [{"calculate": expr, "as": name} for name, expr in row]}
        for colour, wide in ((CASING, 3.2), (LIT, 1.8))
    ]
    return _part(chart, size) | {"layer": [*pictures, *frames, {**cells, "name": "cells", "params": []}]}


def _series(view: HeadView, width: int, height: int) -> Spec:
    """The series, highlighted where the moment looks; invisible columns above it receive the pointer."""
    chart = curves.series(view.ds, width=width, height=height)
    spp, patches = view.samples_per_patch, range(view.grid[1])
    end = float(int(view.ds[schema.N_HISTORY]) + int(view.ds[schema.HORIZON]))
    boxes = pd.DataFrame(
        {
            schema.QUERY_PATCH: list(patches),
            "from": [patch * spp for patch in patches],
            "to": [min((patch + 1) * spp, end) for patch in patches],
        }
    )
    when, told = view.clock.moments_tip(boxes["from"])
    boxes = boxes.assign(**when)
    looked = [
        {"calculate": f"attention[query][datum.{schema.QUERY_PATCH}]", "as": "attention"},
        {"calculate": "strongest[query] > 0 ? datum.attention / strongest[query] : 0", "as": "share"},
    ]
    across = {"x": quantity("from"), "x2": {"field": "to"}}
    shade = quantity("share", scale={"domain": [0, 1], "range": [0, 0.85], "type": "pow", "exponent": 0.7}, legend=None)
    lit = layer(boxes, "rect", encoding=across | {"opacity": shade}, color=LIT) | {"transform": looked}
    asked = layer(boxes, "rect", encoding=across, fillOpacity=0, stroke=FORECAST, strokeWidth=1.6) | {
        "transform": [{"filter": f"datum.{schema.QUERY_PATCH} == query"}]
    }
    tooltip = [
        tip("from", "from sample", SAMPLES),
        *told,
        tip("attention", f"{view.unit.title()}, of the moment framed", view.unit.format),
    ]
    moments = layer(boxes, "rect", encoding=across | {"tooltip": tooltip}, opacity=0) | {
        "name": "moments", "transform": looked[:1],
    }  # fmt: skip
    drawn = [each for each in chart["layer"] if each["mark"].get("opacity") != 0]
    heading = chart["title"] | {
        "text": {"expr": "said[query]"},
        "subtitle": [
            "Yellow: where the moment framed looks.",
            *curves.filled_words(int(view.ds[schema.FILLED])),
        ],
    }
    return _part(chart | {"title": heading}, width) | {"layer": [lit, *drawn, asked, moments]}


def _curve(views: Sequence[HeadView], region: lags.Region, *, side: Side, log: bool, **options: Any) -> Spec:
    """The lag curve, and behind it the curve of the moment alone."""
    chart = curves.lag_curves(views, region, side=side, log=log, **options)
    table = tables.lag_table(views, region, side=side)
    top = ABOVE * float(table["attention"].max()) or 1.0
    low = float(table["attention"][table["attention"] > 0].min()) if log else 0.0
    view, sign = views[0], 1 if side == "past" else -1
    own = [
        {"calculate": f"{sign} * (query - datum.key) * {view.samples_per_patch}", "as": "lag"},
        {"calculate": f"clamp(attention[query][datum.key], {low:.6g}, {top:.6g})", "as": "attention"},
        {"filter": "datum.lag > 0"},
    ]
    encoding = {"x": quantity("lag"), "y": quantity("attention"), "order": quantity("lag")}
    keys = pd.DataFrame({"key": range(view.grid[1])})
    line = layer(keys, "line", encoding=encoding, color=LIT, strokeWidth=1.2, clip=True) | {"transform": own}
    layers = [_within(each, [low, top]) for each in chart["layer"]]
    subtitle = chart["title"]["subtitle"]
    cut = "Thin, yellow: the moment alone, cut at " + ("both ends." if log else "the top.")
    told = [*([subtitle] if isinstance(subtitle, str) else subtitle), cut]
    return _part(chart | {"title": chart["title"] | {"subtitle": told}}, chart["width"]) | {"layer": [line, *layers]}


def _within(part: Spec, domain: list[float]) -> Spec:
    """The layer with a fixed value axis, so that it does not move when the moment changes."""
    y = part["encoding"].get("y", {})
    if "scale" not in y:
        return part
    scale = {key: value for key, value in y["scale"].items() if key != "zero"} | {"domain": domain, "nice": False}
    return part | {"encoding": part["encoding"] | {"y": y | {"scale": scale}}}


def _part(chart: Spec, width: int) -> Spec:
    """A chart as a part of another, with a heading that fits its width."""
    part = {key: value for key, value in chart.items() if key not in (*TOP_LEVEL, "description")}
    return part | {"title": fitted(chart["title"], width)}


def _said(view: HeadView) -> list[list[str]]:
    """Two lines for each patch column that say where it looks most."""
    spp, unit, clock = view.samples_per_patch, view.unit, view.clock
    said = []
    for query, row in enumerate(view.shown_attention):
        key = int(row.argmax())
        gap = abs(query - key) * spp
        where = "itself" if key == query else f"{clock.span(gap)} {'back' if key < query else 'ahead'}"
        amount = unit.amount(float(row[key]))
        asked, looked = clock.moment(query * spp), clock.moment(key * spp)
        said.append([f"{_capital(asked)} looks most at {looked},", f"{where}: {amount}"])
    return said


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]


def _rounded(values: np.ndarray) -> Any:
    """Numbers to three digits, as lists."""
    return [_rounded(row) for row in values] if values.ndim > 1 else [float(f"{value:.3g}") for value in values]
