"""The picture behind each rung of a verdict, for one head: lag curve, period sweep, what its removal changes."""

from __future__ import annotations

import numpy as np
import pandas as pd
import xarray as xr

from vitime_cache.attention import schema
from vitime_cache.attention.peaks import SHORTEST_PERIOD
from vitime_cache.charts.style import (
    CATEGORICAL,
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
    thin,
    tip,
)
from vitime_cache.evidence.verdict import schema as v

MATTERS = CATEGORICAL[1]
MASKED, ELSEWHERE, REPLACED = "lags masked", "as much elsewhere", "head replaced"
OUTCOME_WORDS = {
    "distance": "change of the forecast, std of the history",
    "error": "change of its error, std of the history",
    "seasonal_power": "change of the seasonal share of power",
    "log_score": "change of the log score, nats",
}


def asked_window(verdict: xr.Dataset, *, width: int = 860, height: int = 180) -> Spec:
    """What the model was given and what it made of it, in the latest window; what really came, where it is known."""
    latest = verdict.isel({v.WINDOW: -1})
    start = int(latest["window_start"])
    lines = [
        _line(latest[name].values, start).assign(part=name)
        for name in ("history", "future", "forecast")
        if np.isfinite(latest[name].values).any()
    ]
    colours = {"history": HISTORY, "forecast": FORECAST, "future": NEUTRAL}
    table = pd.concat(lines)
    legend = {"title": None, "orient": "top", "symbolOpacity": 1}
    encoding = {
        "x": quantity("time", "sample of the series", scale={"zero": False, "nice": False}),
        "y": quantity("value", "value", scale={"zero": False}),
        "color": category("part", scale={"domain": list(colours), "range": list(colours.values())}, legend=legend),
        "tooltip": [tip("part", "part"), tip("time", "sample", "d"), tip("value", "value", ".4~g")],
    }
    words = str(v.facts(verdict, "window_facts")["words"])
    title = f"What was asked about: {v.facts(verdict, 'question')['signal']}"
    return assemble(
        [layer(table, "line", encoding=encoding, strokeWidth=1.3)],
        title, words.split("; "), width=width, height=height, autosize=STRETCH,
    )  # fmt: skip


def verdict_curve_table(verdict: xr.Dataset, head_layer: str, head: int) -> pd.DataFrame:
    """lag in samples, attention of the head, and the mean and upper band of each kind of null inputs."""
    one = _head(verdict, head_layer, head)
    spp = float(v.facts(verdict, "window_facts")["samples_per_patch"])
    columns = {"lag": one[v.PAST_LAG].values * spp, "attention": one["lag_curve"].values}
    for null in one[v.NULL].values:
        kind = one.sel({v.NULL: null})
        columns |= {f"{null}_mean": kind["null_mean"].values, f"{null}_upper": kind["null_upper"].values}
    table = pd.DataFrame(columns)
    shown: pd.DataFrame = table[(table["lag"] > 0) & np.isfinite(table["attention"])].reset_index(drop=True)
    return shown


