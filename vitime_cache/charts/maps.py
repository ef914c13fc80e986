"""Maps: where the queries of one head look, over time and over the image of the series.

A map is one image under invisible cells with tooltips and a click selection: "cell" with the fields `query_patch` and
`key_patch`; in `token_look` "token" with `token_row` and `token_column`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Literal

import numpy as np
import pandas as pd

from vitime_cache.arrays import Array
from vitime_cache.charts import tables
from vitime_cache.charts.clock import Clock
from vitime_cache.charts.raster import png_url
from vitime_cache.charts.shading import Contrast, Shading, outline_segments
from vitime_cache.charts.style import (
    DIVERGING,
    FORECAST,
    HISTORY,
    KEEP,
    SEQUENTIAL,
    STRETCH,
    TEXT,
    Spec,
    assemble,
    category,
    clicked,
    ended,
    fitted,
    inline,
    layer,
    quantity,
    readable,
    tip,
)
from vitime_cache.charts.units import AttentionUnit
from vitime_cache.charts.view import HeadView
from vitime_cache.numerals import SAMPLES, percent
from vitime_cache.series.spans import in_words

STRIP = 0.16  # height of the signal's strip next to a map, as a fraction of the map
BOX = {"x": quantity("x"), "x2": {"field": "x2"}, "y": quantity("y"), "y2": {"field": "y2"}}
AXIS, LEGEND = 78, 180  # pixels beside a map: of its axis with a title, and of that and a legend on the right
CASING, LINE = "#000000", "#ffffff"  # a light line on a dark casing is visible on every colour of a map


def shared_shading(views: Sequence[HeadView], contrast: Contrast | None = None) -> Shading:
    """One scale for several maps, so that equal colours mean equal attention."""
    return Shading.fit(np.concatenate([view.shown_attention.ravel() for view in views]), contrast or Contrast())


def heatmap(
    view: HeadView,
    contrast: Contrast | None = None,
    *,
    shading: Shading | None = None,
    query: int | None = None,
    size: int = 520,
    upwards: bool = False,
    legend: Literal["right", "bottom"] = "right",
) -> Spec:
    """Time attention of one head in samples, the signal along both axes, the border of the forecast.

    Parameters
    ----------
    contrast
        How values are coloured; None takes the reference study's defaults.
    shading
        A scale from `shared_shading` instead of this map's own.
    query
        Patch column to frame as the selected query.
    size
        Width and height in pixels. The chart has the point selection "cell".
    upwards
        Whether queries run upwards, as in the reference study's pictures; else downwards, as in a matrix.
    legend
        Place of the legend; below the map it takes no width.
    """
    attention, unit = view.shown_attention, view.unit
    scale = shading or shared_shading([view], contrast)
    shade = scale.shade(attention)
    layers = [
        *time_map(view, png_url(shade[::-1] if upwards else shade, SEQUENTIAL), size, upwards),
        *_outline(view, scale.outlined(attention)),
        *([] if query is None else _framed(_query_row(view, query))),
        _legend(SEQUENTIAL, scale.value, unit, "attention", size, legend, shown=attention),
        _time_cells(view, {"attention": attention}, [tip("attention", unit.title(), unit.format)], size, upwards),
    ]
    subtitle = [
        "Time attention, " + ("queries weighted by ink" if view.queries == "ink" else "mean over value rows") + "."
    ]
    subtitle += [unit.words] if unit.words else []
    return _square(layers, f"Which moments each moment looks at: {view.label}", subtitle, size, legend)


def difference(
    a: HeadView,
    b: HeadView,
    *,
    percentile: float = 99.5,
    size: int = 520,
    legend: Literal["right", "bottom"] = "right",
) -> Spec:
    """Attention of `a` minus that of `b` on a diverging scale, symmetric about zero.

    The scale ends at a percentile of the absolute difference.

    Raises
    ------
    ChartError
        For maps on different axes.
    """
    tables.check_comparable(a, b)
    gap = a.shown_attention.astype(np.float64) - b.shown_attention
    limit = float(np.percentile(np.abs(gap), percentile)) or float(np.abs(gap).max()) or 1.0
    url = png_url(np.clip(gap / limit, -1, 1) / 2 + 0.5, DIVERGING)
    cells = {"a": a.shown_attention, "b": b.shown_attention}
    label_a, label_b = tables.curve_labels([a, b])
    written = a.unit.format
    tooltip = [
        tip("gap", a.unit.title("difference"), f"+{written}"),
        tip("a", a.unit.title(label_a), written),
        tip("b", a.unit.title(label_b), written),
    ]
    layers = [
        *time_map(a, url, size),
        _legend(DIVERGING, lambda shade: (2 * shade - 1) * limit, a.unit, "difference", size, legend, shown=gap),
        _time_cells(a, cells, tooltip, size, worked_out={"gap": "datum.a - datum.b"}),
    ]
    title = f"Where {label_a} and {label_b} differ{tables.shared_label([a, b])}"
    subtitle = f"Orange: {label_a} attends more; purple: {label_b} attends more. The strips show {a.signal}"
    return _square(layers, title, [subtitle], size, legend)


def token_look(
    view: HeadView,
    query: int,
    *,
    query_row: int | None = None,
    contrast: Contrast | None = None,
    width: int = 760,
    height: int = 300,
) -> Spec:
    """Where the tokens of one patch column look, on the image of the series (value against time).

    Parameters
    ----------
    query
        Patch column of the queries.
    query_row
        A single token row, 0 at the bottom; None takes all tokens of the column, weighted as in the view.
    """
    image, unit = tables.query_image(view, query, query_row) * view.unit.factor, view.unit
    scale = Shading.fit(image, contrast or Contrast())
    edges, spp, columns = tables.value_edges(view), view.samples_per_patch, view.grid[1]
    value = [float(edges[0]), float(edges[-1])]
    low, high = (0, len(edges) - 1) if query_row is None else (query_row, query_row + 1)
    asked = {"x": query * spp, "x2": (query + 1) * spp, "y": float(edges[low]), "y2": float(edges[high])}
    picture = {"x": 0, "x2": columns * spp, "y": value[0], "y2": value[1]}
    across = view.clock.axis(0, columns * spp, f"{'time' if view.clock.seconds else 'sample'} looked at")
    x = quantity("x", scale={"domain": [0, columns * spp], "nice": False}, **across)
    y = quantity("y", "value", scale={"domain": value, "nice": False})
    layers = [
        _image(picture, png_url(scale.shade(image[::-1]), SEQUENTIAL), x, y),
        *_series_over_image(view),
        *_framed(asked),
        _legend(SEQUENTIAL, scale.value, unit, "attention", height, shown=image),
        _token_cells(view, image, edges),
    ]
    who = "tokens" if query_row is None else f"token in row {query_row}"
    span = f"samples {query * spp:.0f}–{(query + 1) * spp:.0f}"
    when = f" ({time})" if (time := view.clock.when(query * spp)) else ""
    title = f"Where the {who} of {span}{when} look: {view.label}"
    first = query if query_row is None else query_row * columns + query
    share = view.cls_share(slice(first, None if query_row is None else first + 1, columns))
    subtitle = [
        "Framed: the query. White: history, dashed: forecast.",
        f"Share of CLS, a token that shows no part of the image: {percent(share, 1)}.",
    ]
    return assemble(layers, title, subtitle, width=width, height=height, autosize=STRETCH)


def _square(layers: Sequence[Spec], title: str, subtitle: Sequence[str], size: int, legend: str) -> Spec:
    """A map of its own size with a title that is no wider than the map with its legend."""
    chart = assemble(layers, title, [*map(ended, subtitle)], width=size, height=size, autosize=KEEP)
    return chart | {"title": fitted(chart["title"], size + (LEGEND if legend == "right" else AXIS))}


def time_map(view: HeadView, url: str, size: int, upwards: bool = False) -> list[Spec]:
    """The map's image, the signal in strips above and left of it, and the border between history and forecast."""
    end = view.grid[1] * view.samples_per_patch
    sample = "time" if view.clock.seconds else "sample"
    across = view.clock.axis(0, end, f"key: {sample} looked at")
    down = view.clock.axis(0, end, f"query: {sample} that looks")
    bare = {"grid": False, "domain": False}
    scale = {"domain": [-STRIP * end, end], "nice": False, "zero": False}
    x = quantity("x", across["title"], axis=across["axis"] | bare, scale=scale)
    y = quantity("y", down["title"], axis=down["axis"] | bare, scale=scale | {"reverse": not upwards})
    image = _image({"x": 0, "x2": end, "y": 0, "y2": end}, url, x, y)
    return [image, *_strips(view, end), *_border(view, end, size)]


