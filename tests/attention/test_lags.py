"""Lag curves, the pairs behind them and their intervals."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vitime_cache.attention import lags

GOLDEN = Path(__file__).parents[1] / "data" / "vitime_tiny_expected.npz"
N, HISTORY = 20, 8


def loop_over_cells(attention: np.ndarray, history: int, region: str) -> tuple[np.ndarray, np.ndarray]:
    """Mean and count per lag, cell by cell."""
    n = len(attention)
    part = {"history": range(history), "forecast": range(history, n)}
    query, key = region.split("→") if region != "all" else ("", "")
    cells: dict[int, list[float]] = {lag: [] for lag in range(-(n - 1), n)}
    for q in part.get(query, range(n)):
        for k in part.get(key, range(n)):
            cells[q - k].append(attention[q, k])
    means = [np.mean(values) if values else np.nan for values in cells.values()]
    return np.array(means), np.array([len(values) for values in cells.values()])


def test_lag_means_agree_with_those_of_the_published_code():
    with np.load(GOLDEN) as golden:
        lag, mean = lags.lag_means(golden["0_time_attention"])
        np.testing.assert_allclose(mean[..., lag >= 1], golden["0_lag_attention"], atol=1e-7)


@given(n=st.integers(2, 12), seed=st.integers(0, 99))
def test_a_lag_mean_is_the_mean_of_a_diagonal(n, seed):
    attention = np.random.default_rng(seed).random((2, n, n))
    lag, mean = lags.lag_means(attention)
    expected = [[np.diag(a, -k).mean() for k in lag] for a in attention]
    np.testing.assert_allclose(mean, expected, rtol=1e-12)


@given(n=st.integers(2, 12), seed=st.integers(0, 99))
def test_transposing_the_map_mirrors_the_curve(n, seed):
    attention = np.random.default_rng(seed).random((n, n))
    np.testing.assert_allclose(lags.lag_means(attention.T)[1], lags.lag_means(attention)[1][::-1])


def test_attention_to_one_lag_only_gives_a_curve_with_one_point():
    lag, mean = lags.lag_means(np.eye(N, k=-5))
    np.testing.assert_array_equal(mean, (lag == 5).astype(float))


@pytest.mark.parametrize("max_lag", [1, 7, 40])
def test_the_reference_curve_is_the_mean_of_the_lower_diagonals_from_lag_one(max_lag):
    attention = np.random.default_rng(0).random((N, N))
    lag, values = lags.mean_attention_vs_time_lag(attention, max_lag)
    np.testing.assert_array_equal(lag, np.arange(1, min(max_lag, N - 1) + 1))
    np.testing.assert_allclose(values, [np.diag(attention, -k).mean() for k in lag])


def test_a_reference_curve_without_lags_is_an_error():
    with pytest.raises(lags.LagError, match="got 0"):
        lags.mean_attention_vs_time_lag(np.eye(3), 0)


@pytest.mark.parametrize("region", lags.REGIONS)
def test_the_curve_of_a_region_is_the_mean_over_its_cells(region):
    attention = np.random.default_rng(1).random((2, N, N))
    curve = lags.lag_curve(attention, HISTORY, region, min_pairs=1)
    for a, mean in zip(attention, curve.mean, strict=True):
        expected, pairs = loop_over_cells(a, HISTORY, region)
        np.testing.assert_allclose(mean, expected)
        np.testing.assert_array_equal(curve.pairs, pairs)
        np.testing.assert_array_equal(lags.pair_counts(N, HISTORY, region), pairs)


def test_the_regions_of_a_causal_reading_look_only_to_the_past():
    pairs = lags.pair_counts(N, HISTORY, "forecast→history")
    assert (pairs[: N - 1 + 1] == 0).all()  # every key in the history lies before every query in the forecast
    assert pairs.sum() == HISTORY * (N - HISTORY)


def test_lags_with_few_pairs_are_masked():
    curve = lags.lag_curve(np.ones((N, N)), min_pairs=6)
    np.testing.assert_array_equal(np.isnan(curve.mean), curve.pairs < 6)
    np.testing.assert_array_equal(np.isnan(curve.low), curve.pairs < 6)


def test_a_diagonal_of_equal_cells_has_an_interval_of_no_width():
    curve = lags.lag_curve(np.full((N, N), 0.3))
    shown = curve.pairs >= lags.MIN_PAIRS
    np.testing.assert_allclose(curve.low[shown], 0.3)
    np.testing.assert_allclose(curve.high[shown], 0.3)


def newey_west_half_width(x: np.ndarray) -> float:
    """The interval of one diagonal, from the formulas of Newey and West and of Kiefer and Vogelsang."""
    n = len(x)
    bandwidth = min(int(1.3 * n**0.5), n - 1) + 1
    e = x - x.mean()
    long_run = np.mean(e * e)
    for j in range(1, bandwidth):
        long_run += 2 * (1 - j / bandwidth) * np.sum(e[j:] * e[:-j]) / n
    b = bandwidth / n
    return (1.96 + 2.9694 * b + 0.416 * b**2 - 0.5324 * b**3) * np.sqrt(long_run / n)


@pytest.mark.parametrize("region", ["all", "forecast→forecast"])
def test_the_interval_is_that_of_newey_and_west_on_each_diagonal(region):
    attention = np.random.default_rng(2).random((N, N))
    curve = lags.lag_curve(attention, HISTORY, region, min_pairs=2)
    block = attention if region == "all" else attention[HISTORY:, HISTORY:]
    for lag in (-7, -1, 0, 3, 9):
        half = newey_west_half_width(np.diag(block, -lag))
        i = N - 1 + lag
        np.testing.assert_allclose([curve.low[i], curve.high[i]], [curve.mean[i] - half, curve.mean[i] + half])


def test_the_interval_covers_the_mean_of_correlated_diagonals_where_the_plain_standard_error_does_not():
    rng = np.random.default_rng(3)
    trials, n, memory = 1500, 64, 0.6
    noise = rng.standard_normal((trials, n + 50))
    x = np.zeros_like(noise)
    for t in range(1, n + 50):
        x[:, t] = memory * x[:, t - 1] + noise[:, t]
    x = x[:, 50:]
    maps = np.zeros((trials, n, n))
    maps[:, np.arange(n), np.arange(n)] = x
    curve = lags.lag_curve(maps)
    covered = (curve.low[:, n - 1] <= 0) & (curve.high[:, n - 1] >= 0)
    plain = np.abs(x.mean(axis=1)) <= 1.96 * x.std(axis=1) / np.sqrt(n)
    assert covered.mean() > 0.88
    assert plain.mean() < 0.75


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((np.eye(4), None, "history→history"), "needs history_patches"),
        ((np.eye(4), 5, "history→history"), "0 … 4, got 5"),
        ((np.eye(4), 2, "past→future"), "region must be 'all', .* got 'past→future'"),
        ((np.zeros((4, 5)), None, "all"), r"\(4, 5\)"),
        ((np.zeros((1, 1)), None, "all"), r"\(1, 1\)"),
    ],
)
def test_a_region_or_a_map_that_does_not_exist_is_an_error(arguments, message):
    with pytest.raises(lags.LagError, match=message):
        lags.lag_curve(*arguments)


def test_the_baseline_takes_out_what_all_signals_share():
    positional = 1 + np.cos(np.arange(30)) / 2
    own = np.ones(30)
    own[7] = 3
    ratio = lags.over_baseline(positional * own, np.stack([positional, positional]))
    np.testing.assert_allclose(ratio, own)


def test_the_baseline_is_nan_where_no_unrelated_signal_looks_and_needs_one_signal():
    assert np.isnan(lags.over_baseline([1.0, 1.0], [[0.0, 1.0]])).tolist() == [True, False]
    with pytest.raises(lags.LagError, match="at least one unrelated signal"):
        lags.over_baseline(np.ones(3), np.ones((0, 3)))


@given(n=st.integers(4, 40), seed=st.integers(0, 99), offset=st.sampled_from([0.0, 1e3]))
def test_autocorrelation_is_the_correlation_of_the_overlapping_parts(n, seed, offset):
    x = offset + np.random.default_rng(seed).standard_normal(n)
    expected = [np.corrcoef(x[k:], x[: n - k])[0, 1] for k in range(n - 2)]
    np.testing.assert_allclose(lags.autocorrelation(x, n - 3), expected, atol=1e-7)


def test_autocorrelation_of_a_sine_is_a_cosine_of_its_period_and_one_at_every_multiple():
    correlation = lags.autocorrelation(np.sin(2 * np.pi * np.arange(1000) / 50), 900)
    np.testing.assert_allclose(correlation[:201], np.cos(2 * np.pi * np.arange(201) / 50), atol=1e-2)
    np.testing.assert_allclose(correlation[::50], 1, atol=1e-9)


def test_autocorrelation_of_a_constant_is_undefined_and_of_nothing_an_error():
    assert np.isnan(lags.autocorrelation(np.full(9, 0.1))).all()
    assert np.isnan(lags.autocorrelation([0.0, 1.0, 3.0])[2])
    with pytest.raises(lags.LagError, match="finite"):
        lags.autocorrelation([1.0, np.nan])


@pytest.mark.parametrize("region", lags.REGIONS)
def test_means_without_an_interval_are_those_of_the_curve(region):
    attention = np.random.default_rng(3).random((2, 3, 20, 20))
    means = lags.diagonal_means(attention, 9, region, 3)
    np.testing.assert_allclose(means, lags.lag_curve(attention, 9, region, min_pairs=3).mean)


@pytest.mark.parametrize("region", lags.REGIONS)
@pytest.mark.parametrize("history", [0, 1, 7, 19, 20])
def test_means_of_a_region_are_those_of_its_cells_also_where_it_is_empty(region, history):
    n = 20
    attention = np.random.default_rng(0).random((2, n, n))
    means = lags.diagonal_means(attention, history, region, min_pairs=1)
    query, key = np.divmod(np.arange(n * n), n)
    sides = {"all": (np.ones(n * n, bool),) * 2}
    for one, queries in (("history", query < history), ("forecast", query >= history)):
        for other, keys in (("history", key < history), ("forecast", key >= history)):
            sides[f"{one}→{other}"] = queries, keys
    inside = np.logical_and(*sides[region])
    for at, lag in enumerate(range(-(n - 1), n)):
        cells = attention.reshape(2, -1)[:, inside & (query - key == lag)]
        expected = cells.mean(axis=1) if cells.shape[1] else np.full(2, np.nan)
        np.testing.assert_allclose(means[:, at], expected, err_msg=f"lag {lag}")
