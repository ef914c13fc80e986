"""Read a table from a user: controls settle what the file leaves ambiguous, like the flags of the command."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from io import BytesIO
from typing import Any, Literal

import streamlit as st

from vitime_cache.numerals import number
from vitime_cache.series.examples import HORIZON
from vitime_cache.series.sources import Signal, SignalError, column_names, read_signals
from vitime_cache.ui.shared import shared
from vitime_cache.ui.words import plain

KEPT: Literal["session"] = "session"  # of `persist_state`: input outlives a visit to another page
_ITSELF, _NONE = "as the file says", "none: rows are in order"
_SHAPES = {_ITSELF: None, "each row": True, "each column": False}
_DECIMALS = {_ITSELF: None, "after a point": "point", "after a comma": "comma"}
_DATES = {_ITSELF: None, "the day first": True, "the month first": False}
# Labels of the controls by the flag that does the same, and the choices that a flag without a value stands for.
_LABELS = {
    "fill": "Fill missing values", "column": "Columns to be read", "time": "Time column", "rows": "A series is",
    "decimal": "Decimals", "day-first": "Dates such as 01/02/2020", "missing": "What marks missing values",
}  # fmt: skip
_NAMED = {"--rows": "each row", "--no-rows": "each column"}
_WITH_VALUE = ("time", "missing")
# "time='start' (--time start)", as messages of the reader name a choice.
_CHOICE = re.compile(
    rf"\w+=(?:(?!\w+=).)*? \((--(?:no-)?({'|'.join(_LABELS)}))(?: ((?:[^()]|\([^()]*\))*))?"
    r"(?:, --[a-z-]+)?\)"
)


@dataclass(frozen=True)
class Brought:
    """A file from a user: its bytes, its name, and an id that is unique to its content."""

    data: bytes = field(compare=False, repr=False)
    name: str
    id: str


def chosen_series(file: Brought, where: str) -> Signal:
    """The chosen series of a file, by default its first.

    Parameters
    ----------
    where
        Prefix of the controls' keys.

    Raises
    ------
    SignalError
        If the file cannot be read with these choices; the controls are on the page by then.
    """
    keys = {
        each: f"{where}_{each}_{file.id}" for each in ("columns", "time", "rows", "decimal", "day_first", "missing")
    }
    fill_key = "fill" if where == "upload" else f"{where}_fill"
    error, signals, notes = None, list[Signal](), list[str]()
    form = st.container()
    try:
        with st.spinner(f"{plain(file.name)} is read, {number(len(file.data) / 1e6)} MB"):
            signals, notes = _read(file, **_choices(keys, fill_key))
    except SignalError as problem:
        error = problem
    with form:
        _controls(_columns(file), keys, fill_key, error is not None)
    if error is not None:
        raise SignalError(on_page(str(error))) from error
    for note in notes:
        st.caption(plain(on_page(note)))
    names = [signal.name for signal in signals]
    if len(names) == 1:
        return signals[0]
    key = "series_in_file" if where == "upload" else f"{where}_series"
    return signals[st.selectbox("Series in the file", range(len(names)), format_func=names.__getitem__, key=key)]


def on_page(message: str) -> str:
    """A message of the reader with the names of the controls in place of arguments and flags.

    Examples
    --------
    >>> on_page("say which with time='start' (--time start)")
    'say which with “Time column”: start'
    """
    return _CHOICE.sub(_control, message)


def _control(found: re.Match[str]) -> str:
    flag, name, value = found.groups()
    value = value if name in _WITH_VALUE and value != "MARK" else _NAMED.get(flag)
    return f"“{_LABELS[name]}”" + (f": {value}" if value else "")


def _choices(keys: dict[str, str], fill_key: str) -> dict[str, Any]:
    """The values of the controls before they are drawn; whether the file could be read decides if they are open."""
    state = st.session_state
    time = state.get(keys["time"], _ITSELF)
    return {
        "columns": tuple(state.get(keys["columns"], ())),
        "time": {_ITSELF: None, _NONE: "none"}.get(time, time),
        "rows": _SHAPES[state.get(keys["rows"], _ITSELF)],
        "decimal": _DECIMALS[state.get(keys["decimal"], _ITSELF)],
        "day_first": _DATES[state.get(keys["day_first"], _ITSELF)],
        "missing": tuple(state.get(keys["missing"], "").split()),
        "fill": "interpolate" if state.get(fill_key) else "none",
    }


def _controls(names: list[str], keys: dict[str, str], fill_key: str, failed: bool) -> None:
    st.toggle(
        _LABELS["fill"], key=fill_key, persist_state=KEPT,
        help="Missing values and missing times are interpolated, and times put in order (--fill interpolate).",
    )  # fmt: skip
    if not names:
        return
    with st.expander("How the table is read", expanded=failed, icon=":material/table:"):
        every = "--column; without one, every column of numbers"
        st.multiselect(_LABELS["column"], names, key=keys["columns"], persist_state=KEPT, help=every)
        for each, label, options, flag in (
            ("time", _LABELS["time"], [_ITSELF, _NONE, *names], "--time"),
            ("rows", _LABELS["rows"], list(_SHAPES), "--rows, --no-rows"),
            ("decimal", _LABELS["decimal"], list(_DECIMALS), "--decimal"),
            ("day_first", _LABELS["day-first"], list(_DATES), "--day-first, --no-day-first"),
        ):
            st.selectbox(label, options, key=keys[each], persist_state=KEPT, help=flag)
        marks = "Numbers or words, apart by blanks; none: all numbers are values (--missing)"
        st.text_input(_LABELS["missing"], key=keys["missing"], persist_state=KEPT, help=marks)


@shared(4)
def _read(file: Brought, **choices: Any) -> tuple[list[Signal], list[str]]:
    notes: list[str] = []
    return read_signals(BytesIO(file.data), name=file.name, horizon=HORIZON, tell=notes.append, **choices), notes


@shared(4)
def _columns(file: Brought) -> list[str]:
    return column_names(file.data, file.name)
