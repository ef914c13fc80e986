"""The influence level: the regression on masks against closed forms, and what it finds in planted networks."""

from __future__ import annotations

import numpy as np
import pytest

from vitime_cache.evidence.levels.influence import one_patch_replaced
from vitime_cache.evidence.levels.mask_regression import FOLDS, LEAST, ColumnWeights, MaskedRuns, Moments, regress

HISTORY, FUTURE = 40, 19
WEIGHTS = ColumnWeights.of(5, HISTORY, np.arange(HISTORY + 1, HISTORY + 1 + FUTURE))
ON, NEAR, FAR = WEIGHTS.parts
ONES = np.ones(FUTURE)
EVEN = np.full((HISTORY, FUTURE), 1 / HISTORY)


def masks(pairs: int, seed: int = 0) -> np.ndarray:
    """Pairs of a mask and its complement, (pairs, 2, history)."""
    half = np.random.default_rng(seed).random((pairs, HISTORY)) < 0.5
    return np.stack((half, ~half), axis=1)


def forecast(influence: np.ndarray, masks: np.ndarray, size: np.ndarray = ONES, noise: float = 0) -> MaskedRuns:
    """A linear forecast: each future patch follows history patches by `influence` (history, future), summing to 1."""
    response = masks @ influence * size
    response += noise * np.random.default_rng([4, len(masks)]).standard_normal(response.shape)
    return MaskedRuns(WEIGHTS, size, masks, response)


def at_lags(*lags: int) -> np.ndarray:
    """Influence of a forecast that follows these lags alike, and no others."""
    found = np.isin(WEIGHTS.lag, lags).astype(float)
    return found / np.maximum(found.sum(axis=0), 1e-9)


@pytest.mark.parametrize("period", [2, 3.3, 3.93, 5, 6.52, 8])
def test_every_column_is_whole_periods_back_beside_or_elsewhere_in_parts_that_sum_to_one(period: float) -> None:
    found = ColumnWeights.of(period, 40, np.arange(41, 60)).weights
    np.testing.assert_allclose(found.sum(axis=0), 1)
    assert (found >= 0).all()
    lag = np.arange(41, 60) - np.arange(40)[:, None]
    exact = np.isclose(lag % period, 0) & (lag >= period)
    np.testing.assert_allclose(found[0][exact], 1)
    assert found[0][lag < period / 2].max(initial=0) == 0
    assert found[0].mean() == pytest.approx(1 / period, rel=0.15)
    assert (found[1].max() > 0) == (period >= 3.8)


@pytest.mark.parametrize("share", [1.0, 0.84, 0.2, 0.0])
@pytest.mark.parametrize("regression", [lambda runs: Moments.of([runs]), lambda runs: regress([runs])])
def test_the_shares_of_a_linear_forecast_are_found_exactly_and_sum_to_one(share: float, regression) -> None:
    influence = share * ON + 0.6 * (1 - share) * NEAR + 0.4 * (1 - share) * FAR
    size = np.random.default_rng(1).gamma(2, 1, FUTURE)
    found = regression(forecast(influence, masks(20), size))
    np.testing.assert_allclose(found.shares(), [share, 0.6 * (1 - share), 0.4 * (1 - share)], atol=1e-6)
    low, high = found.interval(0)
    assert high - low < 1e-6


def test_columns_that_count_alike_give_the_share_by_chance_however_large_the_response() -> None:
    for gain in (0.5, 1.0, 2.0):
        found = Moments.of([forecast(gain * EVEN, masks(60), np.linspace(1, 2, FUTURE))]).shares()
        assert found.sum() == pytest.approx(1)
        assert found[0] == pytest.approx(WEIGHTS.by_chance, abs=0.05)


def test_masks_that_explain_next_to_nothing_give_no_large_share() -> None:
    for found in (Moments.of([forecast(0.01 * ON, masks(60))]), regress([forecast(0.01 * ON, masks(60))])):
        assert found.shares()[0] == pytest.approx(0.01 / LEAST)


