"""The head that pages open on; a store's sweep of periods is read once and cached."""

from __future__ import annotations

import xarray as xr

from vitime_cache.evidence.levels.tracking import Tracking
from vitime_cache.study import first_head as study
from vitime_cache.ui.shared import shared
from vitime_cache.ui.stores import Store
from vitime_cache.ui.verdicts import verdict_at


def tracked(store: Store | None, ds: xr.Dataset) -> Tracking | None:
    """How every head tracks the store's sweep; None without a sweep, or if it is of other weights than `ds`."""
    if store is None or store.stamp is None or store.dataset.attrs["weights_sha256"] != ds.attrs["weights_sha256"]:
        return None
    return _track(store)


def first_head(store: Store | None, ds: xr.Dataset, period: float | None) -> tuple[str, int, str]:
    """The head that pages open on: layer, head, and the reason.

    Parameters
    ----------
    period
        In samples. If there is no answer about it, the latest answer about the signal decides.
    """
    verdict = verdict_at(ds, period)
    if verdict is None and period is not None:
        verdict = verdict_at(ds, None)
    return _first_head(ds, verdict, store)


@shared(64)
def _first_head(ds: xr.Dataset, verdict: xr.Dataset | None, store: Store | None) -> tuple[str, int, str]:
    return study.first_head(ds, verdict, tracked(store, ds))


@shared(8)
def _track(store: Store) -> Tracking | None:
    return study.sweep_tracking(store.dataset)
