"""All layers and heads at a glance: maps, a matrix of any measure, and a ranking; a click opens a head."""

import streamlit as st

from vitime_cache import charts
from vitime_cache.attention import schema
from vitime_cache.ui.address import choose_signal, open_head
from vitime_cache.ui.badges import best_badges, with_claims
from vitime_cache.ui.chart import figure, measured, ranked_heads
from vitime_cache.ui.copied import copy_python, heads_code
from vitime_cache.ui.keys import move_over_heads
from vitime_cache.ui.options import choose_contrast, choose_measure, choose_period, clicked
from vitime_cache.ui.routing import chosen_store
from vitime_cache.ui.sweep import first_head
from vitime_cache.ui.verdicts import verdict_at
from vitime_cache.ui.width import page_width
from vitime_cache.ui.words import say_if_unknown, title, weights_note

VIEWS = ("Maps", "By a figure", "Ranked")
title("Heads", "The maps of all heads: layers as rows. **Click one to open it.** They describe this one signal.")
store = chosen_store()
ds = choose_signal(store)
weights_note(ds)
with st.container(horizontal=True, vertical_alignment="bottom"):
    period = choose_period(ds)
    verdict = verdict_at(ds, period)
    measures = with_claims(measured(ds, period), verdict)
    measure = choose_measure(measures)

width = page_width()
best_badges(ds, period)
if "unseen" in measures.attrs and measures[measure].isnull().all():
    st.warning(measures.attrs["unseen"], icon=":material/visibility_off:")
say_if_unknown("view", "View", VIEWS)
maps, matrix, ranking = st.tabs(VIEWS, key="view", on_change="rerun", bind="query-params")
draw = f"vc.charts.head_matrix(measures, {measure!r})"
if maps.open:
    with maps:
        with st.container(horizontal=True, vertical_alignment="center"):
            shared = st.toggle("One colour scale for all maps", key="shared", bind="query-params")
            contrast = choose_contrast()
        layers, (layer, head, _) = [str(each) for each in ds[schema.LAYER].values], first_head(store, ds, period)
        at, opened = move_over_heads(layers, ds.sizes[schema.HEAD], (layer, head), of=schema.name_of(ds))
        if opened:
            open_head({"layer": at[0], "head": at[1]})
        figure(
            charts.small_multiples, ds, measures, contrast, shared=shared, selected=at, verdict=verdict,
            key="multiples", on_select="rerun", width="stretch", pixels=width,
            table=lambda: charts.measures_table(measures),
        )  # fmt: skip
        open_head(clicked("multiples", "head"))
    draw = f"vc.charts.small_multiples(ds, measures, {contrast!r}, shared={shared!r}, verdict=verdict)"
if matrix.open:
    with matrix:
        figure(
            charts.head_matrix, measures, measure, key="matrix", on_select="rerun", width="stretch",
            table=lambda: charts.measures_table(measures),
        )  # fmt: skip
        open_head(clicked("matrix", "head"))
if ranking.open:
    with ranking:
        open_head(ranked_heads(measures, measure))
copy_python(heads_code(ds, period, verdict, draw))
