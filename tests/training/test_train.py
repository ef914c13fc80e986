from __future__ import annotations

import errno
import io
import json
import os
import re
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from tests.conftest import GOLDEN_WEIGHTS, small_config
from vitime_cache.model.checkpoint import CheckpointError, load_model, peek, save_safetensors
from vitime_cache.model.drawing import draw
from vitime_cache.model.network import ViTime
from vitime_cache.series.signal import Signal
from vitime_cache.training.backtest import Backtest, Choice
from vitime_cache.training.batches import Batch, Batches
from vitime_cache.training.config import Precision, Stage, TrainConfig, TrainingError
from vitime_cache.training.files import RunFiles
from vitime_cache.training.learner import Learner, float32_products
from vitime_cache.training.objective import whole_loss
from vitime_cache.training.own_series import OwnSeries
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

    monkeypatch.setattr("vitime_cache.training.run.save_safetensors", killed)
    with pytest.raises(Killed):
        run(QUICK, out)
    monkeypatch.undo()
    run(QUICK, tmp_path / "whole.safetensors")
    run(QUICK, out)
    assert same_weights(out, tmp_path / "whole.safetensors")


def test_what_a_kill_left_half_written_is_swept_by_the_next_run_and_nothing_else(tmp_path: Path) -> None:
    left = ("w.safetensors.1a2b3c4d.partial", "w.training.pt.1a2b3c4d.partial", "w.training.partial", "w.training.lock")
    others = {"ww.training.pt", "ww.training.lock", "w.safetensors.txt", "notes.partial"}
    for name in (*left, *others):
        (tmp_path / name).touch()
    run(QUICK, tmp_path / "w.safetensors")
    assert {path.name for path in tmp_path.iterdir()} == {"w.safetensors", *others}


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


class Full(io.BytesIO):
    """A file on a disk with room for 100 bytes."""

    def write(self, data: Any) -> int:
        if self.tell() + len(data) > 100:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return super().write(data)


def test_a_full_disk_is_told_as_such_and_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """torch tells it as an error of its archive."""
    monkeypatch.setattr("vitime_cache.atomic._begin", lambda _: (tmp_path / "w.partial", Full()))
    with pytest.raises(OSError, match=r"No space left on device: .*w\.training\.pt"):
        run(QUICK, tmp_path / "w.safetensors")
    assert not list(tmp_path.iterdir())


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


def test_a_run_that_ends_while_another_begins_keeps_its_weights(tmp_path: Path) -> None:
    out, state = tmp_path / "w.safetensors", tmp_path / "w.training.pt"
    state.touch()
    second = RunFiles(out)
    out.write_bytes(b"whole")  # as the first run ends
    state.unlink()
    with (
        pytest.raises(TrainingError, match=r"w\.safetensors already exists, and there is no run to resume"),
        second.held(),
    ):
        raise AssertionError
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
    with pytest.raises(TrainingError, match=r"not finite at step 5: .*w\.training\.pt, .* a lower --lr"):
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
    with pytest.raises(TrainingError, match="is damaged; remove it"):
        run(QUICK, out)
    for other, told in (([1], "is damaged"), ({"model": {}}, "is no state of a training run; remove it")):
        torch.save(other, tmp_path / "w.training.pt")
        with pytest.raises(TrainingError, match=told):
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


