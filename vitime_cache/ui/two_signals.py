"""One network on two signals: every head's difference, then one head's maps, curves and peaks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from functools import partial
from typing import Any, Literal

import pandas as pd
import streamlit as st
import xarray as xr

from vitime_cache import charts
from vitime_cache.attention import schema
from vitime_cache.attention.lags import Region
from vitime_cache.attention.peaks import Side
from vitime_cache.charts import HeadView
from vitime_cache.charts.shading import Contrast, Shading
from vitime_cache.charts.style import fitted
from vitime_cache.compare.maps import other_axes, why_not
from vitime_cache.compare.reduction import Comparison, SignalCurve, compare
from vitime_cache.compare.words import reading
from vitime_cache.errors import VitimeError
from vitime_cache.evidence.levels.table import LEVEL
from vitime_cache.numerals import percent
from vitime_cache.ui.address import choose_other
from vitime_cache.ui.badges import head_badges
from vitime_cache.ui.chart import ABSENT, figure, in_words_shown, worked_out
from vitime_cache.ui.copied import compared_code, copy_python
from vitime_cache.ui.options import LagOptions, choose_contrast, choose_lags, choose_period, clicked
from vitime_cache.ui.shared import KEY
from vitime_cache.ui.stores import Store, store_of
from vitime_cache.ui.terms import PROMINENCE, explained
from vitime_cache.ui.width import EDGE, NARROW, page_width, side_by_side
from vitime_cache.ui.words import complain, end_page, plain, weights_note

CHANGE_COLUMNS = {
    "status": st.column_config.TextColumn("Peak"),
    "lag": st.column_config.NumberColumn(
        "Lag, samples",
        format="%.1f",
        help="Of a peak of both, where the first has it, or the full signal of a reduction; the other has it within a "
        "patch.",
    ),
    "seconds": st.column_config.NumberColumn("That is"),
    "multiple": st.column_config.TextColumn("Multiple of P", help="Where the peak lies, within half a patch."),
    "first": st.column_config.NumberColumn("Prominence / mean, first", format="%.3g", help=PROMINENCE),
    "second": st.column_config.NumberColumn("Prominence / mean, second", format="%.3g", help=PROMINENCE),
}
GALLERY = "gallery"
SAME_HEAD = (
    "That a head of one is the same head in the other: equal numbers mean that only if one network was trained further "
    "from the other. Heads of networks trained separately are numbered by chance."
)


def two_signals(store: Store | None, first: xr.Dataset, head: tuple[str, int]) -> None:
    """Show the comparison; by default of a signal with its reduction."""
    second = choose_other(store, first, where=st)
    if first.attrs[KEY] == second.attrs[KEY]:
        st.info("A signal is not compared with itself: choose another.", icon=":material/compare:")
        end_page()
    weights_note(first, second)
    names = (schema.name_of(first), schema.name_of(second))
    if names[0] == names[1]:  # one of a store, one an own series
        names = (f"{names[0]} (first)", f"{names[1]} (second)")
    wide = page_width()
    heads_apart(first, second, names, head, wide)
    _one_head(first, second, names, head, wide)


def heads_apart(
    first: xr.Dataset, second: xr.Dataset, names: tuple[str, str], head: tuple[str, int], wide: int
) -> bool:
    """Show the gallery of differences if the heads of the two correspond, or why there is none.

    Returns whether it was shown.
    """
    if reason := why_not(first, second):
        st.info(f"No gallery of differences: {plain(reason)}.", icon=":material/compare:")
        return False
    table = worked_out(charts.difference_gallery_table, first, second)
    figure(
        charts.difference_gallery, first, second, tuple(map(_shortened, names)), selected=head, key=GALLERY,
        on_select=_take_head, width="stretch", pixels=wide, table=lambda: table,
    )  # fmt: skip
    first_three = zip(table["layer"], table["head"], table["moved"], range(3), strict=False)
    most = [f"{plain(layer)} · {head} ({percent(moved)})" for layer, head, moved, _ in first_three]
    st.markdown(
        f"Differ most: {', '.join(most)}; the median head: {percent(table['moved'].median())}. "
        "Click a head to see it below.",
        help="The share of a head's attention that lies on other patches, mean over queries: 0 % is the same map, "
        "100 % no patch in common. It describes these two maps. Telling a difference from chance takes null inputs."
        f"\n\n{explained('even attention, patch, null inputs')}",
    )
    return True


def _shortened(name: str) -> str:
    """A name for the title of a chart, cut to 40 characters."""
    return name if len(name) <= 40 else f"{name[:39]}…"


def _take_head() -> None:
    """Select the head clicked in the gallery."""
    if point := clicked(GALLERY, "head"):
        st.query_params.update({"layer": str(point["layer"]), "head": str(int(point["head"]))})


@st.fragment
def _one_head(first: xr.Dataset, second: xr.Dataset, names: tuple[str, str], head: tuple[str, int], wide: int) -> None:
    """Both maps on one scale, their difference, both curves and the peaks."""
    st.subheader(f"{plain(head[0])}, head {head[1]}", anchor=False)
    period, options, contrast = choose_how(first)
    try:
        views = [HeadView(called(ds, name), *head) for ds, name in zip((first, second), names, strict=True)]
    except VitimeError as error:
        complain(error)
        return
    a, b = views
    found = worked_out(compared, a, b, options.region, period, options.side)
    said = reading(found)
    looking, conclusion = LEVEL["looking"], plain(said.conclusion)
    st.markdown(
        f":gray-badge[{looking.title.lower()}] {conclusion}",
        help=f"{looking.asks} Shown by: {looking.shown_by} Left open: {looking.leaves_open}"
        f"\n\n{explained(conclusion) or ''}",
    )
    head_badges(first, *head, period)
    shading = charts.shared_shading(views, contrast)
    with st.container(horizontal=True):
        both_maps(views, [shading, shading], wide)
        with st.container(width="content"):  # beside them where the screen is wide
            if not other_axes(first, second):  # else said in place of the gallery
                figure(
                    charts.difference, a, b, **_fitting(400, wide), key="difference",
                    table=lambda: charts.difference_table(a, b),
                )  # fmt: skip
    both_curves(views, options, period)
    st.markdown("**The peaks of both**")
    changes_table(found, period)
    show_reading(said.supports, (*_of_two_networks(first, second, names), *said.does_not_support))
    copy_python(compared_code((first, second), names, head, options, period))


def _of_two_networks(first: xr.Dataset, second: xr.Dataset, names: tuple[str, str]) -> tuple[str, ...]:
    """Limits where the two signals went through different weights, as an own series and one of another store may."""
    if first.attrs["weights_sha256"] == second.attrs["weights_sha256"]:
        return ()
    one, other = (f"{name} went through {ds.attrs['weights']}" for ds, name in zip((first, second), names, strict=True))
    return (f"That only the signals differ: {one}, {other}.", SAME_HEAD)


def called(ds: xr.Dataset, name: str) -> xr.Dataset:
    """A Dataset under another name, for charts and words that tell Datasets apart by the name of the signal."""
    if name == schema.name_of(ds):
        return ds
    return ds.assign_coords({schema.SIGNAL: name}).assign_attrs({KEY: f"{ds.attrs[KEY]}|{name}"})


def choose_how(ds: xr.Dataset) -> tuple[float | None, LagOptions, Contrast]:
    """The controls for one head of both, in a row: period, lags, contrast."""
    with st.container(horizontal=True, vertical_alignment="bottom"):
        return choose_period(ds), choose_lags(ds), choose_contrast()


def both_maps(views: Sequence[HeadView], shadings: Sequence[Shading], wide: int) -> None:
    """Both maps, for a container that puts them side by side if `wide` pixels are enough."""
    for name, view, shading in zip(("first", "second"), views, shadings, strict=True):
        with st.container(width="content"):
            how = _fitting(228, wide)
            figure(_side_map, view, shading, **how, key=name, table=partial(charts.heatmap_table, view))


def _fitting(size: int, wide: int) -> dict[str, Any]:
    """Size of a map and place of its legend: below the map on a page where it would take half of the width."""
    if wide < NARROW:
        return {"size": min(size, wide - charts.AXIS - EDGE), "legend": "bottom"}
    return {"size": min(size, wide - charts.LEGEND), "legend": "right"}


def _side_map(view: HeadView, shading: Shading, *, size: int, legend: Literal["right", "bottom"]) -> charts.Spec:
    """A heatmap to show beside another: its title says only whose it is."""
    chart = charts.heatmap(view, shading=shading, size=size, legend=legend)
    beside = charts.LEGEND if legend == "right" else charts.AXIS
    return chart | {"title": fitted(chart["title"] | {"text": view.label}, size + beside)}


def both_curves(views: Sequence[HeadView], options: LagOptions, period: float | None) -> None:
    """Both lag curves in one chart."""
    figure(
        charts.lag_curves, views, options.region, period=period, side=options.side, log=options.log,
        max_lag=options.longest, key="curves", width="stretch",
        table=lambda: charts.lag_table(views, options.region, side=options.side),
    )  # fmt: skip


def show_reading(supports: tuple[str, ...], does_not_support: tuple[str, ...]) -> None:
    """What a comparison supports and what it does not, side by side."""
    supported, open_ = side_by_side(1, 1)
    for place, name, texts in (
        (supported, "This supports", supports), (open_, "Not shown by this", does_not_support),
    ):  # fmt: skip
        listed = "".join(f"\n- {plain(text)}" for text in texts)
        place.markdown(f"**{name}**\n{listed}", help=explained(*texts))


def changes_table(found: Comparison, period: float | None) -> None:
    """The peaks of two signals: which are common, or how they change from a signal to its reduction.

    Without a period there is no column of its multiples.
    """
    if found.changes:
        table = pd.DataFrame([asdict(change) for change in found.changes])
        if period is None:
            table = table.drop(columns="multiple")
        else:
            table["multiple"] = [f"{multiple} P" if multiple else "at none" for multiple in table["multiple"]]
        if found.sample_seconds:
            table["seconds"] = found.sample_seconds * table["lag"]
        st.dataframe(
            in_words_shown(table), column_config=CHANGE_COLUMNS, column_order=list(CHANGE_COLUMNS), hide_index=True,
            key="changes", placeholder=ABSENT,
        )  # fmt: skip


def compared(a: HeadView, b: HeadView, region: Region, period: float | None, side: Side) -> Comparison:
    """Which peaks of one head's curve two signals share. Uses `reduced_of` only if both are of the same store."""
    together = store_of(a.ds) == store_of(b.ds)
    return compare(*(_curve(view, region, together) for view in (a, b)), period=period, side=side)


def _curve(view: HeadView, region: Region, together: bool) -> SignalCurve:
    curve = view.lag_curve(region)
    periods = tuple(float(period) for period in view.ds[schema.COMPONENT_PERIOD].values if period > 0)
    fuller = str(view.ds[schema.REDUCED_OF].item()) if together else ""
    return SignalCurve(
        view.signal, curve.lag, curve.mean, view.samples_per_patch, periods, fuller, view.sample_seconds
    )  # fmt: skip
