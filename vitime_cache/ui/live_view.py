"""The widgets round a live run: start it, look at it, save it."""

from __future__ import annotations

import streamlit as st

from vitime_cache import charts
from vitime_cache.errors import VitimeError
from vitime_cache.model.checkpoint import CheckpointError
from vitime_cache.series.sources import Signal
from vitime_cache.ui import runs
from vitime_cache.ui.address import address
from vitime_cache.ui.chart import figure
from vitime_cache.ui.processes.engine import engine
from vitime_cache.ui.routing import OF_ONE_SIGNAL, PAGES
from vitime_cache.ui.stores import Store, folder, stores
from vitime_cache.ui.sweep import first_head
from vitime_cache.ui.words import complain, plain


def run_button(signal: Signal) -> None:
    """Run the model on the series with progress by layer."""
    try:
        path, _, weights = runs.default_weights()
    except CheckpointError as error:
        complain(error)
        return
    engine().prepare(path)
    if not st.button("Run the model", icon=":material/play_arrow:", type="primary", key="run"):
        return
    bar = st.progress(0.0, f"{plain(weights.name)}: starting")
    named = plain(weights.name)
    try:
        name = runs.run(signal, lambda share, step: bar.progress(share, f"{named}: {step}"))
        if name != runs.PREFIX + signal.name:
            called = plain(name.removeprefix(runs.PREFIX))
            st.info(f"Another run is named {plain(signal.name)}: this one is called {called}.", icon=":material/badge:")
    except (VitimeError, MemoryError) as error:
        complain(error)
    bar.empty()


def show_run(store: Store | None, name: str, run: runs.Run) -> None:
    """A run at a glance, and the way to every other view of it."""
    ds = run.dataset
    series, map_, curve = st.tabs(["Series and forecast", "Heatmap", "Lags"], key=f"tabs_{name}", on_change="rerun")
    layer, head, reason = first_head(store, ds)
    view = charts.HeadView(ds, layer, head)
    if series.open:
        with series:
            rows = st.toggle(
                "Most probable row", key=f"rows_{name}",
                help="In place of the median: the row that is most probable at each time. It jumps between rows where "
                "the forecast is broad.",
            )  # fmt: skip
            figure(
                charts.series, ds, key=f"series_{name}", width="stretch", most_probable=rows,
                table=lambda: charts.series_table(ds),
            )  # fmt: skip
    if map_.open:
        with map_:
            figure(charts.heatmap, view, key=f"heatmap_{name}", table=lambda: charts.heatmap_table(view))
            st.caption(f"{plain(layer)}, head {head}: {reason}.")
    if curve.open:
        with curve:
            figure(
                charts.lag_curves, [view], key=f"lags_{name}", width="stretch", table=lambda: charts.lag_table([view])
            )  # fmt: skip
    with st.container(horizontal=True):
        for page in OF_ONE_SIGNAL:
            link = address(signal=name)
            st.page_link(f"pages/{page}.py", label=PAGES[page].title, query_params=link, icon=PAGES[page].icon)


def save_form(name: str, run: runs.Run) -> None:
    """Save a run to a store of the app's folder, and say where it is found again."""
    default = f"{run.dataset.attrs['weights']}.zarr"
    options = list(dict.fromkeys([default, *stores()]))
    with st.form(f"save_{name}", border=False), st.container(horizontal=True, vertical_alignment="bottom"):
        saved_as = st.text_input("Save as", run.signal.name, max_chars=200, key=f"save_name_{name}", width=240)
        store = st.selectbox("in the store", options, key=f"save_store_{name}", width=240)
        pressed = st.form_submit_button("Save", icon=":material/save:", key=f"save_button_{name}")
    if not pressed or store not in options:
        return
    try:
        runs.save(run, saved_as.strip(), store)
    except (VitimeError, MemoryError, OSError) as error:
        complain(error)
        return
    st.success(f"Saved as {plain(saved_as)} in {plain(folder().name)}/{plain(store)}.", icon=":material/check:")
    link = address(store=store, signal=saved_as.strip())
    st.page_link("pages/heatmap.py", label="Open it", query_params=link, icon=":material/open_in_new:")
