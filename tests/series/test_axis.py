"""The time axis: in which step the samples go, and what is missing, stands twice or runs backwards on it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.series.reading import read_columns
from vitime_cache.series.axis import Column
from vitime_cache.series.bounds import SignalError
from vitime_cache.series.examples import catalogue
from vitime_cache.series.spans import UNITS

DAY = UNITS["day"]


def read(times: Sequence[Any], name: str = "date", values: Sequence[float] | None = None, **choices: Any) -> Column:
    values = range(len(times)) if values is None else values
    text = f"{name};v\n" + "\n".join(f"{time};{value}" for time, value in zip(times, values, strict=True))
    [column] = read_columns("f.csv", text.encode(), **choices)
    return column


@pytest.mark.parametrize(
    ("step", "seconds"),
    [
        ("s", 1), ("15min", 900), ("h", 3600), ("D", DAY), ("W", 7 * DAY), ("MS", UNITS["month"]),
        ("ME", UNITS["month"]), ("QS", 3 * UNITS["month"]), ("YS", 12 * UNITS["month"]), ("B", 1.4 * DAY),
    ],
)  # fmt: skip
@pytest.mark.parametrize("form", ["%Y-%m-%d %H:%M:%S", "%d.%m.%Y %H:%M:%S", "%b %d, %Y %I:%M:%S %p"])
def test_evenly_spaced_times_say_how_far_apart_samples_are_and_when_they_start(step, seconds, form):
    times = pd.date_range("1901-03-01", periods=481, freq=step)
    column = read(times.strftime(form))
    assert column.sample_seconds == pytest.approx(seconds, rel=1e-3)
    same_day = step == "s" and form.startswith("%d")  # whether of January or of March is not known
    assert column.start == ("" if same_day else times[0].isoformat())


@settings(deadline=None, max_examples=20)
@given(st.integers(1, 10**6), st.integers(3, 50), st.integers(-(10**8), 10**8))
def test_the_spacing_of_any_even_index_is_its_step(step, count, start):
    times = np.datetime64("2000-01-01", "s") + (start + step * np.arange(count)).astype("m8[s]")
    assert read(times.astype(str)).sample_seconds == pytest.approx(step)


@settings(deadline=None, max_examples=20)
@given(st.data(), st.sampled_from(["h", "D", "W", "MS", "B"]))
def test_missing_times_are_counted_and_refused_and_filled_so_that_the_unit_stays(data, step):
    whole = pd.date_range("2016-01-01", periods=60, freq=step)
    gone = data.draw(st.sets(st.integers(20, 50), min_size=1, max_size=12))
    kept = [place for place in range(60) if place not in gone]
    with pytest.raises(SignalError, match=rf"column 'date': {len(gone)} steps? of .* missing, the first after"):
        read(whole[kept].astype(str), values=kept)
    column = read(whole[kept].astype(str), values=kept, fill="interpolate")
    np.testing.assert_allclose(column.values, range(60))
    assert (column.filled, column.start) == (len(gone), whole[0].isoformat())
    assert column.sample_seconds == read(whole.astype(str)).sample_seconds


def test_a_gap_is_told_with_its_place_and_its_length():
    times = pd.date_range("2016-01-01", periods=300, freq="h").delete(range(100, 200))
    notes: list[str] = []
    with pytest.raises(
        SignalError, match=r"100 steps of 1 hour missing, the first after '2016-01-05 03:00' in row 101, at most 100"
    ):
        read(times)
    assert read(times, fill="interpolate", notes=notes).filled == 100
    assert "100 steps of 1 hour missing" in notes[0]
    assert notes[0].endswith("at most 100 in a row: gaps interpolated"), "and nothing else was done"
    assert len(read(times, time="none").values) == 200
    assert read(times, time="none").sample_seconds == 0


def test_what_lies_before_the_samples_kept_may_have_gaps():
    times = pd.date_range("2016-01-01", periods=30, freq="h").delete(5)
    column = read(times, last=20)
    assert (column.values.tolist(), column.start) == (list(range(9, 29)), "2016-01-01T10:00:00")
    with pytest.raises(SignalError, match="1 step of 1 hour missing"):
        read(times, last=26)


def test_times_that_run_backwards_are_read_in_their_order_and_that_is_told():
    notes: list[str] = []
    column = read(pd.date_range("2016-01-01", periods=9, freq="D")[::-1], notes=notes)
    assert (column.values.tolist(), column.start) == (list(range(8, -1, -1)), "2016-01-01T00:00:00")
    assert "from the newest to the oldest" in notes[0]
    clock = read([f"{hour % 24:02}:00" for hour in range(70, -1, -1)], "time")
    assert (clock.values.tolist(), clock.sample_seconds) == (list(range(70, -1, -1)), 3600)


def test_times_out_of_order_and_times_that_stand_twice_are_counted_and_put_right_on_request():
    times = list(pd.date_range("2016-01-01", periods=9, freq="D").astype(str))
    with pytest.raises(SignalError, match="1 time stands back, the first in row 5"):
        read([*times[:2], times[3], times[2], *times[4:]])
    assert read([*times[:2], times[3], times[2], *times[4:]], fill="interpolate").values.tolist() == [
        0,
        1,
        3,
        2,
        *range(4, 9),
    ]
    with pytest.raises(SignalError, match="1 time stands twice, the first '2016-01-03' in row 5"):
        read([*times[:3], times[2], *times[3:]])
    notes: list[str] = []
    twice = read([*times[:3], times[2], *times[3:]], fill="interpolate", notes=notes)
    assert notes[0].endswith("in row 5: values at the same time averaged")
    assert twice.values.tolist() == [0, 1, 2.5, *range(4, 10)]


def test_clocks_that_skip_an_hour_in_spring_and_repeat_one_in_autumn_keep_a_day_of_24_hours_on_request():
    utc = pd.date_range("2016-01-01", "2016-12-31", freq="h", tz="UTC")
    local = utc.tz_convert("Europe/Berlin")
    for times in (local.strftime("%Y-%m-%d %H:%M:%S%z"), utc.strftime("%Y-%m-%d %H:%M UTC")):
        assert read(times).sample_seconds == 3600
    for freq, seconds in (("D", DAY), ("W", 7 * DAY), ("B", 7 * DAY / 5)):  # a week is 5 working days to the last digit
        for zone in ("Europe/Berlin", "America/New_York", "Asia/Tokyo", "Australia/Lord_Howe"):
            midnights = pd.date_range("2016-01-01", periods=90, freq=freq, tz=zone)
            assert read(midnights.strftime("%Y-%m-%d %H:%M:%S%z")).sample_seconds == seconds
    naive = local.tz_localize(None).astype(str)
    with pytest.raises(SignalError, match=r"1 time stands twice.*1 step of 1 hour missing.*offset from UTC"):
        read(naive)
    filled = read(naive, values=np.sin(2 * np.pi * local.hour / 24), fill="interpolate")
    assert filled.sample_seconds == 3600
    np.testing.assert_allclose(filled.values[24:], filled.values[:-24], atol=0.1)


@pytest.mark.parametrize(
    ("times", "name", "usual"),
    [
        (["2020-01-01", "2020-01-02", "2020-01-05 13:00", "2020-01-07"], "date", "1.46 days apart at the median"),
        (["0", "6", "14", "20"], "hour", "most are 6 hours apart"),
        (["2020-01-01", "2020-02-01", "2020-03-03", "2020-03-20"], "date", "most are 31 days apart"),
    ],
)
def test_times_without_an_even_step_are_refused_and_read_as_rows_on_request(times, name, usual):
    with pytest.raises(SignalError, match=rf"'{name}': the times have no even step: {usual}, but not .*--time none"):
        read(times, name)
    assert read(times, name, time="none", columns=("v",)).values.tolist() == [0, 1, 2, 3]


def test_dates_that_are_even_with_the_day_first_and_with_the_month_first_are_asked_about():
    times = ["01/02/2020", "01/03/2020", "01/04/2020"]  # the first of three months, or three days of January
    with pytest.raises(SignalError, match=r"with the day first and with the month first.*--day-first"):
        read(times)
    assert read(times, day_first=True).sample_seconds == pytest.approx(UNITS["month"])
    assert read(times, day_first=False).start == "2020-01-02T00:00:00"
    assert read(["11/01/2020", "12/01/2020", "13/01/2020"]).start == "2020-01-11T00:00:00"
    assert read(["09/01/2020", "10/01/2020", "11/01/2020", "12/01/2020", "01/01/2021"]).start == "2020-09-01T00:00:00"


def test_numbers_count_what_their_column_is_called():
    assert read(["1871", "1872", "1873"], "Year").sample_seconds == pytest.approx(UNITS["year"], rel=1e-3)
    assert read(["0", "6", "12"], "hour").sample_seconds == 6 * 3600
    assert read(["1", "2", "3"], "index").sample_seconds == 0
    assert read(["1", "2", "3"], "date").sample_seconds == 0
    with pytest.raises(SignalError, match="2 steps missing, the first after '3' in row 4"):
        read(["1", "2", "3", "6"], "index")


T = "2016-01-01T00:00:00"


@pytest.mark.parametrize(
    ("times", "name", "start", "seconds"),
    [
        (["1467331200", "1467334800", "1467338400"], "timestamp", "2016-07-01T00:00:00", 3600),
        (["1467331200000", "1467334800000", "1467338400000"], "time", "2016-07-01T00:00:00", 3600),
        (["20160701", "20160702", "20160703"], "date", "2016-07-01T00:00:00", DAY),
        (["201607", "201608", "201609"], "date", "2016-07-01T00:00:00", UNITS["month"]),
        (["2016070100", "2016070101", "2016070102"], "date", "2016-07-01T00:00:00", 3600),
        (["2016-W26", "2016-W27", "2016-W28"], "week", "2016-06-27T00:00:00", 7 * DAY),
        (["2019Q1", "2019Q2", "2019Q3"], "quarter", "2019-01-01T00:00:00", 3 * UNITS["month"]),
        (["2019-Q4", "2020-Q1", "2020-Q2"], "quarter", "2019-10-01T00:00:00", 3 * UNITS["month"]),
        (["01.01.2016 00:00 - 01.01.2016 01:00", "01.01.2016 01:00 - 01.01.2016 02:00"], "MTU", T, 3600),
        (["07/01/16 12:00 AM", "07/01/16 01:00 AM", "07/13/16 12:00 AM"], "t", None, None),
        (["Fri, 01 Jul 2016", "Sat, 02 Jul 2016"], "day", "2016-07-01T00:00:00", DAY),
        (["01-Jul-16", "02-Jul-16"], "Date", "2016-07-01T00:00:00", DAY),
        (["7/1/2016 11:00 AM", "7/1/2016 12:00 PM", "7/1/2016 1:00 PM"], "date", "", 3600),
        (["2016-07-01 00:00:00 UTC", "2016-07-01 01:00:00 UTC"], "date", "2016-07-01T00:00:00+00:00", 3600),
        (["2000/01", "2001/02", "2002/03"], "season", "2000-01-01T00:00:00", UNITS["year"]),
        (["1998-99", "1999-00", "2000-01"], "season", "1998-01-01T00:00:00", UNITS["year"]),
        (["2009-2010", "2010-2011", "2011-2012"], "season", "2009-01-01T00:00:00", UNITS["year"]),
        (["2000-01", "2000-02", "2000-03"], "month", "2000-01-01T00:00:00", UNITS["month"]),
    ],
)  # fmt: skip
def test_times_are_read_in_every_notation(times, name, start, seconds):
    if start is None:
        with pytest.raises(SignalError, match="286 steps of 1 hour missing"):
            read(times, name)
        return
    column = read(times, name)
    assert (column.start, column.sample_seconds) == (start, pytest.approx(seconds, rel=2e-2))


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("times", [["1", "2", "inf"], ["1", "1e400", "1e400"], ["-inf", "1", "2"]])
def test_an_infinite_number_is_no_time(times):
    with pytest.raises(SignalError, match=r"f.csv, column 'year', row \d: the time is missing or cannot be read"):
        read(times, "year")


def test_the_real_series_know_their_spacing():
    known = {signal.name: signal.sample_seconds / DAY for signal in catalogue() if signal.sample_seconds}
    expected = {"sunspots": 365.25, "co2_mauna_loa": 7, "seattle_temperature": 1, "el_nino": 30.44, "nile": 365.25}
    expected["greensboro_temperature"] = 1 / 24
    assert known == pytest.approx(expected, rel=1e-3)


@pytest.mark.parametrize("form", ["%d.%m.%Y %H:%M", "%m/%d/%Y %H:%M"])
@pytest.mark.parametrize("fault", ["a missing value", "a missing row"])
def test_dates_of_which_the_day_may_come_first_are_read_so_that_least_is_missing_when_gaps_are_filled(form, fault):
    times = list(pd.date_range("2021-03-03", periods=96, freq="h").strftime(form))
    values: list[Any] = list(range(96))
    if fault == "a missing value":
        values[40] = ""
    else:
        del times[40], values[40]
        with pytest.raises(SignalError, match="1 step of 1 hour missing"):
            read(times, values=values)
    column = read(times, values=values, fill="interpolate")
    assert (column.values.tolist(), column.filled, column.start) == ([*range(96)], 1, "2021-03-03T00:00:00")


@pytest.mark.parametrize("form", ["%y-%m-%d", "%y/%m/%d", "%d.%m.%y", "%m/%d/%y"])
def test_years_of_two_digits_may_come_first(form):
    column = read(pd.date_range("2021-01-04", periods=96).strftime(form))
    assert (column.start, column.sample_seconds) == ("2021-01-04T00:00:00", DAY)
    if form.startswith("%y"):  # days of 2010, or one day of twelve years
        with pytest.raises(SignalError, match="the year, the day or the month may come first"):
            read(pd.date_range("2010-01-01", periods=12).strftime(form))


@pytest.mark.parametrize("fill", ["none", "interpolate"])
def test_gaps_longer_than_the_series_are_not_interpolated(fill):
    times = pd.date_range("2021-01-01", periods=40, freq="h")
    with pytest.raises(SignalError, match=r"920 steps of 1 hour missing.*only 80 are there: give each part"):
        read([*times, *times + pd.Timedelta(960, "h")], values=range(80), fill=fill)
