"""Train a ViTime network on synthetic series and on one's own: seeded, resumable, on a CPU or a CUDA device.

What a step is scored on is in `objective`, what is taught when in `config`, from which series in `synthesis` and
`own_series`. What the run changes is in `learner`, what it keeps and writes in `run`.
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

EVALUATIONS = 20  # of a run on one's own series
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
    """Train until the stages of `config` are through, resuming from `out`'s training state if there is one.

    Parameters
    ----------
    out
        The `.safetensors` file to write; its training state lies beside it as `.training.pt` until the run ends.
    own
        Series of one's own to mix with the synthetic ones. What is written then is the state of the run, its beginning
        included, that forecasts the validation stretches of these series best.
    start
        Weights to start from, such as those of an earlier run. A resumed run has started already: None, or the same.
    workers
        Processes that draw series ahead of the network; 0 draws them in this one, None takes that on a CPU and all
        cores but one on a device. The series are the same.
    save_every
        Seconds between checkpoints. One is written before the first step, to find out whether that can be done.
    evaluate_every
        Steps between two held-out errors; None takes 500, and with one's own series a twentieth of the run.

    Raises
    ------
    TrainingError
        If `out` is there already and no run beside it to resume, or another run is writing it. If the state beside
        `out` belongs to another configuration, naming the field, or to a run from another `start`; only `stages`,
        `cooldown`, `lr` and `precision` may change between resumes. If `start` holds a network of another shape. If
        the validation stretches cannot be forecast. If the loss is no longer finite.
    CheckpointError
        If the device is not there, naming what to use instead, or `start` cannot be read.
    OSError
        If `out` cannot be written, before the first step.
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
        run.write()  # again where a kill came between the state of the last step and its weights
        files.finish()
    progress.say(run.outcome())
    return files.weights
