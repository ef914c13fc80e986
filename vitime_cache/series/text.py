"""CSV and similar text → a table of texts: finds comments, the separator and the names of columns.

pyarrow splits the rows; the first `_TOP` lines decide how.
"""

from __future__ import annotations

import csv
import io
import re
from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from itertools import islice
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any

import numpy as np

from vitime_cache.series.bounds import (
    MAX_SERIES,
    NOTES,
    SEPARATOR,
    SignalError,
    check_length,
    check_width,
    reading_errors,
)
from vitime_cache.series.cells import refuse_commas_within
from vitime_cache.series.heading import Row, find_heading
from vitime_cache.series.times import is_time

if TYPE_CHECKING:
    import pandas as pd

_LINE_END = re.compile(r"[\r\n]")
_COMMENT = re.compile(r"[#%](?!N/?A\b)")
_ROW_COUNT = re.compile(r"\(\d+ rows?\)\s*")
_SEPARATORS = "\t;,|"  # the comma comes late, as it may be a decimal comma or part of a name
_TOP = 30  # lines that are looked at before the rest is read


def decode(file: str, data: bytes) -> tuple[str, list[str]]:
    """Decode UTF-8 or UTF-16, with or without a byte-order mark; anything else as Windows-1252, with a note.

    Raises
    ------
    SignalError
        Naming the row, if a byte cannot be part of a text.
    """
    with suppress(UnicodeDecodeError):
        if data[:2] in (b"\xff\xfe", b"\xfe\xff"):
            return data.decode("utf-16"), []
        if data[1:6:2] == bytes(3):
            return data.decode("utf-16-le"), []
    try:
        return data.decode("utf-8-sig"), []
    except UnicodeDecodeError as error:
        row = data.count(b"\n", 0, error.start) + 1
        line = data.splitlines()[row - 1].decode("cp1252", errors="replace")
        if not re.search(rb"[\0-\x08\x0e-\x1f\x7f\x81\x8d\x8f\x90\x9d]", data):
            note = f"{file} is not UTF-8; it is read as Windows-1252, such as {line.strip()[:60]!r} in row {row}"
            return data.decode("cp1252"), [note]
        raise SignalError(
            f"{file}, row {row}: byte {data[error.start]:#04x} is no text; save the file as UTF-8"
        ) from error


def read_text(file: str, data: bytes, separator: str | None = None) -> pd.DataFrame:
    """A table separated by commas, semicolons, tabs, bars or spaces, with or without a header; all cells as text.

    Parameters
    ----------
    separator
        If it is known; by default it is found from a `sep=` line or from the rows.

    Returns
    -------
    DataFrame
        Its index is the line of each row in the file. Names may be empty or occur twice.

    Raises
    ------
    SignalError
        Naming the file and the row.
    """
    text, notes = decode(file, data)
    body, places, stated, remarks = _table_in(file, text)
    if body.count('"') % 2:
        lines = io.StringIO(body, newline="")
        row = next(place for place, line in zip(places, lines, strict=False) if line.count('"') % 2)
        raise SignalError(f"{file}, row {row}: a quote is opened and never closed; correct its quotes")
    first_lines = list(islice(io.StringIO(body, newline=""), _TOP))
    top = "".join(first_lines)
    if (widest := max(line.count(sign) for line in first_lines for sign in _SEPARATORS)) > 4 * MAX_SERIES:
        check_width(file, widest)
    separator = separator or stated or _separator(top)
    if separator == " ":
        body, top = (re.sub(r"[ \t]+", " ", re.sub(r"(?m)^[ \t]+|[ \t]+$", "", text)) for text in (body, top))
        body, top = (re.sub(r"(:\d\d) ([AaPp][Mm])\b", r"\1\2", text) for text in (body, top))
    elif f'"{separator} "' in top:
        body, top = (text.replace(f'"{separator} "', f'"{separator}"') for text in (body, top))
    reader = csv.reader(io.StringIO(top, newline=""), delimiter=separator)
    with reading_errors(f"{file}, row {places[0]}", csv.Error):
        rows = [
            Row(reader.line_num, [cell.strip() for cell in cells]) for cells in reader if any(map(str.strip, cells))
        ]
    if not rows:
        raise SignalError(f"{file} is empty")
    heading = find_heading(rows, separator)
    if heading.names and len(rows) == 1:
        raise SignalError(f"{file} has no numbers below its only row, {', '.join(rows[0].cells)[:60]!r}")
    names = heading.names or _names_without_header(file, rows[0], separator, body, remarks)
    check_length(file, len(places) - heading.lines)
    check_width(file, len(names), len(places) - heading.lines)
    body, below = _without_footer(body, separator, len(names), places)
    frame = _parse(file, body, separator, names, heading.lines, places)
    frame = _without_repeats(file, frame, notes) if heading.names else _timed(frame)
    frame.attrs[SEPARATOR] = separator
    frame.attrs[NOTES] = notes + [
        f"{file}, row {places[min(row.line, len(places)) - 1]}: left out, {why}: "
        f"{', '.join(filter(None, row.cells))[:60]!r}"
        for row, why in [*heading.left_out, *((row, "below the numbers") for row in below)]
    ]
    return frame


