"""Charts with their downloads, drawn once for equal input, and statements with the evidence they stand on."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict
from types import FunctionType
from typing import Any, Literal

import pandas as pd
import streamlit as st
import xarray as xr

from vitime_cache import charts
from vitime_cache.attention import schema
from vitime_cache.attention.lags import Region
from vitime_cache.attention.peaks import Side
from vitime_cache.charts import HeadView, figure_bytes
from vitime_cache.charts.contrast import Shading
from vitime_cache.errors import VitimeError
from vitime_cache.evidence.measures import head_measures, unseen
from vitime_cache.evidence.reduction import Comparison, SignalCurve, compare
from vitime_cache.evidence.rungs import RUNGS
from vitime_cache.ui.runs import PREFIX
from vitime_cache.ui.stores import KEY
from vitime_cache.ui.words import notice

PEAK_COLUMNS = {
    "curve": st.column_config.TextColumn("Curve"),
    "lag": st.column_config.NumberColumn("Lag, samples", format="%.1f"),
    "vertex": st.column_config.NumberColumn("Interpolated", format="%.1f"),
    "relative_prominence": st.column_config.NumberColumn("Prominence / mean", format="%.2f"),
    "pairs": st.column_config.NumberColumn("Pairs"),
    "multiple": st.column_config.NumberColumn("Multiple of P"),
    "error": st.column_config.NumberColumn("Off by, samples", format="%+.1f"),
    "matches": st.column_config.CheckboxColumn("± ½ patch"),
}

CHANGE_COLUMNS = {
    "status": st.column_config.TextColumn("Peak"),
    "lag": st.column_config.NumberColumn("Lag, samples", format="%.1f"),
    "multiple": st.column_config.NumberColumn("Multiple of P", help="0: at none, within half a patch"),
    "first": st.column_config.NumberColumn("Prominence / mean, first", format="%.2f"),
    "second": st.column_config.NumberColumn("Prominence / mean, second", format="%.2f"),
}

COLOURS = {"descriptive": "gray", "signal-dependent": "blue", "tracking": "violet", "causal": "green"}
LADDER = " → ".join(rung.name for rung in RUNGS)

Spec = dict[str, Any]
Draw = Callable[..., Spec]
Table = Callable[[], pd.DataFrame]


def figure(
    draw: Draw,
    *args: Any,
    key: str,
    table: Table,
    on_select: Callable[[], None] | Literal["rerun"] | None = None,
    width: Literal["stretch", "content"] = "content",
    **options: Any,
) -> None:
    """Show `draw(*args, **options)` with its downloads; what it cannot draw becomes its message in place.

    Parameters
    ----------
    key
        Names the chart in the page and its files.
    table
        The numbers behind the chart, for the CSV.
    on_select
        Called after a click on the chart; "rerun" only reruns.
    """
    try:
        chart = drawn(draw, *args, **options)
    except (VitimeError, OSError) as error:
        notice(error)
        return
    st.vega_lite_chart(chart, key=key, width=width, on_select=on_select or "ignore")
    files = st.popover(
        "Download", icon=":material/download:", type="tertiary", key=f"{key}_files", on_change="rerun"
    )  # fmt: skip
    if files.open:  # its buttons cost as much as the chart
        with files:
            _download("PNG, 200 dpi", key, "png", "image/png", lambda: figure_bytes(chart, "png"))
            _download("SVG", key, "svg", "image/svg+xml", lambda: figure_bytes(chart, "svg"))
            _download("CSV, the numbers", key, "csv", "text/csv", lambda: table().to_csv(index=False).encode())


def side_map(view: HeadView, shading: Shading, size: int) -> Spec:
    """A heatmap to stand beside another: its title names the signal only."""
    chart = charts.heatmap(view, shading=shading, size=size)
    return chart | {"title": chart["title"] | {"text": view.signal}}


def statement(name: str, text: str) -> None:
    """A sentence about a head, behind the badge of the rung of evidence it stands on."""
    rung = next(rung for rung in RUNGS if rung.name == name)
    st.markdown(
        f":{COLOURS[name]}-badge[{name}] {text}",
        help=f"{LADDER}. Shown by: {rung.shown_by} Left open: {rung.leaves_open}",
    )


def drawn(draw: Draw, *args: Any, **options: Any) -> Spec:
    """The chart from the cache, where the same one was drawn before."""
    return _drawn(draw, args, options)


def peaks_table(views: Sequence[HeadView], region: Region, *, period: float | None, side: Side, longest: float) -> None:
    """The peaks of the curves up to the end of the axis: lags in samples, the nearest multiple and its error."""
    table = charts.peak_table(views, region, period=period, side=side)
    table = table[table["lag"] <= longest]
    for reason in dict.fromkeys(unseen(view.ds, period) for view in views if period):
        if reason:
            st.warning(reason, icon=":material/visibility_off:")
    if table.empty:
        st.caption("No peak stands out by a tenth of its curve's mean at a lag of two patches or more.")
        return
    if period is None or table["multiple"].isna().all():
        table = table.drop(columns=["multiple", "nearest", "error", "matches"])
    st.dataframe(table, column_config=PEAK_COLUMNS, column_order=list(PEAK_COLUMNS), hide_index=True, key="peaks")


def changes_table(found: Comparison) -> None:
    """The peaks of two signals: which both have, or what became of them from a signal to its reduction."""
    if found.changes:
        table = pd.DataFrame([asdict(change) for change in found.changes])
        st.dataframe(table, column_config=CHANGE_COLUMNS, hide_index=True, key="changes")


def compared(a: HeadView, b: HeadView, region: Region, period: float | None, side: Side) -> Comparison:
    """Which peaks of one head's curve two signals share; a name in `reduced_of` speaks of signals of one store only."""
    together = _origin(a.ds) == _origin(b.ds)
    return compare(*(_curve(view, region, together) for view in (a, b)), period=period, side=side)


