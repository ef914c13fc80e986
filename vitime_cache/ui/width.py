"""Width of the page. Linked pictures are one chart, which a browser cannot rearrange, so they are drawn to fit."""

from __future__ import annotations

from typing import Any

import streamlit as st

NARROW = 700  # pixels of a page below which nothing stands side by side, and titles are broken to fit
EDGE = 36  # pixels of a fold's frame
STEP = 20  # pixels, so that dragging a window wider redraws few times
USUAL = 880  # of a page of 1280 with its sidebar
SCRIPT = """
export default function({ parentElement, setStateValue, data }) {
  let told = data.known, wait
  const observer = new ResizeObserver(([entry]) => {
    const width = Math.floor(entry.contentRect.width / data.step) * data.step
    clearTimeout(wait)
    if (width > 0 && width !== told) wait = setTimeout(() => setStateValue("width", told = width), 100)
  })
  observer.observe(parentElement)
  return () => { clearTimeout(wait); observer.disconnect() }
}
"""


def known_width() -> int:
    """The width of the page as it was last told."""
    return int(st.session_state.get("page_width", USUAL))


def side_by_side(*shares: int) -> list[Any]:
    """Columns with these shares of the page, or one place below the other where they would be too narrow to read."""
    return st.columns(shares) if known_width() >= NARROW else [st.container() for _ in shares]


def page_width() -> int:
    """The width available to a chart in pixels; starts at `USUAL`, and the page reruns if it is different."""
    known = known_width()
    probe = st.components.v2.component("page_width", js=SCRIPT, isolate_styles=False)
    found = probe(
        key="width_probe", data={"known": known, "step": STEP}, default={"width": known}, height=1,
        on_width_change=lambda: None,
    )  # fmt: skip
    st.session_state["page_width"] = int(found.width or known)
    return known_width()
