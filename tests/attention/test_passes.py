"""Passes take what the device has room for, half of it where that was too much, and draw where the model is."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from tests.conftest import random_model, small_config
from vitime_cache.attention import capture as capturing
from vitime_cache.attention import passes
from vitime_cache.attention.capture import capture_batch, drawn_there, images_of, images_of_rows, time_attention
from vitime_cache.attention.host import HostCopy, to_device
from vitime_cache.errors import Note
from vitime_cache.interventions.knockout import knock_out_all
from vitime_cache.model.config import ViTimeConfig
from vitime_cache.model.encoding import SeriesEncoding
from vitime_cache.series.signal import Signal

ONE_LINE = "the device is out of memory; continuing with 2 signals per pass"


def walks(*lengths: int) -> list[Signal]:
    rng = np.random.default_rng(0)
    return [Signal(f"s{i}", rng.standard_normal(n).cumsum(), horizon=28) for i, n in enumerate(lengths)]


def room_for(most: int) -> Any:
    """Runs that tell what they were given, on a device that has room for so many."""

    def run(some: Sequence[int]) -> int:
        if len(some) > most:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB")
        return sum(some)

    return run


def test_out_of_memory_halves_the_batch_once_says_so_in_one_line_and_loses_nothing() -> None:
    with pytest.warns(Note, match=ONE_LINE) as told:
        found = list(passes.in_passes(range(11), 4, room_for(3)))
    assert [list(some) for some, _ in found] == [[0, 1], [2, 3], [4, 5], [6, 7], [8, 9], [10]]
    assert [result for _, result in found] == [1, 5, 9, 13, 17, 10]
    assert len(told) == 1


def test_a_single_item_that_is_too_much_is_an_error() -> None:
    with pytest.warns(Note), pytest.raises(torch.OutOfMemoryError):
        list(passes.in_passes(range(4), 4, room_for(0)))


def on_a_device(config: ViTimeConfig, dtype: torch.dtype = torch.float32) -> Any:
    return SimpleNamespace(config=config, dtype=dtype, device=torch.device("cuda", 0))


def test_the_cpu_takes_what_the_caller_says_and_a_device_what_it_has_room_for(monkeypatch: pytest.MonkeyPatch) -> None:
    assert passes.at_once(random_model(small_config()), on_cpu=7) == 7
    there = on_a_device(ViTimeConfig.published(1.0))
    counts = []
    for gigabytes in (0.1, 4, 8, 10_000):
        monkeypatch.setattr(passes, "free_bytes", lambda _, free=gigabytes: int(free * 1e9))
        counts.append(passes.at_once(there, on_cpu=1))
    assert counts[0] == 1  # never none
    assert 1 < counts[1] < counts[2] < counts[3]
    assert counts[3] == passes.TOKENS_ON_A_DEVICE // (1 + there.config.tokens)
    monkeypatch.setattr(passes, "free_bytes", lambda _: None)  # where a device does not tell
    assert passes.at_once(there, on_cpu=1) == counts[3]


def test_in_16_bits_a_device_has_room_for_more() -> None:
    config = ViTimeConfig.published(1.0)
    assert passes.signal_bytes(on_a_device(config, torch.float16)) < passes.signal_bytes(on_a_device(config))


def test_the_memory_planned_for_a_signal_holds_its_largest_block_and_its_maps_and_not_much_more() -> None:
    """Numbers counted while a network runs: a block's input, its queries, keys and values, and the MLP's two layers."""
    model = random_model(small_config(encoder_width=64, decoder_width=32))
    columns, tokens = model.config.grid[1], model.config.tokens
    largest = 0
    for block in model.blocks_by_layer().values():
        seen: list[int] = []
        block.attn.qkv.register_forward_hook(lambda _, x, y, seen=seen: seen.extend((x[0].numel(), y.numel())))
        for layer in (block.mlp.fc1, block.mlp.act):
            layer.register_forward_hook(lambda *given, seen=seen: seen.append(given[2].numel()))
        model(torch.zeros(1, 1, 16, 48))
        largest = max(largest, sum(seen))
    maps = len(model.config.layers) * model.config.heads * (columns**2 + tokens)
    planned = passes.signal_bytes(model) / 4
    assert largest + maps < planned
    assert planned <= largest + maps + 2 * model.config.heads * (1 + tokens) * (1 + columns)


def test_images_drawn_where_the_model_is_are_those_of_the_encoding_also_of_different_lengths() -> None:
    model = random_model(replace(small_config(), image_height=32))
    signals = walks(20, 40, 31)
    encodings = [SeriesEncoding.fit(s.values, s.horizon, model.config) for s in signals]
    assert len({e.history_columns for e in encodings}) == 3
    expected = images_of(signals, encodings, model)
    rows = [e.history_rows(s.values) for e, s in zip(encodings, signals, strict=True)]
    torch.testing.assert_close(drawn_there(model, rows), expected, rtol=0, atol=4e-6 * float(expected.max()))


def test_rows_that_share_an_encoding_are_drawn_as_their_histories_are() -> None:
    model = random_model(small_config())
    signals = walks(20, 20)
    encoding = SeriesEncoding.fit(signals[0].values, 28, model.config)
    rows = np.stack([encoding.history_rows(signal.values) for signal in signals])
    assert torch.equal(images_of_rows(rows, encoding, model), images_of(signals, [encoding] * 2, model))


def test_images_for_a_model_on_a_device_are_made_there_and_in_its_dtype() -> None:
    there = on_a_device(small_config(), torch.bfloat16)
    there.device = torch.device("meta")  # torch's stand-in for a device: shapes and no numbers
    signals = walks(20, 31)
    encodings = [SeriesEncoding.fit(s.values, s.horizon, there.config) for s in signals]
    rows = encodings[0].history_rows(signals[0].values)
    for images, count in (
        (images_of(signals, encodings, there), 2), (images_of_rows(np.stack([rows] * 3), encodings[0], there), 3),
    ):  # fmt: skip
        assert images.shape == (count, 1, 16, 48)
        assert (images.dtype, images.device.type) == (torch.bfloat16, "meta")


@pytest.mark.parametrize("count", [0, 1, 3])
def test_a_device_starts_its_next_pass_before_the_maps_of_the_last_are_read(count: int) -> None:
    started: list[int] = []

    def passes_of_a_device() -> Iterator[HostCopy]:
        for number in range(count):
            started.append(number)
            yield HostCopy(torch.tensor([number]))

    read = [(int(copy.wait()[0][0]), len(started)) for copy in capturing._one_ahead(passes_of_a_device())]
    assert read == [(number, min(number + 2, count)) for number in range(count)]


def test_what_a_pass_has_read_is_made_into_arrays_when_it_is_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[int] = []
    whole = capturing.lag_means
    monkeypatch.setattr(capturing, "lag_means", lambda maps: made.append(len(maps)) or whole(maps))
    found = capture_batch(random_model(small_config()), walks(20, 30))
    assert (len(found), made) == (2, [])
    last, both = found[-1], found[:]
    assert len(made) == 3
    np.testing.assert_array_equal(last["time_attention"], both[1]["time_attention"])
    with pytest.raises(IndexError):
        found[2]


def test_signals_read_together_have_the_bits_that_each_has_alone() -> None:
    model, signals = random_model(small_config()), walks(20, 30, 20, 20, 31, 30)
    found = capture_batch(model, signals)
    for together, places in ((found[:], range(6)), (found[1:4], range(1, 4)), (found[::-2], range(5, -1, -2))):
        for arrays, at in zip(together, places, strict=True):
            assert list(arrays) == list(found[at])
            for name, values in found[at].items():
                np.testing.assert_array_equal(arrays[name], values, strict=True)
    alone = [SeriesEncoding.fit(s.values, s.horizon, model.config) for s in signals]
    for one, shared in zip(alone, capturing.encodings_of(signals, model.config), strict=True):
        np.testing.assert_array_equal((one.mean, one.std), (shared.mean, shared.std), strict=True)


def test_null_runs_go_on_where_memory_ends_with_the_same_maps(monkeypatch: pytest.MonkeyPatch) -> None:
    model, signals = random_model(small_config()), walks(20, 25, 30, 35, 40)
    expected = list(time_attention(model, signals, batch_size=2))
    whole = capturing.Streaming

    def narrow(model: Any, batch: int, **rest: Any) -> Any:
        if batch > 2:
            raise torch.OutOfMemoryError("CUDA")
        return whole(model, batch, **rest)

    monkeypatch.setattr(capturing, "Streaming", narrow)
    with pytest.warns(Note, match=ONE_LINE):
        found = list(time_attention(model, signals, batch_size=5))
    np.testing.assert_array_equal(found, expected)


def test_interventions_go_on_where_memory_ends_with_the_same_effects(monkeypatch: pytest.MonkeyPatch) -> None:
    from vitime_cache.interventions import knockout

    model, signals, others = random_model(small_config()), walks(20), walks(21, 22)
    expected = knock_out_all(model, signals, others)
    forecast_from_layer, refused = knockout.forecast_from_layer, []

    def narrow(model: Any, intact: Any, number: int, heads: Any, outputs: Any) -> Any:
        if len(heads) > 1:
            refused.append(heads)
            raise torch.OutOfMemoryError("CUDA")
        return forecast_from_layer(model, intact, number, heads, outputs)

    monkeypatch.setattr(knockout, "forecast_from_layer", narrow)
    with pytest.warns(Note, match="continuing with 1 signal per pass"):
        found = knock_out_all(model, signals, others)
    assert len(refused) == len(model.config.layers)
    np.testing.assert_allclose(found.effect, expected.effect, atol=1e-6)


def test_on_the_cpu_a_copy_to_the_host_and_back_is_the_tensor_itself() -> None:
    tensor = torch.arange(6.0).reshape(2, 3)
    (array,) = HostCopy(tensor).wait()
    assert np.shares_memory(array, tensor.numpy())
    assert torch.equal(to_device(array[:, ::2], torch.device("cpu")), tensor[:, ::2])


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device: pinned memory and events are its own")
def test_a_copy_from_a_cuda_device_arrives_whole_while_the_device_goes_on() -> None:
    there = to_device(np.arange(2**20, dtype=np.float32), torch.device("cuda"))
    copies = [HostCopy(there * factor, there + factor) for factor in range(8)]
    for factor, copy in enumerate(copies):
        product, total = copy.wait()
        np.testing.assert_array_equal(product, np.arange(2**20, dtype=np.float32) * factor)
        np.testing.assert_array_equal(total, np.arange(2**20, dtype=np.float32) + factor)
    assert (passes.free_bytes(torch.device("cuda")) or 0) > 0
