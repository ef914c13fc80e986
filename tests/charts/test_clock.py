"""Time on axes: what is written, where, and that the places are those of the calendar."""

import io
import json

import numpy as np
import pandas as pd
import pytest

from vitime_cache import charts
from vitime_cache.attention import schema
from vitime_cache.attention.mock import mock_dataset
from vitime_cache.charts.clock import Clock
from vitime_cache.evidence.verdict import schema as vschema
from vitime_cache.evidence.verdict.mock import mock_verdict
from vitime_cache.evidence.window import choose_window

HOURLY = Clock(3600.0, "2016-07-01T00:00:00")


def labels(axis) -> list[str]:
    return json.loads(axis["axis"]["labelExpr"].split("[indexof")[0])


def test_an_axis_of_an_hourly_series_shows_dates_where_they_are():
    axis = HOURLY.axis(0, 1036)
    assert labels(axis)[:3] == ["1 Jul", "8 Jul", "15 Jul"]
    assert axis["axis"]["values"][:3] == [0, 168, 336]
    assert labels(HOURLY.axis(0, 40))[:3] == ["1 Jul", "06:00", "12:00"]


@pytest.mark.parametrize("seconds", [1.0, 60.0, 900.0, 3600.0, 86400.0, 604800.0, 2629800.0, 31557600.0])
@pytest.mark.parametrize("length", [3, 10, 700, 5000])
@pytest.mark.parametrize("start", ["1999-12-30T23:17:00", "0001-01-01", "2500-01-01T00:00:00+02:00", "9999-12-01"])
def test_dates_lie_within_the_axis_rise_and_are_few(seconds, length, start):
    values = Clock(seconds, start).axis(0, length)["axis"]["values"]
    assert values == sorted(set(values))
    assert len(values) <= 9
    assert all(0 <= value <= length for value in values)


def test_months_are_counted_by_the_calendar():
    monthly = Clock(2629800.0, "1949-01-01")
    axis = monthly.axis(0, 143)
    assert dict(zip(labels(axis), axis["axis"]["values"], strict=True))["1955"] == 72
    assert monthly.moment(14) == "Mar 1950"


def test_samples_within_a_minute_or_a_second_have_times_that_differ():
    assert [Clock(1.0, "2020-09-13T12:26:40").moment(at) for at in (0, 1)] == [
        "13 Sep 2020 12:26:40",
        "13 Sep 2020 12:26:41",
    ]
    brief = Clock(1e-3, "2020-09-13T12:26:40")
    assert brief.moment(3) == "13 Sep 2020 12:26:40.003000"
    assert brief.axis(0, 1000)["title"] == "time from the start, seconds"
    assert len(brief.axis(0, 1000)["axis"]["values"]) > 3


@pytest.mark.parametrize(
    ("seconds", "start", "moment", "title"),
    [
        (3600.0, "2016-06-30T22:00:00+00:00", "30 Jun 2016 23:00 UTC", "time, UTC"),
        (3600.0, "2016-07-01T00:00:00+02:00", "1 Jul 2016 01:00 UTC+02:00", "time, UTC+02:00"),
        (3600.0, "2016-07-01T00:00:00", "1 Jul 2016 01:00", "time"),
        (86400.0, "2016-06-30T22:00:00+00:00", "1 Jul 2016 22:00 UTC", "time, UTC"),  # 2 Jul in Berlin
        (86400.0, "2016-07-01T00:00:00+00:00", "2 Jul 2016", "time, UTC"),
        (2629800.0, "2016-06-30T22:00:00+00:00", "Aug 2016", "time"),  # local midnights of July and August
        (2629800.0, "2016-06-30T00:00:00+00:00", "Jul 2016", "time"),  # the ends of June and July
        (2629800.0, "2016-06-30T23:59:59+00:00", "Jul 2016", "time"),
        (2629800.0, "2016-06-30T22:00:00", "Jul 2016", "time"),
    ],
)
def test_the_zone_of_times_is_told_where_the_start_states_it(seconds, start, moment, title):
    clock = Clock(seconds, start)
    assert (clock.moment(1), clock.axis(0, 100)["title"]) == (moment, title)
    assert clock.moments_tip([1])[0] == {"when": [moment]}
    assert clock.starting_at(1).moment(0) == moment
    if seconds > 2e6:
        axis = clock.axis(0, 6)
        assert dict(zip(labels(axis), axis["axis"]["values"], strict=True))[moment] == 1


