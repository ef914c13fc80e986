"""The zarr format of a store: arrays, chunks and codecs.

A store is one flat zarr v3 group. `xr.open_zarr(path)` reads it, because the root's `zarr.json` has consolidated
metadata (see `root`). That object is also the commit: the arrays' own metadata has the planned length of the signal
dimension; the consolidated copy in the root has the number of complete signals and is replaced in one step. Readers
never see anything beyond that length.

==========================  ============================================================================
object                      content
==========================  ============================================================================
`<array>/zarr.json`         metadata of one array
`<coordinate>/c.<n>`        coordinates of all signals, known before the first is captured
`<variable>/c.<signal>.…`   data of one signal: one object for each variable (a longer series has several)
`journal/…`                 manifest, markers and locks (see `manifest`)
`evidence/<verdict>/…`      one group per verdict (see `evidence_groups`)
`zarr.json`                 what readers see, and the list of verdicts; written last
==========================  ============================================================================

All token maps of a signal are one shard, with an inner chunk for each block of query rows of each head. All its time
maps are another shard, with an inner chunk per layer. A signal thus has ten objects instead of one for each head.

Only this module, `reader`, `checked` and `group_objects` use zarr.
"""

from __future__ import annotations

import json
import warnings
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from typing import Any

import numpy as np
import zarr
from numpy.typing import NDArray
from zarr.codecs import BloscCodec, Crc32cCodec
from zarr.core.buffer import Buffer
from zarr.errors import UnstableSpecificationWarning
from zarr.storage import MemoryStore

from vitime_cache.attention.schema import (
    COMPLETE,
    COMPONENT,
    DESCRIPTION,
    REDUCED_OF,
    SIGNAL,
    SIGNAL_COORDINATES,
    START,
    TIME,
    TIME_ATTENTION,
    TOKEN_ATTENTION,
    VARIABLES,
    coordinates,
    sizes,
)
from vitime_cache.model.config import ViTimeConfig
from vitime_cache.store.chunks import ShardIndex, blocks, checksum, encode_chunk
from vitime_cache.store.manifest import FOLDER, ROOT, Manifest
from vitime_cache.store.objects import StoreError

# Axes that grow have chunks of fixed length, so that growth rewrites one small object and moves none.
CHUNK = {SIGNAL: 1, TIME: 4096, COMPONENT: 16}
SIGNALS_PER_CHUNK = 1024  # of a coordinate
# Characters of the texts that xarray leaves on disk. With a fixed width dask knows their size, which
# `xr.open_zarr(path, chunks="auto")` needs. The widths are the longest that a signal can have, and compress well.
WIDTHS = {DESCRIPTION: 2000, REDUCED_OF: 200, START: 40}
SHARD_PARTS = 8  # blocks of query rows in a token map: reading one row costs an eighth of a map

CODECS = (BloscCodec(cname="lz4", clevel=5, shuffle="bitshuffle"), Crc32cCodec())  # the same as in `chunks`


def variables(tokens: Sequence[str]) -> tuple[str, ...]:
    """Names of the data variables in a store; `token_attention` only if token maps of some layer are stored."""
    return tuple(name for name in VARIABLES if name != TOKEN_ATTENTION or tokens)


