"""Attention one period back against that beside it."""

import numpy as np
import pytest

from vitime_cache.evidence.levels.contrast import ContrastError, Lags, looks_back

N = 60
ASKED = np.ones((1, 1), dtype=bool)


def attention(rng: np.random.Generator, *, height: float = 0.0, lag: int = 5, memory: float = 0.0) -> np.ndarray:
    """(1, 1, 1, n, n) of 1 plus noise along each diagonal, with a ridge at a lag."""
    noise = rng.standard_normal((N, 2 * N))
    for q in range(1, N):
        noise[q] = memory * noise[q - 1] + np.sqrt(1 - memory**2) * noise[q]
    query, key = np.indices((N, N))
    maps = 1 + 0.3 * noise[query, query - key + N - 1] + height * (query - key == lag)
    return maps[None, None, None]


def looked(maps: np.ndarray, period: float = 5.0):
    lag = np.arange(N)
    curves = np.stack([np.diagonal(maps, -k, -2, -1).mean(axis=-1) for k in lag], axis=-1).mean(axis=0)
    return looks_back(maps, curves, period, ASKED)


def test_lags_at_a_period_lie_within_half_a_patch_and_those_beside_it_half_a_period_off():
    lags = Lags.of(5.0, 77)
    assert lags.at.tolist() == [5]
    assert lags.beside.tolist() == [2, 3, 7, 8]
    assert Lags.of(4.5, 77).at.tolist() == [4, 5]
    assert Lags.of(2.0, 77).beside.tolist() == [1, 3]


@pytest.mark.parametrize("period", [0.5, 1.9, 45.0, np.nan])
def test_a_period_off_the_axis_is_refused(period):
    with pytest.raises(ContrastError, match="patches"):
        Lags.of(period, 77)


def test_a_level_and_a_slope_have_no_excess_and_a_peak_has():
    lags, lag = Lags.of(6.0, N), np.arange(N)
    assert lags.excess(np.full(N, 0.3)) == pytest.approx(0)
    assert lags.excess(100 - lag) == pytest.approx(0, abs=1e-12)
    assert lags.excess(1 + 2.0 * (lag == 6)) == pytest.approx(2, rel=0.1)


def test_a_ridge_is_found_with_its_height_and_without_one_seldom():
    rng = np.random.default_rng(0)
    found = looked(attention(rng, height=0.5))
    assert found.excess.value[0, 0] == pytest.approx(0.5, abs=0.15)
    assert found.contrast.value[0, 0] == pytest.approx(0.5 / 2.5, abs=0.05)  # 1.5 against 1
    assert found.supported(0.05).all()
    p = [float(looked(attention(rng, memory=0.5)).p_value[0, 0]) for _ in range(300)]
    assert np.mean(np.array(p) <= 0.05) <= 0.08  # two standard deviations above the level
    assert np.mean(np.array(p) <= 0.2) > 0.05  # and it is not never


def test_a_query_that_has_all_of_its_attention_at_the_period_counts_as_one_that_has_a_third_of_it_there():
    maps = np.zeros((1, 1, 1, N, N))
    for query in range(5, N):
        teeth = [k for k in (5, 10, 15) if k <= query]
        maps[0, 0, 0, query, query - np.array(teeth)] = 1 / len(teeth)
    found = looked(maps)
    assert found.contrast.value[0, 0] == pytest.approx(1)
    assert found.supported(0.05).all()


def test_attention_that_falls_off_with_the_lag_has_no_contrast_and_none_at_all_has_none():
    query, key = np.indices((N, N))
    falling = 1 - np.abs(query - key) / N
    for maps in (falling, np.zeros((N, N))):
        found = looked(maps[None, None, None])
        assert found.contrast.value == pytest.approx(0, abs=1e-12)
        assert not found.supported(0.05).any()


def test_no_more_attention_than_beside_is_a_no_only_where_the_maps_are_precise_enough_to_tell():
    rng = np.random.default_rng(1)
    precise = np.ones((1, 1, 1, N, N)) + 0.02 * rng.standard_normal((1, 1, 1, N, N))
    assert looked(precise).refuted(0.05).all()
    vague = np.ones((1, 1, 1, N, N)) + 3 * rng.standard_normal((1, 1, 1, N, N))
    assert not looked(vague).refuted(0.05).any()
    assert not looked(vague).supported(0.05).any()
