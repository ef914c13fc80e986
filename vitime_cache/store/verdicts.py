"""Stores verdicts, lists them, finds them by their question, and opens them.

Each has its own group, by the protocol of `evidence_groups`.
"""

from __future__ import annotations

import hashlib
import json
import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypedDict

import msgspec
import xarray as xr

from vitime_cache.evidence.question import Question, answered_by, identity
from vitime_cache.evidence.verdict import facts, schema
from vitime_cache.store.evidence_groups import keep_group, latest_groups, open_group
from vitime_cache.store.locations import open_objects
from vitime_cache.store.manifest import ROOT
from vitime_cache.store.objects import StoreError
from vitime_cache.store.root import POPULATION
from vitime_cache.typed_json import read_json

if TYPE_CHECKING:
    from vitime_cache.model.network import ViTime


class _GroupMetadata(TypedDict):
    attributes: dict[str, str]


class _Asked(TypedDict):
    """The part of another version's question that can be read."""

    signal: str


@dataclass(frozen=True)
class KeptVerdict:
    """A verdict in a store, as its metadata describes it.

    Attributes
    ----------
    group
        Its group below the store: `xr.open_zarr(f"{path}/{group}")`.
    question, stages
        As `evidence.verdict` describes them; a complete verdict has all stages.
    headline, version
        The answer in a sentence, and the version of this program that wrote it; empty where that is not known.
    """

    group: str
    question: Mapping[str, Any]
    stages: tuple[str, ...]
    created: str
    headline: str = ""
    version: str = ""

    @property
    def signal(self) -> str:
        """Name of the signal in the question."""
        return str(self.question["signal"])

    @property
    def series(self) -> str:
        """Hash of the series in the question (`evidence.question.series_hash`); names need not be unique."""
        return str(self.question["series_sha256"])

    def tells_times_of(self, sample_seconds: float, start: str) -> bool:
        """Whether the times that it tells, if any, are those of a series with this spacing and first sample."""
        seconds, first = float(self.question["sample_seconds"]), str(self.question.get("start", ""))
        return (not seconds or math.isclose(seconds, sample_seconds)) and first in ("", start)

    @property
    def complete(self) -> bool:
        """Whether every level has been computed."""
        return set(schema.STAGES) <= set(self.stages)

    @property
    def of_all_heads(self) -> bool:
        """Whether it covers all heads."""
        return bool(self.question["heads"] == "all")


def keep_verdict(store: str | Path, verdict: xr.Dataset) -> str:
    """Store a verdict; it replaces an earlier one of the same question.

    Storing the same verdict again writes nothing.

    Parameters
    ----------
    verdict
        As `evidence.verdict` describes it, complete or partial.

    Returns
    -------
    str
        The group that holds it.

    Raises
    ------
    StoreError
        If there is no store, it is for other weights, or another process does not release its root.
    VerdictError
        If the Dataset is not a verdict.
    """
    schema.validate(verdict)
    question, stages = schema.facts(verdict, "question"), schema.facts(verdict, "stages")

    def says_more(root: bytes, group: str) -> bool:
        return set(stages) < set(_described(f"{store}/{group}", group, root).stages)

    return keep_group(store, _name(question), verdict, question, says_more)


def stored_verdicts(store: str | Path) -> list[KeptVerdict]:
    """The verdicts of a store, from their metadata alone; for each question the latest.

    Verdicts of another version's method are left out: they stay in the store and can be opened by name, and `ask`
    answers their questions again.

    Raises
    ------
    StoreError
        If the metadata of one is damaged.
    """
    objects = open_objects(store)
    kept = [
        _described(f"{objects.url}/{group}", group, root)
        for group, root in latest_groups(objects).items()
        if not POPULATION.fullmatch(group)
    ]
    return [each for each in kept if each.question.get("method") == schema.METHOD]


