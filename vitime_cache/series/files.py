"""Files of series → named columns of finite numbers. Bad input ends here, in an error that says where it stands.

CSV, Parquet and NPY become the same `Column`; a value that cannot be used is named by file, column, row and value.
Rows count from 1. In CSV and in pasted text a row is the line of the file, header included; elsewhere it is the sample.
"""

from __future__ import annotations

import csv
import io
from array import array
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from itertools import chain, islice
from pathlib import Path, PurePosixPath
from tokenize import TokenError
from typing import TYPE_CHECKING, BinaryIO

import numpy as np

from vitime_cache.series.cells import (
    MAX_BYTES,
    MAX_SERIES,
    MAX_VALUES,
    Column,
    Fill,
    SignalError,
    check_length,
    decode,
    fill_missing,
    is_number,
    number,
)
from vitime_cache.series.times import TIME_NAMES, check_times, is_time

if TYPE_CHECKING:
    import pyarrow as pa


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


def read_columns(file: str, data: bytes, fill: Fill = "none") -> list[Column]:
    """The series in a CSV, Parquet or NPY file, complete and finite.

    Parameters
    ----------
    file
        Its name: the ending says the format, the stem names series that have no name of their own.
    data
        Its content.
    fill
        What to do with missing values, see `fill_missing`.

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
    return [fill_missing(column, fill, f"{file}, column {column.name!r}") for column in columns]


def _read_csv(file: str, data: bytes) -> list[Column]:
    """Columns apart by comma, semicolon or tab; a first row that holds numbers only is data, not a header."""
    table = _csv_rows(file, data)
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
    _check_names(file, names)
    times, rows, values = list[str](), array("q"), [array("d") for _ in names]
    for row, cells in chain(top[has_header:], table):
        if len(cells) != len(head):
            raise SignalError(f"{file}, row {row}: {len(cells)} cells, but {len(head)} in row {first_row}")
        rows.append(row)
        times.extend(cells[:has_index])
        for name, column, cell in zip(names, values, cells[has_index:], strict=True):
            try:
                column.append(number(cell))
            except ValueError as error:
                raise SignalError(f"{file}, column {name!r}, row {row}: {error}") from None
        check_length(file, len(rows))
    spacing = 0.0
    if has_index:
        title = head[0] if has_header else ""
        spacing = check_times(f"{file}, column {title if has_header else 1!r}", title, times, rows)
    return [
        Column(name, np.array(column), rows, sample_seconds=spacing) for name, column in zip(names, values, strict=True)
    ]


def _csv_rows(file: str, data: bytes) -> Iterator[tuple[int, list[str]]]:
    """Rows of stripped cells with their line; empty ones before the first and after the last full row are dropped."""
    text = decode(file, data)
    first_line = text.lstrip().partition("\n")[0]
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=max(",;\t", key=first_line.count), strict=True)
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


def _read_parquet(file: str, data: bytes) -> list[Column]:
    """Numeric columns; the time is the index that pandas stored, or a first column of times or named like one."""
    import pyarrow as pa
    from pyarrow import parquet, types

    with _reading_errors(f"{file} cannot be read as Parquet", pa.ArrowException, OSError, ValueError):
        content = parquet.ParquetFile(io.BytesIO(data), page_checksum_verification=True)
        schema, length = content.schema_arrow, content.metadata.num_rows
        names, kinds, index = schema.names, schema.types, _parquet_index(schema)
        series = [position for position in range(len(names)) if position != index]
        _check_names(file, [names[position] for position in series])
        check_length(file, length)
        if len(series) * length > MAX_VALUES:
            raise SignalError(f"{file} holds {len(series)} × {length} values; at most {MAX_VALUES} are read")
        top = next(content.iter_batches(batch_size=1), ())
        for position in series if top else ():
            kind = kinds[position]
            if not (types.is_integer(kind) or types.is_floating(kind) or types.is_decimal(kind)):
                raise SignalError(
                    f"{file}, column {names[position]!r}, row 1: {str(top[position][0])[:60]!r} is of type {kind}, "
                    "not a number; convert it, or leave the column out"
                )
        table = content.read()
        table.validate()  # a damaged file may hold fewer rows than it says
        if table.num_rows != length:
            raise SignalError(f"{file} is damaged: it holds {table.num_rows} rows and says {length}")
        times = [] if index is None else table.column(index).cast(pa.string()).fill_null("").to_pylist()
        values = [table.column(position).cast(pa.float64(), safe=False).to_numpy() for position in series]
    rows = range(1, length + 1)
    spacing = 0.0 if index is None else check_times(f"{file}, column {names[index]!r}", names[index], times, rows)
    return [
        Column(names[position], column, rows, sample_seconds=spacing)
        for position, column in zip(series, values, strict=True)
    ]


def _parquet_index(schema: pa.Schema) -> int | None:
    """Position of the column that holds the time, if one does."""
    from pyarrow import types

    names = schema.names
    for name in (schema.pandas_metadata or {}).get("index_columns", []):
        if name in names:  # pandas describes an index that is a mere range by a dict
            return int(names.index(name))
    if len(names) < 2:
        return None
    kind = schema.types[0]
    if types.is_temporal(kind) or types.is_string(kind) or types.is_large_string(kind):
        return 0
    return 0 if names[0].lower() in TIME_NAMES else None


def _read_npy(file: str, data: bytes) -> list[Column]:
    """One series (T,), or a series per column (T, series): time runs down the rows, as in the other formats."""
    if not data.startswith(np.lib.format.MAGIC_PREFIX):
        raise SignalError(f"{file} is not an NPY file; write it with numpy.save")
    broken = (ValueError, TypeError, EOFError, OSError, OverflowError, MemoryError, SyntaxError, TokenError)
    with _reading_errors(f"{file} cannot be read as an NPY file of float64", *broken):
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


@contextmanager
def _reading_errors(message: str, *kinds: type[Exception]) -> Iterator[None]:
    """Turn what a library raises on a broken file into a SignalError."""
    try:
        yield
    except SignalError:
        raise
    except kinds as error:
        raise SignalError(f"{message}: {error}") from error


def _number_names(file: str, count: int) -> list[str]:
    """Names for series that have none: the stem of the file, numbered from 1 where there are several."""
    _check_width(file, count)
    stem = PurePosixPath(file).stem
    return [stem] if count == 1 else [f"{stem}_{position}" for position in range(1, count + 1)]


def _check_names(file: str, names: Sequence[str]) -> None:
    _check_width(file, len(names))
    seen: set[str] = set()
    for position, name in enumerate(names, start=1):
        if not name:
            raise SignalError(f"{file}: series {position} of {len(names)} has no name in the header")
        if name in seen:
            raise SignalError(f"{file}: two columns are named {name!r}; rename one")
        seen.add(name)


def _check_width(file: str, count: int) -> None:
    if count > MAX_SERIES:
        raise SignalError(f"{file} holds {count} series; at most {MAX_SERIES} are read")


_READERS: dict[str, Callable[[str, bytes], list[Column]]] = {
    ".csv": _read_csv,
    ".parquet": _read_parquet,
    ".npy": _read_npy,
}
