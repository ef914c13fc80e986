"""Where a store's bytes live: a folder, or any URL that fsspec reaches (s3://, gs://, memory://).

Both kinds promise the same: an object appears under its key whole or not at all, and what was put before a `flush`
survives a crash of the machine once `flush` returns. The protocol of `commit` rests on these promises only.

A store may come from a stranger. No key leads out of it, links below it are not followed, only regular files are read,
and none of them beyond a bound on its size. Addresses may carry passwords and signatures: `url` is what is shown.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from contextlib import AbstractContextManager
from typing import Protocol

import xxhash

from vitime_cache.errors import VitimeError

Stamp = tuple[int, str]  # size in bytes and XXH3 of an object

MOST_BYTES = 256 * 2**20  # of an object that is read as a whole, unless the caller knows better
_PART = r"(?!\.{1,2}(?:/|$))[^/\\\0]+"
_KEY = re.compile(rf"{_PART}(?:/{_PART})*")


class StoreError(VitimeError):
    """A store that cannot be opened, written or continued; the message says what to do."""


class ObjectError(StoreError):
    """Something in a store that no store has: a link, a pipe, a file that is larger than it can be."""


def stamp(parts: Iterable[bytes | memoryview]) -> Stamp:
    """Size and XXH3 hash of an object given in consecutive parts.

    Not CRC-32C, which zarr appends to every chunk: data followed by its own CRC has the same CRC whatever the data.
    """
    size, digest = 0, xxhash.xxh3_64()
    for part in parts:
        size += len(part)
        digest.update(part)
    return size, digest.hexdigest()


class Stream:
    """An object on its way to the store, with the stamp of what has been written of it."""

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
    """A key itself, unless it would lead out of the store."""
    if not _KEY.fullmatch(key):
        raise ObjectError(f"{key!r:.100} is no place in a store")
    return key


class Objects(Protocol):
    """Keys to bytes, as a store needs them. All but `flush` raise StoreError for what a store cannot have.

    Attributes
    ----------
    url
        The place, as it is shown.
    address
        The place, as another process opens it; it may carry credentials, and is never shown.
    locks
        Whether `lock` keeps others out.
    """

    url: str
    address: str
    locks: bool

    def get(self, key: str, most: int = MOST_BYTES) -> bytes | None:
        """The bytes of an object, None where there is none; StoreError where it has more than `most`."""

    def get_many(self, keys: Sequence[str], most: int = MOST_BYTES) -> list[bytes | None]:
        """The bytes of several objects, in the order of `keys`; `most` is of each."""

    def put(self, key: str, parts: Sequence[bytes]) -> Stamp:
        """Write or replace an object in one step, and return its stamp. Safe to call from several threads."""

    def stream(self, key: str) -> AbstractContextManager[Stream]:
        """Write an object piece by piece; it appears when the context ends, and not at all after an error."""

    def read(self, key: str, start: int, stop: int) -> bytes:
        """Bytes `start` to `stop` of an object, fewer where it ends before, none where there is no object."""

    def tail(self, key: str, count: int) -> bytes | None:
        """The last bytes of an object, all of it where it is shorter; None where there is none."""

    def sizes_of(self, keys: Sequence[str]) -> dict[str, int]:
        """Key -> size in bytes of those that are there."""

    def flush(self) -> None:
        """Return when everything put before is safe from a crash."""

    def delete(self, keys: Iterable[str]) -> None:
        """Remove objects that are there."""

    def sizes(self) -> dict[str, int]:
        """Key -> size in bytes of everything that is there, also of what no store has written."""

    def names(self, prefix: str = "") -> list[str]:
        """What lies directly below a prefix that ends in "/": names of objects and of folders."""

    def delete_below(self, prefix: str) -> None:
        """Remove every object whose key begins with a prefix that ends in "/"."""

    def free_bytes(self) -> int | None:
        """Bytes that can still be written; None where there is no such limit."""

    def lock(self, key: str, wait: float = 0.0) -> AbstractContextManager[None]:
        """Context in which no other process holds the lock `key`; StoreError if one still does after `wait` seconds."""