def verdict_curve(verdict: xr.Dataset, head_layer: str, head: int, *, width: int = 620, height: int = 240) -> Spec:
    """The head's lag curve against that of null inputs: the rungs descriptive and signal-dependent.

    What is drawn is the highest of all kinds at each lag; the verdict takes a curve above each of them.
    """
    table = verdict_curve_table(verdict, head_layer, head)
    if table.empty:
        raise ChartError("the lag curve has not been worked out yet")
    uppers = [name for name in table if str(name).endswith("_upper")]
    means = [name for name in table if str(name).endswith("_mean")]
    band = pd.DataFrame(
        {"lag": table["lag"], "upper": table[uppers].max(axis=1), "mean": table[means].mean(axis=1)}
    ).dropna()
    facts, period = v.facts(verdict, "window_facts"), float(v.facts(verdict, "question")["period"])
    x = quantity("lag", "lag to the past, samples", scale={"nice": False, "zero": True})
    y = quantity("attention", "mean attention", axis={"format": ".1e"})
    shaded = {"x": x, "y": quantity("zero"), "y2": {"field": "upper"}}
    curve = {"x": x, "y": y, "tooltip": [tip("lag", "lag, samples", ".4~g"), tip("attention", "attention", ".3e")]}
    blind = [{"x": 0, "x2": SHORTEST_PERIOD * float(facts["samples_per_patch"])}]
    marks = pd.DataFrame({"lag": np.arange(1, max(int(table["lag"].max() / period), 1) + 1) * period}).head(8)
    layers = [
        layer(blind, "rect", encoding={"x": quantity("x"), "x2": {"field": "x2"}}, color=NEUTRAL, opacity=0.18),
        *([layer(band.assign(zero=0.0), "area", encoding=shaded, color=NEUTRAL, opacity=0.22)] if len(band) else []),
        *(
            [layer(band, "line", encoding={"x": x, "y": quantity("mean")}, color=NEUTRAL, strokeDash=[4, 3])]
            if len(band)
            else []
        ),
        layer(marks, "rule", encoding={"x": quantity("lag")}, color=NEUTRAL, strokeDash=[2, 3]),
        layer(table, "line", encoding=curve, color=HISTORY, strokeWidth=1.6),
        layer(table, "circle", encoding=curve, color=HISTORY, size=24, opacity=1),
    ]
    grey = ["Grey: below it lie 19 of 20 null curves of each kind, lag by lag"] if len(band) else []
    dashed = "; dashed: mean of null curves" if len(band) else ""
    said = [*grey, f"Dotted: multiples of {period:.4g} samples{dashed}"]
    title = f"Looks: {head_layer}, head {head}"
    return assemble(layers, title, said, width=width, height=height, autosize=STRETCH)


def verdict_sweep_table(verdict: xr.Dataset, head_layer: str, head: int) -> pd.DataFrame:
    """period, lag of the first peak (missing where there is none), and whether slopes are measured on that period."""
    one = _head(verdict, head_layer, head)
    return pd.DataFrame(
        {
            "period": one[v.SWEEP].values,
            "lag": one["sweep_peak"].values.astype(np.float64),
            "measured": np.where(one["measured_on"].values, "measured on", "chosen on"),
        }
    )


def verdict_sweep(verdict: xr.Dataset, head_layer: str, head: int, *, width: int = 620, height: int = 240) -> Spec:
    """The lag of the first peak against the period, the fitted line and that of slope 1: the rung tracking."""
    table, one = verdict_sweep_table(verdict, head_layer, head), _head(verdict, head_layer, head)
    found = table.dropna()
    if found.empty:
        raise ChartError("no peak was found at any period of the sweep, or the sweep has not been run yet")
    ends = np.array([table["period"].min(), table["period"].max()])
    slope, intercept = float(one["slope"]), float(one["intercept"])
    fitted = pd.DataFrame({"period": ends, "lag": slope * ends + intercept})
    x = quantity("period", "period of the sweep, samples", scale={"zero": False})
    y = quantity("lag", "lag of the first peak, samples")
    legend = {"title": None, "orient": "top"}
    dots = {
        "x": x, "y": y,
        "color": category(
            "measured", scale={"domain": ["measured on", "chosen on"], "range": [HISTORY, NEUTRAL]}, legend=legend
        ),
        "tooltip": [tip("period", "period", ".4~g"), tip("lag", "first peak", ".4~g"), tip("measured", "used to")],
    }  # fmt: skip
    straight = {"x": x, "y": y}
    layers = [
        layer(pd.DataFrame({"period": ends, "lag": ends}), "line", encoding=straight, color=NEUTRAL, strokeDash=[4, 3]),
        *([layer(fitted, "line", encoding=straight, color=FORECAST, strokeWidth=1.4)] if np.isfinite(slope) else []),
        layer(found, "circle", encoding=dots, size=60, opacity=1),
    ]
    low, high = float(one["slope_low"]), float(one["slope_high"])
    interval = f"95 % interval {low:.2f} … {high:.2f}" if np.isfinite([low, high]).all() else "no interval"
    said = [
        f"Slope {slope:.2f} ({interval}), R² {float(one['r_squared']):.2f}"
        if np.isfinite(slope)
        else "Too few of the periods measured on have a peak: no slope",
        f"A peak at {float(one['found']):.0%} of the periods measured on. Dashed: slope 1",
    ]
    return assemble(
        layers, f"Tracks: {head_layer}, head {head}", said, width=width, height=height, autosize=STRETCH
    )  # fmt: skip


