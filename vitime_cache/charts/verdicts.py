"""Charts of one head in a verdict: where it looks, whether its peak moves with the period, and its effect."""

from __future__ import annotations

import numpy as np
import pandas as pd
import xarray as xr

from vitime_cache.attention import schema
from vitime_cache.attention.lags import Region
from vitime_cache.attention.peaks import SHORTEST_PERIOD
from vitime_cache.charts.answer import STDS, clock_of, unit_of
from vitime_cache.charts.style import (
    FORECAST,
    HISTORY,
    NEUTRAL,
    STRETCH,
    ChartError,
    Spec,
    assemble,
    category,
    layer,
    quantity,
    subtitle_lines,
    tip,
)
from vitime_cache.evidence.levels.table import CLAIM, OUTCOMES
from vitime_cache.evidence.verdict import schema as vschema
from vitime_cache.numerals import NUMBER, number, percent

READS, MATTERS = "what it reads replaced", "its output replaced"
FEEDS: Region = "forecast→history"  # what feeds the forecast


def verdict_curve_table(verdict: xr.Dataset, head_layer: str, head: int, region: Region = FEEDS) -> pd.DataFrame:
    """lag in samples, attention of the head, and mean and upper band of each kind of null inputs."""
    one = _head(verdict, head_layer, head).sel({vschema.REGION: region})
    spp = float(vschema.facts(verdict, "window_facts")["samples_per_patch"])
    factor = unit_of(verdict).factor
    columns = {"lag": one[vschema.PAST_LAG].values * spp, "attention": one["lag_curve"].values * factor}
    for null in one[vschema.NULL].values:
        kind = one.sel({vschema.NULL: null})
        columns |= {f"{null}_{name}": kind[f"null_{name}"].values * factor for name in ("mean", "upper")}
    table = pd.DataFrame(columns)
    shown: pd.DataFrame = table[(table["lag"] > 0) & np.isfinite(table["attention"])].reset_index(drop=True)
    return shown


def verdict_curve(
    verdict: xr.Dataset, head_layer: str, head: int, region: Region = FEEDS, *, width: int = 620, height: int = 200
) -> Spec:
    """The head's lag curve in one region against that of null inputs.

    The band is the highest of all kinds at each lag; the verdict requires a curve above each of them.
    """
    table = verdict_curve_table(verdict, head_layer, head, region)
    if table.empty:
        raise ChartError("the lag curve has not been worked out yet")
    uppers = [name for name in table if str(name).endswith("_upper")]
    band = pd.DataFrame({"lag": table["lag"], "upper": table[uppers].max(axis=1), "zero": 0.0}).dropna()
    facts, period = vschema.facts(verdict, "window_facts"), float(vschema.facts(verdict, "question")["period"])
    unit = unit_of(verdict)
    last, clock = float(table["lag"].max()), clock_of(verdict)
    mouse, at = clock.over_lags(table[["lag", "attention"]], float(facts["samples_per_patch"]))
    at["tooltip"] += [tip("attention", unit.title(), unit.format)]
    x = quantity("lag", scale={"domain": [0, last], "nice": False}, **clock.span_axis(last, "lag to the past"))
    y = quantity("attention", unit.title("mean attention"), axis={"format": unit.axis_format})
    shaded = {"x": x, "y": quantity("zero"), "y2": {"field": "upper"}}
    curve = {"x": x, "y": y}
    blind = [{"x": 0, "x2": SHORTEST_PERIOD * float(facts["samples_per_patch"])}]
    marks = pd.DataFrame({"lag": np.arange(1, max(int(table["lag"].max() / period), 1) + 1) * period}).head(40)
    layers = [
        layer(blind, "rect", encoding={"x": quantity("x"), "x2": {"field": "x2"}}, color=NEUTRAL, opacity=0.18),
        *([layer(band, "area", encoding=shaded, color=NEUTRAL, opacity=0.22)] if len(band) else []),
        layer(marks, "rule", encoding={"x": quantity("lag")}, color=NEUTRAL, strokeDash=[2, 3]),
        layer(table, "line", encoding=curve, color=HISTORY, strokeWidth=1.6),
        layer(table, "circle", encoding=curve, color=HISTORY, size=24, opacity=1),
        layer(mouse, "rect", encoding=at, opacity=0, clip=True),
    ]
    grey = "Grey: 19 of 20 null curves of each kind lie below it, lag by lag." if len(band) else ""
    said = subtitle_lines(_regions(region), grey, f"Dotted: multiples of {clock.span(period)}.")
    return assemble(
        layers, f"Looks: {head_layer}, head {head}", said, width=width, height=height, autosize=STRETCH
    )  # fmt: skip


