"""The height of a table's rows: a cell is cut, not grown, to its row."""

from __future__ import annotations

from collections.abc import Iterable
from textwrap import wrap

LETTER, LINE, EDGE, LEAST = 6.9, 20, 14, 44  # pixels: a letter, a line, the padding of a cell, and the lowest row
MOST = 10  # lines: a text from outside may be of any length


def row_height(texts: Iterable[str], width: int) -> int:
    """The height in pixels in which each text is read whole in a column this wide, if it has at most `MOST` lines."""
    lines = max((len(wrap(text, int(width / LETTER))) for text in texts), default=1)
    return max(min(lines, MOST) * LINE + EDGE, LEAST)
