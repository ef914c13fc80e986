"""A checked zarr store, through which zarr and xarray read: missing or damaged objects raise an error that names them.

Without it zarr follows links, blocks on pipes, reads a missing chunk as missing values, and allocates whatever size a
chunk states.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from typing import Any, NoReturn

import zarr  # noqa: F401 - the package first: a thread that begins in its middle meets it half imported
from zarr.abc.store import ByteRequest, RangeByteRequest, Store, SuffixByteRequest
from zarr.core.buffer import Buffer, BufferPrototype

from vitime_cache.store.layout import Layout
from vitime_cache.store.manifest import ROOT
from vitime_cache.store.objects import Objects, StoreError


class CheckedStore(Store):
    """A read-only zarr store: the signals of a store.

    Parameters
    ----------
    metadata
        Its `zarr.json`, with consolidated metadata of all of `arrays`.
    written
        Given the key of an absent object, whether it was ever written. An object that never was means missing values.
    who
        What an object holds, in words, given its key and the number of a chunk in it, if known.
    still
        Called after each object was read; raises StoreError if it may hold another signal than when the store was
        opened.
    """

    supports_writes = False
    supports_deletes = False
    supports_listing = False

    def __init__(
        self,
        objects: Objects,
        metadata: bytes,
        arrays: Mapping[str, Layout],
        written: Callable[[str], bool],
        who: Callable[[str, int | None], str],
        still: Callable[[], None],
    ) -> None:
        super().__init__(read_only=True)
        self._objects, self._metadata, self._arrays = objects, metadata, arrays
        self._written, self._who, self._still = written, who, still

    def __eq__(self, value: object) -> bool:
        return isinstance(value, CheckedStore) and vars(self) == vars(value)

    def __hash__(self) -> int:
        return hash(self._objects.url)

    def __str__(self) -> str:
        return self._objects.url

    __repr__ = __str__

    def with_read_only(self, read_only: bool = False) -> Store:
        if not read_only:
            raise StoreError(f"{self._objects.url} is read only here; build and ask write to it")
        return self

    async def get(self, key: str, prototype: BufferPrototype, byte_range: ByteRequest | None = None) -> Buffer | None:
        if key == ROOT:
            return prototype.buffer.from_bytes(self._metadata)
        data = await asyncio.to_thread(self._read_now, key, byte_range)
        return None if data is None else prototype.buffer.from_bytes(data)

    async def get_partial_values(
        self, prototype: BufferPrototype, key_ranges: Iterable[tuple[str, ByteRequest | None]]
    ) -> list[Buffer | None]:
        return [await self.get(key, prototype, byte_range) for key, byte_range in key_ranges]

    async def get_ranges(
        self, key: str, byte_ranges: Sequence[ByteRequest | None], *, prototype: BufferPrototype, **_: Any
    ) -> AsyncIterator[Sequence[tuple[int, Buffer | None]]]:
        """Each range by itself: zarr from 3.2 on would join neighbours, and only single chunks can be checked."""
        yield list(enumerate(await asyncio.gather(*(self.get(key, prototype, each) for each in byte_ranges))))

    async def exists(self, key: str) -> bool:
        return key == ROOT or bool(await asyncio.to_thread(self._objects.sizes_of, [key]))

    async def set(self, key: str, value: Buffer) -> None:
        raise NotImplementedError

    async def delete(self, key: str) -> None:
        raise NotImplementedError

    async def list(self) -> AsyncIterator[str]:
        for key in (ROOT, *(f"{name}/{ROOT}" for name in self._arrays)):
            yield key

    async def list_prefix(self, prefix: str) -> AsyncIterator[str]:
        async for key in self.list():
            if key.startswith(prefix):
                yield key

    async def list_dir(self, prefix: str) -> AsyncIterator[str]:
        for name in () if prefix else (ROOT, *self._arrays):
            yield name

    def _read_now(self, key: str, wanted: ByteRequest | None) -> bytes | None:
        """Read and check an object or a part of it, of the signals that the store had when it was opened."""
        try:
            return self._read(key, wanted)
        finally:
            self._still()

    def _read(self, key: str, wanted: ByteRequest | None) -> bytes | None:
        """Read and check an object or a part of it; None where it was never written."""
        name, _, rest = key.partition("/")
        layout = self._arrays.get(name)
        if layout is None or not (rest == "c" or rest.startswith(("c.", "c/"))):
            return None  # zarr also looks for files of its other formats
        if wanted is None:
            data = self._objects.get(key, layout.most_bytes)
            if data is None:
                self._must_not_be(key)
                return None
            self._check(key, layout, data)
            return data
        if isinstance(wanted, SuffixByteRequest):
            index = self._objects.tail(key, layout.index_bytes)
            if index is None:
                self._must_not_be(key)
                return None
            if layout.chunks_of(index) is None or wanted.suffix != len(index):
                self._damaged(key)
            return index
        if not isinstance(wanted, RangeByteRequest):
            raise NotImplementedError(f"a request of {wanted}")
        start, stop = int(wanted.start), int(wanted.end)
        data = self._objects.read(key, start, stop) if 0 <= stop - start <= layout.most_encoded else b""
        if not layout.is_chunk(data):
            self._damaged(key, self._number(key, layout, start))
        return data

    def _check(self, key: str, layout: Layout, data: bytes) -> None:
        """Check the chunks of an object that was read as a whole."""
        if not layout.sharded:
            if not layout.is_chunk(data):
                self._damaged(key)
            return
        chunks = layout.chunks_of(data[-layout.index_bytes :])
        if chunks is None:
            self._damaged(key)
        for number, start, stop in chunks:
            if not layout.is_chunk(data[start:stop]):
                self._damaged(key, number)

    def _number(self, key: str, layout: Layout, start: int) -> int | None:
        """The number of the chunk of a shard that begins at `start`."""
        index = self._objects.tail(key, layout.index_bytes) or b""
        return next((number for number, at, _ in layout.chunks_of(index) or () if at == start), None)

    def _must_not_be(self, key: str) -> None:
        """Raise StoreError if an absent object was written once."""
        if self._written(key):
            raise StoreError(self._told(key, None, "is missing"))

    def _damaged(self, key: str, number: int | None = None) -> NoReturn:
        raise StoreError(self._told(key, number, "is damaged"))

    def _told(self, key: str, number: int | None, what: str) -> str:
        if not self._objects.sizes_of([ROOT]):
            return f"{self._objects.url} is no store any more: it was moved or deleted since it was opened"
        return (
            f"{self._objects.url}: {self._who(key, number)} {what}; `python -m vitime_cache verify` lists all damage, "
            "and with --repair removes it, to be built again"
        )
