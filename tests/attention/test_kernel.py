"""The kernel returns what a plain softmax gives. Without a device Triton's interpreter runs it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
import torch
from torch import Tensor

from benchmarks.reference import pool_to_time
from tests.attention.test_streaming import images, keep_random
from tests.conftest import random_model, small_config
from vitime_cache.attention.forward import Mask, Replace
from vitime_cache.attention.streaming import Streaming

kernel = pytest.importorskip("vitime_cache.attention.kernel", reason="triton comes with torch for Linux")

DEVICE = "cuda" if torch.cuda.is_available() else "cpu"
GRIDS = [((4, 13), 16), ((5, 7), 6), ((2, 77), 24), ((32, 3), 64), ((1, 3), 8), ((64, 2), 16)]


def qkv(grid: tuple[int, int], d: int, dtype: torch.dtype = torch.float32) -> tuple[Tensor, Tensor, Tensor]:
    """As a block makes them: views of one tensor, (B, heads, 1 + N, d)."""
    numbers = torch.randn(2, 1 + grid[0] * grid[1], 3, 3, d, generator=torch.manual_seed(0))
    q, k, v = numbers.to(DEVICE, dtype).permute(2, 0, 3, 1, 4)
    return 3 * q, k, v  # sharp enough that the largest score of a row changes from block to block


def reference(q: Tensor, k: Tensor, v: Tensor, grid: tuple[int, int]) -> tuple[Tensor, Tensor, Tensor]:
    weights = (q.double() @ k.double().mT * q.shape[-1] ** -0.5).softmax(-1)
    return (weights @ v.double()).float(), pool_to_time(weights, grid).float(), weights[..., 1:, 0].float()


@pytest.mark.parametrize("tile", [0, -1], ids=["first tile", "smallest tile"])
@pytest.mark.parametrize(("grid", "d"), GRIDS)
def test_the_kernel_returns_the_output_and_the_pooled_weights(grid: tuple[int, int], d: int, tile: int) -> None:
    given = qkv(grid, d)
    found, expected = kernel._run(kernel.TILES[4][tile], *given, grid), reference(*given, grid)
    for ours, theirs in zip(found, expected, strict=True):
        torch.testing.assert_close(ours, theirs, atol=5e-6, rtol=1e-4)


@pytest.mark.parametrize(
    "dtype",
    [
        torch.float16,
        pytest.param(torch.bfloat16, marks=pytest.mark.skipif(DEVICE == "cpu", reason="Triton's interpreter lacks it")),
    ],
)
def test_in_16_bits_the_pooled_weights_of_the_same_numbers_are_exact_and_the_output_is_rounded(
    dtype: torch.dtype,
) -> None:
    grid = (4, 9)
    given = qkv(grid, 16, dtype)
    out, time, cls = kernel.pooled_attention(*given, grid)
    assert (out.dtype, time.dtype, cls.dtype) == (dtype, torch.float32, torch.float32)
    expected = reference(*given, grid)
    torch.testing.assert_close(time, expected[1], atol=1e-6, rtol=1e-4)
    torch.testing.assert_close(cls, expected[2], atol=1e-6, rtol=1e-4)
    torch.testing.assert_close(out.float(), expected[0], atol=0.03, rtol=0.02)


def test_scores_so_large_that_their_exponentials_overflow_are_no_trouble() -> None:
    grid = (4, 13)
    q, k, v = qkv(grid, 16)
    found, expected = kernel.pooled_attention(1e3 * q, k, v, grid), reference(1e3 * q, k, v, grid)
    assert float(expected[1].max()) > 0.05
    for ours, theirs in zip(found, expected, strict=True):
        torch.testing.assert_close(ours, theirs, atol=2e-3, rtol=1e-3)


def test_what_a_row_gives_to_columns_and_cls_sums_to_one() -> None:
    grid = (3, 7)
    _, time, cls = kernel.pooled_attention(*qkv(grid, 8), grid)
    total = time.sum(-1) * grid[0] + cls.unflatten(-1, grid).mean(-2)
    torch.testing.assert_close(total, torch.ones_like(total))


def test_where_shared_memory_is_too_small_a_smaller_tile_is_used_and_not_tried_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    grid, tried = (4, 13), []
    run = kernel._run

    def with_little_memory(tile: object, *given: Tensor) -> object:
        tried.append(tile)
        if tile == kernel.TILES[4][0]:
            raise kernel.triton.OutOfResources(100_000, 65_536, "shared memory")
        return run(tile, *given)

    monkeypatch.setattr(kernel, "_run", with_little_memory)
    monkeypatch.setattr(kernel, "_too_large", set())
    given = qkv(grid, 16)
    for _ in range(2):
        torch.testing.assert_close(kernel.pooled_attention(*given, grid)[1], reference(*given, grid)[1])
    first, smallest = kernel.TILES[4]
    assert tried == [first, smallest, smallest]


def test_it_runs_on_the_device_of_its_tensors_whichever_is_current(monkeypatch: pytest.MonkeyPatch) -> None:
    current: list[Tensor] = []

    @contextmanager
    def device_of(tensor: Tensor) -> Iterator[None]:
        current.append(tensor)
        yield
        current.pop()

    def start(*given: object, **_: object) -> None:
        assert current, "the kernel is started on the current device"
        assert current[0] is given[0]
        started.append(given)

    started: list[object] = []
    monkeypatch.setattr(torch.cuda, "device_of", device_of)
    monkeypatch.setattr(kernel, "_attend", defaultdict(lambda: start))
    kernel.pooled_attention(*qkv((4, 13), 16), (4, 13))
    assert len(started) == 1


def test_capture_by_the_kernel_gives_the_maps_and_the_forecast_of_capture_by_blocks(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    model, batch = random_model(small_config()).to(DEVICE), images(2).to(DEVICE)
    by_blocks, by_kernel = Streaming(model, 2, way="blocks"), Streaming(model, 2, way="kernel")
    used: list[object] = []
    ours = kernel.pooled_attention
    monkeypatch.setattr(kernel, "pooled_attention", lambda *given: used.append(given) or ours(*given))
    torch.testing.assert_close(by_kernel.run(batch), by_blocks.run(batch))
    assert len(used) == len(model.config.layers), "it is not compared with itself"
    torch.testing.assert_close(by_kernel.time, by_blocks.time, atol=1e-6, rtol=1e-4)
    torch.testing.assert_close(by_kernel.cls, by_blocks.cls, atol=1e-6, rtol=1e-4)


def test_masked_layers_and_layers_whose_tokens_are_wanted_are_read_by_blocks_all_the_same() -> None:
    model = random_model(small_config()).to(DEVICE)
    first, last = model.config.layers[0], model.config.layers[-1]
    output = torch.zeros(1 + model.config.tokens, model.config.decoder_width // model.config.heads, device=DEVICE)
    edits = [Mask(first, 1, keep_random(model).to(DEVICE)), Replace(last, 0, output)]
    found = []
    for way in ("blocks", "kernel"):
        maps: dict[object, Tensor] = {}
        stream = Streaming(
            model, 1, [last], lambda *told, maps=maps: maps.update({told[:3]: torch.tensor(told[3])}), edits, way=way
        )
        found.append((stream.run(images().to(DEVICE)), stream.time, maps))
    torch.testing.assert_close(found[0], found[1])


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device: elsewhere attention is read by blocks")
def test_a_cuda_device_takes_the_kernel_unless_a_column_has_more_rows_than_it_holds() -> None:
    assert Streaming(random_model(small_config()).to("cuda"), 1).way == "kernel"
    assert Streaming(random_model(small_config(image_height=512, patch_height=4)).to("cuda"), 1).way == "blocks"