def test_a_moment_of_the_calendar_is_that_of_pandas():
    index = pd.date_range("2016-07-01", periods=2000, freq="h")
    for sample in (0, 37, 1999):
        assert pd.Timestamp(HOURLY.moment(sample)) == index[sample]


@pytest.mark.parametrize("clock", [HOURLY, Clock(2629800.0, "1949-01-01"), Clock(3600.0, "2016-07-01T05:00:00+02:00")])
def test_a_stretch_of_a_series_has_the_times_of_the_series(clock):
    stretch = clock.starting_at(157)
    assert [stretch.moment(sample) for sample in (0, 1, 80)] == [clock.moment(sample) for sample in (157, 158, 237)]


@pytest.mark.parametrize("clock", [Clock(), Clock(3600.0), Clock(0.0, "2016-07-01"), Clock(3600.0, "rubbish")])
def test_a_stretch_of_a_series_without_dates_has_none(clock):
    assert not clock.starting_at(157).start


def test_lags_are_in_the_unit_that_fits_the_axis():
    axis = HOURLY.span_axis(500, "lag to the past")
    assert axis["title"] == "lag to the past, days"
    assert dict(zip(labels(axis), axis["axis"]["values"], strict=True))["5"] == 120
    assert HOURLY.span(24) == "24 samples (24 hours)"


@pytest.mark.parametrize("clock", [Clock(), Clock(0.0, "2016-07-01")])
def test_axes_are_in_samples_where_the_spacing_is_not_known(clock):
    assert clock.axis(0, 1232)["title"] == "sample"
    assert clock.span_axis(640, "lag to the past")["title"] == "lag to the past, samples"
    assert clock.moment(36.6) == "sample 37"


@pytest.mark.parametrize("start", ["", "rubbish", "999999-01-01", "-300-01-01T00:00:00"])
def test_without_a_start_that_can_be_read_time_is_counted_from_the_first_sample(start):
    assert Clock(86400.0, start).axis(0, 50)["title"] == "time from the start, weeks"


def charts_of_time(seconds: float, start: str):
    """Every chart over time or lags, of one series with this clock."""
    ds = mock_dataset().isel(signal=0).assign_coords(sample_seconds=seconds, start=start)
    view, verdict = charts.HeadView(ds, "decoder.0", 0), mock_verdict(period=24.0, sample_seconds=seconds)
    head = (str(verdict["layer"].values[-1]), 0)
    window = choose_window(1000, 24, columns=1232, patch_width=16, sample_seconds=seconds)
    return (
        charts.series(ds), charts.heatmap(view), charts.difference(view, charts.HeadView(ds, "decoder.0", 1)),
        charts.token_look(view, 40), charts.lag_curves([view]),
        charts.autocorrelation(ds), charts.two_forecasts(ds, ds, ("one", "another")),
        charts.window_picture("load", np.arange(1000.0), window, start), charts.answer_forecast(verdict),
        charts.answer_influence(verdict), charts.answer_attention(verdict), charts.verdict_curve(verdict, *head),
        charts.verdict_sweep(verdict, *head),
    )  # fmt: skip


def test_no_axis_of_an_hourly_series_is_in_samples():
    for chart in charts_of_time(3600.0, "2016-07-01T00:00:00"):
        titles = [
            channel["title"]
            for layer in chart["layer"] for name, channel in layer["encoding"].items()
            if name in "xy" and "title" in channel
        ]  # fmt: skip
        assert titles
        assert not any("sample" in title for title in titles), titles