def verdict_sweep_table(verdict: xr.Dataset, head_layer: str, head: int) -> pd.DataFrame:
    """period, lag of the first peak (missing if there is none), and whether slopes are measured on that period."""
    one = _head(verdict, head_layer, head)
    return pd.DataFrame(
        {
            "period": one[vschema.SWEEP].values,
            "lag": one["sweep_peak"].values.astype(np.float64),
            "measured": np.where(one["measured_on"].values, "measured on", "chosen on"),
        }
    )


def verdict_sweep(verdict: xr.Dataset, head_layer: str, head: int, *, width: int = 620, height: int = 220) -> Spec:
    """The lag of the first peak against the period, with the fitted line and the line of slope 1."""
    table, one = verdict_sweep_table(verdict, head_layer, head), _head(verdict, head_layer, head)
    clock = clock_of(verdict)
    table, of_period = clock.span_tip(table, "period", "period")
    found, of_peak = clock.span_tip(table.dropna(), "lag", "first peak", "first peak")
    if found.empty:
        raise ChartError("no peak was found at any period of the sweep, or the sweep has not been run yet")
    tracks = one.sel({vschema.CLAIM: "tracks"})
    ends = np.array([table["period"].min(), table["period"].max()])
    slope, low, high = (float(tracks[name]) for name in ("figure", "low", "high"))
    fitted = pd.DataFrame({"period": ends, "lag": slope * ends + float(one["intercept"])})
    highest = max(float(ends[1]), float(found["lag"].max()), float(fitted["lag"].max()) if np.isfinite(slope) else 0.0)
    across, up = clock.span_axis(ends[1], "period of the sweep", ends[0]), clock.span_axis(highest, "first peak")
    x = quantity("period", scale={"domain": ends.tolist(), "nice": False}, **across)
    y = quantity("lag", scale={"domain": [0, highest], "nice": False}, **up)
    dots = {
        "x": x, "y": y,
        "color": category(
            "measured", scale={"domain": ["measured on", "chosen on"], "range": [HISTORY, NEUTRAL]},
            legend={"title": None, "orient": "top"},
        ),
        "tooltip": [*of_period, *of_peak, tip("measured", "used to")],
    }  # fmt: skip
    straight = {"x": x, "y": y}
    layers = [
        layer(pd.DataFrame({"period": ends, "lag": ends}), "line", encoding=straight, color=NEUTRAL, strokeDash=[4, 3]),
        *([layer(fitted, "line", encoding=straight, color=FORECAST, strokeWidth=1.4)] if np.isfinite(slope) else []),
        layer(found, "circle", encoding=dots, size=60, opacity=1),
    ]
    interval = f"({number(low)} … {number(high)})" if np.isfinite([low, high]).all() else "(no interval)"
    said = subtitle_lines(
        f"Slope {number(slope)} {interval}, R² {number(float(one['r_squared']))}."
        if np.isfinite(slope)
        else "Too few of the measured periods have a peak: no slope.",
        f"A peak at {percent(float(one['found']))} of the measured periods. Dashed: slope 1.",
    )
    return assemble(
        layers, f"Tracks: {head_layer}, head {head}", said, width=width, height=height, autosize=STRETCH
    )  # fmt: skip


