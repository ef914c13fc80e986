"""Every head on two occasions: what lies elsewhere, against closed forms, and what cannot be compared."""

import re

import numpy as np
import pytest
import xarray as xr
from hypothesis import given
from hypothesis import strategies as some
from hypothesis.extra.numpy import arrays

from vitime_cache.attention.mock import mock_dataset
from vitime_cache.compare.maps import CompareError, compare_maps, in_multiples, moved_share, why_not
from vitime_cache.model.config import ViTimeConfig

TWO_ROWS = ViTimeConfig(
    image_height=32, context_columns=512, horizon_columns=720, patch_height=16, patch_width=16,
    encoder_width=32, encoder_depth=2, decoder_width=16, decoder_depth=1, heads=2,
)  # fmt: skip
FOUR_ROWS = ViTimeConfig(**{**TWO_ROWS.to_dict(), "patch_height": 8})
OTHER_HEADS = ViTimeConfig(**{**TWO_ROWS.to_dict(), "heads": 4})
WIDER = ViTimeConfig(**{**TWO_ROWS.to_dict(), "patch_width": 56})
MAPS = arrays(np.float64, (3, 5, 5), elements=some.floats(0.01, 1))


def one(config: ViTimeConfig = TWO_ROWS) -> xr.Dataset:
    return mock_dataset(config).isel(signal=0).assign_attrs(weights="mock")


def test_attention_that_is_even_is_one_everywhere_and_a_blank_row_stays_blank():
    assert (in_multiples(np.full((2, 4, 4), 0.02)) == 1).all()
    assert (in_multiples(np.zeros((4, 4))) == 0).all()


@given(MAPS, MAPS)
def test_the_share_that_moved_is_a_distance_between_zero_and_one(a, b):
    assert moved_share(a, a) == pytest.approx(0)
    assert moved_share(a, b) == pytest.approx(moved_share(b, a))
    assert ((moved_share(a, b) >= 0) & (moved_share(a, b) <= 1)).all()
    assert moved_share(a, 7 * b) == pytest.approx(moved_share(a, b)), "the level of a row, less CLS, does not count"


def test_the_share_that_moved_is_the_total_variation_distance_of_the_rows():
    here, there = np.eye(4), np.roll(np.eye(4), 1, axis=1)
    assert moved_share(here, there) == pytest.approx(1)
    assert moved_share(here, (here + there) / 2) == pytest.approx(0.5)
    assert moved_share(here, np.full((4, 4), 0.25)) == pytest.approx(0.75)


def test_a_dataset_compared_with_itself_differs_nowhere():
    found = compare_maps(one(), one())
    assert dict(found["moved"].sizes) == {"layer": 3, "head": 2}
    assert (found["moved"] == 0).all()
    np.testing.assert_array_equal(found["first"], found["second"])


def test_networks_whose_columns_are_cut_into_other_numbers_of_tokens_can_be_compared():
    a, b = one(TWO_ROWS), one(FOUR_ROWS)
    assert a.sizes["query_token"] != b.sizes["query_token"]
    found = compare_maps(a, b)
    np.testing.assert_allclose(found["first"].mean("key_patch"), 1)
    np.testing.assert_allclose(found["second"].mean("key_patch"), 1)


@pytest.mark.parametrize(
    ("other", "words"),
    [
        (one(OTHER_HEADS).assign_attrs(weights="other"), "mock has 3 layers of 2 heads, other has 3 layers of 4 heads"),
        (one(WIDER), "cuts time into 77 patches, the other into"),
        (one().assign_coords(n_history=100), "full has 512 samples of history, full 100"),
        (one().assign_coords(samples_per_patch=4.0), "16 samples a patch, full 4"),
    ],
)
def test_what_does_not_lie_on_one_another_is_said_in_one_line_and_not_compared(other, words):
    reason = why_not(one(), other)
    assert words in reason
    assert "\n" not in reason
    with pytest.raises(CompareError, match=re.escape(reason)):
        compare_maps(one(), other)
    assert why_not(one(), one()) == ""
