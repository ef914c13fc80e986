"""A series under other weights: in stores that hold the same samples, and run here."""

from __future__ import annotations

from dataclasses import dataclass, replace

import xarray as xr

from vitime_cache.attention import schema
from vitime_cache.errors import VitimeError
from vitime_cache.evidence.question import series_hash
from vitime_cache.ui import own
from vitime_cache.ui.shared import shared
from vitime_cache.ui.stores import Store, stores
from vitime_cache.ui.weights import WeightsFile


@dataclass(frozen=True)
class Elsewhere:
    """The same series in another store, under other weights."""

    store: Store
    signal: str

    @property
    def weights(self) -> str:
        """Name of those weights."""
        return str(self.store.dataset.attrs["weights"])


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


def run_under(ds: xr.Dataset, weights: WeightsFile) -> None:
    """Run other weights on a Dataset's signal, with its history and horizon, and keep the result like an own series."""
    own.make_room()
    signal = replace(schema.signal_of(ds), reduced_of="")
    own.run([signal], _kept(ds, weights).path, weights, "none")


def under(ds: xr.Dataset, weights: WeightsFile) -> xr.Dataset | None:
    """The result that `run_under` kept; None if there is none."""
    found = _kept(ds, weights)
    return found.signal(found.signals[0]) if found.signals else None  # none while another session builds it


def _kept(ds: xr.Dataset, weights: WeightsFile) -> Store:
    """Where `run_under` keeps its result; not in the store of the series itself, which also holds the whole."""
    return own.small_store(own.hashed("under", schema.signal_of(ds).fingerprint, weights.info.sha256))


@shared(16)
def _by_series(store: Store) -> dict[str, str]:
    """Key of a series with its horizon -> its name in a store."""
    ds = store.dataset[[schema.HISTORY]].load()
    return {_key(ds.sel({schema.SIGNAL: name})): str(name) for name in ds[schema.SIGNAL].values}


def _key(ds: xr.Dataset) -> str:
    history = ds[schema.HISTORY].values[: int(ds[schema.N_HISTORY])]
    return f"{series_hash(history)}|{int(ds[schema.HORIZON])}"
