"""Shared parts of all charts: colours, compact inline data, and small builders for Vega-Lite.

A chart is a Vega-Lite dictionary. Building and checking the same charts as Altair objects took ten times as long, which
is too slow for a page; instead, the tests check every chart against Altair's copy of the schema.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from itertools import groupby
from operator import itemgetter
from textwrap import wrap
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from vitime_cache.errors import VitimeError
from vitime_cache.numerals import LOCALE, number

Spec = dict[str, Any]


class ChartError(VitimeError):
    """Something that cannot be drawn: a head that does not exist, two maps with different axes."""


SCHEMA = "https://vega.github.io/schema/vega-lite/v6.json"

# Viridis and ColorBrewer's PuOr: perceptually uniform and colour-blind safe, dark to light.
SEQUENTIAL = (
    "#440154", "#482878", "#3e4989", "#31688e", "#26828e", "#1f9e89", "#35b779", "#6ece58", "#b5de2b", "#fde725",
)  # fmt: skip
DIVERGING = (
    "#2d004b", "#542788", "#8073ac", "#b2abd2", "#d8daeb", "#f7f7f7", "#fee0b6", "#fdb863", "#e08214", "#b35806",
    "#7f3b08",
)  # fmt: skip
# Okabe and Ito's colours, without black and yellow, which are invisible in one of the two themes.
CATEGORICAL = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9")
HISTORY, FORECAST = CATEGORICAL[0], CATEGORICAL[1]
# The same for a dark background: equally distinct, with a contrast of 6 or more.
ON_DARK = dict(zip(CATEGORICAL, ("#4aa8ff", "#ff9248", "#3ddba8", "#f2a6d1", "#ffc94d", "#a6e1ff"), strict=True))
TEXT = "#6a6a6a"  # contrast 5.4 on white
ON_DARK[TEXT] = "#a5a5a5"  # and 7 on the dark background
PALE = "#c4c4c4"  # of what stands back, such as a claim that is not supported
ON_DARK[PALE] = "#5c5c5c"
ON_PALE, ON_FULL = "#2b2b2b", "#fefefe"  # words on a cell of little and of full colour
ON_DARK |= {ON_PALE: "#fafafa", ON_FULL: "#0e1117"}
NEUTRAL = "#868686"  # readable on white and on Streamlit's dark background: contrast 3.7 and 5.2


# How a chart uses its width: a map keeps its size, so that cells stay square; curves stretch to the width of a page; a
# matrix of heads shrinks as a whole.
KEEP: Spec = {"type": "pad"}
STRETCH: Spec = {"type": "fit-x", "contains": "padding"}
SHRINK: Spec = {"type": "fit", "contains": "padding"}

MOST_POINTS = 1200  # of a line: more are no finer on a screen
NARROW = 360  # pixels: a line of a subtitle this long fits the narrowest screen
LETTER = 6.4  # pixels of a subtitle's letter
TOGETHER = re.compile(  # spaces where no line ends: "head 6", "slope 1", "95 %", "5.8 × even", "0.5 … 0.6"
    r"(?<=\bhead) (?=\d)|(?<=\bslope) (?=\d)|(?<=\d) (?=%|× )|(?<=×) (?=even)|(?<=\d) (?=… )|(?<=…) (?=\S)"
)

STATED = "stated"  # key of a chart's usermeta: what a title says first that changes as one points at the chart
ON_CANVAS: Spec = {"embedOptions": {"renderer": "canvas"}}
# Labels within 12 pixels of an axis's end are moved inwards, and numbers are short, so that neither is cut off.
# A mark without a tooltip gets none. Streamlit would show its raw fields: of a band those of its first point anywhere.
CONFIG: Spec = {"axisX": {"labelFlush": 12}, "numberFormat": ",.12~g", "locale": LOCALE, "mark": {"tooltip": None}}
PARTS = ("vconcat", "hconcat", "concat")  # keys of the parts of a chart of charts
TOP_LEVEL = ("$schema", "background", "autosize", "config", "usermeta")  # keys of the outermost chart only


def assemble(
    layers: Sequence[Spec],
    title: str,
    subtitle: str | Sequence[str] = "",
    *,
    width: float,
    height: float,
    autosize: Spec,
) -> Spec:
    """Combine layers to one chart with a title, on a transparent background."""
    lines = [ended(subtitle)] if isinstance(subtitle, str) else list(subtitle)
    heading = {
        "text": title,
        "subtitle": lines if len(lines) > 1 else lines[0],
        "subtitleColor": TEXT,
        "anchor": "start",
        "offset": 8,
    }
    chart = {
        "$schema": SCHEMA,
        "description": f"{title}. {' '.join(lines)}",
        "title": heading,
        "width": width,
        "height": height,
        "autosize": autosize,
        "background": "transparent",
        "config": CONFIG,
        "view": {"stroke": None},
        "layer": list(layers),
    }
    # Thousands of cells are faster on a canvas than as SVG elements.
    return chart if autosize is STRETCH else chart | {"usermeta": ON_CANVAS}


def subtitle_lines(*sentences: str, width: float = NARROW) -> list[str]:
    """Wrap sentences to lines of a subtitle that are no wider than `width` pixels; each sentence ends with a mark."""
    longest = int(max(width, NARROW) / LETTER)
    return [line for sentence in sentences if sentence for line in _lines(ended(sentence), longest)] or [""]


def ended(sentence: str) -> str:
    """The sentence with a full stop, so that it is told from the next line: on a phone, in a caption, read aloud."""
    return sentence if not sentence or sentence.endswith((".", "!", "?")) else f"{sentence}."


def fitted(heading: Spec, width: float) -> Spec:
    """A title with its subtitle, wrapped to a width in pixels."""

    def broken(text: Any, letter: float) -> Any:
        lines = [text] if isinstance(text, str) else text
        if not isinstance(lines, list):
            return text  # an expression
        # A line that ends no sentence goes on in the next one: it was wrapped before.
        sentences = re.sub(r"(?<![.!?])\n", " ", "\n".join(lines)).split("\n")
        parts = [part for sentence in sentences for part in _wrapped(sentence, max(int(width / letter), 20))]
        return lines[0] if len(parts) == 1 else parts

    return heading | {"text": broken(heading["text"], 7.6), "subtitle": broken(heading["subtitle"], 5.8)}


def above(subtitle: Sequence[str]) -> int:
    """Pixels above a matrix of heads in the app's fonts: the title, its subtitle's lines, the numbers of the heads."""
    return 96 + 14 * len(subtitle)


def axes_fitted(chart: Spec, width: float) -> Spec:
    """The chart with the titles of its horizontal axes wrapped to a width in pixels."""
    shown = chart | {"layer": [axes_fitted(each, width) for each in chart["layer"]]} if "layer" in chart else chart
    x = chart.get("encoding", {}).get("x", {})
    if not isinstance(title := x.get("title"), str) or len(parts := _wrapped(title, max(int(width / 6.2), 20))) < 2:
        return shown
    return shown | {"encoding": chart["encoding"] | {"x": x | {"title": parts}}}


def _wrapped(sentence: str, most: int) -> list[str]:
    """Lines of at most so many letters; if it takes no more of them, the last has more than one word."""
    lines = _lines(sentence, most)
    narrower = (_lines(sentence, letters) for letters in range(most, most * 2 // 3, -1))
    return next((each for each in narrower if len(each) == len(lines) and " " in each[-1]), lines)


def _lines(sentence: str, most: int) -> list[str]:
    """Lines of at most so many letters; no name is parted at a hyphen, and nothing that belongs together."""
    whole = TOGETHER.sub("\N{NO-BREAK SPACE}", sentence)
    return [line.replace("\N{NO-BREAK SPACE}", " ") for line in wrap(whole, most, break_on_hyphens=False)]


def for_dark(chart: Spec) -> Spec:
    """The chart with colours for a dark background."""
    if isinstance(chart, dict):
        return {key: value if key == "data" else for_dark(value) for key, value in chart.items()}
    if isinstance(chart, list):
        return [for_dark(each) for each in chart]
    return ON_DARK.get(chart, chart) if isinstance(chart, str) else chart


def data_once(chart: Any) -> Any:
    """The same picture with the data that layers one after another share written once, in a layer of layers."""
    if isinstance(chart, list):
        return [data_once(each) for each in chart]
    if not isinstance(chart, dict) or "data" in chart:
        return chart
    if "layer" not in chart:
        return {key: data_once(value) if key in PARTS else value for key, value in chart.items()}
    layers: list[Spec] = []
    for data, group in groupby(chart["layer"], itemgetter("data")):
        those = list(group)
        without = [{key: value for key, value in each.items() if key != "data"} for each in those]
        layers += those if len(those) == 1 else [{"data": data, "layer": without}]
    return chart | {"layer": layers}


def beside(charts: Sequence[Spec], columns: int | None = None) -> Spec:
    """Charts side by side, in rows of `columns`."""
    parts = [{key: value for key, value in chart.items() if key not in TOP_LEVEL} for chart in charts]
    outer = {key: value for key, value in charts[0].items() if key in TOP_LEVEL and key != "autosize"}
    return outer | {"concat": parts, "columns": columns or len(parts)}


def layer(data: pd.DataFrame | Iterable[Spec], mark: str, *, encoding: Spec, **properties: Any) -> Spec:
    """One layer: a mark with its properties over a table or a few records."""
    source = inline(data) if isinstance(data, pd.DataFrame) else {"values": list(data)}
    return {"data": source, "mark": {"type": mark, **properties}, "encoding": encoding}


def inline(frame: pd.DataFrame) -> Spec:
    """A table as CSV text inside the chart: a fifth of the size of JSON records.

    A column is written to a hundred-thousandth of its span, more than a screen can show. `DataFrame.to_csv` would take
    most of the time of building a chart.
    """
    columns = {str(name): column.to_numpy() for name, column in frame.items()}
    numbers = dict.fromkeys((name for name, column in columns.items() if column.dtype.kind in "iuf"), "number")
    texts = [map(_writer(column), column.tolist()) for column in columns.values()]
    lines = [",".join(columns), *map(",".join, zip(*texts, strict=True))]
    return {"values": "\n".join(lines), "format": {"type": "csv", "parse": numbers}}


def significant(values: ArrayLike, least: int = 5) -> int:
    """Digits that resolve 10^-`least` of the values' span: more than `least` if they are far from zero."""
    known = np.asarray(values, dtype=np.float64)
    known = known[np.isfinite(known)]
    span = float(np.ptp(known)) if known.size else 0.0
    if span == 0:
        return 9  # a constant column: enough digits for float32
    return min(least + max(int(np.ceil(np.log10(np.abs(known).max() / span))), 0), 17)


