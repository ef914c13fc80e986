"""Parquet and Feather → tables. A few kilobytes can unpack to any size: sizes are checked before columns are read."""

from __future__ import annotations

import io
import json
import struct
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from vitime_cache.series.bounds import (
    MAX_CELL,
    MAX_UNPACKED,
    MAX_VALUES,
    SignalError,
    check_length,
    check_width,
    reading_errors,
)

if TYPE_CHECKING:
    import pandas as pd

BATCH = 10_000  # rows


def read_parquet(file: str, data: bytes) -> pd.DataFrame:
    """Numbers, times and texts; nested columns are left out. An index that pandas stored comes first.

    Raises
    ------
    SignalError
        Naming the file, if it is broken or too large, or has texts too long for a time or a name.
    """
    import pyarrow as pa
    from pyarrow import parquet

    _tell_of_periods()
    with reading_errors(f"{file} cannot be read as Parquet", *_broken()):
        content = parquet.ParquetFile(io.BytesIO(data), page_checksum_verification=True)
        metadata, names = content.metadata, _flat_names(file, content.schema_arrow)
        check_length(file, metadata.num_rows)
        check_width(file, len(names), metadata.num_rows)
        groups = [metadata.row_group(number) for number in range(metadata.num_row_groups)]
        chunks = [group.column(number) for group in groups for number in range(group.num_columns)]
        if sum(max(each.total_uncompressed_size, 0) for each in chunks if each.path_in_schema in names) > MAX_UNPACKED:
            raise SignalError(f"{file} unfolds to more than {MAX_UNPACKED / 1e6:.0f} MB; split it")
        texts = [name for name in names if _is_text(content.schema_arrow.field(name).type)]
        # A text that occurs a million times is held once.
        folded = parquet.ParquetFile(io.BytesIO(data), read_dictionary=texts, page_checksum_verification=True)
        batches = list(_bounded(file, folded.iter_batches(BATCH, columns=names))) if names else []
        table = pa.Table.from_batches(batches, batches[0].schema) if batches else None
        if table is None or table.num_rows != metadata.num_rows:
            raise SignalError(f"{file} holds no series, or is damaged: it says that it has {metadata.num_rows} rows")
        table.validate()
        return _frame(table.select(names))


def read_feather(file: str, data: bytes) -> pd.DataFrame:
    """As `read_parquet`, for a Feather file, which is Arrow's IPC format."""
    import pyarrow as pa

    _tell_of_periods()
    with reading_errors(f"{file} cannot be read as Feather", *_broken(), struct.error):
        if unpacked_size(data) > MAX_UNPACKED:
            raise SignalError(f"{file} unfolds to more than {MAX_UNPACKED / 1e6:.0f} MB; split it")
        table = pa.ipc.open_file(pa.BufferReader(data)).read_all()
        table.validate(full=True)
        names = _flat_names(file, table.schema)
        check_length(file, table.num_rows)
        check_width(file, len(names), table.num_rows)
        if not names:
            raise SignalError(f"{file} holds no series")
        list(_bounded(file, table.select(names).to_batches()))
        return _frame(table.select(names))


def unpacked_size(data: bytes) -> int:
    """Bytes of all buffers of a Feather file: a compressed buffer begins with its unpacked size."""
    import pyarrow as pa

    reader, total = pa.ipc.MessageReader.open_stream(pa.BufferReader(data[8:])), 0  # behind "ARROW1"
    while True:
        try:
            message = reader.read_next_message()
        except StopIteration:
            return total
        if message.type not in ("record batch", "dictionary"):
            continue
        meta, body = memoryview(message.metadata), memoryview(message.body)
        batch = _child(meta, struct.unpack_from("<I", meta)[0], 2)
        batch = _child(meta, batch, 1) if message.type == "dictionary" else batch
        packed = _slot(meta, batch, 3) is not None
        vector = _child(meta, batch, 2)
        for number in range(struct.unpack_from("<I", meta, vector)[0]):
            at, length = struct.unpack_from("<qq", meta, vector + 4 + 16 * number)
            said = struct.unpack_from("<q", body, at)[0] if packed and length else length
            total += length if said == -1 else abs(said)


