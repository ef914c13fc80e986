"""Kinds of tables beside the generator's: each is read back as a second writer wrote it, or refused in one line."""

from __future__ import annotations

import io
import sys
from collections.abc import Callable
from datetime import datetime, timedelta
from decimal import Decimal

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
import xarray as xr

from tests.series.reading import check_refused, read_columns, read_text
from vitime_cache.series.bounds import ReadingWarning, SignalError
from vitime_cache.series.given import as_signal, as_signals
from vitime_cache.series.sources import read_signals
from vitime_cache.series.spans import UNITS

N = 30
VALUES = [round(1200.5 + 100 * np.sin(i / 3) + i, 2) for i in range(N)]
HOURS = [datetime(2016, 7, 1) + timedelta(hours=i) for i in range(N)]
DAYS = [datetime(2016, 7, 5) + timedelta(days=i) for i in range(N)]
WEEKS = [datetime(2015, 12, 7) + timedelta(weeks=i) for i in range(N)]
QUARTERS = [(2010 + (i + 2) // 4, (i + 2) % 4 + 1) for i in range(N)]
DAY, WEEK, QUARTER = UNITS["day"], UNITS["week"], 3 * UNITS["month"]


def german(value: float) -> str:
    return f"{value:,.2f}".translate(str.maketrans(",.", ".,"))


def iso(time: datetime) -> str:
    year, week, _ = time.isocalendar()
    return f"{year}-W{week}"


def rows(head: str, row: Callable[[int], str]) -> str:
    return "\n".join([head, *(row(i) for i in range(N))]) + "\n"


def dated(head: str, row: Callable[[str, float], str]) -> str:
    return rows(head, lambda i: row(f"{DAYS[i]:%Y-%m-%d}", VALUES[i]))


READ = {
    "semicolons, decimal commas and thousands": (
        rows("Datum;Wert;Ort", lambda i: f"{DAYS[i]:%d.%m.%Y};{german(VALUES[i])};Ulm"), DAY),
    "a tab ends each row": (dated("date\tv\t", lambda t, v: f"{t}\t{v}\t"), DAY),
    "a tab ends each row but the first": (dated("date\tv", lambda t, v: f"{t}\t{v}\t"), DAY),
    "quoted numbers with thousands": (dated('"date","v"', lambda t, v: f'"{t}","{v:,.2f}"'), DAY),
    "apostrophes between thousands": (dated("date;v", lambda t, v: f"{t};{v:,.2f}".replace(",", "'")), DAY),
    "printed apostrophes": (dated("date;v", lambda t, v: f"{t};{v:,.2f}".replace(",", "’")), DAY),
    "blanks between thousands": (dated("date;v", lambda t, v: f"{t};{v:,.2f}".replace(",", "\u202f")), DAY),
    "units below the names": (dated("date,v\n,MW", lambda t, v: f"{t},{v}"), DAY),
    "units in brackets": (dated("date;v\n[-];[MW]", lambda t, v: f"{t};{v}"), DAY),
    "titles above the names": (dated("Station 17\nUlm;\ndate;v", lambda t, v: f"{t};{v}"), DAY),
    "a title as wide as the table": (dated("Station 17, Ulm\n\ndate,v", lambda t, v: f"{t},{v}"), DAY),
    "numbers above the names": (dated("Station;Ulm\nLat;48.4\n\ndate;v", lambda t, v: f"{t};{v}"), DAY),
    "other comments": (dated("// a remark\ndate,v", lambda t, v: f"{t},{v}"), DAY),
    "row names of R": (rows("v\tw", lambda i: f"{i + 1}\t{VALUES[i]}\tx"), 0),
    "row names of R, in quotes": (rows("v w", lambda i: f'"{i + 1}" {VALUES[i]} x'), 0),
    "year and month in capitals": (rows("YYYY MM DD  T", lambda i: f"{DAYS[i]:%Y %m %d}  {VALUES[i]:8.2f}"), DAY),
    "names in a comment, with units": (
        rows("#YY  MM DD hh mm v\n#yr mo dy hr mn m/s", lambda i: f"{HOURS[i]:%Y %m %d %H} 00 {VALUES[i]}"), 3600),
    "rain in mm is no minute": (rows("year,month,day,mm", lambda i: f"2016,7,{i + 1},{VALUES[i]}"), DAY),
    "year and week": (rows("year,week,v", lambda i: f"{iso(WEEKS[i]).replace('-W', ',')},{VALUES[i]}"), WEEK),
    "year and quarter": (rows("year,quarter,v", lambda i: f"{QUARTERS[i][0]},{QUARTERS[i][1]},{VALUES[i]}"), QUARTER),
    "year and day of the year": (rows("year,doy,v", lambda i: f"{DAYS[i]:%Y,%j},{VALUES[i]}"), DAY),
    "weeks of one digit": (rows("week,v", lambda i: f"{iso(WEEKS[i])},{VALUES[i]}"), WEEK),
    "weeks in six digits": (rows("week,v", lambda i: f"{WEEKS[i]:%G%V},{VALUES[i]}"), WEEK),
    "2015Q1": (rows("q,v", lambda i: f"{QUARTERS[i][0]}Q{QUARTERS[i][1]},{VALUES[i]}"), QUARTER),
    "Q1/2015": (rows("q,v", lambda i: f"Q{QUARTERS[i][1]}/{QUARTERS[i][0]},{VALUES[i]}"), QUARTER),
    "July 5th, 2016": (rows("t;v", lambda i: f"{DAYS[i]:%B} {DAYS[i].day}th, 2016;{VALUES[i]}"), DAY),
    "parts of seconds since 1970": (rows("time,v", lambda i: f"{1467331200 + i / 2:.1f},{VALUES[i]}"), 0.5),
    "clocks across midnight": (rows("time,v", lambda i: f"{(20 + i) % 24:02}:00,{VALUES[i]}"), 3600),
    "days of Excel under a German name": (rows("Datum;v", lambda i: f"{42005 + i};{VALUES[i]}"), DAY),
    "spans with their unit": (rows("Time,v", lambda i: f"{i / 2:g} sec,{VALUES[i]}"), 0.5),
    "begin and end of each hour": (
        rows("from,to,v", lambda i: f"{HOURS[i]},{HOURS[i] + timedelta(hours=1)},{VALUES[i]}"), 3600),
    "start and rate above the samples": ("1467331200.0\n64.0\n" + "".join(f"{v}\n" for v in VALUES), 1 / 64),
    "days of Excel": (rows("date,v", lambda i: f"{42005 + i},{VALUES[i]}"), DAY),
    "days and hours of Excel": (rows("time,v", lambda i: f"{42005 + i / 24:.4f},{VALUES[i]}"), 3600),
    "days and minutes of Excel": (rows("Date;v", lambda i: f"{42005 + i / 1440:.10f};{VALUES[i]}"), 60),
    "seconds since 1970 under any name": (rows("zeit,v", lambda i: f"{1467331200 + 900 * i},{VALUES[i]}"), 900),
    "milliseconds since 1970 behind": (rows("v,x", lambda i: f"{VALUES[i]},{(1467331200 + 60 * i) * 1000}"), 60),
    "Jan-10": (rows("m,v", lambda i: f"{(pd.Period('2010-01') + i).strftime('%b-%y')},{VALUES[i]}"), UNITS["month"]),
    "2010M01": (rows("m,v", lambda i: f"{(pd.Period('2010-01') + i).strftime('%YM%m')},{VALUES[i]}"), UNITS["month"]),
    "dollars": (dated("date,v", lambda t, v: f'{t},"${v:,.2f}"'), DAY),
    "percent": (dated("date,v", lambda t, v: f"{t},{v:.2f} %"), DAY),
    "kilowatt-hours": (dated("date;v", lambda t, v: f"{t};{german(v)} kWh"), DAY),
    "write.table of R": (rows('"t" "v"', lambda i: f'"{i + 1}" "{HOURS[i]}" {VALUES[i]}'), 3600),
    "summer time": (rows("t,v", lambda i: f"{HOURS[i]:%Y-%m-%d %H:%M} CEST,{VALUES[i]}"), 3600),
    "dotted summer time": (rows("t;v", lambda i: f"{HOURS[i]:%d.%m.%Y %H:%M} CEST;{VALUES[i]}"), 3600),
    "Google Analytics": (
        "# ---\n# 20160705-20160803\n# ---\n\n" + rows("Date,v", lambda i: f"{DAYS[i]:%Y%m%d},{VALUES[i]}"), DAY),
    "spans of time": (rows("time,v", lambda i: f"{i // 24} days {i % 24:02}:00:00,{VALUES[i]}"), 3600),
    "offsets where clocks change": (
        rows("t,v", lambda i: f"{pd.Timestamp('2016-10-29 20:00Z').tz_convert('Europe/Oslo') + i * pd.Timedelta('1h')}"
             f",{VALUES[i]}"), 3600),
}  # fmt: skip

WITHOUT_START = ("clocks across midnight", "spans of time", "spans with their unit")


@pytest.mark.parametrize("kind", READ)
def test_a_kind_of_table_is_read(kind):
    text, seconds = READ[kind]
    encodings = ("utf-8-sig", "utf-16") if kind.startswith("semi") else ("utf-8",)
    for encoding in encodings:
        [column] = read_columns("f.txt", text.encode(encoding))
        assert column.values.tolist() == VALUES
        assert column.sample_seconds == pytest.approx(seconds, rel=2e-2)
        assert (column.filled, bool(column.start)) == (0, seconds > 0 and kind not in WITHOUT_START)


REFUSED = {
    "months of another language": (
        rows("Monat;v", lambda i: f"{('Jan', 'Feb', 'Mär', 'Mai')[i % 4]} {2000 + i};1.5"), "may be a time"),
    "names of zones": (rows("t,v", lambda i: f"{HOURS[i]:%Y-%m-%d %H:%M} EST,{i}"), "may be a time"),
    "a table of months": (
        rows("Year,Jan,Feb,Mar,Apr,May,Jun,Jul,Aug,Sep,Oct,Nov,Dec", lambda i: f"{1990 + i}" + ",1.5" * 12),
        "column for each month.*--no-rows"),
    "series below one another without ids": (
        rows("date,v", lambda i: f"{DAYS[i % 15]:%Y-%m-%d},{i}"), "15 times stand twice.*unique_id"),
    "units that differ": (
        rows("t,v,w", lambda i: f"{DAYS[i]:%Y-%m-%d},{i} {'kM'[i > 20]}Wh,1"), "row 23: '21 MWh' is not a number"),
    "days without a year": (rows("date,v", lambda i: f"{DAYS[i]:%d-%b},{i}"), "'05-Jul' may be a time.*time='none'"),
    "days or years": (rows("date,v", lambda i: f"Jan-{i + 1:02},{i}"), "'Jan-01' may be a time.*time='none'"),
}  # fmt: skip


@pytest.mark.parametrize("kind", REFUSED)
def test_a_kind_of_table_is_refused_in_one_line(kind):
    check_refused(*REFUSED[kind])


def test_a_table_with_times_that_stand_twice_in_number_is_not_filled_either():
    with pytest.raises(SignalError, match="several series may be stacked") as refused:
        read_columns("f.csv", REFUSED["series below one another without ids"][0].encode(), "interpolate")
    assert "--fill" not in str(refused.value)


@pytest.mark.parametrize("head", [",a,a,b\n,x,y,x", ",a,,b\n,x,y,x", ",a,a,b\n,x,y,x\nwhen,,,"])
def test_two_rows_of_names_are_one_name(head):
    notes: list[str] = []
    text = dated(head, lambda t, v: f"{t},{v},{v},{v}")
    columns = read_columns("f.csv", text.encode(), notes=notes)
    assert [column.name for column in columns] == ["a_x", "a_y", "b_x"]
    assert columns[2].values.tolist() == VALUES
    assert [note[:22] for note in notes] == ["f.csv, row 3: left out"] * head.count("when")


def test_what_stands_above_and_below_the_names_is_told():
    notes: list[str] = []
    read_columns("f.csv", dated("Ulm\ndate;v\n;MW", lambda t, v: f"{t};{v}").encode(), notes=notes)
    assert notes == [
        "f.csv, row 1: left out, above the names of columns: 'Ulm'",
        "f.csv, row 3: left out, below the names of columns and above their numbers: 'MW'",
    ]


def test_series_in_rows_take_their_times_from_the_header_and_leave_out_what_is_none():
    head = "State,Country,Lat,Long," + ",".join(f"{t.month}/{t.day}/{t:%y}" for t in WEEKS)
    lines = [f",{name},1.5,2.5," + ",".join(map(str, VALUES)) for name in ("Fiji", "Togo")]
    notes: list[str] = []
    columns = read_columns("f.csv", "\n".join([head, *lines]).encode(), rows=True, notes=notes)
    assert [(c.name, c.values.tolist(), c.sample_seconds) for c in columns] == [
        ("Fiji", VALUES, WEEK),
        ("Togo", VALUES, WEEK),
    ]
    assert columns[0].start == "2015-12-07T00:00:00"
    assert "named by 'Country'; left out as no times: State, Lat, Long" in notes[0]
    years = "Name,Code," + ",".join(str(1990 + i) for i in range(N)) + "\nA,x," + ",".join(map(str, VALUES))
    assert read_columns("f.csv", years.encode(), rows=True)[0].sample_seconds == UNITS["year"]
    with pytest.raises(SignalError, match=r"f.csv, row 2, sample 3: the value is missing"):
        read_columns("f.csv", (years.replace(f",{VALUES[2]},", ",,")).encode(), rows=True)


def test_ids_that_are_numbers_and_ids_of_unequal_length_keep_series_apart():
    text = "id,y\n" + "".join(f"{k},{i}\n" for k in (1, 2) for i in range(9))
    assert [c.name for c in read_columns("f.csv", text.encode())] == ["1", "2"]
    lengths = {"a": 30, "b": 12, "c": 25}
    lines = [f"{k},{DAYS[i]:%Y-%m-%d},{VALUES[i]}" for k, n in lengths.items() for i in range(n)]
    columns = read_columns("f.csv", "\n".join(["unique_id,ds,y", *lines]).encode())
    assert {c.name: len(c.values) for c in columns} == lengths


def test_what_is_no_series_in_an_npz_archive_is_left_out_and_told():
    def packed(**arrays: np.ndarray) -> bytes:
        stream = io.BytesIO()
        np.savez(stream, **arrays)
        return stream.getvalue()

    notes: list[str] = []
    data = packed(x=np.array(VALUES), names=np.array(["a"]), meta=np.array({"a": 1}, dtype=object))
    assert [c.name for c in read_columns("f.npz", data, notes=notes)] == ["x"]
    assert ["names" in notes[0], "meta" in notes[1]] == [True, True]
    with pytest.raises(SignalError, match=r"array 'cube' has shape \(2, 3, 4\)"):
        read_columns("f.npz", packed(cube=np.zeros((2, 3, 4))))


def test_a_workbook_without_its_reader_says_what_to_install(monkeypatch):
    stream = io.BytesIO()
    pd.DataFrame({"v": VALUES}).to_excel(stream)
    monkeypatch.setitem(sys.modules, "openpyxl", None)  # as where it is not installed
    with pytest.raises(SignalError, match=r"f.xlsx needs openpyxl.*: pip install openpyxl; or save the sheet as CSV$"):
        read_columns("f.xlsx", stream.getvalue())


@pytest.mark.parametrize("ending", ["xls", "ods"])
def test_other_workbooks_are_refused_unopened_with_what_to_save(ending):
    with pytest.raises(SignalError, match=rf"f.{ending}: .*save it as that, or its first sheet as CSV$"):
        read_columns(f"f.{ending}", b"PK\x03\x04 whatever")


@pytest.mark.parametrize(
    ("data", "kind"),
    [(b"version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 12345\n", "Git LFS pointer.*git lfs pull"),
     (b"<!DOCTYPE html>\n<html><body>not found</body></html>", "web page.*download")],
)  # fmt: skip
@pytest.mark.parametrize("ending", ["csv", "parquet", "npy", "xlsx"])
def test_what_stands_in_for_a_file_is_named(data, kind, ending):
    with pytest.raises(SignalError, match=f"f.{ending} is a {kind}"):
        read_columns(f"f.{ending}", data)


# pandas and its kin.

INDEX = pd.DatetimeIndex(HOURS)


@pytest.mark.parametrize(
    ("given", "series"),
    [
        (pd.Series(VALUES, pd.timedelta_range("0h", periods=N, freq="h")), {"signal": 3600}),
        (pd.Series(VALUES, pd.period_range("2016-01", periods=N, freq="M"), name="p"), {"p": UNITS["month"]}),
        (pd.Series(VALUES, INDEX, dtype="Float64"), {"signal": 3600}),
        (pd.Series(VALUES, INDEX, dtype="double[pyarrow]"), {"signal": 3600}),
        (pd.DataFrame({"v": map(Decimal, map(str, VALUES))}, INDEX), {"v": 3600}),
        (pd.DataFrame({("a", "x"): VALUES, ("b", "y"): VALUES}, INDEX), {"a_x": 3600, "b_y": 3600}),
        (pd.Series([*VALUES, *VALUES], pd.MultiIndex.from_product([["a", "b"], INDEX])), {"a": 3600, "b": 3600}),
        (pd.DataFrame({"index": VALUES}, INDEX), {"index": 3600}),
        (pd.Index(VALUES), {"signal": 0}),
        (xr.DataArray(VALUES, {"time": INDEX}, ("time",), "x"), {"x": 3600}),
        (pa.table({"v": VALUES}), {"v": 0}),
        (np.ma.masked_array(VALUES), {"signal": 0}),
        (VALUES, {"signal": 0}),
    ],
    ids=lambda value: type(value).__name__,
)
def test_what_has_times_of_its_own_keeps_them(given, series):
    signals = as_signals(given)
    assert {signal.name: signal.sample_seconds for signal in signals} == series
    assert all(signal.values.tolist() == VALUES for signal in signals)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (np.ma.masked_array(VALUES, [i == 3 for i in range(N)]), "sample 3: nan"),
        (pd.Series(np.arange(N) + 1j, INDEX), r"holds no series.*'signal' \('1j'\)|0j"),
        (np.arange(N) + 1j, "type complex128"),
        (pd.Series([True] * N, INDEX), r"'signal' \('True'\)"),
        (pd.Series([1, None, 3], dtype="Int64"), "row 2: the value is missing.*interpolate"),
        (pd.DatetimeIndex(HOURS), "datetime64"),
        (pd.DataFrame({"v": VALUES}).groupby("v"), "groupby|array element|list of numbers"),
        (pd.DataFrame(), "holds no series"),
    ],
    ids=lambda value: type(value).__name__,
)
def test_what_is_no_series_is_refused_in_one_line(given, message):
    with pytest.raises(SignalError, match=message) as refused:
        as_signal(given)
    assert "\n" not in str(refused.value)


def test_the_remedy_for_a_pandas_object_is_one_that_it_has():
    series = pd.Series(VALUES, INDEX).drop(INDEX[4:6])
    with pytest.raises(SignalError, match=r"2 steps of 1 hour missing.*fill='interpolate'.*read_signals\(") as refused:
        as_signal(series)
    assert "--" not in str(refused.value)
    notes: list[str] = []
    assert read_signals(series, fill="interpolate", tell=notes.append)[0].filled == 2
    assert len(read_signals(series, time="none", tell=notes.append)[0].values) == N - 2
    assert len(notes) == 2


def test_integers_that_float64_cannot_tell_apart_are_told():
    with pytest.warns(ReadingWarning, match=r"column 'v': numbers beyond 2\^53 are kept to 16 digits"):
        as_signals(pd.DataFrame({"v": [2**63 - 2000 + 100 * i for i in range(9)]}))


def test_pasted_thousands_that_are_kept_apart_by_blanks_are_refused():
    with pytest.raises(SignalError, match="'1 000' is one number or several"):
        read_text("1 000 2 000", "pasted")
    assert read_text("1 100 2 0.005", "pasted").values.tolist() == [1, 100, 2, 0.005]
