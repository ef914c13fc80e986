"""A verdict at a glance: every head on every rung, and looking against mattering.

Both charts hold the point selection "head" with fields `layer` and `head`.
"""

from __future__ import annotations

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
from vitime_cache.evidence import verdict as v
from vitime_cache.evidence.agreement import Agreement

MOST_ROWS = 40  # heads in one matrix; beyond that the best are shown
# White text keeps a contrast of 4.5 on each.
COLOURS = {"supported": "#007a5a", "not supported": "#6b6b6b", "inconclusive": "#a35f00", "not tested": "#00000000"}
MARKS = {"supported": "✓", "not supported": "✗", "inconclusive": "?", "not tested": ""}
FIGURES = {
    "descriptive": "prominence at the period, in means of the curve",
    "signal-dependent": "excess over null inputs, in the same",
    "tracking": "slope of the peak's lag against the period",
    "causal": "change of the forecast, std of the history",
}


def verdict_table(verdict: xr.Dataset) -> pd.DataFrame:
    """One row per head that was asked about and rung: layer, head, rung, verdict, figure, p_value; best heads first."""
    arrays = {name: verdict[name].transpose(v.RUNG, schema.LAYER, schema.HEAD) for name in _SHOWN}
    table = xr.Dataset(arrays).to_dataframe().reset_index()
    table["verdict"] = [v.WORDS[int(code)] for code in table["verdict"]]
    asked = verdict["asked"].to_series().rename("asked").reset_index()
    table = table.merge(asked, on=[schema.LAYER, schema.HEAD])
    table = table[table.pop("asked")]
    passed = table.groupby([schema.LAYER, schema.HEAD])["verdict"].transform(lambda words: (words == "supported").sum())
    looks = table[table[v.RUNG] == v.RUNGS[0]].set_index([schema.LAYER, schema.HEAD])["figure"]
    at = pd.MultiIndex.from_frame(table[[schema.LAYER, schema.HEAD]])
    order = pd.DataFrame({"passed": -passed.to_numpy(), "figure": -looks.reindex(at).to_numpy()}, index=table.index)
    rungs = table[v.RUNG].map({name: i for i, name in enumerate(v.RUNGS)})
    table = table.assign(_p=order["passed"], _f=order["figure"], _r=rungs)
    table = table.sort_values(["_p", "_f", schema.LAYER, schema.HEAD, "_r"], ignore_index=True)
    return table[[schema.LAYER, schema.HEAD, v.RUNG, *_SHOWN]]


_SHOWN = ("verdict", "figure", "p_value")


def rung_matrix(verdict: xr.Dataset, *, selected: tuple[str, int] | None = None, width: int = 620) -> Spec:
    """Heads down, rungs across: supported, not supported, inconclusive or not tested, with the figure behind it."""
    table = verdict_table(verdict)
    table["name"] = [f"{at} · {head}" for at, head in zip(table[schema.LAYER], table[schema.HEAD], strict=True)]
    names = list(dict.fromkeys(table["name"]))
    shown = names[:MOST_ROWS]
    table = table[table["name"].isin(shown)]
    table["text"] = [
        MARKS[word] + (f" {figure:.2g}" if np.isfinite(figure) and word != "not tested" else "")
        for word, figure in zip(table["verdict"], table["figure"], strict=True)
    ]
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
    words = layer(table, "text", encoding=encoding | {"text": category("text")}, color="#ffffff", fontSize=12)
    mouse = layer(table, "rect", encoding=encoding | {"tooltip": tooltip}, opacity=0)
    left = f" The best {len(shown)} of {len(names)} heads are shown." if len(names) > len(shown) else ""
    question = v.facts(verdict, "question")
    return assemble(
        [
            cells,
            words,
            *_framed(selected, list(v.RUNGS), shown),
            mouse | clicked("head", [schema.LAYER, schema.HEAD]),  # above the words, which would take the click
        ],
        f"What is supported: {question['signal']}, a period of {question['period']:.4g} samples",
        [f"Click a head for the pictures behind it.{left}", *_below(FIGURES)],
        width=width,
        height=22 * len(shown),
        autosize=STRETCH,
    )


def looking_chart(found: Agreement, signal: str, *, width: int = 620, height: int = 320) -> Spec:
    """Every head's prominence at the period against the effect of its knockout, with their rank correlation."""
    heads = found.heads
    tooltip = [
        tip(schema.LAYER, "layer"), tip(schema.HEAD, "head", "d"), tip("prominence", "prominence / mean", ".3~g"),
        tip("effect", "effect, std of the history", ".3~g"), tip("verdict", "causal rung"),
    ]  # fmt: skip
    visible = {
        word: NEUTRAL if colour.endswith("00") and len(colour) == 9 else colour for word, colour in COLOURS.items()
    }
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


def _below(figures: dict[str, str]) -> list[str]:
    """What the figures are, in lines that a narrow chart shows whole."""
    return [f"{rung}: {figure}" for rung, figure in figures.items()]


def _framed(selected: tuple[str, int] | None, rungs: list[str], shown: list[str]) -> list[Spec]:
    if selected is None or (name := f"{selected[0]} · {selected[1]}") not in shown:
        return []
    rows = [{v.RUNG: rung, "name": name} for rung in rungs]
    encoding = {"x": category(v.RUNG), "y": category("name")}
    return [layer(rows, "rect", encoding=encoding, fillOpacity=0, stroke=FORECAST, strokeWidth=2)]