def unreadable_verdicts(store: str | Path) -> Iterator[tuple[str, str]]:
    """Yield each verdict of this version's method that cannot be read, even if its bytes are as written, and why."""
    objects = open_objects(store)
    for group, root in latest_groups(objects).items():
        if not POPULATION.fullmatch(group):
            try:
                if _described(f"{objects.url}/{group}", group, root).question.get("method") == schema.METHOD:
                    open_verdict(store, group)
            except StoreError as error:
                yield group, f"verdict {group}: {error}"


def find_verdict(store: str | Path, *questions: Mapping[str, Any]) -> xr.Dataset | None:
    """The stored verdict on the first of these questions that has one, in memory; complete verdicts come first."""
    kept = stored_verdicts(store)
    for complete in (True, False):
        for question in questions:
            for each in kept:
                if each.question == question and each.complete == complete:
                    return open_verdict(store, each.group)
    return None


def find_answer(store: str | Path, model: ViTime, question: Question) -> xr.Dataset | None:
    """The stored verdict on a question, complete or partial, with the question's budget or without one."""
    return find_verdict(store, *answered_by(identity(model, question), question.budget))


def verdicts_on(store: str | Path, *series: str, sample_seconds: float = 0.0, start: str = "") -> list[KeptVerdict]:
    """The verdicts on a series, given by its hashes; for each period the fullest one, latest first.

    A verdict on all heads is fuller than one on some heads, a complete one fuller than a partial one; among equals the
    later one counts. A verdict on a series of the same samples at other times is not one on this series.

    Parameters
    ----------
    sample_seconds, start
        From one sample to the next, and the time of the first; 0 and "" where they are not known.
    """
    best: dict[float, KeptVerdict] = {}
    for each in stored_verdicts(store):
        if each.series in series and each.tells_times_of(sample_seconds, start):
            period = float(each.question["period"])
            best[period] = max(
                best.get(period, each), each, key=lambda one: (one.of_all_heads, one.complete, one.created)
            )
    return sorted(best.values(), key=lambda one: one.created, reverse=True)


def open_verdict(store: str | Path, group: str) -> xr.Dataset:
    """Read one verdict into memory and check it.

    Parameters
    ----------
    group
        As `stored_verdicts` names it.

    Raises
    ------
    StoreError
        If there is none of that name, or it is damaged.
    """
    if POPULATION.fullmatch(group):
        raise StoreError(f"{store}/{group} is a table of many signals, not a verdict on one")
    return open_group(store, group, schema.validate)


def _name(question: Mapping[str, Any]) -> str:
    """A name for a question in a path: readable, and different for different questions."""
    readable = re.sub(r"[^A-Za-z0-9._-]+", "_", f"{question['signal']}-{question['period']:g}")[:60].strip(".")
    digest = hashlib.sha256(json.dumps(question, sort_keys=True).encode()).hexdigest()[:12]
    return f"{readable}-{digest}"


def _described(place: str, group: str, root: bytes) -> KeptVerdict:
    where = f"{place}/{ROOT}"
    try:
        attributes = read_json(root, _GroupMetadata, where, error=StoreError)["attributes"]
        texts = {name: attributes[name] for name in ("question", "stages", "created")}
        question = read_json(texts["question"], dict[str, Any], where, error=StoreError)
        msgspec.convert(question, facts.Question if question.get("method") == schema.METHOD else _Asked)
        stages = read_json(texts["stages"], tuple[str, ...], where, error=StoreError)
        answer = read_json(
            attributes.get("answer", "{}"), dict[str, Any], where, error=StoreError
        )  # older verdicts have no answer
        said, version = (str(answer.get(name, "")) for name in ("headline", "version"))
        return KeptVerdict(group, question, stages, texts["created"], said, version)
    except (ValueError, KeyError) as error:
        told = str(error) if isinstance(error, StoreError) else f"{where} is damaged: {str(error)[:200]}"
        raise StoreError(f"{told}; verify --repair removes it") from error
