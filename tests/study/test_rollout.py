"""Attention rollout against a plain numpy computation, and the reference study's interface."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from benchmarks.reference import hook_and_copy
from tests.conftest import GOLDEN_WEIGHTS, random_model, small_config
from vitime_cache import AttentionRollout, MultiHeadAttentionRolloutPlotter, ViTimePrediction, places
from vitime_cache.attention.capture import capture
from vitime_cache.model import checkpoint
from vitime_cache.model.config import ViTimeConfig
from vitime_cache.model.encoding import SeriesEncoding
from vitime_cache.model.network import ViTime
from vitime_cache.study.prediction import PredictionError
from vitime_cache.study.rollout import layer_flow
from vitime_cache.study.seen_attention import RolloutError


def wave(n: int = 60) -> np.ndarray:
    return np.sin(np.arange(n) / 5) + 0.1 * np.arange(n)


def rolled_out_by_hand(model: ViTime, series: np.ndarray, horizon: int, fusion: str, discard: float) -> np.ndarray:
    """Rollout in double precision from hooked maps, weight by weight."""
    image = SeriesEncoding.fit(series, horizon, model.config).image(series)
    _, maps = hook_and_copy(model, torch.from_numpy(image.T.copy())[None, None])
    result = np.eye(model.config.tokens + 1)
    for layer in model.config.layers:
        heads = maps[layer][0].double().numpy()  # (heads, S, S)
        fused = {"mean": np.mean, "max": np.max, "min": np.min}[fusion](heads, axis=0)
        lowest = np.argsort(fused, axis=None)[: int(discard * fused.size)]
        for flat in lowest:
            if flat != 0:  # CLS to CLS
                fused.flat[flat] = 0
        mixed = 0.5 * fused + 0.5 * np.eye(len(fused))
        result = np.stack([row / row.sum() for row in mixed]) @ result
    return result


@pytest.mark.parametrize("discard", [0, 0.5, 0.9])
@pytest.mark.parametrize("fusion", ["mean", "max", "min"])
@pytest.mark.parametrize(
    "config",
    [small_config(), small_config(heads=1, encoder_depth=1), small_config(patch_width=4, decoder_depth=3)],
    ids=["2+1 layers", "1 head", "24 tokens"],
)
def test_rollout_agrees_with_a_computation_from_hooked_maps(config: ViTimeConfig, fusion: str, discard: float) -> None:
    model = random_model(config)
    result = AttentionRollout(model, head_fusion=fusion, discard_ratio=discard).rollout(wave(), 84)  # type: ignore[arg-type]
    assert result.shape == (config.tokens + 1, config.tokens + 1)
    np.testing.assert_allclose(result, rolled_out_by_hand(model, wave(), 84, fusion, discard), atol=2e-6)


@pytest.mark.parametrize("case", range(4))
def test_rollout_agrees_on_the_golden_model(golden_model: ViTime, golden: dict[str, np.ndarray], case: int) -> None:
    history, horizon = golden[f"{case}_signal"], int(golden[f"{case}_horizon"])
    result = AttentionRollout(golden_model).rollout(history, horizon)
    np.testing.assert_allclose(result, rolled_out_by_hand(golden_model, history, horizon, "mean", 0.9), atol=2e-6)
    np.testing.assert_allclose(result.sum(axis=1), 1, atol=1e-6)


def test_rollout_of_uniform_attention_has_its_closed_form() -> None:
    """½ J/S + ½ I to the power of the layers is 2^-L I + (1 - 2^-L) J/S; equal weights are not discarded."""
    model = random_model(small_config(encoder_depth=3, decoder_depth=2))
    for block in model.blocks_by_layer().values():
        block.attn.qkv.weight.zero_()
        block.attn.qkv.bias.zero_()
    size = model.config.tokens + 1
    expected = np.eye(size) / 32 + (1 - 1 / 32) / size
    np.testing.assert_allclose(AttentionRollout(model).rollout(wave(), 84), expected, atol=1e-6)


def test_a_layer_keeps_its_highest_weights_and_that_of_cls_to_cls() -> None:
    attention = torch.randperm(100, generator=torch.Generator().manual_seed(0)).reshape(10, 10) / 100 + 0.01
    attention[0, 0] = 0.001  # the lowest of all
    flow = layer_flow(attention, 0.9)
    weights = {tuple(place) for place in torch.nonzero(flow - torch.diag(flow.diagonal())).tolist()}
    highest = {tuple(place) for place in torch.nonzero(attention > 0.905).tolist()}
    assert weights == {(q, k) for q, k in highest if q != k}
    off_diagonal = sum(float(attention[0, k]) for q, k in highest if q == 0)
    assert float(flow[0, 0]) == pytest.approx(1.001 / (1.001 + off_diagonal))


def test_a_prediction_object_and_its_network_roll_out_alike_and_lookback_applies() -> None:
    predictor = ViTimePrediction("cpu", weights=GOLDEN_WEIGHTS, lookbackRatio=1)
    cropped = AttentionRollout(predictor).rollout(wave(300), 96)
    np.testing.assert_array_equal(cropped, AttentionRollout(predictor.model).rollout(wave(300)[-96:], 96))
    np.testing.assert_array_equal(cropped, AttentionRollout(predictor.model).rollout(torch.tensor(wave(300)[-96:]), 96))


def test_the_model_comes_back_unchanged_even_after_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    model = random_model(small_config())
    attention = [block.attn for block in model.blocks_by_layer().values()]
    attention[1].fused_attn = False

    def state() -> list[tuple[bool, int]]:
        return [(module.fused_attn, len(module.attn_drop._forward_hooks)) for module in attention]

    before, rollout = state(), AttentionRollout(model)
    first = rollout.rollout(wave(), 84)
    assert state() == before
    np.testing.assert_array_equal(rollout.rollout(wave(), 84), first)
    monkeypatch.setattr(model.decoder_blocks[0].mlp, "forward", None)
    with pytest.raises(TypeError):
        rollout.rollout(wave(), 84)
    assert state() == before


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"head_fusion": "median"}, "head_fusion must be 'mean', 'max' or 'min', got 'median'"),
        ({"discard_ratio": 1}, "discard_ratio must be at least 0 and below 1, got 1"),
        ({"discard_ratio": -0.1}, "discard_ratio must be at least 0 and below 1, got -0.1"),
        (
            {"attention_layer_name": "self_attn"},
            "attention_layer_name 'self_attn' matches 0 modules.*3 attention layers",
        ),
        ({"attention_drop_layer_name": "drop"}, "attention_drop_layer_name 'drop' matches 6 modules.*use 'attn' and"),
    ],
)
def test_a_wrong_option_is_named_with_the_remedy(options: dict[str, object], message: str) -> None:
    with pytest.raises(RolloutError, match=message):
        AttentionRollout(random_model(small_config()), **options)  # type: ignore[arg-type]


def test_an_output_that_is_no_attention_is_an_error_with_both_shapes() -> None:
    rollout = AttentionRollout(random_model(small_config()), attention_drop_layer_name="proj_drop")
    expected = (
        r"blocks\.0\.attn\.proj_drop gave an output of shape \(1, 13, 16\), expected .* \(1, 2, 13, 13\); .*'attn_drop'"
    )
    with pytest.raises(RolloutError, match=expected):
        rollout.rollout(wave(), 84)


def test_attention_that_is_not_captured_is_an_error_naming_the_layer(monkeypatch: pytest.MonkeyPatch) -> None:
    model = random_model(small_config())
    monkeypatch.setattr(model.blocks[1].attn, "forward", lambda x, **_: x)
    with pytest.raises(
        RolloutError, match=r"no attention map was captured in blocks\.1\.attn\.attn_drop: .*load_model"
    ):
        AttentionRollout(model).rollout(wave(), 84)


@pytest.mark.parametrize("drop_cls", ["auto", True, False])
def test_tokens_pool_to_the_golden_time_attention(
    golden_model: ViTime, golden: dict[str, np.ndarray], drop_cls: bool
) -> None:
    tokens = golden["0_token_attention"][0, 0]
    if drop_cls is not False:
        tokens = np.pad(tokens, ((1, 0), (1, 0)), constant_values=0.5)
    pooled = AttentionRollout(golden_model).token_attn_to_time_attn(tokens, drop_cls)
    np.testing.assert_allclose(pooled, golden["0_time_attention"][0, 0], atol=1e-7)


def test_attention_of_another_size_is_refused_naming_it_and_the_two_sizes_expected(golden_model: ViTime) -> None:
    with pytest.raises(ValueError, match=r"S = 159 tokens.*S = 160 without CLS or S = 161 with it"):
        AttentionRollout(golden_model).token_attn_to_time_attn(np.zeros((159, 159)))


@pytest.mark.parametrize(("max_lag", "lags"), [(40, 19), (5, 5)])
def test_the_lag_curve_is_the_mean_of_the_diagonals(golden_model: ViTime, max_lag: int, lags: int) -> None:
    attention = np.random.default_rng(0).random((20, 20))
    lag, values = AttentionRollout(golden_model).mean_attention_vs_time_lag(attention, max_lag)
    np.testing.assert_array_equal(lag, np.arange(1, lags + 1))
    np.testing.assert_allclose(values, [np.diag(attention, -k).mean() for k in lag])


NAMES = [
    "experiment_{}_temporal_dependencies_heads_contrast.png",
    "experiment_{}_temporal_dependencies_heads_no_contrast.png",
    "experiment_{}_time-lag correlation.png",
]


@pytest.fixture
def eight_heads(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ViTime:
    """A model with a head 7, as the default weights of the package."""
    model = random_model(
        small_config(heads=8, encoder_width=32, decoder_width=32, context_columns=80, horizon_columns=112)
    )
    (tmp_path / "weights").mkdir()
    checkpoint.save_safetensors(model, tmp_path / "weights" / checkpoint.SHIPPED_NAME, dtype="float32")
    monkeypatch.setattr(places, "WEIGHTS", tmp_path / "weights")
    monkeypatch.chdir(tmp_path)
    return model


@pytest.mark.usefixtures("eight_heads")
@pytest.mark.filterwarnings("ignore:this machine has no CUDA device")
def test_the_reference_study_runs_unchanged_but_for_the_import(tmp_path: Path) -> None:
    script = """
