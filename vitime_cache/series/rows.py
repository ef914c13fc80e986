"""Tables with one series per row: a table that may be one is refused with a question, and read so on request."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from vitime_cache.series.axis import Axis, Column, find_even_axis, finished, plain_axis
from vitime_cache.series.bounds import Choices, SignalError, Tell
from vitime_cache.series.columns import Table
from vitime_cache.series.time_columns import CALENDAR, Time
from vitime_cache.series.times import YEAR, is_time, offset_of, read_times

MANY = 20  # columns of numbers; a table with more columns than rows is probably one series per row
_HOUR = re.compile(r"(?:he|h|hour|hr)?[ _]?(\d\d?)(?::00|h)?")  # HE01, h1, "Hour 1", 00:00
_QUARTER = re.compile(r"(?:q|qtr|quarter|quartal)[ _.]*([1-4])|([1-4])\.? ?(?:q|qtr|quarter|quartal)")
_MONTHS = [
    names.split()
    for names in (
        "jan feb mar apr may jun jul aug sep oct nov dec", "jan feb mrz apr mai jun jul aug sep okt nov dez",
        "jan feb mär apr mai jun jul aug sep okt nov dez", "jan fév mar avr mai juin juil aoû sep oct nov déc",
        "jan fev mar avr mai juin juil aou sep oct nov dec", "ene feb mar abr may jun jul ago sep oct nov dic",
        "gen feb mar apr mag giu lug ago set ott nov dic", "jan fev mar abr mai jun jul ago set out nov dez",
        "jan feb mrt apr mei jun jul aug sep okt nov dec",
    )
]  # fmt: skip
_WEEK = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"] * 2


def check_rows(table: Table) -> None:
    """Refuse a table that may hold one series per row, judging by its shape and its names of rows and columns."""
    count, length = len(table.numbers), len(table.rows)
    labels = list(table.others)[:4]
    named = any(table.distinct(labels[:count]) == length for count in range(1, len(labels) + 1))
    ends = [int(end[0]) for name in table.numbers if (end := re.search(r"\d{1,9}$", name))]
    successive = named and len(ends) == count > 2 and bool((np.diff(ends) == 1).all())
    if length == 1 < count or (count >= MANY and (count > length or named)) or successive:
        raise SignalError(
            f"{table.file} has {length} row{'s' * (length > 1)} of {count} numbers: with one series in each row, read "
            "it with rows=True (--rows); with one in each column, where time runs down, with rows=False (--no-rows)"
        )


def check_calendar(table: Table, time: Time) -> None:
    """Refuse what may be one series, such as a year of months or a day of hours in each row.

    Quarters and weekdays are told from series so called by the time: rows are then no parts of them.
    """
    names = [name for name in table.numbers if name not in time.columns]
    lower = [name.strip().lower() for name in names]
    hours = [int(found[1]) for name in lower if (found := _HOUR.fullmatch(name))]
    quarters = [int(found[1] or found[2]) for name in lower if (found := _QUARTER.fullmatch(name))]
    without_names = time.unit == "year" and len(table.numbers) == 13 and table.in_front.endswith("_1")
    dated = bool(time.readings) and time.readings[0].dtype.kind == "M" and len(table.rows) > 1
    days = float(np.median(np.diff(time.readings[0])) / np.timedelta64(1, "D")) if dated else math.inf  # between rows
    yearly = time.unit == "year" or 300 < days < math.inf
    if without_names or any(_in_order(lower, months) for months in _MONTHS):
        part = "month"
    elif hours in (list(range(24)), list(range(1, 25))):
        part = "hour"
    elif hours == list(range(1, 13)) and yearly:
        part = "month"
    elif quarters == [1, 2, 3, 4] and days > 300:
        part = "quarter"
    elif days > 6 and any(_in_order(lower, _WEEK[start : start + 7]) for start in range(7)):
        part = "weekday"
    elif time.unit in CALENDAR and len(names) > 1 and all(map(_is_dated, lower)):
        part = "date" if time.unit in ("hour", "minute", "second") else "year"
    else:
        return
    raise SignalError(
        f"{table.file} has a column for each {part}: for one series put the {part}s below one another, as pandas.melt "
        f"does with var_name='{part}', and sort the rows by time; for a series from each column read with rows=False "
        "(--no-rows)"
    )


def _in_order(names: Sequence[str], parts: Sequence[str]) -> bool:
    """Whether some names begin as these parts, each of them once and in this order, such as "january", …"""
    found = [name for name in names if name.startswith(tuple(parts))]
    return len(found) == len(parts) and all(map(str.startswith, found, parts))


def _is_dated(name: str) -> bool:
    return is_time(name) or re.fullmatch(YEAR, name) is not None


def series_in_rows(table: Table, choices: Choices, tell: Tell) -> list[Column]:
    """One series from each row. Columns of names or classes in front are not samples."""
    samples, axis = _header_times(table, choices, tell)
    table.check_marks(samples, choices)
    names, named_by = _row_names(table)
    values = np.stack([table.numbers[name] for name in samples], axis=1) if samples else np.empty((len(table.rows), 0))
    whole = np.nan_to_num(values) % 1 == 0
    classes = not names and values.shape[1] > 2 and whole[:, 0].all() and whole[:, 1:].mean() < 0.5
    left = [name for name in table.numbers if name not in samples]
    notes = [f"named by {', '.join(map(repr, named_by))}"] if names else []
    notes += ["the first column, of classes, is left out"] if classes else []
    notes += [f"left out as no times: {', '.join(left[:10])}"] if left else []
    texts = [name for name in table.others if name not in named_by]
    notes += [f"left out as no numbers: {', '.join(texts[:10])}"] if texts else []
    tell("; ".join([f"{table.file}: a series from each row", *notes]))
    stem = table.file.partition(".")[0]
    names = names or ([f"{stem}_{number}" for number in range(1, len(values) + 1)] if len(values) > 1 else [stem])
    series, left = list[Column](), list[str]()
    for name, row, place in zip(names, values[:, int(classes) :], table.rows, strict=True):
        known = np.flatnonzero(~np.isnan(row))
        if len(values) > 1 and (not len(known) or known[-1] < 1):
            left.append(name)
            continue
        row = row[: known[-1] + 1] if len(known) else row  # rows of one file are as long as the longest
        of_row = axis if axis is not None and len(axis.order) == len(row) else plain_axis(len(row))
        where, numbers = f"{table.file}, row {place}", np.arange(1, len(row) + 1)
        series.append(finished(where, name, row, numbers, of_row, choices, "sample"))
    if left and not series:
        raise SignalError(f"{table.file}: none of its {len(left)} rows has two values")
    if left:
        tell(left_out(table.file, left))
    return series


def left_out(file: str, names: Sequence[str]) -> str:
    """One sentence on the series that are too short to be any."""
    more = f" and {len(names) - 10} more" if len(names) > 10 else ""
    return f"{file}: left out, with fewer than two samples or no value: {', '.join(names[:10])}{more}"


def _row_names(table: Table) -> tuple[list[str], list[str]]:
    """Names of the rows, and their columns: the first columns of text that tell all rows apart, or none."""
    texts = [name for name, column in table.others.items() if column.dtype.kind not in "bmM"]
    for count in range(1, min(len(texts), 4) + 1):
        keys = table.keys(texts[:count]).replace("nan", "").agg("/".join, axis=1).str.strip("/")
        if keys.is_unique and (keys != "").all():
            return [str(key) for key in keys], texts[:count]
    return [], []


def _header_times(table: Table, choices: Choices, tell: Tell) -> tuple[list[str], Axis | None]:
    """Columns whose names are times, and their axis; all columns of numbers if most names are not times."""
    import pandas as pd

    names = list(table.numbers)
    texts = pd.Series(names, dtype="str")
    years = texts.str.fullmatch(YEAR).to_numpy()
    readings = [texts[years].astype(float).to_numpy()] if 2 * years.sum() > len(names) else []
    dated = years if readings else np.zeros(len(names), bool)
    digits = texts.str.contains(r"\d.*\d").to_numpy()
    dates = [] if readings else read_times(texts[digits], choices.day_first)
    if dates:
        dated[digits] = ~np.isnat(dates[0])
        readings = [each[dated[digits]] for each in dates]
    if 2 * dated.sum() <= len(names):
        table.check_numbers(names)
        return names, None
    samples = [name for name, is_date in zip(names, dated, strict=True) if is_date]
    table.check_numbers([*samples, *(name for name in table.others if re.fullmatch(YEAR, name) or is_time(name))])
    where, columns = f"{table.file}, header", np.arange(1, len(names) + 1)[dated]
    offset = offset_of(where, texts[dated], dates[0][dated[digits]], columns) if dates else ""
    axis = find_even_axis(where, readings, columns, choices, tell, "year")
    return samples, replace(axis, offset=offset)
