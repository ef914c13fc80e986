"""The head that pages open on; a store's sweep of periods is read once and cached."""

from __future__ import annotations

import streamlit as st
import xarray as xr

from vitime_cache.evidence.levels.tracking import Tracking
from vitime_cache.study import first_head as study
from vitime_cache.ui.stores import KEY, Store
from vitime_cache.ui.verdicts import verdict_at


def tracked(store: Store | None, ds: xr.Dataset) -> Tracking | None:
    """How every head tracks the store's sweep; None without a sweep, or if it is of other weights than `ds`."""
    if store is None or store.stamp is None or store.dataset.attrs["weights_sha256"] != ds.attrs["weights_sha256"]:
        return None
    return _track(str(store.path), str(store.stamp), store)


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
    return _first_head(ds, verdict, tracked(store, ds))


@st.cache_data(max_entries=64, show_spinner=False, hash_funcs={xr.Dataset: lambda ds: ds.attrs[KEY], Tracking: id})
def _first_head(ds: xr.Dataset, verdict: xr.Dataset | None, tracking: Tracking | None) -> tuple[str, int, str]:
    return study.first_head(ds, verdict, tracking)


@st.cache_resource(max_entries=8, show_spinner=False)  # one object for each store, by which `_first_head` knows it
def _track(path: str, stamp: str, _store: Store) -> Tracking | None:  # noqa: ARG001 - path and stamp are the cache's key
    return study.sweep_tracking(_store.dataset)
