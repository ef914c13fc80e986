"""One number per head."""

import numpy as np
import pytest

from vitime_cache.attention import measures
from vitime_cache.attention.mock import mock_dataset


@pytest.fixture(scope="module")
def ds():
    return mock_dataset(tokens=False).isel(signal=0)


def with_attention(ds, attention):
    """The Dataset with every head's time attention replaced by one map."""
    everywhere = np.broadcast_to(attention, ds.time_attention.shape).astype("float32")
    return ds.assign(time_attention=ds.time_attention.copy(data=everywhere))


def test_every_measure_is_over_layers_and_heads_with_label_and_units(ds):
    result = measures.head_measures(ds, 63.0)
    assert set(result.data_vars) == set(measures.MEASURES)
    for name, values in result.data_vars.items():
        assert values.dims == ("layer", "head")
        assert (values.long_name, values.units) == measures.MEASURES[name]
        assert np.isfinite(values).all()


def test_without_a_period_there_is_no_prominence(ds):
    assert set(measures.MEASURES) - set(measures.head_measures(ds).data_vars) == {
        "period_prominence",
        "multiples_prominence",
    }


def test_the_head_that_looks_one_period_back_is_the_most_prominent(ds):
    prominence = measures.head_measures(ds, 63.0).period_prominence
    assert (prominence.argmax("head") == 0).all()
    assert (prominence.sel(head=0) > 10 * prominence.sel(head=3).clip(0.1)).all()


@pytest.mark.parametrize(
    ("period", "reason"),
    [(24.0, "16 samples a patch; it needs 12 or fewer"), (1e4, "peaks up to"), (1090.0, "peaks up to")],
)
def test_a_period_that_the_axis_cannot_show_is_missing_and_says_why(ds, period, reason):
    result = measures.head_measures(ds, period)
    assert result.period_prominence.isnull().all()
    assert result.multiples_prominence.isnull().all()
    assert reason in result.attrs["unseen"]
    assert result.entropy.notnull().all()


def test_what_an_unseen_period_needs_makes_it_seen(ds):
    assert "at most 924 samples" in measures.unseen(ds, 24.0)
    assert measures.unseen(ds.assign_coords(samples_per_patch=924 / 77), 24.0) == ""
    assert "unseen" not in measures.head_measures(ds, 63.0).attrs


def test_an_even_map_has_full_entropy_and_half_its_off_diagonal_mass_in_the_past(ds):
    n, history = ds.sizes["key_patch"], int(ds.history_patches)
    result = measures.head_measures(with_attention(ds, np.full((n, n), 0.01))).isel(layer=0, head=0)
    assert float(result.entropy) == pytest.approx(1, abs=1e-5)
    assert float(result.past_share) == pytest.approx((n - 1) / (2 * n), rel=1e-5)
    assert float(result.history_share) == pytest.approx(history / n, rel=1e-5)
    distance = np.abs(np.subtract.outer(np.arange(n), np.arange(n))).mean() * float(ds.samples_per_patch)
    assert float(result.locality) == pytest.approx(distance, rel=1e-5)


def test_a_head_that_looks_three_patches_back_has_no_entropy_and_is_three_patches_away(ds):
    n = ds.sizes["key_patch"]
    attention = np.eye(n, k=-3) + np.diag([1.0] * 3 + [0.0] * (n - 3))
    result = measures.head_measures(with_attention(ds, attention)).isel(layer=0, head=0)
    assert float(result.entropy) == pytest.approx(0, abs=1e-6)
    assert float(result.locality) == pytest.approx(3 * (n - 3) / n * float(ds.samples_per_patch), rel=1e-5)
    assert float(result.past_share) == pytest.approx((n - 3) / n, rel=1e-5)


def test_cls_share_is_the_mean_over_tokens(ds):
    np.testing.assert_allclose(measures.head_measures(ds).cls_share, ds.cls_attention.mean("query_token"), rtol=1e-5)


def test_a_signal_without_forecast_columns_has_no_forecast_to_history_share(ds):
    all_history = ds.assign_coords(history_patches=ds.sizes["key_patch"])
    assert np.isnan(measures.head_measures(all_history).history_share).all()
