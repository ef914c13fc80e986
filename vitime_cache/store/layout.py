"""Checks array metadata: it accepts only what a build or a verdict writes, and nothing that is too large.

It bounds the bytes of a chunk before the chunk is read. It checks them before they are decoded, because a compressed
chunk states its own decoded size.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any, Literal

import msgspec
import numpy as np

from vitime_cache.store.bounds import MOST_SIGNAL_BYTES
from vitime_cache.store.chunks import CHECKSUM_BYTES, MISSING, checksum
from vitime_cache.store.manifest import Count
from vitime_cache.store.objects import StoreError

TEXT_BYTES = 16 * 2**20  # of a chunk of text
BLOSC_HEADER = 16
INDEX_ENTRY = 16
_BYTES = {"bool": 1, "int8": 1, "int64": 8, "float16": 2, "float32": 4, "float64": 8, "string": 0}
_CODECS = {"numbers": ("bytes", "blosc", "crc32c"), "plain": ("bytes", "crc32c"), "text": ("vlen-utf8", "crc32c")}
_ATTRIBUTES = {"long_name", "units", "normalisation", "flag_values", "flag_meanings"}
_ATTRIBUTES |= {"_FillValue", "coordinates", "dtype"}  # for xarray; the schemas check the Dataset that results


@dataclass(frozen=True)
class _Grid:
    chunk_shape: tuple[Count, ...]


@dataclass(frozen=True)
class _Regular:
    name: Literal["regular"]
    configuration: _Grid


@dataclass(frozen=True)
class _Separator:
    separator: Literal[".", "/"]


@dataclass(frozen=True)
class _Keys:
    name: Literal["default"]
    configuration: _Separator


@dataclass(frozen=True)
class _Codec:
    name: str
    configuration: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class _Shards:
    chunk_shape: tuple[Count, ...]
    codecs: tuple[_Codec, ...]
    index_codecs: tuple[_Codec, ...]
    index_location: Literal["end"]


@dataclass(frozen=True)
class _Width:
    length_bytes: Count


@dataclass(frozen=True)
class _Text:
    name: Literal["fixed_length_utf32"]
    configuration: _Width


@dataclass(frozen=True)
class _Node:
    zarr_format: Literal[3]
    node_type: Literal["array"]
    shape: tuple[Count, ...]
    data_type: str | _Text
    chunk_grid: _Regular
    chunk_key_encoding: _Keys
    codecs: tuple[_Codec, ...]
    attributes: dict[str, str | list[int]]
    dimension_names: tuple[str, ...] = ()
    storage_transformers: tuple[()] = ()


@dataclass(frozen=True)
class Layout:
    """How the values of an array are divided into objects and chunks.

    Attributes
    ----------
    dims, shape
        Names and lengths of its axes.
    block
        Shape of the values in one object.
    chunk
        Shape of the values that are compressed together: a whole object, or a part of it if objects are shards.
    item
        Bytes per number; 0 for text.
    """

    dims: tuple[str, ...]
    shape: tuple[int, ...]
    block: tuple[int, ...]
    chunk: tuple[int, ...]
    item: int
    compressed: bool
    sharded: bool

    @property
    def inner(self) -> tuple[int, ...]:
        """Chunks of a shard along each axis."""
        return tuple(whole // part for whole, part in zip(self.block, self.chunk, strict=True))

    @property
    def chunk_bytes(self) -> int:
        """Bytes of a decoded chunk."""
        return math.prod(self.chunk) * self.item

    @property
    def most_encoded(self) -> int:
        """The most bytes of an encoded chunk."""
        return (self.chunk_bytes + BLOSC_HEADER if self.item else TEXT_BYTES) + CHECKSUM_BYTES

    @property
    def index_bytes(self) -> int:
        """Bytes of the index at the end of a shard."""
        return math.prod(self.inner) * INDEX_ENTRY + CHECKSUM_BYTES

    @property
    def most_bytes(self) -> int:
        """The most bytes of an object."""
        return math.prod(self.inner) * self.most_encoded + (self.index_bytes if self.sharded else 0)

    def is_chunk(self, data: bytes) -> bool:
        """Whether this is a whole, undamaged chunk that decodes to the right size."""
        body, crc = data[:-CHECKSUM_BYTES], data[-CHECKSUM_BYTES:]
        if len(data) > self.most_encoded or len(crc) != CHECKSUM_BYTES or checksum(body) != crc:
            return False
        if self.compressed:
            return len(body) >= BLOSC_HEADER and int.from_bytes(body[4:8], "little") == self.chunk_bytes
        return len(body) == self.chunk_bytes if self.item else int.from_bytes(body[:4], "little") == self.chunk[0]

    def chunks_of(self, index: bytes) -> list[tuple[int, int, int]] | None:
        """Number, start and end of each chunk of a shard; None where its index is damaged."""
        if len(index) != self.index_bytes or checksum(index[:-CHECKSUM_BYTES]) != index[-CHECKSUM_BYTES:]:
            return None
        entries = np.frombuffer(index[:-CHECKSUM_BYTES], "<u8").reshape(-1, 2).tolist()
        return [(n, start, start + size) for n, (start, size) in enumerate(entries) if start != MISSING]


def layout_of(name: str, node: Any) -> Layout:
    """The layout that an array's metadata describes.

    Raises
    ------
    StoreError
        If this version does not write such an array, or a chunk of it would be larger than a store can hold.
    """
    try:
        found = msgspec.convert(node, _Node)
        codecs, chunk, block = found.codecs, found.chunk_grid.configuration.chunk_shape, found.chunk_grid.configuration
        sharded = [codec.name for codec in codecs] == ["sharding_indexed"]
        if sharded:
            shards = msgspec.convert(codecs[0].configuration, _Shards)
            codecs, chunk = shards.codecs, shards.chunk_shape
            _check(tuple(codec.name for codec in shards.index_codecs) == _CODECS["plain"], "its index")
        names = tuple(codec.name for codec in codecs)
        if isinstance(found.data_type, str):
            _check(found.data_type in _BYTES, "its type of numbers")
            item = _BYTES[found.data_type]
        else:
            item = found.data_type.configuration.length_bytes
            _check(item >= 4 and item % 4 == 0, "the width of its texts")
        kinds = {_CODECS["numbers"], _CODECS["plain"]} if item else {_CODECS["text"]}
        _check(names in kinds, "its codecs")
        whole = block.chunk_shape
        _check(len(found.shape) == len(whole) == len(chunk) == len(found.dimension_names), "its axes")
        _check(all(part >= 1 and size % part == 0 and size >= 1 for size, part in zip(whole, chunk, strict=True)),
               "its chunks")  # fmt: skip
        _check(found.attributes.keys() <= _ATTRIBUTES, "its attributes")
        _check(item > 0 or len(chunk) == 1, "its texts")
        _check(math.prod(whole) < 2**40 and math.prod(chunk) * max(item, 8) <= MOST_SIGNAL_BYTES, "its size")
    except (ValueError, RecursionError, OverflowError) as error:
        raise StoreError(f"the metadata of {name!r:.60} is not of this version: {str(error)[:200]}") from error
    return Layout(found.dimension_names, found.shape, whole, chunk, item, "blosc" in names, sharded)


def _check(holds: bool, what: str) -> None:
    if not holds:
        raise ValueError(what)
