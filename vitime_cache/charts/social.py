"""The answer as a card of 1200 × 630 pixels, the format of link previews."""

from __future__ import annotations

import re
from textwrap import wrap

import xarray as xr

from vitime_cache.charts.answer import answer_forecast
from vitime_cache.charts.render import figure_bytes
from vitime_cache.charts.style import CATEGORICAL, NEUTRAL, ChartError
from vitime_cache.evidence.levels.table import KINDS
from vitime_cache.evidence.verdict import schema as vschema
from vitime_cache.evidence.verdict.headline import answer_words, headline
from vitime_cache.evidence.verdict.phrases import period_words
from vitime_cache.shown import html

WIDTH, HEIGHT, MARGIN = 1200, 630, 44
INK, PALE = "#1c2833", "#5f6b76"
AROUND = 106  # pixels of the chart's legend and axis
LETTER = 0.5  # mean width of a letter, relative to its height
COLOURS = {"yes": CATEGORICAL[2], "no": CATEGORICAL[0], "not shown": PALE, "open": PALE}


def social_card(verdict: xr.Dataset) -> bytes:
    """Draw a PNG with the answer, its figures, the forecast with and without that past, and the weights.

    Raises
    ------
    ChartError
        For a verdict without any finished level.
    """
    import vl_convert

    vschema.validate(verdict)
    if not vschema.facts(verdict, "stages"):
        raise ChartError("nothing is known yet about this question: no level has been worked on")
    question, words = vschema.facts(verdict, "question"), answer_words(verdict)
    body = headline(verdict).removeprefix(f"{words}: ")
    note = vschema.facts(verdict, "weights")
    asked = f"{question['signal']}: does the forecast use what lies {period_words(verdict)} back?"
    weights = f"vitime-cache · weights {question['weights']}" + (f": {note}" if note else "")
    colour = COLOURS[KINDS[vschema.kind(verdict.attrs)].answer]
    said, below = _lines(body[:1].upper() + body[1:], 23, 202, 6, INK)
    texts = [
        _lines(asked, 22, 66, 1, PALE)[0],
        f'<text x="{MARGIN}" y="134" font-size="54" font-weight="bold" fill="{colour}">{html(words)}</text>',
        said,
        _lines(weights, 15, HEIGHT - 36, 2, PALE)[0],
    ]
    svg = (
        f'<svg xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink" width="{WIDTH}" '
        f'height="{HEIGHT}" font-family="sans-serif"><rect width="100%" height="100%" fill="white"/>'
        f'<rect width="12" height="100%" fill="{colour}"/>'
        f"{_picture(verdict, below, HEIGHT - 60)}{''.join(texts)}</svg>"
    )
    return bytes(vl_convert.svg_to_png(svg, ppi=72))


def _lines(text: str, size: int, top: int, most: int, colour: str) -> tuple[str, int]:
    """Lines of text that fit the card, the last one cut if there are more, and the top of what follows."""
    lines = wrap(text, int((WIDTH - 2 * MARGIN) / (LETTER * size)), max_lines=most, placeholder=" …")
    shown = "".join(
        f'<text x="{MARGIN}" y="{top + i * 1.35 * size:g}" font-size="{size}" fill="{colour}">{html(line)}</text>'
        for i, line in enumerate(lines)
    )
    return shown, int(top + len(lines) * 1.35 * size)


def _picture(verdict: xr.Dataset, top: int, bottom: int) -> str:
    """The forecast in the remaining room, without the chart's own title."""
    chart = answer_forecast(verdict, width=WIDTH - 2 * MARGIN, height=max(bottom - top - AROUND, 60))
    plain = {name: value for name, value in chart.items() if name != "title"}
    words = {"labelFontSize": 15, "titleFontSize": 15, "titleColor": PALE, "labelColor": PALE}
    plain["config"] = {**chart["config"], "axis": words | {"gridColor": "#eeeeee"}, "legend": words}
    plain["config"]["axisX"] = {**chart["config"].get("axisX", {}), "domainColor": NEUTRAL}
    svg = figure_bytes(plain, "svg").decode()
    placed = f'<svg x="{MARGIN}" y="{top}"'
    return re.sub(r"<svg\b", placed, re.sub(r"^<[?].*?[?]>", "", svg), count=1)
