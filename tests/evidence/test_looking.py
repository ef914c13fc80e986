"""Attention whole periods back against that beside it, by region."""

import numpy as np
import pytest
from scipy.stats import binom

from vitime_cache.evidence.levels import looking
from vitime_cache.evidence.levels.looking import LookingError, Sight, look
from vitime_cache.evidence.verdict import schema as vschema

N, HISTORY = 60, 40  # patches, of which the first show history
PAST, AHEAD = vschema.REGIONS
ASKED = np.ones((1, 1), dtype=bool)


def attention(rng: np.random.Generator, *, height: float = 0.0, lag: int = 5, memory: float = 0.0) -> np.ndarray:
    """(1, 1, 1, n, n) of 1 plus noise along each diagonal, with a ridge at a lag."""
    noise = rng.standard_normal((N, 2 * N))
    for q in range(1, N):
        noise[q] = memory * noise[q - 1] + np.sqrt(1 - memory**2) * noise[q]
    query, key = np.indices((N, N))
    maps = 1 + 0.3 * noise[query, query - key + N - 1] + height * (query - key == lag)
    return np.maximum(maps, 0)[None, None, None]


def looked(maps: np.ndarray, period: float = 5.0, asked: np.ndarray = ASKED, level: float = 0.05):
    return look(maps, HISTORY, period, 16.0, asked, level)


def lags_of(sight: Sight, query: int) -> tuple[list[int], list[int]]:
    """Lags that a query's means are over: whole periods back, and beside."""
    row = sight.queries.tolist().index(query)
    return tuple((query - np.flatnonzero(weights[row])[::-1]).tolist() for weights in (sight.there, sight.beside))


def test_a_query_sees_the_whole_periods_that_lie_in_the_history_with_both_of_their_sides():
    past, ahead = (Sight.of(region, N, HISTORY, 5.0) for region in vschema.REGIONS)
    assert past.queries[0] == 8  # the first with lags 2 … 8
    assert lags_of(past, 14) == ([5, 10], [2, 3, 7, 8, 12, 13])
    assert lags_of(past, 12) == ([5], [2, 3, 7, 8])
    assert lags_of(ahead, 40) == ([5, 10, 15, 20, 25, 30, 35], [lag for lag in range(2, 39) if lag % 5 in (2, 3)])
    assert lags_of(ahead, 50)[0] == [15, 20, 25, 30, 35, 40, 45]  # lags of 10 and fewer lie in the forecast itself
    for sight in (past, ahead):
        for weights in (sight.there, sight.beside):
            np.testing.assert_allclose(weights.sum(axis=1), 1)
            assert (weights[:, HISTORY:] == 0).all()


@pytest.mark.parametrize("period", [2.0, 2.5, 3.0, 3.8, 4.5, 4.999, 5.008, 6.52, 6.99, 8.001, 12.0, 18.0, 19.0])
def test_what_lies_beside_is_balanced_about_whole_periods_so_that_no_slope_is_taken_for_looking(period):
    query, key = np.indices((N, N))
    for slope in (2.0 - (query - key) / N, 1.0 + np.maximum(query - key, 0)):
        for region in vschema.REGIONS:
            sight = Sight.of(region, N, HISTORY, period)
            np.testing.assert_allclose(sight.contrast(slope), 0, atol=1e-12)
            np.testing.assert_allclose(sight.contrast(np.ones((N, N))), 0, atol=1e-12)


@pytest.mark.parametrize("period", [4.999, 5.0, 5.008])  # a window chosen for a period seldom has just five patches
def test_attention_that_only_fades_with_distance_is_not_taken_for_looking(period):
    query, key = np.indices((N, N))
    noise = 1 + 0.05 * np.random.default_rng(0).standard_normal((N, N))
    found = looked((np.exp(-np.abs(query - key) / 5) * noise)[None, None, None], period)
    assert found.claimed.verdict[0, 0] == vschema.NOT_SUPPORTED
    assert found.claimed.figure[0, 0] < 0


@pytest.mark.parametrize("period", [0.5, 1.9, 35.0, np.nan, np.inf])
def test_a_period_off_the_axis_is_refused(period):
    with pytest.raises(LookingError, match="patches"):
        looking.sights(N, HISTORY, period)