def number_names(file: str, count: int) -> list[str]:
    """Names for series without one: the stem of the file, numbered from 1 if there are several."""
    check_width(file, count)
    stem = PurePosixPath(file).stem
    return [stem] if count == 1 else [f"{stem}_{position}" for position in range(1, count + 1)]


def _table_in(file: str, text: str) -> tuple[str, Sequence[int], str | None, list[str]]:
    """The lines of the table, their line numbers, the separator if stated, and the comments above.

    All comments are left out, and blank lines at both ends.
    """
    separator, remarks, start = None, list[str](), 0
    for above, line in enumerate(io.StringIO(text, newline="")):
        cell = line.strip(" \r\n")
        if said := re.fullmatch(r'"?sep=(.)"?', cell, re.IGNORECASE):
            separator = said[1]
        elif _is_no_row(cell):
            remarks.append(cell.lstrip("#% "))
        elif cell.strip("\t,;| "):
            break
        start += len(line)
        check_length(file, above + 1)
    else:
        raise SignalError(f"{file} is empty")
    last = _LINE_END.search(text, len(text.rstrip(" \t,;|\r\n")))
    body = text[start : last.start() if last else None]
    count = (body.count("\n") or body.count("\r")) + 1
    check_length(file, count - 1)
    places: Sequence[int] = range(above + 1, above + 1 + count)
    if any(sign in body for sign in ("\n#", "\n%", "---", "\n(")):
        lines = enumerate(io.StringIO(body, newline=""), above + 1)
        kept = [(place, line) for place, line in lines if not _is_no_row(line)]
        body, places = "".join(line for _, line in kept).rstrip("\r\n"), [place for place, _ in kept]
    return body, places, separator, remarks


def _is_no_row(line: str) -> bool:
    """Whether a line is a comment, or a frame that databases print: ----+----, |---|---|, (60 rows)."""
    if "---" in line and set(line) <= set("-=:|+ \t\r\n"):
        return "|" in line or "+" in line
    return _COMMENT.match(line) is not None or _ROW_COUNT.fullmatch(line) is not None


def _separator(top: str) -> str:
    """The separator that splits the first two full rows alike; else most rows below titles; else the most frequent."""
    widths: dict[str, list[int]] = {}
    for separator in _SEPARATORS:
        with suppress(csv.Error):
            rows = csv.reader(io.StringIO(top, newline=""), delimiter=separator)
            widths[separator] = [len(cells) for cells in rows if any(cells)]
    for separator, counts in widths.items():
        if len(counts) > 1 and counts[0] == counts[1] > 1 and max(counts[-5:]) > 1:
            return separator
    first, second = ([*top.strip().splitlines(), "", ""])[:2]
    blanks = [
        len(next(csv.reader([line.strip()], delimiter=" ", skipinitialspace=True), [])) for line in (first, second)
    ]
    if blanks[0] > 1 and blanks[1] - blanks[0] in (0, 1) and not any(sign in first for sign in ",;\t|"):
        return " "
    for separator, counts in widths.items():
        [(width, often)] = Counter(counts).most_common(1) or [(0, 0)]
        if width > 1 and often > 4:
            return separator
    return max(",;\t|", key=first.count)


def _without_footer(body: str, separator: str, width: int, places: Sequence[int]) -> tuple[str, list[Row]]:
    """A table without the remarks below it, and these: last lines of words, in more or fewer cells than its rows."""
    end, above, left = len(body), len(body), list[Row]()
    for line in range(len(places), max(len(places) - _TOP, 0), -1):
        start = max(body.rfind(sign, 0, above) for sign in "\r\n") + 1
        row = Row(
            line, [cell.strip() for cell in next(csv.reader([body[start:above].strip()], delimiter=separator), [])]
        )
        above = start - 1 - (body[max(start - 2, 0) : start] == "\r\n")
        if not any(row.cells):
            continue
        cut_off = body.count(row.cells[0]) > 1  # after the id of a series
        if len(row.cells) == width or not row.is_words or cut_off or not re.search(r"[^\W\d_]{2}", row.cells[0]):
            break
        left, end = [row, *left], above
        if above <= 0:
            return body, []
    return body[:end], left