def readable(values: ArrayLike) -> str:
    """A d3 format for tooltips that resolves the values of a column."""
    return f".{significant(values, 4)}~g"


def _writer(column: np.ndarray) -> Callable[[Any], str]:
    """The function that writes a value of a column as text."""
    if column.dtype.kind in "iu":
        return str
    return f"{{:.{significant(column)}g}}".format if column.dtype.kind == "f" else _quoted


def _quoted(text: str) -> str:
    return '"' + text.replace('"', '""') + '"'


def quantity(field: str, title: str | None = None, **options: Any) -> Spec:
    """A quantitative channel; the axis takes its title from the only layer that has one."""
    return {"field": field, "type": "quantitative"} | ({"title": title} if title else {}) | options


def around(table: pd.DataFrame, step: float) -> tuple[pd.DataFrame, Spec]:
    """The table and the channels of boxes `step` wide around its lags: invisible, they tell the lag one is above."""
    boxes = table.assign(before=table["lag"] - step / 2, after=table["lag"] + step / 2)
    return boxes, {"x": quantity("before"), "x2": {"field": "after"}}


def category(field: str, title: str | None = None, **options: Any) -> Spec:
    """A nominal channel."""
    return {"field": field, "type": "nominal"} | ({"title": title} if title else {}) | options


