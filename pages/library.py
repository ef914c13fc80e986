"""What there is: stores and their signals, series of one's own, questions asked, the weights, what is unfinished."""

import streamlit as st

from vitime_cache.ui.address import stored_signals
from vitime_cache.ui.contents import build_default, model_facts, own_series, questions_table, signals_table, unfinished
from vitime_cache.ui.routing import chosen_store
from vitime_cache.ui.words import plain, title, weights_note

title("Library", "Stores and their signals, the series that you brought, and the questions that were asked.")
store = chosen_store()
own_series()
said = store is not None and unfinished(store)
if store is not None and stored_signals(store):
    weights_note(store.dataset)
    signals_table(store)
    questions_table(store)
    st.subheader("The model", anchor=False)
    model_facts(store.dataset)
elif not said:
    st.info(
        "There is no store yet." if store is None else f"{plain(store.name)} holds no complete signal yet.",
        icon=":material/hourglass_empty:",
    )
build_default()
