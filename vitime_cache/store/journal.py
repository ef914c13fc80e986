"""Reads the journal of a store: which signals are written, which places they have, and what readers may see.

This module does not import zarr or xarray, so that a build with nothing to do ends without importing them.
"""

from __future__ import annotations

import gc
import itertools
import json
from collections.abc import Container, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any, Protocol, TypeVar

import xxhash

from vitime_cache.store.bounds import MOST_SIGNALS
from vitime_cache.store.manifest import BUILDING, FOLDER, MANIFEST, TEMPLATE, Manifest, Marker, ObjectStamp, unseal
from vitime_cache.store.objects import Objects, StoreError, stamp

MARKERS_PER_PAGE = 64
PAGE_BYTES = 32 * 2**20  # of a page; the marker of a signal of a million samples has about 50 kB
READ_AT_ONCE = 16  # objects


class Named(Protocol):
    """What decides a signal's place in a store."""

    @property
    def name(self) -> str: ...
    @property
    def fingerprint(self) -> str: ...


AnySignal = TypeVar("AnySignal", bound=Named)


def page_of(place: int) -> int:
    """The page with the marker of the signal in that place."""
    return place // MARKERS_PER_PAGE


def page_key(page: int) -> str:
    """Key of a page of markers."""
    return f"{FOLDER}markers-{page:05d}.jsonl"


@dataclass(frozen=True)
class Template:
    """Stamps of array metadata and coordinates, and of the manifest that they follow from."""

    manifest: ObjectStamp
    objects: Mapping[str, ObjectStamp]


@dataclass(frozen=True)
class Journal:
    """A store's manifest and its valid markers.

    Attributes
    ----------
    laid_out
        Whether array metadata and coordinates are those of this manifest; False while a build writes them.
    clean
        Whether the store holds only what the manifest and markers list; False while a build is running.
    digest
        Hash of the bytes of the manifest and of all pages of markers that it was read from.
    """

    manifest: Manifest
    markers: Mapping[int, Marker]
    laid_out: bool = True
    clean: bool = True
    digest: str = ""

    def without(self, places: Container[int]) -> Journal:
        """The same journal without the markers of some places."""
        kept = {place: marker for place, marker in self.markers.items() if place not in places}
        return self if len(kept) == len(self.markers) else replace(self, markers=kept, clean=False)


def read_journal(objects: Objects, asked: Iterable[str] = (), *, known: Journal | None = None) -> Journal | None:
    """Read the journal of a store; None where there is no store yet.

    The time grows with the number of signals and of names in `asked`, not with the number of objects.

    Parameters
    ----------
    asked
        Names of signals whose objects are checked: their markers are valid only if all listed objects have full size.
    known
        A journal read before for these signals. It is reused if the bytes of manifest and markers are the same, because
        comparing them takes a tenth of the time.

    Raises
    ------
    StoreError
        If the place holds something that is not a store, or the manifest is damaged.
    """
    data = objects.get(MANIFEST)
    if data is None:
        if foreign := sorted(name for name in objects.names() if name != FOLDER.rstrip("/")):
            raise StoreError(
                f"{objects.url} is not an attention store and not empty (it holds {foreign[0]}): choose another"
            )
        return None
    journal = known if known and known.digest == _digest_of(objects, data, known.manifest) else None
    if journal is None:
        with _no_collection():
            journal = _decoded(objects, data, set(asked))
    layout = unseal(objects.get(TEMPLATE), Template)
    laid_out = layout is not None and layout.manifest == stamp([data])
    note = BUILDING.removeprefix(FOLDER)  # the name may have a suffix if it is half-written
    clean = not any(name.startswith(note) for name in objects.names(FOLDER))
    return replace(journal, laid_out=laid_out, clean=journal.clean and clean)


def _decoded(objects: Objects, data: bytes, asked: Container[str]) -> Journal:
    """Decode manifest and markers; `read_journal` completes `laid_out` and `clean`."""
    manifest = Manifest.from_bytes(data, objects.url)
    digest = digest_of_manifest(data)
    markers, _ = read_markers(objects, manifest, digest)
    journal = Journal(manifest, markers, digest=digest.hexdigest())
    return journal.without(_incomplete(objects, {p: m for p, m in markers.items() if m.name in asked}))


