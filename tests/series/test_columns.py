"""Columns of numbers as people write them: with units and signs, with sums below, with numbers for what is missing."""

from __future__ import annotations

import io
import re

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.series.reading import read_columns
from vitime_cache.series.bounds import SignalError
from vitime_cache.series.given import as_signal
from vitime_cache.series.sources import read_signals

N = 30
VALUES = [round(10 + 3 * float(np.sin(i)), 2) for i in range(N)]


def told(text: str, **choices: object) -> tuple[dict[str, list[float]], list[str]]:
    notes: list[str] = []
    columns = read_columns("f.csv", text.encode(), notes=notes, **choices)
    return {column.name: column.values.tolist() for column in columns}, notes


def rows(cells: list[str], head: str = "n;v") -> str:
    return "\n".join([head, *(f"{i + 1};{cell}" for i, cell in enumerate(cells))]) + "\n"


# Units and signs.


@settings(deadline=None, max_examples=50)
@given(
    st.lists(st.integers(-10**6, 10**6), min_size=3, max_size=30, unique=True),
    st.sampled_from(["$", "€ ", "US$", "EUR ", ""]), st.sampled_from([" kWh", "%", " m³/s", " °C", " W/m2", ""]),
    st.sampled_from(["-{}", "({})", "behind"]), st.booleans(),
)  # fmt: skip
def test_numbers_of_one_unit_are_numbers_and_what_is_taken_off_is_told(cents, before, after, minus, thousands):
    cells = []
    for cent in cents:
        number = f"{abs(cent) / 100:{',' if thousands else ''}.2f}"
        behind = minus == "behind"
        cell = f"{before}{'-' if behind and cent < 0 else ''}{number}{after}"
        cells.append(minus.format(cell) if cent < 0 and not behind else cell)
    series, notes = told(rows(cells, "n;v"), time="n", decimal="point", missing=("none",))
    assert series == {"v": [cent / 100 for cent in cents]}
    unit = (before + after).replace(" ", "")
    brackets = not unit and minus == "({})" and min(cents) < 0
    assert len(notes) == (1 if unit or brackets else 0)
    assert all((repr(unit) if unit else "brackets are read as negative") in note for note in notes)


@pytest.mark.parametrize("cells", [["5 days", "6 days"], ["1st", "2nd"], ["5 Jan", "6 Jan"], ["6 PM", "7 PM"],
                                   ["A1", "A2"], ["1h", "1h"], ["12 Main St", "13 Main St"],
                                   ["1a", "2b", "3c"]])  # fmt: skip
def test_what_only_looks_like_a_number_with_a_unit_is_no_series(cells):
    assert list(told(rows([f"{cells[i % len(cells)]};{value}" for i, value in enumerate(VALUES)], "n;x;v"))[0]) == [
        "n",
        "v",
    ]


def test_a_missing_value_among_numbers_with_a_unit_is_still_missing():
    cells = [f"{value} %" for value in VALUES]
    cells[4] = "-"
    with pytest.raises(SignalError, match="column 'v', row 6: the value is missing"):
        told(rows(cells))
    assert told(rows(cells), fill="interpolate")[0]["v"][3:6:2] == VALUES[3:6:2]


# Sums below the rows.


@pytest.mark.parametrize("word", ["Total", "SUM", "Average:", "Mittelwert", "Gesamt", "Grand Total"])
@pytest.mark.parametrize("label", ["{}", "shop {}", "2020-01-{:02}"])
@pytest.mark.parametrize("end", ["{};99\n", "\n{};99\n;\n", "{};99\nMean;5\n"])
def test_a_total_below_the_rows_is_left_out_and_told_whether_or_not_there_are_times(word, label, end):
    text = "label;v\n" + "".join(f"{label.format(i + 1)};{value}\n" for i, value in enumerate(VALUES))
    series, notes = told(text + end.format(word))
    assert series["v"] == VALUES
    assert any(f"it is a total and no sample: '{word}, 99'" in note for note in notes)


def test_a_series_called_total_stays_in_a_long_table_and_among_rows():
    text = "unique_id,y\n" + "".join(f"{name},{i}\n" for name in ("a", "Total") for i in range(5))
    assert told(text)[0] == {"a": [0, 1, 2, 3, 4], "Total": [0, 1, 2, 3, 4]}
    assert list(told("name,2001,2002,2003\na,1,2,3\nTotal,4,5,6\n", rows=True)[0]) == ["a", "Total"]


# Numbers that mark what is missing.


@pytest.mark.parametrize("mark", ["-999", "-9999", "9999.9", "99999", "-99.9", "-999.00", "1e20", "-32768", "-999.25",
                                  "65535", "-2147483648", "1e30", "9.969209968386869e+36"])  # fmt: skip
@pytest.mark.parametrize("form", ["csv", "parquet"])
def test_a_mark_of_missing_values_is_asked_about_and_obeying_either_remedy_reads_the_file(mark, form):
    values = [float(mark) if i % 9 == 4 else value for i, value in enumerate(VALUES)]
    data = rows([mark if i % 9 == 4 else str(value) for i, value in enumerate(VALUES)], "index;v").encode()
    if form == "parquet":
        stream = io.BytesIO()
        pd.DataFrame({"v": values}).to_parquet(stream)
        data = stream.getvalue()
    short = f"{float(mark):.10g}" if len(mark) < 20 else mark
    with pytest.raises(
        SignalError, match=rf"column 'v': {re.escape(short)} stands 3 times, .*--missing {re.escape(short)}"
    ):
        read_columns(f"f.{form}", data)
    assert read_columns(f"f.{form}", data, missing=("none",))[0].values.tolist() == values
    with pytest.raises(SignalError, match="the value is missing"):
        read_columns(f"f.{form}", data, missing=(short,))
    [column] = read_columns(f"f.{form}", data, missing=(short,), fill="interpolate")
    assert (column.filled, column.values.max() < 14) == (3, True)


@pytest.mark.parametrize(
    "values",
    [[98, 99, 100, 97] * 5, [0, 9999, 5000, 9999, 2000], [-999, -998, -997] * 3, [999.0] * 9, [50, 99, 20, 0, 60]],
)
def test_numbers_of_nines_among_others_like_them_are_values(values):
    assert read_columns("f.csv", ("v\n" + "\n".join(map(str, values))).encode())[0].values.tolist() == values


def test_a_word_that_marks_missing_values_may_be_named():
    cells = ["weg" if i == 4 else str(value) for i, value in enumerate(VALUES)]
    with pytest.raises(SignalError, match=r"row 6: 'weg' is not a number.*--missing MARK"):
        told(rows(cells))
    assert told(rows(cells), missing=("weg",), fill="interpolate")[0]["v"][5] == VALUES[5]


def test_marks_in_a_pandas_object_are_asked_about_and_it_stays_as_it_was():
    series = pd.Series([-999.0 if i % 9 == 4 else value for i, value in enumerate(VALUES)], name="v")
    with pytest.raises(SignalError, match=r"missing=\[-999\]; if it is.*read_signals\(data, …\)"):
        as_signal(series)
    [signal] = read_signals(series, missing=-999, fill="interpolate")
    assert (signal.filled, series.eq(-999).sum()) == (3, 3)
    [signal] = read_signals(series, missing=["none"])
    assert signal.values.tolist() == series.tolist()
