"""The window that shows a period, and the periods of a series."""

import numpy as np
import pytest
from scipy.signal import lfilter

from vitime_cache.evidence.periods import propose_periods
from vitime_cache.evidence.verdict.schema import VerdictError
from vitime_cache.evidence.window import FEWEST_PERIODS, GOOD_PATCHES, choose_window
from vitime_cache.series.examples import catalogue

GRID = {"columns": 1232, "patch_width": 16}


def series(name: str) -> np.ndarray:
    signal = next(each for each in catalogue() if each.name == name)
    return np.concatenate((signal.values, signal.future))


@pytest.mark.parametrize("period", [6.28, 24, 52.18, 101])
@pytest.mark.parametrize("length", [1000, 2000, 20_000])
def test_the_window_shows_a_period_on_four_patches_or_more_and_lies_at_the_end_of_the_series(period, length):
    window = choose_window(length, period, **GRID)
    assert window.patches_per_period >= GOOD_PATCHES
    assert window.samples_per_patch == pytest.approx((window.history + window.horizon) / 77)
    assert window.history >= FEWEST_PERIODS * period
    assert window.starts[-1] + window.history + window.horizon == length
    assert set(np.diff(window.starts)) <= {window.history + window.horizon}
    assert window.left_out == window.starts[0] >= 0


def test_a_long_series_gives_several_windows_and_a_short_one_says_it_gives_one():
    assert len(choose_window(744, 24, **GRID).starts) == 2
    assert "2 windows" in choose_window(744, 24, **GRID).words
    one = choose_window(462, 24, **GRID)
    assert "One window" in one.words
    assert "the first 93 of 462 samples are left out" in one.words


def test_a_coarse_grid_gives_up_patches_before_it_gives_up_repeats():
    window = choose_window(2000, 64, columns=320, patch_width=16)
    assert window.patches_per_period >= GOOD_PATCHES
    assert window.history > 2 * 64


def test_a_person_may_override_the_window_and_is_told_what_it_cannot_show():
    own = choose_window(2000, 64, history=512, horizon=720, **GRID)
    assert (own.history, own.horizon, own.samples_per_patch, own.chosen) == (512, 720, 16, False)
    assert choose_window(2000, 40, history=512, horizon=720, **GRID).words.count("fewer than the 4") == 1
    with pytest.raises(VerdictError, match=r"24 samples cannot be seen at 16 samples a patch; .* 924 .* 462 would"):
        choose_window(2000, 24, history=512, horizon=720, **GRID)
    for history, horizon in ((512, None), (3, 10), (512, 0), (1900, 200)):
        with pytest.raises(VerdictError, match="history"):
            choose_window(2000, 24, history=history, horizon=horizon, **GRID)


@pytest.mark.parametrize("period", [0, -3, np.nan, np.inf, 400, 1.0e9])
def test_a_period_that_no_window_of_the_series_can_hold_is_refused(period):
    with pytest.raises(VerdictError, match="period"):
        choose_window(1000, period, **GRID)


@pytest.mark.parametrize(
    ("name", "periods"),
    [("full", [62.83, 31.42, 6.283]), ("co2_mauna_loa", [52.18]), ("greensboro_temperature", [24.0]),
     ("sunspots", [10.6]), ("el_nino", [12.0]), ("trend_season", [96.0])],
)  # fmt: skip
def test_the_periods_proposed_are_those_the_series_has_strongest_first(name, periods):
    found = [proposal.period for proposal in propose_periods(series(name))]
    assert found[: len(periods)] == pytest.approx(periods, rel=0.005)


@pytest.mark.parametrize("name", ["white_noise", "constant", "nile"])
def test_a_series_without_a_period_is_offered_none(name):
    assert propose_periods(series(name)) == []


@pytest.mark.parametrize("memory", [0.0, 0.6, 0.95])
def test_red_noise_is_rarely_given_a_period(memory):
    rng = np.random.default_rng(5)
    noise = lfilter([1], [1, -memory], rng.standard_normal((100, 900)), axis=1)[:, 400:]
    assert sum(bool(propose_periods(x)) for x in noise) <= 5


