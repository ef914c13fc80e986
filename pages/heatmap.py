"""Time-time attention of one head, and where one moment looks on the image of the series."""

import streamlit as st

from vitime_cache import charts
from vitime_cache.ui.address import choose_head, choose_signal
from vitime_cache.ui.chart import figure, statement
from vitime_cache.ui.options import choose_contrast, choose_queries, choose_query, query_from_click
from vitime_cache.ui.routing import chosen_store
from vitime_cache.ui.words import title, weights_note

title("Heatmap", "Which past each moment looks at, in one head. **Rows look, columns are looked at.**")
store = chosen_store()
ds = choose_signal(store)
layer, head = choose_head(store, ds)
weights_note(ds)
statement(
    "looking",
    "This is where the head looks on this one signal. A stripe parallel to the diagonal is a fixed lag; whether it "
    "belongs to the signal or to the position is what **Compare** and **Evidence** are for.",
)


@st.fragment
def maps() -> None:
    """The map and, beside it where the screen is wide, the image of one query; a click on the map chooses the query."""
    with st.container(horizontal=True, vertical_alignment="bottom"):
        queries = choose_queries()
        query = choose_query(ds)
        contrast = choose_contrast()
    view = charts.HeadView(ds, layer, head, queries)
    with st.container(horizontal=True):
        with st.container(width="content"):
            figure(
                charts.heatmap, view, contrast, query=query, key="heatmap", on_select=query_from_click(ds, "heatmap"),
                table=lambda: charts.heatmap_table(view),
            )  # fmt: skip
        with st.container(width=BESIDE):
            figure(
                charts.token_look, view, query, contrast=contrast, key="query", width="stretch",
                table=lambda: charts.token_table(view, query),
            )  # fmt: skip


BESIDE = 680  # pixels of the query's image
maps()
with st.expander("How to read this"):
    st.markdown(
        "- Below the diagonal a moment looks at its **past**, above it at its **future**: the model is bidirectional.\n"
        "- The dashed lines are the border between history and forecast. The lower left block is what **feeds the "
        "forecast** from the history.\n"
        "- A **patch** is a column of the image cut into tokens. A cell is the mean attention of two patch columns "
        "over all value rows. Rows do not sum to 1: some attention goes to the **CLS** token, one more token that "
        "stands for no part of the image; its share is named below the map.\n"
        "- **Ink** is what the series leaves of itself on the image; most of a column is blank paper.\n"
        "- Contrast changes colours only. The legend and the tooltips are attention itself."
    )
