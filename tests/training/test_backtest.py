from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from tests.conftest import random_model, small_config
from vitime_cache.attention.capture import capture
from vitime_cache.series.signal import Signal
from vitime_cache.training.backtest import MAX_FORECASTS, Backtest, Choice, season
from vitime_cache.training.config import TrainingError
from vitime_cache.training.own_series import OwnSeries

NETWORK = small_config(context_columns=40, horizon_columns=56)
TIME = np.arange(200)
WAVE = np.sin(2 * np.pi * TIME / 20)


def own(*values: np.ndarray, hold_out: int | None = 40) -> OwnSeries:
    return OwnSeries.of([Signal(str(i), series) for i, series in enumerate(values)], hold_out=hold_out)


def test_the_stretches_are_forecast_as_a_whole_in_halves_and_in_quarters() -> None:
    for stretch, begin in (("validation", 120), ("held out", 160)):
        origins = Backtest(own(TIME.astype(float)), stretch, NETWORK).origins  # type: ignore[arg-type]
        assert [(int(o.future[0]) - begin, len(o.future)) for o in origins] == [
            (0, 40), (0, 20), (20, 20), (0, 10), (10, 10), (20, 10), (30, 10),
        ]  # fmt: skip
        for origin in origins:
            assert origin.history[-1] + 1 == origin.future[0]
            assert len(origin.history) == max(2 * len(origin.future), 32)


def test_the_error_is_that_of_the_median_that_capture_tells() -> None:
    model, values = random_model(NETWORK), WAVE + np.random.default_rng(0).normal(0, 0.2, 200)
    test = Backtest(own(values), "held out", NETWORK)
    expected = []
    for origin in test.origins:
        ds = capture(model, Signal("x", origin.history, len(origin.future)))
        median = ds["forecast_quantile"].sel(quantile=0.5).values[-len(origin.future) :]
        expected.append(np.abs(median - origin.future).mean() / values[:120].std())
    assert test.error(model) == pytest.approx(np.mean(expected), rel=1e-4)


def test_repeating_the_last_season_is_right_on_repeats_and_its_length_is_found() -> None:
    assert season(WAVE[:120]) == 20
    assert Backtest(own(WAVE), "held out", NETWORK).last_season < 1e-9
    assert season(np.arange(50.0)) == 1, "without a season the last value is repeated"
    rising = Backtest(own(np.arange(200.0)), "held out", NETWORK)
    expected = np.mean([np.arange(1, len(o.future) + 1).mean() for o in rising.origins]) / np.arange(120).std()
    assert rising.last_season == pytest.approx(expected)


@pytest.mark.parametrize(("period", "noise"), [(7, 0.05), (12, 0.05), (24, 0.3), (24, 0.5), (48, 0.1)])
def test_a_multiple_of_the_season_is_not_taken_for_it_nor_a_season_longer_than_the_history(
    period: int, noise: float
) -> None:
    time, rng = np.arange(700), np.random.default_rng(0)
    values = np.sin(2 * np.pi * time / period) + noise * rng.standard_normal(700)
    assert season(values[:580]) == pytest.approx(period, abs=1)
    test = Backtest(own(values, hold_out=60), "held out", NETWORK)
    for origin in test.origins:
        assert season(origin.series.taught, len(origin.history)) <= len(origin.history)
    assert test.last_season < 0.5 + 1.5 * noise, "repeated out of phase it is above 0.9"


def test_a_season_of_half_samples_or_of_days_in_a_week_is_not_taken_for_its_part() -> None:
    time, noise = np.arange(576), np.random.default_rng(0).standard_normal(576)
    assert season(3 * np.abs(np.sin(2 * np.pi * time / 17)) + 0.5 * noise) == 17
    assert season(np.sin(2 * np.pi * time / 24) * np.where(time // 24 % 7 < 5, 1, 0.3) + 0.1 * noise) == 168


def test_series_count_alike_whatever_their_scale() -> None:
    noisy = WAVE + np.random.default_rng(0).normal(0, 0.5, 200)
    model = random_model(NETWORK)
    errors = [Backtest(own(*series), "validation", NETWORK).error(model) for series in ((noisy,), (noisy, 1e4 * noisy))]
    assert errors[0] == pytest.approx(errors[1], rel=1e-3)


@pytest.mark.parametrize(("first", "last"), [(159, 161), (150, 165), (159, 160), (110, 170), (100, 165), (121, 199)])
def test_a_value_interpolated_across_the_cut_does_not_choose(first: int, last: int) -> None:
    """Its line leads to the first value that is held out, and would tell it."""
    errors = []
    for end in (0, 50):
        known = WAVE + end * (TIME >= 160)
        gap = np.arange(first, last)
        known[gap] = np.interp(gap, [first - 1, last], [known[first - 1], known[last]])
        signal = Signal("x", known, filled=len(gap))
        if first <= 120:  # nothing is left to choose by
            with pytest.raises(TrainingError, match=r"interpolated over the 40 samples to choose .* \(--holdout\)"):
                OwnSeries.of([signal], hold_out=40)
            continue
        test = Backtest(OwnSeries.of([signal], hold_out=40), "validation", NETWORK)
        assert max(origin.future[-1] for origin in test.origins) <= 1
        errors.append((test.error(random_model(NETWORK)), test.last_season))
    assert errors[:1] == errors[1:]


def test_of_many_series_a_bounded_number_of_forecasts_is_made() -> None:
    many = [WAVE + np.random.default_rng(i).normal(0, 0.5, 200) for i in range(50)]
    assert len(Backtest(own(*many), "validation", NETWORK).origins) == MAX_FORECASTS


def test_a_stretch_that_no_history_could_be_drawn_before_is_refused() -> None:
    with pytest.raises(TrainingError, match="too much is held out: 34 samples of history before a horizon of 4983"):
        Backtest(own(np.random.default_rng(0).standard_normal(10_000), hold_out=4983), "validation", NETWORK)


def test_the_best_state_by_the_validation_stretch_is_kept_and_the_beginning_counts(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Held-out errors fall all the while and decide nothing."""
    models = [random_model(NETWORK, seed) for seed in range(5)]
    told = iter([0.5, 0.9, 0.5, 0.8, 0.3, 0.7, 0.3, 0.6, 0.4, 0.5])
    monkeypatch.setattr(Backtest, "error", lambda *_: next(told))
    choice = Choice(own(WAVE), models[0])
    choice.begin(models[0])
    steps = []
    for step, model in enumerate(models[1:], 1):
        choice.consider(step, model)
        steps.append(choice.step)
    assert steps == [0, 2, 2, 2], "a state that is as good as an earlier one does not take its place"
    assert choice.before == {"validation": 0.5, "held out": 0.9}
    assert choice.errors == {"validation": 0.3, "held out": 0.7}
    assert torch.equal(choice.best.cls_token, models[2].cls_token)
    models[2].cls_token.data.zero_()
    assert not torch.equal(choice.best.cls_token, models[2].cls_token), "it is a copy"


def test_a_choice_goes_on_from_its_state() -> None:
    model, other = random_model(NETWORK), random_model(NETWORK, 1)
    choice, resumed = Choice(own(WAVE), model), Choice(own(WAVE), other)
    choice.begin(model)
    resumed.load(choice.state())
    assert (resumed.before, resumed.errors, resumed.step) == (choice.before, choice.errors, 0)
    assert torch.equal(resumed.best.cls_token, model.cls_token)
    assert replace(NETWORK) == resumed.best.config
