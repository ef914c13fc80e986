"""A verdict on the page: the answer in sentences, every head on every rung, and what each claim rests on."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any

import streamlit as st
import xarray as xr

from vitime_cache import charts
from vitime_cache.attention import schema
from vitime_cache.charts.card import verdict_card
from vitime_cache.evidence.agreement import looking_and_mattering
from vitime_cache.evidence.rungs import RUNGS
from vitime_cache.evidence.verdict import schema as v
from vitime_cache.evidence.verdict.report import head_order, to_come, to_json, together, verdict_table
from vitime_cache.ui.chart import figure, file_name
from vitime_cache.ui.options import clicked
from vitime_cache.ui.verdicts import badge
from vitime_cache.ui.words import counted, plain

PICTURES = {
    "descriptive": (charts.verdict_curve, charts.verdict_curve_table),
    "tracking": (charts.verdict_sweep, charts.verdict_sweep_table),
    "causal": (charts.verdict_effect, charts.verdict_effect_table),
}


def show_verdict(verdict: xr.Dataset | None, name: str, *, coming: bool = False) -> None:
    """The answer in two sentences, every head on every rung, the chosen head's pictures, and the files.

    Parameters
    ----------
    verdict
        As far as it goes; None before the first rung is done.
    coming
        Whether more of it is on its way.
    """
    if verdict is None:
        st.info("Nothing is known yet: the first rung is done in seconds.", icon=":material/hourglass_top:")
        return
    sentences = v.facts(verdict, "sentences")
    supported, not_supported = st.columns(2)
    supported.success(plain(sentences["supported"]), icon=":material/check:")
    not_supported.info(plain(sentences["not_supported"]), icon=":material/do_not_disturb_on:")
    left = to_come(verdict)
    if left and not coming:
        st.warning(
            f"This verdict is partial: nothing is known of {', '.join(left)}. Ask again for the rest.",
            icon=":material/hourglass_disabled:",
        )
    chosen = _chosen_head(verdict)
    left_side, right_side = st.columns([6, 5])
    with left_side:
        figure(
            charts.rung_matrix, verdict, selected=chosen, key="rungs", on_select="rerun",
            width="stretch", table=lambda: verdict_table(verdict),
        )  # fmt: skip
        if "causal" not in left:
            figure(
                looking, verdict, key="looking", width="stretch",
                on_select="rerun", table=lambda: looking_and_mattering(verdict).heads,
            )  # fmt: skip
            st.caption(together(verdict))
    with right_side:
        head_card(verdict, *chosen)
    if not left:
        st.caption(_counted(v.facts(verdict, "counts"), v.facts(verdict, "screening")))
    _files(verdict, chosen, name)


def looking(verdict: xr.Dataset) -> charts.Spec:
    """Every head's prominence against its effect."""
    return charts.looking_chart(looking_and_mattering(verdict), str(v.facts(verdict, "question")["signal"]))


def head_card(verdict: xr.Dataset, layer: str, head: int) -> None:
    """One head: its badges, and the picture behind each rung."""
    badges = " ".join(badge(verdict, rung.name, layer, head) for rung in RUNGS)
    st.markdown(f"**{plain(layer)}, head {head}** {badges}")
    for rung in v.facts(verdict, "stages"):
        if rung in PICTURES:
            draw, table = PICTURES[rung]
            figure(
                draw, verdict, layer, head, key=f"{rung}_picture",
                width="stretch", table=partial(table, verdict, layer, head),
            )  # fmt: skip


def _chosen_head(verdict: xr.Dataset) -> tuple[str, int]:
    """The head clicked last, in either chart; at first the best."""
    layer, best = head_order(verdict)[0]
    place = f"evidence_head_{verdict.attrs['created']}"
    seen: dict[str, Any] = st.session_state.setdefault(place, {})
    for chart in ("rungs", "looking"):
        point = clicked(chart, "head") if chart in st.session_state else None
        if point != seen.get(chart):
            seen[chart] = point
            if point is not None:
                seen["head"] = (str(point[schema.LAYER]), int(point[schema.HEAD]))
    head: tuple[str, int] = seen.get("head", (str(verdict[schema.LAYER].values[layer]), best))
    return head


def _counted(counts: Mapping[str, Any], screening: Mapping[str, Any]) -> str:
    """The numbers that the verdict rests on."""
    said = (
        f"{counted(counts['heads'], 'head')}, {counted(counts['windows'], 'window')}, {counts['nulls']} null inputs of "
        f"a kind (no p below {1 / (counts['nulls'] + 1):.2g}), {counts['sweep']} periods in the sweep, "
        f"{counted(counts['controls'], 'control mask')} a head (no p below {counts['smallest_p']:.2g})."
    )
    if not_tested := screening.get("not_tested"):
        said += f" Screened out and not tested: {counted(len(not_tested), 'head')}."
    return said


def _files(verdict: xr.Dataset, chosen: tuple[str, int], name: str) -> None:
    """Everything to take along: a page with the chosen head's pictures, every array, and the table."""
    of = file_name(name, "verdict")
    files = (
        ("Card, one page", lambda: verdict_card(verdict, *chosen).encode(), f"{of}.html", "text/html"),
        ("Every number, JSON", lambda: to_json(verdict).encode(), f"{of}.json", "application/json"),
        ("The verdict, CSV", lambda: _csv(verdict), f"{of}.csv", "text/csv"),
    )
    with st.container(horizontal=True):
        for label, make, file, mime in files:
            st.download_button(label, make, file, mime, on_click="ignore", icon=":material/download:")


def _csv(verdict: xr.Dataset) -> bytes:
    return verdict_table(verdict).to_csv(index=False).encode()
