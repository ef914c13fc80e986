"""The records of a store: the manifest, and one marker per written signal (`journal` reads them).

They are plain JSON in the folder `journal/` of a store. Each record is sealed with a hash of itself:

- `manifest.json` says what the store is for (weights, config, dtype) and which place each signal has.
- `markers-00003.jsonl` has one line, a marker, for each written signal in the places from 3 * 64 on. A marker says that
  all objects of its signal are written, and lists their stamps. With 64 markers per page, a commit rewrites little and
  a build reads few objects.
- `template.json` lists the stamps of everything that follows from the manifest alone: array metadata and coordinates.
- `building` exists while a build is running, and after one that was interrupted. Only then does the next build list all
  objects and clean up.
- `hidden` gets other bytes whenever signals that readers saw are hidden from them, because one is removed or written
  again: another signal may come into its place. A reader that has the store open compares them after each object.

A stamp is the size and hash of an object. A record is written after everything that it lists.

This module does not import zarr or xarray, so that a build with nothing to do ends without importing them.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, replace
from typing import Annotated, Any, Self, TypedDict, TypeVar

import xxhash
from msgspec import Meta

from vitime_cache.model.checkpoint import DTYPES
from vitime_cache.model.config import ViTimeConfig, WeightsInfo
from vitime_cache.store.bounds import check_config, check_lengths
from vitime_cache.store.objects import MOST_BYTES, StoreError
from vitime_cache.typed_json import decode

FORMAT = 3
OLDER = (2,)  # formats that are read, but not written: format 2 had series in float32
FOLDER = "journal/"
MANIFEST = f"{FOLDER}manifest.json"
TEMPLATE = f"{FOLDER}template.json"
BUILDING = f"{FOLDER}building"
HIDDEN = f"{FOLDER}hidden"
LOCK = f"{FOLDER}lock"  # held during a build
ROOT_LOCK = f"{FOLDER}root-lock"  # held while the root or a verdict is written
EVIDENCE = "evidence/"  # groups of verdicts, and the folder of their markers in the journal
ROOT = "zarr.json"  # the object that readers open first
ROOT_BYTES = 64 * 2**20  # most bytes of the root


# A place followed by the keys of its objects: one match per marker, because a store may have a million objects.
_OBJECTS = re.compile(r"(?P<place>[0-9]+)(?: [a-z_]+/c\.(?P=place)(?:\.[0-9]+)+)*")

Record = TypeVar("Record")
Count = Annotated[int, Meta(ge=0, le=2**53)]
ObjectStamp = tuple[Count, Annotated[str, Meta(pattern="^[0-9a-f]{16}$")]]


def seal(record: Mapping[str, Any]) -> bytes:
    """Encode a record as JSON that begins with the hash of the rest."""
    body = json.dumps(record, ensure_ascii=False, allow_nan=False).encode()
    return _head(body) + body[1:]


def unseal(data: bytes | None, kind: type[Record] = dict[str, Any]) -> Record | None:  # type: ignore[assignment]
    """Decode the record in sealed bytes; None for no bytes, any changed bit, or wrong types.

    The hash detects accidents. An attacker can compute it too, so the types are checked as well.
    """
    if data is None:
        return None
    body = b"{" + data[_HEAD_BYTES:]
    return decode(body, kind) if data.startswith(_head(body)) else None


def _head(body: bytes) -> bytes:
    return b'{"xxh3": "%s", ' % xxhash.xxh3_64_hexdigest(body).encode()


_HEAD_BYTES = len(_head(b""))


@dataclass(frozen=True)
class Identity:
    """What two builds must have in common to share a store."""

    weights: WeightsInfo
    config: ViTimeConfig
    dtype: str

    def differences(self, other: Identity) -> list[str]:
        """One phrase per field in which `other` differs, with both values."""
        there, here = _flat(self), _flat(other)
        return [
            f"{field} is {there[field]!r} there and {here[field]!r} here"
            for field in there
            if there[field] != here[field]
        ]


def _flat(identity: Identity) -> dict[str, Any]:
    config = {f"config.{field}": value for field, value in identity.config.to_dict().items()}
    return {"weights sha256": identity.weights.sha256, **config, "dtype": identity.dtype}


class Coordinates(TypedDict):
    """Values of `schema.SIGNAL_COORDINATES` of one signal without `complete`; the schema defines their meaning."""

    n_history: Annotated[int, Meta(ge=1, le=2**31)]
    horizon: Annotated[int, Meta(ge=1, le=2**31)]
    samples_per_patch: Annotated[float, Meta(gt=0, le=1e15)]
    history_patches: Count
    reduced_of: str
    description: str
    filled: Count
    sample_seconds: Annotated[float, Meta(ge=0, le=1e15)]
    start: str


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
        Layers whose token maps are stored.
    """

    name: str
    fingerprint: str
    coordinates: Coordinates
    components: Count
    tokens: tuple[str, ...] = ()

    @property
    def samples(self) -> int:
        """Length of history and horizon together."""
        return self.coordinates["n_history"] + self.coordinates["horizon"]


