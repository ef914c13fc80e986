from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from vitime_cache.stats.intervals import (
    MeanWithError,
    held_against,
    proportion_interval,
    pseudo_values,
    ratio_interval,
)


def test_the_interval_of_a_mean_is_students() -> None:
    x = np.random.default_rng(0).normal(3, 2, (7, 4))
    found = MeanWithError.of(x).interval(0.05)
    low, high = stats.t.interval(0.9, 6, x.mean(axis=0), stats.sem(x, axis=0))
    np.testing.assert_allclose(found.low, low)
    np.testing.assert_allclose(found.high, high)


def test_missing_replicates_are_ignored_and_one_replicate_has_an_infinite_interval() -> None:
    x = np.array([[1.0, 5.0, np.nan], [2.0, np.nan, np.nan], [4.0, np.nan, np.nan]])
    mean = MeanWithError.of(x)
    np.testing.assert_allclose(mean.value, [7 / 3, 5, np.nan])
    assert mean.error[0] == pytest.approx(stats.sem(x[:, 0]))
    found = mean.interval(0.05)
    assert (found.low[1], found.high[1]) == (-np.inf, np.inf)
    assert np.isnan(found.low[2])


def test_the_interval_of_a_proportion_is_where_neither_tail_is_rarer_than_half_the_level() -> None:
    for count, n, level in ((0, 9, 0.05), (3, 9, 0.05), (9, 9, 0.05), (17, 40, 0.2)):
        low, high = proportion_interval(count, n, level)
        assert (low == 0) if count == 0 else stats.binom.sf(count - 1, n, low) == pytest.approx(level / 2, rel=1e-6)
        assert (high == 1) if count == n else stats.binom.cdf(count, n, high) == pytest.approx(level / 2, rel=1e-6)


def test_a_proportion_of_nothing_can_be_anything() -> None:
    assert proportion_interval(0, 0) == (0.0, 1.0)


def test_pseudo_values_of_a_mean_are_the_values_and_the_ratio_of_equal_denominators_is_a_mean() -> None:
    x = np.random.default_rng(1).standard_normal(9)
    np.testing.assert_allclose(pseudo_values(x.mean(), (x.sum() - x) / 8), x)
    found = ratio_interval(3 * x, np.full(9, 3.0), 0.05)
    np.testing.assert_allclose([found.value, found.low], [x.mean(), MeanWithError.of(x).interval(0.05).low])


def test_the_ratio_interval_covers_the_ratio_of_means() -> None:
    rng = np.random.default_rng(2)
    missed = 0
    for _ in range(400):
        size = rng.gamma(4, 1, 8)
        found = ratio_interval(0.7 * size + 0.3 * rng.standard_normal(8), size, 0.05)
        missed += not found.low < 0.7 < found.high
    assert missed < 70  # a tenth of 400 is 40, three standard errors more 58


def test_a_mean_is_decided_exactly_where_its_interval_excludes_the_margin() -> None:
    rng = np.random.default_rng(3)
    x = rng.normal(rng.uniform(-1, 1, 30), 0.5, (10, 30))
    asked = np.ones(30, dtype=bool)
    found = held_against(0.1, MeanWithError.of(x), asked, 0.05)
    p = stats.t.sf(np.abs(x.mean(0) - 0.1) / stats.sem(x), 9)
    ordered = np.sort(p)
    stop = next((i for i, each in enumerate(ordered) if each >= 0.05 / (30 - i)), 30)
    decided = p < (ordered[stop] if stop < 30 else 1)
    np.testing.assert_array_equal((found.low > 0.1) | (found.high < 0.1), decided)
    assert 0 < decided.sum() < 30
    # One by one, by Bonferroni, as many or fewer are decided.
    single = MeanWithError.of(x).interval(0.05 / 30)
    assert ((single.low > 0.1) | (single.high < 0.1)).sum() <= decided.sum()


def test_errors_over_all_means_together_keep_the_level() -> None:
    rng = np.random.default_rng(4)
    wrong = 0
    for _ in range(400):
        truth = np.array([0.1] * 15 + [2.0] * 5 + [-2.0] * 5)  # fifteen on the margin itself
        found = held_against(0.1, MeanWithError.of(rng.normal(truth, 1, (8, 25))), np.ones(25, dtype=bool), 0.05)
        wrong += bool(((found.low > 0.1) & (truth <= 0.1)).any())
    assert wrong / 400 < 0.05 + 3 * (0.05 * 0.95 / 400) ** 0.5


def test_an_unknown_mean_counts_in_the_correction_and_one_without_spread_is_decided() -> None:
    x = np.stack([np.zeros(4), np.full(4, 0.5), np.full(4, np.nan)], axis=1)
    found = held_against(0.02, MeanWithError.of(x), np.array([True, True, True]), 0.05)
    assert found.high[0] < 0.02 < found.low[1]
    assert np.isnan(found.low[2])
