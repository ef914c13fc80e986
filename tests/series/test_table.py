"""Files → columns: every format, every kind of bad input with the place it names, and files broken at random."""

from __future__ import annotations

import io
import json
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.series.reading import read_columns, read_text
from vitime_cache.series import bounds
from vitime_cache.series.bounds import SignalError
from vitime_cache.series.cells import to_numbers
from vitime_cache.series.sources import read_signals
from vitime_cache.series.table import read_bytes

finite = st.floats(allow_nan=False, allow_infinity=False)
tables = st.tuples(st.integers(1, 4), st.integers(2, 20)).flatmap(
    lambda shape: st.lists(st.lists(finite, min_size=shape[1], max_size=shape[1]), min_size=shape[0], max_size=shape[0])
)


def csv(text: str, **options: Any) -> list[tuple[str, list[float]]]:
    return [(c.name, c.values.tolist()) for c in read_columns("f.csv", text.encode(), **options)]


def npy(array: object, **options: bool) -> bytes:
    stream = io.BytesIO()
    np.save(stream, array, **options)
    return stream.getvalue()


def parquet(frame: pd.DataFrame | pa.Table, **options: object) -> bytes:
    stream = io.BytesIO()
    if isinstance(frame, pd.DataFrame):
        frame.to_parquet(stream, **options)
    else:
        pq.write_table(frame, stream, **options)
    return stream.getvalue()


# Round trips: what was written by another library comes back to the bit.


@settings(max_examples=30, deadline=None)
@given(tables)
def test_a_csv_file_gives_back_every_number(table):
    frame = pd.DataFrame({f"s{i}": values for i, values in enumerate(table)})
    columns = read_columns("f.csv", frame.to_csv(index=False).encode())
    assert [c.name for c in columns] == list(frame)
    for column in columns:
        np.testing.assert_array_equal(column.values, frame[column.name])


@settings(deadline=None, max_examples=40)
@given(tables, st.sampled_from([",", ";", "\t"]), st.booleans(), st.sampled_from(["\n", "\r\n", "\r"]))
def test_delimiter_line_ends_byte_order_mark_and_a_date_column_do_not_matter(table, delimiter, mark, line_end):
    frame = pd.DataFrame({f"s{i}": values for i, values in enumerate(table)})
    frame.index = pd.date_range("2020-01-01", periods=len(frame), name="date")
    text = frame.to_csv(sep=delimiter, lineterminator=line_end)
    columns = read_columns("f.csv", text.encode("utf-8-sig" if mark else "utf-8"))
    assert [c.name for c in columns] == list(frame)
    np.testing.assert_array_equal([c.values for c in columns], frame.to_numpy().T)


@given(tables)
@settings(max_examples=30, deadline=None)
def test_a_parquet_file_gives_back_every_number(table):
    frame = pd.DataFrame({f"s{i}": values for i, values in enumerate(table)})
    columns = read_columns("f.parquet", parquet(frame))
    np.testing.assert_array_equal([c.values for c in columns], frame.to_numpy().T)


@settings(max_examples=30, deadline=None)
@given(tables)
def test_an_npy_file_holds_one_series_or_a_series_per_column(table):
    array = np.array(table).T
    columns = read_columns("f.npy", npy(array))
    np.testing.assert_array_equal([c.values for c in columns], table)
    expected = ["f"] if len(table) == 1 else [f"f_{i}" for i in range(1, len(table) + 1)]
    assert [c.name for c in columns] == expected
    [single] = read_columns("one.npy", npy(array[:, 0]))
    assert single.name == "one"
    np.testing.assert_array_equal(single.values, table[0])


@settings(max_examples=30, deadline=None)
@given(st.lists(finite, min_size=1), st.data())
def test_pasted_numbers_may_be_apart_by_anything(values, data):
    apart = st.sampled_from([",", " ", "\n", "\t", " , ", ";", ",\n", "\n\n"])
    text = "".join(f"{value!r}{data.draw(apart)}" for value in values)
    np.testing.assert_array_equal(read_text(text, "pasted").values, values)


