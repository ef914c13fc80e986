"""Other weights for a series: stores that hold the same samples, and weights files to run it with."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import xarray as xr

from vitime_cache import places
from vitime_cache.attention import schema
from vitime_cache.errors import VitimeError
from vitime_cache.evidence.question import series_hash
from vitime_cache.model.checkpoint import CheckpointError, peek
from vitime_cache.model.config import ViTimeConfig, WeightsInfo
from vitime_cache.ui.shared import shared
from vitime_cache.ui.stores import Store, stores

ENDINGS = (".safetensors", ".pth")  # of the files in weights/ that are offered
MOST_FILES = 40


@dataclass(frozen=True)
class WeightsFile:
    """A file in `weights/`, described without reading its tensors; `error` if it cannot be described."""

    path: Path
    config: ViTimeConfig | None
    info: WeightsInfo | None
    error: str = ""


@dataclass(frozen=True)
class Elsewhere:
    """The same series in another store, under other weights."""

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
    return [_described(path, path.stat().st_mtime_ns) for path in paths[:MOST_FILES]]


def elsewhere(ds: xr.Dataset) -> list[Elsewhere]:
    """The other stores with this series and horizon under other weights; skips stores that cannot be read."""
    wanted, found = _key(ds), []
    for store in stores().values():
        try:
            if store.stamp is None or store.dataset.attrs["weights_sha256"] == ds.attrs["weights_sha256"]:
                continue
            name = _by_series(store).get(wanted)
        except (VitimeError, OSError, KeyError):
            continue
        if name is not None:
            found.append(Elsewhere(store, name))
    return found


@shared(16)
def _by_series(store: Store) -> dict[str, str]:
    """Key of a series with its horizon -> its name in a store."""
    ds = store.dataset[[schema.HISTORY]].load()
    return {_key(ds.sel({schema.SIGNAL: name})): str(name) for name in ds[schema.SIGNAL].values}


def _key(ds: xr.Dataset) -> str:
    history = ds[schema.HISTORY].values[: int(ds[schema.N_HISTORY])]
    return f"{series_hash(history)}|{int(ds[schema.HORIZON])}"


@shared(64)
def _described(path: Path, modified: int) -> WeightsFile:  # noqa: ARG001 - a file that has changed is another
    try:
        config, info = peek(path)
    except (CheckpointError, OSError) as error:
        return WeightsFile(path, None, None, str(error))
    return WeightsFile(path, config, info)
