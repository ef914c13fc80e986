"""Two networks' forecasts of one series: how far they are apart, and when there is nothing to compare."""

import numpy as np
import pytest
import xarray as xr

from vitime_cache.attention.mock import mock_dataset
from vitime_cache.compare.forecasts import compare_forecasts, median_forecast, same_series
from vitime_cache.compare.maps import CompareError


def one(number: int = 0) -> xr.Dataset:
    return mock_dataset().isel(signal=number)


def moved(ds: xr.Dataset, by: float) -> xr.Dataset:
    return ds.assign(forecast_quantile=ds["forecast_quantile"] + by)


def test_forecasts_that_differ_by_a_constant_are_that_far_apart_in_deviations_of_the_history():
    ds = one()
    scale = np.std(ds.history.values[: int(ds.n_history)])
    found = compare_forecasts(ds, moved(ds, 3.0))
    assert found.apart == pytest.approx(3 / scale)
    assert found.widest == pytest.approx(3 / scale)
    assert np.isnan([found.first_error, found.second_error]).all()
    assert compare_forecasts(ds, ds).apart == 0


def test_errors_are_told_where_what_came_is_known():
    ds = one()
    scale = np.std(ds.history.values[: int(ds.n_history)])
    found = compare_forecasts(ds, moved(ds, -2.0), median_forecast(ds))
    assert found.first_error == 0
    assert found.second_error == pytest.approx(2 / scale)
    short = compare_forecasts(ds, ds, median_forecast(ds)[:5])
    assert np.isnan(short.first_error), "a future that ends early says nothing of the whole horizon"


def test_a_series_is_known_by_its_samples_and_not_by_its_name():
    assert same_series(one(), one().assign_coords(signal="anything"))
    assert not same_series(one(0), one(1).assign_coords(signal=one(0).signal))
    with pytest.raises(CompareError, match="two different series"):
        compare_forecasts(one(0), one(1))


@pytest.mark.parametrize("level", [1.0, 0.1, 1 / 3])  # the deviation of some is not quite 0, from rounding
def test_forecasts_of_a_constant_history_are_compared_in_the_units_of_the_series(level):
    ds = one()
    flat = ds.assign(history=ds.history * 0 + level)
    found = compare_forecasts(flat, moved(flat, 1.0))
    assert found.apart == pytest.approx(1.0)
    assert "units of the series" in found.unit
    assert "deviations" in compare_forecasts(ds, ds).unit
