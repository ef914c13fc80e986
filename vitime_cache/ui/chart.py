"""Charts and tables with their downloads, drawn once for equal input."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from copy import deepcopy
from functools import partial
from typing import Any, Literal, TypeVar, cast

import pandas as pd
import streamlit as st
import xarray as xr
from pandas.io.formats.style import Styler

from vitime_cache import charts
from vitime_cache.attention import schema
from vitime_cache.attention.lags import Region
from vitime_cache.attention.measures import head_measures, unseen
from vitime_cache.attention.peaks import Side
from vitime_cache.charts import HeadView, Spec, figure_bytes
from vitime_cache.charts.paper import COLUMNS
from vitime_cache.charts.style import axes_fitted, data_once, fitted, for_dark
from vitime_cache.errors import VitimeError
from vitime_cache.evidence.verdict import schema as vschema
from vitime_cache.numerals import number
from vitime_cache.series.spans import in_words
from vitime_cache.ui.shared import KEY, shared
from vitime_cache.ui.tables import TICK, ticked_row
from vitime_cache.ui.terms import PROMINENCE
from vitime_cache.ui.width import EDGE, NARROW, known_width
from vitime_cache.ui.words import notice

BESIDE = 130  # pixels: the longest labels beside a chart, above whose remaining width an axis's title is centred
LINE = 15  # pixels of a line of a title
SERIES = "series"  # attribute of a Dataset that goes by the name of its weights: the name of its signal
PAGE = {"light": "#ffffff", "dark": "#171614"}  # the page's colours in .streamlit/config.toml
ABSENT = "no peak"  # in a cell for the prominence of a peak that is not there
PAIRS = "Number of query–key pairs of patch columns in the mean at this lag."
MATCHES = "Whether the peak is within half a patch, the resolution of a peak, of the multiple of P."
PEAK_COLUMNS = {
    "curve": st.column_config.TextColumn("Curve"),
    "lag": st.column_config.NumberColumn("Lag, samples", format="%.1f"),
    "seconds": st.column_config.NumberColumn("That is"),
    "vertex": st.column_config.NumberColumn("Interpolated", format="%.1f"),
    "relative_prominence": st.column_config.NumberColumn("Prominence / mean", format="%.3g", help=PROMINENCE),
    "pairs": st.column_config.NumberColumn("Pairs", help=PAIRS),
    "multiple": st.column_config.NumberColumn("Multiple of P"),
    "error": st.column_config.NumberColumn("Off by, samples"),
    "matches": st.column_config.CheckboxColumn("± ½ patch", help=MATCHES),
}

FILES: dict[charts.FileFormat, str] = {"png": "image/png", "svg": "image/svg+xml", "pdf": "application/pdf"}
Draw = Callable[..., Spec]
Table = Callable[[], pd.DataFrame]
Made = TypeVar("Made")


def figure(
    draw: Draw,
    *args: Any,
    key: str,
    table: Table,
    on_select: Callable[[], None] | Literal["rerun"] | None = None,
    width: Literal["stretch", "content"] = "content",
    selection: str | None = None,
    pixels: int | None = None,
    about: Mapping[str, str] | None = None,
    **options: Any,
) -> None:
    """Show `draw(*args, **options)` with its downloads; if it cannot be drawn, show its message in place.

    Parameters
    ----------
    key
        Names the chart in the page. Its files are named after the drawing function and what the chart is about.
    table
        The numbers behind the chart, for the CSV, which also has columns for what it is about, such as signal and head.
    on_select
        Called after a click on the chart; "rerun" only reruns.
    selection
        The one selection of the chart that is sent to the page, if it has others that follow the pointer.
    pixels
        The width of a stretched chart, so that its text fills its lines.
    about
        What the chart is about besides what its arguments tell, such as {"head": "3"}.
    """
    if pixels is not None:
        options["width"] = pixels
    wide = known_width()
    try:
        shown = worked_out(
            _on_screen, draw, args, options, wide if wide < NARROW else None, dark=st.context.theme.type == "dark"
        )
    except (VitimeError, OSError) as error:
        notice(error)
        return
    with st.container(gap=None, key=f"{key}_figure"):
        st.vega_lite_chart(shown, key=key, width=width, on_select=on_select or "ignore", selection_mode=selection)
        files = st.popover(
            "Download", icon=":material/download:", type="tertiary", key=f"{key}_files", on_change="rerun"
        )  # fmt: skip
    if files.open:  # making its buttons costs as much as the chart
        chart, subject = worked_out(draw, *args, **options), _subject(args) | dict(about or {})
        name = file_name(draw.__name__, *subject.values())

        def numbers() -> bytes:
            rows = table()
            names = {column: value for column, value in subject.items() if column not in rows}
            return pd.concat([pd.DataFrame(names, index=rows.index), rows], axis=1).to_csv(index=False).encode()

        with files:
            paper = _choose_paper(key)
            for ending, mime in FILES.items():
                make = partial(figure_bytes, chart, ending, paper=paper)
                _download(ending.upper(), key, f"{name}.{ending}", mime, make)
            if paper is not None and (of := _datasets(args)):
                caption = partial(charts.caption, chart, *of)
                _download("The caption", key, f"{name}.txt", "text/plain", lambda: caption().encode())
            _download("CSV, the numbers", key, f"{name}.csv", "text/csv", numbers)


def _on_screen(draw: Draw, args: tuple[Any, ...], options: dict[str, Any], wide: int | None, *, dark: bool) -> Spec:
    """The chart in the colours of the theme, its title broken to a narrow page; a copy, which Streamlit may change.

    It lies on the page's own colour: saved from its toolbar, light words on a transparent ground could not be read.
    """
    chart = deepcopy(worked_out(draw, *args, **options))
    if wide is not None and "title" in chart:
        chart = axes_fitted(_with_whole_title(chart, wide - EDGE), wide - EDGE - BESIDE)
    shown: Spec = data_once(for_dark(chart) if dark else chart)
    return shown | {"background": PAGE["dark" if dark else "light"]}


def _with_whole_title(chart: Spec, wide: int) -> Spec:
    """The chart with its title broken to a width; where the lines would squeeze a chart of fixed height, it grows."""
    title = fitted(chart["title"], wide)
    lines = [
        sum(len(part) if isinstance(part, list) else 1 for part in (each["text"], each["subtitle"]))
        for each in (chart["title"], title)
    ]
    taller = LINE * (lines[1] - lines[0]) if chart["autosize"]["type"] == "fit" else 0
    return chart | {"title": title, "height": chart["height"] + taller}


def _choose_paper(key: str) -> charts.Paper | None:
    """The paper column that the chart is sized for; None for the size on the page."""
    sizes = {"As shown": None} | {f"{name.capitalize()} column": inches for name, inches in COLUMNS.items()}
    size = st.selectbox(
        "Size", list(sizes), key=f"{key}_size",
        help="As wide as the column of a paper, with 8-point text and no title: the title is in the caption.",
    )  # fmt: skip
    inches = sizes[size]
    return None if inches is None else charts.Paper(inches)


@shared(512)  # of charts, as drawn and as shown; a large one has 0.3 MB
def worked_out(work: Callable[..., Made], *args: Any, **options: Any) -> Made:
    """`work(*args, **options)`, shared by all sessions; nobody may change it."""
    return work(*args, **options)


def peaks_table(views: Sequence[HeadView], region: Region, *, period: float | None, side: Side, longest: float) -> None:
    """The peaks of the curves up to the end of the axis: lags in samples, the nearest multiple and its error."""
    try:
        table = worked_out(charts.peak_table, list(views), region, period=period, side=side)
    except VitimeError as error:
        notice(error)
        return
    table = table[table["lag"] <= longest]
    for reason in dict.fromkeys(unseen(view.ds, period) for view in views if period):
        if reason:
            st.warning(reason, icon=":material/visibility_off:")
    if table.empty:
        st.caption(
            "No peak stands out by a tenth of its curve's mean at a lag of two patches or more, up to "
            f"{views[0].clock.span(longest)}."
        )
        return
    if seconds := views[0].sample_seconds:
        table = table.drop(columns="time").assign(seconds=seconds * table["lag"])
    if period is None or table["multiple"].isna().all():
        table = table.drop(columns=["multiple", "nearest", "error", "matches"])
    st.dataframe(
        in_words_shown(table), column_config=PEAK_COLUMNS, column_order=list(PEAK_COLUMNS), hide_index=True, key="peaks"
    )


def in_words_shown(table: pd.DataFrame) -> Styler:
    """The table with seconds as "2 days" and signed errors where it shows them; sorted and downloaded as numbers."""
    shown = {"seconds": partial(in_words, sample_seconds=1.0), "error": partial(number, signed=True)}
    return table.style.format({name: cast("Any", words) for name, words in shown.items() if name in table})


@shared(64)
def measured(ds: xr.Dataset, period: float | None) -> xr.Dataset:
    """Every measure of every head, from the cache if it was computed before."""
    measures = head_measures(ds, period)
    return measures.assign_attrs({KEY: f"{ds.attrs[KEY]}|{period}"})


def ranked_heads(measures: xr.Dataset, measure: str) -> dict[str, Any] | None:
    """Show the heads ordered by a measure, sortable by every other; return the head of the ticked row."""
    table = charts.measures_table(measures).sort_values(measure, ascending=False, ignore_index=True)
    columns = {
        "layer": st.column_config.TextColumn("Layer", pinned=True),
        "head": st.column_config.NumberColumn("Head", pinned=True),
    } | {
        str(name): st.column_config.NumberColumn(str(values.attrs["long_name"]).capitalize())
        for name, values in measures.data_vars.items()
    }
    order = list(dict.fromkeys(["layer", "head", measure, *columns]))
    shown = table.style.format(cast("Callable[[object], str]", number), subset=list(measures.data_vars), na_rep=ABSENT)
    st.caption(TICK.format("the head"))
    ticked = ticked_row(shown, columns, "ranking", order, height=560, placeholder=ABSENT)
    return None if ticked is None else dict(table.iloc[ticked][["layer", "head"]])


def file_name(*parts: object) -> str:
    """A file name that any system accepts, made of the parts."""
    return "-".join(re.sub(r"[^\w.]+", "_", str(part)).strip("_")[:60] for part in parts)


def _flat(args: Sequence[Any]) -> list[Any]:
    return [each for arg in args for each in (arg if isinstance(arg, list | tuple) else [arg])]


def _subject(args: Sequence[Any]) -> dict[str, str]:
    """What the arguments of a chart are about: signal, layer, head, period; several are joined by "and"."""
    flat = _flat(args)
    views = [each for each in flat if isinstance(each, HeadView)]
    found = [view.ds for view in views] or [each for each in flat if isinstance(each, xr.Dataset)]
    answers = [vschema.facts(each, "question") for each in found if "question" in each.attrs]
    of_signals = [each for each in found if schema.SIGNAL in each.coords]
    networks = {
        each.attrs["weights_sha256"]: str(each.attrs["weights"]) for each in of_signals if "weights" in each.attrs
    }
    names = {
        "signal": [str(each.attrs.get(SERIES, schema.name_of(each))) for each in of_signals],
        "weights": [schema.name_of(each) for each in of_signals if SERIES in each.attrs]
        or [*networks.values()] * (len(networks) > 1),
        "layer": [view.layer for view in views],
        "head": [str(view.head) for view in views],
        "queries": [f"by {view.queries}" for view in views if view.queries != "even"],
    }
    if answers:
        names |= {"signal": [str(each["signal"]) for each in answers]}
        names |= {"period": [f"{each['period']:.9g}" for each in answers]}
        names |= {name: [str(each)] for name, each in zip(("layer", "head"), flat[1:3], strict=False)}
    return {name: " and ".join(dict.fromkeys(values)) for name, values in names.items() if values}


def _datasets(args: Sequence[Any]) -> list[xr.Dataset]:
    """The Datasets that the chart shows, for its caption, under the names of their signals."""
    of = [each.ds if isinstance(each, HeadView) else each for each in _flat(args)]
    shown = [ds for ds in of if isinstance(ds, xr.Dataset) and (vschema.CLAIM in ds.dims or schema.HISTORY in ds)]
    return [ds.assign_coords({schema.SIGNAL: ds.attrs[SERIES]}) if SERIES in ds.attrs else ds for ds in shown]


def _download(label: str, key: str, name: str, mime: str, make: Callable[[], bytes]) -> None:
    st.download_button(
        label, make, name, mime, key=f"{key}_{name.rpartition('.')[2]}", on_click="ignore", width="stretch"
    )  # fmt: skip
