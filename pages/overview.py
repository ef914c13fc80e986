"""What there is: the signals of the store, the model behind it, and where to go next."""

import streamlit as st

from vitime_cache.ui.address import address, stored_signals
from vitime_cache.ui.contents import build_default, model_facts, signals_table, unfinished
from vitime_cache.ui.routing import PAGES, chosen_store
from vitime_cache.ui.words import plain, title, weights_note

store = chosen_store()
title(
    "What does each head look at?",
    "ViTime draws a series as an image and forecasts it with a vision transformer. This app shows the attention of "
    "every layer and head: which past each moment of the series looks at, how far back, and what that supports.",
)
said = store is not None and unfinished(store)
if store is not None and stored_signals(store):
    weights_note(store.dataset)
    signals_table(store)
    st.subheader("The model", anchor=False)
    model_facts(store.dataset)
elif not said:
    st.info(
        "There is no store yet." if store is None else f"{plain(store.name)} holds no complete signal yet.",
        icon=":material/hourglass_empty:",
    )
build_default()
st.subheader("Where to go next", anchor=False)
for name, page in PAGES.items():
    if name != "overview":
        st.page_link(f"pages/{name}.py", label=f"**{page.title}**: {page.shows}", query_params=address())
