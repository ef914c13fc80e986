"""Verifies that a store holds what was written and that its numbers make sense.

It runs three independent checks: the hash of every object against its marker, the numbers against each other, and for a
sample the numbers against the model that made them (`soundness`).
"""

from __future__ import annotations

import math
import re
from collections.abc import Container, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import xxhash

from vitime_cache.attention.schema import SIGNAL
from vitime_cache.store import format as store_format
from vitime_cache.store.chunks import CHECKSUM_BYTES, checksum, damaged_chunks
from vitime_cache.store.evidence_groups import damaged_groups
from vitime_cache.store.journal import (
    MARKERS_PER_PAGE,
    Template,
    digest_of_manifest,
    page_key,
    page_of,
    published,
    read_markers,
    visible,
)
from vitime_cache.store.layout import layout_of
from vitime_cache.store.locations import open_objects
from vitime_cache.store.manifest import BUILDING, FOLDER, MANIFEST, ROOT, ROOT_BYTES, TEMPLATE, Manifest, Marker, unseal
from vitime_cache.store.objects import MOST_BYTES, ObjectError, Objects, Stamp, StoreError, stamp
from vitime_cache.store.reader import locate, open_store
from vitime_cache.store.root import list_verdicts, listed_verdicts, render_root
from vitime_cache.store.soundness import Problem, check_numbers, recompute
from vitime_cache.store.stamps import unlike
from vitime_cache.store.verdicts import unreadable_verdicts
from vitime_cache.typed_json import read_json

if TYPE_CHECKING:
    from vitime_cache.model.network import ViTime
    from vitime_cache.series.sources import Signal
    from vitime_cache.store.writing import Capture

Written = Mapping[str, Stamp]


@dataclass(frozen=True)
class Verification:
    """What `verify` checked and found.

    Attributes
    ----------
    signals, objects, bytes
        How much was checked.
    recomputed
        Names of the signals that were captured again.
    state
        `Journal.digest` of the manifest and markers that were checked: a repair refuses a store that has changed since.
    """

    problems: tuple[Problem, ...]
    signals: int
    objects: int
    bytes: int
    recomputed: tuple[str, ...] = ()
    state: str = ""


def verify(
    path: str | Path,
    model: ViTime | None = None,
    signals: Sequence[Signal] = (),
    sample: int = 1,
    *,
    capture: Capture | None = None,
) -> Verification:
    """Check every object of a store, the numbers in it, and a sample of them against the model.

    Do not call it while a build or `ask` writes to the store: it would report unfinished objects as faults.

    Parameters
    ----------
    model
        The model that built the store; None recomputes nothing.
    signals
        The input signals, from which the sample is taken.
    sample
        How many signals to recompute, spread over the store.
    capture
        The function that runs the model; it replaces `attention.capture.capture_batch`.

    Raises
    ------
    StoreError
        If there is no store, its manifest is damaged, so that nothing else can be checked, or `model` is another model.
    """
    objects = open_objects(path)
    data = objects.get(MANIFEST)
    if data is None:
        raise StoreError(f"no store at {objects.url}")
    manifest = Manifest.from_bytes(data, objects.url)
    if model is not None and model.weights.sha256 != manifest.identity.weights.sha256:
        raise StoreError(f"{objects.url} was built by {manifest.identity.weights}, not by {model.weights}")
    digest = digest_of_manifest(data)
    markers, problems = _check_markers(objects, manifest, digest)
    template, metadata, damaged = _read_template(objects, stamp([data]))
    problems += damaged
    stamps = {key: (place, written) for place, marker in markers.items() for key, written in marker.objects.items()}
    problems += _check_objects(objects, manifest, stamps)
    verdicts = [Problem(None, what, group) for group, what in damaged_groups(objects)]
    known = {problem.verdict for problem in verdicts}
    verdicts += [Problem(None, what, group) for group, what in unreadable_verdicts(path) if group not in known]
    if not damaged:
        problems += _check_published(objects, manifest, metadata, markers, {problem.verdict for problem in verdicts})
    chosen: dict[int, Signal] = {}
    if all(problem.place is not None for problem in problems):  # else zarr cannot open it
        ds = open_store(path)
        sound = sorted(set(range(ds.sizes[SIGNAL])) - {problem.place for problem in problems})
        for place in sound:
            problems += check_numbers(ds.isel(signal=place), manifest, place)
        if model is not None:
            chosen = _choose(sound, manifest, signals, sample)
            for place, signal in chosen.items():
                problems += recompute(ds.isel(signal=place), manifest, place, model, signal, capture)
    problems += verdicts
    total = sum(size for _, (size, _) in stamps.values()) + sum(size for size, _ in template.values())
    recomputed = tuple(signal.name for signal in chosen.values())
    checked = len(markers), len(stamps) + len(template), total
    return Verification(tuple(problems), *checked, recomputed, digest.hexdigest())


def _check_markers(
    objects: Objects, manifest: Manifest, digest: xxhash.xxh3_128
) -> tuple[dict[int, Marker], list[Problem]]:
    """The readable markers, and a problem for each signal whose marker may be in an unreadable line."""
    markers, damaged = read_markers(objects, manifest, digest)
    problems = [
        Problem(place, f"signal {manifest.entries[place].name!r}: its marker in {page_key(page)} is damaged")
        for page in damaged
        for place in range(page * MARKERS_PER_PAGE, min((page + 1) * MARKERS_PER_PAGE, len(manifest.entries)))
        if place not in markers
    ]
    whole = [page for page in damaged if not any(page_of(problem.place or 0) == page for problem in problems)]
    return markers, problems + [Problem(None, f"{page_key(page)} is not what was written") for page in whole]


