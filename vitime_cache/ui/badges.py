"""The claims of a verdict as badges beside the charts, and as figures to colour and rank heads by."""

from __future__ import annotations

import json

import streamlit as st
import xarray as xr

from vitime_cache.attention import schema
from vitime_cache.evidence.levels.table import (
    CLAIM,
    CLAIMS,
    INCONCLUSIVE,
    NOT_SUPPORTED,
    NOT_TESTED,
    OUTCOMES,
    SUPPORTED,
)
from vitime_cache.evidence.verdict import schema as vschema
from vitime_cache.evidence.verdict.data import claim_figures
from vitime_cache.evidence.verdict.phrases import period_words
from vitime_cache.numerals import number
from vitime_cache.series.spans import samples_in_words
from vitime_cache.shown import counted
from vitime_cache.ui.address import address
from vitime_cache.ui.chart import worked_out
from vitime_cache.ui.shared import KEY
from vitime_cache.ui.terms import explained
from vitime_cache.ui.verdicts import verdict_at
from vitime_cache.ui.words import plain

CLAIM_WORDS = tuple(f"{claim.title} {claim.figure}" for claim in CLAIMS)
COLOURS = {SUPPORTED: "green", NOT_SUPPORTED: "gray", INCONCLUSIVE: "orange", NOT_TESTED: "gray"}


def head_badges(ds: xr.Dataset, layer: str, head: int, period: float | None) -> None:
    """A badge for each claim about one head; without a verdict, a link to the page that gives one."""
    verdict = verdict_at(ds, period)
    if verdict is None:
        _link_to_ask(ds, period)
        return
    st.markdown(
        f"**{plain(layer)}, head {head}**, a period of {period_words(verdict)}: "
        + worked_out(badges, verdict, layer, head),
        help="The stored verdict on this head. No claim follows from another: "
        + "; ".join(f"*{claim.title.lower()}*: {claim.figure}" for claim in CLAIMS)
        + f". **Ask** shows what each rests on.\n\n{explained(*CLAIM_WORDS)}",
    )


def best_badges(ds: xr.Dataset, period: float | None) -> None:
    """The number of heads that support each claim; without a verdict, a link to the page that gives one."""
    verdict = verdict_at(ds, period)
    if verdict is None:
        _link_to_ask(ds, period)
        return
    st.markdown(
        worked_out(_counts, verdict),
        help="For how many heads the stored verdict supports each claim; –: not tested so far. **Ask** shows what each "
        "rests on."
        f"\n\n{explained(*CLAIM_WORDS)}",
    )


def _link_to_ask(ds: xr.Dataset, period: float | None) -> None:
    asked = (
        "this signal" if period is None else f"a period of {samples_in_words(period, float(ds[schema.SAMPLE_SECONDS]))}"
    )
    st.page_link(
        "pages/ask.py", icon=":material/gavel:", query_params=address(),
        label=f"No verdict on {asked} yet: **ask** whether the forecast uses what lies one period back, and through "
        "which heads",
    )  # fmt: skip


def _counts(verdict: xr.Dataset) -> str:
    done = vschema.facts(verdict, "stages")
    said = []
    for claim, codes in zip(CLAIMS, verdict["verdict"].transpose(vschema.CLAIM, ...).values, strict=True):
        n, title = int((codes == SUPPORTED).sum()), claim.title.lower()
        number_of = str(n) if claim.level in done else OUTCOMES[NOT_TESTED].mark
        said.append(f":{'green' if n else 'gray'}-badge[{title}: {number_of}]")
    heads = counted(int(verdict["asked"].sum()), "head")
    return f"Of {heads} asked about a period of {period_words(verdict)}: {' '.join(said)}"


def badges(verdict: xr.Dataset, layer: str, head: int) -> str:
    """The claims about one head in Markdown: coloured badges, each with its mark and figure."""
    of = verdict[["verdict", "figure"]].sel({schema.LAYER: layer, schema.HEAD: head})
    said = []
    for claim, code, figure in zip(of[vschema.CLAIM].values, of["verdict"].values, of["figure"].values, strict=True):
        shown = f" {number(figure)}" if code != NOT_TESTED and figure == figure else ""
        said.append(f":{COLOURS[code]}-badge[{OUTCOMES[code].mark} {CLAIM[claim].title.lower()}{shown}]")
    return " ".join(said)


def with_claims(measures: xr.Dataset, verdict: xr.Dataset | None) -> xr.Dataset:
    """The measures of every head, and the figure of every claim whose level has run."""
    if verdict is None:
        return measures
    return worked_out(_with_claims, measures, verdict)


def _with_claims(measures: xr.Dataset, verdict: xr.Dataset) -> xr.Dataset:
    if dict(verdict.sizes) | dict(measures.sizes) != dict(verdict.sizes):
        return measures
    question = json.dumps(vschema.facts(verdict, "question"), sort_keys=True)
    key = f"{measures.attrs[KEY]}|{question}|{verdict.attrs['created']}"
    return measures.assign(claim_figures(verdict)).assign_attrs({KEY: key})
