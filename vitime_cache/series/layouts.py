"""Tables → series: which columns hold them, and whether they stand in rows or below one another.

Unambiguous tables are read, and one line says what was left out. Where two readings are possible, the error names the
option that chooses between them.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from itertools import combinations
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from vitime_cache.series.axis import Column, find_even_axis, finished
from vitime_cache.series.bounds import NOTES, Choices, SignalError, Tell
from vitime_cache.series.columns import Table, columns_of
from vitime_cache.series.rows import check_calendar, check_rows, left_out, series_in_rows
from vitime_cache.series.time_columns import CALENDAR, CLOCKS, COUNTERS, TIMES, Time, called, find_time

if TYPE_CHECKING:
    import pandas as pd

SURE = {"unique_id", "item_id", "series_id", "ts_id"}
IDS = SURE | {"id", "series", "item", "variable", "name", "symbol", "ticker"}
STACKED = IDS | {
    "store", "shop", "location", "station", "stn", "site", "sensor", "device", "meter", "region", "country", "dept",
    "department", "product", "sku", "customer", "client", "zone", "branch", "turbine", "machine", "building", "house",
    "household", "user", "channel", "node", "asset", "well", "state", "county", "city", "province", "municipality",
    "firm", "company", "airline", "subject", "patient",
}  # fmt: skip
_NO_IDS = {*CALENDAR, *CLOCKS, "period", "quarter", "week", "weekday"}
_NUMBER = re.compile(r"[ _]?(id|no|nr|nbr|num|number|code)$")  # "store_nbr" is a store
MOST_COMPARED = 30  # columns of a table in which stacked series are looked for
FEWEST_STEPS = 24  # fewer are too few to tell a constant or a counter from a series, beside times


def read_series(file: str, frame: pd.DataFrame, choices: Choices, tell: Tell) -> list[Column]:
    """The series of a table, complete and finite; `tell` is called with each sentence on what was left out.

    Raises
    ------
    SignalError
        Naming file, column, row and value, and what to do.
    """
    for note in frame.attrs.get(NOTES, ()):
        tell(note)
    table = columns_of(file, frame, choices, tell)
    if not len(table.rows):
        raise SignalError(f"{file} holds no series: it has no rows")
    asked = [*choices.columns, *([choices.time] if choices.time not in (None, "none") else [])]
    if unknown := [name for name in asked if name not in table.names]:
        raise SignalError(f"{file}: there is no column {unknown[0]!r:.60}; there are {', '.join(table.names[:20])}")
    time = Time() if choices.rows else find_time(table, choices)
    if choices.rows is None and not choices.columns:
        check_calendar(table, time)
        if not time.columns:
            check_rows(table)
    if choices.rows:
        return series_in_rows(table, choices, tell)
    ids = [name for name in _ids(table, time) if name not in choices.columns]
    names = list(choices.columns or _values(table, time, ids, choices))
    others = "" if choices.columns else "name the columns to be read with columns=[…] (--column NAME), "
    remedy = f", {others}or name what marks missing values with missing=[…] (--missing MARK)"
    table.check_numbers(names if choices.columns else list(table.broken), remedy)
    if not names:
        firsts = [f"{name!r} ({str(column.iloc[0])[:20]!r})" for name, column in table.others.items() if len(column)]
        beside = f" beside {', '.join(firsts)[:200]}" if firsts else ""
        raise SignalError(f"{file} holds no series: no column of numbers{beside}")
    table.check_marks(names, choices)
    for name in names:
        if np.abs(values := table.numbers[name]).max(initial=0) > 2**53 and (np.nan_to_num(values) % 1 == 0).all():
            tell(f"{table.where(name)}: numbers beyond 2^53 are kept to 16 digits; take a level off them to keep more")
    if not (time.columns or ids or choices.time or choices.columns) and len(names) > 1 and table.in_front == names[0]:
        counts = table.numbers[names[0]]
        if np.ptp(counts) > 0 and _is_even(counts, [np.arange(len(counts))]):
            tell(
                f"{table.where(names[0])}: its numbers go in even steps; if it is the time, say so with "
                f"time={names[0]!r} (--time {names[0]!r})"
            )
    in_order = bool(time.columns) and called(time.columns[0]) not in COUNTERS and _in_order(time.readings[0])
    if not (in_order or ids or choices.time or choices.columns) and (stacked := _begins_anew(table, time.columns)):
        within, each = stacked
        tell(
            f"{file}: {within!r} begins anew with each {each!r}, so several series may be stacked; call {each!r} "
            "'unique_id' to read them one by one"
        )
    told = {*names, *time.columns, *ids}
    left = [name or "the first column" for name in table.names if name not in told]
    if left and not choices.columns:
        more = f" and {len(left) - 10} more" if len(left) > 10 else ""
        tell(f"{file}: {', '.join(names[:10])} read; left out as no series: {', '.join(left[:10])}{more}")
    return _columns(table, names, ids, time, choices, tell)


def _values(table: Table, time: Time, ids: Sequence[str], choices: Choices) -> list[str]:
    """Columns of numbers other than times, ids and row numbers; empty columns only if there are no others."""
    hidden = tuple[str, ...]()
    if choices.time == "none":  # the column of times is not a series even then
        with suppress(SignalError):
            hidden = find_time(table, replace(choices, time=None)).columns
    names = [name for name in table.numbers if name not in (*time.columns, *hidden, *ids)]
    if time.columns:
        counters = {
            name for name in names if called(name) in COUNTERS | TIMES and (np.diff(table.numbers[name]) == 1).all()
        }
        counters |= {name for name in names if called(name) in CALENDAR or _repeats(table.numbers[name], time)}
        names = [name for name in names if name not in counters] or names
    several = [name for name in names if np.isfinite(table.numbers[name]).any()] or names
    if not time.columns:
        return several
    # Next to times there may be station numbers, coordinates or counters; a bare matrix has none of these.
    groups = [rows for _, rows in _groups(table, ids)]
    if kept := [name for name in several if not _is_even(table.numbers[name], groups)]:
        return kept
    left = [name for name in table.others if name not in (*time.columns, *hidden, *ids)]
    if left and len(several) > 1 and all((table.numbers[name] == table.numbers[name][0]).all() for name in several):
        raise SignalError(
            f"{table.file}: its columns of numbers, {', '.join(several)[:200]}, never change, and "
            f"{', '.join(left)[:200]} hold no numbers; choose with columns=[…] (--column NAME), or correct the others"
        )
    return several


def _repeats(values: NDArray[np.float64], time: Time) -> bool:
    """Whether numbers (T,) are the hour, weekday or month of their times in any time zone, beyond one cycle."""
    import pandas as pd

    if time.readings[0].dtype.kind != "M" or not 0 <= values.min() <= values.max() <= 24 or (values % 1).any():
        return False
    if np.ptp(values) not in (23, 11, 6):
        return False
    times = pd.DatetimeIndex(time.readings[0])
    cycle = int(np.ptp(values)) + 1
    part = {24: times.hour, 12: times.month, 7: times.day_of_week}[cycle]
    return len(values) > cycle and bool(np.ptp((values - part) % cycle) == 0)


def _is_even(values: NDArray[np.float64], groups: Sequence[NDArray[np.intp]]) -> bool:
    """Whether numbers (T,) are constant or equally spaced within each group of rows."""
    with np.errstate(over="ignore", invalid="ignore"):  # infinite numbers and numbers near 1e308 overflow
        steps = np.concatenate([np.diff(values[rows]) for rows in groups])
        return len(steps) >= FEWEST_STEPS and bool((np.abs(steps - steps[0]) <= 0.02 * abs(steps[0])).all())


def _columns(
    table: Table, names: Sequence[str], ids: Sequence[str], time: Time, choices: Choices, tell: Tell
) -> list[Column]:
    """Each column of each id. Ids of one row, and series without a value, are left out beside others."""
    found, left = list[Column](), list[str]()
    for each, rows in _groups(table, ids):
        labels = {name: name if not ids else each if len(names) == 1 else f"{each}_{name}" for name in names}
        empty = [name for name in names if ids and (len(rows) < 2 or np.isnan(table.numbers[name][rows]).all())]
        if len(empty) == len(names):
            left.append(each)
            continue
        left += [labels[name] for name in empty]
        where = f"{table.file}, column {' and '.join(map(repr, time.columns))}" + (f", {each!r}" if ids else "")
        readings = [each[rows] for each in time.readings]
        axis = replace(find_even_axis(where, readings, table.rows[rows], choices, tell, time.unit), offset=time.offset)
        for name in [name for name in names if name not in empty]:
            place = table.where(name) + (f", {each!r}" if ids else "")
            found.append(finished(place, labels[name], table.numbers[name][rows], table.rows[rows], axis, choices))
    if left and not found:
        raise SignalError(
            f"{table.file}: none of its {len(left)} series, one for each {', '.join(ids)}, has two rows and a value; "
            "rows that are one series need another name there, or choose with columns=[…] (--column NAME)"
        )
    if left:
        tell(left_out(table.file, left))
    return found


def _ids(table: Table, time: Time) -> list[str]:
    """In a long table: the columns that say which series a row belongs to."""
    used, length = time.columns, len(table.rows)
    texts = [name for name, column in table.others.items() if name not in used and column.dtype.kind not in "mMc"]
    texts = [name for name in texts if called(name) not in _NO_IDS]
    named = [name for name in texts if name.lower() in IDS or (name.lower() in STACKED and _in_blocks(table, name))]
    beside = len([name for name in table.numbers if name not in used]) > 1  # the only column of numbers is a series
    named += [name for name in table.numbers if beside and name.lower() in IDS and name not in used]
    named = [name for name in named if name in texts or (table.numbers[name] % 1 == 0).all()]
    if not time.columns:
        return [name for name in named if table.distinct([name]) < (length if name.lower() in SURE else length / 2)][:1]
    times = time.readings[0]
    if not named and (times[1:] > times[:-1]).all():
        return []
    several = any(1 < table.distinct([name]) <= length / 2 for name in named)
    if length < 1.5 * len(np.unique(times)) and not several:
        return []
    numbered = [name for name in table.numbers if {called(name), _NUMBER.sub("", called(name))} & STACKED]
    numbered = [name for name in numbered if (table.numbers[name] % 1 == 0).all()]
    named = [name for name in dict.fromkeys([*named, *numbered]) if table.distinct([name]) <= length / 2]
    candidates = list(dict.fromkeys([*named, *texts]))[:6]
    for count in (1, 2, 3):
        for some in combinations(candidates, min(count, len(candidates))):
            if 1 < table.distinct(some) <= length / 2 and table.distinct(some, times) == length:
                return sorted(some, key=table.names.index)
    return []


def _in_order(times: NDArray[Any]) -> bool:
    """Whether times (T,) all ascend or all descend."""
    return bool((times[1:] > times[:-1]).all() or (times[1:] < times[:-1]).all())


def _begins_anew(table: Table, times: Sequence[str]) -> tuple[str, str] | None:
    """A column that counts from the same number in each block of another, and that other column, none of `times`.

    A subject and its days: below one another without dates, and under names that are not known. None if there are none.
    """
    if len(table.names) > MOST_COMPARED or len(table.rows) < 6:
        return None
    wholes = [name for name, values in table.numbers.items() if (values == np.round(values)).all()]
    for each in [*table.others, *wholes]:
        new = table.keys([each])[each].factorize()[0] if each in table.others else table.numbers[each]
        changes = np.diff(new) != 0
        blocks = 1 + int(changes.sum())
        if (
            not 2 <= blocks <= len(new) / 3
            or table.distinct([each]) != blocks
            or called(each) in _NO_IDS
            or each in times
        ):
            continue
        for within in [name for name in table.numbers if name != each]:
            values = table.numbers[within]
            starts = values[np.append(True, changes)]
            if (np.diff(values)[~changes] > 0).all() and (starts == starts[0]).all():
                return within, each
    return None


def _in_blocks(table: Table, name: str) -> bool:
    """Whether there are several texts, and the rows of each stand together, as one station after another does."""
    codes = table.keys([name])[name].factorize()[0]
    return bool(0 < np.count_nonzero(np.diff(codes)) == codes.max())


def _groups(table: Table, ids: Sequence[str]) -> list[tuple[str, NDArray[np.intp]]]:
    """Each id with its rows; all rows if there are no ids."""
    if not ids:
        return [("", np.arange(len(table.rows)))]
    keys = table.keys(ids)
    if (empty := (keys == "").all(axis=1)).any():
        row = table.rows[int(empty.argmax())]
        raise SignalError(
            f"{table.file}, row {row}: {' and '.join(map(repr, ids))} is empty, so the row belongs to no series, "
            f"the first of {empty.sum()}; fill it in, or delete the row"
        )
    codes, names = keys.agg("/".join, axis=1).factorize()
    order = np.argsort(codes, kind="stable")
    return list(zip(map(str, names), np.split(order, np.flatnonzero(np.diff(codes[order])) + 1), strict=True))
