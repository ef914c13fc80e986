"""Renders charts to files and notebooks."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, get_args

from vitime_cache.charts.paper import Paper, column_svg
from vitime_cache.charts.style import PARTS, ChartError, Spec
from vitime_cache.checks import choice

if TYPE_CHECKING:
    import altair as alt


FileFormat = Literal["png", "svg", "pdf"]


def figure_bytes(
    chart: Spec, file_format: FileFormat = "png", dpi: float = 200, *, paper: Paper | None = None
) -> bytes:
    """The chart as a PNG at `dpi` dots per inch, or as an SVG or PDF, on white.

    Parameters
    ----------
    paper
        Makes a figure for a paper: as wide as its column, without the title, which belongs in the caption
        (`charts.caption`).

    Raises
    ------
    ChartError
        For an unknown format or a resolution outside 36 … 1200.
    """
    import vl_convert

    choice(file_format, "format", get_args(FileFormat), error=ChartError)
    if not 36 <= dpi <= 1200:
        raise ChartError(f"the resolution must be 36 … 1200 dots per inch, got {dpi}")
    on_white = _still(chart) | {"background": "white"}
    if paper is None and file_format == "png":
        return bytes(vl_convert.vegalite_to_png(on_white, ppi=dpi))
    draw = vl_convert.vegalite_to_svg
    svg = str(draw(on_white)) if paper is None else column_svg(on_white, paper, draw)
    if file_format == "svg":
        return svg.encode()
    return bytes(vl_convert.svg_to_pdf(svg) if file_format == "pdf" else vl_convert.svg_to_png(svg, ppi=dpi))


def small_png(chart: Spec, dpi: float = 96, colours: int = 200) -> bytes:
    """The chart as a PNG with few colours, a third of the size, to be embedded in a page."""
    from io import BytesIO

    from PIL import Image

    small = BytesIO()
    drawn = Image.open(BytesIO(figure_bytes(chart, "png", dpi)))
    flat = Image.new("RGB", drawn.size, "white")
    flat.paste(drawn)
    flat.quantize(colours, dither=Image.Dither.NONE).save(small, "PNG", optimize=True)
    return small.getvalue()


def altair_chart(chart: Spec) -> alt.TopLevelMixin:
    """The chart as an Altair object, checked against the schema, which displays itself in notebooks."""
    import altair as alt

    if "concat" in chart:
        return alt.ConcatChart.from_dict(chart)
    return (alt.VConcatChart if "vconcat" in chart else alt.LayerChart).from_dict(chart)


def vega_embed_module() -> str:
    """URL of Vega's embedding module, in the version that charts are checked against."""
    import altair as alt

    return (
        f"https://esm.sh/vega-embed@{alt.VEGAEMBED_VERSION}?deps=vega@{alt.VEGA_VERSION}"
        f"&deps=vega-lite@{alt.VEGALITE_VERSION}"
    )


def _still(chart: Spec) -> Spec:
    """The chart without invisible layers that only have tooltips; they are most of a heatmap's size."""
    if "params" in chart:
        chart = chart | {"params": [held for each in chart["params"] if (held := _held(each))]}
    for together in PARTS:
        if together in chart:
            return chart | {together: [_still(part) for part in chart[together]]}
    return chart | {"layer": [layer for layer in chart["layer"] if not _only_answers_to_a_mouse(layer)]}


def _held(parameter: Spec) -> Spec | None:
    """A parameter at its initial value; a selection on removed layers becomes a constant, or None."""
    if "views" not in parameter:
        return parameter
    if "value" not in parameter:
        return None
    first = {field: [value] for field, value in parameter["value"][0].items()}
    return {"name": parameter["name"], "value": first}


def _only_answers_to_a_mouse(layer: Spec) -> bool:
    draws_axes = any("axis" in channel for channel in layer["encoding"].values())
    return layer["mark"].get("opacity") == 0 and "tooltip" in layer["encoding"] and not draws_axes
