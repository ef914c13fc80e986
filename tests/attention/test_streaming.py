from __future__ import annotations

import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from types import ModuleType, SimpleNamespace
from typing import Any, NoReturn
from unittest.mock import Mock

import numpy as np
import pytest
import torch
from torch import Tensor

from benchmarks.reference import hook_and_copy, pool_to_time
from tests.conftest import random_model, small_config
from vitime_cache.attention import streaming
from vitime_cache.attention.forward import EditError, Mask, Replace, forecast
from vitime_cache.attention.streaming import Streaming, attend
from vitime_cache.errors import Note
from vitime_cache.model.network import ViTime


@pytest.fixture(scope="module", autouse=True)
def _two_cores() -> Iterator[None]:
    """Heads are shared out among cores; other tests run torch on one."""
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(before)


def images(batch: int = 1, seed: int = 0) -> Tensor:
    return torch.rand(batch, 1, 16, 48, generator=torch.manual_seed(seed))


def keep_random(model: ViTime, *lead: int) -> Tensor:
    """A mask that removes some keys, keeps some and weakens the rest."""
    shape = (*lead, model.config.tokens, model.config.grid[1])
    return (2 * torch.rand(shape, generator=torch.manual_seed(1)) - 0.5).clamp(0, 1)


@pytest.mark.parametrize("rows", [1, 2, 3, 5, 8])
def test_attention_by_blocks_of_any_height_is_softmax_attention(rows: int) -> None:
    gh, gw, d = 5, 4, 6
    q, k, v = torch.randn(3, 2, 3, 1 + gh * gw, d, generator=torch.manual_seed(0))
    out, time, cls = torch.empty_like(q), torch.empty(2, 3, gw, gw), torch.empty(2, 3, gh * gw)
    tokens = torch.empty(2, 3, gh * gw, gh * gw, dtype=torch.float16)
    attend(q, k, v, out, (gh, gw), time, cls, tokens, rows)
    weights = torch.einsum("...qd,...kd->...qk", q, k).softmax(-1)
    torch.testing.assert_close(out, weights @ v)
    torch.testing.assert_close(cls, weights[..., 1:, 0])
    torch.testing.assert_close(time, pool_to_time(weights, (gh, gw)))
    torch.testing.assert_close(tokens, weights[..., 1:, 1:].half())


def run(
    model: ViTime, batch: Tensor, block_bytes: int
) -> tuple[Tensor, Streaming, dict[tuple[int, str, int], np.ndarray]]:
    maps = {}

    def keep(i: int, layer: str, head: int, token_map: np.ndarray) -> None:
        maps[i, layer, head] = token_map.copy()

    stream = Streaming(model, len(batch), model.config.layers, keep, block_bytes=block_bytes)
    return stream.run(batch), stream, maps


def test_all_heads_at_once_give_what_one_head_a_core_gives() -> None:
    """All heads at once in bounded blocks, token maps one layer late: here on the CPU, where its copy is none."""
    model = random_model(small_config())
    probability, stream, maps = run(model, images(2), 0)
    for block_bytes in (1, 2**20):
        at_once, other, other_maps = run(model, images(2), block_bytes)
        torch.testing.assert_close(at_once, probability)
        torch.testing.assert_close(other.time, stream.time, atol=1e-6, rtol=0)
        assert maps.keys() == other_maps.keys()
        for key, token_map in maps.items():
            np.testing.assert_allclose(other_maps[key], token_map, rtol=2e-3, atol=1e-6)


def test_the_maps_of_an_image_are_the_same_to_the_bit_in_a_batch_of_any_size() -> None:
    model = random_model(small_config(image_height=64, context_columns=280, horizon_columns=336))
    many = torch.rand(5, 1, 64, 616, generator=torch.manual_seed(0))
    alone = Streaming(model, 1)
    alone.run(many[:1])
    for size in (2, 3, 5):
        stream = Streaming(model, size)
        stream.run(many[:size])
        assert torch.equal(stream.time[:, :1], alone.time)