def query_rows(config: ViTimeConfig) -> int:
    """Query rows per inner chunk of a token map: the largest divisor of the tokens that gives 8 chunks or more."""
    return next(rows for rows in range(max(config.tokens // SHARD_PARTS, 1), 0, -1) if config.tokens % rows == 0)


def render_template(manifest: Manifest) -> dict[str, bytes]:
    """Every object that follows from the manifest alone: metadata of all arrays, and coordinates except `complete`."""
    staged: dict[str, Buffer] = {}
    group = zarr.create_group(MemoryStore(staged))
    config, count = manifest.identity.config, len(manifest.entries)
    kept = variables(manifest.tokens)
    for name in kept:
        _create_variable(group, name, manifest)
    used = {dimension for name in kept for dimension in VARIABLES[name].dims}
    for name, (dimension, values) in coordinates(config, manifest.n_time, manifest.n_components).items():
        if dimension in used:
            _create_coordinate(group, name, dimension, values, CHUNK.get(dimension, len(values)))
    per_signal = {SIGNAL: ("string", "name of the signal")} | dict(SIGNAL_COORDINATES)
    texts: dict[str, bytes] = {}
    for name, (dtype, meaning) in per_signal.items():
        values = np.zeros(count, bool) if name == COMPLETE else _column(manifest, name, dtype)
        _create_coordinate(group, name, SIGNAL, values, SIGNALS_PER_CHUNK, long_name=meaning)
        if name in WIDTHS:
            texts |= _encode_texts(name, values)
    journal = {
        f"{FOLDER}{ROOT}": b'{"zarr_format": 3, "node_type": "group"}'
    }  # so that zarr finds no unknown object when it lists the root
    objects = {key: value.to_bytes() for key, value in staged.items()} | texts
    return journal | {key: data for key, data in objects.items() if key != ROOT and not key.startswith(f"{COMPLETE}/c")}


def render_complete(complete: NDArray[np.bool_], chunk: int) -> tuple[str, bytes]:
    """One chunk of the coordinate `complete`, and its key."""
    values = np.zeros(SIGNALS_PER_CHUNK, bool)
    some = complete[chunk * SIGNALS_PER_CHUNK : (chunk + 1) * SIGNALS_PER_CHUNK]
    values[: len(some)] = some
    return f"{COMPLETE}/c.{chunk}", values.tobytes() + checksum(values.tobytes())


def array_metadata(template: Mapping[str, bytes]) -> dict[str, Any]:
    """Array -> its metadata, from the objects that `render_template` returns."""
    keys = [key for key in template if key.endswith(f"/{ROOT}") and not key.startswith(FOLDER)]
    return {key.removesuffix(f"/{ROOT}"): json.loads(template[key]) for key in keys}


def encode_arrays(
    manifest: Manifest, place: int, arrays: Mapping[str, NDArray[Any]]
) -> Iterator[tuple[str, list[bytes]]]:
    """Encode one signal's variables except `token_attention`, whose maps `encode_map` encodes one at a time.

    Parameters
    ----------
    place
        The signal's place.
    arrays
        Variable -> values without the signal dimension; the axes time and component have the signal's own lengths.

    Yields
    ------
    tuple
        Key and consecutive parts of an object.
    """
    for name, values in arrays.items():
        if name == TIME_ATTENTION:
            chunks = [encode_chunk(np.ascontiguousarray(layer)) for layer in values]
            index = ShardIndex(len(chunks))
            index.append(0, chunks)
            yield _key(name, place, (0,) * values.ndim), [*chunks, index.to_bytes()]
            continue
        block = _block(name, manifest)[1:]
        for numbers, part in blocks(values, block, np.nan):
            yield _key(name, place, numbers), [encode_chunk(part)]


def token_key(place: int) -> str:
    """Key of the shard with all token maps of a signal."""
    return _key(TOKEN_ATTENTION, place, (0,) * 4)


def blocks_per_map(config: ViTimeConfig) -> int:
    """Inner chunks of one token map."""
    return config.tokens // query_rows(config)


def token_index(config: ViTimeConfig) -> ShardIndex:
    """The empty index of a shard of token maps."""
    return ShardIndex(len(config.layers) * config.heads * blocks_per_map(config))


def encode_map(weights: NDArray[np.float16], rows: int) -> list[bytes]:
    """Encode one token map (N, N) as consecutive inner chunks of a shard, `rows` query rows each."""
    return [encode_chunk(weights[start : start + rows]) for start in range(0, len(weights), rows)]


def inner_chunks(name: str, config: ViTimeConfig) -> tuple[int, ...]:
    """Number of inner chunks in a variable's shards along (layer, head, block of rows); empty without shards."""
    if name == TOKEN_ATTENTION:
        return len(config.layers), config.heads, blocks_per_map(config)
    return (len(config.layers),) if name == TIME_ATTENTION else ()


def _key(name: str, place: int, numbers: Sequence[int]) -> str:
    return f"{name}/c.{'.'.join(map(str, (place, *numbers)))}"


def _block(name: str, manifest: Manifest) -> tuple[int, ...]:
    """Shape of one object of a variable, including the signal dimension."""
    length = {**sizes(manifest.identity.config, manifest.n_time, manifest.n_components), **CHUNK}
    return tuple(length[dimension] for dimension in (SIGNAL, *VARIABLES[name].dims))


def _create_variable(group: zarr.Group, name: str, manifest: Manifest) -> zarr.Array[Any]:
    variable, config, block = VARIABLES[name], manifest.identity.config, _block(name, manifest)
    length = {SIGNAL: len(manifest.entries), **sizes(config, manifest.n_time, manifest.n_components)}
    dims = (SIGNAL, *variable.dims)
    inner = {
        TIME_ATTENTION: (1, 1, *block[2:]),
        TOKEN_ATTENTION: (1, 1, 1, query_rows(config), config.tokens),
    }.get(name)
    return group.create_array(
        name,
        shape=tuple(length[dimension] for dimension in dims),
        dtype=variable.dtype,
        chunks=inner or block,
        shards=block if inner else None,
        compressors=CODECS,
        **_common(dims, variable.attributes),
        fill_value=np.nan,
        config={"write_empty_chunks": True},
    )


def _create_coordinate(
    group: zarr.Group, name: str, dimension: str, values: np.ndarray, chunk: int, **attributes: str
) -> None:
    width, chunk = WIDTHS.get(name), max(chunk, 1)
    dtype = f"<U{width}" if width else str if values.dtype == object else values.dtype
    with warnings.catch_warnings():
        # zarr 3.1 warns when it creates fixed-width text, not when it reads it.
        warnings.simplefilter("ignore", UnstableSpecificationWarning)
        array = group.create_array(
            name,
            shape=values.shape,
            dtype=dtype,
            chunks=(chunk,),
            # Coordinates are small and read often: every opening of the store reads some of them.
            compressors=CODECS if width else CODECS[-1:],
            **_common((dimension,), attributes),
            config={"write_empty_chunks": True},
        )
        if not width:  # else `_encode_texts` encodes the values
            array[:] = values


def _encode_texts(name: str, values: NDArray[np.object_]) -> dict[str, bytes]:
    """The chunks of texts of fixed width, by key; equal ones, as of signals without any, are encoded once."""
    width = WIDTHS[name]
    if (longest := max(map(len, values), default=0)) > width:
        raise StoreError(f"a {name} of {longest} characters is longer than the {width} of a signal's")
    encode = cache(lambda texts: encode_chunk(np.array(texts, f"<U{width}")))
    return {f"{name}/c.{number}": encode(tuple(part)) for (number,), part in blocks(values, (SIGNALS_PER_CHUNK,), "")}


def _common(dims: Sequence[str], attributes: Mapping[str, str]) -> dict[str, Any]:
    # "." keeps an array's chunks in one folder: a commit has a dozen folders to sync instead of hundreds.
    return {
        "dimension_names": dims,
        "attributes": attributes,
        "chunk_key_encoding": {"name": "default", "separator": "."},
    }


def _column(manifest: Manifest, name: str, dtype: str) -> np.ndarray:
    values: list[Any]
    if name == SIGNAL:
        values = [entry.name for entry in manifest.entries]
    else:
        values = [entry.coordinates[name] for entry in manifest.entries]  # type: ignore[literal-required]
    return np.array(values, dtype=object if dtype == "string" else dtype)
