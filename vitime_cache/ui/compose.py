"""Three ways to bring a series: a file, pasted numbers, harmonics. Unreadable input raises `SignalError`."""

from __future__ import annotations

import hashlib
import re

import streamlit as st

from vitime_cache.series.examples import FAST, HORIZON, MIDDLE, N_HISTORY, SLOW
from vitime_cache.series.sources import (
    ENDINGS,
    Harmonic,
    Signal,
    SignalError,
    compose,
    parse_values,
)
from vitime_cache.ui.reading import KEPT, Brought, chosen_series

TAKEN = "composed_taken"  # session key: whether the button was pressed
MOST_HARMONICS = 12  # rows to edit by hand; a file may hold any number
LONGEST = 100_000  # samples that can be composed here
_HEADER_OR_DATES = re.compile(r"[A-Za-z]\w*\s*[,;\t|].*\n|^\s*[A-Za-z]\w*\s*\n|\n\d+[-/]\d+[-/]")
_BRACKETS = re.compile(r"^\s*(\w*\()?\[|\]\)\s*$|[\[\]]")  # of a list or an array, as programs print it


def composed() -> Signal | None:
    """Rows of period, amplitude and phase that can be added and removed, and noise; the series, once requested."""
    rows: dict[int, Harmonic] = st.session_state.setdefault("harmonics", dict(enumerate((SLOW, MIDDLE, FAST))))
    harmonics = [_harmonic_row(row, rows[row]) for row in list(rows)]
    with st.container(horizontal=True, vertical_alignment="bottom"):
        st.button("Add a harmonic", icon=":material/add:", on_click=_add, disabled=len(rows) >= MOST_HARMONICS)
        noise = st.number_input(
            "Noise, standard deviation", 0.0, 1e6, 0.0, 0.05, key="noise", persist_state=KEPT, width=220
        )
        seed = int(st.number_input("Seed of the noise", 0, 2**31, 0, 1, key="seed", persist_state=KEPT, width=160))
        n = int(
            st.number_input(
                "Samples", 2, LONGEST, N_HISTORY + HORIZON, 1, key="n_samples", persist_state=KEPT, width=160
            )
        )
        name = st.text_input("Name", "composed", key="name_composed", persist_state=KEPT, max_chars=200, width=240)
    # A callback, because a fresh server runs its first page twice (see `routing`).
    st.button("Take this series", icon=":material/check:", key="take_composed", on_click=_take)
    if not st.session_state.pop(TAKEN, False):
        return None
    if not harmonics and not noise:
        raise SignalError("the series would be zero throughout: add a harmonic or noise")
    return compose(name.strip(), harmonics, n=n, horizon=HORIZON, noise=noise, seed=seed)


def _harmonic_row(row: int, start: Harmonic) -> Harmonic:
    with st.container(horizontal=True, vertical_alignment="bottom"):
        period = st.number_input(
            "Period, samples", 2.0, 1e6, start.period, 1.0, "%.3f", key=f"period_row_{row}", persist_state=KEPT
        )
        amplitude = st.number_input(
            "Amplitude", -1e6, 1e6, start.amplitude, 0.1, "%.3f", key=f"amplitude_{row}", persist_state=KEPT
        )
        phase = st.number_input(
            "Phase, radians", -1e4, 1e4, start.phase, 0.1, "%.3f", key=f"phase_{row}", persist_state=KEPT
        )
        st.button("Remove", icon=":material/delete:", key=f"remove_{row}", on_click=_remove, args=(row,))
    return Harmonic(period, amplitude, phase)


def _take() -> None:
    st.session_state[TAKEN] = True


def _add() -> None:
    rows = st.session_state["harmonics"]
    rows[max(rows, default=-1) + 1] = Harmonic(period=64.0)


def _remove(row: int) -> None:
    st.session_state["harmonics"].pop(row, None)


def pasted() -> Signal | None:
    """The numbers pasted into the box, or one series of a pasted table; None while the box is empty."""
    text = st.text_area(
        "Paste numbers", key="pasted", persist_state=KEPT, height=100, max_chars=2_000_000,
        placeholder="separated by commas, spaces or line breaks; or a table with its header",
    )  # fmt: skip
    if not text.strip():
        return None
    try:
        return parse_values(_BRACKETS.sub(" ", text), "pasted", horizon=HORIZON)
    except SignalError:
        if not _HEADER_OR_DATES.search(text):
            raise
    data = text.encode()
    return chosen_series(Brought(data, "pasted.txt", hashlib.sha256(data).hexdigest()), "pasted")


def uploaded() -> Signal | None:
    """The chosen series of the file in the drop zone, by default its first; None without a file."""
    file = st.file_uploader(
        "Drop a file",
        [ending[1:] for ending in ENDINGS],
        key="upload",
        help="One column for each series, or a long table.",
    )
    return None if file is None else chosen_series(Brought(file.getvalue(), file.name, file.file_id), "upload")
