"""Reads a store as plain xarray does, with checks and with a message where there is nothing to read."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import xarray as xr

from vitime_cache.attention.schema import COMPONENT, SIGNAL, SIGNAL_COORDINATES, TIME, VARIABLES, coordinates, validate
from vitime_cache.model.config import ViTimeConfig
from vitime_cache.store.bounds import MOST_ATTRIBUTES, check_config, check_lengths
from vitime_cache.store.checked import CheckedStore
from vitime_cache.store.journal import PAGE_BYTES, page_key, page_of, published, read_root
from vitime_cache.store.layout import Layout, layout_of
from vitime_cache.store.locations import open_objects
from vitime_cache.store.manifest import (
    EVIDENCE,
    FORMAT,
    HIDDEN,
    MANIFEST,
    OLDER,
    ROOT,
    ROOT_BYTES,
    Manifest,
    Marker,
    format_of,
)
from vitime_cache.store.objects import Objects, StoreError
from vitime_cache.store.root import without_verdicts
from vitime_cache.typed_json import read_json


def is_store(path: str | Path) -> bool:
    """Whether there is something at a path that `open_store` would try to read."""
    return open_objects(path).get(ROOT, ROOT_BYTES) is not None


def open_store(path: str | Path) -> xr.Dataset:
    """The complete signals of a store, lazily: `xr.open_zarr(path, chunks=None)`, checked.

    Parameters
    ----------
    path
        A folder, or a URL such as s3://bucket/name.zarr.

    Returns
    -------
    xarray.Dataset
        As `schema` describes it, with the dimension `signal`. It stays valid while a build adds signals; open it again
        to see them. Reading a missing or damaged value raises a StoreError that names it. So does reading from a folder
        after a signal was removed there or written again, or the whole store, because another signal may be in its
        place; object stores are not checked for that.

    Raises
    ------
    StoreError
        If there is no store, or it is not an attention store.
    """
    objects = open_objects(path)
    hidden = _hidden(objects)  # before the root: whoever hides signals from readers changes it after the root
    root = objects.get(ROOT, ROOT_BYTES)
    if root is None:
        raise StoreError(
            f"no store at {objects.url}; build one with: python -m vitime_cache build --store {objects.url}"
        )
    try:
        config, labels, arrays = _read_metadata(root)
        signals = _Signals(objects, config, arrays, hidden)
        store = CheckedStore(objects, without_verdicts(root), arrays, signals.wrote, signals.describe, signals.still)
        ds = xr.open_zarr(store, chunks=None, consolidated=True, create_default_indexes=False)
        names = ds.variables[SIGNAL].load()
        signals.names = _checked_names(names.values)
        # The schema gives the dimensions' coordinates: reading them from the store would double the time.
        ds = validate(ds.assign_coords(xr.Coordinates({SIGNAL: names} | labels)))
        for variable in ds.variables.values():  # `to_zarr` of one signal fails if the layout of several is still noted
            variable.encoding = {name: of for name, of in variable.encoding.items() if name not in ("shards", "chunks")}
        return ds
    except (ValueError, TypeError, KeyError, AttributeError) as error:  # any fault in foreign metadata
        if _hidden(objects) != hidden:  # a signal was removed in between
            return open_store(path)
        if format_of(manifest := objects.get(MANIFEST)) not in (FORMAT, *OLDER):
            Manifest.from_bytes(manifest or b"", objects.url)  # raises
        told = str(error).removeprefix(f"{objects.url}: ")
        raise StoreError(f"{objects.url} is not an attention store, or a damaged one: {told}") from error


def _read_metadata(root: bytes) -> tuple[ViTimeConfig, dict[str, np.ndarray], dict[str, Layout]]:
    """Check a root; return its config, the values of the dimensions' coordinates, and the layout of every array."""
    record = read_root(root)
    if record is None:
        raise StoreError(f"{ROOT} is damaged")
    attributes = read_json(json.dumps(record.get("attributes")), dict[str, str], "its attributes", error=StoreError)
    if len(attributes) > MOST_ATTRIBUTES:
        raise StoreError(f"{len(attributes):,} attributes are beyond the {MOST_ATTRIBUTES:,} that a store can hold")
    config = read_json(attributes["config"], ViTimeConfig, "its config", error=StoreError)
    check_config(config)
    nodes = record["consolidated_metadata"]["metadata"]
    count = published(root)
    lengths = [nodes[name]["shape"][0] for name in (TIME, COMPONENT)]
    if count is None or not all(type(length) is int for length in lengths):
        raise StoreError("its axes have no lengths")
    check_lengths(count, *lengths)
    known = coordinates(config, *lengths)
    sizes = {name: len(values) for name, (dimension, values) in known.items() if name == dimension} | {SIGNAL: count}
    dims = {name: (SIGNAL, *variable.dims) for name, variable in VARIABLES.items()}
    dims |= {name: (dimension,) for name, (dimension, _) in known.items()}
    dims |= dict.fromkeys((SIGNAL, *SIGNAL_COORDINATES), (SIGNAL,))
    arrays = {}
    for name, node in nodes.items():
        if f"{name}/".startswith(EVIDENCE):
            continue
        if name not in dims:
            raise StoreError(f"it holds {name!r:.60}, which does not belong in an attention store")
        arrays[name] = layout = layout_of(name, node)
        expected = tuple(sizes[dimension] for dimension in dims[name])
        if (layout.dims, layout.shape) != (dims[name], expected):
            raise StoreError(f"{name} has the axes {layout.dims} of lengths {layout.shape}, expected {expected}")
        if name in VARIABLES and layout.block[0] != 1:
            raise StoreError(f"the objects of {name} hold {layout.block[0]} signals, expected one")
    labels = {name: values for name, (dimension, values) in known.items() if name == dimension and name in arrays}
    return config, labels, arrays


