"""Files of series made to do harm: each is read or refused in one line, within a limit of memory and of time."""

from __future__ import annotations

import io
import json
import struct
from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd  # noqa: F401  (its memory is taken before the limit is set)
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.isolated import Isolated, many
from vitime_cache.series.sources import read_signals

ROWS = 50
LONG = "x" * 5_000_000
anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5) | st.sampled_from(["s", "t", "date"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
)


def lists_of(values: pa.Array, length: int) -> pa.Array:
    """The values in lists of one length."""
    return pa.ListArray.from_arrays(np.arange(0, len(values) + 1, length, dtype=np.int32), values)


columns = st.sampled_from(
    [
        pa.array(np.arange(ROWS, dtype=float)),
        pa.array(np.arange(ROWS)),
        pa.array([2**63 - 1] * ROWS, pa.timestamp("us")),
        pa.array(range(ROWS), pa.timestamp("ns", "Europe/Oslo")),
        pa.array(range(ROWS), pa.time32("s")),
        pa.array(range(ROWS), pa.duration("us")),
        pa.array([LONG, LONG] + [""] * (ROWS - 2)),
        pa.DictionaryArray.from_arrays(np.zeros(ROWS, np.int32), [LONG]),
        pa.array([f"{2000 + i}-01-01" for i in range(ROWS)]).dictionary_encode(),
        pa.array([b"\xff\xfe"] * ROWS),
        pa.array([b"ab"] * ROWS, pa.binary(2)),
        pa.array([[1.0] * i for i in range(ROWS)]),
        lists_of(lists_of(pa.nulls(1000 * 100 * ROWS), 1000), 100),
        pa.array([{"a": 1, "b": [2]}] * ROWS),
        pa.nulls(ROWS),
        pa.nulls(ROWS, pa.float64()),
        pa.array([None] * ROWS, pa.string()),
        pa.array([True] * ROWS),
        pa.array([10**37] * ROWS, pa.decimal128(38)),
        pa.array([10**75] * ROWS, pa.decimal256(76)),
        pa.array(np.full(ROWS, np.inf, np.float16)),
    ]
)


def attempt(path: str) -> None:
    """What a person could do with a file of series."""
    signals = read_signals(path, fill="interpolate")
    assert all(len(signal.values) > 1 and signal.fingerprint for signal in signals)


@pytest.fixture(scope="module")
def child() -> Iterator[Isolated]:
    with Isolated(attempt) as isolated:
        yield isolated


@many
@given(
    st.lists(st.tuples(st.sampled_from(["s", "t", "date", "", "a.b", "\n"]), columns), min_size=1, max_size=4),
    st.none() | anything | st.fixed_dictionaries({"index_columns": anything}),
    st.sampled_from(["zstd", "snappy", "none"]),
    st.booleans(),
)
def test_a_parquet_file_of_any_columns_and_metadata_does_no_harm(
    child: Isolated, parts: list[tuple[str, pa.Array]], pandas: Any, codec: str, folded: bool
) -> None:
    table = pa.table([values for _, values in parts], names=[name for name, _ in parts])
    if pandas is not None:
        table = table.replace_schema_metadata({"pandas": json.dumps(pandas)})
    stream = io.BytesIO()
    pq.write_table(table, stream, compression=codec, use_dictionary=folded, row_group_size=ROWS // 3)
    child.harmless("f.parquet", stream.getvalue())


@pytest.mark.parametrize("said", [b"{}", b"[]", b"[", b"\xff", b'{"freq": "odd"}', b'{"freq": 5}', b'{"freq": null}'])
def test_a_parquet_file_with_odd_metadata_of_its_periods_does_no_harm(child: Isolated, said: bytes) -> None:
    facts = {b"ARROW:extension:name": b"pandas.period", b"ARROW:extension:metadata": said}
    schema = pa.schema([pa.field("t", pa.int64(), metadata=facts), pa.field("s", pa.float64())])
    stream = io.BytesIO()
    pq.write_table(pa.table([np.arange(ROWS), np.arange(ROWS) % 7.0], schema=schema), stream)
    child.harmless("f.parquet", stream.getvalue())


@pytest.mark.parametrize("rows", [1_000_000, 10_000])
def test_a_parquet_file_that_unfolds_to_gigabytes_does_no_harm(child: Isolated, rows: int) -> None:
    long = pa.DictionaryArray.from_arrays(pa.array(np.zeros(rows, np.int32)), ["2020" + " " * (10**10 // rows)])
    stream = io.BytesIO()
    pq.write_table(pa.table({"date": long, "s": np.zeros(rows)}), stream, compression="zstd")
    assert len(stream.getvalue()) < 100_000
    assert child.harmless("f.parquet", stream.getvalue()).outcome == "refused"


@many
@given(
    st.fixed_dictionaries(
        {"descr": st.sampled_from(["<f8", "|O", "|V9999999", "<U99999", "x"]) | anything, "fortran_order": anything,
         "shape": anything | st.lists(st.integers(-1, 10**12), max_size=3).map(tuple)}
    ),
    st.binary(max_size=80), st.integers(0, 3),
)  # fmt: skip
def test_an_npy_file_of_any_header_does_no_harm(child: Isolated, header: dict, body: bytes, version: int) -> None:
    text = repr(header).encode() + b"\n"
    length = struct.pack("<H" if version < 2 else "<I", len(text) % 2**16)
    child.harmless("f.npy", b"\x93NUMPY" + bytes([version, 0]) + length + text + body)


@many
@given(
    st.sampled_from(["f.csv", "f.toml"]),
    st.binary(max_size=300) | st.text('0123456789,;.\n\t "-e[]={}', max_size=80).map(str.encode),
)
def test_a_text_file_of_any_content_does_no_harm(child: Isolated, name: str, data: bytes) -> None:
    child.harmless(name, data)


@many
@given(st.dictionaries(st.sampled_from(["name", "harmonics", "noise", "seed", "n", "horizon", "reduced_of"]), anything))
def test_a_toml_table_of_any_values_does_no_harm(child: Isolated, table: dict[str, Any]) -> None:
    lines = [f"{key} = {json.dumps(value)}" for key, value in ({"name": "a", "noise": 1} | table).items()]
    child.harmless("f.toml", "\n".join(["[[signal]]", *lines]).encode(errors="replace"))