def test_a_state_of_the_version_before_is_gone_on_from(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It kept the mean of the weights in torch's AveragedModel, which counts its updates."""
    out, state_file = tmp_path / "w.safetensors", tmp_path / "w.training.pt"
    monkeypatch.setattr(Path, "unlink", lambda *_, **__: None)  # keep the training state of a finished run
    run(QUICK, out)
    before, state = out.rename(tmp_path / "before.safetensors"), torch.load(state_file)
    mean = {f"module.{name}": value for name, value in state["average"].items()}
    torch.save({**state, "average": {"n_averaged": torch.tensor(6), **mean}}, state_file)
    run(QUICK, out)
    assert same_weights(out, before)


def test_the_mean_of_the_weights_is_that_of_torch_s_averaged_model() -> None:
    learner = Learner(QUICK, torch.device("cpu"))
    mean = AveragedModel(learner.model, multi_avg_fn=get_ema_multi_avg_fn(QUICK.average))
    for step in range(4):
        learner.learn(Batches(QUICK)[step])
        mean.update_parameters(learner.model)
    for ours, torchs in zip(learner.average.parameters(), mean.module.parameters(), strict=True):
        assert torch.equal(ours, torchs)


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
    with pytest.raises(TrainingError, match=r"w\.safetensors already exists, .* give another --out, or move it"):
        run(QUICK, out)
    assert out.read_bytes() == before


def test_a_run_may_start_from_the_weights_of_another(tmp_path: Path) -> None:
    first, second = tmp_path / "first.safetensors", tmp_path / "second.safetensors"
    run(QUICK, first)
    run(replace(QUICK, lr=1e-9, weight_decay=0.0), second, start=first)
    assert (
        "for 6 steps of 4 after those of first.safetensors (SHA-256 " in load_model(second, device="cpu").weights.note
    )
    before, after = load_file(first), load_file(second)
    assert all(torch.allclose(before[name].float(), after[name].float(), atol=1e-3) for name in before)
    other = replace(QUICK, network=replace(NETWORK, encoder_depth=3))
    with pytest.raises(TrainingError, match="has a different network than this run trains: encoder_depth 2, not 3"):
        run(other, tmp_path / "third.safetensors", start=first)


def test_progress_tells_loss_speed_time_left_and_held_out_error(tmp_path: Path) -> None:
    log = run(QUICK, tmp_path / "w.safetensors")
    assert "step 6/6  loss" in log
    assert "series/s" in log
    assert "min left" in log
    assert "held-out mean absolute error in standard deviations: repeats" in log


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


def own_series(values: np.ndarray | None = None, share: float = 0.5) -> OwnSeries:
    """A noisy wave; the last 30 of its 150 samples are held out, 30 before them are chosen by."""
    noise = np.random.default_rng(0).normal(0, 0.2, 150)
    wave = np.sin(2 * np.pi * np.arange(150) / 15) + noise if values is None else values
    return OwnSeries.of([Signal("wave", wave)], share=share, hold_out=30, told="1 series of w.csv (SHA-256 0123)")


@pytest.fixture(scope="module")
def taught(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Weights that know a little of waves."""
    out = tmp_path_factory.mktemp("taught") / "taught.safetensors"
    run(replace(QUICK, stages=(Stage(60, SLOW, whole=0.3),), batch_size=16, lr=5e-3), out, evaluate_every=1000)
    return out


ADAPT = replace(TrainConfig.adapting(NETWORK, 12), batch_size=4, lr=5e-3)


def with_errors(monkeypatch: pytest.MonkeyPatch, *validation: float) -> None:
    """Let the states of a run have these errors in turn; the held-out one is the half of them."""
    told = iter([error for each in validation for error in (each, each / 2)])
    monkeypatch.setattr(Backtest, "error", lambda *_: next(told))


def test_adapting_writes_the_best_state_and_tells_its_errors_against_before_and_the_last_season(
    taught: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out, models = tmp_path / "mine.safetensors", []
    consider = Choice.consider

    def watched(self: Choice, step: int, model: ViTime) -> dict[str, float]:
        models.append({name: value.clone() for name, value in model.state_dict().items()})
        return consider(self, step, model)

    monkeypatch.setattr(Choice, "consider", watched)
    with_errors(monkeypatch, 0.8, 0.9, 0.6, 0.4, 0.5)
    log = run(ADAPT, out, own=own_series(), start=taught, evaluate_every=3)
    assert all(torch.equal(value, models[2][name].half()) for name, value in load_file(out).items())
    assert re.search(r"step 0  mean .*: validation 0\.800 \(before 0\.800, last season 0\.\d+\); held out 0\.400", log)
    last = log.splitlines()[-1]
    assert last.startswith(f"written: {out}, the state after step 9, the best on the validation stretches")
    assert re.search(
        r"validation 0\.400 \(before 0\.800, .*held out 0\.200 \(before 0\.400, last season 0\.\d+\)", last
    )


def test_adapting_teaches_one_s_own_series(taught: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Loss on windows of a part that was held out, which goes on as what was taught."""
    saw = np.arange(600) % 12.0
    config = replace(ADAPT, stages=(Stage(60, SLOW, whole=0.3),), batch_size=16, lr=5e-3)
    own = OwnSeries.of([Signal("saw", saw)], share=1.0, hold_out=150)
    batch = Batches(config, OwnSeries.of([Signal("rest", saw[450:])], share=1.0, hold_out=40))[10**6]
    images, rows = draw(batch.rows[:, : batch.border], NETWORK), batch.rows.long()
    monitored = []
    with_errors(monkeypatch, 1.0, 0.5)  # the last state is chosen
    run(config, tmp_path / "w.safetensors", own=own, start=taught, evaluate_every=60)
    for weights in (taught, tmp_path / "w.safetensors"):
        with torch.no_grad():
            monitored.append(float(whole_loss(load_model(weights).logits(images), rows, batch.border, config)))
    assert monitored[1] < monitored[0] - 0.1


def test_adapted_weights_say_what_they_were_adapted_on_and_from_what(
    taught: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with_errors(monkeypatch, *np.linspace(1, 0.5, 40))
    run(ADAPT, tmp_path / "a.safetensors", own=own_series(), start=taught, evaluate_every=1)
    first = load_model(tmp_path / "a.safetensors").weights.note
    assert re.fullmatch(
        r"adapted on 1 series of w\.csv \(SHA-256 0123\) in 12 steps of 4 series, 50% of them these and the rest "
        r"synthetic after those of taught\.safetensors \(SHA-256 [0-9a-f]{12}\), trained on synthetic series for 60 "
        "steps of 16; not the published ViTime model",
        first,
    )
    for name, own in (("b", own_series(share=1.0)), ("c", None)):
        config = ADAPT if own else QUICK
        run(config, tmp_path / f"{name}.safetensors", own=own, start=tmp_path / "a.safetensors", evaluate_every=1)
        note = load_model(tmp_path / f"{name}.safetensors").weights.note
        assert re.search(
            r"after those of a\.safetensors \(SHA-256 \w{12}\), adapted on 1 series of w\.csv \(SHA-256 0123\) in", note
        )
        assert note.count("not the published ViTime model") == 1


def test_teaching_that_only_harms_writes_the_weights_that_it_began_with_and_says_so(
    taught: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with_errors(monkeypatch, 0.5, 0.6, 0.5)
    log = run(ADAPT, tmp_path / "w.safetensors", own=own_series(), start=taught, evaluate_every=6)
    assert same_weights(taught, tmp_path / "w.safetensors")
    assert "the initial weights: no step reduced the validation error" in log
    note = load_model(tmp_path / "w.safetensors").weights.note
    assert note.startswith("not adapted: no step on 1 series of w.csv (SHA-256 0123) made them better; unchanged after")


def test_what_is_held_out_changes_no_weight(taught: Path, tmp_path: Path) -> None:
    values = np.sin(np.arange(150) / 3)
    changed = np.concatenate((values[:120], np.full(30, 99.0)))
    for name, series in (("a", values), ("b", changed)):
        run(ADAPT, tmp_path / f"{name}.safetensors", own=own_series(series), start=taught, evaluate_every=3)
    assert same_weights(tmp_path / "a.safetensors", tmp_path / "b.safetensors")


def test_a_killed_adaptation_resumes_to_the_choice_of_one_that_was_not(
    taught: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole, cut = tmp_path / "whole.safetensors", tmp_path / "cut.safetensors"
    log = run(ADAPT, whole, own=own_series(), start=taught, evaluate_every=1)
    batch_of = Batches.__getitem__

    def killed_at_seven(self: Batches, step: int) -> Batch:
        if step == 7:
            raise Killed
        return batch_of(self, step)

    monkeypatch.setattr(Batches, "__getitem__", killed_at_seven)
    with pytest.raises(Killed):
        run(ADAPT, cut, own=own_series(), start=taught, evaluate_every=1, save_every=0)
    monkeypatch.undo()
    with pytest.raises(TrainingError, match=r"with data = 1 series of w\.csv .*, now it is None; remove the file"):
        run(ADAPT, cut)
    with pytest.raises(TrainingError, match=r"with share = 0\.5, now it is 0\.25"):
        run(ADAPT, cut, own=own_series(share=0.25))
    told = rf"come after those of {taught.name} \(.*, not after those of {{}} \(SHA-256 \w+\); give the same --start"
    (tmp_path / "folder").mkdir()
    other = tmp_path / "folder" / taught.name
    save_safetensors(load_model(taught), other, note="taught again")
    for start in (GOLDEN_WEIGHTS, other):  # whatever else differs: the default start brings its own network
        with pytest.raises(TrainingError, match=told.format(start.name)):
            run(replace(ADAPT, network=small_config()), cut, own=own_series(), start=start)
    with pytest.raises(TrainingError, match=r"with network\.encoder_depth = 2, now it is 3"):
        run(replace(ADAPT, network=replace(ADAPT.network, encoder_depth=3)), cut, own=own_series())
    resumed = run(ADAPT, cut, own=own_series(), start=taught, evaluate_every=1)
    assert resumed.splitlines()[-1].replace("cut.", "whole.") == log.splitlines()[-1], "errors before included"
    assert same_weights(whole, cut)
    assert load_model(cut).weights.note == load_model(whole).weights.note


def test_a_published_file_is_adapted_with_its_own_settings(tmp_path: Path) -> None:
    config, _ = peek(GOLDEN_WEIGHTS)
    log = run(
        replace(TrainConfig.adapting(config, 2), batch_size=2), tmp_path / "w.safetensors", own=own_series(),
        start=GOLDEN_WEIGHTS,
    )  # fmt: skip
    assert "step 2/2" in log
    adapted = load_model(tmp_path / "w.safetensors", "cpu")
    assert adapted.config == config
    digest = peek(GOLDEN_WEIGHTS)[1].sha256[:12]
    assert f"after those of vitime_tiny.pth (SHA-256 {digest}); not the published ViTime model" in adapted.weights.note


def test_a_network_with_a_sigmoid_learns_too(tmp_path: Path) -> None:
    config = replace(QUICK, network=replace(NETWORK, output="sigmoid"), stages=(Stage(80, SLOW, whole=0.3),))
    config = replace(config, batch_size=16, lr=5e-3, average=0.9)
    run(config, tmp_path / "w.safetensors", evaluate_every=1000)
    untaught, taught = (
        whole_loss_of(m, config) for m in (ViTime(config.network), load_model(tmp_path / "w.safetensors"))
    )
    assert taught < untaught - 0.1


def test_series_that_cannot_be_tested_are_refused_with_nothing_written(tmp_path: Path) -> None:
    long = OwnSeries.of([Signal("x", np.random.default_rng(0).standard_normal(10_000))], hold_out=4983)
    with pytest.raises(TrainingError, match="too much is held out"):
        run(ADAPT, tmp_path / "folder" / "w.safetensors", own=long)
    assert not list(tmp_path.iterdir())
