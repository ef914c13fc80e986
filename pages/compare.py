"""Two signals side by side: the maps on one scale, their difference, the lag curves, and what became of the peaks."""

from functools import partial

import streamlit as st

from vitime_cache import charts
from vitime_cache.compare.words import reading
from vitime_cache.errors import VitimeError
from vitime_cache.ui.address import choose_head, choose_other, choose_signal
from vitime_cache.ui.badges import head_badges
from vitime_cache.ui.chart import changes_table, compared, figure, side_map, statement
from vitime_cache.ui.options import choose_contrast, choose_lags, choose_period
from vitime_cache.ui.routing import chosen_store
from vitime_cache.ui.stores import KEY
from vitime_cache.ui.words import complain, end_page, plain, title, weights_note

title(
    "Compare",
    "One head on two signals; a signal and its reduction are paired by default. This page describes. Whether the head "
    "tracks a period and whether the forecast uses it is what **Ask** is for.",
)
store = chosen_store()
first = choose_signal(store)
second = choose_other(store, first)
layer, head = choose_head(store, first)
weights_note(first, second)
if first.attrs[KEY] == second.attrs[KEY]:
    st.info("A signal is not compared with itself: choose another, at the left.", icon=":material/compare:")
    end_page()


@st.fragment
def comparison() -> None:
    """Both maps on one scale, their difference, both curves and the peaks."""
    with st.container(horizontal=True, vertical_alignment="bottom"):
        period = choose_period(first)
        options = choose_lags(first)
        contrast = choose_contrast()
    try:
        views = [charts.HeadView(ds, layer, head) for ds in (first, second)]
    except VitimeError as error:
        complain(error)
        return
    a, b = views
    found = compared(a, b, options.region, period, options.side)
    said = reading(found)
    statement("looking", plain(said.conclusion))
    head_badges(first, layer, head, period)
    shading = charts.shared_shading(views, contrast)
    with st.container(horizontal=True):
        for name, view in zip(("first", "second"), views, strict=True):
            with st.container(width="content"):
                figure(side_map, view, shading, 228, key=name, table=partial(charts.heatmap_table, view))
        with st.container(width="content"):  # beside them where the screen is wide
            figure(charts.difference, a, b, size=400, key="difference", table=lambda: charts.difference_table(a, b))
    figure(
        charts.lag_curves, views, options.region, period=period, side=options.side, log=options.log,
        max_lag=options.longest, key="curves", width="stretch",
        table=lambda: charts.lag_table(views, options.region, side=options.side),
    )  # fmt: skip
    st.subheader("The peaks of both", anchor=False)
    changes_table(found)
    supported, open_ = st.columns(2)
    supported.markdown("**This supports**\n" + "".join(f"\n- {plain(text)}" for text in said.supports))
    open_.markdown("**It does not support**\n" + "".join(f"\n- {plain(text)}" for text in said.does_not_support))


comparison()
