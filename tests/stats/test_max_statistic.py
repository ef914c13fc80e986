"""Bands and p-values that hold over everything tested together."""

import numpy as np
import pytest
from scipy.signal import lfilter

from vitime_cache.stats.max_statistic import max_statistic
from vitime_cache.stats.surrogates import NullError


def test_the_band_is_left_by_one_null_experiment_in_twenty_over_all_heads_and_lags():
    rng = np.random.default_rng(1)
    trials, n = 600, 19
    smooth = lfilter([1], [1, -0.5], rng.standard_normal((trials, n + 1, 3, 20)), axis=-1)
    bands = [max_statistic(x[0], x[1:]) for x in smooth]
    left = [band.exceeded(x[0]).any() for band, x in zip(bands, smooth, strict=True)]
    assert 0.02 < np.mean(left) < 0.08
    assert [band.p_value.min() <= 0.05 for band in bands] == left


def test_a_peak_that_no_null_has_leaves_the_band_where_it_is():
    rng = np.random.default_rng(2)
    null = rng.standard_normal((40, 2, 10))
    observed = rng.standard_normal((2, 10))
    observed[1, 4] = 12.0
    band = max_statistic(observed, null)
    assert np.argwhere(band.exceeded(observed)).tolist() == [[1, 4]]
    assert band.p_value.min() == band.p_value[1, 4] == pytest.approx(1 / 41)


def test_masked_lags_take_no_part_in_the_band():
    null = np.random.default_rng(3).standard_normal((19, 10))
    null[:, 7:] = np.nan
    observed = np.zeros(10)
    observed[7:] = np.nan
    band = max_statistic(observed, null)
    assert np.isfinite(band.score)
    assert not band.exceeded(observed)[7:].any()


def test_the_p_values_of_heads_without_an_effect_are_small_anywhere_as_often_as_the_level_says():
    rng = np.random.default_rng(4)
    heads = rng.standard_normal((500, 100, 6, 8)) * np.linspace(0.1, 10, 8)
    smallest = np.array([max_statistic(x[0], x[1:]).p_value.min() for x in heads])
    assert 0.02 < (smallest <= 0.05).mean() < 0.08


def test_each_head_gets_its_own_p_value_and_the_smallest_is_that_of_the_band():
    rng = np.random.default_rng(5)
    null = rng.standard_normal((39, 2, 3))
    observed = rng.standard_normal((2, 3))
    observed[1, 2] = 9.0
    p = max_statistic(observed, null).p_value
    assert np.argwhere(p <= 0.05).tolist() == [[1, 2]]
    assert p.min() == 1 / 40


def test_a_head_that_does_not_vary_over_nulls_has_p_one_and_an_unknown_head_has_none():
    null = np.random.default_rng(6).standard_normal((20, 3))
    null[:, 1] = 0.3
    p = max_statistic([np.nan, 0.4, 0.0], null).p_value
    assert np.isnan(p[0])
    assert p[1] == 1


def test_where_no_head_varies_over_nulls_the_band_is_their_mean():
    """For example in a network whose attention depends on positions only."""
    band = max_statistic([0.25, 0.5], np.tile([0.25, 0.125], (20, 1)))
    np.testing.assert_array_equal(band.upper, [0.25, 0.125])
    np.testing.assert_array_equal(band.p_value, [1, 1])


@pytest.mark.parametrize(("n", "shape"), [(18, 4), (19, 5)])
def test_too_few_nulls_and_nulls_of_another_shape_are_refused(n, shape):
    with pytest.raises(NullError, match=r"needs 19 nulls, got 18|\(5,\)"):
        max_statistic(np.zeros(4), np.zeros((n, shape)))
