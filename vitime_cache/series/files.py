"""Files of series → named columns of finite numbers. Bad input ends here, in an error that says where it stands.

CSV, Parquet and NPY become the same `Column`; a value that cannot be used is named by file, column, row and value.
Rows count from 1. In CSV and in pasted text a row is the line of the file, header included; elsewhere it is the sample.
"""

from __future__ import annotations

import csv
import io
from array import array
from collections.abc import Callable, Iterator
from contextlib import suppress
from itertools import chain, islice
from pathlib import Path, PurePosixPath
from tokenize import TokenError
from typing import BinaryIO

import numpy as np

from vitime_cache.series.cells import (
    MAX_BYTES,
    Column,
    Fill,
    SignalError,
    check_length,
    check_names,
    check_width,
    decode,
    fill_missing,
    has_decimal_comma,
    is_number,
    keep_last,
    number,
    reading_errors,
    refuse_commas_within,
)
from vitime_cache.series.parquet import read_parquet
from vitime_cache.series.times import TIME_NAMES, check_times, is_time


def read_bytes(source: str | Path | BinaryIO, name: str | None = None) -> tuple[str, bytes]:
    """The name of a file without its folders, and its content.

    Parameters
    ----------
    source
        A path, or a stream opened in binary mode.
    name
        What a stream is called, as its ending says the format. It is a label and never opened.

    Raises
    ------
    SignalError
        Where there is no such file, or it is empty, or larger than 50 MB.
    """
    if isinstance(source, str | Path):
        path = Path(source)
        try:
            if not path.exists():
                raise SignalError(f"there is no file {str(path)!r}")
            if not path.is_file():
                raise SignalError(f"{str(path)!r} is not a file; name the files in it one by one")
            with path.open("rb") as stream:
                data = stream.read(MAX_BYTES + 1)
        except OSError as error:
            raise SignalError(f"{str(path)[:200]!r} cannot be read: {error.strerror}") from error
        name = name or path.name
    else:
        if not name:
            raise SignalError("a stream has no file name: pass name='series.csv', whose ending says the format")
        data = source.read(MAX_BYTES + 1)
        if not isinstance(data, bytes):
            raise SignalError(f"{name} is open as text; open it in binary mode")
    name = PurePosixPath(name.replace("\\", "/")).name
    if len(data) > MAX_BYTES:
        raise SignalError(f"{name} is larger than {MAX_BYTES / 1e6:.0f} MB; split it, or keep the columns you need")
    if not data:
        raise SignalError(f"{name} is empty")
    return name, data


def read_columns(file: str, data: bytes, fill: Fill = "none", last: int | None = None) -> list[Column]:
    """The series in a CSV, Parquet or NPY file, complete and finite.

    Parameters
    ----------
    file
        Its name: the ending says the format, the stem names series that have no name of their own.
    data
        Its content.
    fill
        What to do with missing values, see `fill_missing`.
    last
        Keep this many samples from the end; what comes before them may miss values.

    Raises
    ------
    SignalError
        Naming file, column, row and value.
    """
    suffix = PurePosixPath(file).suffix.lower()
    if suffix not in _READERS:
        raise SignalError(f"{file}: the ending {suffix!r} is none of {', '.join(sorted([*_READERS, '.toml']))}")
    columns = _READERS[suffix](file, data)
    if not columns:
        raise SignalError(f"{file} holds no series")
    return [fill_missing(keep_last(column, last), fill, f"{file}, column {column.name!r}") for column in columns]


