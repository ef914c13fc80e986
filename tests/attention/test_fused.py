"""Attention pooled by one fused call is the attention that a plain softmax gives."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from benchmarks.reference import pool_to_time
from tests.attention.test_streaming import images, keep_random
from tests.conftest import random_model, small_config
from vitime_cache.attention import fused
from vitime_cache.attention.forward import Mask, Replace
from vitime_cache.attention.streaming import Streaming

NO_CUDA = "needs a CUDA device: the CPU tests of this file cover the same code but for the choice of kernel"


def qkv(grid: tuple[int, int], d: int, dtype: torch.dtype = torch.float32) -> tuple[Tensor, Tensor, Tensor]:
    q, k, v = torch.randn(3, 2, 3, 1 + grid[0] * grid[1], d, generator=torch.manual_seed(0)).to(dtype)
    return q, k, v


@pytest.mark.parametrize("padded", [False, True])
@pytest.mark.parametrize(("grid", "d"), [((5, 4), 6), ((2, 77), 16), ((1, 3), 8)])
def test_one_call_returns_the_output_and_the_pooled_weights(padded: bool, grid: tuple[int, int], d: int) -> None:
    q, k, v = qkv(grid, d)
    out, time, cls = fused.pooled_attention(q, k, v, grid, padded)
    weights = (q.double() @ k.double().mT * d**-0.5).softmax(-1)
    torch.testing.assert_close(out, (weights @ v.double()).float(), atol=1e-6, rtol=1e-5)
    torch.testing.assert_close(time, pool_to_time(weights, grid).float(), atol=1e-7, rtol=1e-5)
    torch.testing.assert_close(cls, weights[..., 1:, 0].float(), atol=1e-7, rtol=1e-5)


def test_what_a_row_gives_to_columns_and_cls_sums_to_one() -> None:
    grid = (3, 7)
    _, time, cls = fused.pooled_attention(*qkv(grid, 8), grid)
    torch.testing.assert_close(time.sum(-1) * grid[0] + cls.unflatten(-1, grid).mean(-2), torch.ones(2, 3, 7))


def test_in_16_bits_the_pooled_weights_are_off_by_rounding_alone() -> None:
    grid = (4, 9)
    exact = fused.pooled_attention(*qkv(grid, 16), grid)[1]
    rounded = fused.pooled_attention(*qkv(grid, 16, torch.bfloat16), grid)[1]
    assert rounded.dtype == torch.float32
    assert 0 < float((rounded - exact).abs().max() / exact.max()) < 0.05


@pytest.mark.parametrize("way", list(fused.WAYS))
def test_capture_by_a_fused_kernel_gives_the_maps_and_the_forecast_of_capture_by_blocks(
    way: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fused, "FUSED", [fused.SDPBackend.MATH, *fused.FUSED])  # the CPU has no kernel for all shapes
    model = random_model(small_config())
    by_blocks, by_kernel = Streaming(model, 2), Streaming(model, 2, way=way)
    used: list[str] = []
    kernel = fused.WAYS[way]
    monkeypatch.setitem(fused.WAYS, way, lambda *given: used.append(way) or kernel(*given))  # type: ignore[arg-type]
    torch.testing.assert_close(by_kernel.run(images(2)), by_blocks.run(images(2)))
    assert len(used) == len(model.config.layers), "the one is not held against itself"
    torch.testing.assert_close(by_kernel.time, by_blocks.time, atol=1e-6, rtol=1e-4)
    torch.testing.assert_close(by_kernel.cls, by_blocks.cls, atol=1e-6, rtol=1e-4)


def test_masked_layers_and_layers_whose_tokens_are_asked_for_are_read_by_blocks_all_the_same(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(fused, "FUSED", [fused.SDPBackend.MATH, *fused.FUSED])
    model = random_model(small_config())
    first, last = model.config.layers[0], model.config.layers[-1]
    width = model.config.decoder_width // model.config.heads
    edits = [Mask(first, 1, keep_random(model)), Replace(last, 0, torch.zeros(1 + model.config.tokens, width))]
    found = []
    for way in ("blocks", "wide"):
        maps: dict[object, object] = {}
        stream = Streaming(
            model, 1, [last], lambda *told, maps=maps: maps.update({told[:3]: told[3].copy()}), edits, way=way
        )
        found.append((stream.run(images()), stream.time, maps))
    torch.testing.assert_close(found[0][0], found[1][0])
    torch.testing.assert_close(found[0][1], found[1][1], atol=1e-6, rtol=1e-4)
    assert found[0][2].keys() == found[1][2].keys()
    assert len(found[1][2]) == model.config.heads


def test_the_quickest_way_is_one_that_the_device_has_a_kernel_for(monkeypatch: pytest.MonkeyPatch) -> None:
    def none(*_: object) -> fused.Pooled:
        raise RuntimeError("No available kernel. Aborting execution.")

    monkeypatch.setattr(fused, "WAYS", {"wide": none, "padded": none})
    assert fused.quickest_way(*qkv((2, 3), 4), (2, 3), {"blocks": lambda: None}) == "blocks"


def test_a_way_is_tried_once_for_each_shape(monkeypatch: pytest.MonkeyPatch) -> None:
    tried: list[str] = []
    monkeypatch.setattr(fused, "WAYS", {"wide": lambda *_: tried.append("wide")})
    for grid in ((2, 5), (2, 5), (2, 6)):
        fused.quickest_way(*qkv(grid, 4), grid, {})
    assert len(tried) == 2 * (1 + fused.TRIALS)


@pytest.mark.skipif(not torch.cuda.is_available(), reason=NO_CUDA)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16])
def test_on_a_cuda_device_the_maps_are_those_of_the_cpu(dtype: torch.dtype) -> None:
    model = random_model(small_config())
    exact = Streaming(model, 2)
    exact.run(images(2))
    there = model.to("cuda", dtype)
    stream = Streaming(there, 2)
    stream.run(images(2).to("cuda", dtype))
    tolerance = 1e-4 if dtype == torch.float32 else 0.1
    assert float((stream.time.cpu() - exact.time).abs().max() / exact.time.max()) < tolerance
