"""Charts of the claims about every head: all claims in one grid, and looking against mattering.

Both charts have the point selection "head" with fields `layer` and `head`.
"""

from __future__ import annotations

import json
from textwrap import wrap

import numpy as np
import pandas as pd
import xarray as xr

from vitime_cache.attention import schema
from vitime_cache.charts.head_grid import HEAD_CLICK
from vitime_cache.charts.style import (
    CATEGORICAL,
    FORECAST,
    NEUTRAL,
    STRETCH,
    Spec,
    assemble,
    category,
    layer,
    quantity,
    subtitle_lines,
    tip,
    told,
)
from vitime_cache.evidence.agreement import Agreement
from vitime_cache.evidence.levels.table import CLAIMS
from vitime_cache.evidence.verdict import schema as vschema
from vitime_cache.evidence.verdict.data import COLUMN, to_come, verdict_table
from vitime_cache.numerals import NUMBER

MOST_ROWS = 40  # heads in one grid; of more heads only the best are shown
STRONG = CATEGORICAL[2]  # supported
GAP = 0.04  # share of a column between cells
# Slanted strokes: an inconclusive cell is hatched, so that it differs from a "no" without colour too.
HATCHING = "".join(f"M{x - 0.4:.1f},.5L{x + 0.4:.1f},-.5" for x in np.arange(-1.8, 2.0, 0.6))


def claims_grid_table(verdict: xr.Dataset) -> pd.DataFrame:
    """One row per head and claim, best heads first: layer, head, claim, verdict, figure, low, high, p_value."""
    rows = [
        {
            schema.LAYER: head[schema.LAYER], schema.HEAD: head[schema.HEAD], vschema.CLAIM: claim.name,
            "verdict": head[f"{COLUMN[claim.name]}_verdict"], "figure": head[COLUMN[claim.name]],
            "low": head[f"{COLUMN[claim.name]}_low"], "high": head[f"{COLUMN[claim.name]}_high"],
            "p_value": head[f"{COLUMN[claim.name]}_p"],
        }
        for head in verdict_table(verdict).to_dict("records")
        for claim in CLAIMS
    ]  # fmt: skip
    return pd.DataFrame(rows)


def claims_grid(verdict: xr.Dataset, *, selected: tuple[str, int] | None = None, width: int = 620) -> Spec:
    """Heads down, claims across: supported claims stand out, and the bar in each cell is as long as the effect.

    Parameters
    ----------
    selected
        Layer and head to frame.
    """
    table = _cells(claims_grid_table(verdict))
    heads = list(dict.fromkeys(table["name"]))
    shown = heads[:MOST_ROWS]
    table = table[table["name"].isin(shown)]
    tested = table[table["verdict"] != "not tested"]
    titles = json.dumps([wrap(claim.title, 12) for claim in CLAIMS])
    across = {
        "orient": "top", "title": None, "grid": False, "domain": False, "ticks": False, "labelFlush": False,
        "labelPadding": 16, "labelFontSize": 10,
        "values": [c + 0.5 for c in range(len(CLAIMS))], "labelExpr": f"{titles}[floor(datum.value)]",
    }  # fmt: skip
    x = quantity("from", scale={"domain": [0, len(CLAIMS)], "nice": False}, axis=across)
    y = category("name", scale={"domain": shown}, axis={"title": None, "domain": False, "ticks": False})
    place = {"x": quantity("from"), "x2": {"field": "to"}, "y": category("name")}
    yes, open_ = tested[tested["verdict"] == "supported"], tested[tested["verdict"] == "inconclusive"]
    tooltip = [
        tip(schema.LAYER, "layer"), tip(schema.HEAD, "head", "d"), tip("title", "claim"), tip("verdict", "verdict"),
        tip("figure", "figure"), tip("low", "from"), tip("high", "to"), tip("p_value", "p, corrected"),
    ]  # fmt: skip
    words = told(told(table, ("figure", "low", "high")), ("p_value",), 2)
    mouse = layer(words, "rect", encoding=place | {"x": x, "y": y, "tooltip": tooltip}, opacity=0)
    hatched = {"x": quantity("middle"), "y": category("name")}
    layers = [
        layer(tested[tested["verdict"] == "not supported"], "rect", encoding=place, color=NEUTRAL, opacity=0.12),
        layer(yes, "rect", encoding=place, color=STRONG, opacity=0.22),
        layer(open_, "point", encoding=hatched, shape=HATCHING, size=260, stroke=NEUTRAL, strokeWidth=1, opacity=0.45),
        layer(tested[tested["verdict"] != "supported"], "bar", encoding=_bars(place), color=NEUTRAL, opacity=0.55,
              height={"band": 0.4}),
        layer(yes, "bar", encoding=_bars(place), color=STRONG, opacity=1, height={"band": 0.55}),
        *_framed(selected, shown),
        mouse | HEAD_CLICK,  # on top, because a layer above would take the click
    ]  # fmt: skip
    coming = {claim.title.lower() for claim in CLAIMS if claim.level in to_come(verdict)}
    return assemble(
        [each for each in layers if each["data"]["values"]],
        "What is shown of each head",
        subtitle_lines(
            "Green: supported; grey: not supported; hatched: inconclusive; empty: not tested. The bar is the effect, "
            "each column on a scale of its own; below zero there is none.",
            f"The best {len(shown)} of {len(heads)} heads." if len(heads) > len(shown) else "",
            f"Not worked on yet: {', '.join(sorted(coming))}." if coming else "",
        ),
        width=width, height=20 * len(shown), autosize=STRETCH,
    )  # fmt: skip


