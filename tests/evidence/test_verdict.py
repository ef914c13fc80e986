"""The verdict Dataset and its made-up stand-in."""

import json
import pickle

import numpy as np
import pytest
import xarray as xr

from vitime_cache.evidence.verdict import schema as v
from vitime_cache.evidence.verdict.mock import mock_verdict


@pytest.fixture(scope="module")
def verdict():
    return mock_verdict()


def test_a_made_up_verdict_follows_the_schema_with_any_number_of_windows_and_stages():
    for windows in (1, 3):
        ds = mock_verdict(windows=windows)
        assert ds.sizes["window"] == windows
        assert v.complete(ds)
    partial = v.validate(mock_verdict(stages=("descriptive",)))
    assert not v.complete(partial)
    assert (partial.verdict.sel(rung="causal") == v.NOT_TESTED).all()
    assert np.isnan(partial.mask).all()


def test_a_verdict_is_plain_arrays_and_json_so_that_pickle_and_zarr_give_it_back_unchanged(verdict, tmp_path):
    xr.testing.assert_identical(pickle.loads(pickle.dumps(verdict)), verdict)
    verdict.to_zarr(tmp_path / "v.zarr", zarr_format=3, consolidated=False)
    again = xr.open_zarr(tmp_path / "v.zarr", consolidated=False).load()
    v.validate(again)
    xr.testing.assert_equal(again, verdict)
    assert {name: v.facts(again, name) for name in v.ATTRIBUTES} == {
        name: v.facts(verdict, name) for name in v.ATTRIBUTES
    }


def test_every_variable_says_what_a_number_in_it_means(verdict):
    for name, array in verdict.data_vars.items():
        assert array.attrs["long_name"], name
        assert array.attrs["units"], name
    assert verdict.verdict.attrs["flag_meanings"].split() == [
        "supported",
        "not_supported",
        "inconclusive",
        "not_tested",
    ]


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda ds: ds.drop_vars("mask_p"), "lacks the variable 'mask_p'"),
        (lambda ds: ds.assign(slope=ds.slope.astype("float64")), "slope has dtype float64, expected float32"),
        (lambda ds: ds.assign(slope=ds.slope.transpose("head", "layer")), "slope has dimensions"),
        (lambda ds: ds.assign(verdict=ds.verdict + np.int8(4)), "got 2, 3, 4, 5|got 3, 4, 5"),
        (lambda ds: ds.drop_vars("window_start"), "coordinate 'window_start'"),
        (lambda ds: ds.assign_attrs(counts="{"), "'counts' is not JSON"),
        (lambda ds: ds.isel(rung=slice(None, None, -1)), "the rungs are causal, tracking"),
    ],
)
def test_what_is_no_verdict_is_named(verdict, spoil, message):
    with pytest.raises(v.VerdictError, match=message):
        v.validate(spoil(verdict))


def test_equal_questions_have_equal_names_and_others_have_not(verdict):
    same, other = mock_verdict(), mock_verdict(period=64.5)
    assert v.question_key(same) == v.question_key(verdict)
    assert v.question_key(other) != v.question_key(verdict)
    assert v.question_key(other).replace("-", "").replace("_", "").isalnum()
    asked = json.loads(verdict.attrs["question"])
    assert v.question_key(v.with_facts(verdict, question=asked | {"seed": 1})) != v.question_key(verdict)
