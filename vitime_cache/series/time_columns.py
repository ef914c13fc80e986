"""Which columns of a table are the time: one of dates, a date with a clock, a calendar, or numbers that count."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vitime_cache.series.bounds import Choices, SignalError
from vitime_cache.series.columns import Table
from vitime_cache.series.times import clock_hours, elapsed, has_offset, read_times, times_of_numbers

TIMES = {"date", "datetime", "date_time", "timestamp", "time", "ds", "year", "unix", "epoch", "unix_time", "ts"}
COUNTERS = {"", "unnamed: 0", "index", "id", "no", "nr", "row", "sample", "step", "t"}  # of rows
CALENDAR = ("year", "month", "day", "hour", "minute", "second")
PARTS = {"YYYY": "year", "YY": "year", "yr": "year", "MM": "month", "mo": "month", "DD": "day", "doy": "day of year"}
PARTS |= {"HH": "hour", "hh": "hour", "mm": "minute", "day_of_year": "day of year", "yday": "day of year"}
PARTS |= {"dayofyear": "day of year", "qtr": "quarter"}
_WITHIN_YEAR = ("month", "quarter", "week", "day of year")
CLOCKS = ("time", "hour", "clock")  # names of a column beside one of dates


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
    parts = {PARTS.get(name, name.lower()): name for name in table.numbers if name != "mm" or "hh" in lower}
    within = next((each for each in _WITHIN_YEAR if each in parts), "")
    if choices.time is None and "year" in parts and within:
        return _calendar(table, parts, within)
    counts = _counts(table, choices)
    if not counts.columns and choices.time is None:
        _refuse_unread(table)
    return counts


def _refuse_unread(table: Table) -> None:
    """SignalError for a column that looks like times, but in a notation or a language that is not known."""
    for name, column in table.others.items():
        leads = name == table.in_front or name.lower() in TIMES
        if not leads or column.dtype.kind in "bmMc":
            continue
        cells = column.astype("str").head(50)
        if cells.is_unique and cells.str.contains(r"(?<![A-Za-z\d])(?:1[5-9]|20)\d\d(?!\d)|\d:\d\d").all():
            raise SignalError(
                f"{table.where(name)}: {cells.iloc[0][:60]!r} may be a time, but is in none of the notations that are "
                "read; write it such as '2016-07-01 18:30', or take the rows one after the other with time='none' "
                "(--time none)"
            )


def _dates(table: Table, choices: Choices) -> dict[str, tuple[NDArray[Any], ...]]:
    """Columns of dates, in every way they can be read; of several the one that is called a time."""
    found: dict[str, tuple[NDArray[Any], ...]] = {}
    for name in table.others if choices.time is None else [choices.time]:
        column = table.others.get(name)
        if column is not None and column.dtype.kind == "M":
            found[name] = (column.to_numpy("M8[us]"),)
        elif (
            column is not None
            and column.dtype.kind not in "bmc"
            and (readings := read_times(column, choices.day_first))
        ):
            found[name] = tuple(readings)
    found = {name: readings for name, readings in found.items() if readings}
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


def _calendar(table: Table, parts: Mapping[str, str], within: str) -> Time:
    """Year and month, quarter, week or day of the year, and what there is of day, hour, minute and second."""
    import pandas as pd

    used = [part for part in ("year", within, "month", *CALENDAR[2:]) if part in parts]
    frame = pd.DataFrame({"day": np.ones(len(table.rows))} | {part: table.numbers[parts[part]] for part in used})
    if within == "quarter":
        frame["month"] = 3 * frame.pop(within) - 2
    elif within != "month":
        digits = 1000 * frame["year"] + (10 * frame.pop(within) + 1 if within == "week" else frame.pop(within))
        form = "%G%V%u" if within == "week" else "%Y%j"
        days = pd.to_datetime(digits.map("{:.0f}".format), format=form, errors="coerce")
        frame = frame.assign(year=days.dt.year, month=days.dt.month, day=days.dt.day)
    columns = tuple(parts[part] for part in dict.fromkeys(used))
    return Time(columns, (pd.to_datetime(frame, errors="coerce").to_numpy("M8[us]"),))


def _counts(table: Table, choices: Choices) -> Time:
    """Numbers that are times or count them, by their name; in the first column also numbers of rows; else clocks."""
    several = len(table.names) > 1
    for name in table.names if choices.time is None else [choices.time]:
        known, in_front = name.lower(), name == table.in_front
        is_time = known in TIMES or choices.time is not None
        if name not in table.numbers:
            column = table.others[name]
            if (is_time or in_front) and (spans := elapsed(column)) is not None:
                return Time((name,), (spans,), "second")
            if choices.time is not None:
                raise SignalError(f"{table.where(name)} holds no times")
            continue
        values = table.numbers[name]
        counts_rows = [name] == table.names[:1] and known in {*COUNTERS, *CALENDAR, "week"}
        if not several or not (is_time or counts_rows) or (known == "id" and not (np.diff(values) > 0).all()):
            continue
        times = times_of_numbers(values, name) if is_time or known == "week" else None
        return Time((name,), (values,), known) if times is None else Time((name,), (times,))
    return Time()