import numpy as np
from vitime_cache import ViTimePrediction, AttentionRollout

model = ViTimePrediction(device='cuda:0', model_name='MAE', lookbackRatio=None, tempature=1)
visualizer = AttentionRollout(model=model, attention_layer_name='attn', attention_drop_layer_name='attn_drop',
                              head_fusion='mean', discard_ratio=0.9)
input_tensor = np.sin(np.arange(512) / 10) + np.sin(np.arange(512) / 5 + 50) + np.cos(np.arange(512) + 50)
visualizer.plot_attention_heads(input_tensor=input_tensor, prediction_horizon=720, heads_to_plot=[7], experiment='1')
input_tensor = np.sin(np.arange(512) / 5 + 50) + np.cos(np.arange(512) + 50)
visualizer.plot_attention_heads(input_tensor, heads_to_plot=[7], powermap=True, experiment='2')
"""
    exec(compile(script, "study", "exec"), {})
    written = sorted(path.name for path in (tmp_path / "experiments" / "attention_maps").iterdir())
    assert written == sorted(name.format(number) for name in NAMES for number in "12")
    for path in (tmp_path / "experiments" / "attention_maps").iterdir():
        with Image.open(path) as image:
            assert image.info["dpi"] == pytest.approx((200, 200), abs=0.1)
            assert min(image.size) > 1000


def test_plotting_again_replaces_the_pictures_and_powermap_off_leaves_the_contrast_out(
    eight_heads: ViTime, tmp_path: Path
) -> None:
    plot = AttentionRollout(eight_heads).plot_attention_heads
    files = plot(wave(), 84, tmp_path, [0, 3], "a/../b", powermap=False)
    stem = r"a_\.\._b-[0-9a-f]{8}"
    assert [bool(re.fullmatch(name.format(stem), path.name)) for name, path in zip(NAMES[1:], files, strict=True)]
    first = [path.read_bytes() for path in files]
    assert plot(wave(), 84, tmp_path, (0,), "a/../b", powermap=False) == files
    assert all(path.read_bytes() != before for path, before in zip(files, first, strict=True))


@pytest.mark.parametrize(
    ("heads", "message"),
    [
        ((7,), r"no head 7; decoder\.0 has heads 0 … 1"),
        ((0, -1), r"no head -1; decoder\.0 has heads 0 … 1"),
        ((), "heads_to_plot is empty"),
        (7, r"no head 7; decoder\.0 has heads 0 … 1"),
        ((0.5,), r"no head 0\.5; heads_to_plot are whole numbers"),
        ("1", r"no head '1'; heads_to_plot are whole numbers"),
        ((head for head in (0, 9)), r"no head 9; decoder\.0 has heads 0 … 1"),
    ],
)
def test_a_head_that_does_not_exist_is_an_error_naming_the_range(
    tmp_path: Path, heads: tuple[int, ...], message: str
) -> None:
    with pytest.raises(RolloutError, match=message):
        AttentionRollout(random_model(small_config())).plot_attention_heads(wave(), 84, tmp_path / "maps", heads)
    assert not (tmp_path / "maps").exists()


@pytest.mark.parametrize("kind", [AttentionRollout, MultiHeadAttentionRolloutPlotter])
@pytest.mark.parametrize("name", ["", " run", "a\nb", "x" * 151, None])
def test_a_name_that_no_experiment_can_have_is_refused_as_such(tmp_path: Path, kind: Any, name: Any) -> None:
    with pytest.raises(RolloutError, match="experiment must be a number, or a name of at most 150 printable"):
        kind(random_model(small_config())).plot_attention_heads(wave(), 84, tmp_path / "maps", (0,), name)


def test_a_table_of_series_is_refused_before_anything_is_drawn(tmp_path: Path) -> None:
    with pytest.raises(PredictionError, match=r"got shape \(60, 2\)"):
        AttentionRollout(random_model(small_config())).plot_attention_heads(np.zeros((60, 2)), 84, tmp_path, (0,))


def test_the_pictures_show_what_a_capture_holds(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    model, shown = random_model(small_config()), []
    monkeypatch.setattr("vitime_cache.study.rollout.experiment_files", lambda views, *_: shown.extend(views) or {})
    AttentionRollout(model).plot_attention_heads(wave(), 84, tmp_path, (1, 0), "mine")
    ds = capture(model, wave(), 84)
    for view, head in zip(shown, (1, 0), strict=True):
        assert view.label == f"experiment mine, decoder.0, head {head}"
        np.testing.assert_array_equal(view.time_attention, ds.time_attention.sel(layer="decoder.0", head=head))
