"""Signals: the catalogue of experiments, and series of one's own from files, formulas and pasted numbers.

Input is validated here and in the modules below, and nowhere else. pandas and pyarrow are imported when a file is read.
"""

from __future__ import annotations

import math
import tomllib
import warnings
from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import replace
from pathlib import Path, PurePosixPath
from typing import Any, BinaryIO, Literal

from vitime_cache.series import table as reading
from vitime_cache.series.axis import finished, plain_axis
from vitime_cache.series.bounds import MAX_SERIES, MAX_VALUES, Choices, Fill, ReadingWarning, SignalError, Tell
from vitime_cache.series.cells import pasted_numbers
from vitime_cache.series.examples import catalogue
from vitime_cache.series.layouts import read_series
from vitime_cache.series.signal import Harmonic, Signal, compose, from_column
from vitime_cache.series.text import decode

__all__ = [
    "ENDINGS", "Fill", "Harmonic", "Signal", "SignalError",
    "catalogue", "check_signals", "column_names", "compose", "parse_values", "read_signals",
]  # fmt: skip

ENDINGS = (*reading.ENDINGS, ".toml")
_SIGNAL_KEYS = ("name", "description", "harmonics", "noise", "seed", "n", "horizon", "reduced_of")
_HARMONIC_KEYS = ("period", "angular_frequency", "phase", "amplitude")


def read_signals(
    source: str | Path | BinaryIO,
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
    tell: Tell | None = None,
) -> list[Signal]:
    """Signals from a file: CSV and its kin (.csv, .tsv, .txt, .dat), Parquet, Feather, a workbook, NPY, NPZ or TOML.

    A table holds a series per column, or below one another with a column that says whose each row is. One column of
    dates is the time, or several that make one together; it is checked for its step. Columns that are no numbers are
    left out, and told. Text may be compressed (.gz, .bz2, .xz, .zip). TOML holds formulas::

        [[signal]]
        name = "two tones"
        harmonics = [{ period = 64 }, { angular_frequency = 0.05, phase = 1.57, amplitude = 0.5 }]
        noise = 0.1                   # also: seed, n, horizon, reduced_of, description

    Parameters
    ----------
    source
        A path, or a binary stream such as an upload; at most 50 MB, 10 000 series, a million samples each.
    name
        File name of a stream. Its ending says the format.
    horizon
        Samples to forecast, where the file does not say.
    fill
        "interpolate" fills missing values and missing times, linearly inside and with the nearest value at either end,
        and puts times in order; `Signal.filled` counts what was filled. "none" refuses them. Infinite values and text
        are always refused.
    last
        Keep this many samples from the end of each series; of formulas in TOML, as many as there are.
    columns
        The columns to be read; by default all that are numbers.
    time
        The column that holds the time, or "none": the rows are taken one after the other.
    rows
        Whether each row of the table is a series, rather than each column.
    decimal
        What stands before the decimals, "point" or "comma", where the numbers leave it open.
    day_first
        Whether 01/02/2020 is the first of February, where the dates leave it open.
    tell
        Called with each sentence on what was left out or put right; by default they are warnings.

    Raises
    ------
    SignalError
        Naming file, column, row and value; for TOML the file, the number of the signal, the key and the value. Rows
        count from 1; in text they are lines, header included.
    """
    choices = Choices(
        fill, last, (columns,) if isinstance(columns, str) else tuple(columns), time, rows, decimal, day_first
    )
    notes: list[str] = []
    file, data = reading.unpack(*reading.read_bytes(source, name))
    if PurePosixPath(file).suffix.lower() == ".toml":
        return [_ending(signal, last) for signal in _read_toml(file, data, horizon)]
    signals = [
        from_column(column, horizon, f"{file}, column {column.name!r}")
        for frame in reading.read_tables(file, data)
        for column in read_series(file, frame, choices, tell or notes.append)
    ]
    for note in notes:
        warnings.warn(note, ReadingWarning, stacklevel=2)
    return signals


def column_names(data: bytes, name: str) -> list[str]:
    """The columns of a file that `read_signals` may be asked for; none of one that is no table or cannot be read."""
    try:
        return [
            str(each).strip() for frame in reading.read_tables(*reading.unpack(name, data)) for each in frame.columns
        ]
    except SignalError:
        return []


def parse_values(text: str, name: str, *, horizon: int = 720, fill: Fill = "none", last: int | None = None) -> Signal:
    """A signal from pasted numbers, apart by commas, semicolons, blanks or line ends; `last` keeps so many of them.

    Raises
    ------
    SignalError
        Naming the row and the value that is no number.
    """
    values, rows = pasted_numbers(text, name)
    column = finished(name, name, values, rows, plain_axis(len(values)), Choices(fill, last))
    return from_column(column, horizon, "pasted values")


