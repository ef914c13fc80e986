"""Tables → series: which columns hold them, and whether they stand in rows or below one another.

What is unambiguous is read, and what was left out is told in one line; where two readings are possible the error says
by which option to choose.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import combinations
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from vitime_cache.series.axis import Axis, Column, find_axis, finished, plain_axis
from vitime_cache.series.bounds import NOTES, Choices, SignalError, Tell
from vitime_cache.series.cells import notation_of, to_numbers
from vitime_cache.series.time_columns import COUNTERS, Table, Time, find_time
from vitime_cache.series.times import read_times

if TYPE_CHECKING:
    import pandas as pd

IDS = {"unique_id", "item_id", "series_id", "ts_id", "id", "series", "item", "variable", "name", "symbol", "ticker"}
MANY = 20  # columns of numbers: more of them than rows are rather series in rows
MONTHS = ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"]


def read_series(file: str, frame: pd.DataFrame, choices: Choices, tell: Tell) -> list[Column]:
    """The series of a table, complete and finite; `tell` is called with each sentence on what was left out.

    Raises
    ------
    SignalError
        Naming file, column, row and value, and what to do.
    """
    table = _taken_apart(file, frame, choices)
    for note in frame.attrs.get(NOTES, ()):
        tell(note)
    asked = [*choices.columns, *([choices.time] if choices.time not in (None, "none") else [])]
    if unknown := next((name for name in asked if name not in table.names), None):
        raise SignalError(f"{file}: there is no column {unknown!r:.60}; there are {', '.join(table.names[:20])}")
    time = Time() if choices.rows else find_time(table, choices)
    if choices.rows is None and not choices.columns:
        _check_months(table)
        if not time.columns:
            _check_rows(table)
    if choices.rows:
        return _in_rows(table, choices, tell)
    ids = _ids(table, time)
    names = list(choices.columns or _values(table, time, ids))
    for name in names if choices.columns else table.broken:
        if name in table.others:
            at = table.broken.get(name, 0)
            raise SignalError(
                f"{table.where(name)}, row {table.rows[at]}: {str(table.others[name].iloc[at])[:60]!r} is not a number "
                "with a decimal point; correct it, or name the columns to be read with columns=[…] (--column NAME)"
            )
    if not names:
        firsts = [f"{name!r} ({str(column.iloc[0])[:20]!r})" for name, column in table.others.items() if len(column)]
        raise SignalError(f"{file} holds no series: no column of numbers beside {', '.join(firsts or names)[:200]}")
    for name in names:
        if np.abs(values := table.numbers[name]).max(initial=0) > 2**53 and (np.nan_to_num(values) % 1 == 0).all():
            tell(f"{table.where(name)}: numbers beyond 2^53 are kept to 16 digits; take a level off them to keep more")
    told = {*names, *time.columns, *ids}
    left = [name or "the first column" for name in table.names if name not in told]
    if left and not choices.columns:
        more = f" and {len(left) - 10} more" if len(left) > 10 else ""
        tell(f"{file}: {', '.join(names[:10])} read; left out as no series: {', '.join(left[:10])}{more}")
    return list(_columns(table, names, ids, time, choices, tell))


def frame_of(given: pd.Series | pd.DataFrame) -> pd.DataFrame:
    """A pandas object as a table: what its index says stands in front."""
    import pandas as pd

    frame = given.to_frame("signal" if given.name is None else given.name) if isinstance(given, pd.Series) else given
    names = ["_".join(map(str, name)) if isinstance(name, tuple) else str(name) for name in frame.columns]
    frame = frame.set_axis(names, axis=1)
    if not _counts(frame.index):
        levels = ["index" if name is None else str(name) for name in frame.index.names]
        taken = {*names, *(level for level in levels if levels.count(level) > 1)}
        levels = [f"{level} {place}" if level in taken else level for place, level in enumerate(levels, 1)]
        frame = frame.reset_index(names=levels)
    for place, kind in enumerate(frame.dtypes):
        if isinstance(kind, pd.PeriodDtype):
            frame = frame.assign(**{frame.columns[place]: frame.iloc[:, place].dt.to_timestamp()})
    return frame.set_axis(pd.RangeIndex(1, len(frame) + 1))


def _counts(index: pd.Index) -> bool:
    """Whether an index only numbers the rows, as pandas and xarray make one where none was given."""
    import pandas as pd

    return isinstance(index, pd.RangeIndex) and index.step == 1 and (index.name is None or index.start == 0)


def _taken_apart(file: str, frame: pd.DataFrame, choices: Choices) -> Table:
    """Numbers apart from what is none, in whichever notation they are."""
    names = [str(name).strip() for name in frame.columns]
    times = Counter(names)
    if twice := next((name for name in names if name and times[name] > 1), ""):
        raise SignalError(f"{file}: two columns are named {twice!r}; rename one")
    columns = {name: column for name, (_, column) in zip(names, frame.items(), strict=True)}
    texts = {name: column.astype("str") for name, column in columns.items() if column.dtype.kind not in "iufcbmM"}
    plain = {name: to_numbers(text, None) for name, text in texts.items()}
    odd = {name: texts[name][wrong] for name, (_, wrong) in plain.items() if wrong.any()}
    notation = choices.decimal or notation_of(file, odd.values())
    numbers: dict[str, NDArray[np.float64]] = {}
    others: dict[str, pd.Series] = {}
    broken: dict[str, int] = {}
    for name, column in columns.items():
        if name in texts:
            values, wrong = to_numbers(texts[name], notation) if notation else plain[name]
            values, wrong = (values, wrong) if name in odd or not wrong.any() else plain[name]  # 0.5 beside 0,5
            right = int(np.isfinite(values).sum())
            if wrong.any():
                others[name] = texts[name]
            if right and right >= wrong.sum() and wrong.any():
                broken[name] = int(wrong.argmax())
            if name in broken or not wrong.any():
                numbers[name] = values
        elif column.dtype.kind in "iuf":
            numbers[name] = column.to_numpy(dtype=np.float64, na_value=np.nan)
        elif column.dtype.kind == "M" and getattr(column.dtype, "tz", None) is not None:
            others[name] = column.dt.tz_convert("UTC").dt.tz_localize(None)
        else:
            others[name] = column
    if len(numbers) > 1 and not np.isfinite(numbers.get("", np.zeros(1))).any():
        del numbers[""]  # behind a separator at the end of each line
    return Table(file, numbers, others, broken, np.asarray(frame.index), names[0] if names else "")


def _values(table: Table, time: Time, ids: Sequence[str]) -> list[str]:
    """Columns of numbers that are no time, no id and no number of the row; empty ones only if there are no others."""
    names = []
    for name, values in table.numbers.items():
        counts_rows = time.columns and name.lower() in COUNTERS and (np.diff(values) == 1).all()
        if name not in (*time.columns, *ids) and not counts_rows:
            names.append(name)
    return [name for name in names if np.isfinite(table.numbers[name]).any()] or names


def _columns(
    table: Table, names: Sequence[str], ids: Sequence[str], time: Time, choices: Choices, tell: Tell
) -> Iterator[Column]:
    """Each column of each id."""
    for each, rows in _groups(table, ids):
        where = f"{table.file}, column {' and '.join(map(repr, time.columns))}" + (f", {each!r}" if ids else "")
        axis = _axis(where, time, rows, table, choices, tell)
        for name in names:
            label = name if not ids else each if len(names) == 1 else f"{each}_{name}"
            column = finished(table.where(name), label, table.numbers[name][rows], table.rows[rows], axis, choices)
            yield replace(column, start=column.start and column.start + time.offset)


def _axis(where: str, time: Time, at: NDArray[np.intp], table: Table, choices: Choices, tell: Tell) -> Axis:
    """The axis of some rows."""
    if not time.readings:
        return plain_axis(len(at))
    return _even_axis(where, [each[at] for each in time.readings], table.rows[at], choices, tell, time.unit)


def _even_axis(
    where: str, readings: Sequence[NDArray[Any]], rows: NDArray[Any], choices: Choices, tell: Tell, unit: str
) -> Axis:
    """The axis of times; of dates that read with the day first and with the month first the one that is even."""
    if len(readings) < 2:
        return find_axis(where, readings[0], rows, choices, tell, unit)
    found: list[Axis] = []
    errors: list[SignalError] = []
    for each in readings:
        try:
            found.append(find_axis(where, each, rows, choices, lambda _: None))
        except SignalError as error:
            errors.append(error)
    if not found:
        raise errors[0]
    if len(found) == 1:
        return found[0]
    if np.isclose(found[0].seconds, found[1].seconds, rtol=1e-6) and (found[0].order == found[1].order).all():
        return replace(found[0], times=found[0].places.astype(np.float64))  # hours of one day, of whichever
    raise SignalError(
        f"{where}: dates read with the day first and with the month first; say which with day_first=True or False "
        "(--day-first, --no-day-first)"
    )


def _ids(table: Table, time: Time) -> list[str]:
    """Columns that say whose sample a row is, where series stand below one another."""
    used, length = {*time.columns, *table.broken}, len(table.rows)
    texts = [name for name, column in table.others.items() if name not in used and column.dtype.kind not in "mMc"]
    named = [name for name in (*texts, *table.numbers) if name.lower() in IDS and name not in used]
    named = [name for name in named if name in texts or (table.numbers[name] % 1 == 0).all()]
    if not time.columns:
        return [name for name in named if _distinct(table, [name]) < (length if name.lower() != "id" else length / 2)][
            :1
        ]
    times = time.readings[0]
    if not named and (times[1:] > times[:-1]).all():
        return []
    several = any(1 < _distinct(table, [name]) <= length / 2 for name in named)
    if length < 1.5 * len(np.unique(times)) and not several:
        return []
    candidates = list(dict.fromkeys([*named, *texts]))[:6]
    for count in (1, 2, 3):
        for some in combinations(candidates, min(count, len(candidates))):
            if _distinct(table, some) > 1 and _distinct(table, some, times) == length:
                return sorted(some, key=table.names.index)
    return []


def _keys(table: Table, names: Sequence[str]) -> pd.DataFrame:
    import pandas as pd

    numbers = {name: values.astype(np.int64).astype(str) for name, values in table.numbers.items() if name in names}
    return pd.DataFrame(
        {name: numbers[name] if name in numbers else table.others[name].astype("str").to_numpy() for name in names}
    )


def _distinct(table: Table, names: Sequence[str], times: Any = None) -> int:
    keys = _keys(table, names)
    return int((~(keys if times is None else keys.assign(**{"the time": times})).duplicated()).sum())


def _groups(table: Table, ids: Sequence[str]) -> list[tuple[str, NDArray[np.intp]]]:
    """Each id with its rows; all rows where there is none."""
    if not ids:
        return [("", np.arange(len(table.rows)))]
    codes, names = _keys(table, ids).agg("/".join, axis=1).factorize()
    order = np.argsort(codes, kind="stable")
    return list(zip(map(str, names), np.split(order, np.flatnonzero(np.diff(codes[order])) + 1), strict=True))


def _check_rows(table: Table) -> None:
    """Refuse what may be a series in each row, by its shape or by what its rows and columns are called."""
    count, length = len(table.numbers), len(table.rows)
    label = next((name for name in table.others if name not in table.broken), None)
    named = label is not None and _distinct(table, [label]) == length
    ends = [int(end[0]) for name in table.numbers if (end := re.search(r"\d{1,9}$", name))]
    successive = named and len(ends) == count > 2 and bool((np.diff(ends) == 1).all())
    if length == 1 < count or (count >= MANY and (count > length or named)) or successive:
        raise SignalError(
            f"{table.file} has {length} row{'s' * (length > 1)} of {count} numbers: with one series in each row, read "
            "it with rows=True (--rows); with one in each column, where time runs down, with rows=False (--no-rows)"
        )


def _check_months(table: Table) -> None:
    """Refuse what may be one series, a year of months in each row."""
    if [name[:3].lower() for name in table.numbers][-12:] == MONTHS:
        raise SignalError(
            f"{table.file} has a column for each month: for one series put the months below one another, as "
            "pandas.melt does; for a series from each column read it with rows=False (--no-rows)"
        )


def _in_rows(table: Table, choices: Choices, tell: Tell) -> list[Column]:
    """A series from each row, behind columns of names or of classes that are none of its samples."""
    samples, axis = _header_times(table, choices)
    names, named_by = _row_names(table)
    values = np.stack([table.numbers[name] for name in samples], axis=1) if samples else np.empty((len(table.rows), 0))
    whole = np.nan_to_num(values) % 1 == 0
    classes = not names and values.shape[1] > 2 and whole[:, 0].all() and whole[:, 1:].mean() < 0.5
    left = [name for name in table.numbers if name not in samples]
    notes = [f"named by {', '.join(map(repr, named_by))}"] if names else []
    notes += ["the first column, of classes, is left out"] if classes else []
    notes += [f"left out as no times: {', '.join(left[:10])}"] if left else []
    tell("; ".join([f"{table.file}: a series from each row", *notes]))
    stem = table.file.partition(".")[0]
    names = names or ([f"{stem}_{number}" for number in range(1, len(values) + 1)] if len(values) > 1 else [stem])
    series = []
    for name, row, place in zip(names, values[:, int(classes) :], table.rows, strict=True):
        known = np.flatnonzero(~np.isnan(row))
        row = row[: known[-1] + 1] if len(known) else row  # rows of one file are as long as the longest
        of_row = axis if axis is not None and len(axis.order) == len(row) else plain_axis(len(row))
        where, numbers = f"{table.file}, row {place}", np.arange(1, len(row) + 1)
        series.append(finished(where, name, row, numbers, of_row, choices, "sample"))
    return series


def _row_names(table: Table) -> tuple[list[str], list[str]]:
    """Names of the rows, from the first columns of texts that tell all of them apart, and these; [] where none do."""
    texts = [name for name, column in table.others.items() if column.dtype.kind not in "bmM"]
    for count in range(1, min(len(texts), 4) + 1):
        keys = _keys(table, texts[:count]).replace("nan", "").agg("/".join, axis=1).str.strip("/")
        if keys.is_unique and (keys != "").all():
            return [str(key) for key in keys], texts[:count]
    return [], []


def _header_times(table: Table, choices: Choices) -> tuple[list[str], Axis | None]:
    """Columns that are called by a time, and their axis; all columns of numbers where most are not."""
    import pandas as pd

    names = list(table.numbers)
    texts = pd.Series(names, dtype="str")
    years = texts.str.fullmatch(r"(1[5-9]|20)\d\d").to_numpy()
    readings = [texts[years].astype(float).to_numpy()] if 2 * years.sum() > len(names) else []
    dated = years if readings else np.zeros(len(names), bool)
    digits = texts.str.contains(r"\d.*\d").to_numpy()
    if not readings and (dates := read_times(texts[digits])):
        dated[digits] = ~np.isnat(dates[0])
        dates = dates if choices.day_first is None else dates[not choices.day_first :][:1] or dates
        readings = [each[dated[digits]] for each in dates]
    if 2 * dated.sum() <= len(names):
        return names, None
    where, columns = f"{table.file}, header", np.arange(1, len(names) + 1)[dated]
    axis = _even_axis(where, readings, columns, choices, lambda _: None, "year")
    return [name for name, is_date in zip(names, dated, strict=True) if is_date], axis
