from __future__ import annotations

import copy
import json
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import vitime_cache as vc
from benchmarks.reference import hook_and_copy, pool_to_time
from tests.conftest import GOLDEN_WEIGHTS, random_model, small_config
from vitime_cache.attention import schema
from vitime_cache.attention.capture import CaptureError, capture, capture_batch, dtype_deviation, time_attention
from vitime_cache.attention.forward import Mask
from vitime_cache.model.checkpoint import CheckpointError
from vitime_cache.model.config import ConfigError, ViTimeConfig
from vitime_cache.model.encoding import SeriesEncoding
from vitime_cache.model.network import ViTime
from vitime_cache.series.sources import Harmonic, Signal

SHAPES = {
    "two value rows": {},
    "one value row": {"patch_height": 16},
    "many rows, few columns": {"patch_height": 1, "patch_width": 16},
    "wide heads": {"heads": 1},
    "sigmoid output": {"output": "sigmoid"},
}


def walk(name: str = "walk", n: int = 60, horizon: int = 40, seed: int = 0) -> Signal:
    return Signal(name, np.random.default_rng(seed).standard_normal(n).cumsum(), horizon=horizon)


def images_of(signals: list[Signal], config: ViTimeConfig) -> torch.Tensor:
    drawn = [SeriesEncoding.fit(s.values, s.horizon, config).image(s.values).T for s in signals]
    return torch.from_numpy(np.stack(drawn))[:, None]


@pytest.mark.parametrize("case", range(4))
def test_every_map_is_that_of_the_published_code(
    case: int, golden: dict[str, np.ndarray], golden_model: ViTime
) -> None:
    signal = Signal("golden", golden[f"{case}_signal"], horizon=int(golden[f"{case}_horizon"]))
    ds = capture(golden_model, signal)
    np.testing.assert_allclose(ds.time_attention, golden[f"{case}_time_attention"], atol=1e-5)
    np.testing.assert_allclose(ds.lag_attention.sel(lag=slice(1, 19)), golden[f"{case}_lag_attention"], atol=1e-5)
    np.testing.assert_allclose(ds.cls_attention, golden[f"{case}_cls_attention"], atol=1e-5)
    forecast = ds.forecast.dropna("time")
    np.testing.assert_allclose(forecast, golden[f"{case}_forecast"], rtol=1e-4)


def test_token_maps_are_those_of_the_published_code_in_half_precision(
    golden: dict[str, np.ndarray], golden_model: ViTime
) -> None:
    ds = capture(golden_model, Signal("golden", golden["0_signal"], horizon=int(golden["0_horizon"])), tokens="all")
    np.testing.assert_allclose(ds.token_attention, golden["0_token_attention"], rtol=1e-3, atol=1e-6)


@pytest.mark.parametrize("changes", SHAPES.values(), ids=SHAPES.keys())
@pytest.mark.parametrize("batch", [1, 3])
def test_streamed_maps_and_forecast_equal_those_read_from_hooks(changes: dict[str, object], batch: int) -> None:
    model = random_model(small_config(**changes))
    signals = [walk(f"s{i}", n=40 + 10 * i, seed=i) for i in range(batch)]
    probability, maps = hook_and_copy(model, images_of(signals, model.config))
    captured = capture_batch(model, signals)
    for b, (signal, arrays) in enumerate(zip(signals, captured, strict=True)):
        for layer, name in enumerate(model.config.layers):
            time = pool_to_time(maps[name], model.config.grid)[b]
            np.testing.assert_allclose(arrays["time_attention"][layer], time, atol=1e-5)
            np.testing.assert_allclose(arrays["cls_attention"][layer], maps[name][b, :, 1:, 0], atol=1e-5)
        encoding = SeriesEncoding.fit(signal.values, signal.horizon, model.config)
        plain = encoding.series(probability[b].numpy())[-signal.horizon :]
        np.testing.assert_allclose(arrays["forecast"][-signal.horizon :], plain, rtol=1e-4)


def test_bfloat16_agrees_with_hooks_on_the_same_network_to_its_precision() -> None:
    model = random_model(small_config()).to(torch.bfloat16)
    signal = walk()
    _, maps = hook_and_copy(model, images_of([signal], model.config).bfloat16())
    (arrays,) = capture_batch(model, [signal])
    for layer, name in enumerate(model.config.layers):
        time = pool_to_time(maps[name].float(), model.config.grid)[0]
        np.testing.assert_allclose(arrays["time_attention"][layer], time, atol=0.02 * float(time.max()))


def test_row_mass_of_time_attention_is_what_cls_leaves_over() -> None:
    model = random_model(small_config())
    (arrays,) = capture_batch(model, [walk()])
    rows, columns = model.config.grid
    cls = arrays["cls_attention"].reshape(3, 2, rows, columns).mean(axis=2)
    np.testing.assert_allclose(arrays["time_attention"].sum(-1), (1 - cls) / rows, rtol=1e-5)


