from __future__ import annotations

import numpy as np
import pytest
import torch

from tests.interventions.conftest import CONFIG, SIGNALS
from vitime_cache.attention.forward import Mask, forecast
from vitime_cache.interventions.masking import mask_lags_all
from vitime_cache.interventions.named_heads import mask_lags
from vitime_cache.interventions.outcomes import Yardstick
from vitime_cache.interventions.runs import by_column, draw, run_signal
from vitime_cache.model.network import ViTime


@pytest.mark.parametrize("renormalise", [True, False])
@pytest.mark.parametrize("harmonics", [True, False])
def test_every_single_mask_is_that_of_the_full_pass(model: ViTime, renormalise: bool, harmonics: bool) -> None:
    how = {"harmonics": harmonics, "renormalise": renormalise}
    ds = mask_lags_all(model, SIGNALS, 48, controls=3, **how)
    for layer in CONFIG.layers:
        for head in range(2):
            one = mask_lags(model, SIGNALS, [(layer, head)], 48, **how)
            at = {"layer": layer, "head": head}
            np.testing.assert_allclose(ds.effect.sel(at), one.effect, rtol=1e-3, atol=1e-5)
            np.testing.assert_allclose(ds.removed_mass.sel(at), one.removed_mass.sel(at), rtol=1e-5)


def test_as_much_is_removed_elsewhere_as_by_each_comb_but_for_what_is_said_to_be_missing(model: ViTime) -> None:
    ds = mask_lags_all(model, SIGNALS, 48, renormalise=False)
    assert ds.n_controls.values.tolist() == [3, 3]  # four patches: three other phases
    assert ds.smallest_p.values.tolist() == [0.25, 0.25]
    assert (ds.missing_mass >= 0).all()
    assert (ds.missing_mass < ds.removed_mass).all()
    for name in ("effect", "elsewhere_effect", "control_effect", "control_elsewhere_effect"):
        distance = ds[name].sel(outcome="distance")
        assert distance.notnull().all()
        assert (distance > 0).all()
    assert not np.allclose(ds.effect, ds.elsewhere_effect, rtol=0.05, equal_nan=True)


def test_what_is_taken_elsewhere_is_that_of_the_full_pass(model: ViTime) -> None:
    """Against edits of the whole forward pass, with the shares worked out query by query."""
    signal, layer, head = SIGNALS[0], "encoder.1", 1
    ds = mask_lags_all(model, signal, 48, heads=[(layer, head)], renormalise=False, controls=0)
    intact = run_signal(model, signal)
    mass = by_column(model, intact, layer, head).mass.numpy()
    rows, columns = CONFIG.grid
    keep = np.ones_like(mass)
    for token in range(rows * columns):
        query = token % columns
        own = [query - lag for lag in (4, 8) if query >= lag]
        others = [key for key in range(query) if key not in own]
        if own and others:
            share = min(1.0, mass[token, own].sum() / mass[token, others].sum())
            keep[token, others] = 1 - share
    taken = forecast(model, draw(model, [signal]), [Mask(layer, head, torch.from_numpy(keep), renormalise=False)])
    yardstick = Yardstick.of(signal, CONFIG, intact.probability[0].numpy(), 48)
    np.testing.assert_allclose(
        ds.elsewhere_effect.sel(layer=layer, head=head)[0], yardstick.measure(taken.numpy())[:, 0], rtol=1e-3, atol=1e-5
    )
