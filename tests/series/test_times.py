"""The time index: how far apart samples are, and how that is said."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vitime_cache.series.cells import SignalError
from vitime_cache.series.examples import catalogue
from vitime_cache.series.times import UNITS, check_times, in_words, time_unit

DAY = 86_400.0


def spacing(cells: list[str], name: str = "date") -> float:
    return check_times("f.csv", name, cells, range(1, len(cells) + 1))


@pytest.mark.parametrize(
    ("step", "seconds"),
    [("s", 1), ("15min", 900), ("h", 3600), ("D", DAY), ("W", 7 * DAY), ("MS", 30.4375 * DAY), ("YS", 365.25 * DAY)],
)
def test_evenly_spaced_times_say_how_far_apart_samples_are(step, seconds):
    times = pd.date_range("1901-03-01", periods=481, freq=step)
    assert spacing(times.astype(str).tolist()) == pytest.approx(seconds, rel=1e-3)
    assert spacing(times.strftime("%d.%m.%Y %H:%M:%S").tolist()) == pytest.approx(seconds, rel=1e-3)


@given(st.integers(1, 10**6), st.integers(2, 50), st.integers(-(10**8), 10**8))
def test_the_spacing_of_any_even_index_is_its_step(step, count, start):
    times = np.datetime64("2000-01-01", "s") + start + step * np.arange(count)
    assert spacing(times.astype(str).tolist()) == pytest.approx(step)


@pytest.mark.parametrize(
    ("cells", "name"),
    [
        (["2020-01-01", "2020-01-02", "2020-01-06"], "date"),  # a gap
        (["2020-01-03", "2020-01-06", "2020-01-07"], "date"),  # working days
        (["01/02/2020", "01/03/2020", "01/04/2020"], "date"),  # months with the day first, days with the month first
        (["1", "2", "3"], "index"),
        (["1", "2", "3"], "date"),
        (["2020-01-01"], "date"),
    ],
)
def test_what_is_uneven_ambiguous_or_without_a_unit_has_no_spacing(cells, name):
    assert spacing(cells, name) == 0


def test_numbers_count_what_their_column_is_called():
    assert spacing(["1871", "1872", "1873"], "Year") == UNITS["year"]
    assert spacing(["0", "6", "12"], "hour") == 6 * 3600
    assert spacing(["0", "6", "14"], "hour") == 0


@pytest.mark.parametrize("form", ["2019Q{}", "2019-Q{}", "2019 Q{}"])
def test_quarters_are_times(form):
    quarters = [form.format(q) for q in (1, 2, 3, 4)] + ["2020" + form.format(1)[4:]]
    assert spacing(quarters) == pytest.approx(3 * UNITS["month"], rel=0.01)
    with pytest.raises(SignalError, match=r"row 2: '.*5' is not a time after"):
        spacing([quarters[0], form.format(5)])


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("cells", [["1", "2", "inf"], ["1", "1e400", "1e400"], ["-inf", "1", "2"]])
def test_an_infinite_number_is_no_time(cells):
    with pytest.raises(SignalError, match=r"f.csv, row \d"):
        spacing(cells, "year")


def test_an_hour_that_clocks_repeat_is_told_how_to_be_told_apart():
    with pytest.raises(SignalError, match="offset from UTC"):
        spacing(["2020-10-25 01:00", "2020-10-25 02:00", "2020-10-25 02:00"])


def test_a_fault_is_still_a_fault():
    with pytest.raises(SignalError, match=r"f.csv, row 2: '2020-01-01' is not a time after '2020-01-02'"):
        spacing(["2020-01-02", "2020-01-01"])


def test_the_real_series_know_their_spacing():
    known = {signal.name: signal.sample_seconds / DAY for signal in catalogue() if signal.sample_seconds}
    expected = {"sunspots": 365.25, "co2_mauna_loa": 7, "seattle_temperature": 1, "el_nino": 30.44, "nile": 365.25}
    expected["greensboro_temperature"] = 1 / 24
    assert known == pytest.approx(expected, rel=1e-3)


@pytest.mark.parametrize(
    ("samples", "sample_seconds", "words"),
    [
        (24, 3600, "24 hours"), (168, 3600, "7 days"), (52.2, 7 * DAY, "12 months"), (1, DAY, "24 hours"),
        (365.25, DAY, "12 months"), (11, UNITS["year"], "11 years"), (-48, 3600, "-2 days"), (0.5, 1, "0.5 seconds"),
        (60, 1, "60 seconds"), (64, 0, ""), (0, 3600, ""),
    ],
)  # fmt: skip
def test_a_span_is_said_in_the_unit_in_which_it_reads_well(samples, sample_seconds, words):
    assert in_words(samples, sample_seconds) == words


@given(st.floats(1e-3, 1e6), st.floats(1e-3, 1e9))
def test_the_unit_is_one_that_the_span_holds_twice_unless_it_is_the_smallest(samples, sample_seconds):
    name, samples_per_unit = time_unit(samples, sample_seconds)
    assert samples_per_unit * sample_seconds == pytest.approx(UNITS[name])
    assert name == "second" or samples / samples_per_unit >= 2 * (1 - 1e-12)
