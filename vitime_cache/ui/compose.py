"""Three ways to bring a series: compose harmonics, paste numbers, upload a file. Bad input gets its message."""

from __future__ import annotations

from dataclasses import replace
from io import BytesIO
from typing import Literal

import pandas as pd
import streamlit as st
from streamlit.runtime.uploaded_file_manager import UploadedFile

from vitime_cache import charts
from vitime_cache.series.examples import FAST, HORIZON, MIDDLE, N_HISTORY, SLOW
from vitime_cache.series.sources import (
    ENDINGS,
    Fill,
    Harmonic,
    Signal,
    SignalError,
    compose,
    parse_values,
    read_signals,
)
from vitime_cache.ui.chart import figure
from vitime_cache.ui.words import complain, counted, plain

WAYS = {"compose": "Compose harmonics", "paste": "Paste numbers", "upload": "Upload a file"}
KEPT: Literal["session"] = "session"  # input outlives a visit to another page
MOST_HARMONICS = 12  # rows a person edits; a file holds as many as it likes
LONGEST = 100_000  # samples that can be composed here


def choose_series() -> Signal | None:
    """The series a person has given, or None with the reason in place."""
    way = st.segmented_control(
        "How the series comes in", list(WAYS), default="compose", required=True, format_func=WAYS.__getitem__,
        key="way", persist_state=KEPT, label_visibility="collapsed",
    )  # fmt: skip
    with st.container(horizontal=True, vertical_alignment="bottom"):
        horizon = int(
            st.number_input("Horizon, samples", 1, LONGEST, HORIZON, 1, key="horizon", persist_state=KEPT, width=180)
        )
        fill: Fill = "none"
        if way == "compose":
            n = int(
                st.number_input(
                    "History, samples", 2, LONGEST, N_HISTORY, 1, key="n_history", persist_state=KEPT, width=180
                )
            )
        elif st.toggle("Fill missing values by interpolation", key="fill", persist_state=KEPT):
            fill = "interpolate"
    try:
        if way == "compose":
            return _composed(n, horizon)
        return _pasted(horizon, fill) if way == "paste" else _uploaded(horizon, fill)
    except SignalError as error:
        complain(error)
        return None


def preview(signal: Signal) -> None:
    """The history, before the model has seen it."""
    st.markdown(f"**{plain(signal.name)}**: {len(signal.values)} samples, {signal.horizon} to forecast")
    values = signal.values
    figure(
        charts.history, signal.name, values, key="preview", width="stretch",
        table=lambda: pd.DataFrame({"sample": range(len(values)), "value": values}),
    )  # fmt: skip
    if signal.filled:
        st.caption(f"Interpolated: {counted(signal.filled, 'missing value')}.")


def _composed(n: int, horizon: int) -> Signal:
    """Rows of period, amplitude and phase that can be added and removed, and noise."""
    rows: dict[int, Harmonic] = st.session_state.setdefault("harmonics", dict(enumerate((SLOW, MIDDLE, FAST))))
    harmonics = [_harmonic_row(row, rows[row]) for row in list(rows)]
    with st.container(horizontal=True, vertical_alignment="bottom"):
        st.button("Add a harmonic", icon=":material/add:", on_click=_add, disabled=len(rows) >= MOST_HARMONICS)
        noise = st.number_input(
            "Noise, standard deviation", 0.0, 1e6, 0.0, 0.05, key="noise", persist_state=KEPT, width=220
        )
        seed = int(st.number_input("Seed of the noise", 0, 2**31, 0, 1, key="seed", persist_state=KEPT, width=160))
        name = st.text_input("Name", "composed", key="name_composed", persist_state=KEPT, max_chars=200, width=240)
    if not harmonics and not noise:
        raise SignalError("the series would be zero throughout: add a harmonic or noise")
    return compose(name.strip(), harmonics, n=n, horizon=horizon, noise=noise, seed=seed)


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


def _add() -> None:
    rows = st.session_state["harmonics"]
    rows[max(rows, default=-1) + 1] = Harmonic(period=64.0)


def _remove(row: int) -> None:
    st.session_state["harmonics"].pop(row, None)


def _pasted(horizon: int, fill: Fill) -> Signal | None:
    text = st.text_area(
        "Numbers, apart by commas, blanks or line ends",
        key="pasted",
        persist_state=KEPT,
        height=120,
        max_chars=2_000_000,
    )
    name = st.text_input("Name", "pasted", key="name_pasted", persist_state=KEPT, max_chars=200, width=240)
    return parse_values(text, name.strip(), horizon=horizon, fill=fill) if text.strip() else None


def _uploaded(horizon: int, fill: Fill) -> Signal | None:
    file = st.file_uploader(
        "A table with a series per column; TOML, formulas",
        [ending[1:] for ending in ENDINGS],
        key="upload",
    )
    if file is None:
        return None
    signals, notes = _read(file, horizon, fill)
    for note in notes:
        st.caption(plain(note))
    names = [signal.name for signal in signals]
    number = st.selectbox("Series in the file", range(len(names)), format_func=names.__getitem__, key="series_in_file")
    signal, key = signals[number], f"{file.file_id}_{number}"
    with st.container(horizontal=True, vertical_alignment="bottom"):
        most = len(signal.values)
        last = int(st.number_input("Use the last samples", 2, most, most, 1, key=f"last_{key}", width=200))
        name = st.text_input("Name", signal.name, key=f"name_{key}", max_chars=200, width=240)
    if last < most:  # read again: what was filled, and where a formula begins, follow from where the series begins
        signal = _read(file, horizon, fill, last)[0][number]
    return replace(signal, name=name.strip())


@st.cache_resource(max_entries=4, show_spinner=False, hash_funcs={UploadedFile: lambda file: file.file_id})
def _read(file: UploadedFile, horizon: int, fill: Fill, last: int | None = None) -> tuple[list[Signal], list[str]]:
    notes: list[str] = []
    content = BytesIO(file.getvalue())
    return read_signals(content, name=file.name, horizon=horizon, fill=fill, last=last, tell=notes.append), notes