def _image(box: Spec, url: str, x: Spec, y: Spec) -> Spec:
    encoding = BOX | {"x": x, "y": y, "url": category("url")}
    return layer([box | {"url": url}], "image", encoding=encoding, aspect=False, smooth=False)


def _strips(view: HeadView, end: float) -> list[Spec]:
    """The series along both axes, drawn in the map's own coordinates."""
    parts = {part: tables.part_table(view.ds, part, 600) for part in ("history", "forecast")}
    values = np.concatenate([line["value"] for line in parts.values()])
    low, span = values.min(), np.ptp(values)
    layers = []
    for line, colour in zip(parts.values(), (HISTORY, FORECAST), strict=True):
        height = (line.pop("value") - low) / span if span > 0 else 0.5
        line["strip"] = -STRIP * end * (0.12 + 0.8 * height)
        for x, y in (("time", "strip"), ("strip", "time")):
            encoding = {"x": quantity(x), "y": quantity(y), "order": quantity("time")}
            layers.append(layer(line, "line", encoding=encoding, color=colour, strokeWidth=1.2))
    return layers


def _border(view: HeadView, end: float, size: int) -> list[Spec]:
    """The end of the history across the map and the strips, and the names of the two parts."""
    start, at = -STRIP * end, view.n_history
    lines = [{"x": at, "x2": at, "y": start, "y2": end}, {"x": start, "x2": end, "y": at, "y2": at}]
    names = [("history", at / 2, at), ("forecast", (at + end) / 2, end - at)]
    fitting = [{"x": middle, "name": name} for name, middle, width in names if width * size / end > 60]
    above = {"x": quantity("x"), "y": {"value": 0}, "text": category("name")}
    return [
        layer(lines, "rule", encoding=BOX, color=CASING, strokeWidth=2.5, opacity=0.5),
        layer(lines, "rule", encoding=BOX, color=LINE, strokeWidth=1, strokeDash=[4, 3]),
        layer(fitting, "text", encoding=above, color=TEXT, dy=-6, fontSize=11),
    ]


