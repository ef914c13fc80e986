"""Forecasts through the published interface, against what the published code computes."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from vitime_cache import ViTimePrediction
from vitime_cache.model.encoding import EncodingError, SeriesEncoding
from vitime_cache.study.prediction import PredictionError

WEIGHTS = Path(__file__).parents[1] / "data" / "vitime_tiny.pth"


@pytest.fixture(scope="module")
def predictor() -> ViTimePrediction:
    return ViTimePrediction("cpu", weights=WEIGHTS)


def wave(n: int = 200) -> np.ndarray:
    return np.sin(np.arange(n) / 10) + np.cos(np.arange(n) / 4)


@pytest.mark.parametrize("case", range(4))
def test_the_deterministic_forecast_is_that_of_the_published_code(
    predictor: ViTimePrediction, golden: dict[str, np.ndarray], case: int
) -> None:
    forecast = predictor.prediction(golden[f"{case}_signal"], int(golden[f"{case}_horizon"]))
    np.testing.assert_allclose(forecast, golden[f"{case}_forecast"], rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("shape", [(200,), (1, 200), (200, 1)])
@pytest.mark.parametrize("kind", [np.array, list, torch.tensor, torch.nn.Parameter])
def test_a_series_may_be_an_array_a_list_or_a_tensor_with_an_axis_of_length_one(
    predictor: ViTimePrediction, shape: tuple[int, ...], kind: Any
) -> None:
    values = wave().reshape(shape)
    given = kind(torch.tensor(values)) if kind is torch.nn.Parameter else kind(values)
    np.testing.assert_array_equal(predictor.prediction(given, 96), predictor.prediction(wave(), 96))


@pytest.mark.parametrize("shape", [(2, 100), (1, 1, 200), ()])
def test_several_series_at_once_are_refused_with_their_shape(
    predictor: ViTimePrediction, shape: tuple[int, ...]
) -> None:
    with pytest.raises(PredictionError, match=r"one series is expected.*got shape \(" + ", ".join(map(str, shape))):
        predictor.prediction(np.zeros(shape), 10)


def test_what_cannot_be_encoded_is_refused_by_name(predictor: ViTimePrediction) -> None:
    with pytest.raises(EncodingError, match="NaN or infinite"):
        predictor.prediction([1.0, np.nan, 2.0], 10)
    with pytest.raises(PredictionError, match="the horizon, must be a whole number from 1 to 1000000, got 0"):
        predictor.prediction(wave(), 0)
    with pytest.raises(PredictionError, match=r"sampleNumber must be a whole number from 1 .*, got 0"):
        predictor.prediction(wave(), 10, sampleNumber=0)


def test_samples_follow_the_softmax_at_the_temperature() -> None:
    """256 + 384 samples are the model's 640 columns, so every sample of the forecast is one column's row."""
    history, horizon, n = wave(256), 384, 4000
    hot = ViTimePrediction("cpu", weights=WEIGHTS, tempature=3)
    samples = hot.prediction(history, horizon, n, seed=1)
    assert samples.shape == (horizon, n)

    config = hot.model.config
    moment = np.mean(history**2 * np.sign(history)) + 1e-7  # muNorm = 2
    centre, spread = np.sqrt(abs(moment)) * np.sign(moment), history.std() + 1e-7
    with torch.inference_mode():
        image = torch.from_numpy(SeriesEncoding.fit(history, horizon, config).image(history).T.copy())
        scores = hot.model.logits(image[None, None])[0, 256:].double().numpy() / 3
    probability = np.exp(scores - scores.max(1, keepdims=True))
    probability /= probability.sum(1, keepdims=True)
    values = (np.arange(config.image_height) * 7 / (config.image_height - 1) - 3.5) * spread + centre
    assert config.value_range == 3.5
    expected, second = probability @ values, probability @ values**2
    error = (samples.mean(1) - expected) / np.sqrt((second - expected**2) / n)
    assert abs(error).max() < 5
    assert error.std() == pytest.approx(1, abs=0.15)


def test_a_seed_repeats_the_samples_and_another_one_does_not(predictor: ViTimePrediction) -> None:
    first, again, other = (predictor.prediction(wave(), 96, 3, seed=seed) for seed in (5, 5, 6))
    np.testing.assert_array_equal(first, again)
    assert (first != other).any()


def test_a_low_temperature_draws_the_deterministic_forecast(predictor: ViTimePrediction) -> None:
    cold = ViTimePrediction("cpu", weights=WEIGHTS, temperature=1e-5)
    samples = cold.prediction(wave(), 96, 5, seed=0)
    np.testing.assert_allclose(samples, np.repeat(predictor.prediction(wave(), 96)[:, None], 5, axis=1))


def test_both_spellings_of_temperature_mean_the_same_and_the_right_one_wins() -> None:
    def draw(**options: float) -> np.ndarray:
        return ViTimePrediction("cpu", weights=WEIGHTS, **options).prediction(wave(), 96, 4, seed=3)

    np.testing.assert_array_equal(draw(tempature=2), draw(temperature=2))
    np.testing.assert_array_equal(draw(tempature=5, temperature=2), draw(temperature=2))
    assert (draw(temperature=2) != draw()).any()


def test_lookback_ratio_shows_the_model_the_end_of_the_history_only(predictor: ViTimePrediction) -> None:
    cropping = ViTimePrediction("cpu", weights=WEIGHTS, lookbackRatio=1.5)
    np.testing.assert_array_equal(cropping.prediction(wave(400), 96), predictor.prediction(wave(400)[-144:], 96))
    np.testing.assert_array_equal(cropping.prediction(wave(100), 96), predictor.prediction(wave(100), 96))
    with pytest.raises(PredictionError, match=r"lookbackRatio 1\.5 keeps 1 samples for a horizon of 1"):
        cropping.prediction(wave(400), 1)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"model_name": "CNN"}, "model_name must be 'MAE', got 'CNN'"),
        ({"lookbackRatio": 0}, "lookbackRatio must be positive or None, got 0"),
        ({"lookbackRatio": float("nan")}, "lookbackRatio must be positive or None, got nan"),
        ({"tempature": 0}, "the temperature must be a positive number, got 0"),
        ({"temperature": -1}, "the temperature must be a positive number, got -1"),
    ],
)
def test_a_wrong_option_is_named_with_its_value(options: dict[str, Any], message: str) -> None:
    with pytest.raises(PredictionError, match=message):
        ViTimePrediction("cpu", weights=WEIGHTS, **options)


def test_cuda_on_a_machine_without_one_falls_back_to_the_cpu_and_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.warns(UserWarning, match="no CUDA device, so 'cuda:0' falls back to the CPU") as warned:
        predictor = ViTimePrediction(weights=WEIGHTS)
    assert predictor.model.device.type == "cpu"
    assert warned[0].filename == __file__  # the line that asked for it
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        ViTimePrediction("cpu", weights=WEIGHTS)


@pytest.mark.parametrize(
    "series",
    ["abc", ["a", "b"], [[1], [1, 2]], {"a": 1}, np.ones(50) + 1j, iter([1.0, 2.0])],
    ids=lambda series: type(series).__name__,
)
def test_what_is_no_series_of_real_numbers_is_refused(predictor: ViTimePrediction, series: Any) -> None:
    with pytest.raises(PredictionError, match=r"one series must be (an array of real|a list of) numbers"):
        predictor.prediction(series, 96)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [((96.0,), "the horizon, must be a whole number .*, got 96.0"), (("96",), "the horizon, must be a whole number"),
     ((96, 2.5), "sampleNumber must be a whole number .*, got 2.5")],
)  # fmt: skip
def test_counts_are_whole_numbers(predictor: ViTimePrediction, arguments: tuple[Any, ...], message: str) -> None:
    with pytest.raises(PredictionError, match=message):
        predictor.prediction(wave(), *arguments)


@pytest.mark.parametrize("ratio", ["a", float("inf"), float("nan"), 0, -1])
def test_a_lookback_ratio_is_a_positive_number(ratio: Any) -> None:
    with pytest.raises(PredictionError, match="lookbackRatio must be positive or None"):
        ViTimePrediction("cpu", weights=WEIGHTS, lookbackRatio=ratio)
