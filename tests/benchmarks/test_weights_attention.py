from __future__ import annotations

import numpy as np
import pytest

from benchmarks.weights_attention import (
    CHOSEN_ON,
    MEASURED_ON,
    SEEN_WELL,
    SweepCurves,
    full_against_reduced,
    tracking,
    whole_periods,
    whole_periods_back,
)
from vitime_cache.arrays import Floats
from vitime_cache.model.network import ViTime

COLUMNS, SAMPLES_PER_PATCH = 77, 16.0
LAG = np.arange(-(COLUMNS - 1), COLUMNS)
HEADS = ("one back", "three back", "half back", "fixed lag", "flat")


def planted(periods: Floats) -> Floats:
    """(period, layer, head, L): curves of the heads named above in one layer."""
    steps = periods / SAMPLES_PER_PATCH
    looks = np.stack([steps, 3 * steps, 1.5 * steps, np.full_like(steps, 30.4)])  # lags in patches
    bumps = 1 + 2 * np.exp(-0.5 * ((LAG - looks[..., None]) / 0.5) ** 2)  # (head, period, L)
    return np.moveaxis(np.concatenate((bumps, np.ones_like(bumps[:1]))), 0, 1)[:, None]


@pytest.fixture(scope="module")
def curves() -> SweepCurves:
    measured = np.stack([planted(MEASURED_ON)] * 5)
    flat = np.ones((3, 1, len(HEADS), len(LAG)))
    return SweepCurves(["encoder.0"], LAG, SAMPLES_PER_PATCH, flat, planted(CHOSEN_ON), measured)


def test_heads_that_look_whole_periods_back_are_told_from_those_that_look_elsewhere(curves: SweepCurves) -> None:
    share, chance = whole_periods_back(curves)
    back = dict(zip(HEADS, share[0], strict=True))
    assert back["one back"] == 1
    assert back["three back"] > 0.7, "three of the longest periods are beyond the axis"
    assert back["half back"] == back["flat"] == 0
    assert back["fixed lag"] < 0.5
    periods = MEASURED_ON[MEASURED_ON >= SEEN_WELL * SAMPLES_PER_PATCH]
    drawn = np.random.default_rng(0).uniform(0, 1, (20_000, 1)) * 40 * periods / SAMPLES_PER_PATCH
    off = np.abs(drawn - np.round(drawn / (periods / SAMPLES_PER_PATCH)) * periods / SAMPLES_PER_PATCH)
    assert chance == pytest.approx((off <= 0.5).mean(), abs=0.01)


def test_the_first_peak_finds_the_head_one_period_back_alone(curves: SweepCurves) -> None:
    for line in tracking(curves):
        assert "encoder.0 head 0: slope 1.0" in line
        assert "R² 1.0" in line or "R² 0.99" in line
    (line,) = whole_periods(curves)
    assert line.startswith("    strongest peak whole periods back on 90% of the signals or more (a random lag: 13%): ")
    assert "of 5 heads: encoder.0 0" in line


def test_a_network_without_any_peak_is_reported_as_that() -> None:
    flat = np.ones((15, 1, 2, len(LAG)))
    curves = SweepCurves(["encoder.0"], LAG, SAMPLES_PER_PATCH, flat[:3], flat[:12], np.stack([flat] * 5))
    for line in tracking(curves):
        assert line.endswith("no head has a peak at three or more periods")
    (line,) = whole_periods(curves)
    assert line.endswith(": 0 of 2 heads")


def test_full_against_reduced_names_a_head_of_the_network(golden_model: ViTime) -> None:
    (line,) = full_against_reduced(golden_model)
    assert line.startswith("(b) ")
    assert line.split(" head ")[0].removeprefix("(b) ") in golden_model.config.layers