def _outline(view: HeadView, inside: np.ndarray) -> list[Spec]:
    segments = outline_segments(inside) * view.samples_per_patch
    if len(segments) == 0:
        return []
    rules = pd.DataFrame(segments, columns=["x", "y", "x2", "y2"])
    return [
        layer(rules, "rule", encoding=BOX, color=colour, strokeWidth=width, strokeCap="square")
        for colour, width in ((CASING, 2.5), (LINE, 1.2))
    ]


def _query_row(view: HeadView, query: int) -> Spec:
    spp = view.samples_per_patch
    return {"x": 0, "x2": view.grid[1] * spp, "y": query * spp, "y2": (query + 1) * spp}


def _framed(box: Spec) -> list[Spec]:
    return [
        layer([box], "rect", encoding=BOX, fillOpacity=0, stroke=colour, strokeWidth=width)
        for colour, width in ((LINE, 2.6), (FORECAST, 1.3))
    ]


def _time_cells(
    view: HeadView, values: dict[str, np.ndarray], tooltip: list[Spec], size: int, upwards: bool = False,
    worked_out: Mapping[str, str] = MappingProxyType({}),
) -> Spec:  # fmt: skip
    """An invisible square on every cell. The cells hold values alone, row by row; the browser counts them.

    What depends on row, column or diagonal alone is looked up. Written into each cell, the places took two thirds of a
    map's data.
    """
    n = view.grid[1]
    cells = pd.DataFrame({name: value.ravel() for name, value in values.items()})
    side = size / (1 + STRIP) / n
    counted = {"query_patch": f"floor((datum.place - 1) / {n})", "key_patch": f"(datum.place - 1) % {n}", **worked_out}
    places, told = _places(view)
    looked_up = [
        {"window": [{"op": "row_number", "as": "place"}]},
        *({"calculate": expression, "as": name} for name, expression in counted.items()),
        *places,
    ]
    encoding = {"x": quantity("key"), "y": quantity("query"), "tooltip": [*tooltip, *told]}
    look = {"size": side**2, "xOffset": side / 2, "yOffset": side / (-2 if upwards else 2), "opacity": 0, "aria": False}
    drawn = layer(cells, "square", encoding=encoding, **look) | {"transform": looked_up}
    return drawn | clicked("cell", ["query_patch", "key_patch"])