@pytest.mark.parametrize("kind", ["int8", "int64", "uint16", "float32", "float16", ">f4"])
def test_every_numeric_type_is_read(kind):
    values = np.array([0, 1, 100], dtype=kind)
    assert read_columns("f.npy", npy(values))[0].values.tolist() == [0, 1, 100]
    column = pa.array(values.astype(values.dtype.newbyteorder("=")))
    assert read_columns("f.parquet", parquet(pa.table({"s": column})))[0].values.tolist() == [0, 1, 100]


# The time index.


@pytest.mark.parametrize(
    "times",
    [
        ["2020-01-30", "2020-01-31", "2020-02-01"],
        ["2020-01-30 12:00", "2020-01-31 12:00:00", "2020-02-01 12:00"],
        ["2020/01/30", "2020/01/31", "2020/02/01"],
        ["30/01/2020", "31/01/2020", "01/02/2020"],  # the day first
        ["01/12/2020", "01/13/2020", "01/14/2020"],  # the month first
        ["30.01.2020 10:00", "30.01.2020 11:00", "30.01.2020 12:00"],
        ["2020-10-25T02:30:00+02:00", "2020-10-25T02:30:00+01:00", "2020-10-25T03:30:00+01:00"],
        ["Jan 2020", "Feb 2020", "Mar 2020"],
        ["1958M03", "1958M04", "1958M05"],
        ["2020-01", "2020-02", "2020-03"],
    ],
    ids=lambda times: times[0],
)
@pytest.mark.parametrize("header", ["date,level\n", "whatever,level\n", ""])
def test_a_leading_date_column_is_the_time_index(times, header):
    text = header + "".join(f"{time},{i}\n" for i, time in enumerate(times))
    assert csv(text) == [("level" if header else "f", [0, 1, 2])]


def test_a_leading_column_of_numbers_is_the_time_index_when_it_is_named_like_one():
    assert csv("year,flow\n1871,5\n1872,6\n") == [("flow", [5, 6])]
    assert csv(",flow\n0,5\n1,6\n") == [("flow", [5, 6])]
    assert csv("depth,flow\n1871,5\n1872,6\n") == [("depth", [1871, 1872]), ("flow", [5, 6])]
    assert csv("year\n1871\n1872\n") == [("year", [1871, 1872])]


@pytest.mark.parametrize("time", ["date", "text", "month", "pandas index", "unnamed pandas index"])
def test_parquet_finds_its_time_index(time):
    dates = pd.date_range("2020-01-01", periods=3)
    flow = [1.0, 2.0, 3.0]
    frame = {
        "date": pd.DataFrame({"when": dates, "flow": flow}),
        "text": pd.DataFrame({"when": dates.astype(str), "flow": flow}),
        "month": pd.DataFrame({"month": [1, 2, 3], "flow": flow}),
        "pandas index": pd.DataFrame({"flow": flow}, index=dates.rename("when")),
        "unnamed pandas index": pd.DataFrame({"flow": flow}, index=dates),
    }[time]
    [column] = read_columns("f.parquet", parquet(frame))
    assert column.name == "flow"
    assert column.values.tolist() == flow


# Headers and blank lines.


def test_a_message_quotes_the_begin_of_a_long_name(tmp_path):
    (tmp_path / "x.csv").write_text("x" * 5000 + "\n1\n2\n3\n")
    with pytest.raises(SignalError, match="at most 200 printable characters") as refused:
        read_signals(tmp_path / "x.csv")
    assert len(str(refused.value)) < 400


def test_a_csv_without_a_header_names_its_series_after_the_file():
    assert csv("1\n2\n3\n") == [("f", [1, 2, 3])]
    assert csv("1;2\n3;4\n") == [("f_1", [1, 3]), ("f_2", [2, 4])]
    assert csv("1,2,3\n4,5,6\n") == [("f_1", [1, 4]), ("f_2", [2, 5]), ("f_3", [3, 6])]


