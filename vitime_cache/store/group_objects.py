"""Renders a Dataset of evidence as the objects of one zarr group, and reads it from them.

The objects equal those of `Dataset.to_zarr` byte for byte, and the Dataset that of `xr.open_zarr`. Those take a third
and a seventh of a second for a verdict, because zarr hands each of its 75 arrays from thread to thread. Here xarray
encodes the variables, zarr describes each shape and type once, and `chunks` encodes the values.
"""

from __future__ import annotations

import itertools
import json
import math
from collections.abc import Callable, Hashable, Mapping
from functools import lru_cache
from typing import Any

import numpy as np
import xarray as xr
import zarr
from numpy.typing import NDArray
from xarray.backends.zarr import FillValueCoder, encode_zarr_attr_value, encode_zarr_variable
from xarray.conventions import decode_cf_variables, encode_dataset_coordinates
from zarr.core.buffer import Buffer
from zarr.storage import MemoryStore

from vitime_cache.store.chunks import blocks, decode_chunk, decode_text, encode_chunk, encode_text
from vitime_cache.store.format import CODECS
from vitime_cache.store.journal import read_root
from vitime_cache.store.layout import Layout, layout_of
from vitime_cache.store.manifest import ROOT
from vitime_cache.store.objects import StoreError

ZARR_INDENT = 2  # of the metadata that zarr writes
MOST_BYTES = 256 * 2**20  # of all arrays of a group
MOST_CHUNKS = 4096  # of one array: zarr cuts none into chunks of less than 64 KiB
REMEDY = "`python -m vitime_cache verify` lists all damage, and with --repair removes it"
_FILL = {"f": "NaN", "i": 0, "b": False, "T": ""}  # as metadata gives the value of chunks that are left out


def render_group(ds: xr.Dataset) -> dict[str, bytes]:
    """Encode a Dataset of numbers and texts: key below the group -> the bytes of the object.

    The group's `zarr.json` has consolidated metadata, like the store's own. As zarr does, chunks are left out whose
    values are all the fill value.
    """
    variables, attributes = encode_dataset_coordinates(ds.drop_encoding())
    objects: dict[str, bytes] = {ROOT: b""}
    arrays = {}
    for name, given in variables.items():
        # Text is written with variable length: zarr has no stable format for fixed widths.
        plain = given.astype(object) if given.dtype.kind in "UT" else given
        variable = encode_zarr_variable(plain, name=name, zarr_format=3)
        values, is_text = variable.values, variable.dtype.kind == "O"
        node = json.loads(_describe(variable.dtype, variable.shape, variable.dims))
        node["attributes"] = _attributes(variable)
        arrays[name] = node
        objects[f"{name}/{ROOT}"] = json.dumps(node, indent=ZARR_INDENT).encode()
        fill = _fill(values.dtype)
        for numbers, block in blocks(values, node["chunk_grid"]["configuration"]["chunk_shape"], fill):
            if not np.array_equal(block, np.broadcast_to(fill, block.shape), equal_nan=not is_text):
                objects[_key(name, numbers)] = encode_text(block) if is_text else encode_chunk(block)
    root = {
        "attributes": attributes,
        "zarr_format": 3,
        "node_type": "group",
        "consolidated_metadata": {
            "kind": "inline", "must_understand": False, "metadata": {name: arrays[name] for name in sorted(arrays)}
        },
    }  # fmt: skip
    objects[ROOT] = json.dumps(root, ensure_ascii=False).encode()
    return objects


def read_group(metadata: bytes, read: Callable[[Mapping[str, int]], Mapping[str, bytes]]) -> xr.Dataset:
    """Decode the Dataset of a group: the inverse of `render_group`.

    Parameters
    ----------
    metadata
        The group's `zarr.json`.
    read
        Given key below the group -> the most bytes that its object can have, returns the objects that are there.

    Raises
    ------
    StoreError
        If an object is damaged, or the metadata is not of this version.
    """
    record = read_root(metadata)
    if record is None:
        raise StoreError(f"its {ROOT} is damaged")
    nodes = record["consolidated_metadata"]["metadata"]
    layouts = {name: _plain_layout(name, node) for name, node in nodes.items()}
    size = sum(math.prod(layout.shape) * max(layout.item, 8) for layout in layouts.values())
    if size > MOST_BYTES:
        raise StoreError(f"its arrays have {size:,} bytes, more than the {MOST_BYTES:,} of any verdict")
    objects = read({_key(name, at): layout.most_bytes for name, layout in layouts.items() for at in _places(layout)})
    variables = {}
    for name, layout in layouts.items():
        own = {key: value for key, value in nodes[name]["attributes"].items() if key != "_FillValue"}  # it is NaN
        variables[name] = xr.Variable(layout.dims, _values(name, layout, _dtype(nodes[name]), objects), own)
    decoded, attributes, coordinates = decode_cf_variables(variables, record["attributes"])
    texts = {name: decoded[name].astype(text.dtype) for name, text in variables.items() if text.dtype.kind == "T"}
    return xr.Dataset({**decoded, **texts}, attrs=attributes).set_coords(coordinates).load()


