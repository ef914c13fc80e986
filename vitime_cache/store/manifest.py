"""What a store knows about itself: the manifest, one marker per written signal, and who goes where.

Everything here is plain JSON in the folder `journal/` of a store, each record sealed with a hash of itself:

- `manifest.json` says what the store is for (weights, config, dtype) and which signal has which place.
- `markers-00003.jsonl` has one line for each written signal in the places from 3 * 64 on: a marker, which says that all
  its objects are written and lists their stamps. 64 to a page keep both small: what a commit writes again, and the
  number of objects that a build has to read.
- `template.json` lists the stamps of what follows from the manifest alone: array metadata and coordinates.
- `building` is there while a build is under way, and after one that did not come to its end: only then is it worth the
  time to list what else is there and to clean it up.

A stamp is size and hash of an object; a record is written after everything it speaks for.

No zarr and no xarray here, so that a build with nothing to do knows it without importing them.
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Container, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, Protocol, Self, TypeVar

from vitime_cache.model.config import ViTimeConfig, WeightsInfo
from vitime_cache.store.objects import Objects, Stamp, StoreError, stamp

FORMAT = 2
FOLDER = "journal/"
MANIFEST = f"{FOLDER}manifest.json"
TEMPLATE = f"{FOLDER}template.json"
BUILDING = f"{FOLDER}building"
LOCK = f"{FOLDER}lock"
EVIDENCE = "evidence/"  # groups of verdicts, and the folder of their markers in the journal
ROOT = "zarr.json"  # the object that readers start from
MARKERS_PER_PAGE = 64


class Named(Protocol):
    """A signal, as far as its place in a store is concerned."""

    @property
    def name(self) -> str: ...
    @property
    def fingerprint(self) -> str: ...


AnySignal = TypeVar("AnySignal", bound=Named)


def page_of(place: int) -> int:
    """The page that has the marker of the signal in that place."""
    return place // MARKERS_PER_PAGE


def page_key(page: int) -> str:
    """Key of a page of markers."""
    return f"{FOLDER}markers-{page:05d}.jsonl"


def seal(record: Mapping[str, Any]) -> bytes:
    """JSON of a record, with the hash of that JSON in front."""
    body = json.dumps(record, ensure_ascii=False, allow_nan=False).encode()
    return _head(body) + body[1:]


def unseal(data: bytes | None) -> dict[str, Any] | None:
    """The record that `seal` made these bytes of; None if there are none or if any bit differs."""
    data = data or b""
    body = b"{" + data[len(_head(b"")) :]
    if data != _head(body) + body[1:]:
        return None
    record: dict[str, Any] = json.loads(body)
    return record


def _head(body: bytes) -> bytes:
    return b'{"xxh3": "%s", ' % stamp([body])[1].encode()


@dataclass(frozen=True)
class Identity:
    """What must be equal for two builds to share a store."""

    weights: WeightsInfo
    config: ViTimeConfig
    dtype: str

    def differences(self, other: Identity) -> list[str]:
        """One phrase per field in which `other` differs: its name and both values."""
        mine, theirs = _flat(self), _flat(other)
        return [
            f"{field} is {mine[field]!r} there and {theirs[field]!r} here"
            for field in mine
            if mine[field] != theirs[field]
        ]


def _flat(identity: Identity) -> dict[str, Any]:
    config = {f"config.{field}": value for field, value in identity.config.to_dict().items()}
    return {"weights sha256": identity.weights.sha256, **config, "dtype": identity.dtype}


@dataclass(frozen=True)
class Entry:
    """One signal of a manifest.

    Attributes
    ----------
    coordinates
        Its values of `schema.SIGNAL_COORDINATES`, without `complete`.
    components
        The number of its known harmonics.
    tokens
        Layers whose token maps are kept.
    """

    name: str
    fingerprint: str
    coordinates: Mapping[str, Any]
    components: int
    tokens: tuple[str, ...] = ()

    @property
    def samples(self) -> int:
        """Length of history and horizon together."""
        return int(self.coordinates["n_history"] + self.coordinates["horizon"])


@dataclass(frozen=True)
class Manifest:
    """What a store is for, and its signals in the order of their places.

    Attributes
    ----------
    attributes
        `schema.attributes` at the time the store was made.
    n_time, n_components
        Lengths of these axes.
    """

    identity: Identity
    attributes: Mapping[str, str]
    entries: tuple[Entry, ...] = ()
    n_time: int = 0
    n_components: int = 0

    @property
    def tokens(self) -> tuple[str, ...]:
        """Layers whose token maps are kept of some signal, in the order of execution."""
        kept = {layer for entry in self.entries for layer in entry.tokens}
        return tuple(layer for layer in self.identity.config.layers if layer in kept)

    def with_entries(self, entries: Iterable[Entry]) -> Self:
        """The same store with these signals. Its time axis never shrinks, so that open readers stay right."""
        entries = tuple(entries)
        return replace(
            self,
            entries=entries,
            n_time=max([self.n_time, *(entry.samples for entry in entries)]),
            n_components=max([self.n_components, *(entry.components for entry in entries)]),
        )

    def to_bytes(self) -> bytes:
        # `asdict` copies every value of every entry, which with ten thousand of them takes longer than all else.
        own = vars(self) | {"identity": asdict(self.identity), "entries": [vars(entry) for entry in self.entries]}
        return seal({"format": FORMAT, **own})

    @classmethod
    def from_bytes(cls, data: bytes, url: str) -> Self:
        """The inverse of `to_bytes`.

        Raises
        ------
        StoreError
            If a bit of it is damaged, or it was written in another format.
        """
        record = unseal(data)
        if record is None:
            raise StoreError(f"{url}/{MANIFEST} is damaged; restore it from a copy, or build into another store")
        if record["format"] != FORMAT:
            raise StoreError(
                f"{url} has store format {record['format']}, this version writes {FORMAT}: it can still be read; to "
                f"add to it, remove it and build it anew: python -m vitime_cache build --store {url}"
            )
        del record["format"]
        identity = record.pop("identity")
        return cls(
            identity=Identity(
                WeightsInfo(**identity["weights"]),
                ViTimeConfig.from_dict(identity["config"]),
                identity["dtype"],
            ),
            entries=tuple(Entry(**entry | {"tokens": tuple(entry["tokens"])}) for entry in record.pop("entries")),
            **record,
        )


@dataclass(frozen=True)
class Marker:
    """The proof that a signal is written: what was written for it, with size and hash of each object."""

    index: int
    name: str
    fingerprint: str
    objects: Mapping[str, Stamp]

    @property
    def size(self) -> int:
        """Bytes of all its objects, as stored."""
        return sum(size for size, _ in self.objects.values())

    def to_bytes(self) -> bytes:
        return seal(vars(self))

    @classmethod
    def from_bytes(cls, data: bytes | None) -> Self | None:
        """The inverse of `to_bytes`; None for a missing or damaged marker."""
        record = unseal(data)
        if record is None:
            return None
        stamps = {key: (size, checksum) for key, (size, checksum) in record.pop("objects").items()}
        return cls(**record, objects=stamps)

    def speaks_for(self, entry: Entry) -> bool:
        """Whether this is the marker of that signal."""
        return (self.name, self.fingerprint) == (entry.name, entry.fingerprint)


@dataclass(frozen=True)
class Journal:
    """A store's manifest with the markers that hold.

    Attributes
    ----------
    laid_out
        Whether array metadata and coordinates are those of this manifest; not while a build lays the store out.
    clean
        Whether nothing is there but what manifest and markers speak for; not while a build is under way.
    """

    manifest: Manifest
    markers: Mapping[int, Marker]
    laid_out: bool = True
    clean: bool = True

    def without(self, places: Container[int]) -> Journal:
        """The same with some signals no longer counted."""
        kept = {place: marker for place, marker in self.markers.items() if place not in places}
        return self if len(kept) == len(self.markers) else replace(self, markers=kept, clean=False)


def read_journal(objects: Objects, asked: Iterable[str] = ()) -> Journal | None:
    """What the store at `objects` knows of itself; None where there is no store yet.

    The time it takes grows with the number of signals and of those asked for, not with the number of objects.

    Parameters
    ----------
    asked
        Names of signals whose objects are looked at: their markers count only if all they list is there, in full size.

    Raises
    ------
    StoreError
        If the place holds something that no build has put there, or the manifest is damaged.
    """
    data = objects.get(MANIFEST)
    if data is None:
        if foreign := sorted(name for name in objects.names() if name != FOLDER.rstrip("/")):
            raise StoreError(
                f"{objects.url} is no attention store and not empty (it holds {foreign[0]}): choose another"
            )
        return None
    manifest = Manifest.from_bytes(data, objects.url)
    markers, _ = read_markers(objects, manifest)
    layout = unseal(objects.get(TEMPLATE))
    laid_out = layout is not None and tuple(layout["manifest"]) == stamp([data])
    note = BUILDING.removeprefix(FOLDER)  # also half-written
    clean = not any(name.startswith(note) for name in objects.names(FOLDER))
    journal = Journal(manifest, markers, laid_out, clean)
    wanted = set(asked)
    return journal.without(_incomplete(objects, {p: m for p, m in markers.items() if m.name in wanted}))


def read_markers(objects: Objects, manifest: Manifest) -> tuple[dict[int, Marker], list[int]]:
    """The markers of a store that speak for its signals, and the pages of which a line is damaged."""
    pages = range(page_of(len(manifest.entries) - 1) + 1)
    markers, damaged = {}, []
    for page, data in zip(pages, objects.get_many([page_key(page) for page in pages]), strict=True):
        *lines, rest = (data or b"").split(b"\n")
        found = list(map(Marker.from_bytes, lines))
        if rest or None in found:
            damaged.append(page)
        for marker in found:
            if marker is not None and page_of(marker.index) == page and marker.index < len(manifest.entries):
                markers[marker.index] = marker
    speaking = {place: marker for place, marker in markers.items() if marker.speaks_for(manifest.entries[place])}
    return dict(sorted(speaking.items())), damaged


def render_page(markers: Mapping[int, Marker], page: int) -> bytes:
    """A page of markers: one line each, in the order of their places."""
    places = range(page * MARKERS_PER_PAGE, (page + 1) * MARKERS_PER_PAGE)
    return b"".join(markers[place].to_bytes() + b"\n" for place in places if place in markers)


def _incomplete(objects: Objects, markers: Mapping[int, Marker]) -> set[int]:
    """Places of the markers that list an object which is not there, or has another size."""
    sizes = objects.sizes_of([key for marker in markers.values() for key in marker.objects])
    return {
        place
        for place, marker in markers.items()
        if any(sizes.get(key) != size for key, (size, _) in marker.objects.items())
    }


def visible(committed: Container[int], from_place: int = 0) -> int:
    """How many signals readers may see: the committed ones from the first place on, without a gap."""
    return next(place for place in itertools.count(from_place) if place not in committed)


def published(root: bytes | None) -> int | None:
    """How many signals the readers of this root's `zarr.json` see; None where they cannot read it."""
    try:
        return int(json.loads(root or b"")["consolidated_metadata"]["metadata"]["signal"]["shape"][0])
    except (ValueError, KeyError, TypeError, IndexError):
        return None


def assign_places(journal: Journal | None, signals: Sequence[AnySignal], url: str) -> dict[int, AnySignal]:
    """The place of every signal that is still to be written, in the order given.

    Committed signals stay where they are and the others fill the free places from the first on, so the same
    signals get the same places however often a build was interrupted.

    Raises
    ------
    StoreError
        If the store holds another signal of the same name.
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


def check_identity(manifest: Manifest, identity: Identity, url: str) -> None:
    """Raise StoreError naming every field in which a build differs from the store it would continue."""
    if differences := manifest.identity.differences(identity):
        raise StoreError(f"{url} was built otherwise: {'; '.join(differences)}. Use the same, or choose another store")