@pytest.mark.parametrize(
    "text",
    ["1,5\n2,5\n", "-1,5e3\r\n2,25\r\n", "2020-01-01,1,5\n2020-01-02,2,5\n", "1,234,567\n2,345,678\n",
     "12,345.67\n23,456.78\n", "1.234,5\n2.345,6\n"],
)  # fmt: skip
def test_commas_that_may_stand_within_numbers_are_refused_where_no_header_says_how_many_series_there_are(text):
    with pytest.raises(SignalError, match=r"f.csv: '.*' is one number with a .*comma.*decimal point.*blank.*header"):
        csv(text)
    names = ",".join("abc"[: text.partition("\n")[0].count(",") + 1])
    assert len(csv(f"{names}\n{text}")) == len(names.split(",")) - text.startswith("2020")
    assert len(csv(text.replace(",", ", "))) == len(names.split(",")) - text.startswith("2020")


@pytest.mark.parametrize(
    ("text", "series"),
    [("1,2\n3.5,4\n", 2), ("1,2\n-3,-4\n", 2), ("2020-01-01,1,5\n2020-01-02,2.5,5\n", 2), ("1,5,2\n2,5,3\n", 3)],
)
def test_commas_that_stand_between_numbers_in_any_row_separate(text, series):
    assert len(csv(text)) == series


@pytest.mark.parametrize("text", ["1,5;2\n3;4\n", "2020-01-01;1,5\n2020-01-02;2\n", '"1,5"\n2\n', "1,5\t2,5\n3\t4\n"])
def test_a_first_row_of_decimal_commas_is_not_taken_for_a_header(text):
    assert csv(text)[0][1] in ([1.5, 3], [1.5, 2])


def test_what_separates_is_what_makes_rows_of_one_width_whatever_else_the_header_holds():
    assert csv('"a, b, c, d";e\n1;2\n3;4\n') == [("a, b, c, d", [1, 3]), ("e", [2, 4])]
    assert csv("level, upper;b\n1;2\n3;4\n") == [("level, upper", [1, 3]), ("b", [2, 4])]
    assert csv("a;b,c;d\n1,2\n3,4\n") == [("a;b", [1, 3]), ("c;d", [2, 4])]


def test_a_row_of_another_width_is_told_what_a_decimal_comma_does():
    for text in ("v\n1,5\n2,5\n", "1\n2.5,5\n", "date,v\n2020-01-01,1,5\n"):
        with pytest.raises(SignalError, match=r"cells, but . in row 1; .*decimal.*point"):
            csv(text)


def test_series_that_lie_in_rows_are_to_be_transposed():
    for text, count in (("1,2,3,4,5,6\n", 6), ("a,b\n5,6\n", 2)):
        with pytest.raises(SignalError, match=rf"f.csv has 1 row of {count} numbers: .*--rows.*--no-rows"):
            csv(text)
    assert csv("1,2,3,4,5,6\n", rows=True) == [("f", [1, 2, 3, 4, 5, 6])]


def test_a_separator_at_the_end_of_lines_makes_no_series():
    assert csv("a,b,\n1,2,\n3,4,\n") == [("a", [1, 3]), ("b", [2, 4])]


def test_blank_lines_around_a_table_are_ignored():
    assert csv("\n\na,b\n1,2\n3,4\n\n,\n") == [("a", [1, 3]), ("b", [2, 4])]


def test_blank_lines_before_a_last_comment_are_no_samples():
    assert csv("a\n1\n2\n\n# a remark\n") == [("a", [1, 2])]


def test_a_million_lines_of_separators_below_a_table_are_left_out_at_once():
    assert csv("a,b\n1,2\n3,4\n" + ",\n" * 1_000_000) == [("a", [1, 3]), ("b", [2, 4])]


def test_a_quoted_cell_may_hold_the_delimiter_and_line_ends():
    assert csv('"level, upper\nreach",b\n1,2\n3,4\n')[1] == ("b", [2, 4])
    with pytest.raises(SignalError, match=r"column 'b', row 4: 'x'"):
        csv('"level, upper\nreach",b\n1,2\n3,x\n')


# Missing values.


