from __future__ import annotations

import io
import json
import os
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from tests.conftest import small_config
from vitime_cache.model.checkpoint import CheckpointError, load_model
from vitime_cache.model.drawing import draw
from vitime_cache.model.network import ViTime
from vitime_cache.training.batches import Batch, Batches
from vitime_cache.training.config import Precision, Stage, TrainConfig, TrainingError
from vitime_cache.training.learner import Learner, float32_products
from vitime_cache.training.objective import whole_loss
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


def whole_loss_of(model: ViTime, config: TrainConfig, step: int = 10**6) -> float:
    """Loss at all columns on a batch that no run has drawn."""
    batch = Batches(config)[step]
    images, rows = draw(batch.rows[:, : batch.border], config.network), batch.rows.long()
    with torch.no_grad():
        return float(whole_loss(model.logits(images), rows, batch.border, config))


def test_training_learns_a_single_slow_wave(tmp_path: Path) -> None:
    config = replace(QUICK, stages=(Stage(80, SLOW, whole=0.3),), batch_size=16, lr=5e-3, average=0.9)
    untrained = ViTime(NETWORK)
    train(config, tmp_path / "w.safetensors", device="cpu", log=io.StringIO(), evaluate_every=1000)
    trained = load_model(tmp_path / "w.safetensors", device="cpu")
    assert whole_loss_of(trained, config) < whole_loss_of(untrained, config) - 0.1


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
    batch_of = Batches.__getitem__

    def killed_at_four(self: Batches, step: int) -> Batch:
        if step == 4:
            raise Killed
        return batch_of(self, step)

    monkeypatch.setattr(Batches, "__getitem__", killed_at_four)
    with pytest.raises(Killed):
        run(QUICK, cut, save_every=0)
    monkeypatch.undo()
    assert (tmp_path / "cut.training.pt").exists()
    run(QUICK, cut)
    assert same_weights(whole, cut)
    assert not (tmp_path / "cut.training.pt").exists(), "a finished run leaves only its weights"


@pytest.mark.parametrize("operation", range(9))
def test_a_run_killed_before_any_change_of_its_files_can_be_finished(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, operation: int
) -> None:
    """The kill between the state of the last step and its weights is one of them: it lost the whole run once."""
    whole, cut = tmp_path / "whole.safetensors", tmp_path / "cut.safetensors"
    config = QUICK.with_steps(2)
    run(config, whole)
    done = 0

    def counted(change: Callable[..., object]) -> Callable[..., object]:
        def changed(*args: object, **options: object) -> object:
            nonlocal done
            done += 1
            if done == operation + 1:
                raise Killed
            return change(*args, **options)

        return changed

    for name in ("replace", "unlink"):
        monkeypatch.setattr(Path, name, counted(getattr(Path, name)))
    with suppress(Killed):
        run(config, cut, save_every=0)
    monkeypatch.undo()
    if not (cut.exists() and not (tmp_path / "cut.training.pt").exists()):  # else the kill came after all was done
        run(config, cut)
    assert same_weights(whole, cut)
    assert {path.name for path in tmp_path.iterdir()} == {"whole.safetensors", "cut.safetensors"}


def test_weights_that_could_not_be_written_at_the_last_step_are_written_by_the_next_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "w.safetensors"

    def killed(*_: object, **__: object) -> None:
        raise Killed

    monkeypatch.setattr("vitime_cache.training.train.save_safetensors", killed)
    with pytest.raises(Killed):
        run(QUICK, out)
    monkeypatch.undo()
    run(QUICK, tmp_path / "whole.safetensors")
    run(QUICK, out)
    assert same_weights(out, tmp_path / "whole.safetensors")


def test_what_a_kill_left_half_written_is_swept_by_the_next_run_and_nothing_else(tmp_path: Path) -> None:
    left = ("w.safetensors.1a2b3c4d.partial", "w.training.pt.1a2b3c4d.partial", "w.training.partial", "w.training.lock")
    others = {"ww.safetensors.1a2b3c4d.partial", "w.safetensors.txt", "[w].safetensors.1.partial"}
    for name in (*left, *others):
        (tmp_path / name).touch()
    run(QUICK, tmp_path / "w.safetensors")
    assert {path.name for path in tmp_path.iterdir()} == {"w.safetensors", *others}
    run(QUICK, tmp_path / "[w].safetensors")
    assert not (tmp_path / "[w].safetensors.1.partial").exists(), "a name is no pattern"


def no_step(monkeypatch: pytest.MonkeyPatch) -> None:
    def never(*_: object) -> Batch:
        raise AssertionError("a step was begun")

    monkeypatch.setattr(Batches, "__getitem__", never)


