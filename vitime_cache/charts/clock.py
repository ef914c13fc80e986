"""Time on axes: dates, hours or days if the series has times, else samples.

Scales are always in samples; an axis in time only has other ticks and labels.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr
from numpy.typing import ArrayLike

from vitime_cache.arrays import Floats
from vitime_cache.attention import schema
from vitime_cache.charts.style import Spec, around, readable, ticks, tip
from vitime_cache.numerals import SAMPLES
from vitime_cache.series.spans import UNITS, in_words, samples_in_words, time_unit

if TYPE_CHECKING:
    import pandas as pd

MOST_TICKS = 7
LARGEST_OFFSET = "14h"  # of a clock from UTC
LAST_YEAR = 9999  # that can be written
FEWEST_SECONDS = 3  # on an axis of dates, whose ticks are whole seconds
# Steps between ticks as pandas frequencies, with their length in seconds and the format of a tick.
STEPS = [(f"{n}s", float(n), "%H:%M:%S") for n in (1, 5, 15, 30)]
STEPS += [(f"{n}min", n * 60.0, "%H:%M") for n in (1, 5, 15, 30)]
STEPS += [(f"{n}h", n * 3600.0, "%H:%M") for n in (1, 3, 6, 12)]
STEPS += [(f"{n}D", n * UNITS["day"], "%d %b") for n in (1, 2, 4, 7, 14)]
STEPS += [(f"{n}MS", n * UNITS["month"], "%b %Y") for n in (1, 3, 6)]
STEPS += [(f"{n}YS", n * UNITS["year"], "%Y") for n in (1, 2, 5, 10, 20, 50, 100)]


@dataclass(frozen=True)
class Clock:
    """The times of a series' samples.

    Parameters
    ----------
    seconds
        From one sample to the next; 0 if unknown.
    start
        Time of sample 0 in ISO 8601, or "". If it states an offset from UTC, times of day and axes name it: a series
        read from a file with offsets starts in UTC, and a midnight of Berlin is then an evening.
    """

    seconds: float = 0.0
    start: str = ""

    @classmethod
    def of(cls, ds: xr.Dataset) -> Clock:
        """The clock of a Dataset of one signal."""
        seconds = float(ds.coords[schema.SAMPLE_SECONDS]) if schema.SAMPLE_SECONDS in ds.coords else 0.0
        return cls(seconds, str(ds.coords[schema.START].item()) if schema.START in ds.coords else "")

    def axis(self, first: float, last: float, of: str = "", most: int = MOST_TICKS) -> Spec:
        """Title and axis for the samples first … last: dates, time from the start, or samples."""
        if (dated := self._dated(first, last, most)) is not None:
            return {"title": ", ".join(filter(None, (of or "time", self._zone))), "axis": dated}
        return self._spans(first, last, of or ("time from the start" if self.seconds else ""), most, "sample")

    def span_axis(self, end: float, of: str, first: float = 0.0) -> Spec:
        """Title and axis for spans up to `end` samples, such as lags, in the unit that fits the whole axis."""
        return self._spans(first, end, of, MOST_TICKS, "samples")

    def span_tip(
        self, table: pd.DataFrame, field: str, title: str, in_time: str = "that is"
    ) -> tuple[pd.DataFrame, list[Spec]]:
        """The table and the tooltip of its column of spans in samples, both with spans in time where they are known."""
        tips = [tip(field, f"{title}, samples", SAMPLES)]
        if not self.seconds:
            return table, tips
        words = [in_words(span, self.seconds) for span in table[field]]
        return table.assign(**{f"{field}_time": words}), [*tips, tip(f"{field}_time", in_time)]

    def over_lags(self, table: pd.DataFrame, step: float) -> tuple[pd.DataFrame, Spec]:
        """The table and the channels of invisible boxes around its lags, `step` samples apart, which tell the lag."""
        table, told = self.span_tip(table, "lag", "lag")
        boxes, at = around(table, step)
        return boxes, at | {"tooltip": told}

    def moment(self, sample: float) -> str:
        """The time of a sample, such as "3 Jul 2016 14:00", or "sample 62 (2.6 days from the start)"."""
        if (time := self._time(round(sample))) is None:
            return f"sample {round(sample)}" + (f" ({later})" if (later := self._later(sample)) else "")
        return f"{time:%b %Y}" if self._months else f"{time.day} {time:%b %Y}{time.strftime(self._of_day)}"

    @property
    def dated(self) -> bool:
        """Whether the time of each sample is known, not only from one to the next."""
        return self._begin() is not None

    def when(self, sample: float) -> str:
        """The time of a sample, or from the start to it where no date is known; empty without either."""
        if self._time(round(sample)) is not None:
            return self.moment(sample)
        return self._later(sample)

    def _later(self, sample: float) -> str:
        return f"{later} from the start" if (later := in_words(sample, self.seconds)) else ""

    def moments_tip(
        self, samples: ArrayLike, field: str = "when", title: str = "that is"
    ) -> tuple[dict[str, list[str]], list[Spec]]:
        """A column with the times of some samples and its line of a tooltip; nothing if no time is known."""
        if not self.seconds:
            return {}, []
        return {field: self._whens(np.asarray(samples, dtype=np.float64))}, [tip(field, title)]

    def with_times(self, table: pd.DataFrame, at: str = "sample") -> pd.DataFrame:
        """The table with times in ISO 8601 after a column of samples; as it is if the dates are not known.

        The times of "query_sample" are "query_time". Between two samples it is the time of the nearest, as in tooltips.
        """
        if not self.dated:
            return table
        samples, place = np.unique(np.rint(table[at].to_numpy(np.float64)), return_inverse=True)
        table = table.copy()
        times = np.array(self._stamps(samples), dtype=object)[place]
        table.insert(list(table).index(at) + 1, at.replace("sample", "time"), times)
        return table

    def _stamps(self, samples: Floats) -> list[str]:
        """Times in ISO 8601, all at once where they lie evenly; empty after the year 9999."""
        begin, stamp, last = self._begin(), self._stamp(), self._time(float(samples.max(initial=0)))
        if begin is None or stamp is None or last is None or self._months:
            return [self.starting_at(int(sample)).start for sample in samples]
        import pandas as pd

        later = np.rint(1e6 * self.seconds * samples).astype("m8[us]")
        times = pd.DatetimeIndex(np.datetime64(begin, "us") + later).tz_localize(stamp.tzinfo)
        return [time.isoformat() for time in times]

    def points_tip(self, table: pd.DataFrame, at: str = "sample") -> tuple[pd.DataFrame, list[Spec]]:
        """The table and the tooltip of points of a series: part, sample, its time where that is known, and value."""
        when, told = self.moments_tip(table[at])
        part = [tip("part", "part")] if "part" in table else []
        value = tip("value", "value", readable(table["value"]))
        return table.assign(**when), [*part, tip(at, "sample", "d"), *told, value]

    def _whens(self, samples: Floats) -> list[str]:
        """`when` of each sample; dates all at once, as one at a time takes as long as the rest of a chart."""
        begin, last = self._begin(), self._time(float(np.rint(samples.max(initial=0.0))))
        if begin is None or last is None or self._months:
            return [self.when(sample) for sample in samples.tolist()]
        import pandas as pd

        later = np.rint(1e6 * self.seconds * np.rint(samples)).astype("m8[us]")
        times = pd.DatetimeIndex(np.datetime64(begin, "us") + later)
        rest = times.strftime(f"%b %Y{self._of_day}")
        return [f"{day} {words}" for day, words in zip(times.day, rest, strict=True)]

    @property
    def _of_day(self) -> str:
        """The format of the time of day, so fine that samples differ, and its zone.

        Empty for samples a day or more apart, unless their date is not the one in the file: midnights given with an
        offset from UTC.
        """
        zone = f" {self._zone}" if self._zone else ""
        if self.seconds >= UNITS["day"]:
            begin = self._begin() if zone else None
            return "" if begin is None or begin == begin.normalize() else f" %H:%M{zone}"
        return " %H:%M" + (":%S" if self.seconds < 60 else "") + (".%f" if self.seconds < 1 else "") + zone

    @property
    def _zone(self) -> str:
        """ "UTC", or such as "UTC+02:00", if the start states its offset; months have none."""
        if self._months or (start := self._stamp()) is None or start.tzinfo is None:
            return ""
        offset = f"{start:%z}"
        return "UTC" if offset == "+0000" else f"UTC{offset[:3]}:{offset[3:]}"

    def starting_at(self, sample: int) -> Clock:
        """The clock of a stretch of the series whose sample 0 is this sample."""
        if (time := self._time(sample)) is None or (stamp := self._stamp()) is None:
            return replace(self, start="")
        return replace(self, start=time.tz_localize(stamp.tzinfo).isoformat())

    def span(self, samples: float) -> str:
        """A span as "24 samples (1 day)"."""
        return samples_in_words(samples, self.seconds)

    def _spans(self, first: float, last: float, of: str, most: int, plain: str) -> Spec:
        unit = time_unit(last - first, self.seconds, least=3)
        if unit is None:
            title = f"{of}, {plain}" if of and plain == "samples" else of or plain
            return {"title": title, "axis": {"values": ticks(first, last, most)}}
        name, samples = unit
        at = ticks(first / samples, last / samples, most)
        return {
            "title": f"{of}, {name}s",
            "axis": labelled([value * samples for value in at], [f"{value:.6g}" for value in at]),
        }

    def _dated(self, first: float, last: float, most: int) -> Spec | None:
        """Ticks at round calendar times; None if the start is unknown, or the axis too long or too short for them."""
        import pandas as pd

        begin, origin, end = self._begin(), self._time(first), self._time(last)
        if begin is None or origin is None or end is None:
            return None
        whole, least = (last - first) * self.seconds, UNITS["month"] if self._months else 0.0
        step, _, form = next((each for each in STEPS if each[1] >= least and whole / each[1] <= most), ("", 0.0, ""))
        if not step or whole < FEWEST_SECONDS:
            return None
        times = [time for time in pd.date_range(origin.normalize(), end, freq=step) if time >= origin]
        labels = [
            f"{time.day} {time:%b}" if form == "%H:%M" and time.hour == time.minute == 0 else _written(time, form)
            for time in times
        ]
        return labelled([self._sample(begin, time) for time in times], labels)

    def _begin(self) -> pd.Timestamp | None:
        """The start without its zone."""
        import pandas as pd

        if (stamp := self._stamp()) is None:
            return None
        begin = stamp.tz_localize(None)
        later = begin + pd.Timedelta(LARGEST_OFFSET)
        if stamp.tzinfo is not None and self._months and later.month != begin.month and begin == begin.round("15min"):
            return later.normalize()  # the local midnight that begins a month, which in UTC is in the month before
        return begin

    def _stamp(self) -> pd.Timestamp | None:
        import pandas as pd

        if not self.seconds or not self.start:
            return None
        try:
            stamp = pd.Timestamp(self.start)
        except (ValueError, OverflowError):
            return None
        return stamp if stamp.year >= 1 else None  # before, pandas reads dates but writes none

    @property
    def _months(self) -> int:
        """Calendar months from one sample to the next; 0 for shorter or irregular steps."""
        months = self.seconds / UNITS["month"]
        return round(months) if abs(months - round(months)) < 1e-6 else 0

    def _time(self, sample: float) -> pd.Timestamp | None:
        """The time of a sample without its zone; None if the start is unknown, or after the year 9999."""
        import pandas as pd

        if (begin := self._begin()) is None or begin.year + sample * self.seconds / UNITS["year"] >= LAST_YEAR:
            return None
        if self._months:
            whole = int(sample // 1)
            return begin + pd.DateOffset(months=self._months * whole)
        # In microseconds: pandas' nanoseconds end in 2262.
        return pd.Timestamp(np.datetime64(begin, "us") + np.timedelta64(round(sample * self.seconds * 1e6), "us"))

    def _sample(self, begin: pd.Timestamp, time: pd.Timestamp) -> float:
        if self._months:
            months = (time.year - begin.year) * 12 + time.month - begin.month
            return months / self._months
        return float((time - begin).total_seconds() / self.seconds)


def labelled(values: Sequence[float], labels: Sequence[str]) -> Spec:
    """An axis with these ticks and labels."""
    at = [float(f"{value:.9g}") for value in values]
    return {"values": at, "labelExpr": f"{json.dumps(list(labels))}[indexof({json.dumps(at)}, datum.value)]"}


def _written(time: Any, form: str) -> str:
    return f"{time.day} {time:%b}" if form == "%d %b" else f"{time:{form}}"
