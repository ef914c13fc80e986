"""Which columns are the time: clocks and months beside dates, times with their unit, spans that all rows share."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta

import numpy as np
import pandas as pd
import pytest

from tests.series.reading import read_columns
from vitime_cache.series.bounds import SignalError

N = 72
HOURS = [datetime(2023, 1, 30) + timedelta(hours=i) for i in range(N)]
VALUES = np.round(np.sin(np.arange(N) / 3), 3)


def table(head: str, row: Callable[[int, datetime], str]) -> bytes:
    """Rows below a head, the value behind what `row` makes of the number of the row and its hour."""
    return "\n".join([head, *(f"{row(i, time)},{VALUES[i]}" for i, time in enumerate(HOURS))]).encode()


@pytest.mark.parametrize(
    ("head", "row"),
    [
        ("Date,Time,kWh", lambda _, t: f"{t:%m/%d/%Y},{t.hour + 1:02}:00"),  # hour ending, to 24:00
        ("Date,Time,kWh", lambda _, t: f"{t:%Y%m%d},{t.hour * 100}"),  # 2300 is 23:00
        ("Day,Reading time,kWh", lambda _, t: f"{t:%Y-%m-%d},{t:%H:%M:%S}"),
        ("DATE,START TIME,END TIME,kWh", lambda _, t: f"{t:%Y-%m-%d},{t:%H:%M},{t:%H}:59"),
        ("_start,_stop,_time,kWh", lambda _, t: f"2023-01-30T00:00:00Z,2023-02-02T00:00:00Z,{t.isoformat()}Z"),
    ],
)
def test_dates_that_repeat_take_the_clock_beside_them_and_no_series_for_each_hour_is_made(head, row):
    [column] = read_columns("meter.csv", table(head, row))
    assert (column.name, column.sample_seconds) == ("kWh", 3600)
    assert column.values.tolist() == VALUES.tolist()
    assert column.start.startswith("2023-01-30T0")


def test_times_of_day_beside_dates_that_do_not_repeat_are_no_part_of_the_time():
    rows = table("date,sunrise,v", lambda i, _: f"{datetime(2023, 1, 1) + timedelta(days=i):%Y-%m-%d},07:{i % 60:02}")
    [column] = read_columns("sun.csv", rows)
    assert (column.sample_seconds, column.start) == (86_400, "2023-01-01T00:00:00")


@pytest.mark.parametrize("form", ["%b", "%B"])
def test_names_of_months_beside_a_year_are_the_time(form):
    for first, start in ((2010, "2010"), (10, "2010"), (71, "1971"), (1, "0001")):  # in two digits, or numbered
        rows = table("Year,Month,v", lambda i, _, y=first: f"{y + i // 12},{datetime(2000, i % 12 + 1, 1):{form}}")
        [column] = read_columns("monthly.csv", rows)
        assert (column.name, len(column.values), column.start) == ("v", N, f"{start}-01-01T00:00:00")


@pytest.mark.parametrize(
    ("name", "step", "seconds"),
    [("time_s", 0.5, 0.5), ("t [ms]", 20, 0.02), ("Time (min)", 5, 300), ("elapsed seconds", 2, 2), ("time_s", 13, 13)],
)
def test_a_time_with_its_unit_counts_seconds_and_a_gap_in_it_is_seen(name, step, seconds):
    whole = table(f"{name},v", lambda i, _: f"{(i + 80) * step:.6g}")
    [column] = read_columns("lab.csv", whole)
    assert (column.name, column.sample_seconds) == ("v", pytest.approx(seconds))
    lines = whole.splitlines()
    with pytest.raises(SignalError, match=r"1 step.* missing"):
        read_columns("lab.csv", b"\n".join(lines[:40] + lines[41:]))


def test_a_timestamp_in_milliseconds_is_a_date():
    [column] = read_columns("ms.csv", table("timestamp_ms,v", lambda i, _: f"{1_600_000_000_000 + i}"))
    assert column.sample_seconds == pytest.approx(1e-3, rel=1e-9)
    rows = table("timestamp_ms,v", lambda _, t: f"{(t - datetime(1970, 1, 1)) // timedelta(milliseconds=1)}")
    [column] = read_columns("ms.csv", rows)
    assert (column.sample_seconds, column.start) == (3600, "2023-01-30T00:00:00")


@pytest.mark.parametrize("head", ["HE{}", "H{:02}", "Hour {}", "{}:00"])
def test_a_column_for_each_hour_is_asked_about(head):
    names = ",".join(head.format(hour) for hour in range(1, 25))
    rows = "\n".join(f"2023-01-0{day}," + ",".join(map(str, range(24))) for day in (1, 2, 3))
    with pytest.raises(SignalError, match=r"a column for each hour: .*rows=False \(--no-rows\)"):
        read_columns("load.csv", f"date,{names}\n{rows}".encode())
    assert len(read_columns("load.csv", f"date,{names}\n{rows}".encode(), rows=False)) == 24


def test_a_sum_below_the_dates_under_an_unknown_name_is_refused_with_what_to_do():
    rows = table("date,v", lambda _, t: f"{t}") + b"\nAlles,99.5\n"
    with pytest.raises(SignalError, match=r"row 74: the time is missing.*delete rows that are no samples"):
        read_columns("sales.csv", rows)


@pytest.mark.parametrize(
    ("name", "first", "step"),
    [("meter", 1_467_331_200, lambda i: i + (i % 3 == 0)), ("meter", 123_456, lambda i: i),
     ("depth", 1900, lambda i: i), ("wobble", 1_467_331_200, lambda i: i % 7)],
)  # fmt: skip
def test_numbers_under_an_unknown_name_that_are_no_even_times_stay_a_series(name, first, step):
    columns = read_columns("f.csv", table(f"{name},v", lambda i, _: str(first + step(i))))
    assert [column.name for column in columns] == [name, "v"]


def test_a_count_called_time_is_no_day_of_excel():
    [column] = read_columns("f.csv", table("time,v", lambda i, _: str(42_005 + i)))
    assert (column.name, column.sample_seconds, column.start) == ("v", 0, "")


@pytest.mark.parametrize("name", ["year", "hour", "t", "time_s", "whenever"])
def test_rows_taken_one_after_the_other_make_no_series_of_the_column_of_times(name):
    first = 1_467_331_200 if name == "whenever" else 1
    notes: list[str] = []
    columns = read_columns("f.csv", table(f"{name},v", lambda i, _: str(first + i)), time="none", notes=notes)
    assert [(column.name, column.sample_seconds) for column in columns] == [("v", 0)]
    assert notes == [f"f.csv: v read; left out as no series: {name}"]
    [asked] = read_columns("f.csv", table(f"{name},v", lambda i, _: str(first + i)), time="none", columns=(name,))
    assert asked.name == name


def test_numbers_in_front_that_go_in_even_steps_are_told_and_are_the_time_on_request():
    text = "X_Value,v\n" + "".join(f"{i / 1000:.3f},{value}\n" for i, value in enumerate([5, 3, 8, 2] * 10))
    notes: list[str] = []
    columns = read_columns("f.csv", text.encode(), notes=notes)
    assert [column.name for column in columns] == ["X_Value", "v"]
    assert "--time 'X_Value'" in notes[0]
    assert [column.name for column in read_columns("f.csv", text.encode(), time="X_Value")] == ["v"]


@pytest.mark.parametrize(("part", "name"), [("quarter", "Year"), ("year", "Month"), ("date", "Hour")])
def test_a_table_that_was_melted_as_advised_is_one_series(part, name):
    columns = {
        "quarter": ["Q1", "Q2", "Q3", "Q4"],
        "year": ["2017", "2018", "2019"],
        "date": ["2021-03-01", "2021-03-02", "2021-03-03"],
    }
    rows = {"quarter": range(1990, 2010), "year": range(1, 13), "date": range(24)}[part]
    wide = pd.DataFrame(
        {name: rows} | {column: [7.5 * i + at for i in rows] for at, column in enumerate(columns[part])}
    )
    with pytest.raises(SignalError, match=f"var_name='{part}'"):
        read_columns("f.csv", wide.to_csv(index=False).encode())
    first, second = (name, part) if part == "quarter" else (part, name)
    long = wide.melt(name, var_name=part).sort_values([first, second])
    [column] = read_columns("f.csv", long.to_csv(index=False).encode())
    assert column.values.tolist() == long["value"].tolist()
    assert column.sample_seconds > 0


UTC = pd.date_range("2020-03-28", periods=100, freq="h", tz="UTC")
BERLIN = UTC.tz_convert("Europe/Berlin")  # clocks change on the second day


@pytest.mark.parametrize(
    "written",
    [
        lambda i: BERLIN[i].isoformat(), lambda i: f"{BERLIN[i].isoformat()}[Europe/Berlin]", lambda i: str(BERLIN[i]),
        lambda i: f"{UTC[i]:%Y%m%dT%H%M%SZ}", lambda i: f"{BERLIN[i]:%Y%m%dT%H%M%z}",
        lambda i: f"{UTC[i]:%Y-%m-%dT%HZ}", lambda i: f"{UTC[i]:%Y-%m-%dT%H:%M:%SZ}[UTC]",
        lambda i: f"{UTC[i]:%Y-%m-%d %H:%M} UTC", lambda i: f"{BERLIN[i]:%Y-%m-%d %H:%M} {BERLIN[i].tzname()}",
        lambda i: f"{UTC[i]:%d/%m/%Y %I:%M %p+0000}",
    ],
)  # fmt: skip
@pytest.mark.parametrize("across", [False, True])
def test_times_that_state_their_offset_are_told_in_utc_and_by_name_whatever_their_notation(written, across):
    """Without the name a chart would tell hours of UTC as those of the place."""
    if across:
        data = "name," + ",".join(map(written, range(100))) + "".join(f"\n{each}" + ",1.5" * 100 for each in "ab")
    else:
        data = "t,v\n" + "\n".join(f"{written(i)},{i}" for i in range(100))
    for column in read_columns("f.csv", data.encode(), rows=across or None):
        assert (len(column.values), column.start) == (100, "2020-03-28T00:00:00+00:00")


@pytest.mark.parametrize("bare", [range(1), range(1, 100), range(50, 100), (99,)])
def test_times_of_which_only_some_state_an_offset_are_refused(bare):
    """Read as UTC, the others would be hours off where they are local, and even where only one is."""
    rows = [f"{UTC[i]:%Y-%m-%dT%H:%M:%S}{'' if i in bare else 'Z'},{i}" for i in range(100)]
    with pytest.raises(SignalError, match=rf"row {bare[0] + 2}: the time states no offset from UTC, and others do, as"):
        read_columns("f.csv", ("t,v\n" + "\n".join(rows)).encode())
