"""All layers and heads at a glance; both charts have the point selection "head" with fields `layer` and `head`."""

from __future__ import annotations

import numpy as np
import xarray as xr

from vitime_cache.attention import measures as head_measures
from vitime_cache.attention import schema
from vitime_cache.attention.lags import MIN_PAIRS
from vitime_cache.charts.claims import STRONG, claims_grid_table
from vitime_cache.charts.head_grid import HEAD_CLICK, MARGIN, MOST_PIXELS, head_axes, pictures_of_heads
from vitime_cache.charts.raster import shrink, sparks
from vitime_cache.charts.shading import Contrast, Shading
from vitime_cache.charts.style import (
    FORECAST,
    NEUTRAL,
    PALE,
    SEQUENTIAL,
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
    tip,
    told,
)
from vitime_cache.charts.tables import measures_table
from vitime_cache.evidence.levels.table import CLAIMS
from vitime_cache.evidence.verdict import schema as vschema
from vitime_cache.numerals import NUMBER, SHORT

WIDTH, HEIGHT = 1120, 860  # pixels that fit a screen
ROW = 30  # pixels per layer in the matrix
SPARK, SPARK_SHADE = 0.3, 0.5  # height of a lag curve relative to a map, and its shade on the scale of the maps
DOT = {"supported": STRONG, "inconclusive": NEUTRAL, "not supported": PALE}
DOTS = f"Dots: {', '.join(claim.title.lower() for claim in CLAIMS)}; green: supported, ring: inconclusive, grey: not."


def head_matrix(measures: xr.Dataset, name: str, *, selected: tuple[str, int] | None = None) -> Spec:
    """Layers × heads coloured by one measure, with every measure in the tooltip.

    Parameters
    ----------
    measures
        From `measures.head_measures`.
    name
        The measure that colours the cells.
    selected
        Layer and head to frame.
    """
    if name not in measures:
        raise ChartError(f"no measure {name!r}; there are {', '.join(map(str, measures.data_vars))}")
    layers = [str(name) for name in measures[schema.LAYER].values]
    table = measures_table(measures)
    known = table[name].dropna()
    low, high = (float(known.min()), float(known.max())) if len(known) else (0.0, 1.0)
    legend = {
        "title": measures[name].attrs["units"], "format": NUMBER, "orient": "bottom", "direction": "horizontal",
        "gradientLength": 240, "values": [low, (low + high) / 2, high],
    } if len(known) else None  # fmt: skip
    scale = {"range": list(SEQUENTIAL), "domain": [low, high], "zero": False, "nice": False}
    axes = head_axes(measures)
    light = {"test": f"datum[{name!r}] > {low + 0.6 * (high - low):.6g}", "value": "#000000"}
    numbers = axes | {"text": quantity(name, format=SHORT), "color": {"condition": light, "value": "#ffffff"}}
    return assemble(
        [
            layer(
                table,
                "rect",
                encoding=axes | {"color": quantity(name, scale=scale, legend=legend)},
            ),
            *([layer(table.dropna(subset=[name]), "text", encoding=numbers, fontSize=11)] if len(known) else []),
            *_framed(selected),
            layer(told(table, map(str, measures)), "rect", encoding=axes | {"tooltip": _tooltip(measures)}, opacity=0)
            | HEAD_CLICK,  # above the numbers, because they would take the click
        ],
        f"Every head: {measures[name].attrs['long_name']}",
        [
            f"Signal {measures[schema.SIGNAL].values}.",
            *_unseen(measures, name),
            *(["Blank: no figure."] if 0 < len(known) < len(table) else []),
        ],
        width=WIDTH,
        height=ROW * len(layers),
        autosize=STRETCH,
    )


