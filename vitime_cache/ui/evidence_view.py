"""A verdict on the page: the answer, its pictures, the heads, and what each level found."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import streamlit as st
import xarray as xr

from vitime_cache import charts
from vitime_cache.attention import schema
from vitime_cache.charts.card import BEHIND, STORY, verdict_card
from vitime_cache.charts.social import social_card
from vitime_cache.evidence.agreement import looking_and_mattering
from vitime_cache.evidence.levels.table import CLAIMS, KINDS, LEVEL, LEVELS
from vitime_cache.evidence.verdict import schema as vschema
from vitime_cache.evidence.verdict.as_json import to_json
from vitime_cache.evidence.verdict.data import head_order, to_come, verdict_table
from vitime_cache.evidence.verdict.headline import headline
from vitime_cache.evidence.verdict.report import INTERVALS, NOT_CLAIMED, sentences
from vitime_cache.evidence.window import Window
from vitime_cache.series.signal import Signal
from vitime_cache.ui.asked import Asked, address_of
from vitime_cache.ui.badges import CLAIM_WORDS, badges
from vitime_cache.ui.chart import Draw, figure, file_name, worked_out
from vitime_cache.ui.copied import answer_code, copy_python
from vitime_cache.ui.folds import folded
from vitime_cache.ui.options import clicked
from vitime_cache.ui.shared import KEY
from vitime_cache.ui.terms import explained
from vitime_cache.ui.verdicts import Subject
from vitime_cache.ui.width import page_width, side_by_side
from vitime_cache.ui.words import plain

TABLES = {
    charts.answer_forecast: charts.answer_forecast_table, charts.answer_influence: charts.answer_influence_table,
    charts.answer_heads: charts.answer_heads_table, charts.answer_attention: charts.answer_attention_table,
    charts.answer_shares: charts.answer_shares_table,
}  # fmt: skip
# Chart, its table, and the level that it needs.
OF_HEAD = (
    (charts.verdict_effect, charts.verdict_effect_table, "heads"),
    (charts.verdict_curve, charts.verdict_curve_table, "looking"),
    (charts.verdict_sweep, charts.verdict_sweep_table, "tracking"),
)
BOXES = {"yes": (st.success, ":material/check:"), "no": (st.info, ":material/block:"),
         "not shown": (st.warning, ":material/help:"), "open": (st.info, ":material/hourglass_top:")}  # fmt: skip


def begun(verdict: xr.Dataset | None) -> bool:
    """Whether a level of a verdict has run."""
    return verdict is not None and bool(vschema.facts(verdict, "stages"))


def show_without_answer(verdict: xr.Dataset | None, signal: Signal, window: Window) -> None:
    """What is known before the first level has run: the series with its stretch, and the forecast once it is made."""
    st.info(
        "No answer yet. It appears here after the first level, influence. What is known without it is drawn below.",
        icon=":material/hourglass_top:",
    )
    wide = page_width()
    if verdict is not None:
        _drawn(verdict, ((charts.answer_forecast, ""),), wide)  # needs no level
    figure(
        charts.window_picture, signal.name, signal.known, window, signal.start, key="stretch", width="stretch",
        pixels=wide, table=lambda: charts.window_table(signal.known, window, signal.start),
        about={"signal": signal.name},
    )  # fmt: skip


def show_headline(verdict: xr.Dataset) -> None:
    """The answer in a few sentences, in a box of its colour."""
    box, icon = BOXES[KINDS[vschema.kind(verdict.attrs)].answer]
    box(plain(worked_out(headline, verdict)), icon=icon)


def show_verdict(verdict: xr.Dataset, subject: Subject, ask_for_the_rest: Callable[[], None] | None) -> None:
    """The answer, its pictures, every head and the chosen one, and the files.

    Parameters
    ----------
    verdict
        With the levels that have run, at least one.
    ask_for_the_rest
        Shows a button that asks for the levels that the verdict lacks; None while they are still running.
    """
    show_headline(verdict)
    with st.container(horizontal=True):
        with st.popover("What is not shown", type="tertiary", icon=":material/help:"):
            open_ = worked_out(sentences, verdict)[NOT_CLAIMED]
            st.markdown(plain(open_), help=explained(open_))
        with st.popover("What the figures are", type="tertiary", icon=":material/straighten:"):
            st.markdown(plain(INTERVALS), help=explained(INTERVALS))
            st.markdown("\n".join(f"- **{level.title}**: {plain(level.shown_by)}" for level in LEVELS[:3]))
    left = [LEVEL[stage].title.lower() for stage in to_come(verdict)]
    if left and ask_for_the_rest is not None:
        st.warning(
            f"This verdict is partial: not run are {'; '.join(left)}. Ask again for the rest.",
            icon=":material/hourglass_disabled:",
        )
        ask_for_the_rest()
    wide = page_width()
    _drawn(verdict, STORY[:1], wide)
    window = vschema.facts(verdict, "window_facts")["words"]
    st.caption(plain(window), help=explained(window))
    _drawn(verdict, STORY[1:], wide)
    if fold := folded("Details: where the forecast looks, what attention carries, what each level found", "details"):
        with fold:
            _drawn(verdict, BEHIND, wide)
            for level, text in worked_out(sentences, verdict).items():
                if level in LEVEL:
                    st.markdown(f"**{LEVEL[level].title}** {plain(text)}", help=explained(LEVEL[level].title, text))
    chosen = _chosen_head(verdict)
    if fold := folded("Every head: what is shown of each", "heads"):
        with fold:
            _every_head(verdict, chosen)
    _files(verdict, chosen, subject)


def _drawn(verdict: xr.Dataset, pictures: Sequence[tuple[Draw, str]], wide: int) -> None:
    """Draw the pictures of the answer whose level has run; no heads if the verdict did not search for any."""
    no_heads = bool(verdict["head_share"].isnull().all())
    for draw, level in pictures:
        if level in ("", *vschema.facts(verdict, "stages")) and not (no_heads and draw is charts.answer_heads):
            table = partial(TABLES[draw], verdict)
            figure(draw, verdict, key=draw.__name__, width="stretch", pixels=wide, table=table)


def _every_head(verdict: xr.Dataset, chosen: tuple[str, int]) -> None:
    """Show the grid of claims and the pictures of the head clicked in it."""
    if not {claim.level for claim in CLAIMS} & set(vschema.facts(verdict, "stages")):
        st.caption("No head has been tested by itself so far.")
        return
    left_side, right_side = side_by_side(6, 5)
    with left_side:
        st.caption("Click a head for its pictures.")
        figure(
            charts.claims_grid, verdict, selected=chosen, key="claims", on_select="rerun",
            width="stretch", table=lambda: charts.claims_grid_table(verdict),
        )  # fmt: skip
        if {"heads", "looking"} <= set(vschema.facts(verdict, "stages")):
            figure(
                looking, verdict, key="looking", width="stretch",
                on_select="rerun", table=lambda: looking_and_mattering(verdict).heads,
            )  # fmt: skip
    with right_side:
        head_card(verdict, *chosen)


def link_to(subject: Subject, period: float) -> None:
    """A link with the address of a question: for a bookmark, another tab or a colleague, while it runs and after."""
    address = address_of(Asked.of(subject, period))
    of, limits = ("question", "while the question runs and after") if "q" in address else (
        "series", "but names no period, as the folder of stores cannot be written to"
    )  # fmt: skip
    st.page_link(
        "pages/ask.py", label=f"Address of this {of}", icon=":material/link:", query_params=address,
        help=f"It works after a reload, in another tab, and for others who use this server, {limits}.",
    )  # fmt: skip


def looking(verdict: xr.Dataset) -> charts.Spec:
    """The chart of every head's look whole periods back against its effect."""
    return charts.looking_chart(looking_and_mattering(verdict), str(vschema.facts(verdict, "question")["signal"]))


