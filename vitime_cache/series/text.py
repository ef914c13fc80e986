"""CSV and its kin → a table of texts: comments, `sep=` lines, separators, headers or none. pyarrow parses."""

from __future__ import annotations

import csv
import io
import re
from contextlib import suppress
from itertools import islice
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any

import numpy as np

from vitime_cache.series.bounds import MAX_SERIES, SignalError, check_length, check_width, reading_errors
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

    body, lines, separator, remark = _table_in(file, decode(file, data))
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
        head = [cell.strip() for cell in next(filter(any, reader))]
        header_lines = reader.line_num
        second = next(([cell.strip() for cell in cells] for cells in reader if any(map(str.strip, cells))), [])
    names = _header(head, second)
    if names and not second:
        raise SignalError(f"{file} has no numbers below its only row, {', '.join(head)[:60]!r}")
    skipped = header_lines if names else 0
    if not names:
        if separator == ",":
            dated = is_time(head[0])
            cells_alone = "\n".join(line.partition(",")[2] for line in body.splitlines()) if dated else body
            refuse_commas_within(cells_alone, file, ", or name the series in a header")
        named = [name.strip() for name in remark.split(separator)]
        dates = [is_time(cell) and not is_number(cell) for cell in head]
        numbered = iter(number_names(file, max(dates.count(False), 1)))
        names = ["time" if date else next(numbered) for date in dates]
        names = named if len(named) == len(head) and all(named) else names
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
    return frame


def _table_in(file: str, text: str) -> tuple[str, Any, str | None, str]:
    """The text without comments and blank ends, the row of each line, the separator it says, the last comment."""
    separator, remark, at, line = None, "", 0, 0
    for found in re.finditer(r"[^\r\n]*(?:\r\n|\r|\n|$)", text):
        cell = found.group().strip(" \r\n")
        if said := re.fullmatch(r'"?sep=(.)"?', cell, re.IGNORECASE):
            separator = said[1]
        elif _COMMENT.match(cell):
            remark = cell.lstrip("#% ")
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
        return body, range(line + 1, line + 1 + count), separator, remark
    kept = [
        (row, each) for row, each in enumerate(body.splitlines(keepends=True), line + 1) if not _COMMENT.match(each)
    ]
    return "".join(each for _, each in kept), [row for row, _ in kept], separator, remark


def _separator(top: str) -> str:
    """What splits the first two full rows into as many cells; else what occurs most in the first line."""
    for separator in _SEPARATORS:
        rows = csv.reader(io.StringIO(top, newline=""), delimiter=separator)
        with suppress(csv.Error):
            widths = [len(cells) for cells in islice(filter(any, rows), 2)]
            if len(set(widths)) == 1 and widths[0] > 1:
                return separator
    first, _, rest = top.strip().partition("\n")
    widths = [len(line.split()) for line in (first, rest.partition("\n")[0])]
    if widths[0] == widths[1] > 1 and not any(sign in first for sign in '",;\t|'):
        return " "
    return max(",;\t|", key=first.count)


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
