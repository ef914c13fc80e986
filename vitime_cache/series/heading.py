"""The first rows of a text: titles, names of columns, units, numbers. Which of them name the columns, if any."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import accumulate, pairwise

from vitime_cache.series.cells import is_missing, is_number
from vitime_cache.series.times import YEAR, is_time

MOST_NUMBERS_ABOVE = 2  # rows of a place or a device above a blank line and the table; more of them are a table


@dataclass(frozen=True)
class Row:
    """One of the first rows: the line it ends in, and its cells."""

    line: int
    cells: list[str]

    @cached_property
    def kinds(self) -> list[str]:
        """What each cell is: "number" if whole, "decimal", "time" or "text"; "" where it is missing."""
        return ["" if is_missing(cell) else _kind(cell) for cell in self.cells]

    @property
    def is_words(self) -> bool:
        """Whether it has words, and neither numbers nor times."""
        return {*self.kinds, ""} == {"text", ""}


@dataclass(frozen=True)
class Heading:
    """What stands above the numbers: the names of columns, how many lines to skip, and rows left out, each with why."""

    names: list[str] | None = None
    lines: int = 0
    left_out: Sequence[tuple[Row, str]] = ()


def find_heading(rows: list[Row], separator: str) -> Heading:
    """The names of columns, below titles and above units or a second row of names; none where there is no header."""
    [(width, often)] = Counter(len(row.cells) for row in rows).most_common(1)
    at = next(place for place, row in enumerate(rows) if len(row.cells) == width)
    one_short = at == 1 and len(rows[0].cells) == width - 1 and often == len(rows) - 1
    # R gives its column of row names no name, others end each row with a separator; a comma may be a decimal one.
    separated = not any(row.cells[-1] for row in rows[1:])
    numbered = [row.cells[0] for row in rows[1:3]] == ["1", "2"] and "decimal" in rows[1].kinds[1:]
    if one_short and (separated or separator != "," or numbered) and rows[0].is_words and not rows[1].is_words:
        return Heading([*rows[0].cells, ""] if separated else ["", *rows[0].cells], rows[0].line)
    years_on_top = at and len(rows) > at + 1 and "text" in rows[at].kinds and _is_header(rows[at], rows[at + 1])
    if often == 1 or width == 1 or not (rows[at].is_words or years_on_top):
        at = 0
    while at + 2 < len(rows) and _is_title(rows[at], rows[at + 1]):
        at += 1
    for place, (above, row, below) in enumerate(zip(rows, rows[1:], rows[2:], strict=False), 1):
        after_blank_line = row.line - above.line > 1 and len(row.cells) == width and place - at <= MOST_NUMBERS_ABOVE
        if after_blank_line and row.is_words and not below.is_words:
            at = place
    at = max(at, _below_facts(rows, width))
    if not _is_header(rows[at], rows[at + 1] if len(rows) > at + 1 else None):
        return Heading()
    data = next((place for place, row in enumerate(rows[at + 1 : at + 6], at + 1) if not row.is_words), at + 1)
    words, names = rows[at + 1 : data], rows[at].cells
    if not all(len(row.cells) == width and _is_above_numbers(row, rows[data]) for row in words):
        words = []
    end = words[-1].line if words else rows[at].line
    if words and len(set(names)) < len(names):  # two rows of names; the first may name a group of columns once
        groups: Iterable[str] = accumulate(names, lambda last, name: name or last)
        names = ["_".join(filter(None, both)) for both in zip(groups, words[0].cells, strict=False)]
        names[0] = rows[at].cells[0]
        words = words[1:]
    left_out = [(row, "above the names of columns") for row in rows[:at]]
    left_out += [(row, "below the names of columns and above their numbers") for row in words]
    blank = rows[data].line - end - 1 if width > 1 and len(rows) > data and "\n" not in "".join(rows[data].cells) else 0
    return Heading(names, end + blank, left_out)


def _is_title(row: Row, below: Row) -> bool:
    """Whether a row is one cell of words in front of empty ones, as sheets pad it, above words in several."""
    alone = bool(row.cells[0]) and len(row.cells) > 1 and not any(row.cells[1:])
    return alone and below.is_words and bool(below.cells[0]) and sum(map(bool, below.cells)) > 1


def _below_facts(rows: list[Row], width: int) -> int:
    """Where the names stand below facts of a place or a device, each a word and a number; 0 where there are none."""
    numbers = next((place for place, row in enumerate(rows) if row.kinds[0] != "text"), len(rows))
    facts = [place for place, row in enumerate(rows[:numbers]) if not row.is_words]
    if not facts or numbers == len(rows) or any(row.kinds[0] == "text" for row in rows[numbers:]):
        return 0
    at = facts[-1] + 1
    pairs = all(sum(map(bool, rows[place].cells)) == 2 for place in facts) and (width > 2 or len(facts) > 1)
    return at if pairs and at < numbers and len(rows[at].cells) == width else 0


def _is_above_numbers(words: Row, numbers: Row) -> bool:
    """Whether a word stands above a number or a time."""
    return any(word and kind not in ("", "text") for word, kind in zip(words.kinds, numbers.kinds, strict=False))


def _is_header(row: Row, below: Row | None) -> bool:
    """Whether a row names columns: then it differs in kind from the row below it."""
    if _numbers_columns(row, below):
        return True
    pairs = list(zip(row.kinds, below.kinds if below else (), strict=False))
    alike = all(one == other or not other for one, other in pairs)
    words = [word for word, kind in zip(row.cells, row.kinds, strict=True) if kind == "text"]
    if below and alike and not row.is_words and {*words} & {*below.cells}:
        return False  # the name of a station, which stands in every row
    if "text" in row.kinds:
        return below is None or not alike or not any(kind in ("time", "decimal") for kind in row.kinds)
    dates_above_others = any(one == "time" and other != "time" for one, other in pairs)
    return not any(row.kinds) or (dates_above_others and not alike and "number" not in row.kinds)


def _numbers_columns(row: Row, below: Row | None) -> bool:
    """Whether a row counts the columns, as pandas names those without a name, or gives each a year.

    It does behind an empty cell, or above decimals.
    """
    behind_index = not row.cells[0]
    names = row.cells[behind_index:]
    counts = [str(number) for number in range(len(names) + 1)]
    if behind_index and names == counts[:-1]:
        return True
    decimals_below = below is not None and {*below.kinds[behind_index:]} == {"decimal"}
    years = len(names) > 1 and all(re.fullmatch(YEAR, name) for name in names)
    successive = years and len({int(later) - int(name) for name, later in pairwise(names)} | {1, -1}) == 2
    named = successive or (not behind_index and names in (counts[:-1], counts[1:]))
    return len(names) > 1 and decimals_below and named


def _kind(cell: str) -> str:
    if is_number(cell):
        return "number" if cell.lstrip("+-").isdigit() else "decimal"
    return "time" if is_time(cell) else "text"
