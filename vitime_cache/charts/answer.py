"""Charts of the answer: the forecast without its past, influence and attention over lags, shares, the few heads.

Each chart shows a verdict, complete or partial, and has a table with its numbers.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal

import numpy as np
import pandas as pd
import xarray as xr
from numpy.typing import ArrayLike

from vitime_cache.attention import schema
from vitime_cache.charts.clock import Clock
from vitime_cache.charts.head_grid import HEAD_CLICK
from vitime_cache.charts.style import (
    CATEGORICAL,
    FORECAST,
    HISTORY,
    MOST_POINTS,
    NARROW,
    NEUTRAL,
    ON_FULL,
    ON_PALE,
    STRETCH,
    ChartError,
    Spec,
    assemble,
    category,
    layer,
    quantity,
    subtitle_lines,
    thin,
    thin_range,
    tip,
    told,
)
from vitime_cache.charts.units import EVEN_WORDS, AttentionUnit, attention_unit
from vitime_cache.evidence.verdict import schema as vschema
from vitime_cache.evidence.verdict.data import set_heads
from vitime_cache.evidence.verdict.phrases import period_words
from vitime_cache.numerals import NUMBER, PERCENT, PERCENT_1, percent
from vitime_cache.series.spans import in_words, samples_in_words

Shares = Literal["phase", "multiple", "layer"]

PERIODIC = CATEGORICAL[2]  # everything whole periods back
WITHOUT = "forecast without that past"
MOST_MARKS = 40
ALIGNED = {"minExtent": 52, "maxExtent": 52}  # pixels of the value axis, so that stacked charts share the lag axis
STDS = "std of the history"


def unit_of(verdict: xr.Dataset) -> AttentionUnit:
    """The unit in which the attention of the verdict's model is shown."""
    return attention_unit("even", schema.config_of(verdict).tokens)


def clock_of(verdict: xr.Dataset) -> Clock:
    """The clock of the verdict's series."""
    question = vschema.facts(verdict, "question")
    return Clock(float(question["sample_seconds"]), str(question.get("start", "")))


def answer_forecast_table(verdict: xr.Dataset, limit: int | None = None) -> pd.DataFrame:
    """sample, part and value in the latest window: history, actual future, forecast, forecast without that past.

    Every sample, with low and high, the 90 % range of the forecast, and its time (ISO 8601) if that is known; or for a
    chart about `limit` points of each part that keep its envelope, without them.
    """
    latest = verdict.isel({vschema.WINDOW: -1})
    parts = {"history": "history", "future": "actual", "forecast": "forecast", "forecast_without": WITHOUT}
    found = []
    for name, part in parts.items():
        known = np.flatnonzero(np.isfinite(latest[name].values))
        if len(known):
            line = thin(known + int(latest["window_start"]), latest[name].values[known], limit)
            found.append(line.rename(columns={"time": "sample"}).assign(part=part))
    if not found:
        raise ChartError("the model has not been run yet")
    table = pd.concat(found, ignore_index=True)[["sample", "part", "value"]]
    if limit:
        return table
    ranged = table.merge(_range(latest).assign(part="forecast"), "left", ["sample", "part"])
    return clock_of(verdict).with_times(ranged)


def _range(latest: xr.Dataset) -> pd.DataFrame:
    """sample, low and high: the 90 % range of the model's own forecast in one window."""
    start, bounds = int(latest["window_start"]), {name: latest[f"forecast_{name}"].values for name in ("low", "high")}
    return pd.DataFrame({"sample": start + np.arange(len(bounds["low"])), **bounds}).dropna()


