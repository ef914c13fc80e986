"""The options of single pages: period, contrast, query, curves. Streamlit keeps them in the address."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal, get_args

import numpy as np
import streamlit as st
import xarray as xr

from vitime_cache.attention import schema
from vitime_cache.attention.lags import REGIONS, Region
from vitime_cache.attention.peaks import Side
from vitime_cache.charts.clock import Clock
from vitime_cache.charts.shading import Contrast
from vitime_cache.series.bounds import SignalError
from vitime_cache.series.spans import WRITTEN, in_words
from vitime_cache.study.defaults import MOST_LAGS
from vitime_cache.ui.period_box import period_box, read_period, written
from vitime_cache.ui.terms import explained
from vitime_cache.ui.verdicts import Subject, known_verdicts
from vitime_cache.ui.words import say_if_unknown

Queries = Literal["even", "ink"]
QUERIES: tuple[Queries, ...] = get_args(Queries)
MOST_HEADS = 6  # the number of colours that a colour-blind reader can tell apart
# The study's own gamma of 0.1 and its logarithm drive most cells to the brightest shade.
CONTRAST = Contrast(gamma=0.5, show_log=False)


def choose_period(ds: xr.Dataset) -> float | None:
    """Period in samples, by default the longest true one or the one last asked about; None if left empty."""
    true, known = known_periods(ds), _offered(ds)
    return period_box(
        _period_key(ds), known, float(ds[schema.SAMPLE_SECONDS]), bind="query-params",
        first=written(known[0]) if known else "",
        help=f"Multiples of P are marked: {WRITTEN}. "
        f"{'True periods, in samples: ' + ', '.join(map(written, true)) if true else 'No true period is known.'}",
    )  # fmt: skip


def chosen_period(ds: xr.Dataset) -> float | None:
    """The period that `choose_period` will show, for what stands before it on a page."""
    known, key = _offered(ds), _period_key(ds)
    text = st.session_state.get(key, st.query_params.get(key, written(known[0]) if known else ""))
    try:
        return read_period(text or "", known, float(ds[schema.SAMPLE_SECONDS]))
    except SignalError:
        return None


def _period_key(ds: xr.Dataset) -> str:
    return f"period_{schema.name_of(ds)}"


def _offered(ds: xr.Dataset) -> list[float]:
    """Periods that the box offers: the true ones, or those asked about, latest first."""
    return known_periods(ds) or list(known_verdicts(Subject.of(ds)))


def known_periods(ds: xr.Dataset) -> list[float]:
    """True periods of the signal in samples, longest first."""
    periods = ds[schema.COMPONENT_PERIOD].values
    return sorted((float(period) for period in periods[np.isfinite(periods)]), reverse=True)


def choose_contrast() -> Contrast:
    """The reference study's contrast options with milder defaults. They change colours, never a number."""
    with st.popover("Contrast", icon=":material/contrast:"):
        power = st.toggle("Power law", CONTRAST.powermap, key="power", bind="query-params")
        gamma = st.slider(
            "Gamma", 0.05, 2.0, CONTRAST.gamma, 0.05, key="gamma", bind="query-params", disabled=not power,
            help="Below 1 lifts faint values. The reference study uses 0.1, and the logarithm.",
        )  # fmt: skip
        low, high = st.slider("Percentiles shown", 0.0, 100.0, (5.0, 99.0), 0.5, key="range", bind="query-params")
        log = st.toggle("Logarithm", CONTRAST.show_log, key="log", bind="query-params")
        outline = st.slider(
            "Outline from percentile", 90.0, 100.0, 99.9, 0.1, key="outline", bind="query-params",
            help="100 draws no outline.",
        )  # fmt: skip
    return Contrast(
        powermap=power,
        robust_percentiles=(low, high) if low < high else None,
        gamma=gamma,
        show_log=log,
        top_overlay_percent=outline if outline < 100 else None,
    )


def choose_query(ds: xr.Dataset) -> int:
    """Patch column of the query, chosen by its first sample or by a click on the map."""
    columns = ds.sizes[schema.QUERY_PATCH]
    return _patch_slider(
        "Query, first sample", ds, range(columns), min(int(ds[schema.HISTORY_PATCHES]), columns - 1), query_key(ds),
        Clock.of(ds).when, help="The moment that looks. You can also click on the map.",
    )  # fmt: skip


def _patch_slider(
    label: str, ds: xr.Dataset, patches: range, first: int, key: str, in_time: Callable[[float], str], *,
    help: str | None = None,
) -> int:  # fmt: skip
    """A slider over patches, told in samples and in time; the address names one by its samples alone, or as here."""
    step, timed = float(ds[schema.SAMPLES_PER_PATCH]), bool(float(ds[schema.SAMPLE_SECONDS]))
    samples = {patch: f"{patch * step:.0f}" for patch in patches}
    words = {patch: in_time(patch * step) if timed else "" for patch in patches}
    said = {patch: f"{samples[patch]}, {words[patch]}" if words[patch] else samples[patch] for patch in patches}
    say_if_unknown(key, label.partition(",")[0], {*samples.values(), *said.values()})
    asked = {text: patch for patch, text in samples.items()}.get(st.query_params.get(key, ""))
    if asked is not None and key not in st.session_state:
        st.session_state[key] = asked
    chosen: int = st.select_slider(
        label, patches, value=first, format_func=said.__getitem__, key=key, bind="query-params", width=320, help=help
    )
    return chosen


