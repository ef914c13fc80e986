"""What a store knows about itself, as records: the manifest, and one marker per written signal (`journal` reads them).

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

import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any, Self

from vitime_cache.model.config import ViTimeConfig, WeightsInfo
from vitime_cache.store.objects import Stamp, StoreError, stamp

FORMAT = 3  # 2 kept series in float32
FOLDER = "journal/"
MANIFEST = f"{FOLDER}manifest.json"
TEMPLATE = f"{FOLDER}template.json"
BUILDING = f"{FOLDER}building"
LOCK = f"{FOLDER}lock"  # held for as long as a build takes
ROOT_LOCK = f"{FOLDER}root-lock"  # held by whoever writes the root, or keeps a verdict
EVIDENCE = "evidence/"  # groups of verdicts, and the folder of their markers in the journal
ROOT = "zarr.json"  # the object that readers start from


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


def check_identity(manifest: Manifest, identity: Identity, url: str) -> None:
    """Raise StoreError naming every field in which a build differs from the store it would continue."""
    if differences := manifest.identity.differences(identity):
        raise StoreError(f"{url} was built otherwise: {'; '.join(differences)}. Use the same, or choose another store")