def answer_forecast(verdict: xr.Dataset, *, width: int = 860, height: int = 220) -> Spec:
    """The series, its forecast with a band, and the forecast without what attention reads whole periods back."""
    table = answer_forecast_table(verdict, MOST_POINTS)
    latest = verdict.isel({vschema.WINDOW: -1})
    colours = {"history": HISTORY, "actual": NEUTRAL, "forecast": FORECAST, WITHOUT: PERIODIC}
    shown = [part for part in colours if part in set(table["part"])]
    first, last = float(table["sample"].min()), float(table["sample"].max())
    x = quantity("sample", scale={"zero": False, "nice": False}, **clock_of(verdict).axis(first, last))
    y = quantity("value", "value", scale={"zero": False})
    columns = 2 if width < 2 * NARROW else len(shown)
    colour = category(
        "part", scale={"domain": shown, "range": [colours[part] for part in shown]},
        legend={"title": None, "orient": "top", "symbolOpacity": 1, "columns": columns, "labelLimit": 190},
    )  # fmt: skip
    points, tooltip = clock_of(verdict).points_tip(table)
    band = thin_range(_range(latest), "low", "high")
    area = {"x": quantity("sample"), "y": quantity("low"), "y2": {"field": "high"}}
    without = WITHOUT in shown
    said = (
        f"Green: the forecast if attention read {period_words(verdict)} back, and its multiples, from a history moved "
        "by a part of its period."
        if without
        else ""
    )
    return assemble(
        [
            *([layer(band, "area", encoding=area, color=FORECAST, opacity=0.16)] if len(band) else []),
            layer(table, "line", encoding={"x": x, "y": y, "color": colour}, strokeWidth=1.4),
            layer(points, "circle", encoding={"x": x, "y": y, "tooltip": tooltip}, opacity=0, size=40),
        ],
        f"Forecast{' with and without that past' if without else ''}: {_signal(verdict)}",
        subtitle_lines(said, "Shaded: the 90 % range of the model's own forecast." if len(band) else "", width=width),
        width=width, height=height, autosize=STRETCH,
    )  # fmt: skip


def answer_influence_table(verdict: xr.Dataset) -> pd.DataFrame:
    """lag in samples, whether it lies whole periods back, and influence of the input there, intact and blocked."""
    curves = verdict["influence_curve"]
    columns = {curve: curves.sel({vschema.CURVE: curve}).values for curve in vschema.CURVES}
    return _lags(verdict).assign(**columns).dropna(subset=[vschema.CURVES[0]], ignore_index=True)


def answer_influence(verdict: xr.Dataset, *, width: int = 860, height: int = 170) -> Spec:
    """How much the forecast changes with the input at each lag, and what remains when values there are held."""
    table = answer_influence_table(verdict)
    if table.empty:
        raise ChartError("the influence of single lags has not been measured")
    names = dict(zip(vschema.CURVES, ("as it is", "values read whole periods back held"), strict=True))
    colours = dict(zip(names.values(), (HISTORY, FORECAST), strict=True))
    return _over_lags(
        verdict, table.rename(columns=names), "change", f"change, {STDS}", colours,
        "Influence: what the forecast follows",
        subtitle_lines(
            "One patch of the history at a time is replaced by another part of the history.", _marked(verdict),
            width=width,
        ),
        width, height,
    )  # fmt: skip


def answer_attention_table(verdict: xr.Dataset) -> pd.DataFrame:
    """lag in samples, whether it is whole periods, mean attention forecast → history of all and of the few heads."""
    of = (
        verdict["lag_curve"]
        .sel({vschema.REGION: "forecast→history"})
        .transpose(schema.LAYER, schema.HEAD, vschema.PAST_LAG)
    )
    curves = of * unit_of(verdict).factor
    asked, few = verdict["asked"].transpose(schema.LAYER, schema.HEAD).values, set_heads(verdict)
    columns = {"all heads": curves.values[asked].mean(axis=0)}
    if few:
        columns["the few heads"] = np.mean([curves.values[at] for at in few], axis=0)
    table = _lags(verdict).assign(**columns)
    return table[table["lag"] > 0].dropna(subset=["all heads"]).reset_index(drop=True)


def answer_attention(verdict: xr.Dataset, *, width: int = 860, height: int = 150) -> Spec:
    """Where the forecast looks, on the same axis as `answer_influence`."""
    table = answer_attention_table(verdict)
    if table.empty:
        raise ChartError("where heads look has not been worked out yet")
    names = [name for name in ("all heads", "the few heads") if name in table]
    colours = dict(zip(names, (NEUTRAL, PERIODIC), strict=False))
    said = ("Queries in the forecast, keys in the history, mean over heads.", EVEN_WORDS, _marked(verdict))
    return _over_lags(
        verdict, table, "attention", unit_of(verdict).title("mean attention"), colours,
        "Attention: where the forecast looks", subtitle_lines(*said, width=width), width, height,
    )  # fmt: skip


