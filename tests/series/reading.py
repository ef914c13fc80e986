"""Shorthand for tests: content of a file → its series, without what makes signals of them."""

from __future__ import annotations

from typing import Any

import pytest

from vitime_cache.series.axis import Column, finished, plain_axis
from vitime_cache.series.bounds import Choices, SignalError
from vitime_cache.series.cells import pasted_numbers
from vitime_cache.series.layouts import read_series
from vitime_cache.series.table import read_tables, unpack


def read_columns(
    file: str, data: bytes, fill: str = "none", last: int | None = None, notes: list[str] | None = None, **choices: Any
) -> list[Column]:
    """The series of a file, and in `notes` what was told of it."""
    how = Choices(fill=fill, last=last, **choices)
    tell = (lambda _: None) if notes is None else notes.append
    return [column for frame in read_tables(*unpack(file, data)) for column in read_series(file, frame, how, tell)]


def read_text(text: str, name: str, fill: str = "none", last: int | None = None) -> Column:
    """The series in pasted text."""
    values, rows = pasted_numbers(text, name)
    return finished(name, name, values, rows, plain_axis(len(values)), Choices(fill=fill, last=last))


def check_refused(text: str, message: str) -> None:
    """A table is refused in one line that matches."""
    with pytest.raises(SignalError, match=message) as refused:
        read_columns("f.csv", text.encode())
    assert "\n" not in str(refused.value)


def check_read(text: str, series: dict[str, list[float]], seconds: float) -> None:
    """The text of a file gives exactly these series, with their samples so many seconds apart."""
    columns = read_columns("f.csv", text.encode())
    assert {column.name: column.values.tolist() for column in columns} == series
    assert columns[0].sample_seconds == pytest.approx(seconds, rel=1e-2)
