"""Workbooks that openpyxl writes, and workbooks made to do harm."""

from __future__ import annotations

import io
from datetime import datetime, timedelta
from typing import Any

import numpy as np
import openpyxl
import pandas as pd
import pytest

from tests.series.reading import read_columns
from vitime_cache.series.bounds import SignalError

HOURS = [datetime(2020, 1, 1) + timedelta(hours=i) for i in range(6)]
ROWS = [[time, i * 1.5] for i, time in enumerate(HOURS)]


def workbook(rows: list[list[Any]]) -> bytes:
    book = openpyxl.Workbook()
    for row in rows:
        book.active.append(row)
    stream = io.BytesIO()
    book.save(stream)
    return stream.getvalue()


def read(rows: list[list[Any]], **choices: Any) -> list[tuple[str, list[float], float]]:
    columns = read_columns("f.xlsx", workbook(rows), **choices)
    return [(column.name, column.values.tolist(), column.sample_seconds) for column in columns]


@pytest.mark.parametrize(
    "above",
    [[["time", "load"]], [["Station 17"], [], ["time", "load"]], [["time", "load"], [None, "MW"]],
     [[], ["time", "load", None]]],
    ids=["names", "a title", "units", "a blank row"],
)  # fmt: skip
def test_a_sheet_is_read_with_its_times_whatever_stands_above_its_numbers(above):
    assert read([*above, *ROWS]) == [("load", [0, 1.5, 3, 4.5, 6, 7.5], 3600)]


def test_a_sheet_without_a_header_keeps_its_first_row():
    assert read(ROWS) == [("f", [0, 1.5, 3, 4.5, 6, 7.5], 3600)]


def test_every_number_comes_back_with_the_16_digits_that_were_written_and_text_is_left_out_and_told():
    values, notes = np.random.default_rng(0).standard_normal(50) * 1e-7, list[str]()
    [(_, found, _)] = read([["v", "place"], *([value, "Ulm, a\nb"] for value in values)], notes=notes)
    assert found == [float(f"{value:.16g}") for value in values]
    assert notes == ["f.xlsx: v read; left out as no series: place"]


def test_what_pandas_wrote_with_its_index_is_read():
    frame, stream = pd.DataFrame({"a": np.arange(6.0), "b": 1.0}, index=pd.DatetimeIndex(HOURS)), io.BytesIO()
    frame.to_excel(stream)
    columns = read_columns("f.xlsx", stream.getvalue())
    assert [(c.name, c.sample_seconds, c.start) for c in columns] == [
        ("a", 3600, "2020-01-01T00:00:00"),
        ("b", 3600, "2020-01-01T00:00:00"),
    ]


@pytest.mark.parametrize("times", [[timedelta(hours=20 + i) for i in range(6)], [time.time() for time in HOURS]])
def test_spans_and_clocks_are_times(times):
    assert read([["t", "v"], *([time, i] for i, time in enumerate(times))]) == [("v", [0, 1, 2, 3, 4, 5], 3600)]


def test_a_missing_cell_is_refused_with_the_row_of_the_sheet_and_filled_on_request():
    rows = [["time", "v"], *([time, None if i == 2 else i] for i, time in enumerate(HOURS))]
    with pytest.raises(SignalError, match=r"f.xlsx, column 'v', row 4: the value is missing"):
        read(rows)
    assert read(rows, fill="interpolate") == [("v", [0, 1, 2, 3, 4, 5], 3600)]


def test_a_small_sheet_that_spans_gigabytes_is_refused_before_they_are_there():
    book = openpyxl.Workbook()
    for cell in ("A1", "XFD1", "A100000"):
        book.active[cell] = 1
    stream = io.BytesIO()
    book.save(stream)
    assert len(stream.getvalue()) < 10_000
    with pytest.raises(SignalError, match=r"f.xlsx holds 16384 series; at most 10000 are read"):
        read_columns("f.xlsx", stream.getvalue())


@pytest.mark.parametrize("data", [b"junk", workbook(ROWS)[:2000], workbook([])], ids=["text", "cut", "empty"])
def test_what_is_no_workbook_or_holds_nothing_is_refused_in_one_line(data):
    with pytest.raises(SignalError, match=r"^f.xlsx (cannot be read: |is empty)") as refused:
        read_columns("f.xlsx", data)
    assert "\n" not in str(refused.value)


def test_the_first_visible_sheet_of_numbers_is_read_and_the_others_are_told():
    book = openpyxl.Workbook()
    book.active.append(["About this file"])
    book.active.append(["Version", 2])
    for title, hidden in (("secret", True), ("load", False), ("temperature", False)):
        sheet = book.create_sheet(title)
        sheet.sheet_state = "hidden" if hidden else "visible"
        sheet.append(["Energy report", None, None])
        sheet.append([])
        sheet.append(["Date", title, None])
        sheet.append([None, "MW", None])
        for day in range(9):
            sheet.append([datetime(2021, 3, 1 + day), day * 1.5, None])
    stream = io.BytesIO()
    book.save(stream)
    notes: list[str] = []
    [column] = read_columns("f.xlsx", stream.getvalue(), notes=notes)
    assert (column.name, column.values.tolist()) == ("load", [day * 1.5 for day in range(9)])
    assert "f.xlsx: the sheet 'load' is read; left out: Sheet, temperature" in notes
