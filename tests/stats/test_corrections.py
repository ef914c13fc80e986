"""Corrections over heads, and what few windows can say."""

import warnings

import numpy as np
import pytest

from vitime_cache.evidence.verdict import schema as v
from vitime_cache.evidence.verdict.schema import three_values
from vitime_cache.stats.corrections import holm, interval_over_windows, sign_flip_p


def test_holm_is_the_textbooks_and_leaves_out_what_was_not_asked():
    np.testing.assert_allclose(holm([0.01, 0.04, 0.03, 0.005]), [0.03, 0.06, 0.06, 0.02])
    corrected = holm([[0.01, 0.02], [np.nan, 0.001]], [[True, True], [True, False]])
    np.testing.assert_allclose(corrected, [[0.02, 0.02], [np.nan, np.nan]])
    assert holm([]).shape == (0,)


def test_under_the_null_any_head_is_called_at_five_windows_or_more_as_often_as_the_level_says():
    rng = np.random.default_rng(0)
    p = [sign_flip_p(rng.standard_normal((8, 20)) * np.linspace(0.1, 5, 20)).min() for _ in range(300)]
    assert (np.array(p) <= 0.05).mean() < 0.08


def test_a_head_with_the_same_sign_in_every_window_gets_the_smallest_p_there_is():
    effect = np.abs(np.random.default_rng(1).standard_normal((6, 1)))
    assert sign_flip_p(effect) == pytest.approx([1 / 64])
    assert np.isnan(sign_flip_p(effect[:4])).all()


def test_an_interval_over_windows_holds_the_mean_and_takes_three_windows():
    rng = np.random.default_rng(2)
    hits = 0
    for _ in range(200):
        low, high = interval_over_windows(1 + rng.standard_normal((12, 1)), draws=400)
        hits += bool(low[0] < 1 < high[0])
    assert hits > 170
    assert np.isnan(interval_over_windows(np.ones((2, 3)))[0]).all()


def test_what_is_neither_shown_nor_ruled_out_is_inconclusive_and_what_was_not_asked_not_tested():
    yes, no = np.array([True, False, False, True]), np.array([False, True, False, False])
    asked = np.array([True, True, True, False])
    assert three_values(yes, no, asked).tolist() == [v.SUPPORTED, v.NOT_SUPPORTED, v.INCONCLUSIVE, v.NOT_TESTED]


def test_a_head_without_a_value_in_every_window_has_no_p_and_moves_no_other_and_nothing_warns():
    effect = np.abs(np.random.default_rng(1).standard_normal((6, 3)))
    effect[2, 1], effect[:, 2] = np.nan, np.nan
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        np.testing.assert_allclose(sign_flip_p(effect), [1 / 64, np.nan, np.nan])
        assert np.isnan(sign_flip_p(effect[:, 1:])).all()