def test_token_maps_come_once_for_each_wanted_head_and_pool_to_the_time_maps() -> None:
    model = random_model(small_config())
    signals, got, lock = [walk("a"), walk("b", seed=1)], {}, threading.Lock()

    def sink(signal: int, layer: str, head: int, token_map: np.ndarray) -> None:
        with lock:
            assert (signal, layer, head) not in got
            got[signal, layer, head] = token_map.astype(np.float32)

    arrays = capture_batch(model, signals, ["decoder.0", "encoder.1"], sink)
    assert set(got) == {(s, layer, h) for s in (0, 1) for layer in ("encoder.1", "decoder.0") for h in (0, 1)}
    for (s, layer, head), token_map in got.items():
        pooled = token_map.reshape(2, 6, 2, 6).mean(axis=(0, 2))
        expected = arrays[s]["time_attention"][model.config.layers.index(layer), head]
        np.testing.assert_allclose(pooled, expected, rtol=1e-3)


def test_layers_that_were_not_asked_for_are_nan_and_no_layer_leaves_the_variable_out() -> None:
    model = random_model(small_config())
    ds = capture(model, walk(), tokens=["decoder.0"])
    assert ds.token_attention.sel(layer="decoder.0").notnull().all()
    assert ds.token_attention.sel(layer=["encoder.0", "encoder.1"]).isnull().all()
    assert "token_attention" not in capture(model, walk())
    with pytest.raises(ConfigError, match=r"no layer 'decoder\.7'"):
        capture(model, walk(), tokens=["decoder.7"])


def test_the_model_comes_back_unchanged_and_a_second_capture_gives_the_same() -> None:
    model = random_model(small_config())
    before = {name: value.clone() for name, value in model.state_dict().items()}
    threads, image = torch.get_num_threads(), torch.rand(1, 1, 16, 48)
    plain = model(image)
    first, second = (capture(model, walk(), tokens="all") for _ in range(2))
    for name in schema.VARIABLES:
        np.testing.assert_array_equal(first[name], second[name])
    torch.testing.assert_close(model(image), plain, rtol=0, atol=0)
    assert torch.get_num_threads() == threads
    assert all(torch.equal(before[name], value) for name, value in model.state_dict().items())


def test_the_model_comes_back_unchanged_when_the_sink_fails() -> None:
    model = random_model(small_config())

    def failing(*_: object) -> None:
        raise OSError("disk full")

    threads = torch.get_num_threads()
    with pytest.raises(OSError, match="disk full"):
        capture_batch(model, [walk()], "all", failing)
    assert torch.get_num_threads() == threads
    capture(model, walk())


@pytest.mark.parametrize("tamper", [
    lambda block: setattr(block, "forward", lambda x: x),
    lambda block: block.attn.register_forward_hook(lambda *_: None),
    lambda block: block.attn.attn_drop.register_forward_pre_hook(lambda *_: None),
], ids=["another forward", "a hook on the attention", "a hook on its dropout"])  # fmt: skip
def test_a_block_that_reading_would_skip_is_an_error_that_names_it(tamper: Callable[[Any], object]) -> None:
    model = random_model(small_config())
    tamper(model.blocks[1])
    with pytest.raises(CaptureError, match=r"encoder\.1 has a hook or a changed forward"):
        capture(model, walk())


@pytest.fixture
def default_dtype() -> Iterator[Callable[[torch.dtype], None]]:
    before = torch.get_default_dtype()
    yield torch.set_default_dtype
    torch.set_default_dtype(before)


@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16], ids=str)
def test_the_callers_default_dtype_changes_no_bit(dtype: torch.dtype, default_dtype: Callable[..., None]) -> None:
    model = random_model(small_config())
    keep = 0.5 * torch.ones(model.config.tokens, model.config.grid[1])
    edits = [Mask("encoder.1", head, keep, bool(head)) for head in range(2)]
    before = [capture_batch(model, [walk()], edits=some)[0] for some in ([], edits)]
    default_dtype(dtype)
    for one, some in zip(before, ([], edits), strict=True):
        for name, values in capture_batch(model, [walk()], edits=some)[0].items():
            np.testing.assert_array_equal(values, one[name])
            assert values.dtype == one[name].dtype, name


def test_a_call_within_autocast_is_refused_as_its_results_would_say_another_dtype(tmp_path: Path) -> None:
    model = random_model(small_config())
    with torch.autocast("cpu", dtype=torch.bfloat16):
        for call in (
            lambda: capture(model, walk()),
            lambda: vc.ask(model, walk(), period=20),
            lambda: vc.build([walk()], tmp_path / "a.zarr", model),
        ):
            with pytest.raises(CheckpointError, match=r"torch\.autocast is on.*call this outside of it"):
                call()
    assert not (tmp_path / "a.zarr").exists()


