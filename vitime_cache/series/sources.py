"""Signals from the catalogue of experiments, from files and formulas, and from pasted numbers.

Input is validated here and in the modules below, and nowhere else. pandas and pyarrow are imported when a file is read.
"""

from __future__ import annotations

import warnings
from collections import Counter
from collections.abc import Collection, Sequence
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any, BinaryIO, Literal, cast

from vitime_cache.checks import called
from vitime_cache.series import table as reading
from vitime_cache.series.axis import finished, plain_axis
from vitime_cache.series.bounds import Choices, Fill, ReadingWarning, SignalError, Tell, listed
from vitime_cache.series.cells import pasted_numbers
from vitime_cache.series.examples import catalogue
from vitime_cache.series.formulas import read_toml
from vitime_cache.series.frames import frame_of, is_table
from vitime_cache.series.layouts import read_series
from vitime_cache.series.signal import Harmonic, Signal, compose, from_column

if TYPE_CHECKING:
    import pandas as pd

__all__ = [
    "ENDINGS", "Fill", "Harmonic", "Signal", "SignalError",
    "catalogue", "check_signals", "column_names", "compose", "parse_values", "read_signals",
]  # fmt: skip

ENDINGS = (*reading.ENDINGS, ".toml")


def read_signals(
    source: str | Path | BinaryIO | pd.Series[Any] | pd.DataFrame,
    *,
    name: str | None = None,
    horizon: int = 720,
    fill: Fill = "none",
    last: int | None = None,
    columns: Sequence[str] = (),
    time: str | None = None,
    rows: bool | None = None,
    decimal: Literal["point", "comma"] | None = None,
    day_first: bool | None = None,
    missing: Sequence[str | float] = (),
    tell: Tell | None = None,
) -> list[Signal]:
    """Signals from a table, or from a file: CSV and similar text (.csv, .tsv, .txt, .dat), Parquet, Feather,
    .xlsx, NPY, NPZ or TOML.

    A table holds one series per column, or is long, with a column that says which series a row belongs to. The time is
    one column of dates, or several that make one together; its step is checked. Columns that are not numbers are left
    out, and named. Text may be compressed (.gz, .bz2, .xz, .zip). TOML holds formulas::

        [[signal]]
        name = "two tones"
        harmonics = [{ period = 64 }, { angular_frequency = 0.05, phase = 1.57, amplitude = 0.5 }]
        noise = 0.1                   # also: seed, n, horizon, reduced_of, description

    Parameters
    ----------
    source
        A path, a binary stream such as an upload, or a table of pandas, xarray, polars or pyarrow; of a
        file at most 50 MB, 10 000 series, a million samples each.
    name
        File name of a stream. Its ending says the format.
    horizon
        Samples to forecast, if the file does not say.
    fill
        "interpolate" fills missing values and missing times, linearly inside and with the nearest value at either end,
        and puts times in order; `Signal.filled` counts what was filled. "none" refuses them. Infinite values and text
        are always refused.
    last
        Keep this many samples from the end of each series; all that there are of a shorter formula in TOML.
    columns
        The columns to read; by default all columns of numbers.
    time
        The column that holds the time, or "none": consecutive rows are consecutive samples.
    rows
        Whether each row of the table is a series, rather than each column.
    decimal
        The decimal separator, "point" or "comma", if the numbers leave it open.
    day_first
        Whether 01/02/2020 is the first of February, if the dates leave it open.
    missing
        Numbers and words that mark a missing value, besides empty cells, "nan", "?" and similar. Numbers such as −999
        far outside the others are refused with a question; "none" says that they are values.
    tell
        Called with each sentence on what was left out or corrected; by default these are warnings.

    Raises
    ------
    SignalError
        Naming file, column, row and value; for TOML the file, the number of the signal, the key and the value. Rows
        count from 1; in text they are lines, header included.
    """
    names = listed(columns, "columns are names of columns", str)
    marks = listed(missing, "missing are words and numbers that mark missing values", str, int, float)
    choices = Choices(fill, last, names, time, rows, decimal, day_first, marks)
    if not isinstance(name, str | None):
        raise SignalError(f"name is the file name of a stream, got {name!r:.60}")
    called(tell, "tell", error=SignalError)
    notes: list[str] = []
    if is_table(source):
        file, frames = name or f"the {type(source).__name__}", [frame_of(source)]
    else:
        file, data = reading.unpack(*reading.read_bytes(cast("str | Path | BinaryIO", source), name))
        if PurePosixPath(file).suffix.lower() == ".toml":
            return read_toml(file, data, horizon, last)
        frames = reading.read_tables(file, data)
    signals = [
        from_column(column, horizon, f"{file}, column {column.name!r:.60}")
        for frame in frames
        for column in read_series(file, frame, choices, tell or notes.append)
    ]
    for note in notes:
        warnings.warn(note, ReadingWarning, stacklevel=2)
    return signals


def column_names(data: bytes, name: str) -> list[str]:
    """The columns of a file that `read_signals` can read; none if it is not a table or cannot be read."""
    try:
        return [
            str(each).strip() for frame in reading.read_tables(*reading.unpack(name, data)) for each in frame.columns
        ]
    except SignalError:
        return []


def parse_values(text: str, name: str, *, horizon: int = 720, fill: Fill = "none", last: int | None = None) -> Signal:
    """A signal from pasted numbers, separated by commas, semicolons, spaces or line ends; `last` keeps that many.

    Raises
    ------
    SignalError
        Naming the row and the value that is not a number.
    """
    values, rows = pasted_numbers(text, name)
    column = finished(name, name, values, rows, plain_axis(len(values)), Choices(fill, last))
    return from_column(column, horizon, "pasted values")


def check_names(signals: Sequence[Signal]) -> None:
    """Refuse signals of which two share a name, by which results tell them apart."""
    for name, count in Counter(signal.name for signal in signals).most_common(1):
        if count > 1:
            raise SignalError(f"{count} signals are named {name!r}; rename all but one")


def check_signals(signals: Sequence[Signal], known: Collection[str] = ()) -> None:
    """Refuse a set of signals that cannot be in one store.

    Parameters
    ----------
    known
        Names that `reduced_of` may refer to besides these signals, such as those in the store.

    Raises
    ------
    SignalError
        If two signals share a name, or `reduced_of` names an unknown signal.
    """
    if not signals:
        raise SignalError("there are no signals")
    check_names(signals)
    names = {signal.name for signal in signals}
    for signal in signals:
        if signal.reduced_of and signal.reduced_of not in names and signal.reduced_of not in known:
            raise SignalError(
                f"signal {signal.name!r} is reduced_of {signal.reduced_of!r}, but there is no such signal; "
                "add it, or leave reduced_of out"
            )
