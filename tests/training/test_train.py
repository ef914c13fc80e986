from __future__ import annotations

import io
import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from tests.conftest import small_config
from vitime_cache.model.checkpoint import CheckpointError, load_model
from vitime_cache.model.network import ViTime
from vitime_cache.training.config import Stage, TrainConfig, TrainingError
from vitime_cache.training.objective import SyntheticBatches, whole_loss
from vitime_cache.training.synthesis import Mixture
from vitime_cache.training.train import train

NETWORK = small_config(context_columns=40, horizon_columns=56)
SLOW = Mixture(slow=1.0)
STAGES = (Stage(3, SLOW, study_border=1.0), Stage(3, SLOW, whole=0.5))
QUICK = TrainConfig(network=NETWORK, stages=STAGES, batch_size=4, warmup=2, cooldown=2, future_columns=3)


def run(config: TrainConfig, out: Path, **options: object) -> str:
    log = io.StringIO()
    train(config, out, device="cpu", log=log, **options)  # type: ignore[arg-type]
    return log.getvalue()


def same_weights(a: Path, b: Path) -> bool:
    first, second = load_file(a), load_file(b)
    return first.keys() == second.keys() and all(torch.equal(first[name], second[name]) for name in first)


def test_training_learns_a_single_slow_wave(tmp_path: Path) -> None:
    config = replace(QUICK, stages=(Stage(80, SLOW, whole=0.3),), batch_size=16, lr=5e-3, average=0.9)
    batches, untrained = SyntheticBatches(config), ViTime(NETWORK)
    train(config, tmp_path / "w.safetensors", device="cpu", log=io.StringIO(), evaluate_every=1000)
    trained = load_model(tmp_path / "w.safetensors", device="cpu")
    images, rows, border, _ = batches[10**6]
    with torch.no_grad():
        before, after = (float(whole_loss(m.logits(images), rows, border, config)) for m in (untrained, trained))
    assert after < before - 0.1


def test_the_same_seed_gives_the_same_weights_and_another_seed_does_not(tmp_path: Path) -> None:
    for name, seed in (("a", 0), ("b", 0), ("c", 1)):
        run(replace(QUICK, seed=seed), tmp_path / f"{name}.safetensors")
    assert same_weights(tmp_path / "a.safetensors", tmp_path / "b.safetensors")
    assert not same_weights(tmp_path / "a.safetensors", tmp_path / "c.safetensors")


class Killed(BaseException):
    """Stands for a kill: nothing catches it."""


def test_a_run_that_was_killed_resumes_to_the_weights_of_one_that_was_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole, cut = tmp_path / "whole.safetensors", tmp_path / "cut.safetensors"
    run(QUICK, whole, save_every=0)
    draw = SyntheticBatches.__getitem__

    def killed_at_four(self: SyntheticBatches, step: int) -> tuple[torch.Tensor, torch.Tensor, int, torch.Tensor]:
        if step == 4:
            raise Killed
        return draw(self, step)

    monkeypatch.setattr(SyntheticBatches, "__getitem__", killed_at_four)
    with pytest.raises(Killed):
        run(QUICK, cut, save_every=0)
    monkeypatch.undo()
    assert (tmp_path / "cut.training.pt").exists()
    run(QUICK, cut)
    assert same_weights(whole, cut)
    assert not (tmp_path / "cut.training.pt").exists(), "a finished run leaves only its weights"


def test_state_of_another_run_is_refused_naming_the_field(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    out = tmp_path / "w.safetensors"
    monkeypatch.setattr(Path, "unlink", lambda *_, **__: None)  # keep the training state of a finished run
    run(QUICK, out)
    with pytest.raises(TrainingError, match=r"batch_size = 4, now it is 5; remove the file"):
        run(replace(QUICK, batch_size=5), out)
    run(QUICK.with_steps(8), out)
    (tmp_path / "w.training.pt").write_bytes(b"nonsense")
    with pytest.raises(TrainingError, match="is damaged"):
        run(QUICK, out)


def test_a_run_goes_on_in_another_precision_and_from_a_state_that_knows_of_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out, state_file = tmp_path / "w.safetensors", tmp_path / "w.training.pt"
    monkeypatch.setattr(Path, "unlink", lambda *_, **__: None)  # keep the training state of a finished run
    run(QUICK, out)
    state = torch.load(state_file)
    config = json.loads(state["config"])
    assert config.pop("precision") == "float32"
    torch.save({**state, "config": json.dumps(config)}, state_file)
    assert "step 8/8" in run(replace(QUICK, precision="bfloat16").with_steps(8), out)
    assert all(tensor.isfinite().all() for tensor in load_file(out).values())


def test_bfloat16_learns_what_float32_learns(tmp_path: Path) -> None:
    config = replace(QUICK, stages=(Stage(40, SLOW, whole=0.3),), batch_size=16)
    for precision in ("float32", "bfloat16"):
        run(replace(config, precision=precision), tmp_path / f"{precision}.safetensors", evaluate_every=1000)
    images, rows, border, _ = SyntheticBatches(config)[10**6]
    losses = []
    for model in (ViTime(NETWORK), *(load_model(tmp_path / f"{p}.safetensors") for p in ("float32", "bfloat16"))):
        with torch.no_grad():
            losses.append(float(whole_loss(model.logits(images), rows, border, config)))
    untaught, full, short = losses
    assert abs(full - short) < 0.1 * (untaught - full)


def test_a_finished_run_is_never_overwritten_by_the_same_command(tmp_path: Path) -> None:
    out = tmp_path / "w.safetensors"
    run(QUICK, out)
    before = out.read_bytes()
    with pytest.raises(TrainingError, match=r"w\.safetensors is there already, .* give another --out, or move it"):
        run(QUICK, out)
    assert out.read_bytes() == before


def test_a_run_may_start_from_the_weights_of_another(tmp_path: Path) -> None:
    first, second = tmp_path / "first.safetensors", tmp_path / "second.safetensors"
    run(QUICK, first)
    run(replace(QUICK, lr=1e-9, weight_decay=0.0), second, start=first)
    assert "for 6 steps of 4 after those of first.safetensors" in load_model(second, device="cpu").weights.note
    before, after = load_file(first), load_file(second)
    assert all(torch.allclose(before[name].float(), after[name].float(), atol=1e-3) for name in before)
    other = replace(QUICK, network=replace(NETWORK, encoder_depth=3))
    with pytest.raises(TrainingError, match="holds another network than this run trains: encoder_depth 2, not 3"):
        run(other, tmp_path / "third.safetensors", start=first)


def test_progress_tells_loss_speed_time_left_and_held_out_error(tmp_path: Path) -> None:
    log = run(QUICK, tmp_path / "w.safetensors")
    assert "step 6/6  loss" in log
    assert "series/s" in log
    assert "min left" in log
    assert "held-out MAE in standard deviations: repeats" in log


def test_weights_say_that_they_are_not_the_published_model(tmp_path: Path) -> None:
    run(QUICK, tmp_path / "w.safetensors")
    assert "not the published ViTime model" in load_model(tmp_path / "w.safetensors", device="cpu").weights.note


def test_weights_are_written_as_safetensors_only(tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match=r"written as \.safetensors"):
        run(QUICK, tmp_path / "w.pth")


@pytest.mark.skipif(torch.cuda.is_available(), reason="this machine has a CUDA device")
def test_a_device_that_is_not_there_is_refused_naming_what_to_use_instead(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="no CUDA device; use auto or cpu"):
        train(QUICK, tmp_path / "w.safetensors", device="cuda")
    assert not list(tmp_path.iterdir())
