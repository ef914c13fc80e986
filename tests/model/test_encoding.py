from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.ndimage import gaussian_filter

from tests.conftest import small_config
from vitime_cache.model.config import ViTimeConfig
from vitime_cache.model.encoding import EncodingError, SeriesEncoding, is_flat

WIDE = small_config(image_height=64, context_columns=40, horizon_columns=56, patch_height=32)

lengths = st.tuples(st.integers(8, 300), st.integers(1, 200)).filter(lambda lh: lh[0] > lh[1] / 4)


def walk(seed: int, n: int) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal(n).cumsum()


@pytest.mark.parametrize("case", range(4))
def test_images_are_those_of_the_published_code(case: int, golden: dict[str, np.ndarray], golden_model: object) -> None:
    history, horizon = golden[f"{case}_signal"], int(golden[f"{case}_horizon"])
    encoding = SeriesEncoding.fit(history, horizon, golden_model.config)  # type: ignore[attr-defined]
    np.testing.assert_allclose(encoding.image(history), golden[f"{case}_image"], atol=1e-6)


@pytest.mark.parametrize("case", range(4))
def test_forecasts_are_those_of_the_published_code(
    case: int, golden: dict[str, np.ndarray], golden_model: object
) -> None:
    history, horizon = golden[f"{case}_signal"], int(golden[f"{case}_horizon"])
    encoding = SeriesEncoding.fit(history, horizon, golden_model.config)  # type: ignore[attr-defined]
    forecast = encoding.series(golden[f"{case}_probability"])[-horizon:]
    np.testing.assert_allclose(forecast, golden[f"{case}_forecast"], rtol=1e-4)


def test_the_blur_is_a_gaussian_of_sigma_five_cut_at_fifteen_pixels() -> None:
    history = walk(0, 100)
    encoding = SeriesEncoding.fit(history, 140, WIDE)
    drawn = np.interp(np.linspace(0, 99, encoding.history_columns), np.arange(100), history)
    ink = np.zeros((WIDE.columns, WIDE.image_height))
    ink[np.arange(encoding.history_columns), encoding.rows(drawn)] = 1
    expected = 31 * gaussian_filter(ink, 5.0, mode="mirror", radius=15)
    np.testing.assert_allclose(encoding.image(history), expected, atol=1e-5)


def test_the_blur_smears_history_over_the_border_and_no_further_than_fifteen_columns() -> None:
    history = walk(1, 100)
    encoding = SeriesEncoding.fit(history, 140, WIDE)
    image = encoding.image(history)
    border = encoding.history_columns
    assert image[border + 14].max() > 0
    assert image[border + 15 :].max() == 0


@settings(deadline=None, max_examples=40)
@given(lengths=lengths, seed=st.integers(0, 2**16), scale=st.floats(1e-3, 1e4), offset=st.floats(-1e3, 1e3))
def test_a_drawn_series_reads_back_within_one_row(
    lengths: tuple[int, int], seed: int, scale: float, offset: float
) -> None:
    n_history, horizon = lengths
    series = offset + scale * walk(seed, n_history + horizon)
    encoding = SeriesEncoding.fit(series[:n_history], horizon, WIDE)
    columns = np.interp(np.linspace(0, len(series) - 1, WIDE.columns), np.arange(len(series)), series)
    rows = encoding.rows(columns)
    certain = np.eye(WIDE.image_height)[rows]
    step = WIDE.row_step * encoding.std[0]
    inside = np.abs(columns - encoding.mean) <= WIDE.value_range * encoding.std
    for method in ("max", "expectation"):
        read = encoding.series(certain, method)  # type: ignore[arg-type]
        assert read.shape == (n_history + horizon,)
        read_columns = (rows * WIDE.row_step - WIDE.value_range) * encoding.std + encoding.mean
        assert np.all(np.abs(read_columns - columns)[inside] <= step * (1 + 1e-6))


