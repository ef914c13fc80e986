"""Does a head track the period? What the period sweep in a store says."""

from __future__ import annotations

import numpy as np
import streamlit as st
import xarray as xr

from vitime_cache.attention import schema
from vitime_cache.evidence.tracking import Tracking, track_periods
from vitime_cache.ui.choice import head_index
from vitime_cache.ui.figures import statement
from vitime_cache.ui.stores import Store

SWEEP = "sweep_"  # how the catalogue names the signals of its sweep
UNRELATED = ("ar1", "white_noise", "constant")
FEWEST = 3  # periods that a slope can be taken over


def tracking_statement(store: Store | None, ds: xr.Dataset, layer: str, head: int) -> None:
    """Whether the first lag peak of a head moves with the period, over the sweep that the same weights were run on."""
    if store is None or store.stamp is None or store.dataset.attrs["weights_sha256"] != ds.attrs["weights_sha256"]:
        return
    found = _tracked(store)
    if found is None:
        st.caption("Whether the peak moves with the period cannot be said: the store holds no sweep of periods.")
        return
    at = head_index(ds, layer, head)
    periods = f"{len(found.periods)} sines of {found.periods.min():.0f}–{found.periods.max():.0f} samples"
    moved = (
        f"Over {periods}, less what position alone gives, its first peak moves by {found.slope[at]:.2f} samples "
        f"per sample of period (R² {found.r_squared[at]:.2f}, a peak at {found.found[at]:.0%} of the periods)"
    )
    if found.tracks[at]:
        statement("tracking", f"{moved}: **it tracks the period**, if it was not chosen on this sweep.")
    else:
        statement("descriptive", f"{moved}: **it is not shown to track the period**, which takes a slope near 1.")


def _tracked(store: Store) -> Tracking | None:
    return _track(str(store.path), str(store.stamp), store)


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
        sweep["lag_attention"].values,
        np.nanmax(sweep["component_period"].values, axis=1),
        float(sweep["samples_per_patch"].values[0]),
        ds["lag_attention"].sel({schema.SIGNAL: unrelated}).values,
    )
