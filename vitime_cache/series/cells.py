"""What a cell of a file may hold: a number, a gap, a time. Anything else is a SignalError that says where it stands."""

from __future__ import annotations

import math
import re
from array import array
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

# Limits, so that no file can fill the memory.
from vitime_cache.errors import VitimeError

MAX_BYTES = 50_000_000  # of a file
MAX_SERIES = 10_000  # in a file
MAX_SAMPLES = 1_000_000  # of a series
MAX_VALUES = 50_000_000  # in a file, which may be compressed

MISSING = frozenset({"", "nan", "na", "n/a", "null", "none"})
_DATES = ("%d/%m/%Y", "%m/%d/%Y", "%d.%m.%Y")
TIME_FORMATS = ("ISO8601", "%b %Y", "%B %Y", "%YM%m", *(d + t for d in _DATES for t in ("", " %H:%M", " %H:%M:%S")))

Fill = Literal["none", "interpolate"]


class SignalError(VitimeError):
    """A series, or a file of series, that cannot be used."""


@dataclass(frozen=True)
class Column:
    """One series of a file.

    Parameters
    ----------
    name
        Its name in the file, or one made from the name of the file.
    values
        (T,) float64. NaN stands for a missing value until `fill_missing` has been here.
    rows
        (T,) the row of each value, for messages.
    filled
        How many of the values were missing and are interpolated.
    """

    name: str
    values: np.ndarray
    rows: Sequence[int]
    filled: int = 0


def fill_missing(column: Column, fill: Fill, where: str) -> Column:
    """The column without gaps.

    Parameters
    ----------
    fill
        "none" refuses missing values. "interpolate" fills them: linearly between their neighbours, at either end with
        the nearest value.
    where
        How the column is called in messages.

    Raises
    ------
    SignalError
        Where a value is infinite, or missing with nothing to fill it.
    """
    if fill not in ("none", "interpolate"):
        raise SignalError(f"fill must be 'none' or 'interpolate', got {fill!r}")
    values = column.values
    if (infinite := np.isinf(values)).any():
        first = int(infinite.argmax())
        raise SignalError(f"{where}, row {column.rows[first]}: {values[first]} is not finite; correct it")
    missing = np.isnan(values)
    if not missing.any():
        return column
    if fill == "none":
        raise SignalError(
            f"{where}, row {column.rows[int(missing.argmax())]}: the value is missing (empty or nan), the first of "
            f"{missing.sum()}; correct it, or interpolate with fill='interpolate' (--fill interpolate)"
        )
    if missing.all():
        raise SignalError(f"{where}: all {len(values)} values are missing")
    samples = np.arange(len(values))
    filled = np.where(missing, np.interp(samples, samples[~missing], values[~missing]), values)
    return Column(column.name, filled, column.rows, int(missing.sum()))


def number(cell: str) -> float:
    """The number in a cell, NaN where it is missing; ValueError quoting anything else."""
    try:
        return float(cell.replace("_", "?"))  # Python would read 1_000, in a file it is more likely a broken name
    except ValueError:
        if cell.lower() in MISSING:
            return math.nan
        raise ValueError(
            f"{cell[:60]!r} is not a number with a decimal point; correct it, or leave the column out"
        ) from None


def is_number(cell: str) -> bool:
    """Whether `number` reads it."""
    try:
        number(cell)
    except ValueError:
        return False
    return True


def read_text(text: str, name: str, fill: Fill = "none") -> Column:
    """Pasted numbers, apart by commas, semicolons, blanks or line ends; two commas in a row miss a value between them.

    Raises
    ------
    SignalError
        Naming `name`, row and value.
    """
    if len(text) > MAX_BYTES:
        raise SignalError(f"{name}: the text is longer than {MAX_BYTES / 1e6:.0f} million characters")
    values, rows = array("d"), array("q")
    for row, line in enumerate(text.splitlines(), start=1):
        cells = re.split(r"\s*[,;]\s*|\s+", line.strip())
        if cells[-1] == "":  # a blank line, or one that ends with its separator
            cells.pop()
        for cell in cells:
            try:
                values.append(number(cell))
            except ValueError as error:
                raise SignalError(f"{name}, row {row}: {error}") from None
            rows.append(row)
    check_length(name, len(values))
    return fill_missing(Column(name, np.array(values), rows), fill, name)


def decode(file: str, data: bytes) -> str:
    """UTF-8 text, with or without a byte-order mark; SignalError names the line and the byte that is not."""
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        row = data.count(b"\n", 0, error.start) + 1
        raise SignalError(
            f"{file}, row {row}: byte {data[error.start]:#04x} is not UTF-8 text; save the file as UTF-8"
        ) from error


def check_length(where: str, length: int) -> None:
    """Refuse more samples than a series may have."""
    if length > MAX_SAMPLES:
        raise SignalError(f"{where} has more than {MAX_SAMPLES} samples; shorten it or average over samples")


def is_time(cell: str) -> bool:
    """Whether the cell is a date or time in one of `TIME_FORMATS`."""
    return not is_number(cell) and _first_fault([cell]) == 1


def check_times(where: str, cells: list[str], rows: Sequence[int]) -> None:
    """Refuse a time index that cannot be read, repeats itself or steps back: its rows are then not a series."""
    fault = _first_fault(cells)
    if fault == len(cells):
        return
    if fault == 0:
        raise SignalError(f"{where}, row {rows[0]}: {cells[0][:60]!r} is neither a number nor a time like 2012-01-31")
    raise SignalError(
        f"{where}, row {rows[fault]}: {cells[fault][:60]!r} is not a time after {cells[fault - 1][:60]!r}; "
        "the first column is the time index: give each time once, in order, in one format"
    )


def _first_fault(cells: list[str]) -> int:
    """Position of the first cell that is no later time than the one before, in the format that gets furthest."""
    import pandas as pd

    if all(map(is_number, cells)):
        return _first_step_back(np.array([number(cell) for cell in cells]))

    def read(texts: list[str], form: str) -> np.ndarray:
        return pd.to_datetime(texts, format=form, errors="coerce", utc=True).tz_convert(None).to_numpy()

    fitting = [form for form in TIME_FORMATS if not np.isnat(read(cells[:1], form)[0])]
    return max((_first_step_back(read(cells, form)) for form in fitting), default=0)


def _first_step_back(times: np.ndarray) -> int:
    known = times == times  # NaN and NaT are not equal to themselves
    later = np.r_[known[:1], times[1:] > times[:-1]]
    return len(later) if later.all() else int(later.argmin())
