"""The pages, and the way from each of them back to the entry point."""

from __future__ import annotations

import threading
from base64 import b64encode
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import Any

import streamlit as st
from streamlit.navigation.page import Page

from vitime_cache.ui.address import address
from vitime_cache.ui.stores import Store


@dataclass(frozen=True)
class PageFacts:
    """What the navigation and the links to a page show of it."""

    title: str
    icon: str
    shows: str


PAGES = {
    "overview": PageFacts("Overview", ":material/home:", "what there is, and where to go"),
    "evidence": PageFacts(
        "Evidence", ":material/gavel:", "which heads look one period back, and whether the forecast uses it"
    ),
    "heatmap": PageFacts("Heatmap", ":material/grid_on:", "which past each moment looks at, in one head"),
    "lags": PageFacts("Lags", ":material/timeline:", "how far back it looks, against the period of the series"),
    "compare": PageFacts("Compare", ":material/compare:", "one head on two signals, such as one less a harmonic"),
    "heads": PageFacts("Heads", ":material/apps:", "all layers and heads at a glance, ranked"),
    "live": PageFacts("Live", ":material/play_circle:", "your own series, without a store"),
}
OF_ONE_SIGNAL = ("heatmap", "lags", "heads", "compare")  # what a run can be looked at on
STORE, ROUTED = "chosen_store", "routed"
ICON = "data:image/png;base64," + b64encode(Path(__file__).with_name("icon.png").read_bytes()).decode()


def navigation() -> Page:
    """The page that the address names; sets the title and icon first, or the first page's icon would be fetched."""
    st.set_page_config(page_title="ViTime attention", page_icon=ICON, layout="wide")
    st.session_state[ROUTED] = True
    return st.navigation(
        [
            st.Page(f"pages/{name}.py", title=page.title, icon=page.icon, default=name == "overview")
            for name, page in PAGES.items()
        ],
        position="hidden",
    )


def page_links(place: Any) -> None:
    """Links to all pages that take the choice along: one click, one entry in the browser's history."""
    for name, page in PAGES.items():
        place.page_link(f"pages/{name}.py", label=page.title, icon=page.icon, query_params=address())


def chosen_store() -> Store | None:
    """The store that the entry point let a person pick, once for each run of a page."""
    if STORE not in st.session_state:
        _start_over()
    store: Store | None = st.session_state.pop(STORE)
    return store


def store_if_any() -> Store | None:
    """The same for a page that does without a store, whose buttons another run of the script would let go."""
    if ROUTED not in st.session_state:
        _start_over()
    store: Store | None = st.session_state.pop(STORE, None)
    return store


@cache
def prepare_charts() -> None:
    """Import what curves are computed with, half a second once for a server, while its first page is being read."""
    threading.Thread(target=import_module, args=("scipy.signal",), daemon=True).start()


def _start_over() -> None:
    """Run again, through the entry point.

    Streamlit takes a folder called `pages` for an app without an entry point, until `st.navigation` is called for the
    first time: a fresh server whose first visitor follows a link to a page runs that page alone.
    """
    navigation()
    st.rerun()