def test_a_head_that_looks_back_in_either_region_is_supported_there_alone():
    rng = np.random.default_rng(0)
    quiet, ridge = attention(rng), attention(rng, height=1.0)
    past = np.where(np.arange(N)[:, None] < HISTORY, ridge, quiet)
    query, key = np.indices((N, N))
    whole = (query - key) % 5 == 0
    ahead = np.where((query >= HISTORY) & whole, quiet + 1, quiet)
    for maps, expected in ((past, [1, 0]), (ahead, [0, 1]), (quiet, [0, 0])):
        found = looked(maps)
        assert (found.looks[:, 0, 0] == vschema.SUPPORTED).tolist() == [bool(e) for e in expected]
        assert (found.claimed.verdict[0, 0] == vschema.SUPPORTED) == any(expected)
        assert (found.claimed.low[0, 0] > 0) == any(expected)
        assert (found.claimed.p_value[0, 0] <= 0.05) == any(expected)


def test_the_contrast_is_that_of_the_means_and_its_figure_lies_in_its_interval():
    query, key = np.indices((N, N))
    maps = np.where((query - key) % 5 == 0, 3.0, 1.0)[None, None, None]
    found = looked(maps)
    np.testing.assert_allclose(found.query_contrast, 0.5)
    np.testing.assert_allclose(found.query_contrast_error, 0, atol=1e-12)
    noisy = looked(attention(np.random.default_rng(1), height=0.5))
    assert noisy.claimed.low < noisy.claimed.figure < noisy.claimed.high


def test_heads_without_a_ridge_are_supported_no_more_often_than_the_level_says():
    rng = np.random.default_rng(2)
    for memory in (0.0, 0.7):
        hits = sum(looked(attention(rng, memory=memory), level=0.2).claimed.p_value[0, 0] <= 0.2 for _ in range(200))
        assert hits <= binom.ppf(0.999, 200, 0.2)
    assert sum((looked(attention(rng), level=0.5).claimed.p_value <= 0.5).any() for _ in range(100)) > 5  # nor never


def test_intervals_are_simultaneous_over_the_heads_asked_about_and_others_are_not_tested():
    maps = np.concatenate([attention(np.random.default_rng(3), height=0.5)] * 4, axis=2)
    few = looked(maps, asked=np.array([[True, False, False, False]]))
    many = looked(maps, asked=np.ones((1, 4), dtype=bool))
    assert few.claimed.low[0, 0] > many.claimed.low[0, 0]
    assert few.claimed.verdict[0].tolist() == [vschema.SUPPORTED, *[vschema.NOT_TESTED] * 3]
    assert np.isnan(few.claimed.figure[0, 1:]).all()


def test_no_more_attention_than_beside_is_a_no_only_where_the_maps_are_precise_enough_to_tell():
    rng = np.random.default_rng(4)
    precise = np.ones((1, 1, 1, N, N)) + 0.02 * rng.standard_normal((1, 1, 1, N, N))
    assert looked(precise).claimed.verdict == vschema.NOT_SUPPORTED
    vague = np.exp(2 * rng.standard_normal((1, 1, 1, N, N)))
    assert looked(vague).claimed.verdict == vschema.INCONCLUSIVE


def test_a_region_of_too_few_queries_is_not_tested_and_said_and_so_are_lags_of_too_few_pairs():
    maps = attention(np.random.default_rng(5))[..., :48, :48]
    found = looked(maps)  # 8 columns of forecast
    assert (found.looks[vschema.REGIONS.index(AHEAD)] == vschema.NOT_TESTED).all()
    assert np.isnan(found.query_contrast[vschema.REGIONS.index(AHEAD)]).all()
    assert any(said.startswith(f"{AHEAD}: not tested") for said in found.left_out)
    assert any("16 samples to 512 samples are shown" in said for said in found.left_out)  # 40 - 8 lags of 16 samples
    shown = np.isfinite(found.lag_curve[:, 0, 0])
    assert shown[0].tolist() == [lag <= 32 for lag in range(48)]
    assert shown[1].tolist() == [8 <= lag <= 40 for lag in range(48)]
