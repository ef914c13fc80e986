"""Parts of the Library: the signals of a store, the facts of its model, and a build with its progress."""

from __future__ import annotations

import shlex
from contextlib import suppress
from functools import partial
from pathlib import Path

import streamlit as st
import xarray as xr

from vitime_cache.attention import schema
from vitime_cache.charts.style import FORECAST, HISTORY, for_dark
from vitime_cache.errors import VitimeError
from vitime_cache.model.checkpoint import CheckpointError
from vitime_cache.series.sources import catalogue
from vitime_cache.shown import counted
from vitime_cache.ui import own
from vitime_cache.ui.address import address, forget_choice, stored_signals
from vitime_cache.ui.deleting import LOST, done, offer_to_delete_a_signal
from vitime_cache.ui.processes import jobs
from vitime_cache.ui.stores import DRAWN, ROWS, Store, contents, folder, planned, reading, stores
from vitime_cache.ui.tables import TICK, row_height, ticked_row
from vitime_cache.ui.terms import explained
from vitime_cache.ui.weights import default_weights
from vitime_cache.ui.words import complain, notice, plain

DESCRIPTION = 220  # pixels: with the other columns, as wide as a page of 1280
COLUMNS = {
    "signal": st.column_config.TextColumn("Signal", width=130, pinned=True),
    DRAWN[0]: st.column_config.LineChartColumn("History", width=100, color=HISTORY, y_min=0, y_max=1),
    DRAWN[1]: st.column_config.LineChartColumn(
        "Forecast",
        width=100,
        color=FORECAST,
        y_min=0,
        y_max=1,
        help="Median, on the same scale as the history: from the least to the greatest value of both.",
    ),
    "description": st.column_config.TextColumn("What it is", width=DESCRIPTION),
    "n_history": st.column_config.NumberColumn("Samples", width=70, help="Of the history."),
    "horizon": st.column_config.NumberColumn("Horizon", width=70, help="Samples of the forecast."),
    "samples_per_patch": st.column_config.NumberColumn(
        "A patch", width=60, format="%.4g", help=f"Samples per patch.\n\n{explained('patch')}"
    ),
    "reduced_of": st.column_config.TextColumn("Reduction of", width=90),
}
SAVING = "series_to_save"
TOKENS = {"all": "all layers", "last": "the last layer only", "none": "none"}


def signals_table(store: Store) -> None:
    """The signals with small plots; ticking one opens its heads."""
    names = store.signals
    sought = st.text_input("Find a signal", key="find", bind="query-params", placeholder="part of its name").strip()
    found = [name for name in names if sought.lower() in name.lower()]
    shown = found[:ROWS]
    st.caption(
        f"{counted(len(names), 'signal')} in {plain(store.name)}"
        + (f", {len(found)} found" if sought else "")
        + (f"; the first {ROWS} are shown" if len(found) > ROWS else "")
        + f". {TICK.format('its heads')}"
    )
    if not shown:
        return
    with reading(store):
        table = contents(store, shown)
    columns = for_dark(COLUMNS) if st.context.theme.type == "dark" else COLUMNS
    ticked = ticked_row(table, columns, "signals", row_height=row_height(table["description"], DESCRIPTION))
    if ticked is not None:
        st.switch_page("pages/heads.py", query_params=address(signal=shown[ticked]))
    offer_to_delete_a_signal(store)


def own_series() -> None:
    """The own series of this session: links to view each, a form to save it to a named store, a button to delete it."""
    for option, name in own.options().items():
        link = address(signal=option, q=option.removeprefix(own.PREFIX))
        with st.container(border=True):
            with st.container(horizontal=True, vertical_alignment="center"):
                st.markdown(f"**{plain(name)}** (yours)")
                for page, label in (("ask", "Ask"), ("heads", "Heads"), ("head", "Head")):
                    st.page_link(f"pages/{page}.py", label=label, query_params=link)
                with st.popover("Delete", icon=":material/delete:"):
                    st.caption(f"{plain(name)} is deleted, with the answers about it. {LOST}")
                    st.button(
                        "Delete this series", icon=":material/delete_forever:", key=f"forget_{option}", type="primary",
                        on_click=done, args=(partial(_forget, option, name),),
                    )  # fmt: skip
            _save_form(option, name)


def _forget(option: str, name: str) -> str:
    own.forget(option)
    forget_choice("signal", option)
    return f"{plain(name)} was deleted."


def _save_form(option: str, name: str) -> None:
    options = list(stores())
    with suppress(CheckpointError):  # the end of the page says so; what is there can be saved without them
        options = list(dict.fromkeys([default_weights().store, *options]))
    with st.form(f"save_{option}", border=False), st.container(horizontal=True, vertical_alignment="bottom"):
        saved_as = st.text_input("Save as", name, max_chars=200, key=f"save_name_{option}", width=240)
        store = st.selectbox("in the store", options, key=f"save_store_{option}", width=240)
        # A callback, because a fresh server runs its first page twice (see `routing`).
        st.form_submit_button(
            "Save", icon=":material/save:", key=f"save_button_{option}", on_click=_ask_to_save, args=(option,)
        )
    if st.session_state.get(SAVING) != option or store not in options:
        return
    del st.session_state[SAVING]
    try:
        own.save(option, saved_as.strip(), store)
    except (VitimeError, MemoryError, OSError) as error:
        complain(error)
        return
    st.success(f"Saved as {plain(saved_as)} in {plain(store)}.", icon=":material/check:")
    link = address(store=store, signal=saved_as.strip())
    st.page_link("pages/heads.py", label="Open it", query_params=link, icon=":material/open_in_new:")