def verdict_effect_table(verdict: xr.Dataset, head_layer: str, head: int, outcome: str = "distance") -> pd.DataFrame:
    """effect and what it is of: masks at the period and at other lags, as much taken elsewhere, and all knockouts."""
    one = _head(verdict, head_layer, head).sel({v.OUTCOME: outcome})
    knockouts = verdict["knockout"].sel({v.OUTCOME: outcome}).mean(v.WINDOW).values.ravel()
    masked = (
        (MASKED, "other lags", one["mask_control"].values),
        (MASKED, "the lags of the period", [one["mask"].mean()]),
        (ELSEWHERE, "as much as at other lags", one["mask_control_elsewhere"].values),
        (ELSEWHERE, "as much as at the period", [one["mask_elsewhere"].mean()]),
        (REPLACED, "every head", knockouts),
        (REPLACED, "this head", [one["knockout"].mean()]),
    )
    rows = [{"row": row, "what": what, "effect": float(each)} for row, what, values in masked for each in values]
    return pd.DataFrame(rows).dropna(ignore_index=True)


def verdict_effect(
    verdict: xr.Dataset, head_layer: str, head: int, outcome: str = "distance", *, width: int = 620, height: int = 150
) -> Spec:
    """What masking the period's lags and replacing the head change, among their controls: the rung causal.

    The verdict compares, lag by lag, the first row with the second.
    """
    table, one = verdict_effect_table(verdict, head_layer, head, outcome), _head(verdict, head_layer, head)
    if table.empty:
        raise ChartError("the head has not been knocked out: it was screened out, or that rung is still to come")
    own = table["what"].isin(["the lags of the period", "as much as at the period", "this head"])
    x = quantity("effect", OUTCOME_WORDS[outcome])
    y = category(
        "row",
        axis={"title": None, "domain": False, "ticks": False, "labelLimit": 130},
        sort=[MASKED, ELSEWHERE, REPLACED],
    )
    tooltip = [tip("what", "of"), tip("effect", "effect", ".3~g")]
    encoding = {"x": x, "y": y, "tooltip": tooltip}
    layers = [
        layer(table[~own], "tick", encoding=encoding, color=NEUTRAL, opacity=0.5, thickness=1.5),
        layer(table[own], "point", encoding=encoding, shape="diamond", filled=True, size=140, color=MATTERS, opacity=1),
    ]
    p_mask = float(one["mask_p"].sel({v.OUTCOME: outcome}))
    rank, many = float(one["knockout_rank"]), int(np.isfinite(verdict["knockout_rank"].values).sum())
    others = int(np.isfinite(one["mask_control"].values[:, 0]).sum())
    tested = np.isfinite(one["mask"].values).any()
    fewer = f"{others} other lags are too few" if tested else "not tested"
    against = f"p {p_mask:.2g} among {others} other lags" if np.isfinite(p_mask) else fewer
    said = [f"Masked, against as much elsewhere: {against}"]
    said += [f"Head replaced: rank {rank:.0f} of {many} heads"] if np.isfinite(rank) else []
    title = f"Matters: {head_layer}, head {head}"
    subtitle = ["Diamonds: this head at the period; grey: other lags, and all heads", *said]
    return assemble(layers, title, subtitle, width=width, height=height, autosize=STRETCH)


def _head(verdict: xr.Dataset, head_layer: str, head: int) -> xr.Dataset:
    if head_layer not in verdict[schema.LAYER].values or head not in verdict[schema.HEAD].values:
        raise ChartError(f"the verdict has no head {head} in {head_layer!r}")
    return verdict.sel({schema.LAYER: head_layer, schema.HEAD: head})


def _line(values: np.ndarray, start: int) -> pd.DataFrame:
    known = np.flatnonzero(np.isfinite(values))
    return thin(known + start, values[known], 1200)