def _checked_names(names: np.ndarray) -> list[str]:
    texts = [str(name) for name in names]
    if not (all(texts) and "".join(texts).isprintable()):  # one call for all names: there may be 100 000
        raise StoreError("the names of its signals are not printable")
    if len(set(texts)) < len(texts):
        raise StoreError("two of its signals share a name")
    return texts


class _Signals:
    """Looks up in the journal what a missing or damaged object of a signal is, and whether the signals are the same."""

    def __init__(self, objects: Objects, config: ViTimeConfig, arrays: dict[str, Layout], hidden: bytes | None) -> None:
        self._objects, self._config, self._arrays, self._hidden = objects, config, arrays, hidden
        self.names: list[str] = []

    def still(self) -> None:
        """Raise StoreError if signals were hidden from readers since the store was opened, or it is another store."""
        # Where nothing is left, what is read is missing, and reading it says so.
        if _hidden(self._objects) != self._hidden and self._objects.sizes_of([ROOT]):
            raise StoreError(
                f"{self._objects.url}: since it was opened a signal was removed or written again, or the store "
                "replaced by another, so that another signal may be in its place; open it again"
            )

    def wrote(self, key: str) -> bool:
        """Whether an object was written, as far as the journal can tell; coordinates always are."""
        if key.partition("/")[0] not in VARIABLES:
            return True
        place = _place(key)
        lines = (self._objects.get(page_key(page_of(place)), PAGE_BYTES) or b"").splitlines()
        marker = next((found for found in map(Marker.from_bytes, lines) if found and found.index == place), None)
        return marker is None or key in marker.objects

    def describe(self, key: str, number: int | None) -> str:
        """Name signal, layer and head of an object or of a chunk in it, and the object itself."""
        name = key.partition("/")[0]
        if name not in VARIABLES:
            return key
        place = _place(key)
        who = repr(self.names[place]) if place < len(self.names) else str(place)
        inner = () if number is None else np.unravel_index(number, self._arrays[name].inner)[1:]
        return locate(who, self._config.layers, key, [int(at) for at in inner])


def _hidden(objects: Objects) -> bytes | None:
    """The bytes that change whenever signals are hidden from readers or a store is begun; None in an object store.

    There, asking after each object would double the requests.
    """
    return objects.get(HIDDEN, 64) if objects.locks else None


def _place(key: str) -> int:
    return int(key.partition("/c.")[2].partition(".")[0])


def locate(signal: str, layers: tuple[str, ...], key: str, inner: list[int] | tuple[int, ...] = ()) -> str:
    """Name signal, layer and head of an object or of an inner chunk of it, and the object itself.

    Parameters
    ----------
    signal
        The signal's name in quotes.
    inner
        Numbers of layer and head, or of the layer, or empty.
    """
    words = [f"signal {signal}", *(f"layer {layers[number]}" for number in inner[:1])]
    return f"{', '.join([*words, *(f'head {number}' for number in inner[1:2])])}: {key}"
