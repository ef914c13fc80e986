"""The influence level: the regression on masks against closed forms, and what it finds in planted networks."""

from __future__ import annotations

import numpy as np
import pytest

from vitime_cache.evidence.levels.influence import LEAST, ColumnWeights, Moments, one_patch_replaced


def masks(n: int, history: int, seed: int = 0) -> np.ndarray:
    half = np.random.default_rng(seed).random((n, history)) < 0.5
    return np.concatenate((half, ~half))


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


def response(influence: np.ndarray, masks: np.ndarray, size: np.ndarray) -> np.ndarray:
    """A linear forecast: each future patch follows history patches by `influence` (history, future), summing to 1."""
    return masks @ influence * size


@pytest.mark.parametrize("share", [1.0, 0.84, 0.2, 0.0])
def test_the_shares_of_a_linear_forecast_are_found_exactly_and_sum_to_one(share: float) -> None:
    weights = ColumnWeights.of(5, 40, np.arange(41, 60))
    on, near, far = (each / each.sum(axis=0) for each in weights.weights)
    influence = share * on + 0.6 * (1 - share) * near + 0.4 * (1 - share) * far
    size = np.random.default_rng(1).gamma(2, 1, 19)
    z = masks(20, 40)
    found = Moments.of(weights.replaced(z), response(influence, z, size), size)
    np.testing.assert_allclose(found.shares(), [share, 0.6 * (1 - share), 0.4 * (1 - share)], atol=1e-6)
    low, high = found.interval(0)
    assert high - low < 1e-6


def test_columns_that_count_alike_give_the_share_by_chance_however_large_the_response() -> None:
    weights = ColumnWeights.of(5, 40, np.arange(41, 60))
    z, size = masks(60, 40), np.linspace(1, 2, 19)
    for gain in (0.5, 1.0, 2.0):
        found = Moments.of(weights.replaced(z), gain * response(np.full((40, 19), 1 / 40), z, size), size).shares()
        assert found.sum() == pytest.approx(1)
        assert found[0] == pytest.approx(weights.by_chance, abs=0.05)


def test_masks_that_explain_next_to_nothing_give_no_large_share() -> None:
    weights = ColumnWeights.of(5, 40, np.arange(41, 60))
    on = weights.weights[0] / weights.weights[0].sum(axis=0)
    z, size = masks(60, 40), np.ones(19)
    found = Moments.of(weights.replaced(z), 0.01 * response(on, z, size), size)
    assert found.shares()[0] == pytest.approx(0.01 / LEAST)


def test_what_two_patches_do_together_averages_out_over_a_mask_and_its_complement() -> None:
    rng = np.random.default_rng(2)
    weights = ColumnWeights.of(5, 40, np.arange(41, 60))
    on, _, far = (each / np.maximum(each.sum(axis=0), 1e-9) for each in weights.weights)
    size = np.ones(19)
    both = rng.standard_normal((40, 40, 19)) * 0.02
    both = both + both.transpose(1, 0, 2)

    def estimate(z: np.ndarray) -> float:
        centred = z - 0.5  # an even term: the same for a mask and its complement
        y = response(0.7 * on + 0.3 * far, z, size) + np.einsum("ni,nj,ijf->nf", centred, centred, both)
        return float(Moments.of(weights.replaced(z), y, size).shares()[0])

    paired = np.std([estimate(masks(24, 40, seed)) for seed in range(30)])
    single = np.std([estimate(np.random.default_rng(seed).random((48, 40)) < 0.5) for seed in range(30)])
    assert paired < 0.75 * single


def test_the_interval_covers_the_share_and_a_forecast_that_follows_all_alike_is_at_chance() -> None:
    rng = np.random.default_rng(3)
    weights = ColumnWeights.of(5, 40, np.arange(41, 60))
    size = np.ones(19)
    even = np.full((40, 19), 1 / 40)
    missed = above = 0
    for seed in range(60):
        z = masks(48, 40, seed)
        y = response(even, z, size) + 0.3 * rng.standard_normal((96, 19))
        low, high = Moments.of(weights.replaced(z), y, size).interval(seed)
        missed += not low <= weights.by_chance <= high
        above += low > weights.by_chance
    assert missed <= 13  # of 60 six are expected, three standard errors more are 13
    assert above <= 8


def test_masks_that_say_nothing_of_the_response_find_nothing() -> None:
    weights = ColumnWeights.of(5, 40, np.arange(41, 60))
    on = weights.weights[0] / weights.weights[0].sum(axis=0)
    z = masks(60, 40)
    shuffled = np.random.default_rng(4).permutation(len(z))
    found = Moments.of(weights.replaced(z), response(on, z[shuffled], np.ones(19)), np.ones(19))
    low, high = found.interval(0)
    assert low < weights.by_chance + 0.35
    assert high - low > 0.1
    straight = Moments.of(weights.replaced(z), response(on, z, np.ones(19)), np.ones(19)).shares()[0]
    assert abs(straight - 1) < abs(found.shares()[0] - 1)


@pytest.mark.parametrize(("share", "noise", "stands"), [(0.9, 0.3, True), (0.0, 0.3, True), (0.9, 6, False)])
def test_the_first_look_is_enough_only_where_the_answer_stands(share: float, noise: float, stands: bool) -> None:
    weights = ColumnWeights.of(5, 40, np.arange(41, 60))
    on, _, far = (each / np.maximum(each.sum(axis=0), 1e-9) for each in weights.weights)
    z, size = masks(48, 40), np.ones(19)
    y = response(share * on + (1 - share) * far, z, size)
    y += noise * np.random.default_rng(7).standard_normal(y.shape)
    assert Moments.of(weights.replaced(z), y, size).stands(0, weights.by_chance) == stands


def test_a_first_look_ends_it_by_error_hardly_ever() -> None:
    """Where the truth is chance, which is where the answer turns, an end at the first look is an error."""
    weights = ColumnWeights.of(5, 40, np.arange(41, 60))
    rng, size, even = np.random.default_rng(8), np.ones(19), np.full((40, 19), 1 / 40)
    ended = 0
    for seed in range(60):
        z = masks(48, 40, seed)
        y = response(even, z, size) + 0.3 * rng.standard_normal((96, 19))
        ended += Moments.of(weights.replaced(z), y, size).stands(seed, weights.by_chance)
    assert ended <= 3  # of 60 a fifth of one is expected, with few masks somewhat more


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
