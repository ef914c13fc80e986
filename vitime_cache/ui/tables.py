"""Tables on pages: rows to choose from, and rows as high as their texts."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from textwrap import wrap
from typing import Any

import pandas as pd
import streamlit as st
from pandas.io.formats.style import Styler

LETTER, LINE, EDGE, LEAST = 6.9, 20, 14, 44  # pixels: a letter, a line, the padding of a cell, and the lowest row
MOST = 10  # lines: a text from outside may be of any length
TICK = "Tick a row to see {}."  # what a caption says of such a table


def ticked_row(
    table: pd.DataFrame | Styler, columns: Mapping[str, Any], key: str, order: Sequence[str] | None = None,
    **layout: Any,
) -> int | None:  # fmt: skip
    """Show a table whose rows can be ticked; the place of the ticked row in `table`, however it is sorted on the page.

    Rows and not cells: a click on a header, which sorts, and the keyboard on its way through the page select the first
    cell of a table.

    Parameters
    ----------
    columns
        Streamlit's configuration of each column, by its name.
    order
        The columns shown; by default those of `columns`.
    layout
        Further options of `st.dataframe`.
    """
    event = st.dataframe(
        table, column_config=dict(columns), column_order=list(columns if order is None else order), hide_index=True,
        key=key, on_select="rerun", selection_mode="single-row", **layout,
    )  # fmt: skip
    ticked = [row for row in event.selection.rows if row < len(table.index)]  # the table may have become shorter
    return ticked[0] if ticked else None


def row_height(texts: Iterable[str], width: int) -> int:
    """The height in pixels in which each text is read whole in a column this wide, if it has at most `MOST` lines."""
    lines = max((len(wrap(text, int(width / LETTER))) for text in texts), default=1)
    return max(min(lines, MOST) * LINE + EDGE, LEAST)