@pytest.mark.parametrize("block_bytes", [0, 1])
def test_a_plain_pass_in_another_thread_is_the_models_own_while_maps_are_read(block_bytes: int) -> None:
    model, image, other = random_model(small_config()), images(), images(seed=1)
    alone, stream = model(image), Streaming(model, 1, block_bytes=block_bytes)
    stream.run(image)
    inside, answers = threading.Event(), []

    def sink(*_: object) -> None:
        if not inside.is_set():
            inside.set()
            answers.append(("forward" in vars(model.decoder_blocks[0].attn), model(other)))

    def plain() -> Tensor:
        inside.wait(30)
        return model(other)

    with ThreadPoolExecutor(1) as pool:
        running = pool.submit(plain)
        watched = Streaming(model, 1, model.config.layers, sink, block_bytes=block_bytes)
        probability = watched.run(image)
        beside = running.result()
    torch.testing.assert_close(beside, model(other), rtol=0, atol=0)
    torch.testing.assert_close(answers[0][1], model(other))
    torch.testing.assert_close(probability, alone)
    torch.testing.assert_close(watched.time, stream.time, rtol=0, atol=0)
    assert not answers[0][0]


@pytest.mark.parametrize("block_bytes", [0, 1])
def test_nothing_runs_on_when_a_sink_has_failed(block_bytes: int) -> None:
    model, calls = random_model(small_config(heads=8, encoder_width=32, decoder_width=32)), []

    def failing(*_: object) -> None:
        calls.append(time.monotonic())
        raise OSError("disk full")

    with pytest.raises(OSError, match="disk full"):
        Streaming(model, 4, model.config.layers, failing, block_bytes=block_bytes).run(images(4))
    ended = time.monotonic()
    time.sleep(0.05)
    assert all(call <= ended for call in calls)


def test_torchs_number_of_threads_is_left_as_found_in_this_and_in_new_threads() -> None:
    model = random_model(small_config())

    def failing(*_: object) -> None:
        raise OSError

    torch.set_num_threads(3)  # a number for which no workers have been started
    try:
        for sink in (None, failing):
            with suppress(OSError):
                Streaming(model, 1, model.config.layers, sink, block_bytes=0).run(images())
            with ThreadPoolExecutor(1) as new:
                assert new.submit(torch.get_num_threads).result() == torch.get_num_threads() == 3
    finally:
        torch.set_num_threads(2)


@pytest.mark.parametrize("block_bytes", [0, 1])
@pytest.mark.parametrize("lead", [(), (2,)], ids=["one mask", "a mask for each image"])
def test_a_mask_without_renormalising_removes_exactly_the_mass_that_was_there(
    lead: tuple[int, ...], block_bytes: int
) -> None:
    model, batch = random_model(small_config()), images(2)
    gh, gw = model.config.grid
    _, maps = hook_and_copy(model, batch)
    keep = keep_random(model, *lead)
    before = Streaming(model, 2, block_bytes=block_bytes)
    before.run(batch)
    stream = Streaming(model, 2, edits=[Mask("encoder.0", 1, keep, False)], block_bytes=block_bytes)
    stream.run(batch)
    full = keep[..., None, :].expand(*lead, gh * gw, gh, gw).flatten(-2)
    expected = maps["encoder.0"][:, 1].clone()
    expected[:, 1:, 1:] *= full
    torch.testing.assert_close(stream.time[0, :, 1], pool_to_time(expected, (gh, gw)))
    torch.testing.assert_close(stream.cls[0], before.cls[0])
    torch.testing.assert_close(stream.time[0, :, 0], before.time[0, :, 0], rtol=0, atol=0)
    assert not torch.equal(stream.time[1], before.time[1])


@pytest.mark.parametrize("block_bytes", [0, 1])
def test_a_mask_with_renormalising_leaves_rows_that_sum_to_one_over_what_is_kept(block_bytes: int) -> None:
    model, batch = random_model(small_config()), images()
    gh, gw = model.config.grid
    keep = (keep_random(model) > 0.4).float()
    stream = Streaming(model, 1, edits=[Mask("decoder.0", 0, keep)], block_bytes=block_bytes)
    stream.run(batch)
    rows = gh * stream.time[2, 0, 0].sum(-1)
    cls = stream.cls[2, 0, 0].reshape(gh, gw).mean(0)
    torch.testing.assert_close(rows + cls, torch.ones(gw))
    nowhere = keep.reshape(gh, gw, gw).amax(0) == 0
    assert nowhere.any()
    assert (stream.time[2, 0, 0][nowhere] == 0).all()


