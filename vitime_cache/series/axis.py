"""The time axis of a series: its step, and times that are missing, duplicated or descending."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vitime_cache.series.bounds import TO_FILL, WAY_OUT, Choices, SignalError, Tell, check_length
from vitime_cache.series.spans import UNITS, in_words
from vitime_cache.series.times import Times

Floats = NDArray[np.float64]

CLOCKS_CHANGE = 3600  # seconds, by which a day is shorter in spring and longer in autumn
UNEVEN = 0.1  # share of a step by which times of an even axis may deviate
FEWEST_WORKING_DAYS = 6  # fewest that are told from days with a gap
MANY_TWICE = 0.1  # largest share of times that a change of clocks duplicates


@dataclass(frozen=True)
class Column:
    """One series of a table: its name, samples (T,), number of filled samples, spacing and start."""

    name: str
    values: Floats
    filled: int = 0
    sample_seconds: float = 0.0
    start: str = ""


@dataclass(frozen=True)
class Axis:
    """Places of the rows of a table in time.

    Attributes
    ----------
    order
        Rows (n,) in the order of time.
    places
        Sample number of each of them, from 0 (n,). Without gaps and duplicates 0 … n − 1.
    seconds
        Seconds from one sample to the next, 0 if not known.
    times
        Of the rows in `order` (n,); counts where they have no date.
    offset
        "+00:00" where the times are in UTC, "" where they state no zone.
    """

    order: NDArray[np.intp]
    places: NDArray[np.int64]
    seconds: float
    times: Times | Floats
    offset: str = ""

    @property
    def length(self) -> int:
        """Samples from the first row to the last."""
        return int(self.places[-1]) + 1 if len(self.places) else 0

    @cached_property
    def has_row_per_sample(self) -> bool:
        """Whether no time is missing or duplicated."""
        return len(self.places) == self.length and bool((np.diff(self.places) == 1).all())

    def samples(self, values: Floats) -> Floats:
        """Values of the rows (T,) as samples: NaN in a gap, the mean of rows at the same time."""
        import pandas as pd

        ordered = values[self.order]
        if self.has_row_per_sample:
            return ordered
        means = pd.Series(ordered).groupby(self.places).mean().reindex(range(self.length))
        return np.asarray(means)

    def start(self, place: int) -> str:
        """Time of a sample in ISO 8601, or "" if the rows have no times."""
        if self.times.dtype.kind != "M":
            return ""
        found = np.flatnonzero(self.places == place)
        return f"{self.times[found[0]].astype('M8[s]')}{self.offset}" if len(found) else ""


def plain_axis(length: int) -> Axis:
    """The axis of consecutive rows at unknown times."""
    return Axis(np.arange(length), np.arange(length), 0.0, np.arange(float(length)))


def find_axis(
    where: str, times: Times | Floats, rows: NDArray[np.int64], choices: Choices, tell: Tell, unit: str = ""
) -> Axis:
    """The axis of times (T,), or of counts of `unit`; `rows` are their places in the file.

    Raises
    ------
    SignalError
        Saying how many times are missing, duplicated or descending, where the first is, and what to do.
    """
    is_date = times.dtype.kind == "M"
    if (unknown := ~np.isfinite(times)).any():
        row = rows[int(unknown.argmax())]
        raise SignalError(
            f"{where}, row {row}: the time is missing or cannot be read, {unknown.sum()} in all; "
            f"correct them, or delete rows that are no samples, such as a total{'' if unknown[-1] else f', {WAY_OUT}'}"
        )
    # From the first time on: seconds since 1970 have no digits left for milliseconds.
    whole = times.astype("M8[us]").astype(np.int64) if is_date else np.zeros(0, np.int64)
    counts = (whole - whole[:1]) / 1e6 if is_date else times.astype(np.float64)
    order, steps = np.arange(len(times)), np.diff(counts)
    faults: list[str] = []
    mended: list[str] = []
    if len(times) > 1 and (steps < 0).all():
        order = order[::-1]
        tell(f"{where}: the times run from the newest to the oldest; read in the order of time")
    elif (steps < 0).any():
        faults.append(f"{_of('time', (steps < 0).sum())} back, the first in row {rows[int((steps < 0).argmax()) + 1]}")
        mended.append("put in order")
        order = np.argsort(counts, kind="stable")
    counts, times, rows = counts[order], times[order], rows[order]
    new = np.append(True, np.diff(counts) > 0)
    if not new.all():
        at = int(new.argmin())
        faults.append(f"{_of('time', (~new).sum())} twice, the first {_shown(times[at])} in row {rows[at]}")
        if (~new).sum() > max(MANY_TWICE * len(new), 2):  # a mean over rows at the same time would mix series
            raise SignalError(
                f"{where}: {faults[-1]}: several series may be stacked; call the column that tells the series of a row "
                f"'unique_id', adding one if there is none, {WAY_OUT}"
            )
        mended.append("values at the same time averaged")
    places, seconds = np.zeros(1, np.int64), 0.0
    if new.sum() > 1:
        unit_seconds = 1.0 if is_date else UNITS.get(unit, 0.0)
        places, seconds = _places(where, times[new], counts[new], unit_seconds)
    check_length(where, int(places[-1]) + 1)
    axis = Axis(order, places[np.cumsum(new) - 1], seconds, times)
    asked = axis.places[:-1] > axis.places[-1] - (choices.last or axis.places[-1] + 1)  # earlier rows may have gaps
    gaps = np.where(asked, np.maximum(np.diff(axis.places) - 1, 0), 0)
    if missing := int(gaps.sum()):
        at, step = int((gaps > 0).argmax()), in_words(1, seconds, least=0.999)
        faults.append(
            f"{missing} step{'s' * (missing > 1)}{step and f' of {step}'} missing, the first after {_shown(times[at])} "
            f"in row {rows[at]}, at most {gaps.max()} in a row"
        )
        mended.append("gaps interpolated")
    if missing > len(times):  # interpolated, they would be most of the series
        raise SignalError(
            f"{where}: {'; '.join(faults)}, and only {len(times)} are there: give each part between gaps in a file of "
            f"its own, {WAY_OUT}"
        )
    if faults and choices.fill == "none":
        may_change = is_date and 0 < seconds <= 3600
        clocks = "; where clocks change, give times with their offset from UTC" if may_change else ""
        raise SignalError(
            f"{where}: {'; '.join(faults)}{clocks}. Put them in order and fill the gaps with {TO_FILL}, {WAY_OUT}"
        )
    if faults:
        tell(f"{where}: {'; '.join(faults)}: {', '.join(mended)}")
    return axis


def find_even_axis(
    where: str, readings: Sequence[NDArray[Any]], rows: NDArray[Any], choices: Choices, tell: Tell, unit: str
) -> Axis:
    """The axis of times (T,), plain if there are none.

    Of two readings of the dates, day first and month first, the one with even steps is taken.

    Raises
    ------
    SignalError
        As `find_axis`; and if both readings are even but differ.
    """
    if not readings:
        return plain_axis(len(rows))
    if len(readings) < 2:
        return find_axis(where, readings[0], rows, choices, tell, unit)
    found: list[tuple[NDArray[Any], Axis]] = []
    errors: list[SignalError] = []
    for each in readings:
        try:
            filled = find_axis(where, each, rows, replace(choices, fill="interpolate"), lambda _: None)
            found.append((each, filled))
        except SignalError as error:
            errors.append(error)
    if not found:
        raise errors[0]
    # Read the wrong way, days of a week are months apart: filled, such gaps would outnumber the samples.
    times, axis = min(found, key=lambda each: each[1].length)
    others = [other for _, other in found if other.length == axis.length and other is not axis]
    if all(np.isclose(axis.seconds, each.seconds, rtol=1e-6) and (axis.order == each.order).all() for each in others):
        read = find_axis(where, times, rows, choices, tell, unit)
        # The hours of one day are the same on either day.
        return replace(read, times=read.places.astype(np.float64)) if others else read
    if len(readings) > 2:
        raise SignalError(f"{where}: the year, the day or the month may come first; write years with four digits")
    raise SignalError(
        f"{where}: dates read with the day first and with the month first; say which with day_first=True or False "
        "(--day-first, --no-day-first)"
    )


def finished(
    where: str, label: str, values: Floats, rows: NDArray[np.int64], axis: Axis, choices: Choices, each: str = "row"
) -> Column:
    """Values (T,) of rows as samples on their axis without gaps; only the last ones if that many are asked for.

    Raises
    ------
    SignalError
        If a value is infinite, or missing and not to be filled.
    """
    length = axis.length
    last = length if choices.last is None else choices.last
    if isinstance(last, bool) or not isinstance(last, int) or not min(2, length) <= last <= length:
        raise SignalError(
            f"{label!r} has {length} samples: the last 2 to {length} of them can be kept, got {last!r:.60}"
        )
    if not length:
        return Column(label, values)
    # The usual case: for thousands of short columns the checks below would take most of the time.
    if axis.has_row_per_sample and np.isfinite(samples := values[axis.order[length - last :]]).all():
        return Column(label, samples, 0, axis.seconds, axis.start(length - last))
    kept = axis.order[axis.places >= length - last]
    if (infinite := np.isinf(values[kept])).any():
        at = kept[int(infinite.argmax())]
        raise SignalError(f"{where}, {each} {rows[at]}: {values[at]} is not finite; correct it")
    if (missing := np.isnan(values[kept])).all():
        raise SignalError(f"{where}: all {last} values are missing")
    if missing.any() and choices.fill == "none":
        raise SignalError(
            f"{where}, {each} {rows[kept[int(missing.argmax())]]}: the value is missing (empty or nan), the first of "
            f"{missing.sum()}; correct it, or interpolate with {TO_FILL}"
        )
    samples = axis.samples(values)[length - last :]
    if (missing := np.isnan(samples)).any():
        samples = np.interp(np.arange(last), np.flatnonzero(~missing), samples[~missing])
    return Column(label, samples, int(missing.sum()), axis.seconds, axis.start(length - last))


def _places(where: str, times: Times | Floats, counts: Floats, unit: float) -> tuple[NDArray[np.int64], float]:
    """Sample numbers of increasing times (n,), and seconds per step: months, working days, or an even step."""
    step = _most_common(np.diff(counts))
    if times.dtype.kind == "M" and step >= 28 * UNITS["day"]:
        months = times.astype("M8[M]")
        since, until = times - months, np.add(months, np.timedelta64(1, "M")) - times
        if min(np.ptp(since), np.ptp(until)) <= np.timedelta64(3, "D"):
            counts, unit = months.astype(np.int64).astype(np.float64), UNITS["month"]
    elif times.dtype.kind == "M" and step == UNITS["day"]:
        for hours in (0, 12):  # midnights east of Greenwich are in the evening before
            days = np.add(times, np.timedelta64(hours, "h")).astype("M8[D]")
            same_time = np.ptp(times - days) <= np.timedelta64(CLOCKS_CHANGE, "s")
            weekdays = np.is_busday(days).all() and len(days) >= FEWEST_WORKING_DAYS and same_time
            before_weekends = ~np.is_busday(days[:-1] + np.timedelta64(1, "D"))
            if weekdays and (np.diff(days)[before_weekends] == np.timedelta64(3, "D")).any():
                counts, unit = np.busday_count(days[0], days).astype(np.float64), UNITS["week"] / 5
                break
    steps = np.diff(counts)
    step = _most_common(steps)
    apart = np.round(steps / step)
    if (odd := (apart < 1) | (np.abs(steps - apart * step) > UNEVEN * step)).any():
        at = int(odd.argmax())
        usual = f"{_spaced(step * unit) or f'{step:g}'} apart"
        usual = f"most are {usual}" if 2 * (steps == step).sum() >= len(steps) else f"{usual} at the median"
        raise SignalError(
            f"{where}: the times have no even step: {usual}, but not {_shown(times[at])} and {_shown(times[at + 1])}; "
            f"resample them to one step, {WAY_OUT}"
        )
    places = np.append(0, np.cumsum(apart)).astype(np.int64)
    of_days = times.dtype.kind == "M" and unit == 1 and step % UNITS["day"] == 0
    if of_days and np.isin(np.abs(steps - apart * step), (0, 1800, CLOCKS_CHANGE)).all():
        return places, step  # local midnights
    return places, float((counts[-1] - counts[0]) / places[-1] * unit)


def _most_common(steps: Floats) -> float:
    kinds, times = np.unique(steps, return_counts=True)
    return float(kinds[times.argmax()] if 2 * times.max() >= len(steps) else np.median(steps))


def _spaced(seconds: float) -> str:
    """A distance of times in words, in days rather than weeks and months; empty if it is not known."""
    of_days = 2 * UNITS["day"] <= seconds < 2 * UNITS["year"]
    return f"{seconds / UNITS['day']:.4g} days" if of_days else in_words(1, seconds, least=1)


def _of(what: str, count: int) -> str:
    return f"1 {what} stands" if count == 1 else f"{count} {what}s stand"


def _shown(time: np.generic) -> str:
    """A time in its shortest form."""
    if not isinstance(time, np.datetime64):
        return repr(f"{time:.10g}")
    text = str(time.astype("M8[us]")).replace("T", " ")
    for end in (".000000", ":00", " 00:00"):
        text = text.removesuffix(end)
    return repr(text)