def test_a_place_that_cannot_be_written_is_found_out_before_the_first_step(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    no_step(monkeypatch)
    long = "w" * (255 - len(".safetensors")) + ".safetensors"  # may be opened; what it is written as first may not
    (tmp_path / "file").touch()
    (tmp_path / "folder.safetensors").mkdir()
    before = sorted(tmp_path.rglob("*"))
    for out in (tmp_path / long, tmp_path / "file" / "w.safetensors"):
        with pytest.raises(OSError, match=r"File name too long|Not a directory|File exists"):
            run(QUICK, out)
    with pytest.raises(TrainingError, match="is a folder; name a file in it"):
        run(QUICK, tmp_path / "folder.safetensors")
    assert sorted(tmp_path.rglob("*")) == before


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may write everywhere")
def test_a_read_only_folder_is_found_out_before_the_first_step(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    no_step(monkeypatch)
    tmp_path.chmod(0o500)
    with pytest.raises(PermissionError):
        run(QUICK, tmp_path / "w.safetensors")


def test_a_second_run_on_the_same_file_is_refused_while_the_first_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out, refused = tmp_path / "w.safetensors", []
    batch_of = Batches.__getitem__

    def meanwhile(self: Batches, step: int) -> Batch:
        if step == 3:
            with pytest.raises(TrainingError, match=r"another run is writing .*w\.safetensors; wait until it ends"):
                run(QUICK, out)
            refused.append(step)
        return batch_of(self, step)

    monkeypatch.setattr(Batches, "__getitem__", meanwhile)
    run(QUICK, out)
    assert refused == [3]
    assert [path.name for path in tmp_path.iterdir()] == ["w.safetensors"]


def test_a_loss_that_is_no_number_ends_the_run_and_keeps_the_checkpoint_before(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out, learn = tmp_path / "w.safetensors", Learner.learn

    def broken_at_four(self: Learner, batch: Batch) -> torch.Tensor:
        if self.step == 4:
            self.model.cls_token.data.fill_(torch.nan)
        return learn(self, batch)

    monkeypatch.setattr(Learner, "learn", broken_at_four)
    with pytest.raises(TrainingError, match=r"no finite number at step 5: .*w\.training\.pt, .* a lower --lr"):
        run(QUICK, out, save_every=0)
    monkeypatch.undo()
    run(QUICK, out)
    run(QUICK, tmp_path / "whole.safetensors")
    assert same_weights(out, tmp_path / "whole.safetensors")


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
    models = (ViTime(NETWORK), *(load_model(tmp_path / f"{p}.safetensors") for p in ("float32", "bfloat16")))
    untaught, full, short = (whole_loss_of(model, config) for model in models)
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
    with pytest.raises(CheckpointError, match="no CUDA device that torch can use; use auto or cpu"):
        train(QUICK, tmp_path / "w.safetensors", device="cuda")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(("precision", "taken"), [("float32", "ieee"), ("tf32", "tf32"), ("bfloat16", "tf32")])
def test_float32_is_multiplied_as_the_run_says_on_a_cuda_device_and_as_before_afterwards(
    precision: Precision, taken: str
) -> None:
    kinds = (torch.backends.cuda.matmul, torch.backends.cudnn.conv)
    before = [kind.fp32_precision for kind in kinds]
    with suppress(Killed), float32_products(precision, torch.device("cuda")):
        assert [kind.fp32_precision for kind in kinds] == [taken, taken]
        raise Killed
    with float32_products(precision, torch.device("cpu")):
        assert [kind.fp32_precision for kind in kinds] == before


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device: this machine has none")
@pytest.mark.parametrize("workers", [0, 2])
def test_a_cuda_device_learns_what_the_cpu_learns(tmp_path: Path, workers: int) -> None:
    config = replace(QUICK, stages=(Stage(20, SLOW, whole=0.3),), lr=1e-3)
    run(config, tmp_path / "cpu.safetensors")
    train(config, tmp_path / "cuda.safetensors", device="cuda", workers=workers, log=io.StringIO())
    untaught, cpu, cuda = (
        whole_loss_of(model, config)
        for model in (ViTime(NETWORK), *(load_model(tmp_path / f"{d}.safetensors", "cpu") for d in ("cpu", "cuda")))
    )
    assert abs(cpu - cuda) < 0.05 * (untaught - cpu)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device: this machine has none")
def test_a_step_on_a_cuda_device_never_waits_for_it() -> None:
    learner = Learner(QUICK, torch.device("cuda"))
    batches = [Batches(QUICK)[step] for step in range(4)]
    pinned = [Batch(*(each.pin_memory() if isinstance(each, torch.Tensor) else each for each in b)) for b in batches]
    learner.learn(pinned[0])
    torch.cuda.set_sync_debug_mode("error")
    try:
        for batch in pinned[1:]:
            learner.learn(batch)
    finally:
        torch.cuda.set_sync_debug_mode("default")