@pytest.mark.parametrize("start", ["2016-07-01T00:00:00", ""])
def test_each_sample_in_a_tooltip_is_told_in_time_too_where_time_is_known(start):
    timed = {"that is", "from", "to", "query from", "key from", "lag", "first peak"}
    for seconds in (3600.0, 0.0):
        for chart in charts_of_time(seconds, start):
            for layer in chart["layer"]:
                tooltip = layer["encoding"].get("tooltip", [])
                titles = [each.get("title", "") for each in (tooltip if isinstance(tooltip, list) else [tooltip])]
                samples = [title for title in titles if "sample" in title]
                told = [title for title in titles if title in timed]
                assert len(titles) == len(set(titles)), "of two lines with one title the chart shows one"
                assert len(told) >= len(samples) if seconds else not told, (chart["title"]["text"], titles)


def test_a_cell_of_a_map_looks_up_the_moments_and_the_lag_that_it_stands_for():
    ds = mock_dataset().isel(signal=0).assign_coords(sample_seconds=3600.0, start="2016-07-01T00:00:00")
    cells = charts.heatmap(charts.HeadView(ds, "decoder.0", 0))["layer"][-1]
    spp, clock = float(ds["samples_per_patch"]), Clock.of(ds)
    _, query_of, key_of, lag, *lookups = cells["transform"]
    assert (query_of["as"], key_of["as"]) == ("query_patch", "key_patch")
    assert lag == {"calculate": "datum.query_patch - datum.key_patch", "as": "lag_patches"}
    tables = {}
    for each in lookups:
        table = pd.read_csv(io.StringIO(each["from"]["data"]["values"])).set_index(each["from"]["key"])
        tables[each["lookup"]] = table[each["from"]["fields"]].set_axis(each["as"], axis=1)
    for query, key in ((40, 3), (3, 40), (7, 7)):
        assert tables["query_patch"].loc[query].tolist() == [query * spp, clock.when(query * spp)]
        assert tables["key_patch"].loc[key].tolist() == [key * spp, clock.when(key * spp)]
    lags = tables["lag_patches"]
    assert lags.loc[[3, -3, 0], "lag"].tolist() == [3 * spp, -3 * spp, 0]
    assert lags.loc[[3, -3, 0], "lag_time"].tolist() == ["2 days back", "2 days ahead", "none"]


@pytest.mark.parametrize("seconds", [0.25, 60.0, 3600.0, 86400.0, 604800.0, 2629800.0])
@pytest.mark.parametrize("start", ["1999-12-30T23:17:00", "", "1660-01-01", "2500-01-01", "9999-12-31T23:59:59"])
def test_many_moments_at_once_are_told_as_each_alone(seconds, start):
    clock, samples = Clock(seconds, start), np.linspace(0, 3000, 57)
    when, _ = clock.moments_tip(samples)
    assert when["when"] == [clock.when(float(sample)) for sample in samples]


def test_the_sweep_of_periods_is_drawn_in_one_unit_of_time_from_its_first_period_on():
    verdict = mock_verdict(period=24.0, sample_seconds=3600.0)
    chart = charts.verdict_sweep(verdict, str(verdict["layer"].values[-1]), 0)
    x, y = (chart["layer"][0]["encoding"][name] for name in "xy")
    periods = verdict[vschema.SWEEP].values
    assert x["scale"]["domain"] == [periods.min(), periods.max()]
    assert all(periods.min() <= at <= periods.max() for at in x["axis"]["values"])
    assert x["title"] == "period of the sweep, days"
    assert "that is" in json.dumps(chart["layer"][-1]["encoding"]["tooltip"])
    assert y["title"].startswith("first peak, ")
    unknown = charts.verdict_sweep(mock_verdict(period=24.0), str(verdict["layer"].values[-1]), 0)
    assert unknown["layer"][0]["encoding"]["x"]["title"] == "period of the sweep, samples"
    assert "that is" not in json.dumps(unknown)


