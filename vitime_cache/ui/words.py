"""Titles, messages and the note on weights. Imports little, so that the first page of a fresh server is fast."""

from __future__ import annotations

from collections.abc import Collection
from typing import NoReturn

import streamlit as st
import xarray as xr
from streamlit.runtime.scriptrunner import StopException

from vitime_cache.errors import in_words
from vitime_cache.shown import markdown

DELETABLE = ("q", "signal", "other", "store")  # what an address may name that others can delete

plain = markdown  # for text from outside: names, values of an address, messages that quote them


def complain(error: Exception) -> None:
    """Show an error in place."""
    st.error(plain(in_words(error)), icon=":material/error:")


def notice(error: Exception | str) -> None:
    """Show in place why something cannot be shown."""
    st.warning(plain(error if isinstance(error, str) else in_words(error)), icon=":material/info:")


def say_if_unknown(key: str, label: str, known: Collection[str], shown: str = "the default") -> None:
    """Warn if the address asks for a value that a control does not have; the control then shows its default."""
    asked = st.query_params.get(key)
    if asked is not None and asked not in known:
        st.warning(
            f"The address asks for {plain(repr(asked[:80]))} under “{label}”, which "
            f"{'was deleted or ' if key in DELETABLE else ''}is not here; this shows {shown}.",
            icon=":material/link_off:",
        )


def end_page() -> NoReturn:
    """End the page here; `st.stop` would also drop the links to the other pages."""
    raise StopException


def title(name: str, lead: str = "") -> None:
    """The page's title and one sentence on what it shows."""
    st.title(name, anchor=False)
    if lead:
        st.markdown(lead)


def weights_note(*datasets: xr.Dataset) -> None:
    """Name the weights of each Dataset in one line, with their note in a popover."""
    seen = {(ds.attrs["weights"], ds.attrs["weights_note"]): None for ds in datasets}
    with st.container(horizontal=True, gap="small"):
        for weights, note in seen:
            if not note:
                st.caption(f"Weights **{plain(weights)}**")
                continue
            most_important = note.rpartition(";")[2].strip()  # the note ends with what the weights are not
            with st.popover(f"Weights {plain(weights)}: {plain(most_important)}", type="tertiary"):
                st.markdown(f"Weights **{plain(weights)}**: {plain(note)}.")
