"""Stores in one folder, opened once and again when they grow, and their signals as Datasets in memory."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import streamlit as st
import xarray as xr

from vitime_cache.atomic import FileStamp, file_stamp
from vitime_cache.attention import schema
from vitime_cache.charts.style import thin
from vitime_cache.errors import VitimeError, in_words
from vitime_cache.places import store_folder
from vitime_cache.store.locations import open_objects
from vitime_cache.store.manifest import MANIFEST, ROOT, ROOT_BYTES, Manifest
from vitime_cache.store.objects import StoreError, stamp
from vitime_cache.store.reader import open_store
from vitime_cache.store.root import without_verdicts
from vitime_cache.ui.shared import END, KEY, shared
from vitime_cache.ui.words import end_page, plain

Stamp = tuple[str, int]
MOST_IN_MEMORY = 512_000_000  # bytes of signals, over all sessions
ROWS = 100  # of the contents table, each with a plot
PLOT_POINTS = 120
DRAWN = ("history scaled to 0 … 1", "median forecast on that scale")  # so named in a download, as they are no samples
UNREADABLE = (VitimeError, OSError, KeyError)  # of a vanished or damaged store


@dataclass(frozen=True)
class Store:
    """A store at the moment of a rerun.

    Attributes
    ----------
    stamp
        Changes whenever a build publishes a signal, but not when verdicts are kept; None before anything is published.
    """

    name: str
    path: Path
    stamp: Stamp | None

    @property
    def signals(self) -> list[str]:
        """Names of its complete signals."""
        return [] if self.stamp is None else list(_names(self))

    @property
    def dataset(self) -> xr.Dataset:
        """All complete signals, lazily."""
        return _open(self)

    def signal(self, name: str) -> xr.Dataset:
        """One signal; token attention stays on disk, the rest is in memory."""
        return _load(self, name)


def folder() -> Path:
    """The only folder the app reads stores from and writes them to."""
    return Path(os.path.realpath(store_folder()))  # `resolve` fails for a link to itself


def stores() -> dict[str, Store]:
    """The stores in the folder by name. A name from an address is only looked up here, never made into a path."""
    found = sorted(path for path in folder().glob("*.zarr") if path.is_dir() and not path.is_symlink())
    return {path.name: store_at(path) for path in found}


def store_at(path: Path) -> Store:
    """The store at a path, in its present state."""
    return Store(path.name, path, _stamp(path))


def store_of(ds: xr.Dataset) -> Path:
    """The store that a signal's Dataset was read from."""
    return Path(str(ds.attrs[KEY]).partition(END)[0])


def planned(store: Store) -> Manifest | None:
    """The manifest of a store, or None if it has none; shows why one cannot be read."""
    try:
        stamp = _file_stamp(store.path, MANIFEST)
    except (OSError, StoreError):
        return None
    try:
        return _manifest(store.path, stamp)
    except UNREADABLE as error:
        _say_unreadable(store, error)
        return None


def readable(store: Store) -> bool:
    """Whether the signals of a store can be listed; shows why not."""
    try:
        _ = store.signals
    except UNREADABLE as error:
        _say_unreadable(store, error)
        return False
    return True


@contextmanager
def reading(store: Store) -> Iterator[None]:
    """Show the error of a vanished or damaged store as a message, and end the page there."""
    try:
        yield
    except UNREADABLE as error:
        _say_unreadable(store, error)
        end_page()


def _say_unreadable(store: Store, error: Exception) -> None:
    st.error(f"{plain(store.name)} cannot be read: {plain(in_words(error))}", icon=":material/error:")


@shared(16)
def contents(store: Store, names: Sequence[str]) -> pd.DataFrame:
    """One row per signal: its coordinates, and `DRAWN`, history and median forecast scaled for a small plot."""
    ds = store.dataset.sel({schema.SIGNAL: list(names)})
    table = pd.DataFrame({"signal": names})
    for name in (schema.DESCRIPTION, schema.N_HISTORY, schema.HORIZON, schema.SAMPLES_PER_PATCH, schema.REDUCED_OF):
        table[name] = ds[name].values
    medians = ds[schema.FORECAST_QUANTILE].sel({schema.QUANTILE: 0.5}, method="nearest").values
    pairs = [_on_one_scale(*rows) for rows in zip(ds[schema.HISTORY].values, medians, strict=True)]
    for name, rows in zip(DRAWN, zip(*pairs, strict=True), strict=True):
        table[name] = list(rows)
    return table


