"""Value patching against a plain second implementation, its self-patch, and what `patch_values` says."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch

import vitime_cache as vc
from tests.conftest import random_model
from tests.interventions.conftest import CONFIG, SIGNALS, walk
from vitime_cache.attention.capture import as_batch
from vitime_cache.attention.forward import forecast
from vitime_cache.interventions.lag_masks import LagMaskError
from vitime_cache.interventions.references import InterventionError
from vitime_cache.interventions.runs import draw
from vitime_cache.interventions.value_patch import (
    Patch,
    all_pairs,
    freeze,
    lag_pairs,
    run_for_values,
    run_holding,
    run_patches,
)
from vitime_cache.model.encoding import SeriesEncoding
from vitime_cache.model.network import ViTime
from vitime_cache.series.signal import Signal
from vitime_cache.stats.stand_ins import stand_ins

GRID = CONFIG.grid
LAYERS, HEADS = len(CONFIG.layers), CONFIG.heads
COLUMN = [-1, *(t % GRID[1] for t in range(CONFIG.tokens))]  # of every token; CLS first


@pytest.fixture(scope="module")
def model() -> ViTime:
    return loud_model()


def loud_model() -> ViTime:
    """Random weights whose heads move the forecast by far more than rounding does."""
    model = random_model(CONFIG)
    for block in model.blocks_by_layer().values():
        block.attn.proj.weight.mul_(10)
    model.decoder_pred.weight.mul_(10)
    return model


def plain(model, image, frozen_from=None, values=None, pairs=None, heads=None):
    """A forward pass by whole matrices: attention (layer, head, token, token), values, and the forecast's image.

    With `frozen_from` attention is that of another run; `values`, (head, token, d) for each layer, go in at `pairs` of
    `heads`.
    """
    attention, read = [], []
    x = model.embed(image)
    for i, (layer, block) in enumerate(model.blocks_by_layer().items()):
        if layer == "decoder.0":
            x = model.enter_decoder(x)
        q, k, v = block.attn.qkv(block.norm1(x))[0].reshape(x.shape[1], 3, HEADS, -1).permute(1, 2, 0, 3)
        a = torch.softmax(q @ k.mT / q.shape[-1] ** 0.5, dim=-1) if frozen_from is None else frozen_from[i]
        z = a @ v
        if values is not None:
            for head in range(HEADS):
                for t in range(x.shape[1]):
                    for s in range(x.shape[1]):
                        if heads[i, head] and t and pairs[COLUMN[t], 1 + COLUMN[s]]:
                            z[head, t] += a[head, t, s] * (values[i][head, s] - v[head, s])
        attention.append(a)
        read.append(v)
        x = x + block.attn.proj(z.permute(1, 0, 2).reshape(1, x.shape[1], -1))
        x = x + block.mlp(block.norm2(x))
    return attention, read, model.probability(model.read_out(x))


def random_pairs(rng: np.random.Generator) -> np.ndarray:
    return rng.random((GRID[1], 1 + GRID[1])) < 0.3


@torch.inference_mode()
def test_patches_of_a_batch_are_those_of_a_plain_second_implementation(model: ViTime) -> None:
    rng = np.random.default_rng(0)
    mine, *others = (draw(model, [walk(seed)]) for seed in range(3))
    attention, _, _ = plain(model, mine)
    frozen = freeze(model, mine)
    lags = np.zeros(GRID[1], dtype=bool)
    lags[[3, 6, 7]] = True
    everywhere = np.ones((LAYERS, HEADS), dtype=bool)
    only_last = np.zeros((LAYERS, HEADS), dtype=bool)
    only_last[-1, 1] = True
    some = [Patch(random_pairs(rng), rng.random((LAYERS, HEADS)) < 0.5) for _ in range(3)]
    of_first = [Patch(lag_pairs(lags, 5), everywhere), *some[::2]]
    of_second = [Patch(lag_pairs(lags, 5), only_last), Patch(all_pairs(GRID[1], 5), everywhere), some[1]]
    for other, patches in zip(others, (of_first, of_second), strict=True):
        _, theirs, _ = plain(model, other)
        values, _ = run_for_values(model, other)
        seen = []
        for numbers, probability in run_patches(model, frozen, values, patches):
            for number, found in zip(numbers, probability, strict=True):
                p = patches[number]
                _, _, expected = plain(model, mine, attention, theirs, p.pairs, p.heads)
                torch.testing.assert_close(found, expected[0], rtol=0, atol=1e-5)
                assert (found - frozen.intact.probability[0]).abs().max() > 1e-3
                seen.append(number)
        assert sorted(seen) == list(range(len(patches)))


@torch.inference_mode()
def test_a_run_patched_with_its_own_values_is_the_intact_one_to_the_bit(model: ViTime) -> None:
    frozen = freeze(model, draw(model, [walk()]))
    everywhere = np.ones((LAYERS, HEADS), dtype=bool)
    for pairs in (all_pairs(GRID[1]), random_pairs(np.random.default_rng(1))):
        [(_, found)] = run_patches(model, frozen, frozen.values, [Patch(pairs, everywhere)])
        assert torch.equal(found, frozen.intact.probability)
    torch.testing.assert_close(frozen.intact.probability, forecast(model, draw(model, [walk()])), rtol=0, atol=1e-6)


@torch.inference_mode()
def test_held_values_are_those_of_the_frozen_run_and_attention_is_each_runs_own(model: ViTime) -> None:
    mine, other = (draw(model, [walk(seed)]) for seed in range(2))
    frozen = freeze(model, mine)
    pairs = lag_pairs(np.arange(GRID[1]) % 4 == 3, 5)
    nothing = np.zeros_like(pairs)
    nothing[7, 7] = True  # a query there that holds nothing else
    torch.testing.assert_close(run_holding(model, mine, frozen, pairs), frozen.intact.probability, rtol=0, atol=1e-6)
    held = run_holding(model, torch.cat((mine, other)), frozen, pairs)[1]
    assert (held - forecast(model, other)[0]).abs().max() > 1e-2
    # All values of all queries, CLS's but its own: the second implementation puts them in where attention is the run's.
    _, values, _ = plain(model, mine)
    everywhere = np.ones((LAYERS, HEADS), dtype=bool)
    _, _, expected = plain(model, other, None, values, pairs, everywhere)
    torch.testing.assert_close(held, expected[0], rtol=0, atol=1e-5)


def test_patch_values_measures_what_the_second_implementation_does(model: ViTime) -> None:
    heads = [("encoder.1", 0), ("decoder.0", 1)]
    ds = vc.patch_values(model, SIGNALS, heads, [4, 8], period=40)
    patched = np.zeros((LAYERS, HEADS), dtype=bool)
    patched[1, 0] = patched[2, 1] = True
    np.testing.assert_array_equal(ds.changed, patched)
    lags = np.isin(np.arange(GRID[1]), [4, 8])
    with torch.inference_mode():
        for i, signal in enumerate(SIGNALS):
            moved = Signal("moved", stand_ins(signal.values, 40, 1)[0], signal.horizon)
            first = -(-int(len(signal.values) / 144 * CONFIG.columns) // CONFIG.patch_width)
            own = vc.patch_values(model, signal, heads, [4, 8], moved)
            attention, _, intact = plain(model, draw(model, [signal]))
            assert own.effect.sel(outcome="distance").item() > 2e-4
            # The stand-in is drawn with the scaling of the signal, as nothing else may differ.
            encoding = SeriesEncoding.fit(signal.values, signal.horizon, CONFIG)
            _, values, _ = plain(model, as_batch(model, encoding.image(moved.values)[None]))
            _, _, expected = plain(model, draw(model, [signal]), attention, values, lag_pairs(lags, first), patched)
            for name, image in (("forecast", expected), ("intact_forecast", intact)):
                series = encoding.series(image[0].numpy(), "expectation")[-signal.horizon :]
                np.testing.assert_allclose(ds[name][i].dropna("time"), series, rtol=0, atol=1e-5 * signal.values.std())
            np.testing.assert_allclose(own.forecast[0].dropna("time"), ds.forecast[i].dropna("time"), rtol=1e-6)
            columns = np.array(COLUMN[1:])
            query = columns >= first
            lag = columns[:, None] - columns
            mass = attention[2][1, 1:, 1:].numpy()[query][:, :]
            expected_mass = np.where(np.isin(lag[query], [4, 8]), mass, 0).sum(axis=1).mean()
            assert ds.read_mass[i, 2, 1].item() == pytest.approx(expected_mass, rel=1e-4)
    assert ds.read_mass.isnull().sum() == 2 * (LAYERS * HEADS - 2)


def test_values_of_the_signal_itself_change_nothing(model: ViTime) -> None:
    ds = vc.patch_values(model, walk(), [("encoder.0", 0), ("decoder.0", 0)], [3, 6], walk())
    np.testing.assert_array_equal(ds.forecast, ds.intact_forecast)
    assert ds.effect.sel(outcome="distance").item() == 0


def test_content_is_patched_and_magnitude_is_not_so_that_a_head_of_constant_values_does_nothing() -> None:
    model = loud_model()
    width = CONFIG.decoder_width
    rows = slice(2 * width, 2 * width + width // HEADS)  # values of head 0
    model.decoder_blocks[0].attn.qkv.weight[rows] = 0
    model.decoder_blocks[0].attn.qkv.bias[rows] = torch.randn(width // HEADS, generator=torch.manual_seed(0))
    head, lags = [("decoder.0", 0)], [3, 6, 9]
    assert vc.patch_values(model, walk(), head, lags).effect.sel(outcome="distance").item() == 0
    removed = vc.mask_lags(model, walk(), head, 36, renormalise=False)
    assert removed.effect.sel(outcome="distance").item() > 1e-2


def test_a_value_patch_is_kept_with_its_result(model: ViTime) -> None:
    kept = json.loads(vc.patch_values(model, walk(), [("decoder.0", 1)], [6, 3]).attrs["intervention"])
    assert (kept["kind"], kept["lags"], kept["heads"]) == ("value patch", [3, 6], [["decoder.0", 1]])
    assert kept["stand_in"] == "the signal moved by half its period"
    assert "attention as in the intact run" in kept["where"]


@pytest.mark.parametrize(("lags", "stand_in", "error", "words"), [
    ([], None, LagMaskError, "whole numbers of patches"),
    ([0], None, LagMaskError, "lags are 1 to 11"),
    ([3, 12], None, LagMaskError, "got 3 … 12"),
    ([2.5], None, LagMaskError, "whole numbers of patches"),
    ([3], walk(1, n=61), InterventionError, "has 61 samples, 'walk 0' has 60"),
    ([3], [walk(1), walk(2)], InterventionError, "1 signals need as many stand-ins or one, got 2"),
    ([7], None, InterventionError, "a period of 84 samples does not fit its 60; give a stand_in"),
])  # fmt: skip
def test_lags_and_stand_ins_that_do_not_fit_are_errors_that_say_what_does(model, lags, stand_in, error, words) -> None:
    with pytest.raises(error, match=words):
        vc.patch_values(model, walk(), [("decoder.0", 0)], lags, stand_in)


def test_one_dtype_throughout() -> None:
    model = loud_model().bfloat16()
    ds = vc.patch_values(model, walk(), [("encoder.0", 0)], [3], walk())
    np.testing.assert_array_equal(ds.forecast, ds.intact_forecast)
    assert vc.patch_values(model, walk(), [("encoder.0", 0)], [3]).effect.notnull().sum() == 3
