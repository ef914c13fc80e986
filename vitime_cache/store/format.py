"""The zarr format of a store: arrays, chunks, codecs, and the one object that readers start from.

A store is one flat zarr v3 group. `xr.open_zarr(path)` reads it, because the root's `zarr.json` carries consolidated
metadata. That object is also the commit: the arrays' own metadata has the planned length of the signal dimension, the
consolidated copy in the root has the number of complete signals, and is replaced in one step. Whatever is written
beyond that length does not exist for a reader.

==========================  ============================================================================
object                      content
==========================  ============================================================================
`<array>/zarr.json`         metadata of one array
`<coordinate>/c.<n>`        coordinates of all signals, known before any of them is captured
`<variable>/c.<signal>.…`   data of one signal; `token_attention` has one shard per head map
`journal/…`                 manifest, markers and lock (see `journal`)
`zarr.json`                 what readers see; written last
==========================  ============================================================================

This is the only module that knows zarr.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

import google_crc32c
import numpy as np
import zarr
from numcodecs.blosc import Blosc  # type: ignore[import-untyped]
from zarr.codecs import BloscCodec, Crc32cCodec
from zarr.core.buffer import Buffer
from zarr.storage import MemoryStore

from vitime_cache.attention.schema import (
    COMPONENT,
    HEAD,
    LAYER,
    SIGNAL,
    SIGNAL_COORDINATES,
    TIME,
    VARIABLES,
    coordinates,
    sizes,
)
from vitime_cache.model.config import ViTimeConfig
from vitime_cache.store.manifest import FOLDER, ROOT, Identity, Manifest, published

TOKEN_ATTENTION = "token_attention"
COMPLETE = "complete"
CHUNKED_BY_LAYER = ("time_attention", TOKEN_ATTENTION)

# Axes that grow have chunks of fixed length, so that growing rewrites one small object and moves none.
CHUNK = {SIGNAL: 1, TIME: 4096, COMPONENT: 16}
SIGNALS_PER_CHUNK = 1024  # of a coordinate
SHARD_PARTS = 8  # blocks of query rows in a token map: a row costs an eighth of a map

# Diffuse maps hardly compress and peaky ones do; zstd saves 5 % more for three times the time. Without a CRC in every
# chunk a flipped bit reads as another number.
CODECS = (BloscCodec(cname="lz4", clevel=5, shuffle="bitshuffle"), Crc32cCodec())
SHARD_CODEC = Blosc(cname="lz4", clevel=5, shuffle=Blosc.BITSHUFFLE)


def variables(tokens: Sequence[str]) -> tuple[str, ...]:
    """Names of the data variables in a store; `token_attention` only where some layer's token maps are kept."""
    return tuple(name for name in VARIABLES if name != TOKEN_ATTENTION or tokens)