def _plain_layout(name: str, node: Mapping[str, Any]) -> Layout:
    """The layout of an array; StoreError if it is not one that `render_group` writes."""
    layout = layout_of(name, node)
    dtype = _dtype(node)
    missing = FillValueCoder.encode(np.nan, dtype) if dtype.kind == "f" else None
    if (
        layout.sharded
        or math.prod(max(count, 1) for count in _counts(layout)) > MOST_CHUNKS
        or any(codec.get("configuration", {}).get("endian", "little") != "little" for codec in node["codecs"])
        or node["fill_value"] != _FILL[dtype.kind]
        or node["attributes"].get("_FillValue", missing) != missing
    ):
        raise StoreError(f"the metadata of {name!r:.60} is not of this version: its chunks, order or missing values")
    return layout


def _dtype(node: Mapping[str, Any]) -> np.dtype[Any]:
    name: str = node["data_type"]
    return np.dtypes.StringDType() if name == "string" else np.dtype(name)


def _values(name: str, layout: Layout, dtype: np.dtype[Any], objects: Mapping[str, bytes]) -> NDArray[Any]:
    """Decode an array from those of its chunks that are there."""
    values = np.full(layout.shape, _fill(dtype), dtype)
    for numbers in _places(layout):
        if (data := objects.get(_key(name, numbers))) is not None:
            if not layout.is_chunk(data):
                raise StoreError(f"{_key(name, numbers)} is damaged; {REMEDY}")
            block = decode_chunk(data, dtype, layout.chunk, layout.compressed) if layout.item else decode_text(data)
            where = tuple(slice(n * size, (n + 1) * size) for n, size in zip(numbers, layout.chunk, strict=True))
            values[where] = block[tuple(map(slice, values[where].shape))]  # without what completes the last chunk
    return values


def _counts(layout: Layout) -> list[int]:
    """Number of chunks along each axis."""
    return [-(-length // size) for length, size in zip(layout.shape, layout.chunk, strict=True)]


def _places(layout: Layout) -> list[tuple[int, ...]]:
    return list(itertools.product(*map(range, _counts(layout))))


def _key(name: Hashable, numbers: tuple[int, ...]) -> str:
    """Key of a chunk below the group."""
    return "/".join((str(name), "c", *map(str, numbers)))


def _fill(dtype: np.dtype[Any]) -> Any:
    """The value of chunks that are left out."""
    return "" if dtype.kind in "OT" else dtype.type(np.nan if dtype.kind == "f" else 0)


@lru_cache(maxsize=1024)
def _describe(dtype: np.dtype[Any], shape: tuple[int, ...], dims: tuple[Hashable, ...]) -> bytes:
    """The metadata that zarr writes for such an array, without attributes."""
    staged: dict[str, Buffer] = {}
    is_text = dtype.kind == "O"
    zarr.create_array(
        MemoryStore(staged),
        shape=shape,
        dtype=str if is_text else dtype,
        compressors=CODECS[-1:] if is_text else CODECS,
        fill_value=np.nan if dtype.kind == "f" else None,
        dimension_names=[str(dim) for dim in dims],
    )
    return staged[ROOT].to_bytes()


def _attributes(variable: xr.Variable) -> dict[str, Any]:
    """The attributes of an encoded variable, in the order and form in which xarray writes them for zarr."""
    attributes = {name: encode_zarr_attr_value(value) for name, value in variable.attrs.items()}
    if "_FillValue" in attributes:
        attributes["_FillValue"] = FillValueCoder.encode(attributes.pop("_FillValue"), variable.dtype)
    return attributes
