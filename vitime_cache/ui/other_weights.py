"""Other weights for a series: stores that hold it by its samples, and weights files that it can be run with."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import streamlit as st
import xarray as xr

from vitime_cache import places
from vitime_cache.attention import schema
from vitime_cache.errors import VitimeError
from vitime_cache.evidence.question import series_hash
from vitime_cache.model.checkpoint import CheckpointError, peek
from vitime_cache.model.config import ViTimeConfig, WeightsInfo
from vitime_cache.ui.stores import Store, stores

ENDINGS = (".safetensors", ".pth")  # of files in weights/ that a person may choose
MOST_FILES = 40


@dataclass(frozen=True)
class WeightsFile:
    """A file in `weights/`, as far as it can be told without reading its numbers; `error` where it cannot."""

    path: Path
    config: ViTimeConfig | None
    info: WeightsInfo | None
    error: str = ""


@dataclass(frozen=True)
class Elsewhere:
    """A series as another store has it, under other weights."""

    store: Store
    signal: str

    @property
    def weights(self) -> str:
        """Name of those weights."""
        return str(self.store.dataset.attrs["weights"])


def weights_files() -> list[WeightsFile]:
    """The files in `weights/`, by name."""
    try:
        paths = sorted(path for path in places.WEIGHTS.iterdir() if path.suffix in ENDINGS and path.is_file())
    except OSError:
        return []
    return [_described(str(path), path.stat().st_mtime_ns) for path in paths[:MOST_FILES]]


def elsewhere(ds: xr.Dataset) -> list[Elsewhere]:
    """Where else this series is kept, with its horizon, under other weights; stores that cannot be read are passed."""
    wanted, found = _key(ds), []
    for store in stores().values():
        try:
            if store.stamp is None or store.dataset.attrs["weights_sha256"] == ds.attrs["weights_sha256"]:
                continue
            name = _by_series(str(store.path), str(store.stamp), store).get(wanted)
        except (VitimeError, OSError, KeyError):
            continue
        if name is not None:
            found.append(Elsewhere(store, name))
    return found


@st.cache_data(max_entries=16, show_spinner=False)
def _by_series(path: str, stamp: str, _store: Store) -> dict[str, str]:  # noqa: ARG001 - the cache goes by them
    """Series with its horizon -> the name it has in a store."""
    ds = _store.dataset[[schema.HISTORY]].load()
    return {_key(ds.sel({schema.SIGNAL: name})): str(name) for name in ds[schema.SIGNAL].values}


def _key(ds: xr.Dataset) -> str:
    history = ds[schema.HISTORY].values[: int(ds[schema.N_HISTORY])]
    return f"{series_hash(history)}|{int(ds[schema.HORIZON])}"


@st.cache_data(max_entries=64, show_spinner=False)
def _described(path: str, modified: int) -> WeightsFile:  # noqa: ARG001 - a file that has changed is another
    try:
        config, info = peek(path)
    except (CheckpointError, OSError) as error:
        return WeightsFile(Path(path), None, None, str(error))
    return WeightsFile(Path(path), config, info)