@settings(max_examples=30, deadline=None)
@given(st.lists(st.none() | st.floats(-1e6, 1e6), min_size=2).filter(lambda values: any(v is not None for v in values)))
def test_interpolation_is_linear_inside_and_nearest_at_the_ends_in_every_format(values):
    expected = pd.Series(values, dtype=float).interpolate(limit_direction="both").to_numpy()
    array = np.array(values, dtype=float)
    text = "t,s\n" + "".join(f"{i},{'' if v is None else repr(v)}\n" for i, v in enumerate(values))
    files = {"f.csv": text.encode().replace(b"t,", b"index,"), "f.npy": npy(array)}
    for file, data in files.items():
        [column] = read_columns(file, data, "interpolate")
        np.testing.assert_allclose(column.values, expected, rtol=1e-9, atol=1e-6)
        assert column.filled == values.count(None)


@pytest.mark.parametrize("cell", ["", "nan", "NaN", "NA", "n/a", "null", "None", "  "])
def test_a_missing_value_is_refused_with_its_place_and_filled_on_request(cell):
    text = f"date,a,b\n2020-01-01,1,5\n2020-01-02,{cell},6\n2020-01-03,3,7\n"
    with pytest.raises(SignalError, match=r"f.csv, column 'a', row 3: the value is missing.*--fill interpolate"):
        csv(text)
    assert csv(text, fill="interpolate") == [("a", [1, 2, 3]), ("b", [5, 6, 7])]


def test_a_blank_line_inside_a_series_is_a_missing_value():
    with pytest.raises(SignalError, match=r"column 's', row 3: the value is missing"):
        csv("s\n1\n\n3\n")
    assert csv("s\n1\n\n3\n", fill="interpolate") == [("s", [1, 2, 3])]


def test_nulls_and_nans_in_parquet_are_missing_values():
    table = pa.table({"s": pa.array([1, None, 3, 4], pa.int64()), "x": pa.array([1.0, 2.0, np.nan, None])})
    with pytest.raises(SignalError, match=r"f.parquet, column 's', row 2: the value is missing"):
        read_columns("f.parquet", parquet(table))
    s, x = read_columns("f.parquet", parquet(table), "interpolate")
    assert (s.values.tolist(), s.filled) == ([1, 2, 3, 4], 1)
    assert (x.values.tolist(), x.filled) == ([1, 2, 2, 2], 2)


def test_pasted_text_with_two_commas_in_a_row_misses_a_value():
    with pytest.raises(SignalError, match=r"pasted, row 2: the value is missing"):
        read_text("1,2\n3,,5", "pasted")
    assert read_text("1,2\n3,,5", "pasted", "interpolate").values.tolist() == [1, 2, 3, 4, 5]


@pytest.mark.parametrize(
    "text",
    [
        "1,5;2,5",
        "1,5 2,5",
        "1,5\n2,5\n3,25\n",
        "-1,5e3; 2; 3,5",
        "1,5\t2,5",
        "0,1\n2",
        "1.234,5\n2.345,6",
        "1,234,567\n2,345,678",
        "12,345.67; 3",
        "1,5\n12.345,5",
    ],
)
def test_what_may_be_a_comma_within_a_number_is_refused_in_pasted_text(text):
    with pytest.raises(SignalError, match=r"pasted: '.*' is one number with a comma in it, or several numbers"):
        read_text(text, "pasted")


@pytest.mark.parametrize(
    ("text", "values"),
    [("1,5", [1, 5]), ("1,2,3", [1, 2, 3]), ("1,2,3\n4,5,6", [1, 2, 3, 4, 5, 6]), ("1, 5; 2, 5", [1, 5, 2, 5]),
     ("1.5,2.5\n3.5,4.5", [1.5, 2.5, 3.5, 4.5]), ("1,2\n3,4,5", [1, 2, 3, 4, 5]), ("1,2,\n3,4,", [1, 2, 3, 4])],
)  # fmt: skip
def test_a_comma_that_cannot_be_a_decimal_comma_separates(text, values):
    assert read_text(text, "pasted").values.tolist() == values


