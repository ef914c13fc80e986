"""The sweep of periods that a store holds: which heads' peaks move with the period, and which does so best."""

from __future__ import annotations

import numpy as np
import streamlit as st
import xarray as xr

from vitime_cache.attention import schema
from vitime_cache.errors import VitimeError
from vitime_cache.evidence.levels.tracking import Tracking, choose_head, track_periods
from vitime_cache.model.checkpoint import PUBLISHED_NAME
from vitime_cache.study.defaults import study_head
from vitime_cache.ui.stores import Store
from vitime_cache.ui.verdicts import leading_head, verdict_at

SWEEP = "sweep_"  # how the catalogue names the signals of its sweep
UNRELATED = ("ar1", "white_noise", "constant")
FEWEST = 3  # periods that a slope can be taken over


def tracked(store: Store | None, ds: xr.Dataset) -> Tracking | None:
    """Every head over the store's sweep; None without one, or where it is of other weights than `ds`."""
    if store is None or store.stamp is None or store.dataset.attrs["weights_sha256"] != ds.attrs["weights_sha256"]:
        return None
    return _track(str(store.path), str(store.stamp), store)


def first_head(store: Store | None, ds: xr.Dataset) -> tuple[str, int, str]:
    """The head that pages open on, and why: layer, head, reason.

    Head 7 of the last layer is a head of the published weights; of others it says nothing.
    """
    layers, heads = [str(layer) for layer in ds[schema.LAYER].values], ds.sizes[schema.HEAD]
    verdict = verdict_at(ds, None)
    if verdict is not None and (at := leading_head(verdict)) is not None:
        return *at, "the answer rests on it most"
    if ds.attrs["weights"] == PUBLISHED_NAME.removesuffix(".pth"):
        return *study_head(layers, heads), "the head that the reference study looks at"
    found = tracked(store, ds)
    try:
        layer, head = choose_head(found) if found is not None else (-1, 0)
    except VitimeError:  # no head has peaks at three periods
        layer, head = -1, 0
    if layer < 0:
        return layers[-1], 0, "the first of the last layer: there is no sweep of periods to choose by"
    return layers[layer], int(head), "of all heads it tracks the period best over this store's sweep"


@st.cache_data(max_entries=8, show_spinner=False)
def _track(path: str, stamp: str, _store: Store) -> Tracking | None:  # noqa: ARG001 - path and stamp are the cache's key
    ds = _store.dataset
    names = [name for name in _store.signals if name.startswith(SWEEP)]
    unrelated = [name for name in UNRELATED if name in _store.signals]
    if len(names) < FEWEST or not unrelated:
        return None
    sweep = ds.sel({schema.SIGNAL: names})
    return track_periods(
        ds[schema.LAG].values,
        sweep[schema.LAG_ATTENTION].values,
        np.nanmax(sweep[schema.COMPONENT_PERIOD].values, axis=1),
        float(sweep[schema.SAMPLES_PER_PATCH].values[0]),
        ds[schema.LAG_ATTENTION].sel({schema.SIGNAL: unrelated}).values,
    )
