"""The regression of level 1 on responses that are known."""

from __future__ import annotations

import numpy as np
import pytest

from vitime_cache.arrays import Floats
from vitime_cache.evidence.levels.influence import LEAST, ColumnWeights, Moments

PERIOD, HISTORY, FUTURE = 5.0, 20, np.arange(21, 30)


def moments(by_column: Floats, gain: float = 1.0, seed: int = 0) -> tuple[Moments, float]:
    """Of responses that are `gain` times the replaced share of `by_column` (history, future), and chance."""
    weights = ColumnWeights.of(PERIOD, HISTORY, FUTURE)
    masks = np.random.default_rng(seed).random((60, HISTORY)) < 0.5
    masks = np.concatenate((masks, ~masks))
    size = np.linspace(1, 2, len(FUTURE))
    share = by_column / by_column.sum(axis=0)
    response = gain * size * (masks.astype(np.float64) @ share)
    return Moments.of(weights.replaced(masks), response, size), weights.by_chance


def test_columns_that_count_alike_give_the_share_by_chance_however_large_the_response() -> None:
    for gain in (0.5, 1.0, 2.0):
        found, chance = moments(np.ones((HISTORY, len(FUTURE))), gain)
        assert found.shares().sum() == pytest.approx(1)
        assert found.shares()[0] == pytest.approx(chance, abs=0.05)


def test_columns_whole_periods_back_alone_give_all_of_it() -> None:
    on = ColumnWeights.of(PERIOD, HISTORY, FUTURE).weights[0]
    found, _ = moments(on)
    np.testing.assert_allclose(found.shares(), (1, 0, 0), atol=1e-6)
    low, high = found.interval(seed=0)
    assert low == pytest.approx(1)
    assert high == pytest.approx(1)


def test_masks_that_explain_next_to_nothing_give_no_large_share() -> None:
    on = ColumnWeights.of(PERIOD, HISTORY, FUTURE).weights[0]
    found, _ = moments(on, gain=0.01)
    assert found.shares()[0] == pytest.approx(0.01 / LEAST)


def test_every_column_is_whole_periods_back_beside_or_elsewhere() -> None:
    for period in (2.0, 3.4, 5.0, 6.52, 9.75):
        weights = ColumnWeights.of(period, HISTORY, FUTURE).weights
        np.testing.assert_allclose(weights.sum(axis=0), 1)
        assert (weights >= 0).all()
