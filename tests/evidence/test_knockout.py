from __future__ import annotations

import numpy as np
import pytest
import torch

from tests.conftest import random_model, small_config
from vitime_cache.attention.forward import Mask, forecast
from vitime_cache.evidence.interventions import (
    InterventionError,
    ablate_heads,
    by_column,
    draw,
    mask_lags,
    run_signal,
)
from vitime_cache.evidence.knockout import (
    knock_out_all,
    knock_out_sets,
    mask_lags_all,
    random_sets,
    screen_heads,
)
from vitime_cache.evidence.outcomes import Yardstick
from vitime_cache.model.network import ViTime
from vitime_cache.series.signal import Signal

CONFIG = small_config(context_columns=40, horizon_columns=56, encoder_width=32, decoder_width=16)  # 2 × 12 tokens


def walk(seed: int = 0, n: int = 60, horizon: int = 84) -> Signal:
    series = np.random.default_rng(seed).standard_normal(n + horizon).cumsum()
    return Signal(f"walk {seed}", series[:n], horizon=horizon, future=series[n:])


@pytest.fixture(scope="module")
def model() -> ViTime:
    return random_model(CONFIG)


SIGNALS = [walk(0), walk(1, n=100, horizon=44)]


@pytest.mark.parametrize("value", ["mean", "resample", "zero"])
def test_every_single_knockout_is_that_of_the_full_pass(model: ViTime, value: str) -> None:
    ds = knock_out_all(model, SIGNALS, value=value, period=30)
    assert ds.effect.dims == ("signal", "outcome", "layer", "head")
    for layer in CONFIG.layers:
        for head in range(2):
            one = ablate_heads(model, SIGNALS, [(layer, head)], value, period=30)
            np.testing.assert_allclose(ds.effect.sel(layer=layer, head=head), one.effect, rtol=1e-3, atol=1e-5)


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


def test_heads_that_were_not_asked_for_are_missing_and_progress_counts_to_the_end(model: ViTime) -> None:
    asked = [("decoder.0", 1), ("encoder.1", 0)]
    for run in (
        lambda told: knock_out_all(model, SIGNALS, heads=asked, progress=told),
        lambda told: mask_lags_all(model, SIGNALS, 48, heads=asked, progress=told),
    ):
        steps = []
        ds = run(lambda done, total, what, steps=steps: steps.append((done, total, what)))
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
    ds = knock_out_sets(model, SIGNALS, sets, period=30)
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


def test_screening_is_the_derivative_of_the_knockout() -> None:
    """Pull every head's output a thousandth of the way to its mean: the forecast's strength moves as estimated."""
    torch.manual_seed(0)
    model, signal = random_model(CONFIG), walk()
    reference = [walk(seed) for seed in range(3, 6)]
    ds = screen_heads(model, signal, reference)
    from vitime_cache.attention.forward import above
    from vitime_cache.evidence.interventions import mean_outputs, run_signal

    model = model.double()
    intact, means = run_signal(model, signal), mean_outputs(model, reference)
    from vitime_cache.model.encoding import SeriesEncoding

    ahead = SeriesEncoding.fit(signal.values, signal.horizon, CONFIG).history_columns
    rows = torch.arange(16.0).double() * CONFIG.row_step

    def line(probability: torch.Tensor) -> np.ndarray:
        return (probability[0].double() @ rows)[ahead:].numpy()

    shape = line(intact.probability) - line(intact.probability).mean()
    shape /= np.linalg.norm(shape) * len(shape) ** 0.5
    for number, layer in enumerate(CONFIG.layers):
        for head in range(2):
            z = intact.outputs[number][0, head]
            moved = [z + sign * 1e-2 * (means[number][head] - z) for sign in (1, -1)]
            up, down = (line(above(model, intact, number, [head], each[None])) for each in moved)
            estimate = ds.attribution.sel(layer=layer, head=head).item()
            assert shape @ (up - down) / 2e-2 == pytest.approx(estimate, rel=2e-2, abs=1e-5)
    assert "screening only" in ds.attrs["intervention"]


def test_knocking_out_leaves_the_model_unchanged(model: ViTime) -> None:
    before = {name: value.clone() for name, value in model.state_dict().items()}
    for run in (knock_out_all, screen_heads):
        run(model, SIGNALS)
    mask_lags_all(model, SIGNALS, 48)
    assert all(torch.equal(before[name], value) for name, value in model.state_dict().items())
    assert not any(parameter.requires_grad or parameter.grad is not None for parameter in model.parameters())