def tip(field: str, title: str, number_format: str | None = None) -> Spec:
    """One line of a tooltip: a number in a d3 format, or text without one."""
    if number_format is None:
        return category(field, title)
    return quantity(field, title, format=number_format)


def told(table: pd.DataFrame, columns: Iterable[str], digits: int = 3) -> pd.DataFrame:
    """The table with columns of numbers as text, for tooltips: a format of d3 writes a missing number as "NaN"."""
    return table.assign(**{name: [number(value, digits) for value in table[name]] for name in columns})


def clicked(name: str, fields: Sequence[str]) -> Spec:
    """A click selection that reports `fields` under `name`, to be merged into a layer."""
    return {"params": [{"name": name, "select": {"type": "point", "fields": list(fields), "toggle": False}}]}


def ticks(start: float, stop: float, count: int = 7) -> list[float]:
    """Round numbers from start to stop, at steps of 1, 2 or 5 times a power of ten."""
    raw = max(stop - start, 1e-12) / count
    magnitude = 10.0 ** np.floor(np.log10(raw))
    step = next(m * magnitude for m in (1, 2, 5, 10) if m * magnitude >= raw * (1 - 1e-9))
    return [float(v) for v in np.arange(np.ceil(start / step), np.floor(stop / step + 1e-9) + 1) * step]


def thin(time: np.ndarray, values: np.ndarray, limit: int | None) -> pd.DataFrame:
    """time and value of about `limit` points at most that keep the envelope: minimum and maximum of each stretch."""
    if limit is not None and len(values) > limit:
        stretches = np.array_split(np.arange(len(values)), limit // 2)
        kept = np.unique([i for s in stretches for i in (s[values[s].argmin()], s[values[s].argmax()])])
        time, values = time[kept], values[kept]
    return pd.DataFrame({"time": time, "value": values})


def thin_range(band: pd.DataFrame, low: str, high: str, limit: int = MOST_POINTS) -> pd.DataFrame:
    """A range in rows of increasing time, of about `limit` rows that enclose it: the bounds of each stretch, twice."""
    if len(band) <= limit:
        return band
    stretch = np.arange(len(band)) * (limit // 2) // len(band)
    bounds = band.groupby(stretch)
    border = np.diff(stretch) > 0
    ends = np.append(True, border) | np.append(border, True)
    bounded = band.assign(**{low: bounds[low].transform("min"), high: bounds[high].transform("max")})
    thinned: pd.DataFrame = bounded[ends]
    return thinned
