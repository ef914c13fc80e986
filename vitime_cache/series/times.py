"""Times in the notations that files use: dates and times of day as text, yyyymmdd, seconds since 1970."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from vitime_cache.series.bounds import WAY_OUT, SignalError
from vitime_cache.series.cells import MISSING

if TYPE_CHECKING:
    import pandas as pd

Times = NDArray[np.datetime64]

_ZONE = r"\[[A-Za-z_/]+\]$"  # behind the offset, as Java writes it
# Rewrites to ISO 8601: the first time of a range, UTC as an offset, a point in seconds, quarters as months.
_TO_ISO = [
    (r"^\s+|\s+$", ""), (r"(\d) - \d.*$", r"\1"), (r"\s*([+-]\d\d:?\d\d)\s*(UTC|GMT)$", r"\1"),
    (r"(:\d\d)\s*(UTC|GMT)$", r"\1+00:00"), (r"(:\d\d)\s*CET$", r"\1+01:00"), (r"(:\d\d)\s*CEST$", r"\1+02:00"),
    (_ZONE, ""),
    (r"(:\d\d),(\d{3})", r"\1.\2"), (r"^(\d{4})q", r"\1Q"),
]  # fmt: skip
for _quarter in (1, 2, 3, 4):
    _first = rf"\1-{3 * _quarter - 2:02}-01"
    _TO_ISO += [(rf"^(\d{{4}})[- ]?Q{_quarter}$", _first), (rf"^Q{_quarter}[-/ ]?(\d{{4}})$", _first)]
for _half in (1, 2):
    _TO_ISO.append((rf"^(\d{{4}})[- ]?[HS]{_half}$", rf"\1-{6 * _half - 5:02}-01"))
# Rewrites to `_NOTATIONS`: a week as its first day, spaces between the parts of a date, colons in a time, short names.
_TO_PARTS = [
    (r"^W(\d\d?)[-/ ](\d{4})$", r"\2 W\1 1"),
    (r"^(\d{4})-?W(\d\d?)$", r"\1 W\2 1"), (r"^(\d{4})-?W(\d\d)-?(\d)$", r"\1 W\2 \3"),
    (r"(\d)(st|nd|rd|th)\b", r"\1"), (r"^(\d\d?)([A-Za-z]{3})(\d\d+)", r"\1 \2 \3"),
    (r"^([A-Za-z]{3})(\d{4})$", r"\1 \2"), (r"^(\d\d? [A-Za-z]{3} \d{2,4}):", r"\1 "),
    (r"^([A-Za-z]{3} [A-Za-z]{3} +\d+) (\d\d:\d\d:\d\d) (\d{4})$", r"\1 \3 \2"),  # of ctime
    (r"\b(\d\d?) ?h ?(\d\d)\b", r"\1:\2"),
    (r"(\d{4}) (\d\d?)\.(\d\d)$", r"\1 \2:\3"), (r"(\d{4}) (\d\d?)\.(\d\d)\.(\d\d)$", r"\1 \2:\3:\4"),
    # Spaces one by one: for \s pandas uses Python's expressions in place of pyarrow's, which takes twice as long.
    ("[ \t\r\n\xa0\u202f,./-]+", " "),
    (r"([A-Za-z]{3})[a-z]+", r"\1"), (r"(\d) ?([AaPp])[. \xa0]*[Mm][. ]*$", r"\1 \2M"),
]  # fmt: skip
# The kinds of the parts of a date, as in `_KINDS`, and the notation of such a date.
_NOTATIONS = {
    "d d Y": ("%d %m %Y", "%m %d %Y"), "d d d": ("%d %m %y", "%m %d %y", "%y %m %d"), "Y d d": ("%Y %m %d",),
    "b d Y": ("%b %d %Y",), "d b Y": ("%d %b %Y",), "d b d": ("%d %b %y",), "a d b Y": ("%a %d %b %Y",),
    "a b d Y": ("%a %b %d %Y",), "Y Wd d": ("%G W%V %u",), "Y d": ("%Y %m",), "b Y": ("%b %Y",), "b d": ("%b %y",),
    "Y b": ("%Y %b",), "Y j": ("%Y %j",), "YMd": ("%YM%m",), "Ymd": ("%YM%m",),
}  # fmt: skip
# A zone or an offset behind a clock. Without \s, for which pandas uses Python's expressions in place of pyarrow's.
_OFFSET = r"[:T]\d\d[.,0-9]*(?: ?[AP]M)? ?(?:[ZCUG]|[+-]\d)"
_FISCAL = re.compile(r"\s*(\d{4}) ?[-/–] ?(?:\d\d)?(\d\d)\s*")  # 2001/02, 2002/03: years, and no months
_CLOCK = re.compile(r"\d\d?:\d\d(:\d\d)?( [AaPp]M)?([+-]\d\d:?\d\d)?")
LAST_YEAR = 2044  # of two digits: 44 is 2044, and 45 is 1945
YEAR = r"(1[5-9]|20)\d\d"
MONTHS = ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"]
_WEEKDAYS = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"]
_WORDS = {
    "t", "z", "am", "pm", "utc", "gmt", "cet", "cest", "w", "q", "m", "h", "a", "p", "s", "est", "edt", "st", "nd",
    "rd", "th",
}  # fmt: skip
_WORDS |= {*MONTHS, *_WEEKDAYS}
_KINDS = [(r"(?<!\d)\d{4}(?!\d)", "Y"), (r"(?<!\d)\d\d?(?!\d)", "d"), (r"(?<!\d)\d{3}(?!\d)", "j")]
_KINDS += [(rf"(?i)\b({'|'.join(names)})\b", kind) for names, kind in ((MONTHS, "b"), (_WEEKDAYS, "a"))]
_EPOCHS = {1.0: (1e8, 1e10), 1e-3: (1e11, 1e13), 1e-6: (1e14, 1e16), 1e-9: (1e17, 9.2e18)}  # years 1973 to 2262
_DATED = ("date", "datum", "fecha", "zeit")  # beginnings of names of columns of dates
_DATED_IF_PARTS = {"timestamp", "time", "ds"}  # such names if the numbers have parts of days
# Days that count from elsewhere, by what their column is called: where 1970 begins.
DAY_ZEROS = {"jd": 2440587.5, "julian_date": 2440587.5, "julian_day": 2440587.5, "mjd": 40587.0, "datenum": 719529.0}
_EXCEL_ZERO = 25569.0
_EXCEL_DAYS = 29221, 73051  # years 1980 to 2099
_MONTH_YEAR = re.compile(r"\s*[A-Za-z]{3,9}[- /'.]+\d\d\s*$")
_DIGITS = {4: "%Y", 6: "%Y%m", 7: "%Y%j", 8: "%Y%m%d", 10: "%Y%m%d%H", 12: "%Y%m%d%H%M", 14: "%Y%m%d%H%M%S"}


def is_time(cell: str) -> bool:
    """Whether a cell can be read as a date."""
    return _may_be_time(cell) and bool(read_times([cell]))  # a table may have thousands of names


def offset_of(where: str, cells: pd.Series, times: Times, rows: NDArray[np.int64]) -> str:
    """The offset of times that were read from cells (T,): +00:00 if the cells state theirs, "" if none does.

    Raises
    ------
    SignalError
        If only some do: the others were read as UTC, and may be local times.
    """
    stated = cells.astype("str").str.contains(_OFFSET).to_numpy(bool)
    if not stated.any():
        return ""
    if (bare := ~stated & ~np.isnat(times)).any():
        raise SignalError(
            f"{where}, row {rows[int(bare.argmax())]}: the time states no offset from UTC, and others do, as in row "
            f"{rows[int(stated.argmax())]}; give all or none of them theirs, {WAY_OUT}"
        )
    return "+00:00"


def read_times(cells: Sequence[str] | pd.Series, day_first: bool | None = None) -> list[Times]:
    """Texts (T,) as times, NaT where one is not a time; in UTC if they state an offset. 24:00 is the end of a day.

    Returns
    -------
    list
        Empty if most texts are not times. Two readings if the day or the month may come first and `day_first` is None.
    """
    import pandas as pd

    texts = pd.Series(cells, dtype="str")
    ends = texts.str.contains("[ T]24:00")
    if ends.any():
        started = read_times(texts.str.replace("([ T])24:00", r"\g<1>00:00", regex=True), day_first)
        return [times + ends.to_numpy() * np.timedelta64(1, "D") for times in started]
    known = texts[texts.notna() & ~texts.str.strip().str.lower().isin(MISSING)]
    some = list(known.iloc[np.unique(np.linspace(0, max(len(known) - 1, 0), 100).astype(int))[: len(known)]])
    if not some or not all(map(_may_be_time, some[:3])):
        return []
    spans = list(map(_FISCAL.fullmatch, some))
    if len(set(some)) > 1 and all(span and (int(span[1]) + 1) % 100 == int(span[2]) for span in spans):
        texts = texts.str.replace(r"(\d{4}).*", r"\1-01-01", regex=True)
        some = [span[1] for span in spans if span]
    steps = list[tuple[str, str]]()
    for more_steps in (_TO_ISO, _TO_PARTS):
        some, changing = _changed(some, more_steps)
        steps += changing
        kinds = Counter(("ISO8601",) if more_steps is _TO_ISO else _notations(cell) for cell in some)
        [(forms, _)] = kinds.most_common(1)
        unread = {form: int(np.isnat(_parsed(some, form)).sum()) for form in forms}
        if not forms or 2 * min(unread.values()) > len(some):
            continue
        whole = _replaced(texts, steps)
        readings = [_parsed(whole, form) for form in forms if unread[form] == min(unread.values())]
        fewest = min(np.isnat(times).sum() for times in readings)
        if forms == ("%b %y",) and whole.str[:3].nunique() < min(len(whole), 2):
            return []  # Jan-10, Jan-11: days of January, or Januaries of two years
        found = list({times.tobytes(): times for times in readings if np.isnat(times).sum() == fewest}.values())
        return found if day_first is None or len(found) < 2 else found[not day_first :][:1]
    return []


def times_of_numbers(values: NDArray[np.float64], name: str) -> Times | None:
    """Numbers (T,) of a column named as a time, as times: yyyymmdd and similar, or seconds since 1970.

    Milli-, micro- and nanoseconds are told by their size. Six digits are year and month, or year and week by `name`.
    """
    finite = values[np.isfinite(values)]
    if not len(finite) or not 1 <= finite.min() <= finite.max() < 9.2e18:
        return None
    known = name.lower().startswith(_DATED) or (name.lower() in _DATED_IF_PARTS and (finite % 1 > 0).any())
    if known and _EXCEL_DAYS[0] <= finite.min() and finite.max() < _EXCEL_DAYS[1]:
        return _of_days(values, _EXCEL_ZERO)
    zero = DAY_ZEROS.get(name.lower().strip("<>_"))
    if zero is not None and zero < finite.min() + 100_000 and finite.max() < zero + 100_000:  # years 1696 to 2243
        return _of_days(values, zero)
    whole, times = finite.astype(np.int64), None
    digits = len(str(whole.max()))
    if (whole == finite).all() and len(str(whole.min())) == digits and digits in _DIGITS:
        week = digits == 6 and re.search("week|ww", name.lower()) is not None
        times = _parsed((10 * whole + 1 if week else whole).astype(str), "%G%V%u" if week else _DIGITS[digits])
        if digits == 7 and not 1800 <= whole.min() // 1000 <= whole.max() // 1000 < 2200:
            times = None  # a Julian day of today begins with 245 or 246
    if times is None or np.isnat(times).any():
        seconds = (one for one, (low, high) in _EPOCHS.items() if low <= finite.min() and finite.max() < high)
        if not (second := next(seconds, 0.0)):
            return None
        times = np.round(finite * second * 1e6).astype(np.int64).astype("M8[us]")
    spread = np.full(len(values), np.datetime64("NaT", "us"))
    spread[np.isfinite(values)] = times
    return spread


def _of_days(values: NDArray[np.float64], zero: float) -> Times:
    """Days (T,) as times, of which `zero` is the start of 1970; whole minutes if all are within six seconds of them."""
    import pandas as pd

    times = pd.DatetimeIndex(pd.to_datetime(values - zero, unit="D"))
    minutes = times.round("min")
    near = np.nanmax(np.abs((times - minutes).total_seconds())) < 6
    return (minutes if near else times.round("ms")).to_numpy("M8[us]")


_HOURS = re.compile(r"(?i)^(?:he|hour|hr|h)[ _]?(\d\d?)h?$")
_SPAN_OF_HOURS = re.compile(r"^(\d\d?) ?[-–] ?\d\d?$")


def clock_hours(cells: pd.Series) -> NDArray[np.float64] | None:
    """Times of day (T,) in hours: "18:30", "18.30.00", "6:30 PM", "HE19", "18 - 19"; None otherwise."""
    cells = cells.astype("str").fillna("").str.strip().str.replace(_HOURS, r"\1:00", regex=True)
    cells = cells.str.replace(_SPAN_OF_HOURS, r"\1:00", regex=True)
    after = cells.str.match(r"24[:.]00")  # the end of a day
    cells = cells.str.replace(r"^24([:.]00)", r"00\1", regex=True)
    few, steps = _changed(list(cells[:100]), [*_TO_PARTS, (r"^(\d+) (\d+) (\d+)$", r"\1:\2:\3")])
    for form in _notations(f"2000 01 01 {few[0]}"):
        times = _parsed("2000 01 01 " + _replaced(cells, steps), form)
        return np.asarray((times - np.datetime64("2000-01-01")) / np.timedelta64(1, "h") + 24 * after.to_numpy())
    return None


def month_numbers(cells: pd.Series) -> NDArray[np.float64] | None:
    """Names of months (T,), in full or in three letters, or M01, as 1 … 12; None if they are something else."""
    texts = cells.astype("str").str.strip().str.lower()
    months = dict(zip(MONTHS, range(1, 13), strict=True)) | {"mär": 3, "mai": 5, "okt": 10, "dez": 12}
    numbers = texts.str[:3].map(months | {f"m{number:02}": number for number in range(1, 13)})
    known = texts.str.fullmatch(r"[a-zä]{3,9}\.?|m\d\d").all() and numbers.notna().all()
    return np.asarray(numbers, dtype=np.float64) if known else None


def quarter_numbers(cells: pd.Series) -> NDArray[np.float64] | None:
    """Quarters (T,) such as "Q1", "Qtr 1" or "1Q" as 1 … 4; None if they are something else."""
    texts = cells.astype("str").str.strip().str.lower()
    if not texts.str.fullmatch(r"(q|qtr|quarter|quartal)[ .]*[1-4]|[1-4]\.? ?(q|qtr|quarter|quartal)").all():
        return None
    return texts.str.extract("([1-4])")[0].to_numpy(np.float64)


def elapsed(column: pd.Series) -> NDArray[np.float64] | None:
    """Durations, or times of day that continue past 24:00, (T,) in seconds; None if they are something else."""
    import pandas as pd

    if column.dtype.kind == "m":
        return np.asarray(column.dt.total_seconds(), dtype=np.float64)
    texts = column.astype("str").str.strip()
    clocks = texts.str.fullmatch(r"\d+:\d\d(:\d\d(\.\d+)?)?")
    if not (clocks | texts.str.fullmatch(r"\d+ days?,?( \d\d?:\d\d:\d\d(\.\d+)?)?")).all():
        return None
    spans = pd.to_timedelta(texts.str.replace(r"^(\d+:\d\d)$", r"\1:00", regex=True), errors="coerce")
    seconds = np.asarray(spans.dt.total_seconds(), dtype=np.float64)
    steps = np.diff(seconds) if clocks.all() and seconds.max() < 86_400 else np.zeros(len(seconds) - 1)
    forwards = -1 if 2 * (steps < 0).sum() > len(steps) else 1
    midnights = np.append(0, np.cumsum(forwards * steps < 0))
    return np.asarray(seconds + 86_400 * forwards * midnights, dtype=np.float64)


def _notations(cell: str) -> tuple[str, ...]:
    """The notations of a date with separate parts: two if the day or the month may come first."""
    date, clock = re.fullmatch(r"(?s)(.*?)(?: (\d\d?:\d\d.*))?", cell).groups()  # type: ignore[union-attr]
    for pattern, kind in _KINDS:
        date = re.sub(pattern, kind, date)
    forms = _NOTATIONS.get(date, ())
    if clock is None:
        return forms
    if (found := _CLOCK.fullmatch(clock)) is None:
        return ()
    second, half, offset = map(bool, found.groups())
    form = f" {'%I' if half else '%H'}:%M{':%S' * second}{' %p' * half}{'%z' * offset}"
    return tuple(each + form for each in forms if re.search("%[duj]", each))


def _parsed(cells: Any, form: str) -> Times:
    import pandas as pd

    times = pd.DatetimeIndex(pd.to_datetime(cells, format=form, errors="coerce", utc=True))
    parsed: Times = np.array(times.tz_localize(None).as_unit("us"))
    if "%y" in form:
        parsed[parsed >= np.datetime64(f"{LAST_YEAR + 1}-01-01")] -= np.timedelta64(36525, "D")  # a century
    return parsed


def _may_be_time(cell: str) -> bool:
    words = [word.lower() for word in re.findall(r"[A-Za-z]+", re.sub(_ZONE, "", cell))]
    known = all(word in _WORDS or (len(word) > 3 and word[:3] in _WORDS) for word in words)
    digits = len(re.findall(r"\d", cell))
    return known and "_" not in cell and 5 < len(cell.strip()) < 60 and (digits > 2 or bool(_MONTH_YEAR.match(cell)))


def _changed(cells: list[str], steps: Sequence[tuple[str, str]]) -> tuple[list[str], list[tuple[str, str]]]:
    """Cells after all substitutions, and the substitutions that changed one."""
    changing = []
    for pattern, with_ in steps:
        if (after := [re.sub(pattern, with_, cell) for cell in cells]) != cells:
            cells = after
            changing.append((pattern, with_))
    return cells, changing


def _replaced(texts: pd.Series, steps: Sequence[tuple[str, str]]) -> pd.Series:
    for pattern, with_ in steps:
        texts = texts.str.replace(pattern, with_, regex=True)
    return texts