@dataclass(frozen=True)
class Manifest:
    """The identity of a store, and its signals in the order of their places.

    Attributes
    ----------
    attributes
        `schema.attributes` when the store was created.
    n_time, n_components
        Lengths of these axes.
    """

    identity: Identity
    attributes: dict[str, str]
    entries: tuple[Entry, ...] = ()
    n_time: Count = 0
    n_components: Count = 0

    @property
    def tokens(self) -> tuple[str, ...]:
        """Layers whose token maps are stored for some signal, in execution order."""
        kept = {layer for entry in self.entries for layer in entry.tokens}
        return tuple(layer for layer in self.identity.config.layers if layer in kept)

    def with_entries(self, entries: Iterable[Entry]) -> Self:
        """The same manifest with these signals. The time axis never shrinks, so that open readers stay correct."""
        entries = tuple(entries)
        return replace(
            self,
            entries=entries,
            n_time=max([self.n_time, *(entry.samples for entry in entries)]),
            n_components=max([self.n_components, *(entry.components for entry in entries)]),
        )

    def to_bytes(self) -> bytes:
        """Encode the manifest.

        Raises
        ------
        StoreError
            If it is larger than readers accept.
        """
        # `asdict` copies every value of every entry, which is the slowest step for ten thousand entries.
        own = vars(self) | {"identity": asdict(self.identity), "entries": [vars(entry) for entry in self.entries]}
        data = seal({"format": FORMAT, **own})
        if len(data) > MOST_BYTES:
            raise StoreError(f"{len(self.entries):,} signals are more than one store can list; build several stores")
        return data

    @classmethod
    def from_bytes(cls, data: bytes, url: str) -> Self:
        """Decode a manifest from any source.

        Raises
        ------
        StoreError
            If a bit of it is damaged, it contradicts itself, or it has another format.
        """
        if (found := format_of(data)) != FORMAT:
            again = f"remove it and build it again: python -m vitime_cache build --store {url}"
            reads = f"it can still be read; to add to it, {again}" if found in OLDER else f"it cannot be read; {again}"
            raise StoreError(f"{url} has store format {found}, this version writes {FORMAT}: {reads}")
        manifest = unseal(data, cls)
        if manifest is None:
            raise StoreError(f"{url}/{MANIFEST} is damaged; restore it from a copy, or build into another store")
        if wrong := _contradiction(manifest):
            raise StoreError(f"{url}/{MANIFEST} is not what a build writes: {wrong}; build into another store")
        return manifest


class _Format(TypedDict):
    format: int


def format_of(data: bytes | None) -> int:
    """The format in the bytes of a manifest; this version's where they do not tell."""
    record = unseal(data, _Format)
    return FORMAT if record is None else record["format"]


def _contradiction(manifest: Manifest) -> str:
    """Why no build can have written a manifest, whatever its hash says; "" where it is valid."""
    identity, attributes = manifest.identity, manifest.attributes
    try:
        check_config(identity.config)
        check_lengths(len(manifest.entries), manifest.n_time, manifest.n_components)
    except StoreError as error:
        return str(error)
    config = decode(attributes.get("config", "").encode(errors="replace"), ViTimeConfig)
    said = config, *(attributes.get(name) for name in ("weights", "weights_sha256", "weights_note", "dtype"))
    weights = identity.weights
    if said != (identity.config, weights.name, weights.sha256, weights.note, identity.dtype):
        return "its attributes are of another model than its identity"
    if missing := {"created", "vitime_cache_version", "library_versions"} - attributes.keys():
        return f"it has no attribute {min(missing)!r}"
    if identity.dtype not in DTYPES:
        return f"its dtype is {identity.dtype!r:.40}"
    if not all(text.isprintable() for text in attributes.values()):
        return "one of its attributes is not printable"
    layers = set(identity.config.layers)
    for place, entry in enumerate(manifest.entries):
        known = entry.coordinates
        texts = entry.name, known["reduced_of"], known["description"], known["start"]
        if not (entry.name and all(map(str.isprintable, texts))):
            return f"the texts of signal {place} are not printable"
        if entry.samples > manifest.n_time or entry.components > manifest.n_components:
            return f"signal {place} is longer than all signals"
        if not layers.issuperset(entry.tokens):
            return f"signal {place} has token maps of layers that the model lacks"
    return (
        "" if len({entry.name for entry in manifest.entries}) == len(manifest.entries) else "two signals share a name"
    )


@dataclass(frozen=True)
class Marker:
    """The record that a signal is written: its objects, with size and hash of each."""

    index: Count
    name: str
    fingerprint: str
    objects: Mapping[str, ObjectStamp]

    @property
    def size(self) -> int:
        """Bytes of all its objects, as stored."""
        return sum(size for size, _ in self.objects.values())

    def to_bytes(self) -> bytes:
        return seal(vars(self))

    @classmethod
    def from_bytes(cls, data: bytes | None) -> Self | None:
        """Decode a marker; None if it is missing or damaged, or lists objects of another place."""
        marker = unseal(data, cls)
        if marker is None:
            return None
        keys = " ".join([str(marker.index), *marker.objects])
        own = _OBJECTS.fullmatch(keys) and keys.count(" ") == len(marker.objects)  # no key contains a blank
        return marker if own else None

    def belongs_to(self, entry: Entry) -> bool:
        """Whether this is the marker of that signal."""
        return (self.name, self.fingerprint) == (entry.name, entry.fingerprint)


def check_identity(manifest: Manifest, identity: Identity, url: str) -> None:
    """Raise StoreError naming every field in which a build differs from the store it would continue."""
    if differences := manifest.identity.differences(identity):
        found = "; ".join(differences)
        raise StoreError(f"{url} was built differently: {found}. Use the same, or choose another store")
