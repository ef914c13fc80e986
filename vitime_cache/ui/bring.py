"""Choose a series: a stored signal, a file, pasted numbers or a composed series, side by side."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress

import streamlit as st

from vitime_cache.attention import schema
from vitime_cache.errors import VitimeError
from vitime_cache.series.examples import EXAMPLE
from vitime_cache.series.sources import Signal, catalogue
from vitime_cache.ui import own
from vitime_cache.ui.address import choose_signal, stored_signals
from vitime_cache.ui.compose import composed, pasted, uploaded
from vitime_cache.ui.folds import popped_up
from vitime_cache.ui.processes.engine import engine
from vitime_cache.ui.stores import Store
from vitime_cache.ui.verdicts import Subject
from vitime_cache.ui.weights import default_weights
from vitime_cache.ui.words import complain, plain, weights_note

BROUGHT = "brought"  # session key of the fingerprint of the last series from each input
FAILURES = (VitimeError, MemoryError, OSError)


def choose_subject(store: Store | None) -> Subject | None:
    """The series to ask about; the example if there is nothing else. None if it fails, with a message in place."""
    with suppress(VitimeError):  # no weights: a run says so
        engine().prepare(default_weights().path)  # a run is likely, and the process takes seconds to start
    signal_, file, numbers = st.columns([1, 1, 1], gap="medium")
    with file:
        taken = _bring(uploaded)
    with numbers:
        taken &= _bring(pasted)
        if place := popped_up("Compose a series of harmonics", "compose", icon=":material/waves:"):
            with place:
                taken &= _bring(composed)
    if not (store is not None and stored_signals(store)) and not own.options():
        try:
            option = _taken_in(next(each for each in catalogue() if each.name == EXAMPLE))
        except FAILURES as error:
            complain(error)
            return None
        if not {"q", "signal", "store"} & set(st.query_params):  # what an address names may come back
            _go_to(option)
    with signal_:
        ds = choose_signal(store, "A stored signal, or a series of yours", where=st)
    if not taken:
        st.warning(f"What follows is about {plain(str(ds[schema.SIGNAL].item()))}: the series above is not read yet.")
    weights_note(ds)
    return Subject.of(ds)


def _bring(way: Callable[[], Signal | None]) -> bool:
    """Show one input and run the model on its series, unless it is the same as before; errors appear in place.

    Returns whether there was none.
    """
    before = f"{BROUGHT}_{way.__name__}"
    try:
        signal = way()
        if signal is not None and st.session_state.get(before) != signal.fingerprint:
            option = _taken_in(signal)
            st.session_state[before] = signal.fingerprint
            _go_to(option)
    except FAILURES as error:
        complain(error)
        return False
    if signal is None:  # once emptied, the input may bring the same series again
        st.session_state.pop(before, None)
    return True


def _taken_in(signal: Signal) -> str:
    with st.spinner(f"The model runs on {plain(signal.name)}"):
        return own.keep(signal)


def _go_to(option: str) -> None:
    """Show an own series, under its short address."""
    st.query_params.from_dict({"signal": option, "q": option.removeprefix(own.PREFIX)})
    st.rerun()