@settings(deadline=None, max_examples=40)
@given(lengths=lengths, seed=st.integers(0, 2**16))
def test_the_image_does_not_change_when_the_series_is_shifted_and_scaled(lengths: tuple[int, int], seed: int) -> None:
    history = walk(seed, lengths[0])
    image = SeriesEncoding.fit(history, lengths[1], WIDE).image(history)
    other = 3 + 8.0 * history  # a power of two: the same floating-point rows
    moved = SeriesEncoding.fit(other, lengths[1], WIDE).image(other)
    changed = np.abs(image - moved).max(axis=1) > 1e-4
    assert changed.mean() < 0.5  # rounding at a row's edge may move single samples by one row
    assert np.abs(image.argmax(axis=1) - moved.argmax(axis=1)).max() <= 1


@pytest.mark.parametrize("mu_norm", [None, 2])
@settings(deadline=None, max_examples=30)
@given(seed=st.integers(0, 2**16), exponent=st.integers(-330, 90), level=st.sampled_from([0.0, 1.0, -1000.0]))
def test_a_history_in_any_unit_is_drawn_as_in_another(
    mu_norm: float | None, seed: int, exponent: int, level: float
) -> None:
    """Amperes or picoamperes: single rows may differ only where the published offset has an effect."""
    config = replace(WIDE, mu_norm=mu_norm)
    history = level + walk(seed, 80)
    scaled = history * 2.0**exponent
    image, moved = (SeriesEncoding.fit(each, 60, config).image(each) for each in (history, scaled))
    rows = np.abs(image.argmax(axis=1) - moved.argmax(axis=1))
    assert rows.max() <= (1 if mu_norm is None else 3)  # the root of the offset, 3e-4, is felt from 1e-2 down
    encoding = SeriesEncoding.fit(scaled, 60, config)
    assert len(np.unique(encoding.rows(scaled))) > 10  # never a line


def test_a_fractional_power_moment_is_defined_for_negative_samples_too() -> None:
    config = replace(WIDE, mu_norm=1.5)
    history = walk(0, 80)
    drawn = np.interp(np.linspace(0, 79, SeriesEncoding.fit(history, 60, config).history_columns), range(80), history)
    moment = np.mean(np.sign(drawn) * np.abs(drawn) ** 1.5) + 1e-7
    expected = np.sign(moment) * np.sqrt(abs(moment))
    np.testing.assert_allclose(SeriesEncoding.fit(history, 60, config).mean, expected)


def test_a_history_that_is_constant_apart_from_rounding_is_a_line_in_every_unit() -> None:
    for level in (0.0, 1e-12, 1.0, 1e8):
        noisy = level * (1 + 1e-14 * np.random.default_rng(0).standard_normal(80))
        assert is_flat(noisy)
        assert len(np.unique(SeriesEncoding.fit(noisy, 60, WIDE).rows(noisy))) == 1
    assert not is_flat(12e6 + 0.1 * walk(0, 80))
    assert not is_flat(1e-12 * walk(0, 80))


def test_a_batch_is_encoded_as_its_members_are() -> None:
    batch = np.stack([walk(seed, 60) for seed in range(3)])
    together = SeriesEncoding.fit(batch, 50, WIDE).image(batch)
    for one, image in zip(batch, together, strict=True):
        np.testing.assert_array_equal(image, SeriesEncoding.fit(one, 50, WIDE).image(one))


def test_samples_per_patch_is_sixteen_for_the_reference_study_and_computed_for_others() -> None:
    config = ViTimeConfig()
    assert SeriesEncoding.fit(walk(0, 512), 720, config).samples_per_patch == 16
    assert SeriesEncoding.fit(walk(0, 512), 720, config).history_patches == 32
    assert SeriesEncoding.fit(walk(0, 300), 96, config).samples_per_patch == pytest.approx(396 / 77)


def test_quantiles_increase_and_their_mean_is_the_expectation() -> None:
    history = walk(3, 80)
    encoding = SeriesEncoding.fit(history, 60, WIDE)
    probability = np.random.default_rng(0).dirichlet(np.full(WIDE.image_height, 0.2), WIDE.columns)
    levels = np.linspace(0.0005, 0.9995, 1000)
    quantiles = encoding.quantiles(probability, levels)
    assert np.all(np.diff(quantiles, axis=0) >= 0)
    span = 0.01 * WIDE.row_step * encoding.std[0] * WIDE.image_height
    np.testing.assert_allclose(quantiles.mean(axis=0), encoding.series(probability, "expectation"), atol=span)


