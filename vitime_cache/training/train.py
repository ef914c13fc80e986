"""Train a small ViTime network on synthetic series: seeded, resumable, on a CPU or a CUDA device.

What a step is scored on is in `objective`, what is taught when in `config`, and from which series in `synthesis`.
"""

from __future__ import annotations

import json
import sys
import time
from dataclasses import asdict
from pathlib import Path
from typing import Any, TextIO

import numpy as np
import torch
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn
from torch.utils.data import DataLoader

from vitime_cache.model.checkpoint import load_model, pick_device, save_safetensors
from vitime_cache.model.network import ViTime
from vitime_cache.training.config import TrainConfig, TrainingError
from vitime_cache.training.muon import Muon
from vitime_cache.training.objective import (
    PeriodReadout,
    SyntheticBatches,
    choose_columns,
    encode_batch,
    sampled_loss,
    whole_loss,
)
from vitime_cache.training.synthesis import Mixture, synthesise

MAY_CHANGE = {"stages", "cooldown", "lr", "precision"}  # between the parts of a run that is resumed
VALIDATION_SEED = 2**40  # training draws from [seed, step]
VALIDATION = {
    "repeats": Mixture(repeats=1.0),
    "slow": Mixture(slow=1.0),
    "sines": Mixture(sines=1.0),
    "blends": Mixture(blends=1.0),
    "periodic": Mixture(periodic=1.0),
}


class Learner:
    """All that a run changes: the network, the mean of its weights, the auxiliary readout, the optimisers.

    Parameters
    ----------
    start
        Weights to start from; None draws them at random from the seed.
    """

    def __init__(self, config: TrainConfig, device: torch.device, start: str | Path | None = None) -> None:
        torch.manual_seed(config.seed)
        self.config, self.device, self.step = config, device, 0
        self.after = "" if start is None else f" after those of {Path(start).name}"
        self.model = ViTime(config.network)
        if start is not None:
            self.model.load_state_dict(_weights_to_start_from(start, config))
        self.model.to(device).train()
        self.readout = PeriodReadout(config.network.encoder_width).to(device)
        self._encoded: Tensor | None = None
        self.average = AveragedModel(self.model, multi_avg_fn=get_ema_multi_avg_fn(config.average))
        self.model.norm.register_forward_hook(self._keep_encoded)  # after the mean's copy of the network was made
        self.precision = getattr(torch, config.precision)
        if config.precision == "bfloat16" and device.type == "cpu":
            for block in self.model.blocks_by_layer().values():
                block.attn.fused_attn = False  # type: ignore[assignment]  # five times slower in bfloat16 there
        inside = {p for block in self.model.blocks_by_layer().values() for p in block.parameters() if p.ndim == 2}
        every = [p for p in (*self.model.parameters(), *self.readout.parameters()) if p.requires_grad]
        self.optimisers: list[torch.optim.Optimizer] = [
            Muon([p for p in every if p in inside], config.lr, config.weight_decay, precision=self.precision),
            torch.optim.AdamW(
                [p for p in every if p not in inside], config.lr, betas=(0.9, 0.95), weight_decay=config.weight_decay
            ),
        ]

    def learn(self, images: Tensor, rows: Tensor, border: int, periods: Tensor) -> Tensor:
        """One optimiser step on one batch; the loss without the auxiliary one."""
        config, stage = self.config, self.config.stage(self.step)
        generator = torch.Generator().manual_seed(config.seed * 2**32 + self.step)
        for optimiser in self.optimisers:
            for group in optimiser.param_groups:
                group["lr"] = config.learning_rate(self.step)
        images, rows = images.to(self.device, non_blocking=True), rows.to(self.device, non_blocking=True)
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.precision == torch.bfloat16):
            if float(torch.rand((), generator=generator)) < stage.whole:
                loss = whole_loss(self.model.logits(images), rows, border, config)
            else:
                columns = choose_columns(len(images), border, stage.near, config, generator).to(self.device)
                loss = sampled_loss(self.model, images, rows, border, columns, config)
            total = loss
            if config.period_weight:
                assert self._encoded is not None
                total = loss + config.period_weight * self.readout.loss(self._encoded[:, 1:], periods.to(self.device))
        total.backward()
        nn.utils.clip_grad_norm_(self.model.parameters(), 1.0)
        for optimiser in self.optimisers:
            optimiser.step()
            optimiser.zero_grad(set_to_none=True)
        self._encoded = None
        self.average.update_parameters(self.model)
        self.step += 1
        return loss.detach()

    def _keep_encoded(self, module: nn.Module, inputs: Any, output: Tensor) -> None:  # noqa: ARG002
        self._encoded = output if self.model.training else None

    def averaged(self) -> ViTime:
        """The network with the mean weights, for evaluation and for the file."""
        model: ViTime = self.average.module.eval()  # type: ignore[assignment]
        return model

    def state(self) -> dict[str, Any]:
        parts = {name: getattr(self, name).state_dict() for name in ("model", "average", "readout")}
        optimisers = [o.state_dict() for o in self.optimisers]
        return {**parts, "optimisers": optimisers, "step": self.step, "after": self.after}

    def load(self, state: dict[str, Any]) -> None:
        for name in ("model", "average", "readout"):
            getattr(self, name).load_state_dict(state[name])
        for optimiser, saved in zip(self.optimisers, state["optimisers"], strict=True):
            optimiser.load_state_dict(saved)
        self.step, self.after = int(state["step"]), str(state.get("after", ""))


