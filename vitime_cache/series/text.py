"""CSV and its kin → a table of texts: comments, `sep=` lines, separators, headers or none. pyarrow parses."""

from __future__ import annotations

import csv
import io
import re
from collections import Counter
from contextlib import suppress
from itertools import islice
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from vitime_cache.series.bounds import MAX_SERIES, NOTES, SignalError, check_length, check_width, reading_errors
from vitime_cache.series.cells import is_missing, is_number, refuse_commas_within
from vitime_cache.series.times import is_time

if TYPE_CHECKING:
    import pandas as pd

_COMMENT = re.compile(r"[#%](?!N/?A\b)")
_SEPARATORS = "\t;,|"  # a comma may be a decimal comma, or stand in a name
_TOP = 30  # lines that are looked at before the rest is read


def decode(file: str, data: bytes) -> str:
    """UTF-8 text, with or without a byte-order mark, or UTF-16 with one; SignalError names the line that is neither."""
    with suppress(UnicodeDecodeError):
        if data[:2] in (b"\xff\xfe", b"\xfe\xff"):
            return data.decode("utf-16")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        row = data.count(b"\n", 0, error.start) + 1
        raise SignalError(
            f"{file}, row {row}: byte {data[error.start]:#04x} is not UTF-8 text; save the file as UTF-8"
        ) from error


def read_text(file: str, data: bytes) -> pd.DataFrame:
    """Columns apart by comma, semicolon, tab, bar or blanks, below a header or none, all of them as text.

    Returns
    -------
    DataFrame
        Its index says in which line of the file each row stands. Names may be equal, or empty.

    Raises
    ------
    SignalError
        Naming the file and the row.
    """
    import pandas as pd
    import pyarrow as pa
    from pyarrow import csv as arrow

    body, lines, separator, remarks = _table_in(file, decode(file, data))
    if body.count('"') % 2:
        row = next(row for row, line in zip(lines, body.splitlines(), strict=False) if line.count('"') % 2)
        raise SignalError(f"{file}, row {row}: a quote is opened and never closed; correct its quotes")
    top = "".join(islice(io.StringIO(body, newline=""), _TOP))
    if (widest := max(line.count(sign) for line in top.splitlines() for sign in _SEPARATORS)) > 4 * MAX_SERIES:
        check_width(file, widest)
    separator = separator or _separator(top)
    if separator == " ":
        body, top = (re.sub(r"[ \t]+", " ", re.sub(r"(?m)^[ \t]+|[ \t]+$", "", text)) for text in (body, top))
    reader = csv.reader(io.StringIO(top, newline=""), delimiter=separator)
    with reading_errors(f"{file}, row {lines[0]}", csv.Error):
        rows = [
            Row(reader.line_num, [cell.strip() for cell in cells]) for cells in reader if any(map(str.strip, cells))
        ]
    if not rows:
        raise SignalError(f"{file} is empty")
    heading = _heading(rows, separator)
    head, names, skipped = heading.cells, heading.names, heading.lines
    if names and len(rows) == 1:
        raise SignalError(f"{file} has no numbers below its only row, {', '.join(head)[:60]!r}")
    if not names:
        if separator == ",":
            dated = is_time(head[0])
            cells_alone = "\n".join(line.partition(",")[2] for line in body.splitlines()) if dated else body
            refuse_commas_within(cells_alone, file, ", or name the series in a header")
        named = next((cells for cells in (_cells(each, separator) for each in remarks) if len(cells) == len(head)), [])
        dates = [not is_number(cell) and is_time(cell) for cell in head]
        numbered = iter(number_names(file, max(dates.count(False), 1)))
        names = ["time" if date else next(numbered) for date in dates]
        names = named if all(named) and named else names
    check_length(file, len(lines) - skipped)
    check_width(file, len(names), len(lines) - skipped)
    uneven: list[Any] = []

    def note(row: Any) -> str:
        uneven.append(row)
        return "skip"

    with reading_errors(f"{file} cannot be read", pa.ArrowException, ValueError, OverflowError, MemoryError):
        columns = [str(number) for number in range(len(names))]  # names may be equal
        table = arrow.read_csv(
            io.BytesIO(body.encode()),
            arrow.ReadOptions(
                use_threads=False, block_size=4 * len(body) + 1000, column_names=columns, skip_rows=skipped
            ),
            arrow.ParseOptions(
                delimiter=separator, newlines_in_values='"' in body, ignore_empty_lines=False, invalid_row_handler=note
            ),
            arrow.ConvertOptions(column_types=dict.fromkeys(columns, pa.string()), strings_can_be_null=False),
        )
    if uneven:
        row = uneven[0]
        raise SignalError(
            f"{file}, row {lines[min(row.number - 1, len(lines) - 1)]}: {row.actual_columns} cells, but "
            f"{row.expected_columns} in row {lines[0]}; give every row as many, correct its quotes, and write decimals "
            "with a point"
        )
    if not table.num_rows:
        raise SignalError(f"{file} has no numbers below its header; correct its quotes")
    frame: pd.DataFrame = table.to_pandas(types_mapper={pa.string(): pd.StringDtype(na_value=np.nan)}.get)
    frame.columns = pd.Index(names, dtype=object)
    there = lines[skipped : skipped + len(frame)]
    frame.index = pd.Index(there if len(there) == len(frame) else range(skipped + 1, skipped + 1 + len(frame)))
    frame.attrs[NOTES] = [
        f"{file}, row {lines[min(row.line, len(lines)) - 1]}: left out, {why}: "
        f"{', '.join(filter(None, row.cells))[:60]!r}"
        for row, why in heading.left_out
    ]
    return frame


