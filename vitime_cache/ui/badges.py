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
from vitime_cache.evidence.verdict.report import period_words
from vitime_cache.series.spans import samples_in_words
from vitime_cache.shown import counted
from vitime_cache.ui.address import address
from vitime_cache.ui.stores import KEY
from vitime_cache.ui.verdicts import verdict_at
from vitime_cache.ui.words import plain

COLOURS = {SUPPORTED: "green", NOT_SUPPORTED: "gray", INCONCLUSIVE: "orange", NOT_TESTED: "gray"}


def head_badges(ds: xr.Dataset, layer: str, head: int, period: float | None) -> None:
    """A badge for each claim about one head; without a verdict, a link to the page that gives one."""
    verdict = verdict_at(ds, period)
    if verdict is None:
        asked = (
            "this head"
            if period is None
            else f"a period of {samples_in_words(period, float(ds[schema.SAMPLE_SECONDS]))}"
        )
        st.page_link(
            "pages/ask.py",
            label=f"No verdict on {asked} yet: **ask** whether the forecast uses what lies one period back, and "
            "through which heads",
            icon=":material/gavel:",
            query_params=address(),
        )
        return
    st.markdown(
        f"**{plain(layer)}, head {head}**, a period of {period_words(verdict)}: "
        + " ".join(badge(verdict, claim.name, layer, head) for claim in CLAIMS),
        help="The stored verdict on this head. No claim follows from another: "
        + "; ".join(f"*{claim.title.lower()}*: {claim.figure}" for claim in CLAIMS)
        + ". **Ask** shows what each rests on.",
    )


def best_badges(ds: xr.Dataset, period: float | None) -> None:
    """The number of heads that support each claim; without a verdict, a link to the page that gives one."""
    verdict = verdict_at(ds, period)
    if verdict is None:
        head_badges(ds, "", 0, period)
        return
    codes = verdict["verdict"].transpose(vschema.CLAIM, ...).values
    counts = [(claim.title.lower(), int((of == SUPPORTED).sum())) for claim, of in zip(CLAIMS, codes, strict=True)]
    asked = int(verdict["asked"].sum())
    st.markdown(
        f"Of {counted(asked, 'head')} asked about a period of {period_words(verdict)}: "
        + " ".join(f":{'green' if n else 'gray'}-badge[{n} {title}]" for title, n in counts),
        help="For how many heads the stored verdict supports each claim. **Ask** shows what each rests on.",
    )


def badge(verdict: xr.Dataset, claim: str, layer: str, head: int) -> str:
    """One claim about one head in Markdown: a coloured badge with its mark and figure."""
    at = {vschema.CLAIM: claim, schema.LAYER: layer, schema.HEAD: head}
    code = int(verdict["verdict"].sel(at))
    figure = float(verdict["figure"].sel(at))
    shown = f" {figure:.2g}" if code != NOT_TESTED and figure == figure else ""
    return f":{COLOURS[code]}-badge[{OUTCOMES[code].mark} {CLAIM[claim].title.lower()}{shown}]"


def with_claims(measures: xr.Dataset, verdict: xr.Dataset | None) -> xr.Dataset:
    """The measures of every head, and the figure of every claim whose level has run."""
    if verdict is None or dict(verdict.sizes) | dict(measures.sizes) != dict(verdict.sizes):
        return measures
    figures = {}
    for claim in (each for each in CLAIMS if each.level in vschema.facts(verdict, "stages")):
        of = verdict["figure"].sel({vschema.CLAIM: claim.name}, drop=True).astype("float64")
        label = {"long_name": f"{claim.title.lower()}: the figure of this claim", "units": claim.units}
        figures[f"{claim.name}_figure"] = of.assign_attrs(label)
    question = json.dumps(vschema.facts(verdict, "question"), sort_keys=True)
    key = f"{measures.attrs[KEY]}|{question}|{verdict.attrs['created']}"
    return measures.assign(figures).assign_attrs({KEY: key})