def verdict_effect_table(verdict: xr.Dataset, head_layer: str, head: int) -> pd.DataFrame:
    """row (what is replaced), layer, head, what (this head or all heads) and effect in std of the history."""
    figures = verdict["figure"].transpose(vschema.CLAIM, schema.LAYER, schema.HEAD)
    names = [(str(name), int(each)) for name in verdict[schema.LAYER].values for each in verdict[schema.HEAD].values]
    rows = []
    for row, claim in ((READS, "reads"), (MATTERS, "matters")):
        own = float(_head(verdict, head_layer, head)["figure"].sel({vschema.CLAIM: claim}))
        of_all = figures.sel({vschema.CLAIM: claim}).values.ravel()
        rows += [(row, *name, "all heads", float(each)) for name, each in zip(names, of_all, strict=True)]
        rows.append((row, head_layer, head, "this head", own))
    return pd.DataFrame(rows, columns=["row", schema.LAYER, schema.HEAD, "what", "effect"]).dropna(ignore_index=True)


def verdict_effect(verdict: xr.Dataset, head_layer: str, head: int, *, width: int = 620, height: int = 90) -> Spec:
    """The effect of the head on the forecast with its interval, against the margin and among all heads."""
    table, one = verdict_effect_table(verdict, head_layer, head), _head(verdict, head_layer, head)
    own, others = (table[(table["what"] == "this head") == this] for this in (True, False))
    if own.empty:
        raise ChartError("the head has not been tested alone, or that level is still to come")
    margin = float(vschema.facts(verdict, "counts")["margin"])
    intervals, said = [], []
    for row, claim in ((READS, "reads"), (MATTERS, "matters")):
        at = one.sel({vschema.CLAIM: claim})
        low, high, effect = (float(at[name]) for name in ("low", "high", "figure"))
        if np.isfinite([low, high]).all():
            intervals.append({"row": row, "low": low, "high": high})
            word = OUTCOMES[int(at["verdict"])].word
            said.append(f"{CLAIM[claim].title}: {number(effect)} ({number(low)} … {number(high)}), {word}.")
    x = quantity("effect", f"change of the forecast, {STDS}")
    y = category(
        "row", axis={"title": None, "domain": False, "ticks": False, "labelLimit": 150},
        scale={"domain": [READS, MATTERS]},
    )  # fmt: skip
    tooltip = [tip(schema.LAYER, "layer"), tip(schema.HEAD, "head", "d"), tip("effect", "effect", NUMBER)]
    encoding = {"x": x, "y": y, "tooltip": tooltip}
    span = {"x": quantity("low"), "x2": {"field": "high"}, "y": category("row")}
    layers = [
        layer(others, "tick", encoding=encoding, color=NEUTRAL, opacity=0.5, thickness=1.5),
        layer([{"effect": margin}], "rule", encoding={"x": quantity("effect")}, color=NEUTRAL, strokeDash=[4, 3]),
        layer(intervals, "rule", encoding=span, color=FORECAST, strokeWidth=2),
        layer(own, "point", encoding=encoding, shape="diamond", filled=True, size=110, color=FORECAST, opacity=1),
    ]  # fmt: skip
    told = subtitle_lines(*said, f"Diamonds: this head; grey: all heads; dashed: {margin:g}, less counts as none.")
    return assemble(
        layers, f"Used: {head_layer}, head {head}", told, width=width, height=height, autosize=STRETCH
    )  # fmt: skip


def _regions(region: Region) -> str:
    queries, keys = region.split("→")
    return f"Queries in the {queries}, keys in the {keys}."


def _head(verdict: xr.Dataset, head_layer: str, head: int) -> xr.Dataset:
    if head_layer not in verdict[schema.LAYER].values or head not in verdict[schema.HEAD].values:
        raise ChartError(f"the verdict has no head {head} in {head_layer!r}")
    return verdict.sel({schema.LAYER: head_layer, schema.HEAD: head})
