"""A verdict as one page that needs nothing else: the sentences, the table, a head's pictures, every number.

Pictures are inline SVG, numbers are a JSON block that other programs can read back. Nothing of a verdict is markup:
names come from people's files, so all text is escaped, and the page forbids itself scripts and requests.
"""

from __future__ import annotations

import re
from collections.abc import Callable

import xarray as xr

from vitime_cache.charts.ladder import looking_chart
from vitime_cache.charts.render import figure_bytes
from vitime_cache.charts.style import ChartError, Spec
from vitime_cache.charts.verdicts import asked_window, verdict_curve, verdict_effect, verdict_sweep
from vitime_cache.evidence.agreement import looking_and_mattering
from vitime_cache.evidence.rungs import RUNGS
from vitime_cache.evidence.verdict import schema as v
from vitime_cache.evidence.verdict.report import MARKS, head_order, to_json, together, verdict_table
from vitime_cache.shown import html

MOST_ROWS = 48
POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src data:"
STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; max-width: 62rem; margin: 2rem auto; padding: 0 1rem; color: #222 }
h1 { font-size: 1.5rem } h2 { font-size: 1.15rem; margin-top: 2rem } svg { max-width: 100%; height: auto }
table { border-collapse: collapse; font-variant-numeric: tabular-nums }
th, td { padding: .15rem .6rem; text-align: right; white-space: nowrap }
th:first-child, td:first-child { text-align: left } tr:nth-child(even) { background: #f6f6f6 }
.supported { color: #00613f; font-weight: 600 } .not-supported { color: #8a3b00 }
.small { color: #666; font-size: .87rem }
"""


def verdict_card(verdict: xr.Dataset, layer: str | None = None, head: int | None = None) -> str:
    """The page, as HTML.

    Parameters
    ----------
    layer, head
        The head whose pictures are shown; the best one of the verdict by default.

    Raises
    ------
    ChartError
        For a head that the verdict has nothing about.
    """
    v.validate(verdict)
    if layer is None or head is None:
        first = head_order(verdict)[0]
        layer, head = str(verdict["layer"].values[first[0]]), int(verdict["head"].values[first[1]])
    question, window, said = (v.facts(verdict, name) for name in ("question", "window_facts", "sentences"))
    title = f"{question['signal']}: what looks {question['period']:.4g} samples back?"
    unsettled = "" if v.complete(verdict) else "<p><b>Not finished: some rungs have not been worked on.</b></p>"
    agreement = looking_and_mattering(verdict)
    pictures = [
        _picture(lambda: asked_window(verdict)),
        _picture(lambda: verdict_curve(verdict, layer, head)),
        _picture(lambda: verdict_sweep(verdict, layer, head)),
        _picture(lambda: verdict_effect(verdict, layer, head)),
    ]
    numbers = to_json(verdict).replace("<", "\\u003c")
    return f"""<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<meta http-equiv="Content-Security-Policy" content="{POLICY}">
<title>{html(title)}</title><style>{STYLE}</style></head><body>
<h1>{html(title)}</h1>
{unsettled}
<p>{html(said["supported"])}</p>
<p>{html(said["not_supported"])}</p>
<p class="small">{html(window["words"])} Weights {html(question["weights"])}
({html(question["weights_sha256"][:12])}, {html(question["dtype"])}), seed {html(question["seed"])},
level {question["level"]:g} over all heads asked about, vitime-cache {html(question["version"])}.</p>
<h2>Heads, best first</h2>
{_table(verdict)}
<h2>{html(layer)}, head {head}</h2>
{"".join(pictures)}
<h2>Looking against mattering</h2>
<p>{html(agreement.words)}</p>
<p>{html(together(verdict))}</p>
{_picture(lambda: looking_chart(agreement, question["signal"]))}
<h2>What each rung means</h2>
{_rungs()}
<h2>Every number</h2>
<p class="small">As JSON in the element with the id "verdict" of this file.</p>
<script type="application/json" id="verdict">{numbers}</script>
</body></html>
"""


def _picture(draw: Callable[[], Spec]) -> str:
    """A chart as inline SVG, or why there is none."""
    try:
        svg = figure_bytes(draw(), "svg").decode()
    except ChartError as error:
        return f'<p class="small">No picture: {html(str(error))}.</p>'
    return f"<figure>{re.sub(r'^<[?].*?[?]>', '', svg)}</figure>"


def _table(verdict: xr.Dataset) -> str:
    table = verdict_table(verdict)
    columns = {
        "prominence": "prominence", "excess_over_nulls": "over nulls", "slope": "slope", "mask_distance": "mask",
        "knockout_distance": "knockout",
    }  # fmt: skip
    names = "".join(f"<th>{html(name)}</th>" for name in ("head", *v.RUNGS, *columns.values()))
    rows = []
    for row in table.head(MOST_ROWS).to_dict("records"):
        cells = [f"<td>{html(row['layer'])} {row['head']}</td>"]
        for rung in v.RUNGS:
            word = str(row[rung])
            p = row[f"{rung}_p"]
            figure = f" p {p:.2g}" if p == p else ""
            kind = word.replace(" ", "-")
            cells.append(f'<td class="{kind}" title="{word}">{MARKS[word]}<span class="small">{figure}</span></td>')
        cells += [f"<td>{row[name]:.3g}</td>" if row[name] == row[name] else "<td></td>" for name in columns]
        rows.append(f"<tr>{''.join(cells)}</tr>")
    more = f'<p class="small">{len(table) - MOST_ROWS} more heads below.</p>' if len(table) > MOST_ROWS else ""
    key = ", ".join(f"{mark} {word}" for word, mark in MARKS.items())
    return f'<table><tr>{names}</tr>{"".join(rows)}</table>{more}<p class="small">{key}.</p>'


def _rungs() -> str:
    items = (
        f"<dt><b>{html(rung.name)}</b>: {html(rung.claim)}</dt>"
        f"<dd>{html(rung.shown_by)} <i>Leaves open:</i> {html(rung.leaves_open)}</dd>"
        for rung in RUNGS
    )
    return f"<dl>{''.join(items)}</dl>"
