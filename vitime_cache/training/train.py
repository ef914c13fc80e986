"""Trains a ViTime network on synthetic series and on a user's own: seeded, resumable, on a CPU or a CUDA device.

`objective` has the loss, `config` the stages, `synthesis` and `own_series` the series. `learner` has the state that
training changes, `run` saves it and writes the weights.
"""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path
from typing import TextIO

from torch.utils.data import DataLoader

from vitime_cache.model.checkpoint import pick_device
from vitime_cache.training.batches import Batches
from vitime_cache.training.config import TrainConfig
from vitime_cache.training.files import RunFiles
from vitime_cache.training.learner import Learner, float32_products
from vitime_cache.training.own_series import OwnSeries
from vitime_cache.training.progress import Progress
from vitime_cache.training.run import Run

EVALUATIONS = 20  # evaluations in a run on the user's own series
AHEAD = 4  # batches that each worker draws ahead of the network


def train(
    config: TrainConfig,
    out: str | Path,
    *,
    own: OwnSeries | None = None,
    start: str | Path | None = None,
    device: str = "auto",
    workers: int | None = None,
    save_every: float = 60.0,
    evaluate_every: int | None = None,
    log: TextIO = sys.stderr,
) -> Path:
    """Train through all stages of `config`, resuming from `out`'s training state if there is one.

    Parameters
    ----------
    out
        The `.safetensors` file to write; its training state is next to it as `.training.pt` until the run ends.
    own
        The user's series to mix with synthetic ones. The run then writes its state with the best forecasts of the
        validation stretches of these series; the initial weights count as a state.
    start
        Weights to start from, such as those of an earlier run. For a resumed run: None, or the same weights.
    workers
        Processes that draw series ahead of the network; 0 draws them in this process. None takes 0 on a CPU, and all
        cores but one on a device. The series do not depend on it.
    save_every
        Seconds between checkpoints. One is written before the first step, to check that it can be written.
    evaluate_every
        Steps between evaluations; None takes 500, or a twentieth of the run with the user's series.

    Raises
    ------
    TrainingError
        If `out` already exists without a run to resume, or another run is writing it. If the state next to `out`
        belongs to another configuration, naming the field, or to another `start`; only `stages`, `cooldown`, `lr` and
        `precision` may change between resumes. If `start` has a network of another shape. If the validation stretches
        cannot be forecast. If the loss is no longer finite.
    CheckpointError
        If the device does not exist, naming what to use instead, or `start` cannot be read.
    OSError
        If `out` cannot be written; this is found before the first step.
    """
    target = pick_device(device)
    if workers is None:
        workers = 0 if target.type == "cpu" else (os.cpu_count() or 1) - 1
    files = RunFiles(out)
    learner = Learner(config, target, None if files.resumable else start)
    evaluate_every = evaluate_every or (500 if own is None else max(1, config.steps // EVALUATIONS))
    run, progress = Run(files, learner, own), Progress(config, log)
    with files.held(), float32_products(config.precision, target):
        if files.resumable:
            run.resume(start)
        elif own is not None:
            progress.say(run.begin())
        run.save()
        batches = DataLoader(
            Batches(config, own), batch_size=None, sampler=range(learner.step, config.steps), num_workers=workers,
            prefetch_factor=AHEAD if workers else None, pin_memory=target.type == "cuda",
        )  # fmt: skip
        progress.begin(learner.step)
        saved = time.monotonic()
        for batch in batches:
            loss = learner.learn(batch)
            done = learner.step
            progress.step(done, loss)
            if done % evaluate_every == 0 or done == config.steps:
                progress.say(run.evaluate())
            if time.monotonic() - saved > save_every or done == config.steps:
                run.check(loss)
                run.save()
                run.write()
                saved = time.monotonic()
        run.write()  # needed if a kill came between writing the last state and its weights
        files.finish()
    progress.say(run.outcome())
    return files.weights
