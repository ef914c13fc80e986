"""Finds the time among the columns of a table: dates, a date and a time of day, a calendar, or counts."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import PurePosixPath
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vitime_cache.series.bounds import Choices, SignalError
from vitime_cache.series.columns import Table
from vitime_cache.series.spans import SHORT, UNITS
from vitime_cache.series.times import (
    DAY_ZEROS,
    LAST_YEAR,
    clock_hours,
    elapsed,
    month_numbers,
    offset_of,
    quarter_numbers,
    read_times,
    times_of_numbers,
)

TIMES = {"date", "datetime", "date_time", "timestamp", "time", "ds", "year", "unix", "epoch", "unix_time", "ts"}
TIMES |= {"yearmoda", "yyyymmdd", "datum", "datum/zeit", "zeit", "fecha", "yearweek", "year_week", "yyyyww"}
TIMES |= {*DAY_ZEROS}
DECIMAL_YEARS = {"year", "time", "date", "decimal_date", "decimal date", "decimal_year", "decimal year"}
COUNTERS = {"", "unnamed: 0", "index", "id", "no", "nr", "row", "rownames", "sample", "step", "t"}  # of rows
CALENDAR = ("year", "month", "day", "hour", "minute", "second")
PARTS = {"YYYY": "year", "YY": "year", "yr": "year", "MM": "month", "mo": "month", "DD": "day", "doy": "day of year"}
PARTS |= {"HH": "hour", "hh": "hour", "mm": "minute", "day_of_year": "day of year", "yday": "day of year"}
PARTS |= {"dayofyear": "day of year", "qtr": "quarter", "mon": "month", "dy": "day", "hr": "hour", "mn": "minute"}
PARTS |= dict.fromkeys(("jahr", "ano", "año", "anno", "annee", "année", "jaar", "iso_year", "isoyear"), "year")
PARTS |= dict.fromkeys(("monat", "mes", "mês", "mese", "mois", "maand"), "month")
PARTS |= dict.fromkeys(("tag", "dia", "día", "giorno", "jour", "dag"), "day")
PARTS |= dict.fromkeys(("stunde", "hora", "ora", "heure", "uur"), "hour")
PARTS |= dict.fromkeys(("iso_week", "isoweek", "week_number", "weeknum", "kw", "kalenderwoche", "woche"), "week")
PARTS |= dict.fromkeys(("semana", "settimana", "semaine"), "week")
PARTS |= dict.fromkeys(("quartal", "trimestre", "trimester"), "quarter")
_MOST = {"month": 12, "quarter": 4, "week": 53, "day of year": 366, "day": 31, "hour": 24}
_WITHIN_YEAR = ("month", "quarter", "week", "day of year")
# Names of a clock in a column beside dates.
CLOCKS: tuple[str, ...] = ("time", "hour", "hours", "clock", "hh", "hhmm", "he", "hour_ending", "hour ending", "hr")
CLOCKS += ("zeit", "uhrzeit", "stunde", "heure", "heures", "hora", "ora", "uur")
# "time (s)", "t [ms]", "time_min", "elapsed seconds", "timestamp_ms": time with its unit, in seconds.
_WITH_UNIT = re.compile(r"(?:elapsed|unix|epoch|time|timestamp|ts|t)(?:[ _]?time)?[ _]*[ _/(\[]\s*([a-zµμ]+)\s*[)\]]?")
_SECONDS = UNITS | {short: UNITS[name] for short, name in SHORT.items() if name in UNITS}
_UNITS = {f"{unit}{end}": seconds for unit, seconds in _SECONDS.items() if seconds <= UNITS["day"] for end in ("", "s")}
_UNITS |= {"ns": 1e-9, "us": 1e-6, "µs": 1e-6, "μs": 1e-6, "ms": 1e-3}
_EVEN = 0.9  # least share of equal steps for numbers under any name to be times
# A year, a clock, or a month beside digits.
_UNREAD = r"(?i)(?<![A-Za-z\d])(?:1[5-9]|20)\d\d(?!\d)|\d:\d\d"
_UNREAD += r"|^(?:\d+[- /.]*)?(?:jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec)[a-z]*(?:[- /.]*\d+)?$"
_EPOCH = 1e8  # numbers from here on may be seconds since 1970, or parts of them


def called(name: str) -> str:
    """The name of a column in the form that is compared: "<DATE>" and "DATE_" are "date"."""
    return name.lower().strip("<>_")


def _part(name: str) -> str:
    """The part of a date that a column is named as: "YYYY" and "Jahr" are "year"."""
    return PARTS.get(name, PARTS.get(each := called(name), each))


@dataclass(frozen=True)
class Time:
    """The time of a table: its columns, every reading of the times (T,), and the unit if they are counts."""

    columns: tuple[str, ...] = ()
    readings: tuple[NDArray[Any], ...] = ()
    unit: str = ""
    offset: str = ""


def find_time(table: Table, choices: Choices) -> Time:
    """The time that was asked for; else the one column of dates; else a column named as a time.

    Raises
    ------
    SignalError
        If several columns may be the time, or the one asked for is not a time.
    """
    if choices.time == "none":
        return Time()
    dates = _dates(table, choices)
    if len(dates) > 1:
        first = next(iter(dates))
        raise SignalError(
            f"{table.file}: {', '.join(dates)} hold times; say which with time={first!r} (--time {first})"
        )
    lower = {called(name): name for name in table.names}
    for name, readings in dates.items():
        return _with_clock(table, name, readings, lower)
    spelt = _spelt_parts(table)
    calendar = table.numbers | dict(spelt.values())
    parts = {_part(name): name for name in table.numbers}
    if "hh" not in lower and parts.get("minute") == "mm":
        del parts["minute"]
    for part, most in _MOST.items():
        if part in parts and not np.isin(table.numbers[parts[part]], range(most + 1)).all():
            del parts[part]  # kW, not Kalenderwoche
    parts |= {part: name for part, (name, _) in spelt.items()}
    within = next((each for each in _WITHIN_YEAR if each in parts), "")
    if choices.time is None and "year" in parts and within:
        return _calendar(calendar, parts, within)
    counts = _counts(table, choices)
    if choices.time is None and (successive := _successive_months(table)).columns:
        counts = successive
    for find in (_epochs, _years):
        if not counts.columns and choices.time is None:
            counts = find(table)
    if not counts.columns and choices.time is None:
        _refuse_unread(table)
    dated = any(each.dtype.kind == "M" and len(np.unique(each)) < len(each) for each in counts.readings)
    return _with_clock(table, counts.columns[0], counts.readings, lower) if dated else counts


def _spelt_parts(table: Table) -> dict[str, tuple[str, NDArray[np.float64]]]:
    """Columns of the names of months or quarters, such as "January" or "Q1", as their numbers (T,)."""
    spelt: dict[str, tuple[str, NDArray[np.float64]]] = {}
    for name, column in table.others.items():
        part = PARTS.get(called(name), called(name))
        for read, reads in ((month_numbers, "month"), (quarter_numbers, "quarter")):
            if part in (reads, "period") and reads not in spelt and (numbers := read(column)) is not None:
                spelt[reads] = name, numbers
    return spelt


def _refuse_unread(table: Table) -> None:
    """Raise SignalError for a column that looks like times in an unknown notation or language."""
    for name, column in table.others.items():
        leads = name == table.in_front or called(name) in TIMES
        if not leads or column.dtype.kind in "bmMc":
            continue
        cells = column.astype("str").head(50)
        if cells.is_unique and cells.str.contains(_UNREAD).all():
            raise SignalError(
                f"{table.where(name)}: {cells.iloc[0][:60]!r} may be a time, but is in none of the notations that are "
                "read; write it such as '2016-07-01 18:30', or take the rows one after the other with time='none' "
                "(--time none)"
            )


def _dates(table: Table, choices: Choices) -> dict[str, tuple[NDArray[Any], ...]]:
    """Columns of dates with every reading of them; of several, the one named as a time.

    Of several that run in parallel, such as the begin and end of each hour, the first.
    """
    found: dict[str, tuple[NDArray[Any], ...]] = {}
    for name in table.others if choices.time is None else [choices.time]:
        column = table.others.get(name)
        if column is None or column.dtype.kind in "bmc":
            continue
        dated = column.dtype.kind == "M"
        if readings := [column.to_numpy("M8[us]")] if dated else read_times(column, choices.day_first):
            found[name] = tuple(readings)
    varying = {name: each for name, each in found.items() if (each[0] != each[0][0]).any()}
    found = varying or found  # next to the times there may be the begin and end of them all
    named = [name for name in found if called(name) in TIMES]
    if len(named) != 1:  # the first with a time of day, or of all
        for name in sorted(found, key=lambda name: not _has_clock(found[name])):
            if all(_run_beside(found[name], other) for other in found.values()):
                return {name: found[name]}
    return {named[0]: found[named[0]]} if len(named) == 1 else found


def _has_clock(readings: Sequence[NDArray[Any]]) -> bool:
    return any((each != each.astype("M8[D]"))[~np.isnat(each)].any() for each in readings)


def _run_beside(readings: Sequence[NDArray[Any]], others: Sequence[NDArray[Any]]) -> bool:
    """Whether times (T,), in one of their readings, run in parallel to others, or fall within others that are days."""
    are_days = _has_clock(readings) and not _has_clock(others) and len(np.unique(others[0])) < len(others[0])
    most = np.timedelta64(24 * 3600 - 1 if are_days else 0, "s")
    return any(np.ptp(one - other) <= most for one, other in product(readings, others))


def _with_clock(table: Table, name: str, readings: tuple[NDArray[Any], ...], lower: Mapping[str, str]) -> Time:
    """Dates, with the time of day from another column if they have none.

    That column is named as a clock; or, if dates repeat, holds times of day only.
    """
    offset = ""
    if name in table.others:
        column = table.others[name]
        cells = column.head(1) if column.dtype.kind == "M" else column  # one zone
        offset = offset_of(table.where(name), cells, readings[0][: len(cells)], table.rows)
    known = [each[~np.isnat(each)] for each in readings]
    has_clock = _has_clock(readings)
    repeat = not has_clock and any(len(np.unique(each)) < len(each) for each in known)
    beside = [] if has_clock else [lower[part] for part in CLOCKS if part in lower and lower[part] != name]
    if repeat:
        beside += [other for other in table.numbers if called(other).endswith("period")]
        beside += [other for other, column in table.others.items() if other != name and column.dtype.kind not in "bmMc"]
    for other in beside:
        hours = table.numbers[other] if other in table.numbers else clock_hours(table.others[other])
        if hours is None or not np.isfinite(hours).all() or hours.min() < 0:
            continue
        even = not repeat and any(len(each) > 1 and (np.diff(each) == np.diff(each)[0]).all() for each in known)
        if other in table.numbers and even and np.ptp(hours):
            continue  # hours of work or sunshine on each day
        if hours.max() >= 10_000:  # 183000 is 18:30
            hours = hours // 100 + hours % 100 / 60
        if hours.max() >= 100 and (hours % 100 < 60).all():  # 1830 is 18:30
            hours = hours // 100 + hours % 100 / 60
        if "period" in called(other) and hours.min() == 1 and hours.max() in (46, 48, 50):  # half-hours of a day
            hours = (hours - 1) / 2
        if hours.max() <= 24.5:
            shift = np.round(hours * 3.6e9).astype("m8[us]")
            return Time((name, other), tuple(each + shift for each in readings), offset=offset)
    return Time((name,), readings, offset=offset)


def _calendar(numbers: Mapping[str, NDArray[np.float64]], parts: Mapping[str, str], within: str) -> Time:
    """Year and month, quarter, week or day of the year, and whatever there is of day, hour, minute and second."""
    import pandas as pd

    used = [part for part in ("year", within, "month", *CALENDAR[2:]) if part in parts]
    frame = pd.DataFrame({"day": 1.0} | {part: numbers[parts[part]] for part in used})
    if 1 < frame["year"].min() <= frame["year"].max() < 100:  # from 1 on, years may be numbered
        frame["year"] += np.where(frame["year"] <= LAST_YEAR % 100, 2000, 1900)
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
    """Numbers that are times or counts, by their name; in the first column also row numbers; else times of day."""
    several = len(table.names) > 1
    known_times = TIMES | DECIMAL_YEARS
    years = [name for name, values in table.numbers.items() if _part(name) == "year" and _run(name, values)]

    def place(name: str) -> int:
        """Names of times first, but no numbers of rows beside years; then years that run."""
        only_counts = bool(years) and name in table.numbers and (np.diff(table.numbers[name]) == 1).all()
        return 0 if called(name) in TIMES - {"year"} and not only_counts else 1 if name in years else 2

    for name in sorted(table.names, key=place) if choices.time is None else [choices.time]:
        known, in_front = "year" if name in years else called(name), name == table.in_front
        is_time = known in known_times or choices.time is not None
        if name not in table.numbers:
            column = table.others[name]
            if (is_time or in_front) and (spans := elapsed(column)) is not None:
                return Time((name,), (spans,), "second")
            if choices.time is not None:
                raise SignalError(f"{table.where(name)} holds no times")
            continue
        values = table.numbers[name]
        if several and in_front and (seconds := _seconds(name, values, table.units.get(name, ""))) is not None:
            return seconds
        counts_rows = [name] == table.names[:1] and known in {*COUNTERS, *CALENDAR, "week"}
        if not several or not (is_time or counts_rows) or (known == "id" and not (np.diff(values) > 0).all()):
            continue
        times = times_of_numbers(values, name) if is_time or known == "week" else None
        if known in DECIMAL_YEARS and (successive := _months_behind_points(values)) is not None:
            times = successive
        unit = "year" if known in DECIMAL_YEARS and _are_years(values) else known
        return Time((name,), (values,), unit) if times is None else Time((name,), (times,))
    return Time()


def _run(name: str, values: NDArray[np.float64]) -> bool:
    """Whether years (T,) are those of rows, one after the other, in one series or in several below one another."""
    if not len(values) or not np.isfinite(values).all() or (values % 1).any():
        return False
    steps = np.diff(values)
    are_years = called(name) == "year" or 1500 <= values.min() <= values.max() < 2200
    return are_years and 2 * int((steps > 0).sum()) > len(steps)


def _months_behind_points(values: NDArray[np.float64]) -> NDArray[Any] | None:
    """Numbers (T,) such as 1871.01, …, 1871.12, 1872.01 as months; None if they are something else."""
    if len(values) < 3 or not np.isfinite(values).all() or not 1500 <= values.min() <= values.max() < 2200:
        return None
    digits = np.round(100 * values)
    months = digits % 100
    near = np.abs(values - digits / 100).max() < 1e-3  # of float32
    if not near or months.min() < 1 or months.max() > 12 or not (np.diff(12 * (digits // 100) + months) == 1).all():
        return None
    return times_of_numbers(digits, "")


def _are_years(values: NDArray[np.float64]) -> bool:
    """Whether numbers (T,) are years with decimals: 1949.083 is the second month of 1949."""
    if not np.isfinite(values).all() or len(values) < 3 or not 1500 <= values.min() <= values.max() < 2200:
        return False
    step = float(np.median(np.abs(np.diff(values))))
    return any(abs(step * parts - 1) < 0.01 for parts in (4, 12))


def _successive_months(table: Table) -> Time:
    """The first column of numbers, or the first two, if they are successive months, whatever their name.

    201512 and 201601, or 2015 and 12 before 2016 and 1.
    """
    first = list(table.numbers)[:2] if table.in_front in table.numbers else []
    for names in (first[:1], first) if first else ():
        if len(names) < len(table.numbers):
            numbers = [table.numbers[name] for name in names]
            if len(table.rows) < 3 or not all((np.abs(each) < 220_000).all() for each in numbers):
                continue
            digits = numbers[0] if len(names) == 1 else 100 * numbers[0] + numbers[1]
            successive = digits.min() > 150_000 and (np.diff(12 * (digits // 100) + digits % 100) == 1).all()
            if successive and (times := times_of_numbers(digits, "")) is not None:
                return Time(tuple(names), (times,))
    return Time()


def _epochs(table: Table) -> Time:
    """Numbers under any name that must be times: dates since 1990 with an even step."""
    for name, values in table.numbers.items() if len(table.numbers) > 1 else ():
        if len(values) < 3 or not values[0] >= 1e7:  # nearly every series: the checks of all values take much longer
            continue
        if not np.isfinite(values).all() or values.min() < 1e7 or (values % 1).any():
            continue
        if (times := times_of_numbers(values, "")) is not None and times.min() >= np.datetime64("1990"):
            steps = np.diff(times) / np.timedelta64(1, "s")
            if steps.min() > 0 and (steps % 1 == 0).all() and (steps == np.median(steps)).mean() >= _EVEN:
                return Time((name,), (times,))
    return Time()


def _years(table: Table) -> Time:
    """Successive years in the first column of a table without a header."""
    values = table.numbers.get(table.in_front, np.zeros(0))
    if len(values) < 3 or len(table.numbers) < 2 or table.in_front != f"{PurePosixPath(table.file).stem}_1":
        return Time()
    is_year = 1700 <= values.min() <= values.max() < 2200 and (np.diff(values) == 1).all()
    return Time((table.in_front,), (values,), "year") if is_year else Time()


def _seconds(name: str, values: NDArray[np.float64], unit: str) -> Time | None:
    """Increasing numbers (T,) of a column named as a time with its unit, or followed by a unit of time."""
    found = _WITH_UNIT.fullmatch(name.lower()) or re.search(r"\b([a-z]+) since ", name.lower())
    unit = found[1] if found else unit
    if unit not in _UNITS or not (np.diff(values) > 0).all():
        return None
    times = times_of_numbers(values, name) if values.min() >= _EPOCH else None
    return Time((name,), (values * _UNITS[unit],), "second") if times is None else Time((name,), (times,))