def test_what_two_patches_do_together_averages_out_over_a_mask_and_its_complement() -> None:
    both = np.random.default_rng(2).standard_normal((HISTORY, HISTORY, FUTURE)) * 0.02
    both = both + both.transpose(1, 0, 2)

    def estimate(z: np.ndarray) -> float:
        centred = z - 0.5  # an even term: the same for a mask and its complement
        runs = forecast(0.7 * ON + 0.3 * FAR, z)
        runs.response[:] += np.einsum("nmi,nmj,ijf->nmf", centred, centred, both)
        return float(Moments.of([runs]).shares()[0])

    paired = np.std([estimate(masks(24, seed)) for seed in range(30)])
    single = np.std([estimate(np.random.default_rng(seed).random((24, 2, 40)) < 0.5) for seed in range(30)])
    assert paired < 0.75 * single


def test_the_interval_covers_the_share_and_a_forecast_that_follows_all_alike_is_at_chance() -> None:
    rng = np.random.default_rng(3)
    missed = above = 0
    for seed in range(60):
        runs = forecast(EVEN, masks(48, seed))
        runs.response[:] += 0.3 * rng.standard_normal(runs.response.shape)
        low, high = regress([runs]).interval(seed)
        missed += not low <= WEIGHTS.by_chance <= high
        above += low > WEIGHTS.by_chance
    assert missed <= 13  # of 60 six are expected, three standard errors more are 13
    assert above <= 8


def test_masks_that_say_nothing_of_the_response_find_nothing() -> None:
    z = masks(60)
    true = forecast(ON, z)
    shuffled = MaskedRuns(WEIGHTS, ONES, np.random.default_rng(4).permutation(z), true.response)
    found = regress([shuffled])
    low, high = found.interval(0)
    assert low < WEIGHTS.by_chance + 0.35
    assert high - low > 0.1
    assert abs(regress([true]).shares()[0] - 1) < abs(found.shares()[0] - 1)


@pytest.mark.parametrize(("share", "noise", "stands"), [(0.9, 0.3, True), (0.0, 0.3, True), (0.9, 6, False)])
def test_the_first_look_is_enough_only_where_the_answer_stands(share: float, noise: float, stands: bool) -> None:
    runs = forecast(share * ON + (1 - share) * FAR, masks(48), noise=noise)
    assert regress([runs]).stands(0, WEIGHTS.by_chance) == stands


def test_a_first_look_ends_it_by_error_hardly_ever() -> None:
    """Where the truth is chance, which is where the answer turns, an end at the first look is an error."""
    rng = np.random.default_rng(8)
    ended = 0
    for seed in range(60):
        runs = forecast(EVEN, masks(48, seed))
        runs.response[:] += 0.3 * rng.standard_normal(runs.response.shape)
        ended += regress([runs]).stands(seed, WEIGHTS.by_chance)
    assert ended <= 3  # of 60 a fifth of one is expected, with few masks somewhat more


# What single lags explain is subtracted.

NONE_BACK, SOME_BACK = (3, 7, 13, 22), (3, 5, 12, 20)


def test_each_regressor_of_a_single_lag_is_the_mask_of_the_patch_at_that_lag() -> None:
    runs = forecast(EVEN, masks(3))
    found = runs.by_lag(HISTORY + FUTURE + 1)
    for future in range(FUTURE):
        for lag in range(found.shape[-1]):
            patch = HISTORY + 1 + future - lag
            there = 0 <= patch < HISTORY
            expected = runs.masks[:, :, patch] - 0.5 if there else np.zeros((3, 2))
            np.testing.assert_array_equal(found[:, :, future, lag], expected)


def test_what_is_subtracted_has_no_share_of_any_class_over_all_possible_masks() -> None:
    followed, size = np.random.default_rng(5).standard_normal((HISTORY, FUTURE)), np.linspace(1, 3, FUTURE)
    apart = WEIGHTS.apart(followed, size)
    runs = forecast(apart, masks(40_000), size)
    moments = Moments.of([runs])
    explained = np.linalg.solve(moments.squares.sum(axis=0), moments.products.sum(axis=0))
    np.testing.assert_allclose(explained, 0, atol=0.05)
    assert np.abs(apart).max() > 1
    np.testing.assert_allclose(WEIGHTS.apart(0.4 * ON + 0.6 * FAR, size), 0, atol=1e-9)


