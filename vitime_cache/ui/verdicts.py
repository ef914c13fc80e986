"""Verdicts that are known of a signal: those its store keeps, and those of this session's live runs."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import numpy as np
import streamlit as st
import xarray as xr

from vitime_cache.attention import schema
from vitime_cache.errors import VitimeError
from vitime_cache.evidence.levels.table import (
    CLAIM,
    CLAIMS,
    INCONCLUSIVE,
    NOT_SUPPORTED,
    NOT_TESTED,
    OUTCOMES,
    SUPPORTED,
)
from vitime_cache.evidence.question import series_hash
from vitime_cache.evidence.verdict import schema as v
from vitime_cache.model.config import ViTimeConfig
from vitime_cache.series.examples import catalogue
from vitime_cache.series.signal import Signal
from vitime_cache.store.manifest import EVIDENCE
from vitime_cache.store.verdicts import KeptVerdict, open_verdict, verdicts_on
from vitime_cache.ui import runs
from vitime_cache.ui.address import address
from vitime_cache.ui.runs import PREFIX
from vitime_cache.ui.stores import KEY, Store, planned
from vitime_cache.ui.words import counted, notice, plain

SESSION = "verdicts"  # of live runs: a run's key -> its verdicts by period
COLOURS = {SUPPORTED: "green", NOT_SUPPORTED: "gray", INCONCLUSIVE: "orange", NOT_TESTED: "gray"}


@dataclass(frozen=True)
class Subject:
    """A series that questions are asked about, by certain weights.

    Attributes
    ----------
    key
        Names it among the questions that are under way.
    store
        Where verdicts on it are kept; None for a series that no store holds, whose verdicts stay in the session.
    """

    signal: Signal
    config: ViTimeConfig
    weights_sha256: str
    weights: str
    key: str
    store: Path | None

    @classmethod
    def of(cls, store: Store | None, ds: xr.Dataset, signal: Signal, config: ViTimeConfig) -> Self:
        """A signal of the store, or a live run."""
        live = str(ds.attrs[KEY]).startswith(PREFIX)
        place = None if live or store is None else store.path
        key = str(ds.attrs[KEY]) if place is None else f"{place}:{signal.fingerprint}"
        return cls(signal, config, ds.attrs["weights_sha256"], ds.attrs["weights"], key, place)


def known_verdicts(subject: Subject) -> dict[float, xr.Dataset]:
    """Period in samples -> the latest verdict on a series by its weights, latest first."""
    session: dict[str, dict[float, xr.Dataset]] = st.session_state.setdefault(SESSION, {})
    stored = _of_store(subject.store, subject.signal, subject.weights_sha256) if subject.store else {}
    every = session.get(subject.key, {}) | stored
    return dict(sorted(every.items(), key=lambda item: str(item[1].attrs["created"]), reverse=True))


def remember_verdict(subject: Subject, verdict: xr.Dataset) -> None:
    """Keep a verdict in the session."""
    session: dict[str, dict[float, xr.Dataset]] = st.session_state.setdefault(SESSION, {})
    period = float(v.facts(verdict, "question")["period"])
    session.setdefault(subject.key, {})[period] = named(subject, verdict)


def named(subject: Subject, verdict: xr.Dataset) -> xr.Dataset:
    """A verdict under a name that the app's caches know it by, as far as it goes."""
    done = len(v.facts(verdict, "stages"))
    return verdict.assign_attrs({KEY: f"{subject.key}|{v.question_key(verdict)}|{verdict.attrs['created']}|{done}"})


def _of_store(path: Path, signal: Signal, weights_sha256: str) -> dict[float, xr.Dataset]:
    """The verdict of each period that a store keeps on a series, whatever it was called when it was asked about."""
    if not (path / EVIDENCE).is_dir():
        return {}
    try:
        kept = _kept(str(path), _stamp(path), *_hashes(signal))
        return {
            float(one.question["period"]): _opened(str(path), one.group)
            for one in kept
            if one.question["weights_sha256"] == weights_sha256
        }
    except (VitimeError, OSError) as error:
        notice(error)
        return {}


def _hashes(signal: Signal) -> list[str]:
    """Of a series with what came after it, and without."""
    every = (
        [signal.values] if signal.future is None else [signal.values, np.concatenate((signal.values, signal.future))]
    )
    return [series_hash(values) for values in every]


def whole_series(store: Store | None, ds: xr.Dataset) -> Signal:
    """The series behind a Dataset, with what came after its history where that is known.

    A store keeps the history alone; a signal of the catalogue, told by its fingerprint, knows more.
    """
    name, key = str(ds[schema.SIGNAL].item()), str(ds.attrs.get(KEY, ""))
    live = key.rpartition(":")[0]
    if key.startswith(runs.PREFIX) and live in runs.runs():
        return runs.runs()[live].signal
    plan = planned(store) if store else None
    fingerprint = next((entry.fingerprint for entry in plan.entries if entry.name == name), "") if plan else ""
    known = _catalogue().get(name)
    if known is not None and known.fingerprint == fingerprint:
        return known
    history = ds[schema.HISTORY].values
    return Signal(name, history[np.isfinite(history)].astype(np.float64), horizon=int(ds[schema.HORIZON]))