def test_the_last_samples_can_be_kept_and_what_comes_before_may_be_missing():
    data = b"day,s\n1,nan\n2,7\n3,8\n4,9\n"
    [column] = read_columns("f.csv", data, last=3)
    assert (column.values.tolist(), column.filled, column.sample_seconds) == ([7, 8, 9], 0, 86_400)
    assert read_text("nan 7 8 9", "pasted", last=2).values.tolist() == [8, 9]
    with pytest.raises(SignalError, match=r"column 's', row 2: the value is missing"):
        read_columns("f.csv", data, last=4)
    for last in (0, 1, 5, -3, True, 2.5):
        with pytest.raises(SignalError, match="'s' has 4 samples: the last 2 to 4"):
            read_columns("f.csv", data, last=last)


def test_an_unknown_way_to_fill_is_refused_even_where_nothing_is_missing():
    with pytest.raises(SignalError, match="'zero'"):
        read_text("1 2", "pasted", "zero")


# Bad input: the message says where it stands and quotes it.


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a,b\n1,2\n3,abc\n", r"f.csv, column 'b', row 3: 'abc' is not a number"),
        ("a;b\n1;2\n3;4,567\n", r"f.csv: '4,567' has a decimal comma, or one that keeps thousands apart: .*decimal"),
        ("a,b\n1,2\n3,1_000\n", r"column 'b', row 3: '1_000' is not a number"),
        ("a,b\n1,2\n3,0x10\n", r"column 'b', row 3: '0x10' is not a number"),
        ("a,b\n1,2\n-inf,3\n", r"f.csv, column 'a', row 3: -inf is not finite"),
        ("a,b\n1,2\n1e999,3\n", r"f.csv, column 'a', row 3: inf is not finite"),
        ("a,b\nOslo,x\nRome,y\n", r"f.csv holds no series: no column of numbers beside 'a' \('Oslo'\), 'b' \('x'\)"),
        ("a,b\n2020-01-01,2\n2020-02-30,3\n", r"column 'a', row 3: the time is missing or cannot be read"),
        (
            "date,b\n2020-01-01,2\n2020-01-01,3\n",
            r"column 'date': 1 time stands twice, the first '2020-01-01' in row 3",
        ),
        ("year,b\n1,2\n1,3\n", r"column 'year': 1 time stands twice, the first '1' in row 3"),
        ("date,b\n2020-01-01,2\n,3\n", r"column 'date', row 3: the time is missing or cannot be read"),
        ("a,b\n1,2\n3\n", r"f.csv, row 3: 1 cell, but 2 in row 1"),
        ("a,b\n1,2\n3,4,5\n", r"f.csv, row 3: 3 cells, but 2 in row 1"),
        ("a,a\n1,2\n3,4\n", r"two columns are named 'a'"),
        ("a, a \n1,2\n3,4\n", r"two columns are named 'a'"),
        ("a,b\n", r"no numbers below its only row, 'a, b'"),
        ("\n \n", r"f.csv is empty"),
        ('a,b\n1,2\n3,"4\n', r"f.csv, row 3: .*quotes"),
        ("a\n1\nnan\nnan\n", r"row 3: the value is missing.*the first of 2"),
        ("a\nnan\nnan\n", "all 2 values are missing"),
    ],
    ids=str,
)
def test_bad_csv_is_refused_naming_column_row_and_value(text, message):
    with pytest.raises(SignalError, match=message):
        csv(text)


@pytest.mark.parametrize(
    ("text", "message"),
    [("a\nnan\nnan\n", "all 2 values are missing"), ("a\n1\ninf\nnan\n", "row 3: inf is not finite")],
)
def test_what_cannot_be_interpolated_stays_an_error(text, message):
    with pytest.raises(SignalError, match=message):
        csv(text, fill="interpolate")


@pytest.mark.parametrize("encoding", ["cp1252", "latin-1", "utf-16", "utf-8-sig"])
def test_text_as_a_spreadsheet_of_any_country_saves_it_is_read_and_windows_1252_is_told(encoding):
    notes: list[str] = []
    text = "Datum;Temperatur °C;Größe\n01.02.2020;1,5;2,5\n02.02.2020;2,5;3,5\n".replace("\n", "\r\n")
    columns = read_columns("f.csv", text.encode(encoding), notes=notes, day_first=True)
    assert {c.name: c.values.tolist() for c in columns} == {"Temperatur °C": [1.5, 2.5], "Größe": [2.5, 3.5]}
    told = ["f.csv is not UTF-8; it is read as Windows-1252, such as 'Datum;Temperatur °C;Größe' in row 1"]
    assert notes == ([] if encoding.startswith("utf") else told)