def _cells(line: str, separator: str) -> list[str]:
    return line.split() if separator == " " else [cell.strip() for cell in line.split(separator)]


def _table_in(file: str, text: str) -> tuple[str, Any, str | None, list[str]]:
    """The text without comments and blank ends, the row of each line, the separator it says, comments above."""
    separator, remarks, at, line = None, list[str](), 0, 0
    for found in re.finditer(r"[^\r\n]*(?:\r\n|\r|\n|$)", text):
        cell = found.group().strip(" \r\n")
        if said := re.fullmatch(r'"?sep=(.)"?', cell, re.IGNORECASE):
            separator = said[1]
        elif _COMMENT.match(cell):
            remarks.append(cell.lstrip("#% "))
        elif cell.strip("\t,;| "):
            at = found.start()
            break
        line += 1
        check_length(file, line)
    else:
        raise SignalError(f"{file} is empty")
    body = text[at:].rstrip("\r\n")
    while not body[(end := max(body.rfind("\n"), body.rfind("\r"))) + 1 :].strip(" \t,;|\r\n") and end > 0:
        body = body[:end].rstrip("\r\n")
    count = (body.count("\n") or body.count("\r")) + 1
    check_length(file, count - 1)
    if not any(mark in body for mark in ("\n#", "\n%")):
        return body, range(line + 1, line + 1 + count), separator, remarks
    kept = [
        (row, each) for row, each in enumerate(body.splitlines(keepends=True), line + 1) if not _COMMENT.match(each)
    ]
    return "".join(each for _, each in kept), [row for row, _ in kept], separator, remarks


def _separator(top: str) -> str:
    """What splits the first two full rows into as many cells, or most rows, below titles; else what is there most."""
    widths: dict[str, list[int]] = {}
    for separator in _SEPARATORS:
        with suppress(csv.Error):
            rows = csv.reader(io.StringIO(top, newline=""), delimiter=separator)
            widths[separator] = [len(cells) for cells in rows if any(cells)]
    for separator, counts in widths.items():
        if len(counts) > 1 and counts[0] == counts[1] > 1:
            return separator
    first, second = ([*top.strip().splitlines(), "", ""])[:2]
    blanks = len(first.split()), len(second.split())
    if blanks[0] > 1 and blanks[1] - blanks[0] in (0, 1) and not any(sign in first for sign in '",;\t|'):
        return " "
    for separator, counts in widths.items():
        [(width, often)] = Counter(counts).most_common(1) or [(0, 0)]
        if width > 1 and often > 4:
            return separator
    return max(",;\t|", key=first.count)


class Row(NamedTuple):
    """A row in the first lines: the line it ends in, and its cells."""

    line: int
    cells: list[str]


