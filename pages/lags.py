"""Mean attention against lag, with the period, the resolution and the number of pairs in sight."""

import streamlit as st

from vitime_cache import charts
from vitime_cache.ui.address import choose_head, choose_signal
from vitime_cache.ui.chart import figure, peaks_table, statement
from vitime_cache.ui.options import choose_heads, choose_lags, choose_period
from vitime_cache.ui.routing import chosen_store
from vitime_cache.ui.verdicts import head_badges
from vitime_cache.ui.words import title, weights_note

title("Lags", "How far back one or several heads look, against the period of the series.")
store = chosen_store()
ds = choose_signal(store)
layer, head = choose_head(store, ds)
weights_note(ds)
statement("looking", "A peak at a multiple of P says where the head looks on this signal. It is no proof that the "
          "head tracks the period: position alone gives curves some structure.")  # fmt: skip


@st.fragment
def curves() -> None:
    """The verdict on the head, the curves, the autocorrelation on the same axis, and the peaks."""
    badges = st.container()
    with st.container(horizontal=True, vertical_alignment="bottom"):
        period = choose_period(ds)
        options = choose_lags(ds)
    with badges:
        head_badges(store, ds, layer, head, period)
    views = [charts.HeadView(ds, *each) for each in choose_heads(ds, (layer, head))]
    region, side = options.region, options.side
    figure(
        charts.lag_curves, views, region, period=period, side=side, log=options.log, max_lag=options.longest,
        key="lags", width="stretch", table=lambda: charts.lag_table(views, region, side=side),
    )  # fmt: skip
    figure(
        charts.autocorrelation, ds, period=period, max_lag=options.longest, key="autocorrelation",
        width="stretch", table=lambda: charts.autocorrelation_table(ds),
    )  # fmt: skip
    st.subheader("Peaks", anchor=False)
    peaks_table(views, region, period=period, side=side, longest=options.longest)


curves()