@pytest.mark.parametrize("byte", [b"\x00", b"\x07", b"\x81", b"\x9d"])
def test_bytes_that_are_in_no_text_are_refused_with_their_row(byte):
    with pytest.raises(SignalError, match=r"f.csv, row 2: byte 0xb0 is no text; save the file as UTF-8"):
        read_columns("f.csv", b"a\n1\xb0\n" + byte + b"2\n")


@pytest.mark.parametrize(
    ("frame", "message"),
    [
        (pd.DataFrame({"a": ["x", "y"], "city": ["Oslo", "Rome"]}), r"f.parquet holds no series"),
        (pd.DataFrame({"lists": [[1], [2]]}), r"f.parquet holds no series"),
        (pd.DataFrame({"a": [1.0, np.inf]}), r"f.parquet, column 'a', row 2: inf is not finite"),
        (
            pd.DataFrame({"a": [1.0, 2.0]}, index=pd.to_datetime(["2020-01-01"] * 2)),
            r"twice, the first '2020-01-01' in r",
        ),
        (pa.table([[1.0], [2.0]], names=["a", "a"]), r"two columns are named 'a'"),
    ],
    ids=["text", "nested", "infinite", "twice", "duplicate"],
)
def test_bad_parquet_is_refused_naming_column_row_and_value(frame, message):
    with pytest.raises(SignalError, match=message):
        read_columns("f.parquet", parquet(frame))


@pytest.mark.parametrize(
    ("array", "message"),
    [
        (np.array([1.0, np.inf]), r"f.npy, column 'f', row 2: inf is not finite"),
        (np.array([[1.0, 2.0], [3.0, np.nan]]), r"f.npy, column 'f_2', row 2: the value is missing"),
        (np.array(["a", "b"]), r"type <U1"),
        (np.array([1 + 2j, 3]), r"type complex128"),
        (np.array([True, False]), r"type bool"),
        (np.array(["2020-01-01"], "datetime64[D]"), r"type datetime64\[D\]"),
        (np.array(3.0), r"shape \(\)"),
        (np.zeros((2, 2, 2)), r"shape \(2, 2, 2\)"),
        (np.zeros(0), r"shape \(0,\)"),
        (np.zeros((1, 5)), r"1 row of 5 numbers: .*--rows"),
    ],
    ids=lambda value: str(value).replace("\n", " "),
)
def test_bad_npy_is_refused_naming_column_row_and_value(array, message):
    with pytest.raises(SignalError, match=message):
        read_columns("f.npy", npy(array))


def test_an_error_of_a_library_is_told_without_addresses_in_memory():
    header = b"{'descr': '<f8', 'fortran_order': False, 'shape': (a,)}\n"
    with pytest.raises(SignalError, match=r"^f.npy cannot be read as an NPY file of float64: malformed") as refused:
        read_columns("f.npy", b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header)
    assert "0x" not in str(refused.value)


class Bomb:
    def __reduce__(self):
        return Path.touch, (Path("/tmp/vitime-bomb-went-off"),)


def test_a_pickle_is_never_loaded(monkeypatch):
    fired = []
    monkeypatch.setattr(pickle, "load", lambda *_, **__: fired.append(1))
    objects = npy(np.array([Bomb(), None], dtype=object), allow_pickle=True)
    for data in (objects, pickle.dumps(Bomb())):
        with pytest.raises(SignalError, match=r"f.npy"):
            read_columns("f.npy", data)
    assert not fired
    assert not Path("/tmp/vitime-bomb-went-off").exists()