class Heading(NamedTuple):
    """What stands above the numbers: cells of the first row of the table, names, lines they take, rows left out."""

    cells: list[str]
    names: list[str] | None
    lines: int
    left_out: list[tuple[Row, str]]


def _heading(rows: list[Row], separator: str) -> Heading:
    """The names of columns, below titles and above units or a second row of names, or none."""
    [(width, often)] = Counter(len(row.cells) for row in rows).most_common(1)
    at = next(place for place, row in enumerate(rows) if len(row.cells) == width)
    one_short = at == 1 and len(rows[0].cells) == width - 1 and often == len(rows) - 1 and separator != ","
    if one_short and _is_words(rows[0].cells) and not _is_words(rows[1].cells):
        # R names its rows, and does not name that column; others end each row with what separates.
        at_end = not any(row.cells[-1] for row in rows[1:])
        cells = [*rows[0].cells, ""] if at_end else ["", *rows[0].cells]
        return Heading(cells, cells, rows[0].line, [])
    at = at if often > 1 and width > 1 and _is_words(rows[at].cells) else 0
    for place, (above, row, below) in enumerate(zip(rows, rows[1:], rows[2:], strict=False), 1):
        apart = row.line - above.line > 1 and len(row.cells) == width  # by a line that is blank
        at = place if apart and _is_words(row.cells) and not _is_words(below.cells) else at
    head, second = rows[at].cells, rows[at + 1].cells if len(rows) > at + 1 else []
    if not (names := _header(head, second)):
        return Heading(rows[0].cells, None, 0, [])
    left_out = [(row, "above the names of columns") for row in rows[:at]]
    data = next((place for place, row in enumerate(rows[at + 1 : at + 6], at + 1) if not _is_words(row.cells)), at + 1)
    words = [row for row in rows[at + 1 : data] if len(row.cells) == width]
    if len(words) < data - at - 1 or not all(_above_numbers(row.cells, rows[data].cells) for row in words):
        words = []
    if words and len(set(names)) < len(names):  # two rows of names, of which the first is written once or often
        filled = [
            name or next((each for each in reversed(names[:place]) if each), "") for place, name in enumerate(names)
        ]
        names = [
            f"{name}_{below}" if name and below else name or below
            for name, below in zip(filled, words[0].cells, strict=True)
        ]
        names[0] = rows[at].cells[0]
    left_out += [(row, "below the names of columns and above their numbers") for row in words]
    return Heading(head, names, words[-1].line if words else rows[at].line, left_out)


def _is_words(cells: list[str]) -> bool:
    """Whether a row has words, and neither numbers nor times."""
    kinds = {_kind(cell) for cell in cells if not is_missing(cell)}
    return kinds == {"text"}


def _above_numbers(words: list[str], numbers: list[str]) -> bool:
    """Whether a row of words has one where the row of numbers has a number or a time."""
    pairs = zip(words, numbers, strict=False)
    return any(not is_missing(word) and not is_missing(cell) and _kind(cell) != "text" for word, cell in pairs)


def _header(head: list[str], second: list[str]) -> list[str] | None:
    """The first row if it names columns: then it differs in kind from what is below it."""
    kinds, below = (["" if is_missing(c) else _kind(c) for c in cells] for cells in (head, second))
    alike = all(one == other or not other for one, other in zip(kinds, below, strict=False))
    if "text" not in kinds:
        dates = [one == "time" and other != "time" for one, other in zip(kinds, below, strict=False)]
        names = any(dates) and not (alike or "number" in kinds)
        return head if names or not any(kinds) else None
    return None if second and alike and any(kind in ("time", "decimal") for kind in kinds) else head


def _kind(cell: str) -> str:
    if is_number(cell):
        return "number" if cell.lstrip("+-").isdigit() else "decimal"
    return "time" if is_time(cell) else "text"


def number_names(file: str, count: int) -> list[str]:
    """Names for series that have none: the stem of the file, numbered from 1 where there are several."""
    check_width(file, count)
    stem = PurePosixPath(file).stem
    return [stem] if count == 1 else [f"{stem}_{position}" for position in range(1, count + 1)]