@pytest.mark.parametrize("kind", ["broad", "sharp", "certain", "with gaps", "float32"])
def test_quantiles_are_np_interp_over_the_edges_of_the_rows(kind: str) -> None:
    rng, height = np.random.default_rng(1), WIDE.image_height
    encoding = SeriesEncoding.fit(walk(5, 70), 50, WIDE)
    probability = rng.dirichlet(np.full(height, 0.02 if kind == "sharp" else 1.0), WIDE.columns)
    if kind == "certain":
        probability = np.eye(height)[rng.integers(0, height, WIDE.columns)]
    elif kind == "with gaps":  # cumulative sums with ties at the very levels asked for, and at 0 and 1
        probability = np.zeros((WIDE.columns, height))
        probability[:, 8:40:8] = 0.25
    elif kind == "float32":
        probability = probability.astype(np.float32)
    levels = [0.0, 0.05, 0.25, 0.5, 0.75, 0.95, 1.0]
    p = probability.astype(np.float64)
    cumulative = np.cumsum(p, axis=-1) / p.sum(axis=-1, keepdims=True)
    edges = np.arange(height + 1) - 0.5
    rows = np.stack([np.interp(levels, np.concatenate(([0.0], c)), edges) for c in cumulative], axis=-1)
    value = (rows * WIDE.row_step - WIDE.value_range) * encoding.std + encoding.mean
    at = np.linspace(0, WIDE.columns - 1, 120)
    expected = np.stack([np.interp(at, np.arange(WIDE.columns), one) for one in value])
    np.testing.assert_allclose(encoding.quantiles(probability, levels), expected, rtol=0, atol=1e-12 * encoding.std[0])


def test_samples_follow_the_probabilities_of_each_column() -> None:
    history = walk(4, WIDE.context_columns)
    encoding = SeriesEncoding.fit(history, WIDE.horizon_columns, WIDE)
    probability = np.zeros((WIDE.columns, WIDE.image_height))
    probability[:, 10], probability[:, 50] = 0.25, 0.75
    drawn = encoding.sample(probability, 2000, np.random.default_rng(0))
    assert drawn.shape == (WIDE.columns, 2000)
    high = (50 * WIDE.row_step - WIDE.value_range) * encoding.std[0] + encoding.mean[0]
    assert np.isclose(drawn, high).mean() == pytest.approx(0.75, abs=0.01)
    assert not np.array_equal(drawn[0] == drawn[0, 0], drawn[1] == drawn[1, 0]), "columns are drawn on their own"


def test_a_constant_series_is_drawn_as_a_flat_line() -> None:
    encoding = SeriesEncoding.fit(np.full(50, 7.0), 70, WIDE)
    rows = encoding.image(np.full(50, 7.0))[: encoding.history_columns].argmax(axis=1)
    assert len(set(rows)) == 1
    flat = encoding.series(np.eye(WIDE.image_height)[np.full(WIDE.columns, rows[0])])
    np.testing.assert_allclose(flat, 7.0, atol=1e-6)


@pytest.mark.parametrize(
    ("history", "horizon", "named"),
    [
        ([1.0], 10, "at least two samples"),
        ([1.0, float("nan"), 2.0], 10, "NaN"),
        ([1.0, 2.0, 3.0], 0, "the horizon must be a whole number from 1 on, got 0"),
        ([1.0, 2.0, 3.0], 10_000, "fill 0 of 96 image columns"),
    ],
)
def test_what_cannot_be_encoded_is_refused(history: list[float], horizon: int, named: str) -> None:
    with pytest.raises(EncodingError, match=named):
        SeriesEncoding.fit(history, horizon, WIDE)


def test_images_and_methods_of_the_wrong_kind_are_refused() -> None:
    encoding = SeriesEncoding.fit(walk(0, 50), 50, WIDE)
    with pytest.raises(EncodingError, match=r"\(96, 64\), got \(3, 3\)"):
        encoding.series(np.ones((3, 3)))
    with pytest.raises(EncodingError, match="'median'"):
        encoding.series(np.ones((96, 64)), "median")  # type: ignore[arg-type]
    with pytest.raises(EncodingError, match="fitted to 50 samples, got 49"):
        encoding.image(np.zeros(49))
    with pytest.raises(EncodingError, match="at least 1"):
        encoding.sample(np.ones((96, 64)), 0, np.random.default_rng(0))