def verdict_at(store: Store | None, ds: xr.Dataset, period: float | None) -> xr.Dataset | None:
    """The verdict whose period is nearest to the one looked at, if half a patch of the signal covers the difference.

    The latest where no period is looked at.
    """
    live = str(ds.attrs[KEY]).startswith(PREFIX)
    if live or store is None:
        session: dict[str, dict[float, xr.Dataset]] = st.session_state.setdefault(SESSION, {})
        known = session.get(str(ds.attrs[KEY]), {})
    else:
        known = _of_store(store.path, whole_series(store, ds), ds.attrs["weights_sha256"])
    if not known:
        return None
    if period is None:
        return max(known.values(), key=lambda verdict: str(verdict.attrs["created"]))
    nearest = min(known, key=lambda asked: abs(asked - period))
    return known[nearest] if abs(nearest - period) <= float(ds[schema.SAMPLES_PER_PATCH]) / 2 else None


def head_badges(store: Store | None, ds: xr.Dataset, layer: str, head: int, period: float | None) -> None:
    """What is known of one head, a badge for each claim; without a verdict, the way to one."""
    verdict = verdict_at(store, ds, period)
    if verdict is None:
        asked = "this head" if period is None else f"a period of {period:.4g} samples"
        st.page_link(
            "pages/evidence.py",
            label=f"No verdict on {asked} yet: **ask** whether the forecast uses what lies one period back, and "
            "through which heads",
            icon=":material/gavel:",
            query_params=address(),
        )
        return
    question = v.facts(verdict, "question")
    st.markdown(
        f"**{plain(layer)}, head {head}**, a period of {question['period']:.4g} samples: "
        + " ".join(badge(verdict, claim.name, layer, head) for claim in CLAIMS),
        help="The verdict that is kept of this head. No claim follows from another: "
        + "; ".join(f"*{claim.title.lower()}*: {claim.figure}" for claim in CLAIMS)
        + ". **Evidence** shows what each rests on.",
    )


def best_badges(store: Store | None, ds: xr.Dataset, period: float | None) -> None:
    """Of how many heads each claim is supported; without a verdict, the way to one."""
    verdict = verdict_at(store, ds, period)
    if verdict is None:
        head_badges(store, ds, "", 0, period)
        return
    codes = verdict["verdict"].transpose(v.CLAIM, ...).values
    counts = [(claim.title.lower(), int((of == SUPPORTED).sum())) for claim, of in zip(CLAIMS, codes, strict=True)]
    asked = int(verdict["asked"].sum())
    st.markdown(
        f"Of {counted(asked, 'head')} asked about a period of {v.facts(verdict, 'question')['period']:.4g} samples: "
        + " ".join(f":{'green' if n else 'gray'}-badge[{n} {title}]" for title, n in counts),
        help="Of how many heads the verdict that is kept supports each claim. **Evidence** shows what each rests on.",
    )


def badge(verdict: xr.Dataset, claim: str, layer: str, head: int) -> str:
    """One claim about one head in Markdown: a coloured badge with its mark and figure."""
    at = {v.CLAIM: claim, schema.LAYER: layer, schema.HEAD: head}
    code = int(verdict["verdict"].sel(at))
    figure = float(verdict["figure"].sel(at))
    shown = f" {figure:.2g}" if code != NOT_TESTED and figure == figure else ""
    return f":{COLOURS[code]}-badge[{OUTCOMES[code].mark} {CLAIM[claim].title.lower()}{shown}]"


def with_claims(measures: xr.Dataset, verdict: xr.Dataset | None) -> xr.Dataset:
    """The measures of every head, and the figure of every claim that has been worked on."""
    if verdict is None or dict(verdict.sizes) | dict(measures.sizes) != dict(verdict.sizes):
        return measures
    figures = {}
    for claim in (each for each in CLAIMS if each.level in v.facts(verdict, "stages")):
        of = verdict["figure"].sel({v.CLAIM: claim.name}, drop=True).astype("float64")
        label = {"long_name": f"{claim.title.lower()}: the figure of this claim", "units": claim.units}
        figures[f"{claim.name}_figure"] = of.assign_attrs(label)
    key = f"{measures.attrs[KEY]}|{json.dumps(v.facts(verdict, 'question'), sort_keys=True)}|{verdict.attrs['created']}"
    return measures.assign(figures).assign_attrs({KEY: key})


def _stamp(path: Path) -> tuple[int, ...]:
    """Changes whenever a verdict is kept in the store or taken out."""
    return tuple(sorted(each.stat().st_mtime_ns for each in (path / EVIDENCE).iterdir()))


@st.cache_data(max_entries=32, show_spinner=False)
def _kept(path: str, stamp: tuple[int, ...], *series: str) -> list[KeptVerdict]:  # noqa: ARG001 - the cache goes by it
    return verdicts_on(Path(path), *series)


@st.cache_resource(max_entries=64, show_spinner=False)
def _opened(path: str, group: str) -> xr.Dataset:  # a group is written once: its name has a number
    verdict = open_verdict(path, group)
    return verdict.assign_attrs({KEY: f"{path}/{group}|{verdict.attrs['created']}"})


@st.cache_resource(show_spinner=False)
def _catalogue() -> dict[str, Signal]:
    return {signal.name: signal for signal in catalogue()}
