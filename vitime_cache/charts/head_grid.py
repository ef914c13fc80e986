"""What pictures of all heads share: layers down, heads across, and a click on a head."""

from __future__ import annotations

from collections.abc import Sequence

import xarray as xr
from numpy.typing import ArrayLike

from vitime_cache.attention import schema
from vitime_cache.charts.raster import mosaic, png_url
from vitime_cache.charts.style import Spec, category, clicked, layer

HEAD_CLICK = clicked("head", [schema.LAYER, schema.HEAD])
MARGIN = 90  # pixels for the names of layers
MOST_PIXELS = 600_000  # of a picture of many heads: more make a page slow and are not visible on a screen


def head_axes(ds: xr.Dataset) -> Spec:
    """The channels x and y of a chart over (layer, head), with the labels of both."""
    bare = {"domain": False, "ticks": False, "labelFlush": False}
    ordinal = {"type": "ordinal", "sort": None}
    x = {"field": schema.HEAD, "title": "head", "axis": {"orient": "top", "labelAngle": 0, **bare}}
    y = {"field": schema.LAYER, "title": None, "axis": bare}
    heads, layers = [int(each) for each in ds[schema.HEAD].values], [str(each) for each in ds[schema.LAYER].values]
    return {
        "x": x | ordinal | {"scale": {"domain": heads, "padding": 0}},
        "y": y | ordinal | {"scale": {"domain": layers, "padding": 0}},
    }


def pictures_of_heads(shades: ArrayLike, colours: Sequence[str]) -> Spec:
    """One image over the whole chart, of shades 0 … 1 on (layer, head, rows, columns); NaN is transparent."""
    whole = {"x": {"value": 0}, "x2": {"value": "width"}, "y": {"value": 0}, "y2": {"value": "height"}}
    url = png_url(mosaic(shades), colours)
    return layer([{"url": url}], "image", encoding=whole | {"url": category("url")}, aspect=False)