def small_multiples(
    ds: xr.Dataset,
    measures: xr.Dataset | None = None,
    contrast: Contrast | None = None,
    *,
    shared: bool = False,
    selected: tuple[str, int] | None = None,
    verdict: xr.Dataset | None = None,
    width: int = WIDTH,
) -> Spec:
    """Every head in one picture, layers down, heads across: its map, its lag curve below, and dots of its verdict.

    Parameters
    ----------
    measures
        From `measures.head_measures`, for the tooltips; computed if None.
    shared
        Use one colour scale for all heads; otherwise each head has its own, which shows faint heads too.
    verdict
        A verdict on the heads, drawn as a dot for each claim.
    """
    maps = shrink(ds[schema.TIME_ATTENTION].transpose(schema.LAYER, schema.HEAD, ...).values, MOST_PIXELS)
    how = contrast or Contrast()
    if shared:
        shades = Shading.fit(maps, how).shade(maps)
    else:
        shades = np.stack([[Shading.fit(head, how).shade(head) for head in row] for row in maps])
    strip = max(round(SPARK * maps.shape[-1]), 4)
    drawn = sparks(_past_curves(ds), strip, maps.shape[-1], SPARK_SHADE)
    blank = np.full((*maps.shape[:2], max(strip // 2, 2), maps.shape[-1]), np.nan)
    cells = np.concatenate([shades, blank[..., :1, :], drawn, *([blank] if verdict is not None else [])], axis=-2)
    numbers = measures if measures is not None else head_measures.head_measures(ds)
    encoding = head_axes(ds) | {"tooltip": _tooltip(numbers)}
    layers, heads = ds.sizes[schema.LAYER], ds.sizes[schema.HEAD]
    wide = min((width - MARGIN) / heads, 130)
    high = wide * cells.shape[-2] / cells.shape[-1]
    scale = "one colour scale for all" if shared else "each head on its own colour scale"
    said = subtitle_lines(
        f"Query downwards, key to the right; {scale}.",
        "Below each map: attention against lag to the past, each head on its own scale.",
        *([DOTS] if verdict is not None else []),
        width=width,
    )
    return assemble(
        [
            pictures_of_heads(cells, SEQUENTIAL),
            layer(told(measures_table(numbers), map(str, numbers)), "rect", encoding=encoding, opacity=0) | HEAD_CLICK,
            *_dots(verdict),
            *_framed(selected),
        ],
        f"Every head's map: {ds[schema.SIGNAL].values}",
        said,
        width=wide * heads + MARGIN,
        height=high * layers + above(said),
        autosize=SHRINK,
    )


def _past_curves(ds: xr.Dataset) -> np.ndarray:
    """Mean attention against lag to the past, (layer, head, lag), for lags with enough pairs."""
    curves = ds[schema.LAG_ATTENTION].transpose(schema.LAYER, schema.HEAD, schema.LAG)
    lag = ds[schema.LAG].values
    shown: np.ndarray = curves.values[..., (lag > 0) & (lag <= ds.sizes[schema.QUERY_PATCH] - MIN_PAIRS)]
    return shown


def _dots(verdict: xr.Dataset | None) -> list[Spec]:
    """A dot for each claim about each head: filled if there is a verdict, a ring if it is inconclusive."""
    if verdict is None:
        return []
    table = claims_grid_table(verdict)[[schema.LAYER, schema.HEAD, vschema.CLAIM, "verdict"]]
    table = table[table["verdict"].isin(DOT)]
    colour = category("verdict", scale={"domain": list(DOT), "range": list(DOT.values())}, legend=None)
    inside = {"condition": {"test": "datum.verdict == 'inconclusive'", "value": "transparent"}} | colour
    layers = []
    for place, claim in enumerate(CLAIMS, start=1):
        encoding = {
            "x": {"field": schema.HEAD, "type": "ordinal", "bandPosition": place / (len(CLAIMS) + 1)},
            "y": {"field": schema.LAYER, "type": "ordinal", "bandPosition": 0.94},
            "stroke": colour,
            "fill": inside,
        }
        if len(of := table[table[vschema.CLAIM] == claim.name]):
            layers.append(layer(of, "point", encoding=encoding, size=22, opacity=1, strokeWidth=1))
    return layers


def _unseen(measures: xr.Dataset, name: str) -> list[str]:
    """Why a measure is missing for all heads, if known."""
    return [measures.attrs["unseen"]] if "unseen" in measures.attrs and measures[name].isnull().all() else []


def _tooltip(measures: xr.Dataset) -> list[Spec]:
    numbers = [
        tip(str(name), f"{str(name).replace('_', ' ')}, {values.attrs['units']}")
        for name, values in measures.data_vars.items()
    ]
    return [tip(schema.LAYER, "layer"), tip(schema.HEAD, "head", "d"), *numbers]


def _framed(selected: tuple[str, int] | None) -> list[Spec]:
    if selected is None:
        return []
    place = [{schema.LAYER: selected[0], schema.HEAD: int(selected[1])}]
    encoding = {name: {"field": field, "type": "ordinal"} for name, field in (("x", schema.HEAD), ("y", schema.LAYER))}
    return [
        layer(place, "rect", encoding=encoding, fillOpacity=0, stroke=colour, strokeWidth=width)
        for colour, width in (("#ffffff", 4), (FORECAST, 2.5))
    ]
