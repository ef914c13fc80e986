"""The signal against null inputs: what is run, what is tested, and what counts as more."""

from __future__ import annotations

import numpy as np
import pytest

from vitime_cache.attention.capture import capture
from vitime_cache.attention.lags import lag_means
from vitime_cache.attention.mock import mock_dataset
from vitime_cache.evidence.levels.null_test import against_nulls, null_curves
from vitime_cache.evidence.levels.nulls import null_inputs
from vitime_cache.model.config import ViTimeConfig
from vitime_cache.model.network import ViTime
from vitime_cache.stats.surrogates import NullError

CONFIG = ViTimeConfig(
    image_height=32, context_columns=512, horizon_columns=720, patch_height=16, patch_width=16,
    encoder_width=32, encoder_depth=2, decoder_width=16, decoder_depth=1, heads=4,
)  # fmt: skip
HISTORY = np.sin(np.arange(512) / 10)
PERIOD = 20 * np.pi  # samples: lag 4 of 16 samples


@pytest.fixture(scope="module")
def model():
    return ViTime(CONFIG).eval()


@pytest.fixture
def signal():
    """Made-up attention of 3 layers × 4 heads, the same at every lag."""
    ds = mock_dataset(CONFIG, ("full",), tokens=False).isel(signal=0)
    return ds.assign(time_attention=ds.time_attention.copy(data=np.full(ds.time_attention.shape, 0.01, "float32")))


@pytest.fixture
def noise(signal):
    """Curves on made-up nulls: level, with noise; by kind."""
    rng, lags = np.random.default_rng(0), 2 * signal.sizes["key_patch"] - 1
    return {kind: 0.01 + 1e-4 * rng.standard_normal((19, 3, 4, lags)) for kind in ("shuffled", "ar1", "notched")}


def with_peaks(signal, lag: int, heights: np.ndarray):
    """The signal with more attention at one lag, by layer and head."""
    attention = signal.time_attention.values.copy()
    query = np.arange(lag, attention.shape[-1])
    attention[:, :, query, query - lag] += heights[..., None]
    return signal.assign(time_attention=signal.time_attention.copy(data=attention))


def with_peak(signal, layer: int, head: int, lag: int, height: float):
    heights = np.zeros((3, 4))
    heights[layer, head] = height
    return with_peaks(signal, lag, heights)


def test_null_curves_are_those_of_a_capture_of_each_null(model):
    done = []
    curves = null_curves(model, HISTORY, 720, period=PERIOD, n=2, seed=5, progress=done.append)
    assert list(curves) == ["shuffled", "ar1", "notched"]
    assert done == pytest.approx(np.arange(1, 7) / 6)
    for each in null_inputs(HISTORY, (0,), len(HISTORY), 720, PERIOD, n=2, seed=5):
        _, expected = lag_means(capture(model, each.signal.values, 720).time_attention.values)
        curve = curves[each.kind][each.number]
        known = np.isfinite(curve)
        np.testing.assert_allclose(curve[known], expected[known], rtol=1e-5)


def test_without_a_period_nothing_is_notched(model):
    assert list(null_curves(model, HISTORY, 720, n=1)) == ["shuffled", "ar1"]


def test_only_the_head_with_a_peak_at_the_period_leaves_the_bands(signal, noise):
    found = against_nulls(with_peak(signal, 1, 2, 4, 0.01), noise, period=PERIOD)
    assert found.lags.tolist() == [64]
    assert np.argwhere(found.exceeded).tolist() == [[1, 2, 0]]
    assert set(found.p_value.values()) == {1 / 20}


def test_a_peak_elsewhere_is_found_only_when_no_period_is_asked_about(signal, noise):
    ds = with_peak(signal, 0, 3, 9, 0.01)
    assert not against_nulls(ds, noise, period=PERIOD).exceeded.any()
    found = against_nulls(ds, noise)
    assert [(layer, head, found.lags[lag]) for layer, head, lag in np.argwhere(found.exceeded)] == [(0, 3, 144)]


def test_a_peak_that_one_kind_of_null_has_too_is_no_sign_of_the_signal(signal, noise):
    noise["ar1"][..., :] += 0.02
    found = against_nulls(with_peak(signal, 1, 2, 4, 0.01), noise, period=PERIOD)
    assert not found.exceeded.any()
    assert found.p_value["ar1"] == 1


@pytest.mark.parametrize("period", [20.0, 5000.0])
def test_a_period_off_the_lag_axis_is_refused(signal, noise, period):
    with pytest.raises(NullError, match="32 samples on"):
        against_nulls(signal, noise, period=period)


def test_a_flat_head_on_nulls_of_its_own_kind_is_found_about_as_often_as_the_level_says(signal):
    rng, lags = np.random.default_rng(1), 2 * signal.sizes["key_patch"] - 1
    hits = 0
    for _ in range(200):
        null = {"shuffled": 0.01 + 1e-4 * rng.standard_normal((19, 3, 4, lags))}
        # one more of the same: the signal's own curve gets the noise of a null
        ds = with_peaks(signal, 4, 1e-4 * rng.standard_normal((3, 4)))
        hits += against_nulls(ds, null, period=PERIOD).exceeded.any()
    assert hits / 200 < 0.05 + 3 * np.sqrt(0.05 * 0.95 / 200)
