"""The maps of all layers of a model, one at a time, with a slider in the chart."""

from __future__ import annotations

import pandas as pd
import xarray as xr

from vitime_cache.attention import schema
from vitime_cache.charts.maps import shared_shading, time_map
from vitime_cache.charts.raster import png_url
from vitime_cache.charts.shading import Contrast
from vitime_cache.charts.style import KEEP, SEQUENTIAL, STATED, Spec, assemble, fitted
from vitime_cache.charts.tables import heatmap_table
from vitime_cache.charts.view import HeadView

PLACE = "place"  # parameter of the slider: the layer's place in execution order


def layers_in_order_table(ds: xr.Dataset, head: int) -> pd.DataFrame:
    """layer, head, and the columns of `heatmap_table`, for the head with that number in every layer."""
    layers = [str(name) for name in ds[schema.LAYER].values]
    maps = [heatmap_table(HeadView(ds, name, head)) for name in layers]
    places = [(name, head) for name in layers]
    return pd.concat(maps, keys=places, names=[schema.LAYER, schema.HEAD]).reset_index([schema.LAYER, schema.HEAD])


def layers_in_order(
    ds: xr.Dataset, layer: str, head: int, contrast: Contrast | None = None, *, size: int = 400
) -> Spec:
    """The map of the head with one number in every layer, each on its own colour scale, with a slider over the layers.

    Parameters
    ----------
    layer
        The layer shown at first.
    size
        Width and height in pixels.
    """
    views = [HeadView(ds, str(name), head) for name in ds[schema.LAYER].values]
    urls = [png_url(shared_shading([view], contrast).shade(view.shown_attention), SEQUENTIAL) for view in views]
    picture, *around = time_map(views[0], urls[0], size)
    (box,) = picture["data"]["values"]
    every = [box | {"url": url, PLACE: place} for place, url in enumerate(urls)]
    played = picture | {"data": {"values": every}, "transform": [{"filter": f"datum.{PLACE} == {PLACE}"}]}
    names = [view.layer for view in views]
    slider = {"input": "range", "min": 0, "max": len(names) - 1, "step": 1, "name": "Layer: "}
    chart = assemble(
        [played, *around],
        f"Head {head} of every layer: {views[0].signal}",
        "Each map has its own colour scale. Heads with the same number have nothing else in common",
        width=size, height=size, autosize=KEEP,
    )  # fmt: skip
    heading = fitted(chart["title"], size) | {"text": {"expr": f"'Head {head} of ' + names[{PLACE}]"}}
    parameters = [{"name": "names", "value": names}, {"name": PLACE, "value": names.index(layer), "bind": slider}]
    stated = {STATED: f"Head {head} of {layer}"}
    return chart | {"title": heading, "params": parameters, "usermeta": chart.get("usermeta", {}) | stated}
