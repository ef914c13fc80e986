"""Pooling token attention to time attention."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vitime_cache.attention import pooling
from vitime_cache.model.config import ViTimeConfig
from vitime_cache.model.encoding import SeriesEncoding

GOLDEN = Path(__file__).parents[1] / "data" / "vitime_tiny_expected.npz"
GRID = (3, 5)


def softmax_attention(rng: np.random.Generator, *lead: int, size: int) -> np.ndarray:
    weights = np.exp(rng.standard_normal((*lead, size, size)))
    return weights / weights.sum(axis=-1, keepdims=True)


def loop_over_tokens(attention: np.ndarray, grid: tuple[int, int]) -> np.ndarray:
    """Time attention written as the definition reads: token t lies at row t // columns, column t % columns."""
    rows, columns = grid
    pooled = np.zeros((columns, columns))
    for query in range(rows * columns):
        for key in range(rows * columns):
            pooled[query % columns, key % columns] += attention[query, key] / rows**2
    return pooled


def test_pooled_maps_agree_with_those_of_the_published_code():
    with np.load(GOLDEN) as golden:
        pooled = pooling.tokens_to_time(golden["0_token_attention"], (8, 20))
        np.testing.assert_allclose(pooled, golden["0_time_attention"], atol=1e-7)


@given(rows=st.integers(1, 4), columns=st.integers(1, 6), seed=st.integers(0, 99))
def test_pooling_agrees_with_a_loop_over_tokens(rows, columns, seed):
    attention = softmax_attention(np.random.default_rng(seed), size=rows * columns)
    pooled = pooling.tokens_to_time(attention, (rows, columns))
    np.testing.assert_allclose(pooled, loop_over_tokens(attention, (rows, columns)), atol=1e-12)


@given(rows=st.integers(1, 4), columns=st.integers(1, 6), seed=st.integers(0, 99))
def test_rows_sum_to_what_cls_leaves_divided_by_the_token_rows(rows, columns, seed):
    attention = softmax_attention(np.random.default_rng(seed), 2, size=rows * columns + 1)
    to_cls = attention[:, 1:, 0].reshape(2, rows, columns).mean(axis=1)
    pooled = pooling.tokens_to_time(attention, (rows, columns))
    np.testing.assert_allclose(pooled.sum(axis=-1), (1 - to_cls) / rows, atol=1e-12)


def test_auto_drops_cls_only_where_there_is_one():
    with_cls = softmax_attention(np.random.default_rng(0), size=16)
    np.testing.assert_array_equal(
        pooling.tokens_to_time(with_cls, GRID), pooling.tokens_to_time(with_cls[1:, 1:], GRID, drop_cls=False)
    )


@pytest.mark.parametrize(("size", "drop_cls"), [(14, "auto"), (17, "auto"), (16, False), (15, True)])
def test_another_size_is_an_error_that_names_it_and_both_sizes_expected(size, drop_cls):
    with pytest.raises(pooling.PoolingError, match=f"S = {size} .*S = 15 .*S = 16"):
        pooling.tokens_to_time(np.zeros((size, size)), GRID, drop_cls)


def test_a_map_that_is_not_square_is_an_error():
    with pytest.raises(pooling.PoolingError, match=r"\(16, 15\)"):
        pooling.tokens_to_time(np.zeros((16, 15)), GRID)


def test_float16_is_summed_in_float32():
    grid = (64, 3)
    attention = np.full((192, 192), 0.1, dtype=np.float16)
    pooled = pooling.tokens_to_time(attention, grid)
    assert pooled.dtype == np.float32
    np.testing.assert_allclose(pooled, np.float64(np.float16(0.1)), rtol=1e-6)


def test_leading_dimensions_are_carried_along():
    attention = softmax_attention(np.random.default_rng(1), 2, 3, size=15)
    pooled = pooling.tokens_to_time(attention, GRID)
    assert pooled.shape == (2, 3, 5, 5)
    np.testing.assert_allclose(pooled[1, 2], pooling.tokens_to_time(attention[1, 2], GRID))


def test_even_ink_pools_like_the_plain_mean():
    attention = softmax_attention(np.random.default_rng(2), 2, size=16)
    np.testing.assert_allclose(
        pooling.pool_queries_by_ink(attention, np.ones(GRID), GRID), pooling.tokens_to_time(attention, GRID)
    )


def test_ink_on_one_token_of_a_column_shows_where_that_token_looks():
    attention = softmax_attention(np.random.default_rng(3), size=15)
    ink = np.zeros(GRID)
    ink[2, 1] = 0.7
    pooled = pooling.pool_queries_by_ink(attention, ink, GRID)
    np.testing.assert_allclose(pooled[1], attention[2 * 5 + 1].reshape(GRID).mean(axis=0))
    plain = pooling.tokens_to_time(attention, GRID)
    np.testing.assert_allclose(np.delete(pooled, 1, axis=0), np.delete(plain, 1, axis=0))


@pytest.mark.parametrize(("ink", "message"), [(np.ones(4), r"\(4,\)"), (-np.ones(15), "negative")])
def test_ink_that_does_not_fit_is_an_error(ink, message):
    with pytest.raises(pooling.PoolingError, match=message):
        pooling.pool_queries_by_ink(np.zeros((15, 15)), ink, GRID)


def test_the_ink_of_a_rising_line_moves_up_the_token_rows_and_ends_at_the_border():
    config = ViTimeConfig(image_height=64, context_columns=64, horizon_columns=64, patch_height=16, patch_width=16)
    history = np.linspace(-1, 1, 100)
    ink = pooling.token_ink(SeriesEncoding.fit(history, 100, config).image(history), config.grid)
    assert ink.shape == (4, 8)
    centre = (ink[:, :4] * np.arange(4)[:, None]).sum(axis=0) / ink[:, :4].sum(axis=0)
    assert (np.diff(centre) > 0).all()
    np.testing.assert_array_equal(ink[:, 5:], 0)
    np.testing.assert_allclose(pooling.column_weights(ink, config.grid)[:, 5:], 0.25)


def test_an_image_that_does_not_divide_into_the_grid_is_an_error():
    with pytest.raises(pooling.PoolingError, match=r"\(10, 9\)"):
        pooling.token_ink(np.zeros((10, 9)), (2, 5))


def test_the_key_image_of_a_column_sums_over_rows_to_its_time_attention():
    attention = softmax_attention(np.random.default_rng(4), size=15)
    queries = attention[pooling.tokens_of_column(3, GRID)]
    image = pooling.key_image(queries, GRID)
    assert image.shape == GRID
    np.testing.assert_allclose(image.mean(axis=0), pooling.tokens_to_time(attention, GRID)[3])


def test_the_key_image_of_one_token_is_its_row_laid_out_on_the_grid():
    attention = softmax_attention(np.random.default_rng(5), size=15)
    np.testing.assert_allclose(pooling.key_image(attention[7], GRID), attention[7].reshape(GRID))
    weights = [0, 0, 2.0]
    queries = attention[pooling.tokens_of_column(2, GRID)]
    np.testing.assert_allclose(pooling.key_image(queries, GRID, weights), attention[12].reshape(GRID))


def test_a_column_or_a_row_of_another_grid_is_an_error():
    with pytest.raises(pooling.PoolingError, match="no patch column 5"):
        pooling.tokens_of_column(5, GRID)
    with pytest.raises(pooling.PoolingError, match="16 keys"):
        pooling.key_image(np.zeros((2, 16)), GRID)
    with pytest.raises(pooling.PoolingError, match="2 weights"):
        pooling.key_image(np.zeros((3, 15)), GRID, [1, 1])
