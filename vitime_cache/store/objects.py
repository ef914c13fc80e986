"""The place of a store's bytes: a folder, or any URL that fsspec can reach (s3://, gs://, memory://).

Both kinds promise the same: an object appears under its key whole or not at all, and everything put before a `flush`
survives a crash of the machine once `flush` returns. The protocol of `commit` needs only these promises.

A store may come from an untrusted source. No key leads out of it, links below it are not followed, and only regular
files up to a size limit are read. Addresses may contain passwords and signatures, so only `url` is shown.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Protocol

import xxhash

from vitime_cache.errors import VitimeError

Stamp = tuple[int, str]  # size in bytes and XXH3 of an object

MOST_BYTES = 256 * 2**20  # of an object that is read as a whole, unless the caller gives another limit
_PART = r"(?!\.{1,2}(?:/|$))[^/\\\0]+"
_KEY = re.compile(rf"{_PART}(?:/{_PART})*")


class StoreError(VitimeError):
    """A store that cannot be opened, written or continued; the message says what to do."""


class ObjectError(StoreError):
    """Something that does not belong in a store: a link, a pipe, a file that is too large."""


def stamp(parts: Iterable[bytes | memoryview]) -> Stamp:
    """Size and XXH3 hash of an object given in consecutive parts.

    CRC-32C would not do: zarr appends it to every chunk, and data followed by its own CRC always has the same CRC.
    """
    size, digest = 0, xxhash.xxh3_64()
    for part in parts:
        size += len(part)
        digest.update(part)
    return size, digest.hexdigest()


class Stream:
    """An object that is being written, with the stamp of the bytes so far."""

    def __init__(self, write: Callable[[bytes], object]) -> None:
        self._write, self._digest, self.size = write, xxhash.xxh3_64(), 0

    def write(self, part: bytes) -> None:
        """Append bytes."""
        self._write(part)
        self._digest.update(part)
        self.size += len(part)

    @property
    def stamp(self) -> Stamp:
        """Size and hash of all bytes so far."""
        return self.size, self._digest.hexdigest()


def check_key(key: str) -> str:
    """Return the key; ObjectError if it would lead out of the store."""
    if not _KEY.fullmatch(key):
        raise ObjectError(f"{key!r:.100} is not a place in a store")
    return key


class Objects(Protocol):
    """Bytes under keys, as a store needs them. All methods but `flush` raise StoreError for anything invalid.

    Attributes
    ----------
    url
        The place in the form that is shown.
    address
        The place in the form that another process opens; it may contain credentials and is never shown.
    locks
        Whether `lock` excludes other processes.
    """

    url: str
    address: str
    locks: bool

    def get(self, key: str, most: int = MOST_BYTES) -> bytes | None:
        """The bytes of an object; None where there is none, StoreError where it has more than `most`."""

    def get_many(self, keys: Sequence[str], most: int = MOST_BYTES) -> list[bytes | None]:
        """The bytes of several objects, in the order of `keys`; `most` applies to each."""

    def put(self, key: str, parts: Sequence[bytes]) -> Stamp:
        """Write or replace an object in one step, and return its stamp. Safe to call from several threads."""

    def put_many(self, objects: Mapping[str, Sequence[bytes]]) -> dict[str, Stamp]:
        """Write or replace several objects and return their stamps, quicker than by `put`; also from several threads.

        A machine that crashes before the next `flush` may leave any of them damaged, so they must be objects that
        nothing lists yet.
        """

    def stream(self, key: str) -> AbstractContextManager[Stream]:
        """Write an object piece by piece; it appears when the context ends, and not at all after an error."""

    def read(self, key: str, start: int, stop: int) -> bytes:
        """Bytes `start` to `stop` of an object; fewer if it ends earlier, none if there is no object."""

    def tail(self, key: str, count: int) -> bytes | None:
        """The last `count` bytes of an object, or all of a shorter one; None where there is none."""

    def sizes_of(self, keys: Sequence[str]) -> dict[str, int]:
        """Key -> size in bytes, for the objects that exist."""

    def flush(self) -> None:
        """Return once everything put before is safe from a crash."""

    def delete(self, keys: Iterable[str]) -> None:
        """Remove objects; missing ones are ignored."""

    def sizes(self) -> dict[str, int]:
        """Key -> size in bytes of everything that is there, including objects that do not belong to a store."""

    def names(self, prefix: str = "") -> list[str]:
        """Names of objects and folders directly below a prefix that ends in "/"."""

    def delete_below(self, prefix: str) -> None:
        """Remove every object whose key begins with a prefix that ends in "/"."""

    def free_bytes(self) -> int | None:
        """Bytes that can still be written; None where there is no limit."""

    def lock(self, key: str, wait: float = 0.0) -> AbstractContextManager[None]:
        """Hold the lock `key` during the context; StoreError if another process still holds it after `wait` seconds."""