def answer_shares_table(verdict: xr.Dataset, by: Shares = "phase") -> pd.DataFrame:
    """Shares of the change that values carry: what, share, and for an interval low and high."""
    if by == "layer":
        return _shares(map(str, verdict[schema.LAYER].values), verdict["mechanism_by_layer"].values)
    if by == "multiple":
        whats = (f"{k} period{'' if k == 1 else 's'} back" for k in verdict[vschema.MULTIPLE].values)
        return _shares(whats, verdict["mechanism_by_multiple"].values)
    spp = float(vschema.facts(verdict, "window_facts")["samples_per_patch"])
    seconds = clock_of(verdict).seconds
    lags = [float(phase * spp) for phase in verdict[vschema.PHASE].values]
    phases = [f"{in_words(lag, seconds) or samples_in_words(lag, seconds)} off" for lag in lags]
    share, low, high, rest = (float(verdict[f"mechanism_{name}"]) for name in ("share", "low", "high", "rest"))
    table = _shares(
        ["whole periods back", *phases, "everything else"], [share, *verdict["mechanism_phase"].values, rest]
    )
    first = table["what"] == "whole periods back"
    return table.assign(low=np.where(first, low, np.nan), high=np.where(first, high, np.nan))


def answer_shares(verdict: xr.Dataset, by: Shares = "phase", *, width: int = 620) -> Spec:
    """Shares of the forecast's change carried by values at whole periods back and other phases, by period or layer."""
    table = answer_shares_table(verdict, by)
    if table.empty:
        raise ChartError("no shares are known: level 2 has not been worked on, or the forecast follows too little")
    order = list(dict.fromkeys(table["what"]))
    table = table.assign(kind=np.where((table["what"] == order[0]) | (by != "phase"), "on", "off"))
    drawn = table[table.columns.intersection(["share", "low", "high"])].to_numpy()
    ends = [min(0.0, float(np.nanmin(drawn))), max(1.0, float(np.nanmax(drawn)))]
    scale = {"scale": {"domain": ends}} if by == "phase" else {}
    x = quantity("share", "share of what attention's values carry", axis={"format": PERCENT}, **scale)
    y = category("what", scale={"domain": order}, axis={"title": None, "domain": False, "ticks": False})
    colour = category("kind", scale={"domain": ["on", "off"], "range": [PERIODIC, NEUTRAL]}, legend=None)
    tooltip = [tip("what", "values read"), tip("share", "share", PERCENT_1)]
    layers = [layer(table, "bar", encoding={"x": x, "y": y, "color": colour, "tooltip": tooltip}, height={"band": 0.7})]
    if "low" in table and len(known := table.dropna()):
        rule = {"x": quantity("low"), "x2": {"field": "high"}, "y": category("what")}
        layers.append(layer(known, "rule", encoding=rule, color=NEUTRAL, strokeWidth=2))
    said = {
        "phase": "Values read there replaced by those of the moved history; all others kept. The line: 90 % interval.",
        "multiple": "Whole periods back, one multiple at a time.",
        "layer": "Whole periods back, one layer at a time.",
    }
    heads = {"phase": "What attention carries", "multiple": "How many periods back", "layer": "In which layer"}
    return assemble(
        layers, heads[by], subtitle_lines(said[by], width=width), width=width, height=20 * len(order), autosize=STRETCH
    )  # fmt: skip


def answer_heads_table(verdict: xr.Dataset) -> pd.DataFrame:
    """layer, head, share that it carries alone of what is read whole periods back, and its place in the set."""
    few = set_heads(verdict)
    share = verdict["head_share"].transpose(schema.LAYER, schema.HEAD).values
    rows = [
        {
            schema.LAYER: str(verdict[schema.LAYER].values[i]), schema.HEAD: int(verdict[schema.HEAD].values[h]),
            "share": float(share[i, h]), "place": few.index((i, h)) + 1 if (i, h) in few else 0,
        }
        for i, h in np.ndindex(share.shape)
    ]  # fmt: skip
    return pd.DataFrame(rows)


