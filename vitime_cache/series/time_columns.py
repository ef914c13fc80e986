"""Which columns of a table are the time: one of dates, a date with a clock, a calendar, or numbers that count."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from vitime_cache.series.bounds import Choices, SignalError
from vitime_cache.series.times import clock_hours, has_offset, read_times, times_of_numbers

if TYPE_CHECKING:
    import pandas as pd

TIMES = {"date", "datetime", "date_time", "timestamp", "time", "ds", "year", "unix", "epoch", "unix_time", "ts"}
COUNTERS = {"", "unnamed: 0", "index", "id", "no", "nr", "row", "sample", "step", "t"}  # of rows
CALENDAR = ("year", "month", "day", "hour", "minute", "second")
CLOCKS = ("time", "hour", "clock")  # names of a column beside one of dates


@dataclass(frozen=True)
class Table:
    """A frame taken apart.

    Attributes
    ----------
    numbers
        Columns of numbers (T,), NaN where one is missing, those with a cell that is none among them.
    others
        Columns of texts, times and truth values, and of numbers with a cell that is none.
    broken
        Columns of numbers with a cell that is none, and the first of these.
    rows
        (T,) where each row stands in the file.
    """

    file: str
    numbers: Mapping[str, NDArray[np.float64]]
    others: Mapping[str, pd.Series]
    broken: Mapping[str, int]
    rows: NDArray[np.int64]

    @property
    def names(self) -> list[str]:
        """Every column, those of numbers first."""
        return list(dict.fromkeys([*self.numbers, *self.others]))

    def where(self, name: str) -> str:
        """How a column is called in messages."""
        return f"{self.file}, column {name!r}"


@dataclass(frozen=True)
class Time:
    """The time of a table: its columns, the times (T,) in every way they can be read, what counts of them are of."""

    columns: tuple[str, ...] = ()
    readings: tuple[NDArray[Any], ...] = ()
    unit: str = ""
    offset: str = ""


def find_time(table: Table, choices: Choices) -> Time:
    """The time that is asked for, else the one column of dates, else what is called a time.

    Raises
    ------
    SignalError
        Where several columns may be it, or the one asked for is none.
    """
    if choices.time == "none":
        return Time()
    dates = _dates(table, choices)
    if len(dates) > 1:
        first = next(iter(dates))
        raise SignalError(
            f"{table.file}: {', '.join(dates)} hold times; say which with time={first!r} (--time {first})"
        )
    lower = {name.lower(): name for name in table.names}
    for name, readings in dates.items():
        return _with_clock(table, name, readings, lower)
    if choices.time is None and {"year", "month"} <= {name.lower() for name in table.numbers}:
        return _calendar(table)
    return _counts(table, choices)


def _dates(table: Table, choices: Choices) -> dict[str, tuple[NDArray[Any], ...]]:
    """Columns of dates, in every way they can be read; of several the one that is called a time."""
    found: dict[str, tuple[NDArray[Any], ...]] = {}
    names = [name for name in table.others if name not in table.broken]
    for name in names if choices.time is None else [choices.time]:
        column = table.others.get(name)
        if column is not None and column.dtype.kind == "M":
            found[name] = (column.to_numpy("M8[us]"),)
        elif column is not None and column.dtype.kind not in "bmc" and (readings := read_times(column)):
            found[name] = tuple(
                readings if choices.day_first is None else readings[(not choices.day_first) :][:1] or readings
            )
    named = [name for name in found if name.lower() in TIMES]
    return {named[0]: found[named[0]]} if len(named) == 1 else found


def _with_clock(table: Table, name: str, readings: tuple[NDArray[Any], ...], lower: Mapping[str, str]) -> Time:
    """Dates, and the time of day in a column beside them where the dates have none."""
    cell = table.others[name].iloc[0]
    offset = "+00:00" if has_offset(str(cell)) else ""
    known = [each[~np.isnat(each)] for each in readings]
    has_clock = any((each != each.astype("M8[D]")).any() for each in known)
    for other in (lower[part] for part in CLOCKS if part in lower and lower[part] != name and not has_clock):
        hours = table.numbers[other] if other in table.numbers else clock_hours(table.others[other])
        if hours is not None and np.isfinite(hours).all() and hours.min() >= 0 and hours.max() <= 24:
            shift = np.round(hours * 3.6e9).astype("m8[us]")
            return Time((name, other), tuple(each + shift for each in readings), offset=offset)
    return Time((name,), readings, offset=offset)


def _calendar(table: Table) -> Time:
    """Year and month, and what there is of day, hour, minute and second, each in a column."""
    import pandas as pd

    names = {part: name for part in CALENDAR for name in table.numbers if name.lower() == part}
    parts = pd.DataFrame(
        {"day": np.ones(len(table.rows))} | {part: table.numbers[name] for part, name in names.items()}
    )
    return Time(tuple(names.values()), (pd.to_datetime(parts, errors="coerce").to_numpy("M8[us]"),))


def _counts(table: Table, choices: Choices) -> Time:
    """Numbers that are times or count them: by their name, in the first column also the numbers of rows."""
    first, several = table.names[:1], len(table.names) > 1
    for name in list(table.numbers) if choices.time is None else [choices.time]:
        if name not in table.numbers:
            raise SignalError(f"{table.where(name)} holds no times")
        is_time = name.lower() in TIMES or choices.time is not None
        if not several or not (is_time or ([name] == first and name.lower() in {*COUNTERS, *CALENDAR, "week"})):
            continue
        times = times_of_numbers(table.numbers[name], is_time) if is_time else None
        return Time(
            (name,), (table.numbers[name] if times is None else times,), "" if times is not None else name.lower()
        )
    return Time()