@pytest.mark.parametrize("lags", [NONE_BACK, SOME_BACK])
def test_the_share_stays_that_of_the_plain_regression_and_its_interval_is_half_as_wide(
    lags: tuple[int, ...],
) -> None:
    influence = at_lags(*lags)
    truth = Moments.of([forecast(influence, masks(40_000))]).shares()[0]
    plain, adjusted, width = [], [], []
    for seed in range(40):
        runs = forecast(influence, masks(48, seed), noise=0.1)
        plain.append(Moments.of([runs]).shares()[0])
        found = regress([runs])
        adjusted.append(found.shares()[0])
        low, high = found.interval(seed)
        width.append(high - low)
    assert np.std(adjusted) < 0.55 * np.std(plain)
    assert abs(np.mean(adjusted) - truth) < 3 * np.std(adjusted) / np.sqrt(40) + 0.01
    assert np.mean(width) == pytest.approx(2 * 1.645 * np.std(adjusted), rel=0.4)


def test_the_interval_covers_the_share_of_a_forecast_that_follows_single_lags() -> None:
    influence = at_lags(*SOME_BACK)
    truth = Moments.of([forecast(influence, masks(40_000))]).shares()[0]
    rng = np.random.default_rng(6)
    missed = 0
    for seed in range(60):
        runs = forecast(influence, masks(48, seed))
        runs.response[:] += 0.3 * rng.standard_normal(runs.response.shape)
        low, high = regress([runs]).interval(seed)
        missed += not low <= truth <= high
    assert missed <= 13


def test_a_response_of_noise_alone_loses_nothing_of_its_interval() -> None:
    """Single lags that explain nothing are shrunk away: subtracting them must not make noise look like an answer."""
    runs = MaskedRuns(WEIGHTS, ONES, masks(48), 3 * np.random.default_rng(7).standard_normal((48, 2, FUTURE)))
    (low, high), (plain_low, plain_high) = regress([runs]).interval(0), Moments.of([runs]).interval(0)
    assert high - low > 0.9 * (plain_high - plain_low)


def test_windows_are_regressed_together_and_their_order_changes_little() -> None:
    first, second = (forecast(at_lags(*SOME_BACK), masks(24, seed), noise=0.1) for seed in (1, 2))
    one, other = regress([first, second]).shares(), regress([second, first]).shares()
    np.testing.assert_allclose(one, other, atol=0.02)
    np.testing.assert_array_equal(regress([first.then(second)]).squares, Moments.of([first, second]).squares)


@pytest.mark.parametrize("pairs", [2, FOLDS - 1])
def test_fewer_pairs_than_folds_give_a_finite_share(pairs: int) -> None:
    assert np.isfinite(regress([forecast(at_lags(*SOME_BACK), masks(pairs))]).shares()).all()


def test_a_window_whose_forecast_nothing_changes_says_nothing() -> None:
    followed = forecast(at_lags(12, 24), masks(40), noise=0.1)
    still = forecast(at_lags(12, 24), masks(40, seed=1), size=0 * ONES)
    alone, together = regress([followed]).shares(), regress([followed, still]).shares()
    assert np.allclose(together, alone, atol=0.05)


def test_one_patch_at_a_time_comes_from_another_place_about_the_trend() -> None:
    drawn = np.random.default_rng(5).standard_normal(100) + 0.05 * np.arange(100)
    trend = np.polyval(np.polyfit(np.arange(100), drawn, 1), np.arange(100))
    found = one_patch_replaced(drawn, 16, np.random.default_rng(6))
    assert found.shape == (6, 100)  # whole patches alone
    for number, each in enumerate(found):
        here = slice(16 * number, 16 * number + 16)
        changed = each != drawn
        assert changed[here].any()
        assert not np.delete(changed, np.arange(100)[here]).any()
        rest = (each - trend)[here]
        places = [s for s in range(85) if np.allclose((drawn - trend)[s : s + 16], rest)]
        assert all(abs(place - here.start) >= 16 for place in places)
        assert places
