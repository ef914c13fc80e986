"""Run the model on a series of one's own, look at it on every page, and save it."""

import streamlit as st

from vitime_cache.ui import runs
from vitime_cache.ui.compose import choose_series, preview
from vitime_cache.ui.live_view import run_button, save_form, show_run
from vitime_cache.ui.routing import store_if_any
from vitime_cache.ui.words import plain, title, weights_note

store = store_if_any()
title(
    "Live",
    "Your own series, without a store: compose it, paste it, or upload a file. A run stays in this session, is found "
    "among the signals of every page, and is kept for good once it is saved.",
)
signal = choose_series()
if signal is not None:
    preview(signal)
    run_button(signal)
for name, run in reversed(runs.runs().items()):
    with st.container(border=True):
        st.subheader(plain(run.signal.name), anchor=False)
        weights_note(run.dataset)
        show_run(store, name, run)
        st.caption(f"Run in {run.seconds:.2f} s.")
        save_form(name, run)
