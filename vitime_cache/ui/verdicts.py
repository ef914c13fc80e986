"""Known verdicts on a signal: those in its store, and those of this session that no store could keep."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Self

import numpy as np
import streamlit as st
import xarray as xr

from vitime_cache._version import __version__
from vitime_cache.atomic import oldest_first
from vitime_cache.attention import schema
from vitime_cache.errors import VitimeError
from vitime_cache.evidence.question import series_hash
from vitime_cache.evidence.verdict import schema as vschema
from vitime_cache.evidence.verdict.headline import headline
from vitime_cache.model.config import ViTimeConfig
from vitime_cache.series.examples import catalogue
from vitime_cache.series.signal import Signal
from vitime_cache.store.manifest import EVIDENCE
from vitime_cache.store.verdicts import KeptVerdict, open_verdict, stored_verdicts, verdicts_on
from vitime_cache.ui import own, questions
from vitime_cache.ui.shared import END, KEY, shared
from vitime_cache.ui.stores import store_of
from vitime_cache.ui.words import notice


@dataclass(frozen=True)
class Subject:
    """A series to ask questions about, with its weights.

    Attributes
    ----------
    key
        Identifies it among the running questions.
    store
        Where its verdicts are kept.
    """

    signal: Signal
    config: ViTimeConfig
    weights_sha256: str
    weights: str
    key: str
    store: Path

    @classmethod
    def of(cls, ds: xr.Dataset) -> Self:
        """The subject of a store's signal."""
        signal, place = whole_series(ds), store_of(ds)
        sha256 = ds.attrs["weights_sha256"]
        key = f"{place}:{signal.fingerprint}{sha256}"  # a store of other weights may take the place of this one
        return cls(signal, schema.config_of(ds), sha256, ds.attrs["weights"], key, place)


def known_verdicts(subject: Subject) -> dict[float, xr.Dataset]:
    """Period in samples -> the latest verdict on a series under its weights, latest first."""
    stored = _of_store(subject.store, subject.signal, subject.weights_sha256)
    every = _of_session().get(subject.key, {}) | stored
    return dict(sorted(every.items(), key=lambda item: str(item[1].attrs["created"]), reverse=True))


def remember_verdict(subject: Subject, verdict: xr.Dataset) -> None:
    """Keep a verdict in the session."""
    period = float(vschema.facts(verdict, "question")["period"])
    _of_session().setdefault(subject.key, {})[period] = named(subject, verdict)


def named(subject: Subject, verdict: xr.Dataset) -> xr.Dataset:
    """A verdict with its key for the app's caches, which depends on its finished levels."""
    done = len(vschema.facts(verdict, "stages"))
    return verdict.assign_attrs(
        {KEY: f"{subject.key}|{vschema.question_key(verdict)}|{verdict.attrs['created']}|{done}"}
    )


def _of_session() -> dict[str, dict[float, xr.Dataset]]:
    """The verdicts that no store could keep, by period, under the keys of their subjects."""
    kept: dict[str, dict[float, xr.Dataset]] = st.session_state.setdefault("verdicts", {})
    return kept


def _of_store(path: Path, signal: Signal, weights_sha256: str) -> dict[float, xr.Dataset]:
    """The verdict on each period of a series in a store, whatever name the series had when it was asked about.

    Of a series of the same samples at other times it would tell times that are not those of this one.
    """
    if not (path / EVIDENCE).is_dir():
        return {}
    try:
        kept = _kept(path, _stamp(path), signal.sample_seconds, signal.start, *_hashes(signal))
        return {
            float(one.question["period"]): _opened(path, one.group, one.created)
            for one in kept
            if one.question["weights_sha256"] == weights_sha256
        }
    except (VitimeError, OSError) as error:
        notice(error)
        return {}


def answers_about(path: Path, signal: Signal) -> list[KeptVerdict]:
    """Every answer in a store about a signal of this name and these values."""
    hashes = _hashes(signal)
    return [each for each in stored_verdicts(path) if each.signal == signal.name and each.series in hashes]


def forget_verdicts(place: Path, period: float | None = None) -> bool:
    """Drop this session's verdicts on series of a store, those about one period or all; whether there were any."""
    of_store = [verdicts for key, verdicts in _of_session().items() if questions.store_of((key, "")) == place]
    before = sum(map(len, of_store))
    for verdicts in of_store:
        if period is None:
            verdicts.clear()
        else:
            verdicts.pop(period, None)
    return sum(map(len, of_store)) < before


@lru_cache(maxsize=64)
def _hashes(signal: Signal) -> list[str]:  # of the signal as an object: hashing a million samples takes 10 ms
    """Hashes of a series without the values after its history and, if they are known, with them."""
    every = [signal.values] if signal.future is None else [signal.values, signal.known]
    return [series_hash(values) for values in every]


@shared(64)
def whole_series(ds: xr.Dataset) -> Signal:
    """The series behind a Dataset, with the actual values after its history if they are known.

    A store keeps only the history; the catalogue, if it holds a signal with the same history, has more.
    """
    if (every := own.whole(ds)) is not None:
        return replace(every, name=schema.name_of(ds))
    kept = schema.signal_of(ds)
    known = _catalogue().get(kept.name)
    if known is not None and known.horizon == kept.horizon and np.array_equal(known.values, kept.values):
        return known
    return kept


def verdict_at(ds: xr.Dataset, period: float | None) -> xr.Dataset | None:
    """The verdict with the period nearest to `period`, if they are within half a patch; the latest if it is None."""
    known = known_verdicts(Subject.of(ds))
    if not known:
        return None
    if period is None:
        return max(known.values(), key=lambda verdict: str(verdict.attrs["created"]))
    nearest = min(known, key=lambda asked: abs(asked - period))
    return known[nearest] if abs(nearest - period) <= float(ds[schema.SAMPLES_PER_PATCH]) / 2 else None


def _stamp(path: Path) -> tuple[float, ...]:
    """A value that changes whenever a verdict is added to the store or removed."""
    return tuple(oldest_first((path / EVIDENCE).iterdir()).values())


def words_of(path: Path, kept: KeptVerdict) -> str:
    """The headline of a stored verdict, as other pages compose it; written by another version, it may say it otherwise.

    Opening a verdict takes a hundred times as long as reading the sentence that it was stored with.
    """
    if kept.version == __version__:
        return kept.headline
    try:
        return _composed(path, kept.group, kept.created)
    except (VitimeError, OSError):  # the page that opens it says why
        return kept.headline


@shared(1024)
def _composed(path: Path, group: str, created: str) -> str:
    return headline(_opened(path, group, created))


@shared(32)
def _kept(
    path: Path,
    stamp: tuple[float, ...],  # noqa: ARG001 - part of the cache key
    sample_seconds: float,
    start: str,
    *series: str,
) -> list[KeptVerdict]:
    return verdicts_on(path, *series, sample_seconds=sample_seconds, start=start)


@shared(64)
def _opened(path: Path, group: str, created: str) -> xr.Dataset:  # noqa: ARG001 - a group that was deleted may come again
    verdict = open_verdict(path, group)
    return verdict.assign_attrs({KEY: f"{path}/{group}{END}{verdict.attrs['created']}"})


@shared(1)
def _catalogue() -> dict[str, Signal]:
    return {signal.name: signal for signal in catalogue()}