def head_card(verdict: xr.Dataset, layer: str, head: int) -> None:
    """One head: its badges, and the pictures they rest on."""
    st.markdown(
        f"**{plain(layer)}, head {head}** {worked_out(badges, verdict, layer, head)}", help=explained(*CLAIM_WORDS)
    )
    for draw, table, level in OF_HEAD:
        if level in vschema.facts(verdict, "stages"):
            figure(
                draw, verdict, layer, head, key=draw.__name__,
                width="stretch", table=partial(table, verdict, layer, head),
            )  # fmt: skip


def _chosen_head(verdict: xr.Dataset) -> tuple[str, int]:
    """The head clicked last in any chart; by default the best."""
    layer, best = worked_out(head_order, verdict)[0]
    place = f"evidence_head_{verdict.attrs['created']}"
    seen: dict[str, Any] = st.session_state.setdefault(place, {})
    for chart in ("claims", "looking"):
        point = clicked(chart, "head") if chart in st.session_state else None
        if point != seen.get(chart):
            seen[chart] = point
            if point is not None:
                seen["head"] = (str(point[schema.LAYER]), int(point[schema.HEAD]))
    head: tuple[str, int] = seen.get("head", (str(verdict[schema.LAYER].values[layer]), best))
    return head


def _files(verdict: xr.Dataset, chosen: tuple[str, int], subject: Subject) -> None:
    """Downloads: a page with the chosen head's pictures, every number as JSON, an image, and the table."""
    of, code = file_name(subject.signal.name, "verdict"), answer_code(verdict, subject)
    verdict = verdict.copy()
    verdict.attrs.pop(KEY, None)  # it names a folder of the server
    files = (
        ("Card, one page", lambda: verdict_card(verdict, *chosen).encode(), f"{of}.html", "text/html"),
        ("Every number, JSON", lambda: to_json(verdict).encode(), f"{of}.json", "application/json"),
        ("Card to share, PNG", lambda: social_card(verdict), f"{of}.png", "image/png"),
        ("The heads, CSV", lambda: verdict_table(verdict).to_csv(index=False).encode(), f"{of}.csv", "text/csv"),
    )
    with st.container(horizontal=True):
        for label, make, file, mime in files:
            st.download_button(label, make, file, mime, on_click="ignore", icon=":material/download:")
        copy_python(code)