@pytest.mark.parametrize("form", ["csv", "parquet", "npy"])
@given(data=st.data())
@settings(max_examples=150, deadline=None)
@pytest.mark.filterwarnings("ignore:Reading `.npy` or `.npz` file required")  # where a changed byte makes it Python 2's
def test_a_file_cut_or_changed_anywhere_is_read_or_refused_but_never_crashes(form, data):
    frame = pd.DataFrame({"a": np.arange(40.0), "b": 1 / (1 + np.arange(40.0))})
    frame.index = pd.date_range("2020-01-01", periods=40, name="date")
    whole = {"csv": frame.to_csv().encode(), "parquet": parquet(frame), "npy": npy(frame.to_numpy())}[form]
    broken = bytearray(whole[: data.draw(st.integers(1, len(whole)))])
    for _ in range(data.draw(st.integers(0, 3))):
        broken[data.draw(st.integers(0, len(broken) - 1))] = data.draw(st.integers(0, 255))
    try:
        columns = read_columns(f"f.{form}", bytes(broken), "interpolate")
    except SignalError as error:
        assert f"f.{form}" in str(error)  # noqa: PT017 - either outcome is right
    else:
        assert all(np.isfinite(column.values).all() for column in columns)


@pytest.mark.parametrize("form", ["parquet", "npy"])
def test_a_truncated_binary_file_is_refused_at_every_length(form):
    frame = pd.DataFrame({"a": np.arange(8.0)})
    whole = parquet(frame) if form == "parquet" else npy(frame["a"].to_numpy())
    for length in range(1, len(whole), 7 if form == "parquet" else 1):
        with pytest.raises(SignalError, match=f"f.{form}"):
            read_columns(f"f.{form}", whole[:length])


def test_content_that_does_not_fit_the_ending_is_refused():
    for file in ("f.parquet", "f.npy"):
        with pytest.raises(SignalError, match=file):
            read_columns(file, b"a,b\n1,2\n")
    with pytest.raises(SignalError, match=r"f.csv, row \d+: byte"):
        read_columns("f.csv", npy(np.arange(3.0)))


@pytest.mark.parametrize("file", ["f.pkl", "f", "f.json", ".csv"])
def test_an_ending_that_is_not_known_is_refused_naming_those_that_are(file):
    with pytest.raises(SignalError, match=r"\.csv, .*\.npy, .*\.parquet, .*\.toml"):
        read_columns(file, b"1\n2\n")


# Limits.


def test_files_and_series_beyond_the_limits_are_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(bounds, "MAX_BYTES", 1000)
    (tmp_path / "f.csv").write_bytes(b"1\n" * 501)
    for source in (tmp_path / "f.csv", io.BytesIO(b"1\n" * 501)):
        with pytest.raises(SignalError, match="larger than"):
            read_bytes(source, "f.csv")
    assert len(read_bytes(io.BytesIO(b"1\n" * 500), "f.csv")[1]) == 1000


@pytest.mark.parametrize("form", ["csv", "parquet", "npy", "text"])
def test_series_beyond_the_limit_of_samples_are_refused(form, monkeypatch):
    monkeypatch.setattr(bounds, "MAX_SAMPLES", 100)

    def read(length: int) -> None:
        values = np.zeros(length)
        if form == "text":
            read_text("0 " * length, "f.text")
        else:
            frame = pd.DataFrame({"a": values})
            data = {"csv": frame.to_csv(index=False).encode(), "parquet": parquet(frame), "npy": npy(values)}[form]
            read_columns(f"f.{form}", data)

    read(100)
    with pytest.raises(SignalError, match=rf"f.{form} has more than 100 samples"):
        read(101)


@pytest.mark.parametrize("form", ["csv", "parquet", "npy"])
def test_files_beyond_the_limit_of_series_are_refused(form, monkeypatch):
    monkeypatch.setattr(bounds, "MAX_SERIES", 10)
    frame = pd.DataFrame(np.zeros((2, 11))).add_prefix("s")
    data = {"csv": frame.to_csv(index=False).encode(), "parquet": parquet(frame), "npy": npy(frame.to_numpy())}[form]
    with pytest.raises(SignalError, match=rf"f.{form} holds 11 series; at most 10"):
        read_columns(f"f.{form}", data)


def test_a_small_parquet_file_that_unfolds_to_too_much_is_refused_before_it_is_read():
    zeros = pa.array(np.zeros(1_000_000, np.int8))
    data = parquet(pa.table({f"s{i}": zeros for i in range(51)}), compression="zstd")
    assert len(data) < 1_000_000
    with pytest.raises(SignalError, match=r"51 × 1000000 values"):
        read_columns("f.parquet", data)


