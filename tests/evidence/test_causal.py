"""From effects and their controls to a verdict."""

import numpy as np
import pytest
from scipy.stats import t as student

from vitime_cache.evidence.causal import judge_interventions, outlier_p


def effects(rng, heads: int = 12, controls: int = 99, windows: int = 1, gain: float = 1.0):
    """mask, controls, comb, its other phases, knockout: heads of all strengths whose period is nothing special.

    Masks do `gain` times what taking as much attention elsewhere does, at every lag.
    """
    size = 0.1 * np.exp(rng.standard_normal((1, heads)))

    def draw(*shape: int) -> np.ndarray:
        return size * np.exp(0.5 * rng.standard_normal((*shape, 4, 1, heads)))

    def masked(*shape: int) -> np.ndarray:
        return np.stack((gain * draw(*shape), draw(*shape)))

    return [masked(windows), masked(windows, controls), draw(windows), draw(windows, 4), draw(windows)]


@pytest.mark.parametrize("gain", [1.0, 5.0])
def test_heads_whose_period_is_nothing_special_are_called_about_as_often_as_the_level_says(gain: float):
    """Even where a mask does more than taking as much elsewhere, as it does where attention is concentrated."""
    rng = np.random.default_rng(0)
    called = [judge_interventions(*effects(rng, gain=gain)).supported(0.05).any() for _ in range(200)]
    assert np.mean(called) < 0.09


def test_more_attention_at_the_period_alone_carries_nothing():
    """A head that looks there and reads nothing in particular: as much taken elsewhere does as much."""
    mask, controls, comb, phases, knockout = effects(np.random.default_rng(1))
    mask[:, 0, :, 0, 3] = comb[0, :, 0, 3] = 40 * controls[0, 0, :, :, 0, 3].mean(axis=0)
    assert not judge_interventions(mask, controls, comb, phases, knockout).by_lags(0.05).any()


def test_a_head_that_the_forecast_uses_through_the_period_is_supported_by_its_lags_alone():
    mask, controls, comb, phases, knockout = effects(np.random.default_rng(1))
    mask[0, 0, :, 0, 3] = comb[0, :, 0, 3] = 40 * controls[0, 0, :, :, 0, 3].mean(axis=0)
    found = judge_interventions(mask, controls, comb, phases, knockout)
    assert np.argwhere(found.by_lags(0.05)).tolist() == [[0, 3]]
    assert not found.by_head(0.05).any()
    assert found.mask_p[0, 0, 3] == 0.01
    np.testing.assert_array_equal(found.mask, mask[0, 0, 0])


def test_a_head_that_matters_without_looking_is_supported_as_a_whole():
    *masked, knockout = effects(np.random.default_rng(2))
    knockout[0, 0, 0, 5] = 60.0
    found = judge_interventions(*masked, knockout)
    assert np.argwhere(found.by_head(0.05)).tolist() == [[0, 5]]
    assert found.rank[0, 5] == 1


def test_an_effect_too_small_to_matter_is_refuted_and_a_large_one_that_controls_share_is_left_open():
    rng = np.random.default_rng(3)
    assert judge_interventions(*(0.01 * x / x.max() for x in effects(rng))).refuted().all()
    found = judge_interventions(*effects(rng))
    assert not (found.supported(0.05) | found.refuted()).all()


def test_copiers_whose_controls_all_do_nothing_are_found():
    rng = np.random.default_rng(4)
    mask, controls, comb, phases, knockout = effects(rng)
    controls[..., 0] = phases[..., 0] = 0.0
    mask[0, ..., 0] = comb[..., 0] = 0.5
    mask[1, ..., 0] = 0.0
    assert judge_interventions(mask, controls, comb, phases, knockout).by_lags(0.05)[0, 0]


def test_a_comb_that_another_phase_matches_carries_nothing():
    mask, controls, comb, phases, knockout = effects(np.random.default_rng(4))
    mask[0, ..., 0] = 50.0
    comb[..., 0], phases[:, 2, ..., 0] = 0.5, 0.6
    found = judge_interventions(mask, controls, comb, phases, knockout)
    assert found.mask_p[0, 0, 0] == 0.01
    assert not found.by_lags(0.05)[0, 0]


def test_two_controls_settle_nothing_and_neither_do_heads_that_were_not_tested():
    mask, *others = effects(np.random.default_rng(5), controls=2)
    mask[0] = 100.0
    found = judge_interventions(mask, *others)
    assert np.isnan(found.mask_p).all()
    assert not found.by_lags(0.05).any()
    untested = effects(np.random.default_rng(6))
    for each in untested:
        each[..., 2] = np.nan
    found = judge_interventions(*untested)
    assert np.isnan(found.p_value[0, 2])
    assert not found.supported(0.05)[0, 2]
    assert not found.refuted()[0, 2]


def test_with_five_windows_an_effect_in_one_of_them_alone_does_not_carry_the_verdict():
    rng = np.random.default_rng(7)
    mask, controls, comb, phases, knockout = effects(rng, windows=6)
    mask[0, 0, :, 0, 1] = comb[0, :, 0, 1] = 1e12 * mask[0, 0, :, 0, 1]
    found = judge_interventions(mask, controls, comb, phases, knockout)
    assert found.mask_p[0, 0, 1] <= 0.05
    assert not found.by_lags(0.05)[0, 1]


def test_the_outlier_test_is_the_externally_studentised_residual():
    logs = np.random.default_rng(8).standard_normal(20)
    others = np.delete(logs, 4)
    t = (logs[4] - others.mean()) / (others.std(ddof=1) * np.sqrt(1 + 1 / 19))
    p = outlier_p(np.exp(logs))
    single = student.sf(t, 18)
    assert p[4] >= single
    assert p[4] <= min(20 * single, 1) + 1e-12
    rng = np.random.default_rng(9)
    assert np.mean([outlier_p(np.exp(rng.standard_normal(48))).min() <= 0.05 for _ in range(400)]) == pytest.approx(
        0.05, abs=0.035
    )


def test_more_windows_never_take_a_claim_away_that_they_are_too_few_to_test():
    mask, controls, comb, phases, knockout = effects(np.random.default_rng(1), windows=5, controls=399)
    mask[0, :, :, 0, 3] = comb[:, :, 0, 3] = 40 * controls[0, :, :, :, 0, 3].mean(axis=(0, 1))
    found = judge_interventions(mask, controls, comb, phases, knockout)
    assert found.windows_p[0, 3] > 0.01  # five signs cannot give less than 0.031
    for level in (0.05, 0.01):
        assert np.argwhere(found.by_lags(level)).tolist() == [[0, 3]]
