from __future__ import annotations

import numpy as np
import pytest
import torch

from tests.conftest import small_config
from tests.interventions.conftest import CONFIG, SIGNALS
from vitime_cache.interventions.knockout import knock_out_all, knock_out_sets, random_sets
from vitime_cache.interventions.named_heads import ablate_heads
from vitime_cache.interventions.references import InterventionError
from vitime_cache.model.network import ViTime


@pytest.mark.parametrize("value", ["mean", "resample", "zero"])
def test_every_single_knockout_is_that_of_the_full_pass(model: ViTime, value: str) -> None:
    ds = knock_out_all(model, SIGNALS, value=value, period=30)
    assert ds.effect.dims == ("signal", "outcome", "layer", "head")
    for layer in CONFIG.layers:
        for head in range(2):
            one = ablate_heads(model, SIGNALS, [(layer, head)], value, period=30)
            np.testing.assert_allclose(ds.effect.sel(layer=layer, head=head), one.effect, rtol=1e-3, atol=1e-5)


def test_heads_that_were_not_asked_for_are_missing_and_progress_counts_to_the_end(model: ViTime) -> None:
    asked = [("decoder.0", 1), ("encoder.1", 0)]
    steps = []
    ds = knock_out_all(model, SIGNALS, heads=asked, progress=lambda *step: steps.append(step))
    known = ds.effect.sel(outcome="distance").notnull()
    assert int(known.sum()) == 4
    assert known.sel(layer="decoder.0", head=1).all()
    assert steps[-1][0] == steps[-1][1]
    assert [done for done, *_ in steps] == sorted(done for done, *_ in steps)
    assert "walk 1" in steps[-1][2]


def test_progress_may_end_a_run_by_raising(model: ViTime) -> None:
    def stop(*_: object) -> None:
        raise TimeoutError("enough")

    with pytest.raises(TimeoutError, match="enough"):
        knock_out_all(model, SIGNALS, progress=stop)


def test_sets_are_knocked_out_together(model: ViTime) -> None:
    sets = [
        [("encoder.0", 0), ("decoder.0", 1)], [("decoder.0", 0)], [("decoder.0", 0), ("decoder.0", 1)],
        [("encoder.1", 1), ("encoder.1", 0), ("encoder.0", 1)],
    ]  # fmt: skip
    steps = []
    ds = knock_out_sets(model, SIGNALS, sets, period=30, progress=lambda *step: steps.append(step))
    done = [step[0] for step in steps]
    assert done == sorted(done)
    total = len(SIGNALS) * len(sets)
    assert steps[-1] == (total, total, f"{SIGNALS[-1].name}: sets of heads knocked out")
    for i, heads in enumerate(sets):
        one = ablate_heads(model, SIGNALS, heads, period=30)
        np.testing.assert_allclose(ds.effect.sel(set=i), one.effect, rtol=1e-3, atol=1e-5)
        np.testing.assert_array_equal(ds.member.sel(set=i), one.changed)
    with pytest.raises(InterventionError, match="no set of heads"):
        knock_out_sets(model, SIGNALS, [])


def test_random_sets_have_as_many_heads_in_each_layer_and_differ(model: ViTime) -> None:
    wide = ViTime(small_config(heads=8, encoder_width=32, decoder_width=32))
    heads = [("encoder.0", 3), ("encoder.0", 5), ("decoder.0", 1)]
    drawn = random_sets(wide, heads, 100, seed=3)
    assert len({frozenset(each) for each in drawn}) == 100
    assert all(sorted(layer for layer, _ in each) == sorted(layer for layer, _ in heads) for each in drawn)
    assert frozenset(heads) not in {frozenset(each) for each in drawn}
    assert drawn == random_sets(wide, heads, 100, seed=3) != random_sets(wide, heads, 100, seed=4)
    assert random_sets(model, [("encoder.0", 0)], 100) == [[("encoder.0", 1)]]  # there is one other


def test_knocking_out_leaves_the_model_unchanged(model: ViTime) -> None:
    before = {name: value.clone() for name, value in model.state_dict().items()}
    knock_out_all(model, SIGNALS)
    assert all(torch.equal(before[name], value) for name, value in model.state_dict().items())
    assert not any(parameter.requires_grad or parameter.grad is not None for parameter in model.parameters())