def _slot(meta: memoryview, table: int, field: int) -> int | None:
    """Position of a field of a FlatBuffers table."""
    vtable = table - struct.unpack_from("<i", meta, table)[0]
    size = struct.unpack_from("<H", meta, vtable)[0]
    offset = struct.unpack_from("<H", meta, vtable + 4 + 2 * field)[0] if 4 + 2 * field < size else 0
    return table + offset if offset else None


def _child(meta: memoryview, table: int, field: int) -> int:
    if (slot := _slot(meta, table, field)) is None:
        raise ValueError("a message of it lacks a part")
    return int(slot + struct.unpack_from("<I", meta, slot)[0])


def _broken() -> tuple[type[Exception], ...]:
    import pyarrow as pa

    return pa.ArrowException, OSError, ValueError, KeyError, TypeError, OverflowError, RecursionError, MemoryError


def _is_text(kind: Any) -> bool:
    from pyarrow import types

    return any(check(kind) for check in (types.is_string, types.is_large_string, types.is_string_view))


def _flat_names(file: str, schema: Any) -> list[str]:
    """Columns that may hold a series, a time or a name; an index that pandas stored comes first."""
    from pyarrow import types

    flat = types.is_primitive, types.is_decimal, types.is_null, _is_text, _is_period
    kinds = {field.name: field.type.value_type if types.is_dictionary(field.type) else field.type for field in schema}
    kept = [name for name, kind in kinds.items() if any(check(kind) for check in flat)]
    if (twice := next((name for name in kept if schema.names.count(name) > 1), None)) is not None:
        raise SignalError(f"{file}: two columns are named {twice!r}; rename one")
    index = _index(schema)
    return sorted(kept, key=lambda name: name not in index)


def _tell_of_periods() -> None:
    """Register pandas' type for periods with Arrow; pandas does it when it first converts some."""
    import pandas as pd
    import pyarrow as pa

    pa.array(pd.period_range("2000", periods=1, freq="D"))


def _is_period(kind: Any) -> bool:
    """Whether a type is that of pandas' periods, once `_tell_of_periods` has registered it."""
    return hasattr(kind, "freq")


def _index(schema: Any) -> Sequence[str]:
    pandas = json.loads((schema.metadata or {}).get(b"pandas", b"null"))
    stored = pandas.get("index_columns") if isinstance(pandas, dict) else None
    # pandas describes an index that is a mere range by a dict
    return list(dict.fromkeys(name for name in stored if isinstance(name, str))) if isinstance(stored, list) else []


def _bounded(file: str, batches: Any) -> Iterator[Any]:
    """The batches, checked: no text longer than a time or a name, all texts together no larger than a file may be."""
    import pyarrow as pa
    from pyarrow import compute, types

    total = 0
    for batch in batches:
        for name, column in zip(batch.schema.names, batch.columns, strict=True):
            texts = column.dictionary if types.is_dictionary(column.type) else column
            if not _is_text(texts.type) or not len(texts):
                continue
            lengths = compute.binary_length(texts)
            if (longest := compute.max(lengths).as_py() or 0) > MAX_CELL:
                raise SignalError(
                    f"{file}, column {name!r:.60}: a text of {longest} characters is not a time, number or name; "
                    "leave the column out"
                )
            total += compute.sum(lengths).as_py() or 0
        if total > MAX_VALUES:
            raise SignalError(f"{file} holds more than {MAX_VALUES / 1e6:.0f} MB of text; leave columns out")
        yield pa.RecordBatch.from_arrays(batch.columns, schema=batch.schema)


def _frame(table: Any) -> pd.DataFrame:
    """A DataFrame whose columns are numbers, times, texts, or categories of these."""
    import pandas as pd

    # An index without a name is a counter or the time.
    unnamed = [name for name in _index(table.schema) if name.startswith("__index_level_")]
    frame: pd.DataFrame = table.to_pandas(ignore_metadata=True, date_as_object=False)
    frame.columns = pd.Index(["" if name in unnamed else name for name in table.column_names], dtype=object)
    return frame.set_axis(pd.RangeIndex(1, len(frame) + 1))
