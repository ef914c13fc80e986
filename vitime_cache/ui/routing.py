"""The pages, their links, and the rerun through the entry point."""

from __future__ import annotations

import gc
import threading
from base64 import b64encode
from dataclasses import dataclass
from functools import cache, partial
from importlib import import_module
from pathlib import Path
from typing import Any

import streamlit as st
from streamlit.navigation.page import Page

from vitime_cache.ui.address import address
from vitime_cache.ui.stores import Store


@dataclass(frozen=True)
class PageFacts:
    """Title and icon of a page, for the navigation and links."""

    title: str
    icon: str


PAGES = {
    "ask": PageFacts("Ask", ":material/help:"),
    "heads": PageFacts("Heads", ":material/apps:"),
    "head": PageFacts("Head", ":material/grid_on:"),
    "compare": PageFacts("Compare", ":material/compare:"),
    "library": PageFacts("Library", ":material/folder_open:"),
}
FIRST = "ask"
# Old addresses of pages; they redirect.
MOVED = {"overview": "library", "evidence": "ask", "live": "ask", "heatmap": "head", "lags": "head"}
# Streamlit leaves twice as much blank above and beside a page, cuts links and a file's endings that are too wide, and
# does not show which link the keyboard is on.
STYLE = """[data-testid=stMainBlockContainer] { padding: 2.25rem min(3rem, 4vw) 4rem }
[data-testid=stPageLink-NavLink] *, [data-testid=stFileUploaderDropzone] span { white-space: normal }
[data-testid=stPageLink-NavLink]:focus-visible { outline: 2px solid }"""
STORE = "chosen_store"  # session key
ICON = "data:image/png;base64," + b64encode(Path(__file__).with_name("icon.png").read_bytes()).decode()


def navigation() -> Page:
    """The page that the address names. Sets title and icon first, or the browser would fetch the first page's icon."""
    st.set_page_config(page_title="ViTime attention", page_icon=ICON, layout="wide")
    st.html(f"<style>{STYLE}</style>")
    return st.navigation(
        [
            *(
                st.Page(f"pages/{name}.py", title=page.title, icon=page.icon, default=name == FIRST)
                for name, page in PAGES.items()
            ),
            *(st.Page(partial(_redirect, page), title=PAGES[page].title, url_path=old) for old, page in MOVED.items()),
        ],
        position="hidden",
    )


def _redirect(page: str) -> None:
    """Redirect an old address to the page that replaced it, with the same choice."""
    st.switch_page(f"pages/{page}.py", query_params=dict(st.query_params))


def page_links(place: Any) -> None:
    """Links to all pages that keep the choice: one click, one entry in the browser's history."""
    for name, page in PAGES.items():
        place.page_link(f"pages/{name}.py", label=page.title, icon=page.icon, query_params=address())


def chosen_store() -> Store | None:
    """The store picked at the entry point, once for each run of a page."""
    if STORE not in st.session_state:
        _start_over()
    store: Store | None = st.session_state.pop(STORE)
    return store


@cache
def prepare_charts() -> None:
    """Import scipy.signal, half a second once per server, while the first page is being read."""
    threading.Thread(target=import_module, args=("scipy.signal",), daemon=True).start()


@cache
def leave_to_the_server(page: str) -> None:  # noqa: ARG001 - once for each page
    """Exclude the modules that the page has imported from garbage collection: they stay as long as the server does.

    A collection goes through every object of every library, which takes longer than a page.
    """
    gc.collect()
    gc.freeze()


def _start_over() -> None:
    """Run again, through the entry point.

    Until `st.navigation` is first called, Streamlit treats a folder called `pages` as an app without an entry point: if
    the first visitor of a fresh server follows a link to a page, the server runs that page alone.
    """
    navigation()
    st.rerun()