def _parse(file: str, body: str, separator: str, names: list[str], skipped: int, places: Sequence[int]) -> pd.DataFrame:
    """The rows below the header as texts, indexed by their lines."""
    import pandas as pd
    import pyarrow as pa
    from pyarrow import csv as arrow

    uneven: list[Any] = []

    def note(row: Any) -> str:
        uneven.append(row)
        return "skip"

    columns = [str(number) for number in range(len(names))]  # names may be equal
    with reading_errors(f"{file} cannot be read", pa.ArrowException, ValueError, OverflowError, MemoryError):
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
        row, cells = uneven[0], uneven[0].actual_columns
        raise SignalError(
            f"{file}, row {places[min(row.number, len(places)) - 1]}: {cells} cell{'s' * (cells != 1)}, but "
            f"{row.expected_columns} in row {places[0]}; give every row as many, correct its quotes, and write "
            "decimals with a point"
        )
    if not table.num_rows:
        raise SignalError(f"{file} has no numbers below its header; correct its quotes")
    frame: pd.DataFrame = table.to_pandas(types_mapper={pa.string(): pd.StringDtype(na_value=np.nan)}.get)
    frame.columns = pd.Index(names, dtype=object)
    there = places[skipped : skipped + len(frame)]
    frame.index = pd.Index(there if len(there) == len(frame) else range(skipped + 1, skipped + 1 + len(frame)))
    return frame


def _without_repeats(file: str, frame: pd.DataFrame, notes: list[str]) -> pd.DataFrame:
    """Remove what is repeated: an empty last cell of each line, and the header among the rows."""
    names = list(frame.columns)
    named = next((place for place, name in enumerate(names) if name), 0)
    first = frame.iloc[:, named].fillna("").str.strip()
    for parity in (0, 1) if len(names) > 1 and len(frame) > 3 else ():
        if (first[parity::2] == "").all() and (frame[parity::2].fillna("") == "").all(axis=None):
            frame, first = frame[1 - parity :: 2], first[1 - parity :: 2]
            break
    same = np.flatnonzero((first == names[named]) & (first != "")).tolist()
    again = [at for at in same if [str(cell).strip() for cell in frame.iloc[at]] == names]
    notes += [f"{file}, row {frame.index[at]}: left out, it names the columns again" for at in again[:10]]
    # Between tables of one form stand blank lines.
    blank = [at - 1 for at in again if at and (frame.iloc[at - 1].fillna("").str.strip() == "").all()]
    return frame.drop(frame.index[again + blank])


def _timed(frame: pd.DataFrame) -> pd.DataFrame:
    """Add times if the first row is the start in Unix seconds and the second the sampling rate in hertz.

    Wristbands write such files, with both numbers in each column.
    """
    import pandas as pd

    start, rate = pd.to_numeric(frame.iloc[:2, 0], errors="coerce") if len(frame) > 3 else (0.0, 0.0)
    if not (1e9 <= start < 4e9 and 0 < rate < 1e5):
        return frame
    if any(row.str.strip().nunique() > 1 for _, row in frame.iloc[:2].iterrows()):
        return frame
    times = pd.to_datetime(start + np.arange(len(frame) - 2) / rate, unit="s").round("us")
    timed = frame.iloc[2:].copy()
    timed.insert(0, "time", times)
    return timed


def _names_without_header(file: str, first: Row, separator: str, body: str, remarks: list[str]) -> list[str]:
    """Names from a comment that has as many words as a row has cells; otherwise "time" and the file's name."""
    if separator == ",":
        dated = is_time(first.cells[0])
        numbers = "\n".join(line.partition(",")[2] for line in body.splitlines()) if dated else body
        refuse_commas_within(numbers, file, ", or name the series in a header")
    for remark in remarks:
        words = remark.split() if separator == " " else [word.strip() for word in remark.split(separator)]
        if len(words) == len(first.cells):
            if all(words):
                return words
            break
    numbered = iter(number_names(file, max(sum(kind != "time" for kind in first.kinds), 1)))
    return ["time" if kind == "time" else next(numbered) for kind in first.kinds]
