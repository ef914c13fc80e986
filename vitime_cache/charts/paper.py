"""Charts as figures of a paper: as wide as its column, with one font size and a caption instead of the title."""

from __future__ import annotations

import re
from dataclasses import dataclass
from string import ascii_lowercase
from typing import Any

import xarray as xr

from vitime_cache._version import __version__
from vitime_cache.attention import schema
from vitime_cache.charts.clock import Clock
from vitime_cache.charts.style import PARTS, STATED, ChartError, Spec, ended
from vitime_cache.evidence.verdict import schema as vschema

COLUMNS = {"single": 3.5, "double": 7.2}  # inches
POINTS = 72  # per inch; a pixel of a chart counts as one point
SIZE = re.compile(r'<svg\b[^>]*?\swidth="([\d.]+)"[^>]*?\sheight="([\d.]+)"')
FLAT, LOWEST = 0.62, 80  # height of a wide chart: at most this share of its width, at least this many points
SMALLEST, LARGEST = 0.1, 10.0  # limits of the factor for widths


@dataclass(frozen=True)
class Paper:
    """The size of a figure and its text.

    Parameters
    ----------
    inches
        Width of the whole figure.
    points
        Font size.

    Raises
    ------
    ChartError
        For a width outside 1 … 40 inches or a font size outside 4 … 40 points.
    """

    inches: float = COLUMNS["single"]
    points: float = 8.0

    def __post_init__(self) -> None:
        if not 1 <= self.inches <= 40:
            raise ChartError(f"a figure's width must be 1 … 40 inches, got {self.inches}")
        if not 4 <= self.points <= 40:
            raise ChartError(f"the font size must be 4 … 40 points, got {self.points}")


def column_svg(chart: Spec, paper: Paper, to_svg: Any) -> str:
    """The chart as an SVG exactly as wide as the column.

    The data area of a figure grows or shrinks; text, legends and axes keep their size. If they alone are wider than the
    column, the whole figure is shrunk.

    Parameters
    ----------
    to_svg
        Renders a chart as SVG.
    """
    plain, wanted = _worded(_untitled(chart), paper.points), paper.inches * POINTS
    factor = wanted / _size(to_svg(_scaled(plain, 1.0)))[0]
    first = _size(to_svg(_scaled(plain, factor)))[0]
    second_factor = _within(factor * 0.9)
    second = _size(to_svg(_scaled(plain, second_factor)))[0]
    grows = (first - second) / (factor - second_factor) if factor != second_factor else 0.0
    if grows > 0:  # width = a part proportional to the factor + a constant part
        factor = _within(factor + (wanted - first) / grows)
    svg = str(to_svg(_scaled(plain, factor)))
    width, height = _size(svg)
    found = SIZE.search(svg)
    assert found is not None
    head = found[0]
    exact = head.replace(f'width="{found[1]}"', f'width="{wanted:g}"', 1)
    exact = exact.replace(f'height="{found[2]}"', f'height="{height * wanted / width:.6g}"', 1)
    return svg.replace(head, exact, 1)


def caption(chart: Spec, *datasets: xr.Dataset) -> str:
    """A caption: what the figure shows, for which window, by which weights and method.

    Parameters
    ----------
    datasets
        Those of the chart: one signal's attention each, or a verdict.
    """
    titles, facts = _titles(chart, str(chart.get("usermeta", {}).get(STATED, ""))), [*map(_facts, datasets)]
    # what is told of several Datasets stands together: windows, weights, method
    said = [*titles, *(text for texts in zip(*facts, strict=True) for text in texts)]
    return " ".join(map(ended, dict.fromkeys(said)))


def _facts(ds: xr.Dataset) -> list[str]:
    return _of_verdict(ds) if vschema.CLAIM in ds.dims else _of_attention(ds)


def _of_attention(ds: xr.Dataset) -> list[str]:
    names = (schema.N_HISTORY, schema.HORIZON, schema.SAMPLES_PER_PATCH)
    history, horizon, patch = (Clock.of(ds).span(ds[name].item()) for name in names)
    window = f"Signal {schema.name_of(ds)}: {history} of history and a forecast of {horizon}, {patch} a patch."
    method = "Attention after the softmax, by time: mean over the rows of the image, CLS left out"
    return [window, _weights(ds.attrs), f"{method} (vitime-cache {__version__})."]