def _curve(view: HeadView, region: Region, together: bool) -> SignalCurve:
    curve = view.lag_curve(region)
    periods = tuple(float(period) for period in view.ds[schema.COMPONENT_PERIOD].values if period > 0)
    fuller = str(view.ds[schema.REDUCED_OF].item()) if together else ""
    return SignalCurve(view.signal, curve.lag, curve.mean, view.samples_per_patch, periods, fuller)


def _origin(ds: xr.Dataset) -> str:
    """The store a Dataset is from, or the live runs of this session."""
    key = str(ds.attrs.get(KEY, ""))
    return PREFIX if key.startswith(PREFIX) else key.partition("@")[0]


@st.cache_data(max_entries=64, show_spinner=False, hash_funcs={xr.Dataset: lambda ds: _dataset_key(ds)})
def measured(ds: xr.Dataset, period: float | None) -> xr.Dataset:
    """Every measure of every head, from the cache where it was computed before."""
    measures = head_measures(ds, period)
    return measures.assign_attrs({KEY: f"{_dataset_key(ds)}|{period}"})


def ranked_heads(measures: xr.Dataset, measure: str) -> dict[str, Any] | None:
    """The heads in the order of a measure, sortable by every other; the head of the row selected."""
    table = charts.measures_table(measures).sort_values(measure, ascending=False, ignore_index=True)
    if "unseen" in measures.attrs and measures[measure].isnull().all():
        st.warning(measures.attrs["unseen"], icon=":material/visibility_off:")
    columns = {
        str(name): st.column_config.NumberColumn(str(values.attrs["long_name"]).capitalize(), format="%.3g")
        for name, values in measures.data_vars.items()
    }
    order = ["layer", "head", measure, *(name for name in columns if name != measure)]
    event = st.dataframe(
        table, column_order=order, column_config=columns, hide_index=True, height=560,
        key="ranking", on_select="rerun", selection_mode="single-row",
    )  # fmt: skip
    rows = event.selection.rows
    return dict(table.iloc[rows[0]][["layer", "head"]]) if rows else None


def _download(label: str, key: str, ending: str, mime: str, make: Callable[[], bytes]) -> None:
    st.download_button(
        label, make, f"{key}.{ending}", mime, key=f"{key}_{ending}", on_click="ignore", width="stretch"
    )  # fmt: skip


def _dataset_key(ds: xr.Dataset) -> str:
    return str(ds.attrs.get(KEY, id(ds)))


@st.cache_data(
    max_entries=256,
    show_spinner=False,
    hash_funcs={
        xr.Dataset: _dataset_key,
        HeadView: lambda view: (_dataset_key(view.ds), view.layer, view.head, view.queries),
        FunctionType: lambda function: f"{function.__module__}.{function.__qualname__}",
    },
)
def _drawn(draw: Draw, args: tuple[Any, ...], options: dict[str, Any]) -> Spec:
    return draw(*args, **options)