@pytest.mark.parametrize("renormalise", [True, False])
def test_maps_are_read_of_the_network_whose_forecast_is_made(renormalise: bool) -> None:
    model, batch = random_model(small_config()), images(2)
    edits = [
        Mask("encoder.0", 0, keep_random(model), renormalise),
        Mask("encoder.0", 1, keep_random(model, 2), not renormalise),
        Replace("decoder.0", 1, torch.rand(13, 4)),
        Replace("encoder.1", 0, torch.rand(2, 13, 8)),
    ]
    for block_bytes in (0, 1):
        streamed = Streaming(model, 2, edits=edits, block_bytes=block_bytes).run(batch)
        torch.testing.assert_close(streamed, forecast(model, batch, edits))
    assert (streamed - model(batch)).abs().max() > 1e-3


def test_an_edit_that_fits_nothing_says_what_there_is() -> None:
    model, batch = random_model(small_config()), images(2)
    z = torch.rand(13, 8)
    for edit, words in (
        (Replace("decoder.7", 0, z), r"no decoder\.7, head 0; this model has layers encoder\.0"),
        (Replace("encoder.0", 2, z), r"with heads 0 … 1"),
        (Replace("encoder.0", -1, z), r"no encoder\.0, head -1"),
        (Replace("decoder.0", 0, z), r"shape \(13, 4\) or \(2, 13, 4\), got \(13, 8\)"),
        (Replace("encoder.0", 0, z.double()), r"torch\.float64, the model computes in torch\.float32"),
        (Mask("encoder.0", 0, torch.ones(6, 6)), r"expected numbers of shape \(12, 6\)"),
    ):
        with pytest.raises(EditError, match=words):
            forecast(model, batch, [edit])
        with pytest.raises(EditError, match=words):
            Streaming(model, 2, edits=[edit])
    with pytest.raises(EditError, match="changed twice"):
        forecast(model, batch, [Replace("encoder.0", 0, z), Replace("encoder.0", 0, z)])


def test_where_triton_cannot_make_the_kernel_attention_is_read_in_blocks_and_one_note_says_why(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    kernel = ModuleType("vitime_cache.attention.kernel")
    tried: list[str] = []

    def pooled_attention(*_: object) -> NoReturn:
        tried.append("")
        raise RuntimeError("Failed to find C compiler.\nPlease specify one")

    kernel.pooled_attention = pooled_attention  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, kernel.__name__, kernel)
    monkeypatch.setattr(streaming, "_without_kernel", set())
    monkeypatch.setattr(
        streaming, "_has_kernel", lambda model: streaming._alike(model) not in streaming._without_kernel
    )
    model, batch = random_model(small_config()), images(2)
    expected = Streaming(model, 2, way="blocks")
    forecast = expected.run(batch)

    def read_again() -> None:
        stream = Streaming(model, 2)
        torch.testing.assert_close(stream.run(batch), forecast)
        torch.testing.assert_close((stream.time, stream.cls), (expected.time, expected.cls))

    with pytest.warns(Note, match=r"\(RuntimeError: Failed to find C compiler\.\); attention is read without"):
        read_again()
    read_again()  # pytest makes an error of any warning
    assert len(tried) == 1
    with pytest.raises(RuntimeError, match="C compiler"):
        Streaming(model, 2, way="kernel").run(batch)


def test_a_device_without_memory_left_is_no_reason_to_do_without_the_kernel(monkeypatch: pytest.MonkeyPatch) -> None:
    kernel = ModuleType("vitime_cache.attention.kernel")
    kernel.pooled_attention = Mock(side_effect=torch.OutOfMemoryError)  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, kernel.__name__, kernel)
    monkeypatch.setattr(streaming, "_has_kernel", lambda _: True)
    with pytest.raises(torch.OutOfMemoryError):
        Streaming(random_model(small_config()), 1).run(images())
    assert not streaming._without_kernel


@pytest.mark.parametrize(
    ("dtype", "there"), [("float32", True), ("float16", True), ("bfloat16", True), ("float64", False)]
)
def test_the_kernel_is_for_the_dtypes_that_load_model_takes(
    monkeypatch: pytest.MonkeyPatch, dtype: str, there: bool
) -> None:
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda _: (9, 0))
    monkeypatch.setattr(streaming, "find_spec", lambda _: "found")
    model: Any = SimpleNamespace(device=torch.device("cuda"), dtype=getattr(torch, dtype), config=small_config())
    assert streaming._has_kernel(model) is there