def test_a_small_index_that_unfolds_to_gigabytes_is_refused_before_it_does():
    long = pa.DictionaryArray.from_arrays(pa.array(np.zeros(1_000_000, np.int32)), ["2020-01-01" + 10_000 * " "])
    for index in (long, long.slice(0, 100_000).cast(pa.string())):  # a dictionary, and what is one in the file only
        data = parquet(pa.table({"date": index, "s": pa.array(np.zeros(len(index)))}), compression="zstd")
        with pytest.raises(SignalError, match=r"f.parquet, column 'date': a text of 10010 characters is not a time"):
            read_columns("f.parquet", data)


@pytest.mark.parametrize("stored", [3, None, "s", [3], [None], [["s"]], [{"kind": "range"}], {"s": 1}], ids=repr)
@pytest.mark.parametrize("whole", [False, True])
def test_what_pandas_says_of_its_index_may_be_anything(stored, whole):
    pandas = stored if whole else {"index_columns": stored}
    table = pa.table({"s": [1.0, 2.0], "t": [3.0, 4.0]}).replace_schema_metadata({"pandas": json.dumps(pandas)})
    columns = read_columns("f.parquet", parquet(table))
    assert {column.name: column.values.tolist() for column in columns}.items() <= {"s": [1, 2], "t": [3, 4]}.items()


# Sources.


def test_a_stream_is_named_but_its_name_is_never_opened(tmp_path):
    secret = tmp_path / "secret.csv"
    secret.write_text("9\n9\n")
    for name in (str(secret), f"../../{secret.name}", f"C:\\data\\{secret.name}"):
        assert read_bytes(io.BytesIO(b"1\n2\n"), name) == ("secret.csv", b"1\n2\n")
    with pytest.raises(SignalError, match="name="):
        read_bytes(io.BytesIO(b"1\n2\n"))
    with pytest.raises(SignalError, match="binary mode"):
        read_bytes(io.StringIO("1\n2\n"), "f.csv")


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda path: path / "none.csv", "there is no file"),
        (lambda path: path, "is not a file"),
        (lambda path: path / ("x" * 5000), "cannot be read"),
        (lambda _: "/dev/zero", "is not a file"),
    ],
    ids=["missing", "directory", "long name", "device"],
)
def test_a_path_without_a_file_is_refused(tmp_path, make, message):
    with pytest.raises(SignalError, match=message):
        read_bytes(make(tmp_path))


def test_an_empty_file_is_refused(tmp_path):
    (tmp_path / "f.npy").touch()
    with pytest.raises(SignalError, match=r"f.npy is empty"):
        read_bytes(tmp_path / "f.npy")


@settings(max_examples=40, deadline=None)
@given(finite)
def test_a_number_in_any_of_pythons_notations_is_that_number(value):
    texts = [repr(value), f"{value:.17e}", f"{value:+.17E}", f" {value!r} ", "?"]
    numbers, wrong = to_numbers(pd.Series(texts), None)
    np.testing.assert_array_equal(numbers, [value] * 4 + [np.nan])
    assert not wrong.any()


def test_thousands_of_a_german_file_are_asked_about_and_never_read_as_thousandths():
    rows = [f"{day:02}.01.2023;{2 + day}.{850 - day}" for day in range(1, 25)]
    data = "\n".join(["Datum;Wert", *rows]).encode()
    with pytest.raises(
        SignalError, match=r"'3\.849' has a decimal point, or one that keeps thousands apart.*--decimal"
    ):
        read_signals(io.BytesIO(data), name="f.csv")
    (comma,) = read_signals(io.BytesIO(data), name="f.csv", decimal="comma")
    (point,) = read_signals(io.BytesIO(data), name="f.csv", decimal="point")
    assert comma.values[0] == 3849
    assert point.values[0] == 3.849
    (clear,) = read_signals(io.BytesIO(data.replace(b"3.849", b"0.849")), name="f.csv")
    assert clear.values[0] == 0.849