def query_rows(config: ViTimeConfig) -> int:
    """Query rows per inner chunk of a token map: the largest divisor of the tokens that makes 8 chunks or more."""
    return next(rows for rows in range(max(config.tokens // SHARD_PARTS, 1), 0, -1) if config.tokens % rows == 0)


def render_template(manifest: Manifest) -> dict[str, bytes]:
    """Every object that follows from the manifest alone: metadata of all arrays, and all coordinates but `complete`."""
    staged: dict[str, Buffer] = {}
    group = zarr.create_group(MemoryStore(staged))
    config, count = manifest.identity.config, len(manifest.entries)
    kept = variables(manifest.identity.tokens)
    for name in kept:
        _create_variable(group, name, manifest)
    used = {dimension for name in kept for dimension in VARIABLES[name].dims}
    for name, (dimension, values) in coordinates(config, manifest.n_time, manifest.n_components).items():
        if dimension in used:
            _create_coordinate(group, name, dimension, values, CHUNK.get(dimension, len(values)))
    per_signal = {SIGNAL: ("string", "name of the signal")} | dict(SIGNAL_COORDINATES)
    for name, (dtype, meaning) in per_signal.items():
        values = np.zeros(count, bool) if name == COMPLETE else _column(manifest, name, dtype)
        _create_coordinate(group, name, SIGNAL, values, SIGNALS_PER_CHUNK, long_name=meaning)
    journal = {
        f"{FOLDER}{ROOT}": b'{"zarr_format": 3, "node_type": "group"}'
    }  # so that listing the root finds no stranger
    return journal | {
        key: value.to_bytes() for key, value in staged.items() if key != ROOT and not key.startswith(f"{COMPLETE}/c")
    }


def render_complete(complete: Sequence[bool]) -> dict[str, bytes]:
    """The chunks of the coordinate `complete`."""
    staged: dict[str, Buffer] = {}
    group = zarr.create_group(MemoryStore(staged))
    _create_coordinate(group, COMPLETE, SIGNAL, np.array(complete, bool), SIGNALS_PER_CHUNK)
    return {key: value.to_bytes() for key, value in staged.items() if key.startswith(f"{COMPLETE}/c")}


def render_root(manifest: Manifest, template: Mapping[str, bytes], complete: int) -> bytes:
    """The root's `zarr.json`: attributes, and consolidated metadata in which `complete` signals exist."""
    arrays: dict[str, Any] = {}
    for key, data in template.items():
        name, _, kind = key.rpartition("/")
        if kind == ROOT and key != f"{FOLDER}{ROOT}":
            arrays[name] = json.loads(data)
            if arrays[name]["dimension_names"][0] == SIGNAL:
                arrays[name]["shape"][0] = complete
    # xarray tells coordinates from variables by this attribute, and takes it away.
    labels = " ".join(name for name in arrays if name not in VARIABLES and name not in arrays[name]["dimension_names"])
    consolidated = {"kind": "inline", "must_understand": False, "metadata": arrays}
    root = {
        "zarr_format": 3,
        "node_type": "group",
        "attributes": {**manifest.attributes, "coordinates": labels},
        "consolidated_metadata": consolidated,
    }
    return json.dumps(root, ensure_ascii=False).encode()


def shorten_root(root: bytes | None, complete: int) -> bytes | None:
    """The same root, whatever it describes, with only its first signals; None if it has no more, or is damaged."""
    if (published(root) or 0) <= complete:
        return None
    try:
        record = json.loads(root or b"")
        for array in record["consolidated_metadata"]["metadata"].values():
            if array["dimension_names"][0] == SIGNAL:
                array["shape"][0] = complete
    except (KeyError, TypeError, IndexError, AttributeError):
        return None
    return json.dumps(record, ensure_ascii=False).encode()


def render_arrays(manifest: Manifest, index: int, arrays: Mapping[str, np.ndarray]) -> dict[str, bytes]:
    """The objects of one signal's variables but `token_attention`, whose maps `encode_map` takes one at a time.

    Parameters
    ----------
    index
        The signal's place.
    arrays
        Variable -> values without the signal dimension; the axes time and component as long as the signal has them.
    """
    staged: dict[str, Buffer] = {}
    group = zarr.create_group(MemoryStore(staged))
    for name, values in arrays.items():
        region: tuple[Any, ...] = (index, *(slice(0, length) for length in values.shape))
        _create_variable(group, name, manifest)[region] = values
    return {key: value.to_bytes() for key, value in staged.items() if not key.endswith(ROOT)}


def map_key(config: ViTimeConfig, index: int, layer: str, head: int) -> str:
    """Key of one head's token map."""
    return f"{TOKEN_ATTENTION}/c.{index}.{config.layers.index(layer)}.{head}.0.0"


def map_keys(identity: Identity, index: int) -> set[str]:
    """Keys of all token maps of the signal in that place."""
    heads = range(identity.config.heads)
    return {map_key(identity.config, index, layer, head) for layer in identity.tokens for head in heads}


def encode_map(weights: np.ndarray, rows: int) -> list[bytes]:
    """One token map as a zarr shard, in consecutive parts.

    The bytes are those zarr's sharding codec writes (zarr v3 specification, `sharding_indexed`), for a fifth of the
    time: nothing is copied, padded or compared with the fill value on the way.

    Parameters
    ----------
    weights
        (N, N) float16, C-contiguous.
    rows
        Query rows per inner chunk; divides N.
    """
    parts: list[bytes] = []
    index = np.empty((len(weights) // rows, 2), "<u8")  # (inner chunk, offset and length)
    offset = 0
    for number, start in enumerate(range(0, len(weights), rows)):
        chunk = SHARD_CODEC.encode(weights[start : start + rows])
        parts += chunk, _checksum(chunk)
        index[number] = offset, len(chunk) + 4
        offset += len(chunk) + 4
    return [*parts, index.tobytes(), _checksum(index.tobytes())]


def _checksum(data: bytes) -> bytes:
    return int(google_crc32c.value(data)).to_bytes(4, "little")


def _create_variable(group: zarr.Group, name: str, manifest: Manifest) -> zarr.Array[Any]:
    variable = VARIABLES[name]
    config = manifest.identity.config
    length = {SIGNAL: len(manifest.entries)} | sizes(config, manifest.n_time, manifest.n_components)
    dims = (SIGNAL, *variable.dims)
    chunk = length | CHUNK
    if name in CHUNKED_BY_LAYER:
        chunk[LAYER] = 1
    if name == TOKEN_ATTENTION:
        chunk[HEAD] = 1
    block = tuple(chunk[dimension] for dimension in dims)
    inner = (1, 1, 1, query_rows(config), config.tokens)
    return group.create_array(
        name,
        shape=tuple(length[dimension] for dimension in dims),
        dtype=variable.dtype,
        chunks=inner if name == TOKEN_ATTENTION else block,
        shards=block if name == TOKEN_ATTENTION else None,
        compressors=CODECS,
        **_common(dims, variable.attributes),
        fill_value=np.nan,
        config={"write_empty_chunks": True},
    )


def _create_coordinate(
    group: zarr.Group, name: str, dimension: str, values: np.ndarray, chunk: int, **attributes: str
) -> None:
    text = values.dtype == object
    array = group.create_array(
        name,
        shape=values.shape,
        dtype=str if text else values.dtype,
        chunks=(max(chunk, 1),),
        compressors=(Crc32cCodec(),),  # small, and read one after the other whenever the store is opened
        **_common((dimension,), attributes),
        config={"write_empty_chunks": True},
    )
    array[:] = values


def _common(dims: Sequence[str], attributes: Mapping[str, str]) -> dict[str, Any]:
    # "." keeps an array's chunks in one folder: a commit has a dozen folders to sync instead of hundreds.
    return {
        "dimension_names": dims,
        "attributes": attributes,
        "chunk_key_encoding": {"name": "default", "separator": "."},
    }


def _column(manifest: Manifest, name: str, dtype: str) -> np.ndarray:
    values = [entry.name if name == SIGNAL else entry.coordinates[name] for entry in manifest.entries]
    return np.array(values, dtype=object if dtype == "string" else dtype)
