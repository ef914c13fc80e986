"""Titles, and what the weights are. Light, so that the first page of a fresh server comes at once."""

from __future__ import annotations

import streamlit as st
import xarray as xr


def title(name: str, lead: str) -> None:
    """The page's title and one sentence on what it shows."""
    st.title(name, anchor=False)
    st.markdown(lead)


def weights_note(*datasets: xr.Dataset) -> None:
    """Whose attention this is: the weights of each Dataset, and what must be known about them."""
    seen = {(ds.attrs["weights"], ds.attrs["weights_note"]): None for ds in datasets}
    for weights, note in seen:
        if note:
            st.caption(f":material/info: Weights **{weights}**: {note}.")
        else:
            st.caption(f"Weights **{weights}**.")
