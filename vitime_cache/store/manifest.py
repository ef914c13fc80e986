"""What a store knows about itself: the manifest, one marker per written signal, and who goes where.

Everything here is plain JSON in the folder `journal/` of a store, each record sealed with a hash of itself:

- `manifest.json` says what the store is for (weights, config, dtype, token layers) and which signal has which place.
- `000007.json`, a marker, says that all objects of the signal in place 7 are written, and lists their stamps.
- `template.json` lists the stamps of what follows from the manifest alone: array metadata and coordinates.

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

FORMAT = 1
FOLDER = "journal/"
MANIFEST = f"{FOLDER}manifest.json"
TEMPLATE = f"{FOLDER}template.json"
LOCK = f"{FOLDER}lock"
EVIDENCE = "evidence/"  # groups of verdicts, and the folder of their markers in the journal
ROOT = "zarr.json"  # the object that readers start from


class Named(Protocol):
    """A signal, as far as its place in a store is concerned."""

    @property
    def name(self) -> str: ...
    @property
    def fingerprint(self) -> str: ...


AnySignal = TypeVar("AnySignal", bound=Named)


def marker_key(index: int) -> str:
    """Key of the marker of the signal in place `index`."""
    return f"{FOLDER}{index:06d}.json"


def seal(record: Mapping[str, Any]) -> bytes:
    """JSON of a record, with the hash of that JSON in front."""
    body = json.dumps(record, ensure_ascii=False, allow_nan=False).encode()
    return json.dumps({"xxh3": stamp([body])[1], **record}, ensure_ascii=False).encode()


def unseal(data: bytes | None) -> dict[str, Any] | None:
    """The record that `seal` made these bytes of; None if there are none or if any bit differs."""
    try:
        record: dict[str, Any] = json.loads(data or b"")
        del record["xxh3"]
        return record if seal(record) == data else None
    except (ValueError, KeyError, TypeError):
        return None


@dataclass(frozen=True)
class Identity:
    """What must be equal for two builds to share a store."""

    weights: WeightsInfo
    config: ViTimeConfig
    dtype: str
    tokens: tuple[str, ...]

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
    tokens = ",".join(identity.tokens) or "none"
    return {"weights sha256": identity.weights.sha256, **config, "dtype": identity.dtype, "tokens": tokens}


@dataclass(frozen=True)
class Entry:
    """One signal of a manifest.

    Attributes
    ----------
    coordinates
        Its values of `schema.SIGNAL_COORDINATES`, without `complete`.
    components
        The number of its known harmonics.
    """

    name: str
    fingerprint: str
    coordinates: Mapping[str, Any]
    components: int

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
        return seal({"format": FORMAT, **asdict(self)})

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
            raise StoreError(f"{url} has store format {record['format']}, this version reads {FORMAT}: build it again")
        del record["format"]
        identity = record.pop("identity")
        return cls(
            identity=Identity(
                WeightsInfo(**identity["weights"]),
                ViTimeConfig.from_dict(identity["config"]),
                identity["dtype"],
                tuple(identity["tokens"]),
            ),
            entries=tuple(Entry(**entry) for entry in record.pop("entries")),
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
        return seal(asdict(self))

    @classmethod
    def from_bytes(cls, data: bytes | None) -> Self | None:
        """The inverse of `to_bytes`; None for a missing or damaged marker."""
        record = unseal(data)
        if record is None:
            return None
        stamps = {key: (size, checksum) for key, (size, checksum) in record.pop("objects").items()}
        return cls(**record, objects=stamps)

    def proves(self, index: int, entry: Entry, sizes: Mapping[str, int]) -> bool:
        """Whether this is the marker of `entry` in that place, and all its objects are there in full size."""
        return (self.index, self.name, self.fingerprint) == (index, entry.name, entry.fingerprint) and all(
            sizes.get(key) == size for key, (size, _) in self.objects.items()
        )


@dataclass(frozen=True)
class Journal:
    """A store's manifest with the markers that hold.

    Attributes
    ----------
    laid_out
        Whether array metadata and coordinates are those of this manifest; not while a build lays the store out.
    """

    manifest: Manifest
    markers: Mapping[int, Marker]
    laid_out: bool


def read_journal(objects: Objects, sizes: Mapping[str, int]) -> Journal | None:
    """What the store at `objects` knows of itself; None where there is no store yet.

    Parameters
    ----------
    sizes
        `objects.sizes()`: a marker counts only if what it lists is there.

    Raises
    ------
    StoreError
        If the place holds something that no build has put there, or the manifest is damaged.
    """
    data = objects.get(MANIFEST)
    if data is None:
        if foreign := sorted(key for key in sizes if not key.startswith(FOLDER)):
            raise StoreError(
                f"{objects.url} is no attention store and not empty (it holds {foreign[0]}): choose another"
            )
        return None
    manifest = Manifest.from_bytes(data, objects.url)
    places = [index for index in range(len(manifest.entries)) if marker_key(index) in sizes]
    found = map(Marker.from_bytes, objects.get_many([marker_key(index) for index in places]))
    markers = {
        index: marker
        for index, marker in zip(places, found, strict=True)
        if marker is not None and marker.proves(index, manifest.entries[index], sizes)
    }
    layout = unseal(objects.get(TEMPLATE))
    return Journal(manifest, markers, layout is not None and tuple(layout["manifest"]) == stamp([data]))


def visible(committed: Container[int]) -> int:
    """How many signals readers may see: the committed ones from the first place on, without a gap."""
    return next(place for place in itertools.count() if place not in committed)


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
