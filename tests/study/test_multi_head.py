"""The reference study's newer script runs with its imports changed and nothing else."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from benchmarks.reference import hook_and_copy
from tests.conftest import random_model, small_config
from tests.study.test_rollout import eight_heads as eight_heads
from tests.study.test_rollout import wave
from vitime_cache import MultiHeadAttentionRollout, MultiHeadAttentionRolloutPlotter
from vitime_cache.model.encoding import SeriesEncoding
from vitime_cache.model.network import ViTime
from vitime_cache.study.seen_attention import RolloutError

# The study's script, its own words for what it does left out; the imports are the only lines that differ.
SCRIPT = """
import numpy as np
from vitime_cache import MultiHeadAttentionRollout, MultiHeadAttentionRolloutPlotter, ViTimePrediction

for experiment, x in (
    ("1", np.sin(np.arange(512) / 10) + np.sin(np.arange(512) / 5 + 50) + np.cos(np.arange(512) + 50)),
    ("2", np.sin(np.arange(512) / 5 + 50) + np.cos(np.arange(512) + 50)),
):
    model = ViTimePrediction(device="cuda:0", model_name="MAE", lookbackRatio=None, tempature=1)
    visualizer = MultiHeadAttentionRolloutPlotter(
        model=model, attention_layer_name="attn", attention_drop_layer_name="attn_drop"
    )
    visualizer.plot_attention_heads(
        input_tensor=x, prediction_horizon=720, heads_to_plot=[7], experiment=experiment
    )


class Own(MultiHeadAttentionRollout):
    def means(self, x):
        self.forward(x=x, prediction_horizon=720)
        attention = self.token_attn_to_time_attn(self.multi_heads_tensor[7].float().numpy())
        return attention, self.attention_patched, self.num_sample_per_patch


attention, kept, samples = Own(model).means(x)
assert attention is kept
"""


@pytest.mark.usefixtures("eight_heads")
@pytest.mark.filterwarnings("ignore:this machine has no CUDA device")
def test_the_script_runs_with_its_imports_changed_only(tmp_path: Path) -> None:
    names: dict[str, object] = {}
    exec(SCRIPT, names)
    folder = Path("experiments/attention_maps")
    found = sorted(path.name for path in folder.iterdir())
    assert found == ["experiment_1_head_7_correlations.png", "experiment_2_head_7_correlations.png"]
    for name in found:
        picture = Image.open(folder / name)
        assert picture.size == (2800, 1200)
        assert tuple(round(dots) for dots in picture.info["dpi"]) == (200, 200)
        assert np.asarray(picture.convert("L")).std() > 10  # something is drawn on it
    assert tmp_path == Path.cwd()


def test_the_tensor_is_the_last_layers_attention_as_hooks_on_the_network_see_it() -> None:
    model = random_model(small_config())
    rollout = MultiHeadAttentionRollout(model)
    rollout.forward(wave(), 36)
    encoding = SeriesEncoding.fit(wave(), 36, model.config)
    image = torch.from_numpy(np.ascontiguousarray(encoding.image(wave()).T))[None, None]
    _, maps = hook_and_copy(model, image)
    expected = list(maps.values())
    torch.testing.assert_close(rollout.multi_heads_tensor, expected[-1].reshape(rollout.multi_heads_tensor.shape))
    assert len(rollout.attentions) == len(model.config.layers)
    assert rollout.num_sample_per_patch == encoding.samples_per_patch


def test_a_patch_is_as_many_samples_as_the_lengths_make_it(eight_heads: ViTime) -> None:
    rollout = MultiHeadAttentionRollout(eight_heads)
    columns = eight_heads.config.grid[1]
    for horizon in (36, 100):
        rollout.forward(wave(), horizon)
        assert rollout.num_sample_per_patch == pytest.approx((len(wave()) + horizon) / columns)


@pytest.mark.usefixtures("eight_heads")
def test_a_head_out_of_range_is_skipped_with_a_line(
    eight_heads: ViTime, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    plotter = MultiHeadAttentionRolloutPlotter(eight_heads)
    made = plotter.plot_attention_heads(wave(), 36, tmp_path / "maps", heads_to_plot=(0, 8, -1))
    assert [path.name for path in made] == ["experiment_1_head_0_correlations.png"]
    told = capsys.readouterr().out.splitlines()
    assert [line.split(",")[0] for line in told] == ["head 8 is out of range", "head -1 is out of range"]
    assert plotter.plot_attention_heads(wave(), 36, tmp_path / "none", heads_to_plot=()) == []


def test_the_network_comes_back_as_it_was_and_can_be_asked_again() -> None:
    model = random_model(small_config())
    rollout = MultiHeadAttentionRollout(model)
    before = [block.attn.fused_attn for block in model.blocks_by_layer().values()]
    tensors = []
    for _ in range(2):  # the study's own hooks work once
        rollout.forward(wave(), 36)
        tensors.append(rollout.multi_heads_tensor)
    assert torch.equal(*tensors)
    assert [block.attn.fused_attn for block in model.blocks_by_layer().values()] == before
    assert not any(block.attn.attn_drop._forward_hooks for block in model.blocks_by_layer().values())


def test_names_that_match_no_attention_are_an_error_with_those_that_do() -> None:
    with pytest.raises(RolloutError, match=r"'blocks\.0\.attn'"):
        MultiHeadAttentionRolloutPlotter(random_model(small_config()), "attention")