def _ask_to_save(option: str) -> None:
    st.session_state[SAVING] = option


def model_facts(ds: xr.Dataset) -> None:
    """Size of the network behind a store, and its weights."""
    config = schema.config_of(ds)
    rows, columns = config.grid
    facts = {
        "Layers": f"{config.encoder_depth} + {config.decoder_depth}",
        "Heads per layer": f"{config.heads}",
        "Tokens": f"{rows} × {columns}",
        "Patch, pixels": f"{config.patch_height} × {config.patch_width}",
    }
    for place, (name, value) in zip(st.columns(len(facts)), facts.items(), strict=True):
        place.metric(name, value)
    st.caption(
        f"Layers are encoder + decoder; tokens are value rows × patch columns, and a patch column is the unit of lag. "
        f"Weights {plain(ds.attrs['weights'])}, SHA-256 {ds.attrs['weights_sha256'][:12] or 'unknown'}…; captured in "
        f"{ds.attrs['dtype']} by vitime-cache {ds.attrs['vitime_cache_version']}, {ds.attrs['created']}.",
        help=explained("patch, token"),
    )


def unfinished(store: Store) -> bool:
    """Show how much of a store is complete and how to continue it, if planned signals are missing.

    Returns whether anything was shown.
    """
    if _told(store.path):
        return True
    failed = jobs.job(store.path) is not None  # which has just been shown
    plan = planned(store)
    complete = set(stored_signals(store))
    missing = {entry.name: entry.fingerprint for entry in plan.entries if entry.name not in complete} if plan else {}
    if plan is None or not missing:
        return failed
    said = f"{len(complete)} of {len(plan.entries)} signals of {plain(store.name)} are complete."
    st.warning(said, icon=":material/hourglass:")
    try:
        weights = default_weights()
    except CheckpointError:
        weights = None
    known = {signal.name: signal.fingerprint for signal in catalogue()}
    if weights is None or weights.info.sha256 != plan.identity.weights.sha256:
        st.caption(
            f"It was started with the weights {plain(plan.identity.weights.name)}, which are not available: put them "
            "into weights/ to continue here."
        )
    elif not missing.items() <= known.items():
        st.caption("It was started with series of your own: run the same command again to continue.")
    else:
        tokens = ",".join(plan.tokens) or "none"
        place = shlex.quote(f"store/{store.name}")
        _command(f"python -m vitime_cache build --store {place} --tokens {tokens}")
        _start_button("Continue", store.path, weights.path, tokens)
    return True


def build_default() -> None:
    """Offer to build the default store if there is none, or show the progress of its build."""
    try:
        weights = default_weights()
    except CheckpointError as error:
        notice(error)
        return
    name, path = weights.store, folder() / weights.store
    if name in stores() and (jobs.job(path) is None or stores()[name].stamp is not None):
        return  # `unfinished` shows its state when the store is chosen
    st.subheader("Build the default store", anchor=False)
    if _told(path):
        return
    _command("python -m vitime_cache build")
    kept = st.segmented_control(
        "Token maps to keep", list(TOKENS), default="all", required=True, format_func=TOKENS.__getitem__,
        help="Token maps show where a query looks on the image of the series. They take most of the space.",
    )  # fmt: skip
    _start_button("Build it now", path, weights.path, weights.config.layers[-1] if kept == "last" else str(kept))


def _told(path: Path) -> bool:
    """Show the progress of a build, or how the last one ended. Returns whether it is running or has succeeded."""
    job = jobs.job(path)
    if job is None:
        return False
    if job.running:
        _progress(path.name, job)
    elif job.failure:
        st.error(f"The build stopped: {plain(job.failure)}", icon=":material/error:")
        return False
    else:
        st.success(f"{plain(path.name)} is complete.", icon=":material/check:")
    return True


def _command(command: str) -> None:
    st.markdown("Run this command, or press the button, which runs the same in the background:")
    st.code(command, language="bash")


def _start_button(label: str, path: Path, weights: Path, tokens: str) -> None:
    st.button(
        label, icon=":material/play_arrow:", type="primary",
        on_click=jobs.start, args=(path, weights, tokens), key=f"build_{path.name}",
    )  # fmt: skip


@st.fragment(run_every=1.0)
def _progress(name: str, job: jobs.Job) -> None:
    """Show how many signals are complete once a second; rerun the page when the build has ended."""
    if not job.running:
        st.rerun()
    store = stores().get(name)
    plan = planned(store) if store else None
    done, total = len(store.signals) if store else 0, len(plan.entries) if plan else len(catalogue())
    st.progress(min(done / max(total, 1), 1.0), f"Building {plain(name)}: {done} of {total} signals are complete")
    st.caption("You can view signals as soon as they are complete: all pages stay usable.")