def answer_heads(verdict: xr.Dataset, *, width: int = 620) -> Spec:
    """Every head's share of what is read whole periods back, with the few that carry most of it framed and numbered."""
    table = answer_heads_table(verdict).dropna(ignore_index=True)
    if table.empty:
        raise ChartError("the few heads have not been looked for yet")
    table = table.assign(shade=table["share"].clip(0, 1), label=table["place"].map(lambda n: str(n) if n else ""))
    few = table[table["place"] > 0]
    rows = [str(name) for name in verdict[schema.LAYER].values]
    x = category(schema.HEAD, "head", axis={"labelAngle": 0, "ticks": False, "domain": False})
    y = category(schema.LAYER, scale={"domain": rows}, axis={"title": None, "ticks": False, "domain": False})
    tooltip = [tip(schema.LAYER, "layer"), tip(schema.HEAD, "head", "d"), tip("share", "share alone", PERCENT_1),
               tip("label", "place in the set")]  # fmt: skip
    most = max(float(table["shade"].max()), 0.05)
    shade = quantity("shade", scale={"domain": [0, most], "range": [0.06, 1]}, legend=None)
    cells = {"x": x, "y": y, "fillOpacity": shade, "tooltip": tooltip}
    layers = [layer(table, "rect", encoding=cells, color=HISTORY) | HEAD_CLICK]
    if len(few):
        place = {"x": category(schema.HEAD), "y": category(schema.LAYER)}
        full = {"test": f"datum.shade > {most / 2:g}", "value": ON_FULL}
        words = place | {"text": category("label"), "color": {"condition": full, "value": ON_PALE}}
        layers += [
            layer(few, "rect", encoding=place, fillOpacity=0, stroke=FORECAST, strokeWidth=2.5),
            layer(few, "text", encoding=words, fontWeight="bold"),
        ]
    share, without = float(verdict["set_share"]), float(verdict["set_without"])
    known = len(few) and np.isfinite([share, without]).all()
    tested = (
        f"Framed: the few heads, in order. Alone they carry {percent(share)} of it, all other heads {percent(without)}."
    )
    shaded = "The stronger the colour, the more a head carries alone."
    said = subtitle_lines(shaded, tested if known else "", width=width)
    return assemble(
        layers, "The few heads", said,
        width=width, height=24 * len(rows), autosize=STRETCH,
    )  # fmt: skip


def _over_lags(
    verdict: xr.Dataset, table: pd.DataFrame, value: str, title: str, colours: dict[str, str], heading: str,
    said: list[str], width: int, height: int,
) -> Spec:  # fmt: skip
    """Curves over lags in samples with whole periods marked; charts of one verdict share their axis.

    `table` has a row per lag and a column for each curve that has a colour; anywhere above a lag the pointer reads all.
    """
    period, last = float(vschema.facts(verdict, "question")["period"]), float(_lags(verdict)["lag"].max())
    spp = float(vschema.facts(verdict, "window_facts")["samples_per_patch"])
    marks = np.arange(1, min(int(last / period), MOST_MARKS) + 1) * period
    bands = [{"from": float(mark - 0.95 * spp), "to": float(mark + 0.95 * spp)} for mark in marks]
    clock = clock_of(verdict)
    x = quantity("lag", scale={"domain": [0, last], "nice": False}, **clock.span_axis(last, "lag to the past"))
    y = quantity(value, title, axis=ALIGNED | {"format": NUMBER})
    colour = category(
        "curve", scale={"domain": list(colours), "range": list(colours.values())},
        legend={"title": None, "orient": "top", "columns": 1 if width < 500 else 2, "labelLimit": 320},
    )  # fmt: skip
    curves = table.melt("lag", list(colours), "curve", value).dropna()
    names = [", ".join(filter(None, (name, title.partition(", ")[2]))) for name in colours]
    mouse, at = clock.over_lags(told(table[["lag", *colours]], colours), spp)
    at["tooltip"] += map(tip, colours, names)
    band = {"x": quantity("from"), "x2": {"field": "to"}}
    encoding = {"x": x, "y": y, "color": colour}
    return assemble(
        [
            layer(bands, "rect", encoding=band, color=PERIODIC, opacity=0.14, clip=True),
            layer(curves, "line", encoding=encoding, strokeWidth=1.6),
            layer(curves, "circle", encoding=encoding, size=22, opacity=1),
            layer(mouse, "rect", encoding=at, opacity=0, clip=True),
        ],
        heading, said, width=width, height=height, autosize=STRETCH,
    )  # fmt: skip


def _lags(verdict: xr.Dataset) -> pd.DataFrame:
    spp = float(vschema.facts(verdict, "window_facts")["samples_per_patch"])
    return pd.DataFrame({"lag": verdict[vschema.PAST_LAG].values * spp, "whole": verdict["whole_periods"].values})


def _marked(verdict: xr.Dataset) -> str:
    return f"Shaded: whole periods of {period_words(verdict)} back."


def _shares(whats: Iterable[str], shares: ArrayLike) -> pd.DataFrame:
    table = pd.DataFrame({"what": list(whats), "share": np.asarray(shares, dtype=np.float64)})
    return table.dropna(ignore_index=True)


def _signal(verdict: xr.Dataset) -> str:
    return str(vschema.facts(verdict, "question")["signal"])
