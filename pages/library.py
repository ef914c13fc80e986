"""Stores and their signals, your own series, questions asked, weights, and unfinished builds."""

import streamlit as st

from vitime_cache.ui.address import stored_signals
from vitime_cache.ui.contents import build_default, model_facts, own_series, signals_table, unfinished
from vitime_cache.ui.deleting import say_what_was_deleted
from vitime_cache.ui.folds import folded
from vitime_cache.ui.routing import chosen_store
from vitime_cache.ui.shelves import questions_table, stores_table, weights_table
from vitime_cache.ui.stores import stores
from vitime_cache.ui.words import plain, title, weights_note

title("Library", "Questions asked, and the signals, stores and weights to ask about.")
store = chosen_store()
say_what_was_deleted()
said = store is not None and unfinished(store)
own_series()
questions_table(store)
if store is not None and stored_signals(store):
    st.subheader(f"Signals in {plain(store.name)}", anchor=False)
    weights_note(store.dataset)
    signals_table(store)
    if fold := folded("The network behind this store", "network"):
        with fold:
            model_facts(store.dataset)
elif store is not None and not said:
    st.info(f"{plain(store.name)} holds no complete signal yet.", icon=":material/hourglass_empty:")
elif not stores():
    st.info("There is no store yet.", icon=":material/hourglass_empty:")
stores_table(store)
weights_table()
build_default()
