from __future__ import annotations

import io
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from tests.conftest import small_config
from vitime_cache.model.checkpoint import load_model
from vitime_cache.model.network import ViTime
from vitime_cache.training.synthesis import Mixture
from vitime_cache.training.train import Muon, SyntheticBatches, TrainConfig, TrainingError, loss_of, train

NETWORK = small_config(context_columns=40, horizon_columns=56)
QUICK = TrainConfig(network=NETWORK, steps=6, batch_size=4, warmup=2, cooldown=2, broaden=3)


def run(config: TrainConfig, out: Path, **options: float) -> str:
    log = io.StringIO()
    train(config, out, device="cpu", log=log, **options)  # type: ignore[arg-type]
    return log.getvalue()


def same_weights(a: Path, b: Path) -> bool:
    first, second = load_file(a), load_file(b)
    return first.keys() == second.keys() and all(torch.equal(first[name], second[name]) for name in first)


def test_training_learns_a_single_slow_wave(tmp_path: Path) -> None:
    only_slow = Mixture(slow=1.0, periodic=0.0, spectrum=0.0, trend=0.0)
    config = replace(QUICK, steps=60, batch_size=16, easy=only_slow, broad=only_slow, lr=5e-3)
    batches, untrained = SyntheticBatches(config), ViTime(NETWORK)
    train(config, tmp_path / "w.safetensors", device="cpu", log=io.StringIO(), evaluate_every=1000)
    trained = load_model(tmp_path / "w.safetensors", device="cpu")
    images, rows, border = batches[10**6]
    with torch.no_grad():
        before, after = (float(loss_of(m.logits(images), rows, border, config)) for m in (untrained, trained))
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

    def killed_at_four(self: SyntheticBatches, step: int) -> tuple[torch.Tensor, torch.Tensor, int]:
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
    run(replace(QUICK, steps=8), out)
    (tmp_path / "w.training.pt").write_bytes(b"nonsense")
    with pytest.raises(TrainingError, match="is damaged"):
        run(QUICK, out)


def test_progress_tells_loss_speed_time_left_and_held_out_error(tmp_path: Path) -> None:
    log = run(QUICK, tmp_path / "w.safetensors")
    assert "step 6/6  loss" in log
    assert "series/s" in log
    assert "min left" in log
    assert "held-out MAE" in log


def test_weights_say_that_they_are_not_the_published_model(tmp_path: Path) -> None:
    run(QUICK, tmp_path / "w.safetensors")
    assert "not the published ViTime model" in load_model(tmp_path / "w.safetensors", device="cpu").weights.note


def test_the_future_weighs_more_than_the_history() -> None:
    logits = torch.zeros(1, 96, 16)
    rows = torch.zeros(1, 96, dtype=torch.long)
    perfect = torch.full((96, 16), -30.0)
    perfect[:, 0] = 30.0
    sharp = replace(QUICK, softness=1e-3)
    history_right, future_right = logits.clone(), logits.clone()
    history_right[0, :40], future_right[0, 40:] = perfect[:40], perfect[40:]
    weight = 40 + 5 * 56
    assert float(loss_of(history_right, rows, 40, sharp)) == pytest.approx(np.log(16) * 5 * 56 / weight)
    assert float(loss_of(future_right, rows, 40, sharp)) == pytest.approx(np.log(16) * 40 / weight)


def test_muon_moves_along_the_orthogonal_factor_of_the_gradient() -> None:
    p = torch.nn.Parameter(torch.zeros(12, 8))
    p.grad = torch.randn(12, 8, generator=torch.manual_seed(0))
    u, _, v = torch.linalg.svd(p.grad, full_matrices=False)
    Muon([p], lr=1.0, weight_decay=0.0).step()
    direction = -p.data / (0.2 * 12**0.5)
    # five quintic iterations bring every singular value near 1, within 0.7 … 1.2
    singular = torch.linalg.svdvals(direction)
    assert 0.6 < singular.min() <= singular.max() < 1.3
    aligned = torch.diagonal(u.T @ direction @ v.T)
    torch.testing.assert_close(aligned, singular, rtol=0, atol=0.6)
    assert aligned.min() > 0.5


def test_the_learning_rate_warms_up_stays_and_falls_to_nothing() -> None:
    config = replace(QUICK, steps=100, warmup=10, cooldown=20, lr=1.0)
    rates = [config.learning_rate(step) for step in range(100)]
    assert rates[0] == pytest.approx(0.1)
    assert set(rates[9:80]) == {1.0}
    assert np.all(np.diff(rates[80:]) < 0)
    assert rates[-1] == pytest.approx(0.05)


def test_the_mixture_goes_from_easy_to_broad() -> None:
    config = TrainConfig(broaden=100)
    assert config.mixture(0) == config.easy
    assert config.mixture(100) == config.mixture(10_000) == config.broad
    assert config.mixture(50).trend == pytest.approx(config.broad.trend / 2)


def test_a_toml_file_sets_what_it_names_and_leaves_the_rest(tmp_path: Path) -> None:
    path = tmp_path / "run.toml"
    path.write_text("steps = 10\nlr = 0.001\n[network]\nencoder_depth = 3\n[broad]\nslow = 1\nperiodic = 0\n")
    config = TrainConfig.from_toml(path)
    assert (config.steps, config.lr, config.batch_size) == (10, 0.001, TrainConfig().batch_size)
    assert config.network == replace(TrainConfig().network, encoder_depth=3)
    assert config.broad.slow == 1


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("stepz = 3", "unknown field stepz"),
        ("steps = 0", "steps must be at least 1, got 0"),
        ("lr = -1.0", "lr must be positive"),
        ("steps = ", "cannot read the training config"),
        ("[network]\nheads = 7", "not a multiple of heads 7"),
        ("[network]\nhands = 7", "hands"),
        ("[broad]\nslow = -1", "shares of a mixture"),
        ("[broad]\nsaw = 1", "saw"),
        ('lr = "fast"', "run.toml"),
    ],
)
def test_a_bad_training_config_is_refused_naming_file_and_field(tmp_path: Path, text: str, named: str) -> None:
    path = tmp_path / "run.toml"
    path.write_text(text)
    with pytest.raises(TrainingError, match=named) as error:
        TrainConfig.from_toml(path)
    assert "run.toml" in str(error.value)


def test_weights_are_written_as_safetensors_only(tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match=r"written as \.safetensors"):
        run(QUICK, tmp_path / "w.pth")