def _of_verdict(verdict: xr.Dataset) -> list[str]:
    question, window = vschema.facts(verdict, "question"), vschema.facts(verdict, "window_facts")
    told = {**question, "weights_note": vschema.facts(verdict, "weights")}
    return [
        f"Signal {question['signal']}.",
        str(window["words"]),
        _weights(told),
        f"Level {question['level']}, seed {question['seed']}, method {question['method']}, vitime-cache {__version__}.",
    ]


def _weights(told: Any) -> str:
    note = f": {told['weights_note']}" if told["weights_note"] else ""
    return f"Weights {told['weights']} (SHA-256 {str(told['weights_sha256'])[:12]}, {told['dtype']}){note}."


def _titles(chart: Spec, stated: str) -> list[str]:
    """Titles and subtitles of a chart and its parts; parts with their letter in the figure.

    Parameters
    ----------
    stated
        What a title says first that changes as one points at the chart.
    """
    title = chart.get("title", {})
    heading = {"text": title} if isinstance(title, str) else title
    text = heading.get("text", "")
    said = [_one_line(each) for each in (stated if isinstance(text, dict) else text, heading.get("subtitle", ""))]
    for letter, part in zip(ascii_lowercase, parts := _parts(chart), strict=False):
        told = " ".join(map(ended, _titles(part, stated)))
        said.append(f"({letter}) {told}" if told and len(parts) > 1 else told)
    return [text for text in said if text]


def _one_line(text: object) -> str:
    lines = text if isinstance(text, list) else [text]
    return " ".join(map(str, lines))


def _parts(chart: Spec) -> list[Spec]:
    return [part for name in PARTS for part in chart.get(name, [])]


def _untitled(chart: Spec, letter: str = "") -> Spec:
    """The chart without titles; several parts get letters."""
    kept = {name: value for name, value in chart.items() if name not in ("title", "autosize")}
    for name in PARTS:
        if name in kept:
            letters = ascii_lowercase if len(kept[name]) > 1 else ""
            kept[name] = [_untitled(part, letters[i : i + 1]) for i, part in enumerate(kept[name])]
    return kept | ({"title": {"text": letter, "anchor": "start"}} if letter else {})


def _worded(chart: Spec, points: float) -> Spec:
    """The chart with one font size everywhere."""

    def resized(value: Any) -> Any:
        if isinstance(value, dict):
            return {
                key: points if key == "fontSize" else each if key == "data" else resized(each)
                for key, each in value.items()
            }
        return [resized(each) for each in value] if isinstance(value, list) else value

    words = {"labelFontSize": points, "titleFontSize": points}
    legend = words | {"gradientThickness": points}
    header = {"axis": words, "legend": legend, "text": {"fontSize": points}, "title": {"fontSize": points + 1}}
    config = {**chart.get("config", {})}
    config |= {name: {**config.get(name, {}), **each} for name, each in header.items()}
    return {**resized(chart), "config": config}


def _scaled(chart: Spec, factor: float) -> Spec:
    """The chart with its widths multiplied; a square one stays square."""
    made = dict(chart)
    for name in PARTS:
        if name in made:
            made[name] = [_scaled(part, factor) for part in made[name]]
    width, height = chart.get("width"), chart.get("height")
    if isinstance(width, int | float):
        made["width"] = width * factor
        if width == height:
            made["height"] = height * factor
            made = _shorter_legends(made, 0.8 * height * factor)
        elif isinstance(height, int | float) and width > height:  # else it would be higher than wide in a narrow column
            made["height"] = min(height, max(FLAT * width * factor, LOWEST))
    return made


def _shorter_legends(value: Any, most: float) -> Any:
    if isinstance(value, dict):
        return {
            key: min(each, most) if key == "gradientLength" else each if key == "data" else _shorter_legends(each, most)
            for key, each in value.items()
        }
    return [_shorter_legends(each, most) for each in value] if isinstance(value, list) else value


def _size(svg: str) -> tuple[float, float]:
    found = SIZE.search(svg)
    if found is None:
        raise ChartError("the drawing has no size")
    return float(found[1]), float(found[2])


def _within(factor: float) -> float:
    return min(max(factor, SMALLEST), LARGEST)