def check_signals(signals: Sequence[Signal], known: Collection[str] = ()) -> None:
    """Refuse a set of signals that could not stand together in a store.

    Parameters
    ----------
    known
        Names that `reduced_of` may refer to besides these signals, such as those in the store.

    Raises
    ------
    SignalError
        Where two signals share a name, or `reduced_of` names no signal.
    """
    if not signals:
        raise SignalError("there are no signals")
    times = Counter(signal.name for signal in signals)
    name, count = times.most_common(1)[0]
    if count > 1:
        raise SignalError(f"{count} signals are named {name!r}; rename all but one")
    for signal in signals:
        if signal.reduced_of and signal.reduced_of not in times and signal.reduced_of not in known:
            raise SignalError(
                f"signal {signal.name!r} is reduced_of {signal.reduced_of!r}, but there is no such signal; "
                "add it, or leave reduced_of out"
            )


def _ending(signal: Signal, last: int | None) -> Signal:
    """The end of a formula's history; its harmonics begin where it begins now."""
    if last is None or last >= len(signal.values):
        return signal
    start = len(signal.values) - last
    harmonics = [
        replace(each, phase=math.fmod(each.phase + 2 * math.pi * start / each.period, 2 * math.pi))
        for each in signal.harmonics
    ]
    return replace(signal, values=signal.values[start:], harmonics=tuple(harmonics))


def _read_toml(file: str, data: bytes, horizon: int) -> list[Signal]:
    try:
        document = tomllib.loads(decode(file, data))
    except SignalError:
        raise
    except (ValueError, RecursionError) as error:
        raise SignalError(f"{file} is not valid TOML: {error}") from error
    _check_keys(document, ("signal",), file)
    tables = document.get("signal", [])
    if not isinstance(tables, list) or not tables:
        raise SignalError(f"{file} holds no [[signal]] table")
    if len(tables) > MAX_SERIES:
        raise SignalError(f"{file} holds {len(tables)} signals; at most {MAX_SERIES} are read")
    signals: dict[str, Signal] = {}
    samples = 0
    for number, table in enumerate(tables, start=1):
        try:
            signal = _from_table(table, horizon)
        except ValueError as error:
            raise SignalError(f"{file}, signal {number}: {error}") from error
        if signal.name in signals:
            raise SignalError(f"{file}, signal {number}: an earlier one is named {signal.name!r} too; rename one")
        signals[signal.name] = signal
        samples += len(signal.values) + signal.horizon
        if samples > MAX_VALUES:
            raise SignalError(f"{file} asks for more than {MAX_VALUES} samples in all; lower n or horizon")
    return list(signals.values())


def _from_table(table: Any, horizon: int) -> Signal:
    """The signal of one [[signal]] table."""
    _check_keys(table, _SIGNAL_KEYS, "[[signal]]")
    options = {"horizon": horizon, **table}
    if "name" not in options:
        raise SignalError("it has no name")
    tables = options.pop("harmonics", [])
    if not isinstance(tables, list):
        raise SignalError(f"harmonics must be a list of tables, got {tables!r:.60}")
    if not tables and not options.get("noise"):
        raise SignalError("it has neither harmonics nor noise, and would be zero throughout")
    return compose(options.pop("name"), [_harmonic(each) for each in tables], **options)


def _harmonic(table: Any) -> Harmonic:
    """A harmonic by its period in samples, or by its angular frequency in radians per sample."""
    _check_keys(table, _HARMONIC_KEYS, "a harmonic")
    options = dict(table)
    if ("period" in options) == ("angular_frequency" in options):
        raise SignalError(f"a harmonic needs either period or angular_frequency, got {table!r:.80}")
    if "angular_frequency" in options:
        frequency = options.pop("angular_frequency")
        if isinstance(frequency, bool) or not isinstance(frequency, int | float) or not 0 < frequency <= math.pi:
            raise SignalError(f"angular_frequency must lie between 0 and π radians per sample, got {frequency!r:.60}")
        options["period"] = 2 * math.pi / frequency
    return Harmonic(**options)


def _check_keys(table: Any, known: Sequence[str], where: str) -> None:
    if not isinstance(table, dict):
        raise SignalError(f"{where} must be a table, got {table!r:.60}")
    for key in table:
        if key not in known:
            raise SignalError(f"{where}: unknown key {key!r:.60}; known are {', '.join(known)}")
