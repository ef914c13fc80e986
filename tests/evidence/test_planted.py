"""Networks whose answer is known: every intervention must give it."""

from __future__ import annotations

import numpy as np
import pytest
import xarray as xr

from benchmarks import planted
from benchmarks.planted import LAG, LAYER, PERIOD, SAMPLES_PER_PATCH, Planted, question
from vitime_cache.attention.capture import capture, capture_batch
from vitime_cache.evidence.levels.tracking import track_periods
from vitime_cache.interventions.knockout import knock_out_all, knock_out_sets
from vitime_cache.interventions.masking import mask_lags_all
from vitime_cache.interventions.named_heads import ablate_heads, mask_lags

QUESTIONS = [question(seed) for seed in range(3)]


@pytest.fixture(scope="module")
def networks() -> dict[str, Planted]:
    made = (
        planted.copier(), planted.inert_copier(), planted.even_head(), planted.redundant_copiers(),
        planted.comb_copier(),
    )  # fmt: skip
    return {each.name: each for each in made}


def distance(ds: xr.Dataset) -> np.ndarray:
    return ds.effect.sel(outcome="distance").values


def curve(network: Planted, head: int = 1) -> xr.DataArray:
    ds = capture(network.model, QUESTIONS[0])
    return ds.lag_attention.sel(layer=LAYER, head=head) * network.model.config.grid[0]  # of the query row's mass


def test_a_copier_looks_one_period_back_and_its_forecast_is_the_last_period(networks: dict[str, Planted]) -> None:
    network = networks["copier"]
    assert curve(network).sel(lag=LAG) > 0.9
    assert abs(curve(network)).where(curve(network).lag != LAG).sum() < 0.5  # queries with nothing a period back
    ds = capture(network.model, QUESTIONS[0])
    ahead = ds.forecast_quantile.sel(quantile=0.5).dropna("time").values
    assert np.corrcoef(ahead, QUESTIONS[0].future)[0, 1] > 0.9


def test_a_copier_matters_by_knockout_and_by_mask_and_no_other_head_does(networks: dict[str, Planted]) -> None:
    model = networks["copier"].model
    for ds in (
        knock_out_all(model, QUESTIONS, period=PERIOD),
        mask_lags_all(model, QUESTIONS, PERIOD, renormalise=True),
        mask_lags_all(model, QUESTIONS, PERIOD, renormalise=False),
    ):
        planted_ones = ds.effect.sel(outcome="distance", layer=LAYER, head=1)
        assert (planted_ones > 0.5).all()
        assert float(ds.effect.sel(outcome="distance").sum()) == pytest.approx(float(planted_ones.sum()), rel=1e-3)
        if "control_effect" in ds:
            control = ds.control_effect.sel(outcome="distance", layer=LAYER, head=1)
            assert (control.max("control") < 0.2 * planted_ones).all()


def test_an_inert_head_looks_the_same_and_nothing_depends_on_it(networks: dict[str, Planted]) -> None:
    np.testing.assert_allclose(curve(networks["inert copier"]), curve(networks["copier"]), atol=1e-5)
    model = networks["inert copier"].model
    assert (distance(knock_out_all(model, QUESTIONS)) == 0).all()
    assert (distance(mask_lags_all(model, QUESTIONS, PERIOD)) == 0).all()


def test_an_even_head_matters_and_looks_nowhere(networks: dict[str, Planted]) -> None:
    network = networks["even head"]
    looked = curve(network).values
    assert looked.max() < 2 * looked.min()
    assert np.abs(np.diff(looked[8:-8])).max() < 0.03 * looked.mean()  # no lag stands out from its neighbours
    knocked = knock_out_all(network.model, QUESTIONS).effect.sel(outcome="distance")
    assert (knocked.sel(layer=LAYER, head=1) > 0.1).all()
    assert int((knocked > 1e-6).sum()) == len(QUESTIONS)


def test_either_of_two_copiers_is_enough_and_both_together_are_all(networks: dict[str, Planted]) -> None:
    network = networks["redundant copiers"]
    single = knock_out_all(network.model, QUESTIONS).effect.sel(outcome="distance")
    joint = knock_out_sets(network.model, QUESTIONS, [network.heads]).effect.sel(outcome="distance", set=0)
    singles = single.sel(layer=LAYER, head=1) + single.sel(layer=LAYER, head=2)
    assert (joint > 0.5).all()
    assert (singles < 0.5 * joint).all()
    assert distance(ablate_heads(network.model, QUESTIONS, list(network.heads))) == pytest.approx(joint.values)


def test_what_one_tooth_loses_the_others_supply_unless_it_is_not_shared_out_again(
    networks: dict[str, Planted],
) -> None:
    """The renormalisation trap: masking P alone seems to show that P does not matter."""
    network, heads = networks["comb copier"], [(LAYER, 1)]
    looked = curve(network)
    assert all(looked.sel(lag=k * LAG) > 0.15 for k in (1, 2, 3))
    tooth, comb, kept = (
        distance(mask_lags(network.model, QUESTIONS, heads, PERIOD, **how))
        for how in ({"harmonics": False}, {}, {"harmonics": True, "renormalise": False})
    )
    assert (comb > 0.5).all()
    assert (kept > 0.5).all()
    assert (tooth < 0.3 * comb).all()


def test_a_matcher_follows_the_period_and_a_copier_does_not_and_nothing_is_made_of_the_match() -> None:
    periods = np.arange(16, 48, 4)
    sweep = [question(seed, period=period, harmonics=1) for seed, period in enumerate(periods)]
    slopes = {}
    for network in (planted.matcher(), planted.copier()):
        captured = capture_batch(network.model, sweep)
        head = np.stack([arrays["lag_attention"][1, 1] for arrays in captured])
        lag = np.arange(head.shape[-1]) - head.shape[-1] // 2
        slopes[network.name] = track_periods(lag, head, periods, SAMPLES_PER_PATCH)
    assert slopes["matcher"].slope == pytest.approx(1, abs=0.05)
    assert slopes["matcher"].tracks
    assert slopes["copier"].slope == pytest.approx(0, abs=0.05)
    assert (distance(knock_out_all(planted.matcher().model, QUESTIONS)) == 0).all()


def test_sharpened_random_heads_attend_by_content(networks: dict[str, Planted]) -> None:
    network = planted.sharpened(1)
    first, second = (capture(network.model, signal).time_attention.values for signal in QUESTIONS[:2])
    assert np.abs(first - second).max() > 0.1 * first.max()
    assert networks["copier"].model.weights.note == "planted: copier"