def read_markers(
    objects: Objects, manifest: Manifest, digest: xxhash.xxh3_128 | None = None
) -> tuple[dict[int, Marker], list[int]]:
    """The markers that belong to a store's signals, and the pages with a damaged line.

    Parameters
    ----------
    digest
        Updated with the bytes of all pages.
    """
    markers, damaged = {}, []
    for page, data in read_each(objects, _pages_of(manifest), PAGE_BYTES):
        if digest is not None:
            _take_in(digest, data)
        *lines, rest = (data or b"").split(b"\n")
        found = list(map(Marker.from_bytes, lines))
        if rest or None in found:
            damaged.append(page)
        for marker in found:
            if marker is not None and page_of(marker.index) == page and marker.index < len(manifest.entries):
                markers[marker.index] = marker
    valid = {place: marker for place, marker in markers.items() if marker.belongs_to(manifest.entries[place])}
    return dict(sorted(valid.items())), damaged


def _pages_of(manifest: Manifest) -> list[str]:
    return [page_key(page) for page in range(page_of(len(manifest.entries) - 1) + 1)]


def _digest_of(objects: Objects, data: bytes, manifest: Manifest) -> str:
    """The present `Journal.digest`, if these bytes are those of `manifest`."""
    digest = digest_of_manifest(data)
    for _, page in read_each(objects, _pages_of(manifest), PAGE_BYTES):
        _take_in(digest, page)
    return digest.hexdigest()


def digest_of_manifest(data: bytes) -> xxhash.xxh3_128:
    """What `read_markers` updates with the markers, to the digest of a journal."""
    digest = xxhash.xxh3_128()
    _take_in(digest, data)
    return digest


def _take_in(digest: xxhash.xxh3_128, data: bytes | None) -> None:
    digest.update(b"%d " % (-1 if data is None else len(data)))
    digest.update(data or b"")


@contextmanager
def _no_collection() -> Iterator[None]:
    """Pause garbage collection: decoding makes a million lasting objects, and scanning them takes half of the time."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


def read_each(objects: Objects, keys: Sequence[str], most: int) -> Iterator[tuple[int, bytes | None]]:
    """Yield the number of each key and the bytes of its object, with only a few objects in memory at a time."""
    for start in range(0, len(keys), READ_AT_ONCE):
        yield from enumerate(objects.get_many(keys[start : start + READ_AT_ONCE], most), start)


def render_page(markers: Mapping[int, Marker], page: int) -> bytes:
    """Encode a page of markers: one line per marker, in the order of their places."""
    places = range(page * MARKERS_PER_PAGE, (page + 1) * MARKERS_PER_PAGE)
    return b"".join(markers[place].to_bytes() + b"\n" for place in places if place in markers)


def _incomplete(objects: Objects, markers: Mapping[int, Marker]) -> set[int]:
    """Places of the markers that list an object which is missing or has another size."""
    written = {key: size for marker in markers.values() for key, (size, _) in marker.objects.items()}
    sizes = objects.sizes_of(list(written))
    if sizes == written:
        return set()
    return {
        place
        for place, marker in markers.items()
        if any(sizes.get(key) != size for key, (size, _) in marker.objects.items())
    }


def visible(committed: Container[int], from_place: int = 0) -> int:
    """Number of signals that readers may see: the committed ones from the first place up to the first gap."""
    return next(place for place in itertools.count(from_place) if place not in committed)


def read_root(root: bytes | None) -> dict[str, Any] | None:
    """Decode a root's `zarr.json`, whatever its arrays and groups are; None where it is damaged."""
    try:
        record = json.loads(root or b"")
        nodes = record["consolidated_metadata"]["metadata"]
        return record if all(isinstance(node, dict) for node in nodes.values()) else None
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return None


def published(root: bytes | None) -> int | None:
    """Number of signals that readers of this root's `zarr.json` see; None where they cannot read it."""
    try:
        (count,) = (read_root(root) or {})["consolidated_metadata"]["metadata"]["signal"]["shape"]
    except (KeyError, TypeError, ValueError):
        return None
    return count if type(count) is int and 0 <= count <= MOST_SIGNALS else None


def assign_places(journal: Journal | None, signals: Sequence[AnySignal], url: str) -> dict[int, AnySignal]:
    """Assign a place to every signal that is still to be written, in the given order.

    Committed signals keep their places and the others fill the free places in order. The same signals therefore get the
    same places, however often a build is interrupted.

    Raises
    ------
    StoreError
        If the store holds a different signal of the same name.
    """
    taken = {marker.name: marker for marker in journal.markers.values()} if journal else {}
    for signal in signals:
        there = taken.get(signal.name)
        if there and there.fingerprint != signal.fingerprint:
            raise StoreError(
                f"{url} already holds another signal named {signal.name!r} (fingerprint {there.fingerprint[:8]} there, "
                f"{signal.fingerprint[:8]} here): rename it, or choose another store"
            )
    pending = [signal for signal in signals if signal.name not in taken]
    free = (index for index in range(len(taken) + len(pending)) if journal is None or index not in journal.markers)
    return dict(zip(free, pending, strict=False))
