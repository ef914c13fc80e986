from __future__ import annotations

import warnings

import numpy as np
import pytest
import xarray as xr

from tests.conftest import small_config
from vitime_cache.attention import schema
from vitime_cache.attention.mock import mock_dataset
from vitime_cache.attention.schema import SchemaError, validate


def test_a_mock_dataset_follows_the_schema_with_and_without_a_signal_dimension() -> None:
    ds = mock_dataset()
    assert validate(ds) is ds
    one = ds.isel(signal=0)
    assert validate(one) is one


def test_mock_maps_agree_with_one_another() -> None:
    ds = mock_dataset().isel(signal=0)
    rows = 2
    pooled = ds.token_attention.values.astype(float).reshape(3, 4, rows, 77, rows, 77).mean(axis=(2, 4))
    np.testing.assert_allclose(pooled, ds.time_attention, rtol=1e-3)
    lag_four = ds.time_attention.values.diagonal(-4, 2, 3).mean(axis=-1)
    np.testing.assert_allclose(ds.lag_attention.sel(lag=4), lag_four, rtol=1e-5)
    cls = ds.cls_attention.values.reshape(3, 4, rows, 77).mean(axis=2)
    np.testing.assert_allclose(ds.time_attention.sum("key_patch"), (1 - cls) / rows, rtol=1e-5)


def test_the_first_mock_head_looks_one_period_back_only_in_the_full_signal() -> None:
    curve = mock_dataset().lag_attention.isel(layer=0, head=0).sel(lag=slice(2, 20))
    assert curve.sel(signal="full").idxmax().item() == 4
    ratio = curve.max("lag") / curve.mean("lag")
    assert ratio.sel(signal="full") > 2 * ratio.sel(signal="reduced_harmonic")


def test_token_coordinates_name_row_and_column() -> None:
    labels = schema.coordinates(small_config(), 100, 1)
    assert labels["token_row"][1].tolist() == [0] * 6 + [1] * 6
    assert labels["key_token_column"][1].tolist() == list(range(6)) * 2


@pytest.mark.parametrize(
    ("spoil", "named"),
    [
        (lambda ds: ds.drop_vars("cls_attention"), "lacks the variable 'cls_attention'"),
        (lambda ds: ds.drop_vars("reduced_of"), "lacks the coordinate 'reduced_of'"),
        (
            lambda ds: ds.assign(history=ds.history.fillna(0).astype("int64")),
            "history has dtype int64, expected float64",
        ),
        (lambda ds: ds.assign(forecast=ds.forecast.transpose("time", "signal")), "forecast has dimensions"),
        (lambda ds: ds.isel(lag=slice(5)), "lag has 5 entries, expected 153 for 77 patches"),
    ],
)
def test_a_dataset_off_the_schema_is_refused_naming_what_is_off(spoil: object, named: str) -> None:
    with pytest.raises(SchemaError, match=named):
        validate(spoil(mock_dataset()))  # type: ignore[operator]


def test_token_maps_may_be_missing() -> None:
    validate(mock_dataset(tokens=False))


def test_every_variable_says_what_a_number_in_it_means() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        ds = mock_dataset()
    for name in schema.VARIABLES:
        assert ds[name].attrs["long_name"]
        assert ds[name].attrs["units"]
    assert isinstance(ds, xr.Dataset)
