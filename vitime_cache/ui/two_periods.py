"""Two periods of one signal: both answers, both influence curves, and which heads carry which period."""

from __future__ import annotations

from functools import partial

import streamlit as st
import xarray as xr

from vitime_cache import charts
from vitime_cache.compare.periods import compare_periods, conclusion, limits, shares, supports
from vitime_cache.errors import VitimeError
from vitime_cache.evidence.verdict import schema as vschema
from vitime_cache.evidence.verdict.phrases import period_words
from vitime_cache.ui.address import address, pick
from vitime_cache.ui.chart import figure
from vitime_cache.ui.evidence_view import show_headline
from vitime_cache.ui.shared import KEY
from vitime_cache.ui.two_signals import show_reading
from vitime_cache.ui.verdicts import Subject, known_verdicts
from vitime_cache.ui.width import NARROW, page_width, side_by_side
from vitime_cache.ui.words import complain, end_page, weights_note


def two_periods(first: xr.Dataset) -> None:
    """Show the comparison of two known verdicts on the signal."""
    known = known_verdicts(Subject.of(first))
    if len(known) < 2:
        _how_to(known)
        end_page()
    by_name = {f"{period:.9g}": verdict for period, verdict in sorted(known.items())}
    names, words = list(by_name), {name: period_words(verdict) for name, verdict in by_name.items()}
    with st.container(horizontal=True):
        one = pick("First period", names, "first_period", format_func=words.__getitem__, where=st)
        two = pick(
            "Second period", names, "second_period", default=names[1], format_func=words.__getitem__, where=st
        )  # fmt: skip
    weights_note(first)
    try:
        found = compare_periods(by_name[one], by_name[two])
    except VitimeError as error:
        complain(error)
        return
    st.markdown(conclusion(found))
    wide = page_width()
    for side, verdict, place in zip("ab", (found.first, found.second), side_by_side(1, 1), strict=True):
        with place:
            _one_side(side, verdict, wide if wide < NARROW else wide // 2)
    share = shares(found).assign_attrs({KEY: f"{found.first.attrs[KEY]}|{found.second.attrs[KEY]}"})
    if bool((share["first"] + share["second"]).notnull().any()):  # else no head has a figure at both periods
        figure(
            charts.period_shares, share, (words[one], words[two]), key="period_shares", width="stretch",
            table=lambda: charts.period_shares_table(share),
            about={
                "signal": str(vschema.facts(found.first, "question")["signal"]),
                "first_period": f"{found.periods[0]:.9g}", "second_period": f"{found.periods[1]:.9g}",
            },
        )  # fmt: skip
    show_reading(supports(found), limits(found))


def _how_to(known: dict[float, xr.Dataset]) -> None:
    so_far = f"only {' and '.join(map(period_words, known.values()))}" if known else "none"
    st.info(
        f"This compares the answers about two periods; of this series {so_far} has been asked about. Ask about two, "
        "such as a day and a week, and come back.",
        icon=":material/compare:",
    )
    st.page_link("pages/ask.py", label="Ask about a period", icon=":material/help:", query_params=address())


def _one_side(side: str, verdict: xr.Dataset, wide: int) -> None:
    """The headline and the influence curve of one of the two."""
    show_headline(verdict)
    if "mechanism" in vschema.facts(verdict, "stages"):
        figure(
            charts.answer_influence, verdict, key=f"influence_{side}", width="stretch", pixels=wide,
            table=partial(charts.answer_influence_table, verdict),
        )  # fmt: skip
