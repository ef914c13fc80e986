from __future__ import annotations

import numpy as np
import pytest

from vitime_cache.evidence.combs import (
    CombError,
    control_combs,
    matched_keep,
    pairs_at,
    period_lags,
    token_pairs,
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
    controls = control_combs(teeth * 16, 16, 77, harmonics)
    assert len(controls.lags) >= (1 if harmonics else 25)
    assert not (controls.lags & period_lags(teeth * 16, 16, 77)).any()
    assert not controls.lags[:, 0].any()
    assert len(np.unique(controls.lags, axis=0)) == len(controls.lags)
    assert controls.smallest_p == 1 / (1 + len(controls.lags))
    assert (controls.spare >= controls.lags).all()


def test_a_comb_has_one_control_for_each_other_phase_and_no_more_than_asked_for() -> None:
    assert len(control_combs(8 * 16, 16, 77).lags) == 7
    assert len(control_combs(8 * 16, 16, 77, n=3).lags) == 3
    assert len(control_combs(8 * 16, 16, 77, harmonics=False).lags) == 67
    same, other = (control_combs(8 * 16, 16, 77, False, 9, seed).lags for seed in (1, 2))
    assert not np.array_equal(same, other)
    np.testing.assert_array_equal(same, control_combs(8 * 16, 16, 77, False, 9, 1).lags)


def test_pairs_are_query_less_key_and_the_same_for_every_token_row() -> None:
    lags = np.zeros(5, dtype=bool)
    lags[[0, 2]] = True
    pairs = pairs_at(lags)
    assert {(int(q), int(k)) for q, k in np.argwhere(pairs)} == {(2, 0), (3, 1), (4, 2)}  # a lag of 0 is never masked
    tokens = token_pairs(pairs, 3)
    assert tokens.shape == (15, 5)
    for token in range(15):
        np.testing.assert_array_equal(tokens[token], pairs[token % 5])


def test_a_control_takes_as_much_from_every_query_as_the_period_does() -> None:
    rng = np.random.default_rng(0)
    mass = rng.dirichlet(np.ones(21), 40)[:, 1:]
    own, comb, spare = np.zeros(20, bool), np.zeros(20, bool), np.ones(20, bool)
    own[[4, 8]], comb[[5, 9]] = True, True
    spare[own] = False
    removed = mass[:, own].sum(-1)
    keep = matched_keep(mass, removed, np.tile(comb, (40, 1)), np.tile(spare, (40, 1)))
    np.testing.assert_allclose((mass * (1 - keep)).sum(-1), removed, rtol=1e-5)
    assert (keep[:, own] == 1).all()
    enough = mass[:, comb].sum(-1) >= removed
    assert enough.any()
    assert not enough.all()
    assert (keep[enough][:, ~comb] == 1).all()  # the spare lags are touched only where the comb does not suffice
    assert (keep[~enough][:, comb] == 0).all()


def test_a_query_without_enough_attention_elsewhere_loses_all_of_it_and_one_without_any_loses_nothing() -> None:
    mass = np.array([[0.9, 0.05, 0.02, 0.0], [0.0, 0.0, 0.0, 0.0]])
    comb, spare = np.array([[False, True, False, False]] * 2), np.array([[False, True, True, True]] * 2)
    keep = matched_keep(mass, mass[:, 0], comb, spare)
    np.testing.assert_array_equal(keep[0], [1, 0, 0, 1 - 1 + 0])
    np.testing.assert_array_equal(keep[1], 1)
