"""Arrow keys on a picture of all heads: they move a frame, and Enter opens the head in it."""

from __future__ import annotations

from collections.abc import Sequence

import streamlit as st

LAYOUT = """<div class="keys" tabindex="0" role="application" aria-label="Choose a head with the arrow keys"></div>"""
LOOK = """
.keys { font: .875rem var(--st-font); color: var(--st-text-color); padding: .25rem .5rem; border-radius: .25rem;
  outline: 1px solid var(--st-border-color); cursor: pointer; width: fit-content }
.keys:focus { outline: 3px solid var(--st-primary-color) }
"""
SCRIPT = """
const STEPS = { ArrowLeft: [0, -1], ArrowRight: [0, 1], ArrowUp: [-1, 0], ArrowDown: [1, 0] }
export default function({ parentElement, setStateValue, setTriggerValue, data }) {
  const box = parentElement.querySelector(".keys")
  const [layers, heads] = [data.layers.length, data.heads]
  let [row, column] = box.at ?? data.at  // the server's value lags behind the keys
  const say = () => box.textContent = `${data.layers[row]}, head ${column}: arrow keys move, Enter opens`
  say()
  box.onkeydown = event => {
    if (event.key === "Enter") setTriggerValue("opened", [row, column])
    if (!(event.key in STEPS)) return
    event.preventDefault()
    const [down, across] = STEPS[event.key]
    row = (row + down + layers) % layers
    column = (column + across + heads) % heads
    say()
    setStateValue("at", box.at = [row, column])
  }
}
"""


def move_over_heads(layers: Sequence[str], heads: int, start: tuple[str, int], of: str) -> tuple[tuple[str, int], bool]:
    """The head in the frame that the arrow keys move, and whether Enter was pressed on it.

    Parameters
    ----------
    start
        The head that the frame begins on.
    of
        Names what `start` was chosen for; the frame begins anew where it changes.
    """
    walk = st.components.v2.component("head_keys", html=LAYOUT, css=LOOK, js=SCRIPT)
    first, places = (layers.index(start[0]), start[1]), st.session_state.setdefault("head_at", {})
    place = f"{of}|{start[0]}|{start[1]}"
    at = list(places.get(place, first))
    found = walk(
        key=f"head_keys_{place}", data={"layers": list(layers), "heads": heads, "at": at}, default={"at": at},
        height="content", on_at_change=lambda: None, on_opened_change=lambda: None,
    )  # fmt: skip
    row, column = _inside(found.opened or found.at, len(layers), heads) or first
    st.session_state["head_at"] = {place: (row, column)}
    return (layers[row], column), found.opened is not None


def _inside(at: object, layers: int, heads: int) -> tuple[int, int] | None:
    """The row and column that the browser sends, if they are valid."""
    match at:
        case [int(row), int(column)] if 0 <= row < layers and 0 <= column < heads:
            return row, column
    return None