def _on_one_scale(*rows: np.ndarray) -> tuple[list[float], ...]:
    """Finite values, thinned to their envelope, scaled to 0 … 1 between the least and the greatest of all rows.

    Every tenth sample of a period of eleven would be drawn as another period.
    """
    known = [row[np.isfinite(row)].astype(np.float64) for row in rows]
    everything = np.concatenate([*known, [np.nan]])
    low, span = np.nanmin(everything, initial=np.inf), float(np.ptp(everything[:-1])) if len(everything) > 1 else 0.0
    return tuple(
        [float((value - low) / span) if span else 0.5 for value in thin(np.arange(len(row)), row, PLOT_POINTS)["value"]]
        for row in known
    )


def _stamp(path: Path) -> Stamp | None:
    noted = path / schema.COMPLETE
    try:
        content = _content(path, _file_stamp(path, ROOT))
        # Rewriting a signal leaves the root the same, but changes this folder while the signal is incomplete.
        return content, noted.stat().st_mtime_ns if noted.is_dir() else 0
    except OSError:
        return None
    except StoreError as error:  # shown when the store is opened; must not block the other stores
        return str(error), 0


def _file_stamp(path: Path, key: str) -> FileStamp:
    """A value that changes whenever a file of a store does; OSError if it is missing, StoreError if not a file."""
    open_objects(path).sizes_of([key])
    return file_stamp(path / key)


@shared(64)
def _content(path: Path, root: FileStamp) -> str:  # noqa: ARG001 - the stamp is part of the cache key
    """Hash of the root of a store without its verdicts, which may change at any time."""
    return stamp([without_verdicts(open_objects(path).get(ROOT, ROOT_BYTES))])[1]


@shared(16)
def _manifest(path: Path, stamp: FileStamp) -> Manifest:  # noqa: ARG001 - the stamp is part of the cache key
    return Manifest.from_bytes(open_objects(path).get(MANIFEST) or b"", str(path))


@shared(16)
def _open(store: Store) -> xr.Dataset:
    if store.stamp is None:
        raise StoreError(f"{store.name} holds no complete signal yet")
    ds = open_store(store.path)
    # A description takes 8 kB in memory, and is only needed for the rows of a table.
    return ds.assign_coords({name: ds[name].load() for name in ds.coords if name != schema.DESCRIPTION})


@shared(16)
def _names(store: Store) -> tuple[str, ...]:
    return tuple(map(str, store.dataset[schema.SIGNAL].values))


def _in_memory(ds: xr.Dataset) -> int:
    return sum(variable.nbytes for name, variable in ds.variables.items() if name != schema.TOKEN_ATTENTION)


@shared(MOST_IN_MEMORY, size=_in_memory)  # a signal of the published model is many times as large as a small one's
def _load(store: Store, name: str) -> xr.Dataset:
    lazy = store.dataset.sel({schema.SIGNAL: name})
    end = int(lazy[schema.N_HISTORY]) + int(lazy[schema.HORIZON])
    known = int(np.isfinite(lazy[schema.COMPONENT_PERIOD].values).sum())
    lazy = lazy.isel({schema.TIME: slice(0, end), schema.COMPONENT: slice(0, known)})  # without this signal's padding
    loaded = lazy.drop_vars(schema.TOKEN_ATTENTION, errors="ignore").load()
    if schema.TOKEN_ATTENTION in lazy:
        loaded[schema.TOKEN_ATTENTION] = lazy[schema.TOKEN_ATTENTION]
    return loaded.assign_attrs({KEY: f"{store.path}{END}{store.stamp}:{name}"})