def test_captures_from_many_threads_on_one_model_do_not_mix() -> None:
    model = random_model(small_config())
    signals = [walk(f"s{i}", seed=i) for i in range(8)]
    alone = [capture(model, signal) for signal in signals]
    with ThreadPoolExecutor(8) as pool:
        together = list(pool.map(lambda signal: capture(model, signal), signals))
    for one, other in zip(alone, together, strict=True):
        np.testing.assert_array_equal(one.time_attention, other.time_attention)


def test_the_dataset_follows_the_schema_and_says_where_it_comes_from() -> None:
    model = random_model(small_config())
    harmonics = (Harmonic(10.0, 2.0), Harmonic(5.0))
    signal = Signal("h", np.sin(np.arange(60.0)), horizon=36, harmonics=harmonics, description="two sines")
    ds = schema.validate(capture(model, signal, tokens="all"))
    assert (ds.n_history.item(), ds.horizon.item()) == (60, 36)
    assert ds.samples_per_patch.item() == 16
    assert ds.component_period.values.tolist() == [10.0, 5.0]
    assert ds.history.count() == 60
    assert ds.forecast.count() == 36
    assert ds.attrs["weights"] == "random"
    assert ViTimeConfig.from_dict(json.loads(ds.attrs["config"])) == model.config
    levels = ds.forecast_quantile.dropna("time")
    assert (levels.diff("quantile") >= 0).all()


def test_progress_names_each_layer_once_in_the_order_of_execution() -> None:
    model, steps = random_model(small_config()), []
    capture(model, walk(), progress=lambda *step: steps.append(step))
    assert steps == [(1 / 3, "encoder.0"), (2 / 3, "encoder.1"), (1.0, "decoder.0")]


def test_plain_samples_are_a_signal_and_the_horizon_can_be_changed() -> None:
    model = random_model(small_config())
    ds = capture(model, np.arange(100.0), horizon=50)
    assert (ds.n_history.item(), ds.horizon.item()) == (100, 50)


def test_the_deviation_of_a_dtype_is_the_largest_of_all_heads_and_none_for_the_same() -> None:
    exact = random_model(small_config())
    rounded = copy.deepcopy(exact).bfloat16()
    assert dtype_deviation(exact, exact, walk()) == 0
    one, other = capture(exact, walk()).time_attention, capture(rounded, walk()).time_attention
    worst = max(float(abs(other[i, h] - one[i, h]).max() / one[i, h].max()) for i in range(3) for h in range(2))
    assert dtype_deviation(rounded, exact, walk()) == pytest.approx(worst)
    assert 1e-4 < worst < 0.5


def test_a_store_in_bfloat16_says_how_far_its_maps_lie_from_float32(tmp_path: Path, golden_model: ViTime) -> None:
    signals = [walk("a", n=200, horizon=200), walk("b", n=200, horizon=200, seed=1)]
    weights = GOLDEN_WEIGHTS
    report = vc.build(signals[:1], tmp_path / "b.zarr", weights, device="cpu", dtype="bfloat16")
    rounded = vc.load_model(weights, "cpu", "bfloat16")
    assert report.dtype_deviation == dtype_deviation(rounded, golden_model, signals[0]) > 0
    kept = vc.open_store(tmp_path / "b.zarr").attrs[schema.DTYPE_DEVIATION]
    assert float(kept) == pytest.approx(report.dtype_deviation, rel=0.01)
    assert vc.build(signals, tmp_path / "b.zarr", weights, device="cpu", dtype="bfloat16").dtype_deviation is None
    assert vc.open_store(tmp_path / "b.zarr").attrs[schema.DTYPE_DEVIATION] == kept
    vc.build(signals[:1], tmp_path / "f.zarr", weights, device="cpu")
    assert schema.DTYPE_DEVIATION not in vc.open_store(tmp_path / "f.zarr").attrs


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_a_cuda_device_gives_what_the_cpu_gives() -> None:
    model = random_model(small_config())
    on_cpu = capture(model, walk(), tokens="all")
    on_gpu = capture(model.cuda(), walk(), tokens="all")
    for name in ("time_attention", "cls_attention", "token_attention"):
        np.testing.assert_allclose(on_gpu[name], on_cpu[name], atol=1e-3)


def test_time_attention_in_batches_is_that_of_a_capture_of_each_signal(golden_model):
    rng = np.random.default_rng(0)
    signals = [Signal(f"s{i}", rng.standard_normal(40 + 8 * i), horizon=24) for i in range(3)]
    for signal, found in zip(signals, time_attention(golden_model, signals, batch_size=2), strict=True):
        np.testing.assert_allclose(found, capture(golden_model, signal).time_attention.values, atol=1e-6)
