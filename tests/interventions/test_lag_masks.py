from __future__ import annotations

import numpy as np
import pytest

from vitime_cache.interventions.lag_masks import (
    LagMaskError,
    at_phase,
    beside_whole_periods,
    comb,
    lag_mask,
    multiples,
    one_multiple,
    other_phases,
    pairs_at,
    token_pairs,
    whole_periods,
)

PERIODS = [2, 2.5, 3.1, 3.93, 4, 5, 6.52, 7.7, 20, 60]


def lags(mask: np.ndarray) -> list[int]:
    return np.flatnonzero(mask).tolist()


def test_whole_periods_are_the_patches_that_hold_samples_whole_periods_back() -> None:
    assert lags(whole_periods(5, 20)) == [5, 10, 15]
    assert lags(whole_periods(6.5, 20)) == [6, 7, 13, 19]  # 19.5 lies in patches 19 and 20
    assert lags(whole_periods(3.9, 13)) == [3, 4, 7, 8, 11, 12]
    assert multiples(5, 20) == 3
    assert multiples(6.52, 77) == 11  # 12 periods are 78.2 patches
    assert multiples(60, 40) == 0


@pytest.mark.parametrize("period", PERIODS)
def test_each_multiple_is_a_part_of_whole_periods_and_together_they_are_all(period: float) -> None:
    each = [one_multiple(period, k, 77) for k in range(1, multiples(period, 77) + 1)]
    np.testing.assert_array_equal(np.sum(each, axis=0), whole_periods(period, 77))
    assert not whole_periods(period, 77)[0]


@pytest.mark.parametrize("period", PERIODS)
def test_other_phases_share_no_lag_with_whole_periods(period: float) -> None:
    assert len(other_phases(period)) >= 1
    for offset in other_phases(period):
        mask = at_phase(period, offset, 77)
        assert mask.any()
        assert not (mask & whole_periods(period, 77)).any()
        assert not mask[0]
        distance = np.abs(np.flatnonzero(mask) - offset)
        assert (np.abs(distance - period * np.rint(distance / period)) < 0.95).all()


@pytest.mark.parametrize("period", PERIODS)
def test_lags_beside_whole_periods_are_those_between_them_and_other_phases(period: float) -> None:
    beside = np.flatnonzero(beside_whole_periods(period, 77))
    if period < 3.8:
        assert not beside.size
        return
    others = np.any([at_phase(period, offset, 77) for offset in other_phases(period)], axis=0)
    off = np.abs(beside - period * np.rint(beside / period))
    assert ((off >= 0.95) & (off < 1.9)).all()
    rest = ~whole_periods(period, 77) & ~others
    assert set(np.flatnonzero(rest[int(np.ceil(period / 2)) :]) + int(np.ceil(period / 2))) <= set(beside.tolist())


def test_of_a_short_period_half_of_it_is_the_only_other_phase() -> None:
    assert other_phases(3.7).tolist() == [1.85]
    assert other_phases(5).tolist() == [2, 3]
    assert other_phases(6.52).tolist() == [2, 3, 4]


def test_a_comb_holds_the_lags_within_half_a_patch_of_every_multiple() -> None:
    assert lags(comb(64, 16, 20)) == [4, 8, 12, 16]
    assert lags(comb(64, 16, 20, harmonics=False)) == [4]
    assert lags(comb(40, 16, 11)) == [2, 3, 5, 7, 8, 10]


@pytest.mark.parametrize(("period", "words"), [
    (31.0, r"spans 1\.9 patches of 16 samples .* at most 1193 samples together"),
    (0.0, "cannot be told"), (-5.0, "cannot be told"), (float("nan"), "cannot be told"),
    (float("inf"), "cannot be told"), (16 * 77.0, "beyond the longest lag of 76"),
])  # fmt: skip
def test_a_period_that_the_axis_cannot_show_says_what_would(period: float, words: str) -> None:
    with pytest.raises(LagMaskError, match=words):
        comb(period, 16, 77)


def test_lags_are_given_in_patches_in_any_order() -> None:
    np.testing.assert_array_equal(lag_mask([3, 1, 3], 5), [False, True, False, True, False])
    for wrong in ([], [0], [5], [1.5], [[1]], "1", None, [True]):
        with pytest.raises(LagMaskError, match="lags"):
            lag_mask(wrong, 5)


def test_pairs_are_query_less_key_and_the_same_for_every_token_row() -> None:
    some = np.zeros(5, dtype=bool)
    some[[0, 2]] = True
    pairs = pairs_at(some)
    assert {(int(q), int(k)) for q, k in np.argwhere(pairs)} == {(2, 0), (3, 1), (4, 2)}  # a lag of 0 is never masked
    tokens = token_pairs(pairs, 3)
    assert tokens.shape == (15, 5)
    for token in range(15):
        np.testing.assert_array_equal(tokens[token], pairs[token % 5])