def _weights_to_start_from(start: str | Path, config: TrainConfig) -> dict[str, Tensor]:
    model = load_model(start, device="cpu")
    then, now = model.config.to_dict(), config.network.to_dict()
    if differing := [name for name in now if then[name] != now[name]]:
        told = ", ".join(f"{name} {then[name]}, not {now[name]}" for name in differing)
        raise TrainingError(f"{start} holds another network than this run trains: {told}")
    return model.state_dict()


@torch.no_grad()
def held_out_error(model: ViTime, config: TrainConfig, n: int = 32) -> dict[str, float]:
    """Mean absolute error of the median forecast on series that training never draws, in history standard deviations.

    Returns
    -------
    dict
        For each kind of `VALIDATION`, at the border of the study; "mean": of the history's mean on the last kind.
    """
    network = config.network
    device = next(model.parameters()).device
    border = network.context_columns
    errors: dict[str, float] = {}
    for name, mixture in VALIDATION.items():
        rng = np.random.default_rng([config.seed, VALIDATION_SEED])
        images, rows = encode_batch(synthesise(rng, n, network.columns, mixture)[0], border, network)
        probability = torch.cat([model(part.to(device)).cpu() for part in images.split(16)])
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
    """Train until the stages of `config` are through, resuming from `out`'s training checkpoint if there is one.

    Parameters
    ----------
    out
        The `.safetensors` file to write; its training state lies beside it as `.training.pt` until the run ends.
    start
        Weights to start from, such as those of an earlier run, if there is no state to resume.
    workers
        Processes that draw batches ahead of the network; 0 draws them in this one.
    save_every
        Seconds between checkpoints.

    Raises
    ------
    TrainingError
        If `out` is there already and no run beside it to resume. If the state beside `out` belongs to another
        configuration, naming the field; only `stages`, `cooldown`, `lr` and `precision` may change between resumes.
        If `start` holds a network of another shape.
    CheckpointError
        If the device is not there, naming what to use instead, or `start` cannot be read.
    """
    target = pick_device(device)
    out = Path(out)
    if out.suffix != ".safetensors":
        raise TrainingError(f"the trained weights are written as .safetensors, got {out}")
    out.parent.mkdir(parents=True, exist_ok=True)
    state_file = out.with_suffix(".training.pt")
    resumed = state_file.exists()
    if out.exists() and not resumed:
        raise TrainingError(f"{out} is there already, and no run to resume beside it; give another --out, or move it")
    learner = Learner(config, target, None if resumed else start)
    if resumed:
        _resume(state_file, config, learner, target)
    batches = DataLoader(
        SyntheticBatches(config), batch_size=None, sampler=range(learner.step, config.steps), num_workers=workers,
        pin_memory=target.type == "cuda",
    )  # fmt: skip
    report = _Report(config, learner.step, log)
    saved = time.monotonic()
    for images, rows, border, periods in batches:
        loss = learner.learn(images, rows, border, periods)
        done = learner.step
        report.step(done, loss)
        if done % evaluate_every == 0 or done == config.steps:
            report.held_out(done, held_out_error(learner.averaged(), config))
        if time.monotonic() - saved > save_every or done == config.steps:
            _save(state_file, out, config, learner)
            saved = time.monotonic()
    state_file.unlink(missing_ok=True)
    return out


def _save(state_file: Path, out: Path, config: TrainConfig, learner: Learner) -> None:
    partial = state_file.with_suffix(".partial")
    torch.save({"config": json.dumps(asdict(config)), **learner.state()}, partial)
    partial.replace(state_file)
    note = (
        f"trained on synthetic series for {learner.step} steps of {config.batch_size}{learner.after}; "
        "not the published ViTime model"
    )
    save_safetensors(learner.averaged(), out, note=note)


def _resume(state_file: Path, config: TrainConfig, learner: Learner, target: torch.device) -> None:
    try:
        state = torch.load(state_file, map_location=target, weights_only=True)
        then = json.loads(state["config"])
    except Exception as error:
        raise TrainingError(f"{state_file} is damaged ({error}); remove it to start anew") from error
    now = json.loads(json.dumps(asdict(config)))
    for name in now.keys() - MAY_CHANGE:
        if then.get(name) != now[name]:
            raise TrainingError(
                f"{state_file} was written by a run with {name} = {then.get(name)}, now it is {now[name]}; "
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
