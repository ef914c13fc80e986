"""Draw the pictures of docs/concepts.md: python -m docs.concept_pictures

They show what the shipped weights do with the signal `full` of the reference study; only the intervals of the picture
of verdicts are made up. A minute on two cores. Writes docs/images/concepts/NAME.png.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import altair as alt
import numpy as np
import pandas as pd
import xarray as xr
from scipy.signal import find_peaks

import vitime_cache as vc
from vitime_cache.attention.capture import images_of
from vitime_cache.attention.lags import lag_curve
from vitime_cache.charts.raster import png_url
from vitime_cache.charts.render import small_png
from vitime_cache.charts.style import CATEGORICAL, FORECAST, HISTORY, NEUTRAL, SEQUENTIAL
from vitime_cache.evidence.levels.table import SUPPORTED
from vitime_cache.evidence.verdict.data import head_order
from vitime_cache.interventions.named_heads import Head
from vitime_cache.model.encoding import SeriesEncoding
from vitime_cache.model.network import ViTime
from vitime_cache.stats.surrogates import notched, null_series

IMAGES = Path(__file__).parent / "images" / "concepts"
INK = ("#ffffff", "#c6dbef", "#6baed6", "#08519c", "#08306b")
OTHER = CATEGORICAL[2]
WIDTH, DPI, COLOURS = 720, 110, 96
PERIOD = 62.83
SHOWN = 0.995  # quantile of a map that gets the full colour
EXAMPLE = 22  # patch column that is pointed at


def main() -> None:
    """Draw all pictures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=IMAGES, help="folder of the pictures")
    out = parser.parse_args().out
    out.mkdir(parents=True, exist_ok=True)
    model = vc.load_model()
    signal = next(each for each in vc.catalogue() if each.name == "full")
    verdict = vc.ask(model, signal, period=PERIOD)
    layer, head = chosen = best_head(verdict)
    ds = vc.capture(model, signal, tokens=layer).sel(layer=layer, head=head)
    pictures = {
        "images": images(model, signal),
        "token-to-time": token_to_time(ds, model),
        "regions": regions(ds),
        "stand-in": stand_in(verdict),
        "value-patching": value_patching(verdict),
        "knockout": knockout(vc.ablate_heads(model, asked_about(signal, verdict), [chosen]), chosen),
        "nulls": nulls(signal),
        "tracking": tracking(verdict, best_head(verdict, "tracks")),
        "verdicts": verdicts(),
    }
    for name, chart in pictures.items():
        (out / f"{name}.png").write_bytes(png(chart))
        print(name, flush=True)


def best_head(verdict: xr.Dataset, claim: str | None = None) -> Head:
    """The head that the answer rests on most; with a claim, the first of those for which it is supported."""
    order = head_order(verdict)
    if claim is not None:
        codes = verdict.verdict.sel(claim=claim).transpose("layer", "head").values
        order = [at for at in order if codes[at] == SUPPORTED]
    layer, head = order[0]
    return str(verdict.layer.values[layer]), int(verdict["head"].values[head])


def asked_about(signal: vc.Signal, verdict: xr.Dataset) -> vc.Signal:
    """The history and horizon of the answer's first window."""
    first = verdict.isel(window=0)
    history = first.history.values[first.history.notnull().values]
    return vc.Signal(signal.name, history, int(first.forecast.notnull().sum()))


def png(chart: alt.VConcatChart) -> bytes:
    """A chart as a PNG of few colours."""
    plain = chart.configure_view(stroke=None).configure_axis(grid=False).configure_title(anchor="start")
    return small_png(plain.to_dict(), DPI, COLOURS)


def images(model: ViTime, signal: vc.Signal) -> alt.VConcatChart:
    """The image that the model is given, and the one that it completes."""
    config = model.config
    given = images_of([signal], [SeriesEncoding.fit(signal.values, signal.horizon, config)], model)
    width, height = config.patch_width, config.patch_height
    column = {"x": EXAMPLE * width, "x2": (EXAMPLE + 1) * width, "y": 0, "y2": config.image_height}
    patch = column | {"y": height, "y2": 2 * height}
    marks = [
        *(rules("x", range(0, config.columns + 1, width)), rules("y", range(0, config.image_height + 1, height))),
        boxes([column], color=FORECAST, opacity=0.2),
        boxes([patch], filled=False, stroke=FORECAST, strokeWidth=2),
        rules("x", [config.context_columns], color=FORECAST, opacity=1.0, strokeDash=[5, 3]),
    ]
    titles = {
        "What the model is given: ink at the value of each column, and nothing where the future is (right)": given[
            0, 0
        ],
        "What it completes: in each column, how probable each value is": model(given)[0].T,
    }
    return alt.vconcat(
        *(
            raster(np.sqrt(image.numpy()), INK, marks, width=WIDTH, height=130).properties(title=title)
            for title, image in titles.items()
        )
    )


