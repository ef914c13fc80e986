"""The periods of a series."""

import numpy as np
import pytest
from scipy.signal import lfilter
from threadpoolctl import threadpool_info, threadpool_limits

from benchmarks.periods import APERIODIC
from vitime_cache.evidence import periods
from vitime_cache.evidence.periods import MOST_SAMPLES, propose_periods, propose_periods_of_each
from vitime_cache.series.examples import catalogue


def series(name: str) -> np.ndarray:
    signal = next(each for each in catalogue() if each.name == name)
    return np.concatenate((signal.values, signal.future))


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


KINDS = (
    "white noise", "AR(1), 0.8", "AR(1), 0.95", "AR(2), broad resonance", "moving average of 3", "moving average of 7",
    "moving average of 24", "moving average of 60", "moving average of 24 of a random walk",
    "moving average of 24, twice", "Savitzky-Golay, 31 samples", "differences at 24 samples",
    "differences", "random walk", "random walk, noise", "steps", "ramp", "logistic growth", "single spikes", "chirp",
    "drifting level", "heavy tails",
)  # fmt: skip


@pytest.mark.parametrize("kind", KINDS)
def test_a_series_without_a_period_is_given_one_at_most_once_in_twenty(kind):
    rng = np.random.default_rng(5)
    assert sum(bool(propose_periods(APERIODIC[kind](rng, 500))) for _ in range(20)) <= 1


def test_a_wave_in_a_running_mean_is_found_where_that_mean_has_nothing():
    rng = np.random.default_rng(6)
    found = 0
    for _ in range(20):
        noise = APERIODIC["moving average of 24"](rng, 600)
        wave = 0.35 * np.sin(2 * np.pi * np.arange(600) / 12)
        found += any(each.period == pytest.approx(12, rel=0.01) for each in propose_periods(noise / noise.std() + wave))
    assert found >= 18


def test_of_a_very_long_series_the_end_is_looked_at():
    long = np.random.default_rng(8).standard_normal(MOST_SAMPLES + 1000)
    long[:1000] += 100
    assert propose_periods(long) == propose_periods(long[1000:])


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


@pytest.mark.parametrize("cycles", [0.5, 1.0])
def test_the_slope_of_a_strong_smooth_trend_is_no_period_of_a_third_of_the_series(cycles):
    """At the longest period that is looked for, its spectrum still falls."""
    trend = 30 * np.sin(2 * np.pi * cycles * np.linspace(0, 1, 1500))
    noise = np.random.default_rng(0).standard_normal((10, 1500))
    assert not any(propose_periods_of_each(trend + noise))


def test_a_strong_trend_is_no_fundamental_of_the_periods_beside_it():
    time = np.arange(1500)
    growth = 30 / (1 + np.exp(-12 * (time / 1500 - 0.5)))
    day = np.sin(2 * np.pi * time / 24) + 0.8 * np.sin(2 * np.pi * time / 9.7)
    found = propose_periods(growth + day + 0.3 * np.random.default_rng(0).standard_normal(1500))
    assert [each.period for each in found] == pytest.approx([24, 9.7], rel=0.01)


def test_a_lump_of_a_level_that_wanders_is_no_fundamental_of_a_day_and_its_harmonics():
    """Some multiple of any slow period lies near every line."""
    level = 0.5 * np.random.default_rng(0).standard_normal((10, 1000)).cumsum(axis=1)
    day = sum(np.sin(2 * np.pi * k * np.arange(1000) / 24 + k) / k for k in (1, 2, 3))
    found = propose_periods_of_each(level + day)
    assert [each[0].period for each in found] == pytest.approx([24] * 10, rel=0.01)


def test_a_weak_sine_in_red_noise_is_found_where_it_is():
    rng = np.random.default_rng(6)
    noise = lfilter([1], [1, -0.8], rng.standard_normal(1200))
    found = propose_periods(noise + 1.5 * np.sin(2 * np.pi * np.arange(1200) / 37.3))
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


def test_series_examined_together_have_the_periods_that_each_has_alone():
    rng, time = np.random.default_rng(3), np.arange(300)
    wave = np.sin(2 * np.pi * time / 21.3)
    noise = rng.standard_normal((4, 300))
    mean = np.convolve(rng.standard_normal(329), np.full(30, 1 / 30), "valid")
    series = np.stack(
        [wave, wave + noise[0], noise[1], noise[2].cumsum(), np.zeros(300), 2.0 + time, wave**3, mean + 0.3 * wave]
    )
    together = propose_periods_of_each(series)
    assert [len(found) > 0 for found in together] == [True, True, False, False, False, False, True, True]
    for found, one in zip(together, series, strict=True):
        alone = propose_periods(one)
        assert [each.period for each in found] == pytest.approx([each.period for each in alone], rel=1e-9)
        assert [each.power for each in found] == pytest.approx([each.power for each in alone], rel=1e-9)
        assert [each.p_value for each in found] == pytest.approx([each.p_value for each in alone], rel=1e-6, abs=1e-300)


def threads_of_products() -> set[int]:
    return {each["num_threads"] for each in threadpool_info() if each["user_api"] == "blas"}


def test_products_run_on_one_thread_while_periods_are_proposed_and_on_all_of_them_afterwards(monkeypatch):
    lines, seen = periods._lines, []

    def watched(x):
        seen.append(threads_of_products())
        if len(seen) == 2:
            raise MemoryError
        return lines(x)

    monkeypatch.setattr(periods, "_lines", watched)
    with threadpool_limits(2, user_api="blas"):
        assert propose_periods(np.sin(n / 5))
        assert threads_of_products() == {2}
        with pytest.raises(MemoryError):
            propose_periods(np.sin(n / 5))
        assert threads_of_products() == {2}
    assert seen == [{1}, {1}]
