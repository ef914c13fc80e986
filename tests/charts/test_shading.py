"""Contrast of attention maps."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vitime_cache.charts.shading import NO_CONTRAST, Contrast, ContrastError, Shading, outline_segments


@pytest.fixture
def attention():
    return np.random.default_rng(0).gamma(0.5, 1e-3, (40, 40))


def test_the_defaults_are_those_of_the_reference_study():
    assert Contrast() == Contrast(True, (5, 99), 0.1, True, 99.9)


def test_without_contrast_shades_are_linear_from_the_least_to_the_greatest(attention):
    shade = Shading.fit(attention, NO_CONTRAST).shade(attention)
    np.testing.assert_allclose(shade, (attention - attention.min()) / np.ptp(attention))
    assert not Shading.fit(attention, NO_CONTRAST).outlined(attention).any()


def test_the_power_law_is_a_power_of_the_clipped_and_scaled_value(attention):
    contrast = Contrast(robust_percentiles=(10, 90), gamma=0.3, show_log=False)
    low, high = np.percentile(attention, (10, 90))
    expected = ((np.clip(attention, low, high) - low) / (high - low)) ** 0.3
    np.testing.assert_allclose(Shading.fit(attention, contrast).shade(attention), expected)


def test_the_logarithm_is_taken_in_units_of_the_mean_so_that_scale_does_not_matter(attention):
    contrast = Contrast(powermap=False, robust_percentiles=None)
    shade = Shading.fit(attention, contrast).shade(attention)
    logarithm = np.log1p(attention / attention.mean())
    np.testing.assert_allclose(shade, (logarithm - logarithm.min()) / np.ptp(logarithm))
    np.testing.assert_allclose(Shading.fit(attention * 1e-4, contrast).shade(attention * 1e-4), shade)


@given(
    powermap=st.booleans(),
    gamma=st.floats(0.05, 3),
    show_log=st.booleans(),
    percentiles=st.none() | st.tuples(st.floats(0, 40), st.floats(60, 100)),
    seed=st.integers(0, 9),
)
def test_shades_lie_between_0_and_1_and_never_reverse_the_order(powermap, gamma, show_log, percentiles, seed):
    values = np.sort(np.random.default_rng(seed).gamma(0.5, 1e-3, 200))
    shade = Shading.fit(values, Contrast(powermap, percentiles, gamma, show_log)).shade(values)
    assert ((shade >= 0) & (shade <= 1)).all()
    assert (np.diff(shade) >= 0).all()


@given(powermap=st.booleans(), show_log=st.booleans(), shade=st.floats(0, 1))
def test_the_legend_value_of_a_shade_has_that_shade(powermap, show_log, shade):
    values = np.random.default_rng(1).gamma(0.5, 1e-3, 200)
    shading = Shading.fit(values, Contrast(powermap, (5, 99), 0.5, show_log))
    assert shading.shade(shading.value(shade)) == pytest.approx(shade, abs=1e-6)


def test_two_maps_fitted_together_share_one_scale(attention):
    shading = Shading.fit([attention, 3 * attention], NO_CONTRAST)
    assert shading.shade(3 * attention).max() == 1
    assert shading.shade(attention).max() == pytest.approx(1 / 3, rel=1e-3)


def test_missing_cells_stay_missing_and_do_not_move_the_scale(attention):
    holed = attention.copy()
    holed[3] = np.nan
    shading = Shading.fit(holed, Contrast())
    assert np.isnan(shading.shade(holed)[3]).all()
    assert shading == Shading.fit(np.delete(attention, 3, axis=0), Contrast())
    assert np.isnan(Shading.fit(np.full((2, 2), np.nan), Contrast()).shade(np.full((2, 2), np.nan))).all()


def test_a_map_of_one_value_has_no_shades_and_a_spike_on_it_is_still_seen():
    flat = np.full((20, 20), 0.2)
    assert (Shading.fit(flat, Contrast()).shade(flat) == 0).all()
    flat[4, 5] = 0.9
    shade = Shading.fit(flat, Contrast()).shade(flat)
    assert shade[4, 5] == 1
    assert shade.sum() == 1


def test_the_outline_holds_the_cells_at_or_above_the_percentile(attention):
    inside = Shading.fit(attention, Contrast(top_overlay_percent=99)).outlined(attention)
    np.testing.assert_array_equal(inside, attention >= np.percentile(attention, 99))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"gamma": 0}, "gamma .* got 0"),
        ({"gamma": float("nan")}, "got nan"),
        ({"robust_percentiles": (99, 5)}, r"\(99, 5\)"),
        ({"robust_percentiles": (-1, 5)}, r"\(-1, 5\)"),
        ({"top_overlay_percent": 101}, "got 101"),
    ],
)
def test_an_option_outside_its_range_is_an_error_that_quotes_it(options, message):
    with pytest.raises(ContrastError, match=message):
        Contrast(**options)


def test_the_outline_of_two_neighbouring_cells_is_four_segments():
    inside = np.zeros((4, 5), dtype=bool)
    inside[1, 2:4] = True
    assert sorted(map(tuple, outline_segments(inside).tolist())) == [
        (2, 1, 2, 2),
        (2, 1, 4, 1),
        (2, 2, 4, 2),
        (4, 1, 4, 2),
    ]


@given(seed=st.integers(0, 200))
def test_the_outline_has_one_unit_edge_wherever_inside_meets_outside(seed):
    inside = np.random.default_rng(seed).random((6, 7)) < 0.4
    drawn = set()
    for x0, y0, x1, y1 in outline_segments(inside).tolist():
        drawn |= {((x, y0), (x + 1, y0)) for x in range(x0, x1)} | {((x0, y), (x0, y + 1)) for y in range(y0, y1)}
    expected = set()
    for (row, column), member in np.ndenumerate(inside):
        for (r, c), edge in {
            (row - 1, column): ((column, row), (column + 1, row)),
            (row + 1, column): ((column, row + 1), (column + 1, row + 1)),
            (row, column - 1): ((column, row), (column, row + 1)),
            (row, column + 1): ((column + 1, row), (column + 1, row + 1)),
        }.items():
            outside = not (0 <= r < 6 and 0 <= c < 7 and inside[r, c])
            if member and outside:
                expected.add(edge)
    assert drawn == expected