def token_to_time(ds: xr.Dataset, model: ViTime) -> alt.VConcatChart:
    """Token map, time map and lag curve of a head."""
    side = 250
    rows, columns = model.config.grid
    tokens = raster(
        ds.token_attention.values,
        SEQUENTIAL,
        [rules("x", range(columns, rows * columns, columns))],
        width=side,
        height=side,
        down=True,
    )
    time = raster(ds.time_attention.values, SEQUENTIAL, [], width=side, height=side, down=True)
    lag = ds.lag * ds.samples_per_patch
    curve = pd.DataFrame({"lag": lag, "attention": ds.lag_attention * rows * columns})
    curve = curve[(curve.lag >= 0) & (curve.lag <= 8 * PERIOD)]
    x = alt.X("lag:Q", title="lag into the past, samples")
    line = (
        alt.Chart(curve)
        .mark_line(color=HISTORY)
        .encode(x=x, y=alt.Y("attention:Q", title="multiples of even attention"))
    )
    periods = rules("x", [PERIOD * k for k in range(1, 8)], color=FORECAST, opacity=0.6, strokeDash=[4, 3])
    return alt.vconcat(
        alt.hconcat(
            tokens.properties(title=f"Token map: {rows * columns} queries (down) × keys, by image row"),
            time.properties(title=f"Time map: {columns} × {columns} patch columns"),
        ),
        alt.layer(periods, line).properties(
            title=f"Lag curve: the time map's mean along each diagonal; dashed: whole periods of {PERIOD} samples",
            width=WIDTH,
            height=130,
        ),
    )


def regions(ds: xr.Dataset) -> alt.VConcatChart:
    """The regions of a time map, and the prominence of a peak of its lag curve."""
    past, all_columns = int(ds.history_patches), ds.sizes["query_patch"]
    areas = [
        {"x": 0, "x2": past, "y": 0, "y2": past, "name": "history → history"},
        {"x": 0, "x2": past, "y": past, "y2": all_columns, "name": "forecast → history"},
    ]
    names = alt.Chart(alt.Data(values=[each | {"at": (each["y"] + each["y2"]) / 2} for each in areas]))
    marks = [
        boxes(areas, filled=False, stroke="white", strokeWidth=2),
        names.mark_text(color="white", align="left", dx=8, fontWeight="bold", fontSize=13).encode(
            x="x:Q", y="at:Q", text="name:N"
        ),
    ]
    time = raster(ds.time_attention.values, SEQUENTIAL, marks, width=300, height=300, down=True)
    found = lag_curve(ds.time_attention.values)
    shown = (found.lag > 0) & (found.lag * float(ds.samples_per_patch) <= 8 * PERIOD)
    lag, mean = found.lag[shown] * float(ds.samples_per_patch), found.mean[shown] / found.mean[shown].mean()
    peaks, found_there = find_peaks(mean, prominence=0)
    best = int(found_there["prominences"].argmax())
    top, height = int(peaks[best]), float(found_there["prominences"][best])
    bar = [{"lag": lag[top], "low": mean[top] - height, "high": mean[top]}]
    line = (
        alt.Chart(pd.DataFrame({"lag": lag, "value": mean}))
        .mark_line(color=HISTORY)
        .encode(x=alt.X("lag:Q", title="lag into the past, samples"), y=alt.Y("value:Q", title="of the curve's mean"))
    )
    stands = (
        alt.Chart(alt.Data(values=bar))
        .mark_rule(color=FORECAST, strokeWidth=3)
        .encode(x="lag:Q", y="low:Q", y2="high:Q")
    )
    return alt.vconcat(
        alt.hconcat(
            time.properties(title="Regions of a time map (queries downwards)"),
            alt.layer(line, stands).properties(
                title="Prominence: how far a peak stands out (bar)", width=330, height=300
            ),
        )
    )


