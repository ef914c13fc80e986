"""Verdicts that are known of a signal: those its store keeps, and those of this session's live runs."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import streamlit as st
import xarray as xr

from vitime_cache.attention import schema
from vitime_cache.errors import VitimeError
from vitime_cache.evidence.rungs import RUNGS
from vitime_cache.evidence.verdict import schema as v
from vitime_cache.evidence.verdict.report import MARKS
from vitime_cache.model.config import ViTimeConfig
from vitime_cache.series.signal import Signal
from vitime_cache.store.manifest import EVIDENCE
from vitime_cache.store.verdicts import KeptVerdict, open_verdict, stored_verdicts
from vitime_cache.ui.address import address
from vitime_cache.ui.runs import PREFIX
from vitime_cache.ui.stores import KEY, Store
from vitime_cache.ui.words import counted, notice, plain

SESSION = "verdicts"  # of live runs: a run's key -> its verdicts by period
COLOURS = {v.SUPPORTED: "green", v.NOT_SUPPORTED: "gray", v.INCONCLUSIVE: "orange", v.NOT_TESTED: "gray"}


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
    stored = _of_store(subject.store, subject.signal.name, subject.weights_sha256) if subject.store else {}
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


def _of_store(path: Path, name: str, weights_sha256: str) -> dict[float, xr.Dataset]:
    """The latest verdict of each period that a store keeps on a signal."""
    if not (path / EVIDENCE).is_dir():
        return {}
    try:
        kept = [one for one in _kept(str(path), _stamp(path)) if one.signal == name]
        latest = {float(one.question["period"]): one for one in sorted(kept, key=lambda one: one.created)}
        return {
            period: _opened(str(path), one.group)
            for period, one in latest.items()
            if one.question["weights_sha256"] == weights_sha256
        }
    except (VitimeError, OSError) as error:
        notice(error)
        return {}


def verdict_at(store: Store | None, ds: xr.Dataset, period: float | None) -> xr.Dataset | None:
    """The verdict whose period is nearest to the one looked at, if half a patch of the signal covers the difference.

    The latest where no period is looked at.
    """
    live = str(ds.attrs[KEY]).startswith(PREFIX)
    if live or store is None:
        session: dict[str, dict[float, xr.Dataset]] = st.session_state.setdefault(SESSION, {})
        known = session.get(str(ds.attrs[KEY]), {})
    else:
        known = _of_store(store.path, str(ds[schema.SIGNAL].item()), ds.attrs["weights_sha256"])
    if not known:
        return None
    if period is None:
        return max(known.values(), key=lambda verdict: str(verdict.attrs["created"]))
    nearest = min(known, key=lambda asked: abs(asked - period))
    return known[nearest] if abs(nearest - period) <= float(ds[schema.SAMPLES_PER_PATCH]) / 2 else None


def head_badges(store: Store | None, ds: xr.Dataset, layer: str, head: int, period: float | None) -> None:
    """What is known of one head on each rung, as badges; without a verdict, the way to one."""
    verdict = verdict_at(store, ds, period)
    if verdict is None:
        asked = "this head" if period is None else f"a period of {period:.4g} samples"
        st.page_link(
            "pages/evidence.py",
            label=f"No verdict on {asked} yet: **ask** which heads look one period back, and whether the forecast "
            "uses it",
            icon=":material/gavel:",
            query_params=address(),
        )
        return
    question = v.facts(verdict, "question")
    st.markdown(
        f"**{plain(layer)}, head {head}**, a period of {question['period']:.4g} samples: "
        + " ".join(badge(verdict, rung.name, layer, head) for rung in RUNGS),
        help="The verdict that is kept of this head. The rungs are separate: "
        + " ".join(f"*{rung.name}*: {rung.claim}" for rung in RUNGS)
        + " **Evidence** shows what each rests on.",
    )


def best_badges(store: Store | None, ds: xr.Dataset, period: float | None) -> None:
    """The verdict on the best head, of how many are supported on each rung; without one, the way to it."""
    verdict = verdict_at(store, ds, period)
    if verdict is None:
        head_badges(store, ds, "", 0, period)
        return
    codes = verdict["verdict"].transpose(v.RUNG, ...).values
    counts = [int((codes[i] == v.SUPPORTED).sum()) for i in range(len(v.RUNGS))]
    asked = int(verdict["asked"].sum())
    st.markdown(
        f"Of {counted(asked, 'head')} asked about a period of {v.facts(verdict, 'question')['period']:.4g} samples: "
        + " ".join(f":{'green' if n else 'gray'}-badge[{n} {rung}]" for n, rung in zip(counts, v.RUNGS, strict=True)),
        help="How many heads the verdict that is kept supports on each rung. **Evidence** shows what each rests on.",
    )


def badge(verdict: xr.Dataset, rung: str, layer: str, head: int) -> str:
    """One rung of one head in Markdown: a coloured badge with its mark and figure."""
    at = {v.RUNG: rung, schema.LAYER: layer, schema.HEAD: head}
    code = int(verdict["verdict"].sel(at))
    figure = float(verdict["figure"].sel(at))
    shown = f" {figure:.2g}" if code != v.NOT_TESTED and figure == figure else ""
    return f":{COLOURS[code]}-badge[{MARKS[v.WORDS[code]]} {rung}{shown}]"


def with_rungs(measures: xr.Dataset, verdict: xr.Dataset | None) -> xr.Dataset:
    """The measures of every head, and the figure of every rung that has been worked on."""
    if verdict is None or dict(verdict.sizes) | dict(measures.sizes) != dict(verdict.sizes):
        return measures
    figures = {}
    for rung in v.facts(verdict, "stages"):
        of = verdict["figure"].sel({v.RUNG: rung}, drop=True).astype("float64")
        label = {"long_name": f"{rung}: the figure of its rung of evidence", "units": "see Evidence"}
        figures[f"{rung.replace('-', '_')}_figure"] = of.assign_attrs(label)
    key = f"{measures.attrs[KEY]}|{json.dumps(v.facts(verdict, 'question'), sort_keys=True)}|{verdict.attrs['created']}"
    return measures.assign(figures).assign_attrs({KEY: key})


def _stamp(path: Path) -> tuple[int, ...]:
    """Changes whenever a verdict is kept in the store or taken out."""
    return tuple(sorted(each.stat().st_mtime_ns for each in (path / EVIDENCE).iterdir()))


@st.cache_data(max_entries=32, show_spinner=False)
def _kept(path: str, stamp: tuple[int, ...]) -> list[KeptVerdict]:  # noqa: ARG001 - the stamp is what the cache goes by
    return stored_verdicts(Path(path))


@st.cache_resource(max_entries=64, show_spinner=False)
def _opened(path: str, group: str) -> xr.Dataset:  # a group is written once: its name has a number
    verdict = open_verdict(path, group)
    return verdict.assign_attrs({KEY: f"{path}/{group}|{verdict.attrs['created']}"})
