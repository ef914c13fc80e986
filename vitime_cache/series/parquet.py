"""Parquet files → columns. A few kilobytes can unfold to any size: sizes are checked before columns are read."""

from __future__ import annotations

import io
import json
from collections.abc import Sequence
from typing import TYPE_CHECKING

from vitime_cache.series.cells import (
    MAX_BYTES,
    MAX_VALUES,
    Column,
    SignalError,
    check_length,
    check_names,
    reading_errors,
)
from vitime_cache.series.times import TIME_NAMES, check_times

if TYPE_CHECKING:
    import pyarrow as pa
    from pyarrow import parquet

MAX_UNPACKED = 8 * MAX_VALUES + MAX_BYTES  # bytes of a Parquet file, which is compressed
MAX_CELL = 100  # characters of a time
BATCH = 10_000


def read_parquet(file: str, data: bytes) -> list[Column]:
    """Numeric columns; the time is the index that pandas stored, or a first column of times or named like one."""
    import pyarrow as pa
    from pyarrow import parquet, types

    with reading_errors(
        f"{file} cannot be read as Parquet", pa.ArrowException, OSError, ValueError, OverflowError, RecursionError
    ):
        content = parquet.ParquetFile(io.BytesIO(data), page_checksum_verification=True)
        schema, length = content.schema_arrow, content.metadata.num_rows
        names, kinds, index = schema.names, schema.types, _index(schema)
        series = [position for position in range(len(names)) if position != index]
        check_names(file, [names[position] for position in series])
        if index is not None and names.count(names[index]) > 1:
            raise SignalError(f"{file}: two columns are named {names[index]!r}; rename one")
        check_length(file, length)
        if len(series) * length > MAX_VALUES:
            raise SignalError(f"{file} holds {len(series)} × {length} values; at most {MAX_VALUES} are read")
        _check_sizes(file, content.metadata, names)
        for position in series if length else ():
            name, kind = names[position], kinds[position]
            if not (types.is_integer(kind) or types.is_floating(kind) or types.is_decimal(kind)):
                [first] = next(content.iter_batches(1, columns=[name])).column(0)
                raise SignalError(
                    f"{file}, column {name!r}, row 1: {str(first)[:60]!r} is of type {str(kind)[:100]}, not a number; "
                    "convert it, or leave the column out"
                )
        table = content.read([names[position] for position in series])
        table.validate()  # a damaged file may hold fewer rows than it says
        times = [] if index is None else _times(file, data, names[index], kinds[index])
        if (series and table.num_rows != length) or (index is not None and len(times) != length):
            raise SignalError(f"{file} is damaged: it holds {table.num_rows} rows and says {length}")
        values = [table.column(names[position]).cast(pa.float64(), safe=False).to_numpy() for position in series]
    rows = range(1, length + 1)
    spacing = 0.0 if index is None else check_times(f"{file}, column {names[index]!r}", names[index], times, rows)
    return [
        Column(names[position], column, rows, sample_seconds=spacing)
        for position, column in zip(series, values, strict=True)
    ]


def _check_sizes(file: str, metadata: parquet.FileMetaData, names: Sequence[str]) -> None:
    """Refuse nested columns and columns that unfold to more than the file may hold, before any of them is read."""
    groups = [metadata.row_group(number) for number in range(metadata.num_row_groups)]
    for group in groups:
        if group.num_columns != len(names):
            raise SignalError(f"{file} holds lists or records; give each series a column of its own")
    chunks = [(group, group.column(number)) for group in groups for number in range(group.num_columns)]
    if any("." in chunk.path_in_schema and chunk.path_in_schema not in names for _, chunk in chunks):
        raise SignalError(f"{file} holds lists or records; give each series a column of its own")
    rows = sum(group.num_rows for group in groups)
    if rows != metadata.num_rows or any(chunk.num_values != group.num_rows for group, chunk in chunks):
        raise SignalError(f"{file} is damaged: its parts hold {rows} rows and it says {metadata.num_rows}")
    if sum(max(chunk.total_uncompressed_size, 0) for _, chunk in chunks) > MAX_UNPACKED:
        raise SignalError(f"{file} unfolds to more than {MAX_UNPACKED / 1e6:.0f} MB; split it")


def _times(file: str, data: bytes, name: str, kind: pa.DataType) -> list[str]:
    """The cells of the time index; a text that stands there a million times is held once until its length is known."""
    import pyarrow as pa
    from pyarrow import compute, parquet, types

    is_text = any(check(kind) for check in (types.is_string, types.is_large_string, types.is_binary))
    content = parquet.ParquetFile(io.BytesIO(data), read_dictionary=[name] if is_text else None)
    cells: list[str] = []
    for batch in content.iter_batches(BATCH, columns=[name]):
        column = batch.column(0)
        distinct = column.dictionary if types.is_dictionary(column.type) else column
        if not types.is_primitive(distinct.type):
            longest = compute.max(compute.binary_length(distinct)).as_py() or 0
            if longest > MAX_CELL:
                raise SignalError(f"{file}, column {name!r}: a text of {longest} characters is no time")
        cells += column.cast(pa.string()).fill_null("").to_pylist()
    return cells


def _index(schema: pa.Schema) -> int | None:
    """Position of the column that holds the time, if one does."""
    from pyarrow import types

    names = schema.names
    pandas = json.loads((schema.metadata or {}).get(b"pandas", b"null"))
    stored = pandas.get("index_columns") if isinstance(pandas, dict) else None
    for name in stored if isinstance(stored, list) else []:
        if isinstance(name, str) and name in names:  # pandas describes an index that is a mere range by a dict
            return int(names.index(name))
    if len(names) < 2:
        return None
    kind = schema.types[0]
    if types.is_dictionary(kind):
        kind = kind.value_type
    if types.is_temporal(kind) or types.is_string(kind) or types.is_large_string(kind):
        return 0
    return 0 if names[0].lower() in TIME_NAMES else None