def looking_chart(found: Agreement, signal: str, *, width: int = 620, height: int = 300) -> Spec:
    """How much every head looks whole periods back against the effect of its knockout, with the rank correlation."""
    heads = found.heads
    colours = {"supported": STRONG, "not supported": NEUTRAL, "inconclusive": CATEGORICAL[4], "not tested": NEUTRAL}
    visible = [word for word in colours if word in set(heads["verdict"])]
    tooltip = [
        tip(schema.LAYER, "layer"), tip(schema.HEAD, "head", "d"), tip("looking", "looks", NUMBER),
        tip("effect", "effect, std of the history", NUMBER), tip("verdict", "matters"),
    ]  # fmt: skip
    encoding = {
        "x": quantity("looking", "looks: contrast whole periods back"),
        "y": quantity("effect", "matters: change, std of the history"),
        "color": category(
            "verdict",
            scale={"domain": visible, "range": [colours[word] for word in visible]},
            legend={"title": "matters", "orient": "top", "columns": 2},
        ),
        "tooltip": tooltip,
    }
    dots = layer(heads, "circle", encoding=encoding, size=70, opacity=0.9)
    return assemble(
        [dots | HEAD_CLICK],
        f"Looking against mattering: {signal}", subtitle_lines(found.words),
        width=width, height=height, autosize=STRETCH,
    )  # fmt: skip


def _cells(table: pd.DataFrame) -> pd.DataFrame:
    """Start and end of each cell and its bar, in columns; the largest figure of a column fills its cell.

    A figure below zero has no bar: a head that looks away would be drawn like one that looks there.
    """
    names = [claim.name for claim in CLAIMS]
    size = table["figure"].clip(lower=0).where(table["verdict"] != "not tested")
    largest = size.groupby(table[vschema.CLAIM]).transform("max")
    start = table[vschema.CLAIM].map(names.index) + GAP
    share = (size / largest.where(largest > 0)).fillna(0.0)
    return table.assign(
        name=table[schema.LAYER] + " · " + table[schema.HEAD].astype(str),
        title=table[vschema.CLAIM].map({claim.name: claim.title for claim in CLAIMS}),
        **{"from": start, "to": start + 1 - 2 * GAP, "middle": start + 0.5 - GAP, "end": start + share * (1 - 2 * GAP)},
    )


def _bars(place: Spec) -> Spec:
    return place | {"x2": {"field": "end"}}


def _framed(selected: tuple[str, int] | None, shown: list[str]) -> list[Spec]:
    if selected is None or (name := f"{selected[0]} · {selected[1]}") not in shown:
        return []
    row = [{"from": 0, "to": len(CLAIMS), "name": name}]
    encoding = {"x": quantity("from"), "x2": {"field": "to"}, "y": category("name")}
    return [layer(row, "rect", encoding=encoding, fillOpacity=0, stroke=FORECAST, strokeWidth=2)]
