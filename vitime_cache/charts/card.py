"""A verdict as one self-contained page: the headline, pictures, tables, every number.

Pictures are inline SVG, and numbers are a JSON block that other programs can read. Names and facts come from users'
files, so every text and every number is escaped (`html`), and the page's policy forbids scripts and requests.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from typing import Any, TypeAlias

import xarray as xr

from vitime_cache._version import __version__
from vitime_cache.charts.answer import answer_attention, answer_forecast, answer_heads, answer_influence, answer_shares
from vitime_cache.charts.claims import claims_grid, looking_chart
from vitime_cache.charts.render import figure_bytes
from vitime_cache.charts.style import ChartError, Spec
from vitime_cache.charts.verdicts import verdict_curve, verdict_effect, verdict_sweep
from vitime_cache.evidence.agreement import looking_and_mattering
from vitime_cache.evidence.levels.table import CLAIMS, FIGURES, LEVEL, LEVELS, MARKS
from vitime_cache.evidence.verdict import schema as vschema
from vitime_cache.evidence.verdict.as_json import to_json
from vitime_cache.evidence.verdict.data import COLUMN, head_order, verdict_table
from vitime_cache.evidence.verdict.headline import headline
from vitime_cache.evidence.verdict.phrases import period_words
from vitime_cache.evidence.verdict.report import INTERVALS, NOT_CLAIMED, sentences
from vitime_cache.numerals import number
from vitime_cache.shown import html

Charts: TypeAlias = tuple[tuple[Callable[..., Spec], str], ...]

# Charts of the answer in the order of card and page, then those of its details, each with the level that it needs.
STORY: Charts = ((answer_forecast, "influence"), (answer_influence, "mechanism"), (answer_heads, "set"))
BEHIND: Charts = ((answer_attention, "looking"), (answer_shares, "mechanism"))
SHARES: Charts = tuple((partial(answer_shares, by=by), "mechanism") for by in ("multiple", "layer"))
OF_HEAD: Charts = (
    (verdict_effect, "heads"),
    *((partial(verdict_curve, region=region), "looking") for region in vschema.REGIONS),
    (verdict_sweep, "tracking"),
)
MOST_ROWS = 48
WIDTH = 520  # pixels of a picture: words stay readable when a narrow screen shrinks it
POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src data:"
STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; max-width: 46rem; margin: 2rem auto; padding: 0 1rem; color: #222 }
h1 { font-size: 1.4rem } h2 { font-size: 1.15rem; margin-top: 2rem } .headline { font-size: 1.15rem }
figure { margin: 1rem 0 } svg { max-width: 100%; height: auto } .wide { overflow-x: auto }
table { border-collapse: collapse; font-variant-numeric: tabular-nums }
th, td { padding: .15rem .6rem; text-align: right; vertical-align: bottom } td { white-space: nowrap }
th:first-child, td:first-child { text-align: left } tr:nth-child(even) { background: #f6f6f6 }
.supported { color: #00613f; font-weight: 600 } .small { color: #666; font-size: .87rem }
"""


def verdict_card(verdict: xr.Dataset, layer: str | None = None, head: int | None = None) -> str:
    """Render the page as HTML.

    Parameters
    ----------
    layer, head
        The head whose pictures are shown; by default the best one of the verdict.

    Raises
    ------
    ChartError
        For a head that is not in the verdict.
    """
    vschema.validate(verdict)
    finished = set(vschema.facts(verdict, "stages"))
    if layer is None or head is None:
        first = head_order(verdict)[0]
        layer, head = str(verdict["layer"].values[first[0]]), int(verdict["head"].values[first[1]])
    question, said = vschema.facts(verdict, "question"), sentences(verdict)
    title = f"{question['signal']}: does the forecast use what lies {period_words(verdict)} back?"
    unfinished = "" if vschema.complete(verdict) else "<p><b>Not finished: some levels have not been worked on.</b></p>"
    found = "".join(
        f"<dt><b>{html(LEVEL[name].title)}</b></dt><dd>{html(text)}</dd>"
        for name, text in said.items()
        if name in LEVEL
    )

    def drawn(charts: Charts, *of: object) -> str:
        """The charts of finished levels; one of a level that is still to come is left out."""
        return pictures(partial(draw, verdict, *of, width=WIDTH) for draw, level in charts if level in finished)

    every_head = both = ""
    if not finished.isdisjoint(claim.level for claim in CLAIMS):
        every_head = pictures([partial(claims_grid, verdict, width=WIDTH)]) + _table(verdict)
    if {"heads", "looking"} <= finished:
        agreement = looking_and_mattering(verdict)
        chart = partial(looking_chart, agreement, str(question["signal"]), width=WIDTH)
        both = f"<p>{html(agreement.words)}</p>{pictures([chart])}"
    body = f"""{unfinished}
<p class="headline">{html(headline(verdict))}</p>
<p class="small">{html(INTERVALS)} {html(said[NOT_CLAIMED])}</p>
{drawn(STORY)}
<p class="small">{html(vschema.facts(verdict, "window_facts")["words"])}</p>
{_section("Details", drawn((*BEHIND, *SHARES)))}
{_section("What each level found", f"<dl>{found}</dl>")}
{_section("Heads", every_head)}
{_section(f"{layer}, head {head}", drawn(OF_HEAD, layer, head))}
{_section("Looking against mattering", both)}
<h2>What each level asks</h2>
{_levels()}"""
    facts = [
        vschema.facts(verdict, "window_facts")["words"],
        weights_words(question, vschema.facts(verdict, "weights")),
        f"Seed {question['seed']}, level {question['level']}, method {question['method']}, vitime-cache {__version__}, "
        f"{verdict.attrs['created']}.",
    ]
    return page(title, body, facts, "verdict", to_json(verdict))


