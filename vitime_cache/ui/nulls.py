"""Does a head look there more than on null inputs? Asked on the page, answered by the model."""

from __future__ import annotations

import numpy as np
import streamlit as st
import xarray as xr

from vitime_cache.attention.lags import Region
from vitime_cache.evidence.null_test import NULLS_OF_A_KIND, Dependence, against_nulls, lags_to_test
from vitime_cache.evidence.surrogates import NullError
from vitime_cache.model.checkpoint import CheckpointError
from vitime_cache.model.encoding import EncodingError
from vitime_cache.ui import live
from vitime_cache.ui.choice import head_index
from vitime_cache.ui.engine import EngineError, engine
from vitime_cache.ui.figures import statement
from vitime_cache.ui.stores import KEY

WORDS = {"shuffled": "shuffled", "ar1": "AR(1)", "notched": "without that period"}
ERRORS = (CheckpointError, EncodingError, EngineError, NullError, MemoryError)


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
    nulls = ", ".join(f"{NULLS_OF_A_KIND} {WORDS[kind]} (p = {p:.2f})" for kind, p in found.p_value.items())
    many = found.exceeded[..., 0].size
    where = "two patches or more back" if period is None else f"one period back, {_samples(found.lags)}"
    if len(exceeded):
        statement(
            "signal-dependent",
            f"**It looks {_samples(exceeded)} back more than on null inputs**: above the one-sided 5 % band, over all "
            f"{many} heads together, of each of {nulls}.",
        )
    else:
        statement(
            "descriptive",
            f"It is **not shown to look there more than on null inputs**: {where}, it stays within a one-sided 5 % "
            f"band over all {many} heads together. The most that any head strays, against {nulls}.",
        )


def _asked(ds: xr.Dataset, region: Region, period: float | None, question: object) -> Dependence | None:
    """The button, and the answer once it was pressed; what is in the way becomes its message."""
    try:
        path, _, weights = live.default_weights()
    except CheckpointError:
        return None  # the Live page says where weights belong
    if weights.sha256 != ds.attrs["weights_sha256"]:
        st.caption(f"Null inputs cannot be run: the weights at hand, {weights.name}, are not those of this signal.")
        return None
    st.button(
        "Compare with null inputs", icon=":material/casino:", key="null_inputs",
        on_click=lambda: st.session_state.update(null_question=question),
        help="Runs the model on shuffled and AR(1) copies of the history, and on copies without the period P, and asks "
        "whether any head looks one period back more than on those. Without P it asks about every lag.",
    )  # fmt: skip
    if st.session_state.pop("null_question", None) != question:
        return None
    bar = st.progress(0.0, f"{weights.name}: starting")
    history = ds["history"].values[np.isfinite(ds["history"].values)]
    try:
        lags_to_test(ds, period=period, region=region)  # or a message at once
        curves = engine().null_curves(
            history, int(ds["horizon"]), path, period, region, lambda share, step: bar.progress(share, step)
        )
        return against_nulls(ds, curves, period=period, region=region)
    except ERRORS as error:
        st.warning(str(error), icon=":material/info:")
        return None
    finally:
        bar.empty()


def _samples(lags: np.ndarray) -> str:
    return ", ".join(f"{lag:g}" for lag in lags[:6]) + (" … samples" if len(lags) > 6 else " samples")