def test_gaps_that_were_filled_are_named_at_the_series():
    ds = mock_dataset().isel(signal=0)
    assert "gaps: at most 5 samples" in json.dumps(charts.series(ds.assign_coords(filled=5))["title"])
    assert "gaps" not in json.dumps(charts.series(ds)["title"])


@pytest.mark.parametrize(
    ("seconds", "start", "frequency"),
    [
        (3600.0, "2016-07-01T00:00:00", "h"), (900.0, "2250-12-31T23:15:00+02:00", "15min"),
        (0.25, "2016-07-01T00:00:00+00:00", "250ms"), (2629800.0, "2016-01-01T00:00:00", "MS"),
    ],
)  # fmt: skip
def test_numbers_of_a_chart_have_the_times_of_their_samples_after_them(seconds, start, frequency):
    samples = [0, 5, 3, 3, 400]
    told = Clock(seconds, start).with_times(pd.DataFrame({"sample": samples, "value": 0.0}))
    assert list(told) == ["sample", "time", "value"]
    every = pd.date_range(start, periods=401, freq=frequency)
    assert told["time"].tolist() == [every[sample].isoformat() for sample in samples]


@pytest.mark.parametrize("clock", [Clock(), Clock(3600.0), Clock(0.0, "2016-07-01")])
def test_numbers_of_a_chart_without_known_times_have_no_column_of_them(clock):
    assert list(clock.with_times(pd.DataFrame({"sample": [1]}))) == ["sample"]


def test_times_that_cannot_be_written_are_left_empty():
    told = Clock(31557600.0, "9990-01-01").with_times(pd.DataFrame({"sample": [0, 20]}))
    assert told["time"].tolist() == ["9990-01-01T00:00:00", ""]


def test_the_numbers_of_every_forecast_and_of_the_stretch_have_times():
    ds = mock_dataset(n_history=128, horizon=100).isel(signal=0)
    ds = ds.assign_coords({schema.SAMPLE_SECONDS: 3600.0, schema.START: "2016-07-01T00:00:00"})
    verdict = mock_verdict()
    question = vschema.facts(verdict, "question") | {"sample_seconds": 3600.0, "start": "2016-07-01T00:00:00"}
    window = choose_window(1232, 62.8, columns=1232, patch_width=16, sample_seconds=3600.0)
    for table in (
        charts.two_forecasts_table(ds, ds, ("one", "another")),
        charts.answer_forecast_table(vschema.with_facts(verdict, question=question)),
        charts.window_table(np.zeros(1232), window, "2016-07-01T00:00:00"),
    ):
        times = pd.Timestamp("2016-07-01") + pd.to_timedelta(table["sample"], unit="h")
        assert (pd.to_datetime(table["time"]) == times).all()


def test_the_numbers_of_maps_have_the_times_of_their_samples_as_tooltips_do():
    ds = mock_dataset(n_history=128, horizon=100).isel(signal=0)
    dated = ds.assign_coords({schema.SAMPLE_SECONDS: 3600.0, schema.START: "2016-07-01T00:00:00"})
    view = charts.HeadView(dated, "decoder.0", 0)
    difference = charts.difference_table(view, charts.HeadView(dated, "decoder.0", 1))
    for table in (charts.heatmap_table(view), charts.token_table(view, 0), difference):
        names = [name for name in table if str(name).endswith("_sample")]
        assert names
        for name in names:
            times = pd.to_datetime(table[name.replace("sample", "time")])
            assert (times == pd.Timestamp("2016-07-01") + pd.to_timedelta(table[name].round(), unit="h")).all()
    undated = charts.HeadView(ds, "decoder.0", 1)
    for table in (charts.heatmap_table(undated), charts.difference_table(view, undated)):
        assert not any("time" in name for name in table)
