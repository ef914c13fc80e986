"""What the pages claim of a head: more than on null inputs? does its peak move with the period?"""

from __future__ import annotations

import numpy as np
import streamlit as st
import xarray as xr
from numpy.typing import ArrayLike

from vitime_cache.attention import schema
from vitime_cache.attention.lags import Region
from vitime_cache.errors import VitimeError
from vitime_cache.evidence.null_test import NULLS_OF_A_KIND, Dependence, against_nulls, lags_to_test
from vitime_cache.model.checkpoint import CheckpointError
from vitime_cache.ui import runs
from vitime_cache.ui.address import head_index
from vitime_cache.ui.chart import statement
from vitime_cache.ui.processes.engine import engine
from vitime_cache.ui.stores import KEY, Store
from vitime_cache.ui.sweep import tracked
from vitime_cache.ui.words import notice, plain

WORDS = {"shuffled": "shuffled", "ar1": "AR(1)", "notched": "without that period"}


def dependence_statement(ds: xr.Dataset, layer: str, head: int, region: Region, period: float | None) -> None:
    """Whether a head looks one period back more than on null inputs; a button runs the model on them."""
    tests: dict[object, Dependence] = st.session_state.setdefault("null_tests", {})
    question = ds.attrs[KEY], region, period
    if question not in tests:
        found = _asked(ds, region, period, question)
        if found is None:
            return
        tests[question] = found
    found = tests[question]
    at = head_index(ds, layer, head)
    exceeded = found.lags[found.exceeded[at]]
    many = found.exceeded[..., 0].size
    nulls = ", ".join(f"{NULLS_OF_A_KIND} {WORDS[kind]}" for kind in found.p_value)
    p_values = ", ".join(f"{p:.2f} against {WORDS[kind]}" for kind, p in found.p_value.items())
    where = "two patches or more back" if period is None else f"one period back, {_samples(found.lags)}"
    band = f"the one-sided 5 % band, over all {many} heads together, of each of {nulls} inputs"
    if len(exceeded):
        statement(
            "signal-dependent",
            f"**{layer}, head {head} looks {_samples(exceeded)} back more than on null inputs**: above {band}.",
        )
    else:
        statement(
            "descriptive",
            f"{layer}, head {head} is **not shown to look there more than on null inputs**: {where}, it does not stay "
            f"above {band}.",
        )
    st.caption(
        f"Heads that pass: {_heads(ds, found.exceeded.any(axis=-1))}. p, of whichever head strays most and of no one "
        f"head: {p_values}; {1 / (NULLS_OF_A_KIND + 1):.2f} is the least that {NULLS_OF_A_KIND} inputs of a kind can "
        "give. This asks about one lag on this one signal; tracking asks whether the peak moves with the period over "
        "other signals. Either may hold without the other."
    )


def _asked(ds: xr.Dataset, region: Region, period: float | None, question: object) -> Dependence | None:
    """The button, and the answer once it was pressed; what is in the way becomes its message."""
    try:
        path, _, weights = runs.default_weights()
    except CheckpointError:
        return None  # the Live page says where weights belong
    if weights.sha256 != ds.attrs["weights_sha256"]:
        at_hand = plain(weights.name)
        st.caption(f"Null inputs cannot be run: the weights at hand, {at_hand}, are not those of this signal.")
        return None
    st.button(
        "Compare with null inputs", icon=":material/casino:", key="null_inputs",
        on_click=lambda: st.session_state.update(null_question=question),
        help="Runs the model on shuffled and AR(1) copies of the history, and on copies without the period P, and asks "
        "whether any head looks one period back more than on those. Without P it asks about every lag.",
    )  # fmt: skip
    if st.session_state.pop("null_question", None) != question:
        return None
    bar = st.progress(0.0, f"{plain(weights.name)}: starting")
    history = ds[schema.HISTORY].values[np.isfinite(ds[schema.HISTORY].values)]
    try:
        lags_to_test(ds, period=period, region=region)  # or a message at once
        curves = engine().null_curves(
            history, int(ds[schema.HORIZON]), path, period, region, lambda share, step: bar.progress(share, step)
        )
        return against_nulls(ds, curves, period=period, region=region)
    except (VitimeError, MemoryError) as error:
        notice(error)
        return None
    finally:
        bar.empty()


def _heads(ds: xr.Dataset, passing: ArrayLike) -> str:
    """ "encoder.0: 1, 4; decoder.1: 6", or "none"."""
    layers = [str(layer) for layer in ds[schema.LAYER].values]
    named = [
        f"{layer}: {', '.join(map(str, np.flatnonzero(row)))}"
        for layer, row in zip(layers, np.asarray(passing), strict=True)
        if row.any()
    ]
    return "; ".join(named) or "none"


def _samples(lags: np.ndarray) -> str:
    return ", ".join(f"{lag:g}" for lag in lags[:6]) + (" … samples" if len(lags) > 6 else " samples")


def tracking_statement(store: Store | None, ds: xr.Dataset, layer: str, head: int) -> None:
    """Whether the first lag peak of a head moves with the period, over the sweep that the same weights were run on."""
    found = tracked(store, ds)
    if found is None:
        st.caption("Whether the peak moves with the period cannot be said: the store holds no sweep of periods.")
        return
    at = head_index(ds, layer, head)
    periods = f"{len(found.periods)} sines of {found.periods.min():.0f}–{found.periods.max():.0f} samples"
    moved = (
        f"over {periods}, less what position alone gives, its first peak moves by {found.slope[at]:.2f} samples "
        f"per sample of period (R² {found.r_squared[at]:.2f}, a peak at {found.found[at]:.0%} of the periods)"
    )
    if found.tracks[at]:
        statement("tracking", f"{layer}, head {head}: {moved}. **It tracks the period**, if it was not chosen on this "
                  "sweep.")  # fmt: skip
    else:
        statement("descriptive", f"{layer}, head {head}: {moved}. **It is not shown to track the period**, which takes "
                  "a slope near 1.")  # fmt: skip
    st.caption(f"Heads that pass: {_heads(ds, found.tracks)}.")
