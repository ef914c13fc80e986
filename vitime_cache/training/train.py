"""Train a small ViTime network on synthetic series: seeded, resumable, on a CPU or a CUDA device.

What a step is scored on is in `objective`, what is taught when in `config`, and from which series in `synthesis`.
"""

from __future__ import annotations

import json
import sys
import time
from dataclasses import asdict
from pathlib import Path
from typing import TextIO

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader

from vitime_cache.model.checkpoint import pick_device, save_safetensors
from vitime_cache.model.drawing import draw
from vitime_cache.model.network import ViTime
from vitime_cache.training.batches import Batches, image_rows
from vitime_cache.training.config import TrainConfig, TrainingError
from vitime_cache.training.files import RunFiles
from vitime_cache.training.learner import NOT_PUBLISHED, Learner, float32_products
from vitime_cache.training.synthesis import Mixture, synthesise

MAY_CHANGE = {"stages", "cooldown", "lr", "precision"}  # between the parts of a run that is resumed
AHEAD = 4  # batches that each worker draws ahead of the network
VALIDATION_SEED = 2**40  # training draws from [seed, step]
VALIDATION = {
    "repeats": Mixture(repeats=1.0),
    "slow": Mixture(slow=1.0),
    "sines": Mixture(sines=1.0),
    "blends": Mixture(blends=1.0),
    "periodic": Mixture(periodic=1.0),
}


@torch.no_grad()
def held_out_error(model: ViTime, config: TrainConfig, n: int = 32) -> dict[str, float]:
    """Mean absolute error of the median forecast on series that training never draws, in history standard deviations.

    Returns
    -------
    dict
        For each kind of `VALIDATION`, at the border of the study; "mean": of the history's mean on the last kind.
    """
    network = config.network
    errors: dict[str, float] = {}
    for name, mixture in VALIDATION.items():
        rng = np.random.default_rng([config.seed, VALIDATION_SEED])
        rows, border = image_rows(synthesise(rng, n, network.columns, mixture)[0], network.context_columns, network)
        images = draw(rows.to(model.device)[:, :border], network)
        probability = torch.cat([model(part).cpu() for part in images.split(16)])
        median = (probability.cumsum(-1) < 0.5).sum(-1)  # (n, W) rows
        errors[name] = float((median - rows)[:, border:].abs().float().mean()) * network.row_step
        errors["mean"] = float((rows[:, border:] - network.image_height / 2).abs().float().mean()) * network.row_step
    return errors


def train(
    config: TrainConfig,
    out: str | Path,
    *,
    start: str | Path | None = None,
    device: str = "auto",
    workers: int = 0,
    save_every: float = 60.0,
    evaluate_every: int = 500,
    log: TextIO = sys.stderr,
) -> Path:
    """Train until the stages of `config` are through, resuming from `out`'s training state if there is one.

    Parameters
    ----------
    out
        The `.safetensors` file to write; its training state lies beside it as `.training.pt` until the run ends.
    start
        Weights to start from, such as those of an earlier run, if there is no state to resume.
    workers
        Processes that draw series ahead of the network; 0 draws them in this one. The series are the same.
    save_every
        Seconds between checkpoints. One is written before the first step, to find out whether that can be done.

    Raises
    ------
    TrainingError
        If `out` is there already and no run beside it to resume, or another run is writing it. If the state beside
        `out` belongs to another configuration, naming the field; only `stages`, `cooldown`, `lr` and `precision` may
        change between resumes. If `start` holds a network of another shape. If the loss is no longer finite.
    CheckpointError
        If the device is not there, naming what to use instead, or `start` cannot be read.
    OSError
        If `out` cannot be written, before the first step.
    """
    target = pick_device(device)
    files = RunFiles(out)
    learner = Learner(config, target, None if files.resumable else start)
    with files.held(), float32_products(config.precision, target):
        if files.resumable:
            _resume(files, learner)
        _save(files, learner)
        batches = DataLoader(
            Batches(config), batch_size=None, sampler=range(learner.step, config.steps), num_workers=workers,
            prefetch_factor=AHEAD if workers else None, pin_memory=target.type == "cuda",
        )  # fmt: skip
        report = _Report(config, learner.step, log)
        saved = time.monotonic()
        for batch in batches:
            loss = learner.learn(batch)
            done = learner.step
            report.step(done, loss)
            if done % evaluate_every == 0 or done == config.steps:
                report.held_out(done, held_out_error(learner.averaged(), config))
            if time.monotonic() - saved > save_every or done == config.steps:
                _check(loss, done, files)
                _save(files, learner)
                _write(files, learner)
                saved = time.monotonic()
        _write(files, learner)  # again where a kill came between the state of the last step and its weights
        files.finish()
    return files.weights


def _check(loss: Tensor, step: int, files: RunFiles) -> None:
    """Keep what is no number out of the files."""
    if not torch.isfinite(loss):
        raise TrainingError(
            f"the loss is no finite number at step {step}: go on from {files.state}, the last checkpoint before it, or "
            "remove that to start anew, with a lower --lr"
        )


def _save(files: RunFiles, learner: Learner) -> None:
    files.save_state({"config": json.dumps(asdict(learner.config)), **learner.state()})


def _write(files: RunFiles, learner: Learner) -> None:
    taught = f"trained on synthetic series for {learner.step} steps of {learner.config.batch_size}"
    save_safetensors(learner.averaged(), files.weights, note=taught + learner.after + NOT_PUBLISHED)


def _resume(files: RunFiles, learner: Learner) -> None:
    state = files.read_state(learner.device)
    then, now = json.loads(state["config"]), json.loads(json.dumps(asdict(learner.config)))
    for name in now.keys() - MAY_CHANGE:
        if then.get(name) != now[name]:
            raise TrainingError(
                f"{files.state} was written by a run with {name} = {then.get(name)}, now it is {now[name]}; "
                "remove the file to start anew, or give the old value"
            )
    learner.load(state)


class _Report:
    """One line every few seconds: step, smoothed loss, series per second, time left; and the held-out errors."""

    def __init__(self, config: TrainConfig, first: int, log: TextIO, seconds: float = 10.0) -> None:
        self.config, self.first, self.log, self.seconds = config, first, log, seconds
        self.started = self.printed = time.monotonic()
        self.loss: float | None = None

    def step(self, done: int, loss: Tensor) -> None:
        now = time.monotonic()
        if now - self.printed < self.seconds and done < self.config.steps:
            return
        value = loss.item()
        self.loss = value if self.loss is None else 0.7 * self.loss + 0.3 * value
        rate = (done - self.first) / (now - self.started)
        left = (self.config.steps - done) / rate
        self._print(
            f"step {done}/{self.config.steps}  loss {self.loss:.3f}  {rate * self.config.batch_size:.1f} series/s  "
            f"{left / 60:.0f} min left"
        )
        self.printed = now

    def held_out(self, done: int, errors: dict[str, float]) -> None:
        told = ", ".join(f"{name} {error:.3f}" for name, error in errors.items())
        self._print(f"step {done}  held-out MAE in standard deviations: {told}")

    def _print(self, line: str) -> None:
        print(line, file=self.log, flush=True)
