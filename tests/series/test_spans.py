"""Spans: as a person writes them in samples, and in the unit in which they read well."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vitime_cache.series.bounds import SignalError
from vitime_cache.series.spans import UNITS, in_words, samples_in_words, time_unit, to_samples

HOUR, DAY = UNITS["hour"], UNITS["day"]


@pytest.mark.parametrize(
    ("text", "sample_seconds", "samples"),
    [
        ("24", 0, 24), ("52.18", 7 * DAY, 52.18), ("24 samples", HOUR, 24), ("24h", HOUR, 24), ("1d", HOUR, 24),
        ("1 day", HOUR, 24), ("2 weeks", HOUR, 336), ("2W", DAY, 14), ("day", HOUR, 24), ("90 min", 900, 6),
        ("30s", 1, 30), ("1.5 hours", 900, 6), ("1 year", UNITS["month"], 12), ("1 quarter", UNITS["month"], 3),
        ("2 quarters", UNITS["month"], 6), ("12 months", UNITS["month"], 12), (".5y", UNITS["month"], 6),
        ("1 Yr", DAY, 365.25),
    ],
)  # fmt: skip
def test_a_span_is_a_number_of_samples_or_of_a_unit_of_time(text, sample_seconds, samples):
    assert to_samples(text, sample_seconds) == pytest.approx(samples)


@pytest.mark.parametrize(
    "text", ["", "x", "-3", "0", "0h", "1e999", "nan", "3 m", "3 fortnights", "h h", "1 2", "1d 2h"]
)
def test_what_is_no_span_is_refused_with_an_example(text):
    with pytest.raises(SignalError, match=r"is not a span such as 24, 24h, 1d or '2 weeks'"):
        to_samples(text, HOUR)


def test_a_time_needs_samples_whose_spacing_is_known():
    with pytest.raises(SignalError, match="the spacing of the samples is not known: give '1d' in samples"):
        to_samples("1d")


@given(st.floats(0.01, 1000), st.sampled_from(list(UNITS)), st.floats(0.5, 1e6))
def test_any_number_of_any_unit_is_as_many_samples_as_it_has(number, unit, sample_seconds):
    assert to_samples(f"{number:.6f} {unit}s", sample_seconds) == pytest.approx(
        float(f"{number:.6f}") * UNITS[unit] / sample_seconds
    )


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


def test_samples_are_told_with_their_time_where_that_is_known():
    assert samples_in_words(168, HOUR) == "168 samples (7 days)"
    assert samples_in_words(1, 0) == "1 sample"
    assert samples_in_words(62.83, 0) == "62.83 samples"


def test_several_spans_share_a_unit():
    assert samples_in_words([24, 48, 60], HOUR) == "24, 48, 60 samples (1, 2, 2.5 days)"
    assert samples_in_words([24, 48], 0) == "24, 48 samples"
    assert samples_in_words([1], 60) == "1 sample (60 seconds)"


@pytest.mark.parametrize(
    ("samples", "seconds", "words"),
    [
        (10_080, 60, "10080 samples (7 days)"), (9_999.96, 0, "10000 samples"), (123_456, 0, "123456 samples"),
        (1_500, UNITS["year"], "1500 samples (1500 years)"), (0.001, 0, "0.001 samples"),
    ],
)  # fmt: skip
def test_no_span_of_many_samples_is_written_with_a_power_of_ten(samples, seconds, words):
    assert samples_in_words(samples, seconds) == words


@given(st.floats(1e-3, 1e6), st.floats(1e-3, 1e9))
def test_the_unit_is_one_that_the_span_holds_twice_unless_it_is_the_smallest(samples, sample_seconds):
    name, samples_per_unit = time_unit(samples, sample_seconds)
    assert samples_per_unit * sample_seconds == pytest.approx(UNITS[name])
    assert name == "second" or samples / samples_per_unit >= 2 * (1 - 1e-12)