def _places(view: HeadView) -> tuple[list[Spec], list[Spec]]:
    """The transforms that look up where a cell is, in samples and, where that is known, in time; and their tooltip."""
    n, spp, clock = view.grid[1], view.samples_per_patch, view.clock
    moments = pd.DataFrame({"patch": range(n), "sample": np.arange(n) * spp})
    lags = pd.DataFrame({"patches": range(1 - n, n), "samples": np.arange(1 - n, n) * spp})
    when, timed = clock.moments_tip(moments["sample"])
    if timed:
        moments = moments.assign(**when)
        lags = lags.assign(time=[_lag_words(clock, lag) for lag in lags["samples"]])
    tooltip = []
    for name, title in (("query", "query from"), ("key", "key from"), ("lag", "lag")):
        tooltip.append(tip(name, "lag, samples" if name == "lag" else f"{title} sample", SAMPLES))
        tooltip += [tip(f"{name}_time", title)] if timed else []
    return [
        {"calculate": "datum.query_patch - datum.key_patch", "as": "lag_patches"},
        *(
            {
                "lookup": f"{name}_{by}",
                "from": {"data": inline(table), "key": by, "fields": [each for each in table if each != by]},
                "as": [name, f"{name}_time"][: 2 if timed else 1],
            }
            for name, by, table in (("query", "patch", moments), ("key", "patch", moments), ("lag", "patches", lags))
        ),
    ], tooltip


def _lag_words(clock: Clock, lag: float) -> str:
    """A lag in time, such as "6.5 days back"."""
    if not lag:
        return "none"
    return f"{in_words(abs(lag), clock.seconds)} {'back' if lag > 0 else 'ahead'}"


def _token_cells(view: HeadView, image: np.ndarray, edges: np.ndarray) -> Spec:
    """An invisible rectangle on every token, row 0 at the bottom."""
    spp = view.samples_per_patch
    row, column = (index.ravel() for index in np.indices(image.shape))
    cells = pd.DataFrame(
        {
            "attention": image.ravel(),
            "token_row": row,
            "token_column": column,
            "x": column * spp,
            "x2": (column + 1) * spp,
            "y": edges[row],
            "y2": edges[row + 1],
        }
    )
    when, told = view.clock.moments_tip(cells["x"])
    cells = cells.assign(**when)
    tooltip = [
        tip("attention", view.unit.title(), view.unit.format),
        tip("x", "key from sample", SAMPLES),
        *told,
        tip("y", "value from", readable(edges)),
        tip("y2", "value to", readable(edges)),
    ]
    rectangles = layer(cells, "rect", encoding=BOX | {"tooltip": tooltip}, opacity=0, aria=False)
    return rectangles | clicked("token", ["token_row", "token_column"])


def _series_over_image(view: HeadView) -> list[Spec]:
    encoding = {"x": quantity("time"), "y": quantity("value"), "order": quantity("time")}
    layers = []
    for part, dash in (("history", [1, 0]), ("forecast", [5, 3])):
        line = tables.part_table(view.ds, part)
        for colour, width in ((CASING, 3.0), (LINE, 1.4)):
            look = {"color": colour, "strokeWidth": width, "strokeDash": dash, "clip": True}
            layers.append(layer(line, "line", encoding=encoding, **look))
    return layers


def _legend(
    colours: Sequence[str], value: Callable[[np.ndarray], np.ndarray], unit: AttentionUnit, of: str, length: int,
    orient: Literal["right", "bottom"] = "right", *, shown: Array,
) -> Spec:  # fmt: skip
    """A colour bar that is linear in shade and labelled with the values themselves; "≥" where some `shown` are beyond.

    Values beyond by less than a hundred-thousandth, as rounding makes them, are not meant.
    """
    steps = 4 if orient == "right" else 2  # as many labels as fit
    shades = np.linspace(0, 1, steps + 1)
    values = np.asarray(value(shades), dtype=np.float64)
    labels, slack = [unit.label(v) for v in values.tolist()], 1e-5 * float(np.abs(values).max())
    if np.nanmin(shown) < values[0] - slack:
        labels[0] = f"≤ {labels[0]}"
    if np.nanmax(shown) > values[-1] + slack:
        labels[-1] = f"≥ {labels[-1]}"
    legend = {
        "title": unit.title(of),
        "orient": orient,
        "direction": "vertical" if orient == "right" else "horizontal",
        "values": shades.tolist(),
        "labelExpr": f"{labels}[round(datum.value * {steps})]",
        "gradientLength": min(length - 60, 240),
        "gradientOpacity": 1,
    }
    scale = {"domain": [0, 1], "range": list(colours)}
    colour = quantity("shade", scale=scale, legend=legend)
    return layer([{"shade": 0}, {"shade": 1}], "point", encoding={"color": colour}, opacity=0)
