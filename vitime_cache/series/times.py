"""The time index of a file: every time once and in order, and how far apart its samples are.

`sample_seconds` is 0 where that is not known: a store keeps it as JSON, which has no NaN.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

import numpy as np

from vitime_cache.series.cells import SignalError, is_number, number

_DATES = ("%d/%m/%Y", "%m/%d/%Y", "%d.%m.%Y")
TIME_FORMATS = ("ISO8601", "%b %Y", "%B %Y", "%YM%m", *(d + t for d in _DATES for t in ("", " %H:%M", " %H:%M:%S")))
_QUARTER = re.compile(r"(\d{4})[- ]?Q([1-4])")
TIME_NAMES = {"", "unnamed: 0", "index", "sample", "date", "datetime", "timestamp", "time", "ds"}
TIME_NAMES |= {"year", "month", "week", "day", "hour"}

# Seconds, months and years as the mean of the Julian calendar.
UNITS = {
    "second": 1.0,
    "minute": 60.0,
    "hour": 3_600.0,
    "day": 86_400.0,
    "week": 604_800.0,
    "month": 2_629_800.0,
    "year": 31_557_600.0,
}

UNEVEN = 0.1  # deviation of a step from the mean step that still counts as even: months have 28 to 31 days


def is_time(cell: str) -> bool:
    """Whether the cell is a date or time in one of `TIME_FORMATS`."""
    return not is_number(cell) and any(not np.isnat(times[0]) for times in _read([cell]))


def check_times(where: str, name: str, cells: list[str], rows: Sequence[int]) -> float:
    """Refuse a time index that cannot be read, repeats itself or steps back: its rows are then not a series.

    Parameters
    ----------
    where
        How the column is called in messages.
    name
        Its name, which says what a number counts: years in "year", hours in "hour".
    cells, rows
        The times as text, and the row of each.

    Returns
    -------
    float
        Seconds from one sample to the next. 0 where it cannot be said: numbers of no unit, steps that differ by more
        than months do, or dates that read as evenly spaced with the day first and with the month first.

    Raises
    ------
    SignalError
        Quoting the time and the one before it.
    """
    if all(map(is_number, cells)):
        counts = np.array([number(cell) for cell in cells])
        fault = _first_fault(counts)
        spacings = {_even_step(counts[:fault]) * UNITS.get(name.lower(), 0.0)}
    else:
        readings = list(_read(cells))
        faults = [_first_fault(times) for times in readings]
        fault = max(faults, default=0)
        whole = [times for times, first in zip(readings, faults, strict=True) if first == len(cells)]
        spacings = {_even_step((times - times[0]) / np.timedelta64(1, "s")) for times in whole}
    if fault == len(cells):
        return spacings.pop() if len(spacings) == 1 else 0.0
    if fault == 0:
        raise SignalError(f"{where}, row {rows[0]}: {cells[0][:60]!r} is neither a number nor a time like 2012-01-31")
    raise SignalError(
        f"{where}, row {rows[fault]}: {cells[fault][:60]!r} is not a time after {cells[fault - 1][:60]!r}; "
        "the first column is the time index: give each time once, in order, in one format, and with its offset from "
        "UTC where clocks repeat an hour"
    )


def time_unit(samples: float, sample_seconds: float) -> tuple[str, float] | None:
    """The unit in which a span of samples reads well, and how many samples it has; None where that is not known.

    Examples
    --------
    >>> time_unit(168, 3600)
    ('day', 24.0)
    """
    if not sample_seconds or not samples:
        return None
    span = abs(samples) * sample_seconds
    name = next((name for name in reversed(UNITS) if span >= 2 * UNITS[name]), "second")
    return name, UNITS[name] / sample_seconds


def in_words(samples: float, sample_seconds: float) -> str:
    """A span of samples as time, such as "7 days"; empty where that is not known."""
    if (unit := time_unit(samples, sample_seconds)) is None:
        return ""
    count = f"{samples / unit[1]:.3g}"
    return f"{count} {unit[0]}{'' if count == '1' else 's'}"


def _read(cells: list[str]) -> Iterator[np.ndarray]:
    """The cells in every format that fits the first of them, (T,) datetime64 with NaT for what does not fit."""
    import pandas as pd

    months = [_QUARTER.sub(lambda found: f"{found[1]}-{3 * int(found[2]) - 2:02}", cell) for cell in cells]

    def read(texts: list[str], form: str) -> np.ndarray:
        return pd.to_datetime(texts, format=form, errors="coerce", utc=True).tz_convert(None).to_numpy()

    return (read(months, form) for form in TIME_FORMATS if not np.isnat(read(months[:1], form)[0]))


def _first_fault(times: np.ndarray) -> int:
    """Position of the first that is no later time than the one before; their number if there is none."""
    later = np.isfinite(times)
    later[1:] &= times[1:] > times[:-1]
    return len(later) if later.all() else int(later.argmin())


def _even_step(times: np.ndarray) -> float:
    """The mean step of increasing times if all steps are nearly that, else 0."""
    steps = np.diff(times)
    if not len(steps):
        return 0.0
    mean = float((times[-1] - times[0]) / len(steps))
    return mean if np.isfinite(mean) and (np.abs(steps - mean) <= UNEVEN * mean).all() else 0.0
