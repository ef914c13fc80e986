"""What there is: the signals of the store, the model behind it, and where to go next."""

import streamlit as st

from vitime_cache.ui.address import address, stored_signals
from vitime_cache.ui.contents import build_default, model_facts, signals_table
from vitime_cache.ui.routing import chosen_store
from vitime_cache.ui.words import title, weights_note

NEXT = {
    "heatmap": "**Heatmap**: which past each moment looks at, in one head",
    "lags": "**Lags**: how far back it looks, against the period of the series",
    "compare": "**Compare**: what changes when a harmonic is taken out",
    "heads": "**Heads**: all layers and heads at a glance, ranked",
    "live": "**Live**: your own series, without a store",
}

store = chosen_store()
title(
    "What does each head look at?",
    "ViTime draws a series as an image and forecasts it with a vision transformer. This app shows the attention of "
    "every layer and head: which past each moment of the series looks at, how far back, and what that supports.",
)
if store is not None and stored_signals(store):
    weights_note(store.dataset)
    signals_table(store)
    st.subheader("The model", anchor=False)
    model_facts(store.dataset)
else:
    st.info(
        "There is no store yet." if store is None else f"{store.name} holds no complete signal yet.",
        icon=":material/hourglass_empty:",
    )
build_default()
st.subheader("Where to go next", anchor=False)
for name, text in NEXT.items():
    st.page_link(f"pages/{name}.py", label=text, query_params=address())
