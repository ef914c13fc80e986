"""The gates an intervention must pass before anything is concluded from it."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from benchmarks.reference import hook_and_copy
from tests.conftest import random_model, small_config
from vitime_cache.attention.forward import (
    ByColumn,
    Mask,
    Replace,
    forecast,
    forecast_from_layer,
    mix_heads,
    run_and_keep,
    split_heads,
)
from vitime_cache.model.network import ViTime


@pytest.fixture(scope="module")
def model() -> ViTime:
    return random_model(small_config(encoder_depth=3, decoder_depth=2))


@pytest.fixture(scope="module")
def image() -> Tensor:
    return torch.rand(1, 1, 16, 48, generator=torch.manual_seed(0))


HEADS = [(number, head) for number in range(5) for head in range(2)]


def test_the_pass_without_edits_is_the_plain_forward_pass_bit_for_bit(model: ViTime, image: Tensor) -> None:
    torch.testing.assert_close(forecast(model, image), model(image), rtol=0, atol=0)
    torch.testing.assert_close(run_and_keep(model, image).probability, model(image), rtol=0, atol=0)


@pytest.mark.parametrize(("number", "head"), HEADS)
def test_replacing_z_by_itself_changes_nothing_bit_for_bit(
    model: ViTime, image: Tensor, number: int, head: int
) -> None:
    intact = run_and_keep(model, image)
    z = intact.outputs[number][0, head]
    same = forecast(model, image, [Replace(model.config.layers[number], head, z)])
    torch.testing.assert_close(same, intact.probability, rtol=0, atol=0)
    torch.testing.assert_close(
        forecast_from_layer(model, intact, number, [head], z[None]), intact.probability, rtol=0, atol=0
    )


@pytest.mark.parametrize(("number", "head"), HEADS)
def test_replacing_z_by_something_else_changes_the_forecast(
    model: ViTime, image: Tensor, number: int, head: int
) -> None:
    other = run_and_keep(model, torch.rand(1, 1, 16, 48)).outputs[number][0, head]
    changed = forecast(model, image, [Replace(model.config.layers[number], head, other)])
    assert (changed - model(image)).abs().max() > 1e-5


@pytest.mark.parametrize(("number", "head"), HEADS)
def test_computing_only_what_lies_above_equals_the_full_pass(
    model: ViTime, image: Tensor, number: int, head: int
) -> None:
    intact = run_and_keep(model, image)
    z = torch.randn(3, *intact.outputs[number].shape[2:], generator=torch.manual_seed(2))
    quick = forecast_from_layer(model, intact, number, [head, 1 - head, head], z)
    for i, which in enumerate((head, 1 - head, head)):
        full = forecast(model, image, [Replace(model.config.layers[number], which, z[i])])
        torch.testing.assert_close(quick[i], full[0])


def test_heads_contributions_and_the_bias_are_the_blocks_attention_output(model: ViTime, image: Tensor) -> None:
    seen: dict[str, Tensor] = {}
    hooks = [
        block.attn.register_forward_hook(lambda _m, _i, output, layer=layer: seen.__setitem__(layer, output))
        for layer, block in model.blocks_by_layer().items()
    ]
    model(image)
    for hook in hooks:
        hook.remove()
    intact = run_and_keep(model, image)
    for number, (layer, block) in enumerate(model.blocks_by_layer().items()):
        z = intact.outputs[number]
        bias = block.attn.proj.bias
        parts = [mix_heads(block.attn, torch.where(torch.arange(2)[:, None, None] == h, z, 0)) - bias for h in (0, 1)]
        torch.testing.assert_close(sum(parts) + bias, seen[layer])


def test_one_dtype_from_the_image_to_what_is_kept(image: Tensor) -> None:
    model = random_model(small_config()).bfloat16()
    intact = run_and_keep(model, image.bfloat16())
    assert {part.dtype for part in (*intact.inputs, *intact.outputs)} == {torch.bfloat16}
    z = intact.outputs[0][0, :1]
    torch.testing.assert_close(forecast_from_layer(model, intact, 0, [0], z), intact.probability, rtol=0, atol=0)


@pytest.mark.parametrize("renormalise", [True, False])
def test_attention_by_key_column_is_masked_attention_by_token(model: ViTime, image: Tensor, renormalise: bool) -> None:
    gh, gw = model.config.grid
    keep = (2 * torch.rand(3, gh * gw, gw) - 0.5).clamp(0, 1)
    probability, maps = hook_and_copy(model, image)
    intact = run_and_keep(model, image)
    for number, (layer, block) in enumerate(model.blocks_by_layer().items()):
        q, k, v = split_heads(block.attn, block.norm1(intact.inputs[number]))
        attended = ByColumn.of(q[0, 1], k[0, 1], v[0, 1], (gh, gw))
        weights = maps[layer][0, 1].expand(3, -1, -1).clone()
        torch.testing.assert_close(attended.mass, weights[0, 1:, 1:].unflatten(-1, (gh, gw)).sum(-2))
        weights[:, 1:, 1:] *= keep[..., None, :].expand(-1, -1, gh, -1).flatten(-2)
        if renormalise:
            weights /= weights.sum(-1, keepdim=True)
        torch.testing.assert_close(attended.output(keep, renormalise), weights @ v[0, 1])
    torch.testing.assert_close(probability, intact.probability)


def test_a_mask_that_keeps_all_changes_nothing_and_one_that_keeps_none_leaves_cls(model: ViTime, image: Tensor) -> None:
    n, gw = model.config.tokens, model.config.grid[1]
    for renormalise in (True, False):
        kept = forecast(model, image, [Mask("encoder.1", 0, torch.ones(n, gw), renormalise)])
        torch.testing.assert_close(kept, model(image))
    intact = run_and_keep(model, image)
    block = model.blocks[1]
    q, k, v = split_heads(block.attn, block.norm1(intact.inputs[1]))
    only_cls = ByColumn.of(q[0, 0], k[0, 0], v[0, 0], model.config.grid).output(torch.zeros(n, gw), True)
    torch.testing.assert_close(only_cls[1:], v[0, 0, :1].expand(n, -1))


def test_masking_nearly_all_of_a_very_sharp_head_stays_finite_and_exact() -> None:
    """All that is kept would underflow in float32: weights of exp(-300)."""
    q = torch.zeros(7, 4)
    q[:, 0] = 600
    k = torch.zeros(7, 4)
    k[1:, 0] = torch.tensor([1.0, 0, 0, 0, 0, 0.001])
    k[0, 0] = -1
    v = torch.randn(7, 4)
    keep = torch.ones(6, 6)
    keep[:, 0] = 0
    z = ByColumn.of(q, k, v, (1, 6)).output(keep, True)
    scores = (q @ k.T / 2).double()
    scores[1:, 1] = -torch.inf
    torch.testing.assert_close(z, (scores.softmax(-1) @ v.double()).float())
