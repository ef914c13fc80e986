"""One head: the time map and the lag curve side by side, the series along both axes, and one moment on the image."""

import streamlit as st

from vitime_cache import charts
from vitime_cache.ui.address import choose_head, choose_signal
from vitime_cache.ui.badges import head_badges
from vitime_cache.ui.chart import figure, peaks_table
from vitime_cache.ui.copied import copy_python, head_code
from vitime_cache.ui.folds import folded
from vitime_cache.ui.options import (
    choose_contrast,
    choose_heads,
    choose_lags,
    choose_period,
    choose_queries,
    choose_query,
    query_from_click,
)
from vitime_cache.ui.routing import chosen_store
from vitime_cache.ui.width import page_width
from vitime_cache.ui.words import title, weights_note

title(
    "Head",
    "Where one head looks, and how far back. **Rows look, columns are looked at.** Point at a moment of the series or "
    "the map: where it looks lights up. It describes this signal.",
)
store = chosen_store()
ds = choose_signal(store)
layer, head = choose_head(store, ds)
weights_note(ds)


@st.fragment
def one_head() -> None:
    """Show the head's badges, map, curve, peaks and one query on the image; a click on the map chooses the query."""
    badges = st.container()
    with st.container(horizontal=True, vertical_alignment="bottom"):
        period = choose_period(ds)
        options = choose_lags(ds)
        queries = choose_queries()
        query = choose_query(ds)
        contrast = choose_contrast()
    with badges:
        head_badges(ds, layer, head, period)
    width = page_width()
    first, *others = [charts.HeadView(ds, *each, queries) for each in choose_heads(ds, (layer, head))]
    figure(
        charts.linked_head, first, contrast, beside=others, region=options.region, side=options.side, period=period,
        max_lag=options.longest, log=options.log, moment=query, total_width=width, key="linked",
        on_select=query_from_click(ds, "linked"), selection="cell", table=lambda: charts.heatmap_table(first),
    )  # fmt: skip
    if fold := folded("The peaks of the curve", "peaks"):
        with fold:
            peaks_table([first, *others], options.region, period=period, side=options.side, longest=options.longest)
    if fold := folded("One moment on the image of the series", "moment", expanded=True):
        with fold:
            figure(
                charts.token_look, first, query, contrast=contrast, key="query", width="stretch",
                table=lambda: charts.token_table(first, query),
            )  # fmt: skip
    if fold := folded("The layers in order", "layers"):
        with fold:
            figure(
                charts.layers_in_order, ds, layer, head, contrast, size=max(160, min(width - 240, 460)), key="layers",
                table=lambda: charts.layers_in_order_table(ds, head), about={"head": str(head)},
            )  # fmt: skip
    if fold := folded("The series' own autocorrelation, on the same axis", "autocorrelation"):
        with fold:
            figure(
                charts.autocorrelation, ds, period=period, max_lag=options.longest, key="autocorrelation",
                width="stretch", table=lambda: charts.autocorrelation_table(ds),
            )  # fmt: skip
    copy_python(head_code([first, *others], options, period, contrast=contrast, moment=query, total_width=width))


one_head()
with st.expander("How to read this"):
    st.markdown(
        "- Below the diagonal a moment looks at its **past**, above it at its **future**: the model is bidirectional.\n"
        "- The dashed lines are the border between history and forecast. The lower left block is what **feeds the "
        "forecast** from the history.\n"
        "- A stripe parallel to the diagonal is a fixed lag. A peak of the curve at a multiple of P says where the "
        "head looks on this signal. It does not prove that it follows the period: position alone gives curves some "
        "structure. "
        "**Ask** answers that.\n"
        "- A **patch** is a column of the image cut into tokens. A cell is the mean attention of two patch columns "
        "over all value rows. Rows do not sum to 1: some attention goes to the **CLS** token, an extra token that "
        "represents no part of the image; its share is given below the map.\n"
        "- **Ink** is the part of the image that the curve of the series covers; most of a column is blank paper.\n"
        "- Contrast changes colours only. The legend and the tooltips show attention itself."
    )
