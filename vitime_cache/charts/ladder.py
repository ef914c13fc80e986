"""A verdict at a glance: every head on every rung, and looking against mattering.

Both charts hold the point selection "head" with fields `layer` and `head`.
"""

from __future__ import annotations

from collections.abc import Collection

import numpy as np
import pandas as pd
import xarray as xr

from vitime_cache.attention import schema
from vitime_cache.charts.style import (
    FORECAST,
    NEUTRAL,
    STRETCH,
    Spec,
    assemble,
    category,
    clicked,
    layer,
    quantity,
    tip,
)
from vitime_cache.evidence.agreement import Agreement
from vitime_cache.evidence.verdict import schema as v
from vitime_cache.evidence.verdict.report import FIGURES, MARKS, to_come, verdict_table

MOST_ROWS = 40  # heads in one matrix; beyond that the best are shown
# White text keeps a contrast of 4.5 on each.
COLOURS = {"supported": "#007a5a", "not supported": "#6b6b6b", "inconclusive": "#a35f00", "not tested": "#00000000"}
COMING = "…"  # in the cells of a rung that has not been worked on
SAID = {  # what the figures are
    "descriptive": "prominence at the period, in means of the curve",
    "signal-dependent": "excess over null inputs, in the same",
    "tracking": "slope of the peak's lag against the period",
    "causal": "change of the forecast without that attention, std of the history",
}


def rung_matrix(verdict: xr.Dataset, *, selected: tuple[str, int] | None = None, width: int = 620) -> Spec:
    """Heads down, rungs across: supported, not supported, inconclusive or not tested, with the figure behind it."""
    heads = verdict_table(verdict)
    coming = to_come(verdict)
    table = _cells(heads.head(MOST_ROWS), coming)
    shown = list(dict.fromkeys(table["name"]))
    bare = {"domain": False, "ticks": False, "labelFlush": False}
    encoding = {
        # A domain, as layers that differ in `sort` lose it.
        "x": category(
            v.RUNG, scale={"domain": list(v.RUNGS)}, axis=bare | {"orient": "top", "labelAngle": 0, "title": None}
        ),
        "y": category("name", scale={"domain": shown}, axis=bare | {"title": "head, best first", "labelLimit": 200}),
    }
    colour = category(
        "verdict",
        scale={"domain": list(COLOURS), "range": list(COLOURS.values())},
        legend={"title": None, "orient": "bottom", "values": [word for word in COLOURS if word != "not tested"]},
    )
    tooltip = [
        tip(schema.LAYER, "layer"), tip(schema.HEAD, "head", "d"), tip(v.RUNG, "rung"), tip("verdict", "verdict"),
        tip("figure", "figure", ".3~g"), tip("p_value", "p, corrected", ".2~g"),
    ]  # fmt: skip
    cells = layer(table, "rect", encoding=encoding | {"color": colour}, stroke="#80808040")
    on_paper = {"test": "datum.verdict === 'not tested'", "value": NEUTRAL}
    ink = {"color": {"condition": on_paper, "value": "#ffffff"}}
    words = layer(table, "text", encoding=encoding | {"text": category("text")} | ink, fontSize=12)
    mouse = layer(table, "rect", encoding=encoding | {"tooltip": tooltip}, opacity=0)
    left = [f"The best {len(shown)} of {len(heads)} heads are shown"] if len(heads) > len(shown) else []
    question = v.facts(verdict, "question")
    return assemble(
        [
            cells,
            words,
            *_framed(selected, list(v.RUNGS), shown),
            mouse | clicked("head", [schema.LAYER, schema.HEAD]),  # above the words, which would take the click
        ],
        f"What is supported: {question['signal']}",
        [
            f"A period of {question['period']:.4g} samples. Click a head for the pictures behind it",
            *left,
            *_below(SAID, coming),
        ],
        width=width,
        height=22 * len(shown),
        autosize=STRETCH,
    )


def _cells(heads: pd.DataFrame, coming: Collection[str]) -> pd.DataFrame:
    """A row per head and rung, in the order of the heads: name, rung, verdict, figure, p_value, and the cell's text."""
    rows = []
    for head in heads.to_dict("records"):
        at = {schema.LAYER: head[schema.LAYER], schema.HEAD: head[schema.HEAD]}
        for rung, figure in FIGURES.items():
            word = head[rung]
            number = f" {head[figure]:.2g}" if np.isfinite(head[figure]) and word != "not tested" else ""
            text = COMING if rung in coming else MARKS[word] + number
            rows.append(
                at
                | {"name": f"{at[schema.LAYER]} · {at[schema.HEAD]}", v.RUNG: rung, "verdict": word}
                | {"figure": head[figure], "p_value": head[f"{rung}_p"], "text": text}
            )
    return pd.DataFrame(rows)


def looking_chart(found: Agreement, signal: str, *, width: int = 620, height: int = 320) -> Spec:
    """Every head's prominence at the period against the effect of its knockout, with their rank correlation."""
    heads = found.heads
    tooltip = [
        tip(schema.LAYER, "layer"), tip(schema.HEAD, "head", "d"), tip("prominence", "prominence / mean", ".3~g"),
        tip("effect", "effect, std of the history", ".3~g"), tip("verdict", "causal rung"),
    ]  # fmt: skip
    visible = {word: colour for word, colour in COLOURS.items() if word in set(heads["verdict"])}
    if "not tested" in visible:
        visible["not tested"] = NEUTRAL
    encoding = {
        "x": quantity("prominence", "looks: prominence at the period, of the curve's mean"),
        "y": quantity("effect", "matters: change of the forecast, std"),
        "color": category(
            "verdict",
            scale={"domain": list(visible), "range": list(visible.values())},
            legend={"title": None, "orient": "top", "columns": 2},
        ),
        "tooltip": tooltip,
    }
    dots = layer(heads, "circle", encoding=encoding, size=70, opacity=0.9)
    return assemble(
        [dots | clicked("head", [schema.LAYER, schema.HEAD])],
        f"Looking against mattering: {signal}",
        found.words.split(" (")[0:1] + [f"({rest}" for rest in found.words.split(" (")[1:]],
        width=width,
        height=height,
        autosize=STRETCH,
    )


def _below(figures: dict[str, str], coming: Collection[str]) -> list[str]:
    """What the figures are, in lines that a narrow chart shows whole."""
    return [f"{rung}: {'not worked on yet' if rung in coming else figure}" for rung, figure in figures.items()]


def _framed(selected: tuple[str, int] | None, rungs: list[str], shown: list[str]) -> list[Spec]:
    if selected is None or (name := f"{selected[0]} · {selected[1]}") not in shown:
        return []
    rows = [{v.RUNG: rung, "name": name} for rung in rungs]
    encoding = {"x": category(v.RUNG), "y": category("name")}
    return [layer(rows, "rect", encoding=encoding, fillOpacity=0, stroke=FORECAST, strokeWidth=2)]
