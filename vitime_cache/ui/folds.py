"""Parts of a page that are folded away: until a person opens one, nothing in it is worked out or sent.

if fold := folded("Details", "details"):
    with fold:
        ...
"""

from __future__ import annotations

from typing import Any

import streamlit as st

FOLD = "fold_"  # the beginning of the keys of all folds


def folded(label: str, name: str, *, expanded: bool = False) -> Any | None:
    """The place of an expander's content; None while it is closed."""
    place = st.expander(label, expanded=expanded, key=FOLD + name, on_change="rerun")
    return place if place.open else None


def popped_up(label: str, name: str, *, icon: str) -> Any | None:
    """The place of a popover's content; None while it is closed."""
    place = st.popover(label, icon=icon, key=FOLD + name, on_change="rerun")
    return place if place.open else None