def page(title: str, body: str, facts: Iterable[str], name: str, numbers: str) -> str:
    """A self-contained page.

    Parameters
    ----------
    body
        HTML; everything else is escaped here.
    facts
        How it was asked, one line each.
    name, numbers
        Id of the element with every number, and its JSON.
    """
    asked = "".join(f'<p class="small">{html(fact)}</p>' for fact in facts)
    escaped = numbers.replace("<", "\\u003c")
    return f"""<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="{POLICY}">
<title>{html(title)}</title><style>{STYLE}</style></head><body>
<h1>{html(title)}</h1>
{body}
<h2>How it was asked</h2>
{asked}
<h2>Every number</h2>
<p class="small">As JSON in the element with the id "{name}" of this file.</p>
<script type="application/json" id="{name}">{escaped}</script>
</body></html>
"""


def weights_words(question: Mapping[str, Any], note: str) -> str:
    """The weights of a question, with what their users must know about them."""
    told = f"Weights {question['weights']} ({str(question['weights_sha256'])[:12]}, {question['dtype']})"
    return f"{told}: {note}." if note else f"{told}."


def _section(title: str, body: str) -> str:
    """A part of the page under its heading; nothing of a part without content."""
    return f"<h2>{html(title)}</h2>\n{body}" if body else ""


def pictures(draws: Iterable[Callable[[], Spec]]) -> str:
    """Charts as inline SVG, one below the other; a chart that cannot be drawn is replaced by the reason."""
    return "".join(_picture(draw) for draw in draws)


def _picture(draw: Callable[[], Spec]) -> str:
    """A chart as inline SVG, or the reason why there is none."""
    try:
        svg = figure_bytes(draw(), "svg").decode()
    except ChartError as error:
        return f'<p class="small">No picture: {html(error)}.</p>'
    return f"<figure>{re.sub(r'^<[?].*?[?]>', '', svg)}</figure>"


def _table(verdict: xr.Dataset) -> str:
    table = verdict_table(verdict)
    names = "".join(f"<th>{html(name)}</th>" for name in ("head", *(claim.title for claim in CLAIMS)))
    rows = []
    for row in table.head(MOST_ROWS).to_dict("records"):
        cells = [f"<td>{html(row['layer'])} {html(row['head'])}</td>"]
        for column in (COLUMN[claim.name] for claim in CLAIMS):
            word, figure = str(row[f"{column}_verdict"]), row[column]
            shown = f"{number(figure)} " if figure == figure else ""
            low, high = row[f"{column}_low"], row[f"{column}_high"]
            span = f", {number(low)} … {number(high)}" if low == low and high == high else ""
            cells.append(
                f'<td class="{html(word.replace(" ", "-"))}" title="{html(word + span)}">{html(shown)}'
                f"{html(MARKS[word])}</td>"
            )
        rows.append(f"<tr>{''.join(cells)}</tr>")
    more = f'<p class="small">{len(table) - MOST_ROWS} more heads below.</p>' if len(table) > MOST_ROWS else ""
    key = ", ".join(f"{mark} {word}" for word, mark in MARKS.items())
    return (
        f'<div class="wide"><table><tr>{names}</tr>{"".join(rows)}</table></div>{more}'
        f'<p class="small">{html(key)}. {html(FIGURES)}. Intervals are simultaneous over heads.</p>'
    )


def _levels() -> str:
    items = (
        f"<dt><b>{html(level.title)}</b>: {html(level.asks)}</dt>"
        f"<dd>{html(level.shown_by)} <i>Leaves open:</i> {html(level.leaves_open)}</dd>"
        for level in LEVELS
    )
    return f"<dl>{''.join(items)}</dl>"