def stand_in(verdict: xr.Dataset) -> alt.VConcatChart:
    """A history, its stand-in, and a mixture of both by random patches."""
    first = verdict.isel(window=0)
    known = first.history.notnull().values
    history, other = first.history.values[known], first.stand_in.values[known]
    time = np.arange(len(history))
    step = max(len(time) // 24, 1)
    replaced = np.random.default_rng(3).random(len(time) // step + 1) < 0.4
    mixed = np.where(replaced[time // step], other, history)
    spans = [{"x": at * step, "x2": min((at + 1) * step, len(time))} for at in np.flatnonzero(replaced)]
    both = alt.layer(lines({"history": history, "stand-in": other}, {"history": HISTORY, "stand-in": OTHER}))
    mixture = alt.layer(boxes(spans, color=OTHER, opacity=0.25), lines({"input": mixed}, {"input": HISTORY}))
    return alt.vconcat(
        both.properties(title="The stand-in is the history moved by a part of its period", width=WIDTH, height=110),
        mixture.properties(
            title="Influence: random patches (shaded) come from the stand-in; which of them change the forecast?",
            width=WIDTH,
            height=110,
        ),
    ).resolve_scale(color="independent")


def value_patching(verdict: xr.Dataset) -> alt.VConcatChart:
    """The forecast, the forecast without the values from whole periods back, and that of the whole stand-in."""
    first = verdict.isel(window=0)
    start = int(first.history.notnull().sum())
    names = {
        "forecast": ("forecast", FORECAST),
        "without the values from whole periods back": ("forecast_without", HISTORY),
        "of the whole stand-in": ("forecast_stand_in", OTHER),
    }
    values = {name: first[variable].values[start:] for name, (variable, _) in names.items()}
    drawn = alt.layer(lines(values, {name: colour for name, (_, colour) in names.items()}, start))
    return alt.vconcat(
        drawn.properties(
            title="Attention stays; what it reads whole periods back comes from the stand-in", width=WIDTH, height=170
        )
    )


def knockout(found: xr.Dataset, head: Head) -> alt.VConcatChart:
    """The forecast with and without a head."""
    one = found.isel(signal=0)
    start = int(one.n_history)
    stop = start + int(one.horizon)
    name = f"with {head[0]} · {head[1]} replaced by its mean over other signals"
    values = {"forecast": one.intact_forecast.values[start:stop], name: one.forecast.values[start:stop]}
    drawn = alt.layer(lines(values, {"forecast": FORECAST, name: HISTORY}, start))
    return alt.vconcat(drawn.properties(title="Knockout of a head", width=WIDTH, height=150))


def nulls(signal: vc.Signal) -> alt.VConcatChart:
    """A series, and one null input of each kind."""
    kinds = {
        "the series": signal.values,
        "its samples shuffled": null_series("shuffled", signal.values, 1)[0],
        "noise with its autocorrelation": null_series("ar1", signal.values, 1)[0],
        f"the series without its period of {PERIOD} samples and its harmonics": notched(signal.values, PERIOD),
    }
    return alt.vconcat(
        *(
            alt.layer(lines({name: values}, {name: HISTORY})).properties(title=name, width=WIDTH, height=60)
            for name, values in kinds.items()
        )
    )


def tracking(verdict: xr.Dataset, of: Head) -> alt.VConcatChart:
    """The first peak of a head against the period of what it is given: it moves with the period."""
    layer, head = of
    peaks = verdict.sweep_peak.sel(layer=layer, head=head)
    table = pd.DataFrame({"x": verdict.sweep_period.values, "peak": peaks.values}).dropna()
    ends = [float(verdict.sweep_period.min()), float(verdict.sweep_period.max())]
    x = alt.X("x:Q", title="period of the input, samples", scale=alt.Scale(domain=ends, nice=False))
    dots = (
        alt.Chart(table)
        .mark_circle(size=70, opacity=1, color=HISTORY)
        .encode(x=x, y=alt.Y("peak:Q", title="lag of the first peak"))
    )
    same = pd.DataFrame({"x": ends, "peak": ends})
    equal = alt.Chart(same).mark_line(color=NEUTRAL, strokeDash=[4, 3]).encode(x=x, y="peak:Q")
    title = f"Tracking: the first peak of {layer} · {head} moves with the period (dashed: equal)"
    return alt.vconcat(alt.layer(equal, dots).properties(title=title, width=WIDTH - 100, height=170))


def verdicts() -> alt.VConcatChart:
    """Made-up intervals against the margin."""
    rows = pd.DataFrame(
        [
            ("supported", 0.09, 0.06, 0.12, CATEGORICAL[0]),
            ("not supported", 0.006, -0.004, 0.016, NEUTRAL),
            ("inconclusive", 0.025, 0.005, 0.045, CATEGORICAL[4]),
        ],
        columns=["verdict", "effect", "low", "high", "colour"],
    )
    base = alt.Chart(rows).encode(
        y=alt.Y("verdict:N", sort=None, title=None), color=alt.Color("colour:N", scale=None, legend=None)
    )
    x = alt.X(
        "low:Q",
        title="effect of a head, in standard deviations of the history",
        scale=alt.Scale(domain=[-0.03, 0.13], nice=False),
        axis=alt.Axis(values=[k * 0.02 for k in range(-1, 7)]),
    )
    return alt.vconcat(
        alt.layer(
            boxes([{"x": -0.02, "x2": 0.02}], color=NEUTRAL, opacity=0.15),
            base.mark_rule(strokeWidth=3).encode(x=x, x2="high:Q"),
            base.mark_point(filled=True, size=90, opacity=1).encode(x="effect:Q"),
        ).properties(title="An interval against the margin of 0.02 (grey)", width=WIDTH - 100, height=90)
    )


# --- parts -----------------------------------------------------------------------------------------------------------


def raster(
    values: Any, colours: Any, marks: list[alt.Chart], *, width: int, height: int, down: bool = False
) -> alt.LayerChart:
    """A matrix as an image, with marks in units of its cells; `down` counts rows downwards."""
    values = np.asarray(values, dtype=np.float64)
    rows, columns = values.shape
    shade = np.clip(values / np.quantile(values, SHOWN), 0, 1)
    corner = {"x": 0, "x2": columns, "y": rows if down else 0, "y2": 0 if down else rows}
    data = alt.Data(values=[corner | {"url": png_url(shade if down else shade[::-1], colours)}])
    x = alt.X("x:Q", scale=alt.Scale(domain=[0, columns], nice=False), axis=None)
    y = alt.Y("y:Q", scale=alt.Scale(domain=[0, rows], nice=False, reverse=down), axis=None)
    picture = alt.Chart(data).mark_image(aspect=False).encode(x=x, x2="x2:Q", y=y, y2="y2:Q", url="url:N")
    return alt.layer(picture, *marks).properties(width=width, height=height)


def boxes(values: list[dict[str, Any]], **mark: Any) -> alt.Chart:
    """Rectangles from x to x2 and, where given, from y to y2."""
    both = {"y": "y:Q", "y2": "y2:Q"} if "y" in values[0] else {}
    return alt.Chart(alt.Data(values=values)).mark_rect(**mark).encode(x="x:Q", x2="x2:Q", **both)


def rules(axis: str, at: Any, *, color: str = NEUTRAL, opacity: float = 0.3, **mark: Any) -> alt.Chart:
    """Lines across at some places of an axis, "x" or "y"."""
    data = alt.Data(values=[{axis: place} for place in at])
    return alt.Chart(data).mark_rule(color=color, opacity=opacity, **mark).encode(**{axis: f"{axis}:Q"})


def lines(values: dict[str, np.ndarray], colours: dict[str, str], start: int = 0) -> alt.Chart:
    """Series (T,) against the sample."""
    long = pd.concat(
        pd.DataFrame({"x": start + np.arange(len(v)), "value": v, "line": name}) for name, v in values.items()
    )
    colour = alt.Color(
        "line:N",
        scale=alt.Scale(domain=list(colours), range=list(colours.values())),
        legend=alt.Legend(title=None, orient="bottom", labelLimit=500) if len(values) > 1 else None,
        sort=list(colours),
    )
    x = alt.X("x:Q", title="sample" if len(values) > 1 else None, scale=alt.Scale(nice=False))
    return alt.Chart(long).mark_line(strokeWidth=1.6).encode(x=x, y=alt.Y("value:Q", title=None), color=colour)


if __name__ == "__main__":
    main()
