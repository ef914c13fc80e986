"""What a cell of a file may hold: a number or a gap. Anything else is a SignalError that says where it stands."""

from __future__ import annotations

import math
import re
from array import array
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from itertools import chain
from typing import Literal

import numpy as np

from vitime_cache.errors import VitimeError

# Limits, so that no file can fill the memory.
MAX_BYTES = 50_000_000  # of a file
MAX_SERIES = 10_000  # in a file
MAX_SAMPLES = 1_000_000  # of a series
MAX_VALUES = 50_000_000  # in a file, which may be compressed

MISSING = frozenset({"", "nan", "na", "n/a", "null", "none"})

_DECIMAL_COMMA = re.compile(r"[+-]?\d+(?:[. ']\d{3})*,\d+(?:[eE][+-]?\d+)?")
_THOUSANDS = re.compile(r"[+-]?\d{1,3}(?:,\d{3})+(?:\.\d+)?(?:[eE][+-]?\d+)?")

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
    sample_seconds
        Seconds from one sample to the next, 0 where that is not known.
    """

    name: str
    values: np.ndarray
    rows: Sequence[int]
    filled: int = 0
    sample_seconds: float = 0.0


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
    return replace(column, values=filled, filled=int(missing.sum()))


def number(cell: str) -> float:
    """The number in a cell, NaN where it is missing; ValueError quoting anything else."""
    try:
        return float(cell.replace("_", "?"))  # Python would read 1_000, in a file it is more likely a broken name
    except ValueError:
        if cell.lower() in MISSING:
            return math.nan
        raise ValueError(
            f"{cell[:60]!r} is not a number with a decimal point; correct it, or leave its row or column out"
        ) from None


def is_number(cell: str) -> bool:
    """Whether `number` reads it."""
    try:
        number(cell)
    except ValueError:
        return False
    return True


def read_text(text: str, name: str, fill: Fill = "none", last: int | None = None) -> Column:
    """Pasted numbers, apart by commas, semicolons, blanks or line ends; two commas in a row miss a value between them.

    A comma may stand within a number: "1,5;2,5" is two numbers or four, "1,234" one or two. Such text is refused where
    all its commas could be of that kind, and something else keeps the numbers apart.

    Parameters
    ----------
    last
        Keep this many numbers from the end; what comes before them may miss values.

    Raises
    ------
    SignalError
        Naming `name`, row and value.
    """
    if len(text) > MAX_BYTES:
        raise SignalError(f"{name}: the text is longer than {MAX_BYTES / 1e6:.0f} million characters")
    refuse_commas_within(text, name)
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
    return fill_missing(keep_last(Column(name, np.array(values), rows), last), fill, name)


def refuse_commas_within(text: str, where: str, other_remedy: str = "") -> None:
    """SignalError where every comma may be a decimal comma or keep thousands apart, and numbers would come apart at it.

    A comma with a blank after it separates. A list on one line is one of whole numbers: its commas are all there is.
    """
    groups = (found.group() for found in re.finditer(r"[^;\s]*,[^;\s]*", text))
    first = next(groups, None)
    if first is None or not re.search(r"[;\s]", text.strip()):
        return
    if all(_DECIMAL_COMMA.fullmatch(group) or _THOUSANDS.fullmatch(group) for group in chain([first], groups)):
        raise SignalError(
            f"{where}: {first[:60]!r} is one number with a comma in it, or several numbers. Write a decimal point and "
            f"nothing between thousands, or put a blank after a comma that separates{other_remedy}"
        )


def has_decimal_comma(cell: str) -> bool:
    """Whether the cell is a number written with a decimal comma."""
    return _DECIMAL_COMMA.fullmatch(cell) is not None


def keep_last(column: Column, last: int | None) -> Column:
    """The column's last samples; all of them for None.

    Raises
    ------
    SignalError
        If `last` is below 2, or more than there are.
    """
    if last is None:
        return column
    if isinstance(last, bool) or not isinstance(last, int) or not 2 <= last <= len(column.values):
        raise SignalError(
            f"{column.name!r} has {len(column.values)} samples: the last 2 to {len(column.values)} of them can be "
            f"kept, got {last!r:.60}"
        )
    return replace(column, values=column.values[-last:], rows=column.rows[-last:])


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


def check_names(file: str, names: Sequence[str]) -> None:
    """Refuse series without a name, or with one that another has."""
    check_width(file, len(names))
    seen: set[str] = set()
    for position, name in enumerate(names, start=1):
        if not name:
            raise SignalError(
                f"{file}: series {position} of {len(names)} has no name in the header; give it one, or "
                "take the separator off the end of each line"
            )
        if name in seen:
            raise SignalError(f"{file}: two columns are named {name!r}; rename one")
        seen.add(name)


def check_width(file: str, count: int) -> None:
    """Refuse more series than a file may have."""
    if count > MAX_SERIES:
        raise SignalError(f"{file} holds {count} series; at most {MAX_SERIES} are read")


@contextmanager
def reading_errors(message: str, *kinds: type[Exception]) -> Iterator[None]:
    """Turn what a library raises on a broken file into a SignalError."""
    try:
        yield
    except SignalError:
        raise
    except kinds as error:
        raise SignalError(f"{message}: {error}") from error