def _read_csv(file: str, data: bytes) -> list[Column]:
    """Columns apart by comma, semicolon or tab; a first row that holds numbers only is data, not a header."""
    text = decode(file, data)
    delimiter = _delimiter(text)
    table = _csv_rows(file, text, delimiter)
    top = list(islice(table, 2))
    if not top:
        raise SignalError(f"{file} is empty")
    first_row, head = top[0]
    has_header = not (all(map(is_number, head[1:])) and (is_number(head[0]) or (len(head) > 1 and is_time(head[0]))))
    if has_header and len(top) == 1:
        raise SignalError(f"{file} has no numbers below its only row, {', '.join(head)[:60]!r}")
    named_time = has_header and head[0].lower() in TIME_NAMES
    has_index = len(head) > 1 and (named_time or not is_number(top[has_header][1][0]))
    names = head[has_index:] if has_header else _number_names(file, len(head) - has_index)
    check_names(file, names)
    if decimal := next(filter(has_decimal_comma, head), None):
        raise SignalError(f"{file}, row {first_row}: {decimal[:60]!r} has a decimal comma; write a decimal point")
    if not has_header and delimiter == ",":
        lines = text.splitlines()
        cells_alone = "\n".join(line.partition(",")[2] for line in lines) if has_index else text
        refuse_commas_within(cells_alone, file, ", or name the series in a header")
    times, rows, values = list[str](), array("q"), [array("d") for _ in names]
    for row, cells in chain(top[has_header:], table):
        if len(cells) != len(head):
            raise SignalError(
                f"{file}, row {row}: {len(cells)} cells, but {len(head)} in row {first_row}; give every row as many, "
                "and write decimals with a point"
            )
        rows.append(row)
        times.extend(cells[:has_index])
        for name, column, cell in zip(names, values, cells[has_index:], strict=True):
            try:
                column.append(number(cell))
            except ValueError as error:
                raise SignalError(f"{file}, column {name!r}, row {row}: {error}") from None
        check_length(file, len(rows))
    if len(rows) == 1 and len(names) > 1:
        raise SignalError(f"{file} holds one sample of each of {len(names)} series; time runs down, transpose it")
    spacing = 0.0
    if has_index:
        title = head[0] if has_header else ""
        spacing = check_times(f"{file}, column {title if has_header else 1!r}", title, times, rows)
    return [
        Column(name, np.array(column), rows, sample_seconds=spacing) for name, column in zip(names, values, strict=True)
    ]


def _delimiter(text: str) -> str:
    """What splits the first two full rows into as many cells; else what occurs most in the first line."""
    for delimiter in "\t;,":  # a comma may be a decimal comma, or stand in a name
        rows = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter)
        with suppress(csv.Error):
            widths = [len(cells) for cells in islice(filter(any, rows), 2)]
            if len(set(widths)) == 1 and widths[0] > 1:
                return delimiter
    first_line = text.lstrip().partition("\n")[0]
    return max(",;\t", key=first_line.count)


def _csv_rows(file: str, text: str, delimiter: str) -> Iterator[tuple[int, list[str]]]:
    """Rows of stripped cells with their line; empty ones before the first and after the last full row are dropped."""
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    width, empty = 0, array("q")
    try:
        for cells in reader:
            stripped = [cell.strip() for cell in cells]
            if any(stripped):
                yield from ((row, [""] * width) for row in empty if width)
                width, empty = len(stripped), array("q")
                yield reader.line_num, stripped
            else:
                empty.append(reader.line_num)
                check_length(file, len(empty))
    except csv.Error as error:
        raise SignalError(f"{file}, row {reader.line_num}: {error}; correct its quotes") from error


def _read_npy(file: str, data: bytes) -> list[Column]:
    """One series (T,), or a series per column (T, series): time runs down the rows, as in the other formats."""
    if not data.startswith(np.lib.format.MAGIC_PREFIX):
        raise SignalError(f"{file} is not an NPY file; write it with numpy.save")
    broken = (ValueError, TypeError, EOFError, OSError, OverflowError, MemoryError, SyntaxError, TokenError)
    with reading_errors(f"{file} cannot be read as an NPY file of float64", *broken):
        values = np.load(io.BytesIO(data), allow_pickle=False)
    if values.dtype.kind not in "iuf" or values.dtype.itemsize > 8:
        raise SignalError(f"{file} holds values of type {values.dtype}; save an array of float64")
    if values.ndim not in (1, 2) or values.size == 0:
        raise SignalError(f"{file} has shape {values.shape}; one series is (samples,), several are (samples, series)")
    if values.ndim == 2 and len(values) == 1:
        raise SignalError(f"{file} has shape {values.shape}: one sample of each series; time runs down, transpose it")
    check_length(file, len(values))
    columns = values.reshape(len(values), -1).astype(np.float64).T
    rows = range(1, len(values) + 1)
    return [Column(name, c, rows) for name, c in zip(_number_names(file, len(columns)), columns, strict=True)]


def _number_names(file: str, count: int) -> list[str]:
    """Names for series that have none: the stem of the file, numbered from 1 where there are several."""
    check_width(file, count)
    stem = PurePosixPath(file).stem
    return [stem] if count == 1 else [f"{stem}_{position}" for position in range(1, count + 1)]


_READERS: dict[str, Callable[[str, bytes], list[Column]]] = {
    ".csv": _read_csv,
    ".parquet": read_parquet,
    ".npy": _read_npy,
}
