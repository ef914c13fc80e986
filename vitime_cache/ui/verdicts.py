"""Verdicts that are known of a signal: those its store keeps, and those of this session that no store could keep."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Self

import numpy as np
import streamlit as st
import xarray as xr

from vitime_cache.attention import schema
from vitime_cache.errors import VitimeError
from vitime_cache.evidence.question import series_hash
from vitime_cache.evidence.verdict import schema as vschema
from vitime_cache.model.config import ViTimeConfig
from vitime_cache.series.examples import catalogue
from vitime_cache.series.signal import Signal
from vitime_cache.store.manifest import EVIDENCE
from vitime_cache.store.verdicts import KeptVerdict, open_verdict, verdicts_on
from vitime_cache.ui import own
from vitime_cache.ui.stores import KEY
from vitime_cache.ui.words import notice

SESSION = "verdicts"  # that no store could keep: a subject's key -> its verdicts by period


@dataclass(frozen=True)
class Subject:
    """A series that questions are asked about, by certain weights.

    Attributes
    ----------
    key
        Names it among the questions that are under way.
    store
        Where verdicts on it are kept.
    """

    signal: Signal
    config: ViTimeConfig
    weights_sha256: str
    weights: str
    key: str
    store: Path

    @classmethod
    def of(cls, ds: xr.Dataset) -> Self:
        """A signal of a store."""
        signal, place = _whole_series(ds), store_of(ds)
        key = f"{place}:{signal.fingerprint}"
        return cls(signal, schema.config_of(ds), ds.attrs["weights_sha256"], ds.attrs["weights"], key, place)


def store_of(ds: xr.Dataset) -> Path:
    """The store that a signal's Dataset was read from."""
    return Path(str(ds.attrs[KEY]).partition("@")[0])


def known_verdicts(subject: Subject) -> dict[float, xr.Dataset]:
    """Period in samples -> the latest verdict on a series by its weights, latest first."""
    session: dict[str, dict[float, xr.Dataset]] = st.session_state.setdefault(SESSION, {})
    stored = _of_store(subject.store, subject.signal, subject.weights_sha256)
    every = session.get(subject.key, {}) | stored
    return dict(sorted(every.items(), key=lambda item: str(item[1].attrs["created"]), reverse=True))


def remember_verdict(subject: Subject, verdict: xr.Dataset) -> None:
    """Keep a verdict in the session."""
    session: dict[str, dict[float, xr.Dataset]] = st.session_state.setdefault(SESSION, {})
    period = float(vschema.facts(verdict, "question")["period"])
    session.setdefault(subject.key, {})[period] = named(subject, verdict)


def named(subject: Subject, verdict: xr.Dataset) -> xr.Dataset:
    """A verdict under a name that the app's caches know it by, as far as it goes."""
    done = len(vschema.facts(verdict, "stages"))
    return verdict.assign_attrs(
        {KEY: f"{subject.key}|{vschema.question_key(verdict)}|{verdict.attrs['created']}|{done}"}
    )


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


def whole_series(ds: xr.Dataset) -> Signal:
    """The series behind a Dataset, with what came after its history where that is known.

    A store keeps the history alone; a signal of the catalogue, told by its history, knows more.
    """
    if (every := own.whole(ds)) is not None:
        return replace(every, name=str(ds[schema.SIGNAL].item()))
    kept = schema.signal_of(ds)
    known = _catalogue().get(kept.name)
    if known is not None and known.horizon == kept.horizon and np.array_equal(known.values, kept.values):
        return known
    return kept


def verdict_at(ds: xr.Dataset, period: float | None) -> xr.Dataset | None:
    """The verdict whose period is nearest to the one looked at, if half a patch of the signal covers the difference.

    The latest where no period is looked at.
    """
    known = known_verdicts(Subject.of(ds))
    if not known:
        return None
    if period is None:
        return max(known.values(), key=lambda verdict: str(verdict.attrs["created"]))
    nearest = min(known, key=lambda asked: abs(asked - period))
    return known[nearest] if abs(nearest - period) <= float(ds[schema.SAMPLES_PER_PATCH]) / 2 else None


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


@st.cache_resource(max_entries=64, show_spinner=False, hash_funcs={xr.Dataset: lambda ds: ds.attrs[KEY]})
def _whole_series(ds: xr.Dataset) -> Signal:
    return whole_series(ds)


@st.cache_resource(show_spinner=False)
def _catalogue() -> dict[str, Signal]:
    return {signal.name: signal for signal in catalogue()}