@pytest.mark.parametrize("kind", ["random walk measured with noise", "moving average", "differences"])
def test_noise_that_is_not_red_alone_is_rarely_given_a_period(kind):
    rng = np.random.default_rng(7)
    noise = {
        "random walk measured with noise": rng.standard_normal((40, 400)).cumsum(1)
        + 3 * rng.standard_normal((40, 400)),
        "moving average": lfilter([1, 0.9], [1], rng.standard_normal((40, 400)), axis=1),
        "differences": np.diff(rng.standard_normal((40, 401))),
    }[kind]
    assert sum(bool(propose_periods(x, most=1)) for x in noise) <= 4


n = np.arange(600)


@pytest.mark.parametrize(
    ("period", "wave"),
    [
        (24, n % 24 == 0), (50, n % 50 == 0), (64, n % 64 < 32), (48, n % 48 < 4), (24, n % 24 / 24),
        (24, np.round(20 * np.sin(2 * np.pi * n / 24)).astype(np.int8)), (24, np.sin(2 * np.pi * n / 24) * 1e-300),
    ],
    ids=["spikes of 24", "spikes of 50", "square wave", "short pulses", "saw", "small integers", "tiny"],
)  # fmt: skip
@pytest.mark.filterwarnings("error")
def test_the_period_of_a_waveform_comes_before_its_harmonics(period, wave):
    assert propose_periods(wave)[0].period == pytest.approx(period, rel=1e-3)


def test_an_hourly_series_has_its_day_and_its_week_and_equal_periods_come_longest_first():
    hour = np.arange(24 * 7 * 8)
    noise = 0.3 * np.random.default_rng(8).standard_normal(len(hour))
    day, week = (np.sin(2 * np.pi * hour / period) for period in (24, 168))
    assert [p.period for p in propose_periods(day + 0.8 * week + noise)] == pytest.approx([24, 168], rel=0.01)
    assert [p.period for p in propose_periods(day + week + noise)] == pytest.approx([168, 24], rel=0.01)


@pytest.mark.parametrize("x", [n >= 300, np.sin(2 * np.pi * n / 230), n**2.0], ids=["step", "slow sine", "parabola"])
def test_what_cannot_be_told_from_a_trend_is_not_proposed(x):
    noise = 0.1 * np.random.default_rng(9).standard_normal(len(n))
    assert all(proposal.period < 205 for proposal in propose_periods(x + noise * np.std(x)))
    assert len(propose_periods(x + noise * np.std(x))) <= 1


def test_a_weak_sine_in_red_noise_is_found_where_it_is():
    rng = np.random.default_rng(6)
    noise = lfilter([1], [1, -0.8], rng.standard_normal(1200))
    found = propose_periods(noise + 1.3 * np.sin(2 * np.pi * np.arange(1200) / 37.3))
    assert found[0].period == pytest.approx(37.3, rel=0.01)


@pytest.mark.parametrize("x", [[1.0] * 50, [1.0, 2.0], np.full(40, 1e20)])
def test_degenerate_series_have_no_period(x):
    assert propose_periods(x) == []


@pytest.mark.parametrize("period", [8, 24, 24.5])
def test_a_series_without_noise_is_given_its_period_and_no_warning(period):
    with np.errstate(all="raise", under="ignore"):
        assert propose_periods(np.sin(2 * np.pi * np.arange(240) / period))[0].period == pytest.approx(period, rel=0.02)


@pytest.mark.parametrize("line", [np.arange(600.0), 1e9 + 3 * np.arange(257.0), -0.1 * np.arange(1000.0)])
def test_a_straight_line_has_no_period_and_a_small_wave_on_a_great_height_has(line):
    assert propose_periods(line) == []
    wave = np.sin(2 * np.pi * np.arange(len(line)) / 20)
    assert propose_periods(line + wave)[0].period == pytest.approx(20, rel=0.02)
