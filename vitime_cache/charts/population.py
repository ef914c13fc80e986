"""Charts and a page of many signals: how many have which answer, and on how many each head carries it."""

from __future__ import annotations

import pandas as pd
import xarray as xr

from vitime_cache._version import __version__
from vitime_cache.attention import schema
from vitime_cache.charts.card import WIDTH, page, pictures, weights_words
from vitime_cache.charts.style import (
    HISTORY,
    NEUTRAL,
    STRETCH,
    TEXT,
    ChartError,
    Spec,
    assemble,
    category,
    layer,
    quantity,
    subtitle_lines,
    tip,
)
from vitime_cache.evidence.levels.table import BY_ATTENTION, KINDS
from vitime_cache.evidence.population import schema as population_schema
from vitime_cache.evidence.population.report import (
    answered,
    head_counts,
    headline,
    kind_words,
    kinds,
    notes,
    said_yes,
    table_of,
    to_json,
)
from vitime_cache.numerals import percent
from vitime_cache.series.spans import samples_in_words
from vitime_cache.shown import html

MOST_ROWS = 500
YES, OTHER = HISTORY, NEUTRAL


def population_kinds_table(table: xr.Dataset) -> pd.DataFrame:
    """what, signals, yes: number of signals with each answer, or with each reason for none; in the order of `KINDS`."""
    found = kinds(table)
    rows = [
        {"what": kind_words(kind), "signals": found[kind], "yes": kind in KINDS and KINDS[kind].answer == "yes"}
        for kind in (*KINDS, *population_schema.NOT_ASKED)
        if found[kind]
    ]
    return pd.DataFrame(rows, columns=["what", "signals", "yes"])


def population_kinds(table: xr.Dataset, *, width: int = 620) -> Spec:
    """Bars of the number of signals with each answer."""
    frame = population_kinds_table(table)
    order = list(frame["what"])
    frame = frame.assign(colour=frame.pop("yes").map({True: "yes", False: "other"}))
    colour = category("colour", scale={"domain": ["yes", "other"], "range": [YES, OTHER]}, legend=None)
    x = quantity("signals", "signals", axis={"tickMinStep": 1, "format": "d"})
    y = category("what", scale={"domain": order}, axis={"title": None, "domain": False, "ticks": False})
    tooltip = [tip("what", "answer"), tip("signals", "signals", "d")]
    bars = {"x": x, "y": y, "color": colour, "tooltip": tooltip}
    numbers = {"x": quantity("signals"), "y": category("what"), "text": quantity("signals", format="d")}
    said = subtitle_lines(f"{said_yes(table)} of {answered(table)} signals with an answer say yes (in colour).")
    return assemble(
        [
            layer(frame, "bar", encoding=bars, height={"band": 0.7}),
            layer(frame, "text", encoding=numbers, align="left", dx=4, color=TEXT),
        ],
        "Answers of all signals", said, width=width, height=22 * max(len(order), 1), autosize=STRETCH,
    )  # fmt: skip


def population_heads_table(table: xr.Dataset) -> pd.DataFrame:
    """layer, head, and the number of signals on which it is among the few that carry it."""
    few = table["in_set"].sum(schema.SIGNAL).transpose(schema.LAYER, schema.HEAD)
    rows = [
        {schema.LAYER: str(name), schema.HEAD: int(head), "signals": int(few.values[i, h])}
        for i, name in enumerate(table[schema.LAYER].values)
        for h, head in enumerate(table[schema.HEAD].values)
    ]
    return pd.DataFrame(rows)


def population_heads(table: xr.Dataset, *, width: int = 620) -> Spec:
    """The number of signals on which each head is among the few that carry it, in the grid of heads."""
    if not head_counts(table):
        raise ChartError("no head was found to carry it on any signal")
    frame, yes = population_heads_table(table), sum(kinds(table)[kind] for kind in BY_ATTENTION)
    frame = frame.assign(label=frame["signals"].map(lambda n: str(n) if n else ""))
    order = [str(name) for name in table[schema.LAYER].values]
    x = category(schema.HEAD, "head", axis={"labelAngle": 0, "ticks": False, "domain": False})
    y = category(schema.LAYER, scale={"domain": order}, axis={"title": None, "ticks": False, "domain": False})
    tooltip = [tip(schema.LAYER, "layer"), tip(schema.HEAD, "head", "d"), tip("signals", "signals", "d")]
    shade = quantity("signals", scale={"domain": [0, yes], "range": [0.06, 1]}, legend=None)
    cells = {"x": x, "y": y, "fillOpacity": shade, "tooltip": tooltip}
    dark, pale = frame[frame["signals"] > 0.45 * yes], frame[frame["signals"] <= 0.45 * yes]
    words = {"x": category(schema.HEAD), "y": category(schema.LAYER), "text": category("label")}
    return assemble(
        [
            layer(frame, "rect", encoding=cells, color=YES),
            *(
                layer(part, "text", encoding=words, color=colour, fontWeight="bold")
                for part, colour in ((dark, "#ffffff"), (pale, NEUTRAL))
                if len(part)
            ),
        ],
        "Which heads carry it", subtitle_lines(f"On how many of {yes} signals a head is among the few that carry it."),
        width=width, height=24 * len(order), autosize=STRETCH,
    )  # fmt: skip


def population_card(table: xr.Dataset) -> str:
    """The table as one self-contained HTML page."""
    population_schema.validate(table)
    question = population_schema.facts(table, "question")
    period = question["period"]
    asked = "the strongest period of each" if period is None else "a period of "
    asked += samples_in_words(period, 0.0) if isinstance(period, int | float) else period or ""
    facts = [
        f"Asked about {asked}; windows {'chosen for each' if question['window'] is None else question['window']}.",
        weights_words(question, population_schema.facts(table, "weights")),
        f"Seed {question['seed']}, method {question['method']}, vitime-cache {__version__}, {table.attrs['created']}.",
    ]
    body = f"""<p class="headline">{html(headline(table))}</p>
<p>{html(notes(table))}</p>
{pictures([lambda: population_kinds(table, width=WIDTH), lambda: population_heads(table, width=WIDTH)])}
<h2>Signals</h2>
{_rows(table)}"""
    title = "Many signals: does the forecast use what lies whole periods back?"
    return page(title, body, facts, "population", to_json(table))


def _rows(table: xr.Dataset) -> str:
    frame = table_of(table)
    names = (
        "signal",
        "answer",
        "period",
        "from whole periods back",
        "by chance",
        "of what attention carries, from there",
        "heads",
    )
    rows = []
    for place, row in enumerate(frame.head(MOST_ROWS).to_dict("records")):
        period = population_schema.period_words(table, place)
        shares = [row[name] for name in ("influence_share", "influence_by_chance", "mechanism_share")]
        cells = [row["signal"], row["answer"], period, *(percent(x) if x == x else "" for x in shares), row["heads"]]
        title = f' title="{html(row["reason"])}"' if row["reason"] else ""
        rows.append(f"<tr{title}>{''.join(f'<td>{html(cell)}</td>' for cell in cells)}</tr>")
    head = "".join(f"<th>{html(name)}</th>" for name in names)
    more = f'<p class="small">{len(frame) - MOST_ROWS} more signals below.</p>' if len(frame) > MOST_ROWS else ""
    return f'<div class="wide"><table><tr>{head}</tr>{"".join(rows)}</table></div>{more}'
