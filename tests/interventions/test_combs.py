from __future__ import annotations

import numpy as np
import pytest

from vitime_cache.interventions.combs import (
    CombError,
    even_keep,
    pairs_at,
    period_lags,
    token_pairs,
    with_controls,
)


def test_a_comb_holds_the_lags_within_half_a_patch_of_every_multiple() -> None:
    assert np.flatnonzero(period_lags(64, 16, 20)).tolist() == [4, 8, 12, 16]
    assert np.flatnonzero(period_lags(64, 16, 20, harmonics=False)).tolist() == [4]
    assert np.flatnonzero(period_lags(40, 16, 11)).tolist() == [2, 3, 5, 7, 8, 10]


@pytest.mark.parametrize(("period", "words"), [
    (31.0, r"spans 1\.9 patches of 16 samples .* at most 1193 samples together"),
    (0.0, "cannot be told"), (-5.0, "cannot be told"), (float("nan"), "cannot be told"),
    (float("inf"), "cannot be told"), (16 * 77.0, "beyond the longest lag of 76"),
])  # fmt: skip
def test_a_period_that_the_axis_cannot_show_says_what_would(period: float, words: str) -> None:
    with pytest.raises(CombError, match=words):
        period_lags(period, 16, 77)


@pytest.mark.parametrize("teeth", [2, 2.5, 3.93, 4, 7.7, 20, 60])
@pytest.mark.parametrize("harmonics", [True, False])
def test_no_control_touches_the_period_or_its_multiples_and_none_comes_twice(teeth: float, harmonics: bool) -> None:
    combs = with_controls(teeth * 16, 16, 77, harmonics)
    np.testing.assert_array_equal(combs.lags[0], period_lags(teeth * 16, 16, 77, harmonics))
    controls = combs.lags[1:]
    assert len(controls) >= (1 if harmonics else 25)
    assert not (controls & period_lags(teeth * 16, 16, 77)).any()
    assert not combs.lags[:, 0].any()
    assert len(np.unique(combs.lags, axis=0)) == len(combs.lags)
    assert combs.smallest_p == 1 / (1 + len(controls))


@pytest.mark.parametrize("teeth", [2, 2.5, 3.93, 8, 20])
@pytest.mark.parametrize("harmonics", [True, False])
def test_elsewhere_holds_every_past_lag_but_those_of_the_phase_of_the_comb(teeth: float, harmonics: bool) -> None:
    combs = with_controls(teeth * 16, 16, 77, harmonics)
    assert not combs.elsewhere[:, 0].any()
    assert not (combs.elsewhere & combs.lags).any()
    if teeth == int(teeth):
        lag = np.arange(77)
        for comb, elsewhere in zip(combs.lags, combs.elsewhere, strict=True):
            same_phase = (lag - comb.argmax()) % int(teeth) == 0
            np.testing.assert_array_equal(elsewhere, (lag > 0) & ~same_phase)
    own = period_lags(teeth * 16, 16, 77)
    np.testing.assert_array_equal(combs.elsewhere[0][1:], ~own[1:])  # of the period itself: all but its multiples


def test_a_comb_has_one_control_for_each_other_phase_and_no_more_than_asked_for() -> None:
    assert len(with_controls(8 * 16, 16, 77).lags) == 1 + 7
    assert len(with_controls(8 * 16, 16, 77, n=3).lags) == 1 + 3
    assert len(with_controls(8 * 16, 16, 77, n=0).lags) == 1
    assert len(with_controls(8 * 16, 16, 77, harmonics=False).lags) == 1 + 54  # 1 … 61, of which 7 are multiples
    same, other = (with_controls(8 * 16, 16, 77, False, 9, seed).lags for seed in (1, 2))
    assert not np.array_equal(same, other)
    np.testing.assert_array_equal(same, with_controls(8 * 16, 16, 77, False, 9, 1).lags)


def test_pairs_are_query_less_key_and_the_same_for_every_token_row() -> None:
    lags = np.zeros(5, dtype=bool)
    lags[[0, 2]] = True
    pairs = pairs_at(lags)
    assert {(int(q), int(k)) for q, k in np.argwhere(pairs)} == {(2, 0), (3, 1), (4, 2)}  # a lag of 0 is never masked
    tokens = token_pairs(pairs, 3)
    assert tokens.shape == (15, 5)
    for token in range(15):
        np.testing.assert_array_equal(tokens[token], pairs[token % 5])


def test_as_much_is_taken_elsewhere_from_every_query_and_evenly() -> None:
    rng = np.random.default_rng(0)
    mass = rng.dirichlet(np.ones(21), 40)[:, 1:]
    own = np.zeros(20, bool)
    own[[4, 8]] = True
    removed = mass[:, own].sum(-1)
    keep = even_keep(mass, removed, np.tile(~own, (3, 40, 1)))
    assert keep.shape == (3, 40, 20)
    np.testing.assert_allclose((mass * (1 - keep)).sum(-1), np.tile(removed, (3, 1)), rtol=1e-5)
    assert (keep[..., own] == 1).all()
    assert np.ptp(keep[..., ~own], axis=-1).max() == 0


def test_a_query_without_enough_attention_elsewhere_loses_all_of_it_and_one_without_any_loses_nothing() -> None:
    mass = np.array([[0.9, 0.05, 0.02, 0.0], [0.0, 0.0, 0.0, 0.0]])
    keep = even_keep(mass, mass[:, 0], np.array([[False, True, True, True]] * 2))
    np.testing.assert_array_equal(keep[0], [1, 0, 0, 0])
    np.testing.assert_array_equal(keep[1], 1)
