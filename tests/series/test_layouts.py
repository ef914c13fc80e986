"""Layouts that people have: a writer of its own makes them, the reader gives back what was written, or refuses."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import random
import warnings
import zipfile
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

import numpy as np
import pandas as pd
import pytest

from tests.series.reading import read_columns
from vitime_cache.series.bounds import ReadingWarning, SignalError
from vitime_cache.series.given import as_signal, as_signals
from vitime_cache.series.sources import read_signals

START, N = datetime(2016, 6, 20, 9), 40
CLOCKS: list[Callable[[datetime], str]] = [
    lambda t: t.strftime("%Y-%m-%d %H:%M:%S"), lambda t: t.isoformat(), lambda t: t.strftime("%d.%m.%Y %H:%M"),
    lambda t: t.strftime("%m/%d/%y %I:%M %p"), lambda t: f"{t.month}/{t.day}/{t.year} {t.strftime('%I:%M %p')}",
    lambda t: t.strftime("%Y-%m-%dT%H:%M:%S"), lambda t: t.strftime("%b %d, %Y %H:%M"),
    lambda t: t.strftime("%d-%b-%Y %H:%M"),
    lambda t: str(int((t - datetime(1970, 1, 1)).total_seconds())), lambda t: t.strftime("%Y%m%d%H"),
    lambda t: str(int((t - datetime(1970, 1, 1)).total_seconds() * 1000)), lambda t: t.strftime("%Y/%m/%d %H:%M"),
]  # fmt: skip
COMPRESSION: dict[str, Callable[[bytes], bytes]] = {
    "": bytes, ".gz": gzip.compress, ".bz2": bz2.compress, ".xz": lzma.compress,
}  # fmt: skip


class Layout:
    """A table written by hand: what stands in it, and how."""

    def __init__(self, seed: int) -> None:
        draw = random.Random(seed)
        self.separator = draw.choice(",;\t|")
        self.comma = self.separator != "," and draw.random() < 0.4
        self.ids = draw.choice([[], [], ["a", "b"], ["17", "4"]])
        self.clock = CLOCKS[seed % len(CLOCKS)]
        self.step = draw.choice([1, 24, 168])
        self.before = draw.choice(["", "", "# a remark\n# and another\n", f"sep={self.separator}\n", "\n\n"])
        self.mark = draw.choice(["", "?", "NaT", "\\N", "#N/A", "<NA>", "-", "NULL"])
        self.extra = draw.choice(["none", "flag", "state", "number"])
        self.ending = draw.choice([".csv", ".txt", ".tsv", ".dat"])
        self.line_end = draw.choice(["\n", "\r\n"])
        self.packed = draw.choice(sorted(COMPRESSION))
        self.time_last = draw.random() < 0.3
        self.missing = set() if draw.random() < 0.5 else set(draw.sample(range(5, 30), 3))
        self.gap = set() if draw.random() < 0.6 else set(range(20, 20 + draw.randint(1, 8)))
        self.values = {each: [round(draw.gauss(0, 5), 3) for _ in range(N)] for each in self.ids or ["v"]}

    def write(self) -> tuple[str, bytes]:
        rows = [
            [*(["unique_id"] if self.ids else []), "ds", "v", {"none": "", "number": "row"}.get(self.extra, self.extra)]
        ]
        for each, values in self.values.items():
            for i, value in enumerate(values):
                if i not in self.gap:
                    number = self.mark if i in self.missing else repr(value).replace(".", "," if self.comma else ".")
                    extra = {"none": "", "flag": str(i % 3 == 0), "state": "ON" if i % 2 else "OFF", "number": str(i)}
                    time = self.clock(START + timedelta(hours=i * self.step))
                    time = f'"{time}"' if self.separator in time else time
                    rows.append([*([each] if self.ids else []), time, number, extra[self.extra]])
        order = list(range(len(rows[0]) - (self.extra == "none")))
        order = order[::-1] if self.time_last and not self.ids else order
        lines = [self.separator.join(row[place] for place in order) for row in rows]
        text = self.before + self.line_end.join(lines) + self.line_end
        return f"f{self.ending}{self.packed}", COMPRESSION[self.packed](text.encode())


@pytest.mark.parametrize("seed", range(60))
def test_what_a_writer_of_its_own_wrote_comes_back_or_is_refused_in_one_line(seed):
    layout = Layout(seed)
    file, data = layout.write()
    if layout.missing | layout.gap:
        with pytest.raises(SignalError, match=r"missing.*--fill interpolate") as refused:
            read_columns(file, data)
        assert "\n" not in str(refused.value)
    columns = read_columns(file, data, "interpolate", columns=("v",))
    assert [column.name for column in columns] == (layout.ids or ["v"])
    for column, values in zip(columns, layout.values.values(), strict=True):
        gone = layout.missing | layout.gap
        kept = [i for i in range(N) if i not in gone]
        np.testing.assert_allclose(column.values, np.interp(range(N), kept, np.array(values)[kept]), rtol=0, atol=1e-12)
        assert (column.filled, column.sample_seconds) == (len(gone), 3600 * layout.step)
        assert column.start == START.isoformat()


# Which columns are read.


def told(text: str, **choices: Any) -> tuple[dict[str, list[float]], str]:
    notes: list[str] = []
    columns = read_columns("f.csv", text.encode(), notes=notes, **choices)
    return {column.name: column.values.tolist() for column in columns}, " ".join(notes)


def test_columns_that_are_no_numbers_are_left_out_and_told():
    text = "id,date,load,state,holiday\n" + "\n".join(f"{i},2020-01-0{i + 1},{i / 2},ON,True" for i in range(5))
    assert told(text) == ({"load": [0, 0.5, 1, 1.5, 2]}, "f.csv: load read; left out as no series: id, state, holiday")


def test_what_is_missing_in_a_column_that_was_not_asked_for_does_not_matter():
    text = "date,a,b,c\n2020-01-01,1,,x\n2020-01-02,2,5,3\n2020-01-03,3,6,4"
    assert told(text, columns=("a",)) == ({"a": [1, 2, 3]}, "")
    with pytest.raises(SignalError, match=r"column 'c', row 2: 'x' is not a number"):
        told(text)
    with pytest.raises(SignalError, match=r"there is no column 'z'; there are a, b, c, date"):
        told(text, columns=("z",))


def test_of_two_columns_of_dates_one_is_asked_for_unless_they_run_beside_each_other():
    beside = "start,end,v\n2020-01-01,2020-01-02,1\n2020-01-02,2020-01-03,2\n2020-01-03,2020-01-04,3"
    assert told(beside) == ({"v": [1, 2, 3]}, "f.csv: v read; left out as no series: end")
    text = beside.replace("2020-01-03,2020-01-04", "2020-01-04,2020-01-04")
    with pytest.raises(SignalError, match=r"start, end hold times; say which with time='start' \(--time start\)"):
        told(text)
    assert told(text, time="end")[0] == {"v": [1, 2, 3]}


@pytest.mark.parametrize(
    ("head", "row"),
    [("year,month,day,hour,v", "2016,7,{d},{h},{i}"), ("Date;Time;v", "{d}/07/2016;{h:02}:00:00;{i}"),
     ("No,year,month,day,hour,v,wd", "{n},2016,7,{d},{h},{i},NW"), ("Date;Time;v;", "{d}/07/2016;{h:02}.00.00;{i},5;"),
     ("date,hour,v", "2016-07-{d},{h},{i}")],
)  # fmt: skip
def test_a_time_may_stand_in_several_columns(head, row):
    lines = [row.format(d=13 + i // 24, h=i % 24, i=i, n=i + 1) for i in range(60)]
    [column] = read_columns("f.csv", "\n".join([head, *lines]).encode())
    assert (column.sample_seconds, column.start, len(column.values)) == (3600, "2016-07-13T00:00:00", 60)


# Series below one another, and in rows.


def test_ids_without_times_keep_series_apart():
    text = "unique_id,y\n" + "\n".join(f"s{k}{' ' * (i % 2)},{10 * k + i}" for k in (1, 2, 3) for i in range(4))
    assert told(text)[0] == {f"s{k}": [10 * k + i for i in range(4)] for k in (1, 2, 3)}


def test_several_columns_may_say_whose_a_row_is_and_several_may_be_series():
    lines = [f"2020-01-0{i + 1},{shop},{item},{i},{i + 5}" for shop in "AB" for item in "xy" for i in range(4)]
    series, _ = told("date,store,item,sales,price\n" + "\n".join(lines))
    assert list(series) == [f"{shop}/{item}_{v}" for shop in "AB" for item in "xy" for v in ("sales", "price")]
    assert series["B/y_price"] == [5, 6, 7, 8]


def test_series_in_rows_are_named_as_such_and_read_on_request():
    head = ",".join(f"V{i}" for i in range(1, 32))
    rows = "\n".join(
        f"H{k}," + ",".join(str(k * 100 + i + 0.5) for i in range(20 + 5 * k)) + "," * (10 - 5 * k) for k in (1, 2)
    )
    text = f"{head}\n{rows}\n"
    with pytest.raises(SignalError, match=r"2 rows of 30 numbers: with one series in each row, .*--rows.*--no-rows"):
        told(text)
    series, note = told(text, rows=True)
    assert {name: len(values) for name, values in series.items()} == {"H1": 25, "H2": 30}
    assert "a series from each row; named by 'V1'" in note


@pytest.mark.parametrize("fill", ["none", "interpolate"])
def test_a_text_among_the_samples_of_a_row_is_refused_and_never_interpolated(fill):
    for others in ("2", "y"):
        text = f"name,2001,2002,2003\na,1,{others},3\nb,1,x,3\nc,1,{others},3\n"
        with pytest.raises(SignalError, match=r"f.csv, column '2002', row \d: '[xy]' is not a number.*; correct it$"):
            told(text, rows=True, fill=fill)


def test_columns_of_words_that_name_no_row_are_left_out_and_told():
    series, note = told("name,a,b,c,kind\nA,1,2,3,x\nB,4,5,6,x\n", rows=True)
    assert series == {"A": [1, 2, 3], "B": [4, 5, 6]}
    assert note == "f.csv: a series from each row; named by 'name'; left out as no numbers: kind"


def test_the_class_before_each_series_of_an_archive_is_none_of_its_samples():
    rows = "\n".join(f"{k}," + ",".join(f"{k + i / 7:.5f}" for i in range(30)) for k in (1, 2))
    series, note = told(rows, rows=True)
    assert [len(values) for values in series.values()] == [30, 30]
    assert "of classes, is left out" in note


# Other endings, and pandas objects.


def test_an_npz_archive_holds_series_and_their_time():
    stream = io.BytesIO()
    np.savez(
        stream,
        time=np.arange("2020-01-01", "2020-01-06", dtype="M8[D]"),
        a=np.arange(5.0),
        b=np.ones(5),
        c=np.arange(3),
    )
    columns = read_columns("f.npz", stream.getvalue())
    assert [(c.name, len(c.values), c.sample_seconds) for c in columns] == [
        ("a", 5, 86400),
        ("b", 5, 86400),
        ("c", 3, 0),
    ]


@pytest.mark.parametrize("compression", ["lz4", "zstd", "uncompressed"])
def test_a_feather_file_is_read_and_a_small_one_that_unfolds_to_too_much_is_refused(compression, monkeypatch):
    frame = pd.DataFrame({"ds": pd.date_range("2020", periods=500, freq="h"), "v": np.zeros(500), "s": ["x"] * 500})
    stream = io.BytesIO()
    frame.to_feather(stream, compression=compression)
    [column] = read_columns("f.feather", stream.getvalue())
    assert (column.name, len(column.values), column.sample_seconds) == ("v", 500, 3600)
    monkeypatch.setattr("vitime_cache.series.arrow.MAX_UNPACKED", 5000)
    with pytest.raises(SignalError, match=r"f.feather unfolds to more than"):
        read_columns("f.feather", stream.getvalue())


@pytest.mark.parametrize("pack", [gzip.compress, lzma.compress])
def test_a_small_file_that_unfolds_to_gigabytes_is_refused(pack):
    ending = {gzip.compress: ".gz", lzma.compress: ".xz"}[pack]
    with pytest.raises(SignalError, match=f"f.csv{ending} unfolds to more than 50 MB"):
        read_columns(f"f.csv{ending}", pack(b"1\n" * 30_000_000))


def test_an_archive_of_one_file_is_read_and_one_of_several_is_not():
    for names, message in ((["a.csv"], ""), (["a.csv", "b.csv"], "holds 2 files")):
        stream = io.BytesIO()
        with zipfile.ZipFile(stream, "w") as archive:
            for name in names:
                archive.writestr(name, "v\n1\n2\n")
        if message:
            with pytest.raises(SignalError, match=message):
                read_columns("f.zip", stream.getvalue())
        else:
            assert read_columns("f.zip", stream.getvalue())[0].name == "v"


def test_pandas_objects_are_signals_with_their_times():
    index = pd.date_range("2016-07-01", periods=48, freq="h")
    frame = pd.DataFrame({"load": np.arange(48.0), "state": "ON", "temp": 1.5}, index=index)
    with pytest.warns(ReadingWarning, match="left out as no series: state"):
        load, temp = as_signals(frame)
    assert (load.name, load.sample_seconds, load.start, temp.name) == ("load", 3600, "2016-07-01T00:00:00", "temp")
    series = as_signal(frame["load"].tz_localize("Europe/Berlin"))
    assert (series.sample_seconds, series.start) == (3600, "2016-06-30T22:00:00+00:00")
    assert [signal.name for signal in as_signals([frame["load"], frame["temp"]])] == ["load", "temp"]
    assert as_signal(frame["load"].to_period("h")).start == "2016-07-01T00:00:00"
    assert as_signal(pd.Series([1, 2, 3])).values.tolist() == [1, 2, 3]
    with pytest.raises(SignalError, match=r"holds 2 series, load, temp: give one, such as read_signals\(data\)\[0\]"):
        as_signal(frame[["load", "temp"]])
    with pytest.raises(SignalError, match=r"the Series, column 'index'.*4 steps of 1 hour missing"):
        as_signal(frame["load"].drop(index[10:14]))


def test_what_is_left_out_of_a_file_is_a_warning_unless_someone_is_told(tmp_path):
    (tmp_path / "f.csv").write_text("a,b\n1,x\n2,y\n")
    with pytest.warns(ReadingWarning, match="f.csv: a read; left out as no series: b"):
        read_signals(tmp_path / "f.csv")
    notes: list[str] = []
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        read_signals(tmp_path / "f.csv", tell=notes.append)
    assert len(notes) == 1


# Series below one another, years and row numbers, as people's files have them.

YEARS = [1990 + i for i in range(6)]
SQUARES = [i * i % 7 for i in range(6)]


def lines(head: str, row: str, each: str = "-") -> str:
    """Six rows for each letter {a}: {i} counts rows, {n} those of the letter; {y} is a year and {v} a value."""
    kinds = [(k, name, i) for k, name in enumerate(each) for i in range(6)]
    rows = [row.format(i=6 * k + i, a=name, n=i, y=YEARS[i], v=SQUARES[i]) for k, name, i in kinds]
    return "\n".join([head, *rows]) + "\n"


@pytest.mark.parametrize(
    "text",
    [
        lines(",year,v", "{i},{y},{v}"),  # as pandas writes an index
        lines("rownames,year,v", "{i},{y},{v}"),  # and R
        lines("YR,v", "{y},{v}"),
        lines("Jahr;v", "{y};{v}"),
        lines("YEAR,v,TIME", "{y},{v},{i}"),
    ],
)
def test_a_column_of_years_is_the_time_beside_numbers_of_rows_and_in_other_words(text):
    [column] = read_columns("f.csv", text.encode())
    assert (column.name, column.values.tolist(), column.start[:4]) == ("v", SQUARES, "1990")


def test_months_behind_the_point_of_a_year_are_months():
    months = [f"{1871 + i // 12}.{i % 12 + 1:02}" for i in range(30)]
    for shown in (months, [month.rstrip("0") for month in months]):  # 1871.1 is October, as a spreadsheet saves it
        [column] = read_columns("f.csv", ("Date,P\n" + "\n".join(f"{m},{i}" for i, m in enumerate(shown))).encode())
        assert (len(column.values), column.start, column.sample_seconds) == (30, "1871-01-01T00:00:00", 2_629_800)


@pytest.mark.parametrize(
    "text",
    [lines("STATE,YR,v", "{a},{y},{v}", "AB"), lines(",firm,year,v", "{i},{a},{y},{v}", "12"),
     lines("rownames,subject,year,v", "{i},{a},{y},{v}", "12")],
)  # fmt: skip
def test_years_that_begin_anew_for_each_state_firm_or_subject_are_several_series(text):
    first, second = read_columns("f.csv", text.encode())
    assert {first.name, second.name} in ({"A", "B"}, {"1", "2"})
    assert first.values.tolist() == second.values.tolist() == SQUARES


@pytest.mark.parametrize("head", ["Person,Days,v", "rownames,Person,Days,v"])
def test_rows_that_count_anew_in_each_block_are_told_and_read_apart_as_advised(head):
    text = lines(head, "{i},{a},{n},{v}"[4 * (head[0] == "P") :], "XY")
    columns, notes = told(text)
    assert [len(values) for values in columns.values()] == [12] * len(columns)
    assert "'Days' begins anew with each 'Person', so several series may be stacked; call 'Person' 'unique_id'" in notes
    columns, notes = told(text.replace("Person", "unique_id"))
    assert columns["X_v"] == columns["Y_v"] == SQUARES
    assert "anew" not in notes


def test_series_of_a_long_table_without_a_value_or_a_second_row_are_left_out_and_told():
    rows = ["A,1,1,5", "A,2,2,6", "B,1,,7", "B,2,,8", "C,1,3,9", "D,1,,1", "D,2,,", "A,3,3,7"]
    columns, notes = told("item_id,t,y,z\n" + "\n".join(rows), fill="interpolate")
    assert columns == {"A_y": [1, 2, 3], "A_z": [5, 6, 7], "B_z": [7, 8], "D_z": [1, 1]}
    assert notes.endswith("f.csv: left out, with fewer than two samples or no value: B_y, C, D_y")
    columns, notes = told("name,2000,2001,2002\na,1,2,3\nb,,,\nc,4,5,7\nd,2,,\n", rows=True)
    assert columns == {"a": [1, 2, 3], "c": [4, 5, 7]}
    assert notes.endswith("f.csv: left out, with fewer than two samples or no value: b, d")
    with pytest.raises(SignalError, match="none of its 2 series, one for each item_id, has two rows and a value"):
        told("item_id,t,y\nA,1,\nA,2,\nB,1,\nB,2,\n")
    with pytest.raises(SignalError, match="none of its 2 rows has two values"):
        told("n,V1,V2\na,2,\nb,1,\n", rows=True)


def test_a_name_that_nearly_every_row_has_alone_tells_no_series_apart():
    text = "name,cyl,mpg\n" + "\n".join(f"car {i // 2 if i < 4 else i},{i % 3},{i}" for i in range(9))
    assert list(told(text)[0]) == ["cyl", "mpg"]


def test_rows_told_apart_by_two_columns_of_text_may_be_series():
    text = "country,indicator,2000,2001,2002\nA,x,1,2,3\nA,y,4,5,7\nB,x,1,1,2\nB,y,4,3,1\n"
    with pytest.raises(SignalError, match="rows=True"):
        told(text)
    assert list(told(text, rows=True)[0]) == ["A/x", "A/y", "B/x", "B/y"]


def test_a_row_without_the_name_of_its_series_is_refused_with_its_place():
    for table in ("unique_id,v\na,1\na,2\n,3\nb,4\nb,5\n", "unique_id;v\na;1\na;2\n ;3\nb;4\nb;5\n"):
        with pytest.raises(
            SignalError, match=r"row 4: 'unique_id' is empty, so the row belongs to no series, the first"
        ):
            told(table)
    frame = pd.DataFrame({"unique_id": ["a", "a", None, "b", "b"], "v": range(5)})
    with pytest.raises(SignalError, match="row 3: 'unique_id' is empty"):
        read_signals(frame)


def test_frames_with_nothing_in_cells_of_text_are_read_or_refused():
    clocks = pd.DataFrame({"year": [1990, 1991, 1991, 1992], "v": range(4), "time": ["10:00", None, "11:00", "12:00"]})
    rows = pd.DataFrame({"name": ["a", None, "c"], "V1": [1.0, 2, 3], "V2": [4.0, 5, 7], "V3": [1.0, 2, 1]})
    with pytest.raises(SignalError, match="1 time stands twice"):
        read_signals(clocks)
    with pytest.warns(ReadingWarning, match="a series from each row"):
        assert len(read_signals(rows, rows=True)) == 3
    for choice in ({"columns": [""]}, {"time": ""}):
        with pytest.raises(SignalError, match="there is no column ''"):
            read_signals(clocks, **choice)


@pytest.mark.parametrize("small", ["2e-05", "2E-05", "0,00002"])
def test_a_whole_number_with_a_power_is_a_number_beside_decimal_commas(small):
    assert told(f"a;b\n1;1,5\n2;3\n3;{small}\n4;1,25\n")[0]["b"] == [1.5, 3, 2e-5, 1.25]
    assert told(f"a;b\n1;1,5\n2;5,374e-05\n3;{small}\n4;1,2543\n")[0]["b"] == [1.5, 5.374e-5, 2e-5, 1.2543]
    with pytest.raises(SignalError, match="'weg' is not a number with a decimal comma"):
        told("a;b\n1;1,5\n2;3,5\n3;weg\n4;1,25\n")


def test_an_archive_that_calls_its_file_as_itself_is_read():
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr("v.csv.zip", "v\n1\n2\n4\n")  # as pandas before 1.2
    [column] = read_columns("v.csv.zip", packed.getvalue())
    assert column.values.tolist() == [1, 2, 4]