def _read_template(objects: Objects, manifest: Stamp) -> tuple[Written, dict[str, Any], list[Problem]]:
    """Stamps of array metadata and coordinates, the metadata of each array, and their problems."""
    data = objects.get(TEMPLATE)
    record = unseal(data, Template)
    if data is not None and (record is None or not _is_template(record)):
        return {}, {}, [Problem(None, f"{TEMPLATE} is damaged")]
    if record is None or record.manifest != manifest:
        return {}, {}, [Problem(None, "a build was interrupted while it set up the store: build again, then verify")]
    problems = [Problem(None, f"{key} {fault}") for key, fault in unlike(objects, record.objects)]
    metadata = {}
    for key in () if problems else record.objects:
        name, _, file = key.rpartition("/")
        if file == ROOT and f"{name}/" != FOLDER:
            try:
                metadata[name] = read_json(objects.get(key) or b"", dict[str, Any], key, error=StoreError)
                if not layout_of(name, metadata[name]).dims:
                    raise StoreError("it has no axes")
            except StoreError as error:
                problems.append(Problem(None, f"{key} is not what was written: {error}"))
    return record.objects, metadata, problems


def _is_template(record: Template) -> bool:
    """Whether it lists only objects that a build writes at its start, and none that is too large to read."""
    return all(
        re.fullmatch(r"[a-z_]+/(zarr\.json|c\.[0-9]+)", key) and size <= MOST_BYTES
        for key, (size, _) in record.objects.items()
    )


def _check_objects(objects: Objects, manifest: Manifest, stamps: Mapping[str, tuple[int, Stamp]]) -> Iterator[Problem]:
    """Check every object of every committed signal against the hash in its marker."""
    for key, fault in unlike(objects, {key: written for key, (_, written) in stamps.items()}):
        place, expected = stamps[key]
        if fault == "is missing":
            yield Problem(place, f"{_locate(manifest, place, key)} is missing")
        else:
            yield from _locate_damage(objects, manifest, key, place, expected)


def _locate_damage(objects: Objects, manifest: Manifest, key: str, place: int, expected: Stamp) -> Iterator[Problem]:
    """Name the damaged heads of an object, or the whole object where the heads cannot be determined."""
    shape = store_format.inner_chunks(key.partition("/")[0], manifest.identity.config)
    try:
        damaged = damaged_chunks(partial(objects.read, key), expected[0], math.prod(shape)) if shape else None
    except ObjectError as error:
        yield Problem(place, f"{_locate(manifest, place, key)} is not what was written: {error}")
        return
    places = [tuple(map(int, np.unravel_index(number, shape)))[:2] for number in damaged or ()]
    for inner in dict.fromkeys(places) or [()]:
        yield Problem(place, f"{_locate(manifest, place, key, inner)} is not what was written")


def _locate(manifest: Manifest, place: int, key: str, inner: tuple[int, ...] = ()) -> str:
    return locate(repr(manifest.entries[place].name), manifest.identity.config.layers, key, inner)


def _check_published(
    objects: Objects,
    manifest: Manifest,
    metadata: Mapping[str, Any],
    markers: Mapping[int, Marker],
    damaged: Container[str | None],
) -> Iterator[Problem]:
    """Check the root and the coordinate `complete` against the markers; after a killed build they may lag behind.

    The root may list fewer verdicts than there are; its entries for those in `damaged` cannot be checked.
    """
    gap = visible(markers)
    root = objects.get(ROOT, ROOT_BYTES)
    shown = published(root)
    there = list_verdicts(objects)
    listed = {
        group: entry if group in damaged else there.get(group, entry) for group, entry in listed_verdicts(root).items()
    }
    planned = len(manifest.entries)
    if shown is None or shown > planned or root != render_root(manifest, metadata, shown, listed):
        yield Problem(None, f"{ROOT} is missing or not what was written")
    elif shown > gap:
        yield Problem(gap, f"{ROOT} shows {shown} signals, but signal {manifest.entries[gap].name!r} has no marker")
    complete = np.isin(np.arange(len(manifest.entries)), list(markers))
    clean = objects.get(BUILDING) is None
    for chunk in range(math.ceil(len(complete) / store_format.SIGNALS_PER_CHUNK)):
        key, wanted = store_format.render_complete(complete, chunk)
        data = objects.get(key)
        if data != wanted and (clean or not _may_be(data, wanted)):
            yield Problem(None, f"{key} is missing or not what was written")


def _may_be(data: bytes | None, wanted: bytes) -> bool:
    """Whether this can be a chunk of `complete` from before or after commits that a killed process did not publish."""
    if data is None or len(data) != len(wanted):
        return False
    values, crc = data[:-CHECKSUM_BYTES], data[-CHECKSUM_BYTES:]
    return checksum(values) == crc and set(values) <= {0, 1}


def _choose(sound: Sequence[int], manifest: Manifest, signals: Sequence[Signal], sample: int) -> dict[int, Signal]:
    """Places to recompute, spread over the store, with their input signals."""
    inputs = {signal.fingerprint: signal for signal in signals}
    known = [place for place in sound if manifest.entries[place].fingerprint in inputs]
    spread = known[:: max(len(known) // max(sample, 1), 1)][:sample]
    return {place: inputs[manifest.entries[place].fingerprint] for place in spread}
