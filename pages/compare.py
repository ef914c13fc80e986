"""What differs: one network on two signals, two networks on one signal, or two periods of one signal."""

import streamlit as st

from vitime_cache.ui.address import choose_head, choose_signal
from vitime_cache.ui.routing import chosen_store
from vitime_cache.ui.two_periods import two_periods
from vitime_cache.ui.two_signals import two_signals
from vitime_cache.ui.two_weights import two_weights
from vitime_cache.ui.words import say_if_unknown, title

KINDS = ("Two signals", "Two weights", "Two periods")
HELP = (
    "Two signals: one network, such as on a series and its reduction. Two weights: one series, such as under shipped "
    "and adapted weights. Two periods: the answers about one series, such as about its day and its week."
)

title("Compare", "This page describes. Whether the forecast uses what a head looks at is a question for **Ask**.")
store = chosen_store()
first = choose_signal(store)
say_if_unknown("compare", "Compare", KINDS)
kind = st.segmented_control(
    "Compare", KINDS, default=KINDS[0], required=True, key="compare", bind="query-params", help=HELP
)
if kind == "Two periods":
    two_periods(first)
else:
    head = choose_head(store, first)
    if kind == "Two weights":
        two_weights(first, head)
    else:
        two_signals(store, first, head)