def query_key(ds: xr.Dataset) -> str:
    """Key of the query in the address; a query in samples is valid only for signals of equal patches."""
    return f"query_{float(ds[schema.SAMPLES_PER_PATCH]):g}"


def query_from_click(ds: xr.Dataset, chart: str) -> Callable[[], None]:
    """A callback that sets the query to the cell clicked in `chart`."""

    def choose() -> None:
        if point := clicked(chart, "cell"):
            st.session_state[query_key(ds)] = int(point["query_patch"])

    return choose


def clicked(chart: str, selection: str) -> dict[str, Any] | None:
    """The point clicked in the chart of that key, by the fields of its selection; None if nothing is selected."""
    points = st.session_state[chart].selection.get(selection) or []
    return dict(points[0]) if points else None


def choose_queries() -> Queries:
    """How the queries of a patch column are weighted."""
    words = {"even": "all alike", "ink": "by ink"}
    say_if_unknown("queries", "Queries count", words.values())
    chosen = st.segmented_control(
        "Queries count", QUERIES, default=QUERIES[0], required=True, format_func=lambda each: words[each],
        key="queries", bind="query-params",
        help="A patch column is cut into tokens, most of them blank paper. By ink, queries count by how much of the "
        "series they show.",
    )  # fmt: skip
    return chosen or QUERIES[0]  # an address with an empty value chooses none


def choose_heads(ds: xr.Dataset, first: tuple[str, int]) -> list[tuple[str, int]]:
    """The chosen head and further heads to compare it with."""
    layers, heads = map(str, ds[schema.LAYER].values), [int(head) for head in ds[schema.HEAD].values]
    names = {f"{layer} · {head}": (layer, head) for layer in layers for head in heads if (layer, head) != first}
    others = st.multiselect(
        "Compare with heads", list(names), max_selections=MOST_HEADS - 1, key="beside", bind="query-params",
        placeholder="layer · head",
    )  # fmt: skip
    return [first, *(names[name] for name in others)]


@dataclass(frozen=True)
class LagOptions:
    """The pairs of queries and keys that a lag curve averages, and its axis."""

    region: Region
    side: Side
    log: bool
    longest: float


def choose_lags(ds: xr.Dataset) -> LagOptions:
    """Region, side, scale and length of a lag curve."""
    columns, step = ds.sizes[schema.QUERY_PATCH], float(ds[schema.SAMPLES_PER_PATCH])
    say_if_unknown("region", "Region", REGIONS)
    say_if_unknown("side", "Keys in the", get_args(Side))
    longest = f"longest_{step:g}"  # as `query_key`
    region = st.selectbox(
        "Region (query→key)", REGIONS, key="region", bind="query-params", width=200,
        help="Which queries look at which keys: forecast→history is what feeds the forecast. The mean at "
        "a lag is over pairs of patch columns in that region.",
    )  # fmt: skip
    side = st.segmented_control(
        "Keys in the", get_args(Side), default="past", required=True, key="side", bind="query-params",
        help="A **key** is a moment looked at, a **query** the moment that looks. The model sees the whole image, so a "
        "moment may look at what comes after it.",
    )  # fmt: skip
    with st.popover("Axis", icon=":material/tune:"):
        log = st.toggle("Logarithmic", key="log_lags", bind="query-params")
        patches = _patch_slider(
            "Longest lag, samples", ds, range(4, columns), min(MOST_LAGS, columns - 1), longest,
            partial(in_words, sample_seconds=float(ds[schema.SAMPLE_SECONDS])),
        )  # fmt: skip
    return LagOptions(region, side or "past", log, patches * step)


def choose_measure(measures: xr.Dataset) -> str:
    """The measure that colours and ranks the heads."""
    names = [str(name) for name in measures.data_vars]
    say_if_unknown("measure", "Measure", {_measure_name(measures, name) for name in names})
    return st.selectbox(
        "Measure", names, format_func=lambda name: _measure_name(measures, name),
        key="measure", bind="query-params", width=420,
        help="The figure that colours and ranks the heads. **Prominence** is how far a peak of the lag curve stands "
        "above the higher of the two valleys beside it, in means of the curve. **CLS** is an extra token that "
        "represents no part of the image. **Entropy** says over how many patch columns a head spreads. "
        f"\n\n{explained('patch')}",
    )  # fmt: skip


def _measure_name(measures: xr.Dataset, name: str) -> str:
    return str(measures[name].attrs["long_name"]).capitalize()
