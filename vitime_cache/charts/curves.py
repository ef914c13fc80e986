"""Curves: the series, attention against lag, and the autocorrelation on the same axis."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
import xarray as xr

from vitime_cache.attention import lags, measures, peaks, schema
from vitime_cache.attention.peaks import Side
from vitime_cache.charts import tables
from vitime_cache.charts.clock import Clock
from vitime_cache.charts.style import (
    CATEGORICAL,
    FORECAST,
    HISTORY,
    NEUTRAL,
    STRETCH,
    TEXT,
    ChartError,
    Spec,
    around,
    assemble,
    category,
    layer,
    quantity,
    thin_range,
    tip,
    told,
)
from vitime_cache.charts.view import HeadView
from vitime_cache.numerals import NUMBER, SAMPLES, SIGNED
from vitime_cache.shown import counted

MULTIPLE = 36  # pixels for the label of a multiple
ALIGNED = {"minExtent": 48, "maxExtent": 48}  # pixels of the value axis, so that stacked charts share the lag axis

REGION_WORDS = {
    "all": "all queries and keys, history and forecast mixed",
    "history→history": "queries and keys in the history",
    "forecast→history": "queries in the forecast, keys in the history: what feeds the forecast",
    "forecast→forecast": "queries and keys in the forecast",
}


def series(ds: xr.Dataset, *, most_probable: bool = False, width: int = 860, height: int = 240) -> Spec:
    """History, forecast with the 50 % and 90 % ranges of the model's own distribution, and the border between them.

    Parameters
    ----------
    most_probable
        Draw the most probable row at each time instead of the median.
    """
    drawn = "most probable" if most_probable else "forecast"
    table = tables.series_table(ds)
    forecast = table[table["forecast"].notna()]
    clock = Clock.of(ds)
    x = quantity("time", scale={"domain": [0, len(table)], "nice": False}, **clock.axis(0, len(table)))
    y = quantity("value", "value", scale={"zero": False})
    lines = {part: tables.part_table(ds, part) for part in ("history", drawn)}
    hover = pd.concat([tables.part_table(ds, part, 300).assign(part=part) for part in lines])
    hover, tooltip = clock.points_tip(hover, "time")
    layers = [
        *(
            layer(
                thin_range(forecast[["time", low, high]], low, high),
                "area",
                encoding={"x": x, "y": quantity(low), "y2": {"field": high}},
                color=FORECAST,
                opacity=0.18,
            )
            for low, high in (("q05", "q95"), ("q25", "q75"))
        ),
        *(
            layer(lines[part], "line", encoding={"x": x, "y": y}, color=colour, strokeWidth=1.4)
            for part, colour in (("history", HISTORY), (drawn, FORECAST))
        ),
        layer(
            [{"time": int(ds[schema.N_HISTORY])}],
            "rule",
            encoding={"x": quantity("time")},
            color=NEUTRAL,
            strokeDash=[4, 3],
        ),
        layer(hover, "rule", encoding={"x": quantity("time"), "tooltip": tooltip}, opacity=0, strokeWidth=3),
    ]
    title = f"The series and its forecast: {ds['signal'].values}"
    line = "most probable row" if most_probable else "median"
    subtitle = [
        f"Blue: history given to the model; orange: {line} of its forecast, with its 50 % and 90 % ranges.",
        *filled_words(int(ds[schema.FILLED])),
    ]
    return assemble(layers, title, subtitle, width=width, height=height, autosize=STRETCH)


def filled_words(filled: int) -> list[str]:
    """A line about filled gaps: at most, as a store records how many samples were missing, but not which."""
    if not filled:
        return []
    return [f"Filled, where the series had gaps: at most {counted(filled, 'sample')} of the history."]


def lag_curves(
    views: Sequence[HeadView],
    region: lags.Region = "all",
    *,
    period: float | None = None,
    side: Side = "past",
    max_lag: float | None = None,
    log: bool = False,
    width: int = 860,
    height: int = 300,
) -> Spec:
    """Mean attention against lag in samples, for one or several heads or signals.

    Parameters
    ----------
    region
        Which queries and keys; see `lags`.
    period
        Period in samples whose multiples are marked.
    side
        Keys in the past or in the future of the query.
    max_lag
        End of the axis in samples, above 0; None ends it at the last lag with `lags.MIN_PAIRS` pairs over all regions.
    log
        Logarithmic attention axis; an attention of zero is a gap in the curve.

    Raises
    ------
    ChartError
        For more curves than there are colours, for a region without pairs on that side, and for a logarithm of zeros.
    """
    if len(views) > len(CATEGORICAL):
        raise ChartError(f"one chart can show at most {len(CATEGORICAL)} curves, got {len(views)}")
    table = tables.lag_table(views, region, side=side)
    if table.empty:
        raise ChartError(
            f"no lag to the {side} has {lags.MIN_PAIRS} query–key pairs in the region {region}; choose another"
        )
    end = max_lag or max(_longest(view.ds) for view in views)
    table = table[table["lag"] <= end]
    if log:
        table = table.assign(attention=table["attention"].where(table["attention"] > 0))
        if table["attention"].isna().all():
            raise ChartError("no attention above zero at any lag: a logarithmic axis cannot show it")
    found = tables.peak_table(views, region, period=period, side=side)
    names = tables.curve_labels(views)
    blind = next((reason for view in views if period and (reason := measures.unseen(view.ds, period))), "")
    legend = {"title": None, "orient": "top", "labelLimit": 400, "symbolOpacity": 1} if len(names) > 1 else None
    colour = category("curve", scale={"domain": names, "range": list(CATEGORICAL)}, legend=legend)
    clock = views[0].clock if len({view.clock.seconds for view in views}) == 1 else Clock()
    x = quantity("lag", scale={"domain": [0, end], "nice": False}, **clock.span_axis(end, f"lag to the {side}"))
    scale = {"type": "log", "nice": False} if log else {"zero": True}
    unit = views[0].unit
    y = quantity("attention", unit.title("mean attention"), scale=scale, axis=ALIGNED | {"format": unit.axis_format})
    channels = {"x": x, "y": y, "color": colour}
    tooltip = [
        tip("curve", "curve"),
        tip("lag", "lag, samples", SAMPLES),
        tip("attention", unit.title("mean attention"), unit.format),
        tip("low", "95 % interval from", unit.format),
        tip("high", "95 % interval to", unit.format),
        tip("pairs", "pairs", "d"),
    ]
    if all(view.sample_seconds for view in views):
        tooltip.insert(2, tip("time", "that is"))
    else:  # the time between samples is not known for all series
        table, found = (each.drop(columns="time", errors="ignore") for each in (table, found))
    interval = channels | {"y": quantity("low"), "y2": {"field": "high"}}
    band = layer(table[table["curve"] == names[0]], "area", encoding=interval, opacity=0.12, clip=True)
    boxes, at = around(table, views[0].samples_per_patch)
    layers = [
        # Of one curve the pointer reads the lag that it is above; of several the dot that it is on.
        *([layer(boxes, "rect", encoding=at | {"tooltip": tooltip}, opacity=0, clip=True)] if len(names) == 1 else []),
        *_unresolved(max(view.samples_per_patch for view in views)),
        *([] if blind else _multiples(period, end, width)),
        *([] if log else [band]),
        layer(table, "line", encoding=channels, strokeWidth=1.6),
        layer(table, "circle", encoding=channels | {"tooltip": tooltip}, size=26, opacity=1),
        *_peaks(found[found["lag"] <= end], channels),
    ]
    label = views[0].label if len(views) == 1 else f"{'; '.join(names)}{tables.shared_label(views)}"
    whose = f" of {names[0]}" if len(names) > 1 else ""
    band_words = "" if log else f"; band: 95 % interval{whose}"
    subtitle = [f"Region {region}: {REGION_WORDS[region]}. ▼ peak{band_words}.", *([blind] if blind else [])]
    return assemble(layers, f"How far it looks: {label}", subtitle, width=width, height=height, autosize=STRETCH)


def autocorrelation(
    ds: xr.Dataset, *, period: float | None = None, max_lag: float | None = None, width: int = 860, height: int = 180
) -> Spec:
    """Autocorrelation of the history at every lag: the structure that a periodic head could use.

    The lag axis is that of `lag_curves`, so that the two charts can be stacked; the curve ends with the history.
    """
    table = tables.autocorrelation_table(ds, max_lag)
    end = max_lag or _longest(ds)
    clock = Clock.of(ds)
    table, tooltip = clock.span_tip(table, "lag", "lag")
    x = quantity("lag", scale={"domain": [0, end], "nice": False}, **clock.span_axis(end, "lag"))
    y = quantity("autocorrelation", "autocorrelation", scale={"domain": [-1, 1]}, axis=ALIGNED)
    tooltip += [tip("autocorrelation", "autocorrelation"), tip("pairs", "pairs", "d")]
    layers = [
        *_unresolved(float(ds[schema.SAMPLES_PER_PATCH])),
        *([] if period and measures.unseen(ds, period) else _multiples(period, end, width)),
        layer([{"y": 0}], "rule", encoding={"y": quantity("y")}, color=NEUTRAL, strokeWidth=0.6),
        layer(table, "line", encoding={"x": x, "y": y}, color=HISTORY, strokeWidth=1.4),
        layer(
            told(table, ["autocorrelation"]), "rule", encoding={"x": x, "tooltip": tooltip}, opacity=0, strokeWidth=3
        ),
    ]
    title = f"How the series resembles its own past: {ds['signal'].values}"
    none = "" if table["autocorrelation"].notna().any() else ": none, because it is constant"
    return assemble(
        layers, title, f"Autocorrelation of the history{none}", width=width, height=height, autosize=STRETCH
    )


def _longest(ds: xr.Dataset) -> float:
    """The longest lag with enough pairs of query and key, in samples."""
    return (ds.sizes[schema.QUERY_PATCH] - lags.MIN_PAIRS) * float(ds[schema.SAMPLES_PER_PATCH])


def _unresolved(samples_per_patch: float) -> list[Spec]:
    """The lags below two patches, where no period can be resolved."""
    zone = [{"x": 0, "x2": peaks.SHORTEST_PERIOD * samples_per_patch}]
    encoding = {
        "x": quantity("x"),
        "x2": {"field": "x2"},
        "tooltip": {"value": "below two patches: periods cannot be resolved"},
    }
    return [layer(zone, "rect", encoding=encoding, color=NEUTRAL, opacity=0.18)]


def _multiples(period: float | None, end: float, width: float) -> list[Spec]:
    if period is None or period > end:
        return []
    count = int(end / period)
    multiples = np.arange(1, count + 1)[:: -(-count // max(int(width / MULTIPLE), 1))]
    marks = pd.DataFrame({"lag": multiples * period, "name": ["P" if m == 1 else f"{m} P" for m in multiples]})
    above = {"x": quantity("lag"), "y": {"value": 0}, "text": category("name")}
    return [
        layer(marks, "rule", encoding={"x": quantity("lag")}, color=NEUTRAL, strokeDash=[3, 3]),
        layer(marks, "text", encoding=above, color=TEXT, baseline="bottom", dy=-2, fontSize=10),
    ]


def _peaks(found: pd.DataFrame, channels: Spec) -> list[Spec]:
    if found.empty:
        return []
    tooltip = [
        tip("curve", "curve"),
        tip("lag", "peak, samples", SAMPLES),
        tip("vertex", "interpolated", SAMPLES),
        tip("relative_prominence", "prominence / mean", NUMBER),
        tip("pairs", "pairs", "d"),
    ]
    if found["multiple"].gt(0).all():
        tooltip += [tip("multiple", "nearest multiple of P", "d"), tip("error", "off by, samples", SIGNED)]
    if "time" in found and found["time"].any():
        tooltip.insert(2, tip("time", "that is"))
    kept = ["attention", *(line["field"] for line in tooltip)]
    encoding = channels | {"tooltip": tooltip}
    return [
        layer(
            found[kept], "point", encoding=encoding, shape="triangle-down", filled=True, size=70, yOffset=-9, opacity=1
        )
    ]
