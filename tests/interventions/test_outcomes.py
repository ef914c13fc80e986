from __future__ import annotations

import numpy as np
import pytest

from tests.conftest import small_config
from vitime_cache.interventions.outcomes import OUTCOMES, ForecastScorer, seasonal_power
from vitime_cache.model.encoding import SeriesEncoding
from vitime_cache.series.signal import Signal

CONFIG = small_config(image_height=64, patch_height=16)


def certain(rows: np.ndarray) -> np.ndarray:
    """A probability image (W, h) that is sure of one row in each column."""
    return np.eye(CONFIG.image_height, dtype=np.float32)[rows]


def signal(future: bool = True) -> Signal:
    n = np.arange(60 + 84)
    series = 5 + 3 * np.sin(2 * np.pi * n / 28)
    return Signal("s", series[:60], horizon=84, future=series[60:] if future else None)


def drawn(shift: int = 0) -> np.ndarray:
    """The signal and its true future, `shift` image rows higher."""
    s = signal()
    encoding = SeriesEncoding.fit(s.values, s.horizon, CONFIG)
    assert s.future is not None
    whole = np.concatenate((s.values, s.future))
    at = np.linspace(0, len(whole) - 1, CONFIG.columns)
    return certain(encoding.rows(np.interp(at, np.arange(len(whole)), whole)) + shift)


def measured(intact: np.ndarray, changed: np.ndarray, s: Signal, period: float | None = 28.0) -> dict[str, float]:
    scorer = ForecastScorer.of(s, CONFIG, intact, period)
    return dict(zip(OUTCOMES, scorer.measure(changed[None])[:, 0], strict=True))


def test_the_intact_forecast_is_at_no_distance_from_itself() -> None:
    assert measured(drawn(), drawn(), signal()) == dict.fromkeys(OUTCOMES, 0.0)


def test_a_forecast_that_lies_rows_higher_is_as_many_steps_away() -> None:
    step = CONFIG.row_step
    effect = measured(drawn(), drawn(5), signal())
    assert effect["distance"] == pytest.approx(5 * step)
    assert 3.5 * step < effect["error"] < 5 * step  # the drawing itself errs by a row or so, part of it downward
    assert effect["seasonal_power"] == pytest.approx(0, abs=1e-9)
    assert effect["log_score"] == pytest.approx(np.log(1e-12), rel=1e-6)


@pytest.mark.parametrize("unit", [1e-200, 1e25])
def test_the_unit_of_a_series_changes_no_outcome(unit: float) -> None:
    """The squares of 1e-200 are 0."""
    s = signal()
    assert s.future is not None
    scaled = Signal("s", unit * s.values, horizon=84, future=unit * s.future)
    assert measured(drawn(), drawn(5), scaled, 20.0) == pytest.approx(measured(drawn(), drawn(5), s, 20.0), rel=1e-4)
    flat = certain(np.full(CONFIG.columns, 32))
    assert measured(drawn(), flat, scaled) == pytest.approx(measured(drawn(), flat, s), rel=1e-4)


def test_error_is_signed_and_falls_when_the_change_mends_the_forecast() -> None:
    effect = measured(drawn(5), drawn(), signal())
    assert effect["error"] < 0 < effect["distance"]
    assert effect["log_score"] > 0


def test_a_flat_forecast_has_lost_its_season() -> None:
    flat = certain(np.full(CONFIG.columns, 32))
    effect = measured(drawn(), flat, signal())
    assert effect["seasonal_power"] < -0.9
    assert measured(flat, drawn(), signal())["seasonal_power"] == pytest.approx(-effect["seasonal_power"])


def test_what_cannot_be_known_is_nan() -> None:
    effect = measured(drawn(), drawn(5), signal(future=False), period=None)
    assert np.isnan([effect[name] for name in ("error", "seasonal_power", "log_score")]).all()
    assert effect["distance"] > 0


@pytest.mark.parametrize("length", [96, 97])
@pytest.mark.parametrize("period", [8, 12.3, 30])
def test_the_share_of_a_sine_is_nearly_all_and_that_of_another_period_nearly_nothing(
    length: int, period: float
) -> None:
    n = np.arange(length)
    assert seasonal_power(7 + np.sin(2 * np.pi * n / period), period) > 0.85
    assert seasonal_power(np.sin(2 * np.pi * n / (period / 3)), period) < 0.1


def test_shares_over_all_bins_sum_to_one() -> None:
    noise = np.random.default_rng(0).standard_normal((3, 64))
    bins = [seasonal_power(noise, 64 / k) for k in range(2, 32, 3)]  # bins 1-3, 4-6 … 28-30
    rest = np.abs(np.fft.rfft(noise))[:, 31:] ** 2 * np.array([2, 1])
    total = 64 * ((noise - noise.mean(-1, keepdims=True)) ** 2).sum(-1)
    np.testing.assert_allclose(sum(bins) + rest.sum(-1) / total, 1)


def test_a_horizon_shorter_than_the_period_tells_no_share() -> None:
    assert np.isnan(seasonal_power(np.sin(np.arange(20.0)), 21))
