"""Train a small ViTime network on synthetic series: seeded, resumable, on a CPU or a CUDA device.

The image of a history goes in, the drawing of the whole series is the target: cross-entropy between the softened
true row of each column and the model's distribution over rows, the future weighted more than the history.
"""

from __future__ import annotations

import json
import sys
import time
import tomllib
from dataclasses import asdict, dataclass, field, fields, replace
from pathlib import Path
from typing import Any, Self, TextIO

import numpy as np
import torch
from timm.optim.muon import zeropower_via_newtonschulz
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset

from vitime_cache.atomic import replacing
from vitime_cache.errors import VitimeError
from vitime_cache.model.checkpoint import save_safetensors
from vitime_cache.model.config import ConfigError, ViTimeConfig
from vitime_cache.model.encoding import SeriesEncoding
from vitime_cache.model.network import ViTime
from vitime_cache.training.synthesis import Mixture, synthesise

MINI = ViTimeConfig(
    image_height=64, context_columns=512, horizon_columns=720, patch_height=32, patch_width=16,
    encoder_width=192, encoder_depth=4, decoder_width=128, decoder_depth=2, heads=8,
)  # fmt: skip


class TrainingError(VitimeError):
    """A training configuration or checkpoint that cannot be used."""


@dataclass(frozen=True)
class TrainConfig:
    """Everything that fixes a training run; with the seed, the run.

    Attributes
    ----------
    network
        Shapes of the network.
    steps, batch_size
        Optimiser steps, and series in each.
    lr, weight_decay, warmup, cooldown
        Peak learning rate; decoupled decay; steps of linear warm-up; steps of linear decay to zero at the end.
    future_weight
        Loss weight of a future column against a history column.
    softness
        Standard deviation, in rows, of the Gaussian that softens the true row.
    easy, broad
        Mixtures of series at the first step and from step `broaden` on, linear in between.
    study_border
        Share of batches whose border lies where the model's context ends; in the others it is drawn.
    autocast
        Run the network in bfloat16 where the device is fast at it.
    """

    network: ViTimeConfig = MINI
    steps: int = 4000
    batch_size: int = 32
    lr: float = 2e-3
    weight_decay: float = 0.05
    warmup: int = 100
    cooldown: int = 800
    future_weight: float = 5.0
    softness: float = 1.0
    easy: Mixture = field(default_factory=lambda: Mixture(slow=0.6, periodic=0.4, spectrum=0.0, trend=0.0))
    broad: Mixture = field(default_factory=Mixture)
    broaden: int = 1500
    study_border: float = 0.7
    autocast: bool = False
    seed: int = 0

    def __post_init__(self) -> None:
        for name in ("steps", "batch_size"):
            if getattr(self, name) < 1:
                raise TrainingError(f"{name} must be at least 1, got {getattr(self, name)}")
        for name in ("lr", "softness", "future_weight"):
            if not getattr(self, name) > 0:
                raise TrainingError(f"{name} must be positive, got {getattr(self, name)}")

    @classmethod
    def from_toml(cls, path: str | Path) -> Self:
        """Read a TOML file: top-level fields, and tables [network], [easy], [broad]; what is absent keeps its default.

        Raises
        ------
        TrainingError
            Naming the file and the field.
        """
        try:
            values = tomllib.loads(Path(path).read_text(encoding="utf-8"))
        except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
            raise TrainingError(f"cannot read the training config {path}: {error}") from error
        if unknown := sorted(values.keys() - {f.name for f in fields(cls)}):
            raise TrainingError(f"{path}: unknown field {', '.join(unknown)}; known are {_names(cls)}")
        try:
            if "network" in values:
                values["network"] = replace(MINI, **values["network"])
            values |= {name: Mixture(**values[name]) for name in ("easy", "broad") if name in values}
            return cls(**values)
        except (ConfigError, TypeError, ValueError) as error:
            raise TrainingError(f"{path}: {error}") from error

    def mixture(self, step: int) -> Mixture:
        """What a batch is made of at `step`."""
        share = min(1.0, step / self.broaden) if self.broaden else 1.0
        easy, broad = asdict(self.easy), asdict(self.broad)
        return Mixture(**{kind: (1 - share) * easy[kind] + share * broad[kind] for kind in easy})

    def learning_rate(self, step: int) -> float:
        """Warm-up, plateau, linear decay to zero: the plateau lets a run be lengthened without changing its past."""
        up = (step + 1) / max(self.warmup, 1)
        down = (self.steps - step) / max(self.cooldown, 1)
        return self.lr * min(1.0, up, down)


class SyntheticBatches(Dataset[tuple[Tensor, Tensor, int]]):
    """Batch number i as (images (B, 1, h, W), rows (B, W), border column); depends on the seed and i alone."""

    def __init__(self, config: TrainConfig) -> None:
        self.config = config

    def __len__(self) -> int:
        return self.config.steps

    def __getitem__(self, step: int) -> tuple[Tensor, Tensor, int]:
        config, network = self.config, self.config.network
        rng = np.random.default_rng([config.seed, step])
        border = network.context_columns
        if rng.random() >= config.study_border:
            border = int(network.columns * rng.uniform(0.3, 0.75))
        series = synthesise(rng, config.batch_size, network.columns, config.mixture(step))
        return *encode_batch(series, border, network), border


def encode_batch(series: np.ndarray, border: int, network: ViTimeConfig) -> tuple[Tensor, Tensor]:
    """Images (B, 1, h, W) of the histories series[:, :border] and the rows (B, W) of the whole series."""
    encoding = SeriesEncoding.fit(series[:, :border], network.columns - border, network)
    images = torch.from_numpy(encoding.image(series[:, :border])).transpose(1, 2).unsqueeze(1)
    return images, torch.from_numpy(encoding.rows(series))


def loss_of(logits: Tensor, rows: Tensor, border: int, config: TrainConfig) -> Tensor:
    """Weighted mean cross-entropy in nats between softened true rows (B, W) and logits (B, W, h)."""
    height = torch.arange(logits.shape[-1], device=logits.device)
    softened = torch.softmax(-0.5 * ((height[:, None] - height) / config.softness) ** 2, dim=-1)  # (h, h)
    entropy = -(softened[rows] * logits.float().log_softmax(dim=-1)).sum(dim=-1)  # (B, W)
    weight = torch.ones(logits.shape[1], device=logits.device)
    weight[border:] = config.future_weight
    return (entropy * weight).sum() / (weight.sum() * len(rows))


class Muon(torch.optim.Optimizer):
    """Orthogonalised momentum for the blocks' matrices (Jordan 2024; scaling of arXiv 2502.16982), in float32.

    Stock implementations orthogonalise in bfloat16, which costs more than the network on CPUs without that type.
    """

    def __init__(self, params: list[nn.Parameter], lr: float, weight_decay: float, momentum: float = 0.95) -> None:
        super().__init__(params, {"lr": lr, "weight_decay": weight_decay, "momentum": momentum})

    @torch.no_grad()
    def step(self, closure: None = None) -> None:  # type: ignore[override]  # noqa: ARG002
        for group in self.param_groups:
            for p in group["params"]:
                state = self.state[p]
                momentum = state.setdefault("momentum", torch.zeros_like(p))
                momentum.lerp_(p.grad, 1 - group["momentum"])
                update = p.grad.lerp(momentum, group["momentum"])  # Nesterov
                width = p.shape[1]
                # Queries, keys and values are three maps that share one tensor: orthogonalise each on its own.
                stacked = update.view(3, width, width) if p.shape[0] == 3 * width else update[None]
                square = zeropower_via_newtonschulz(
                    stacked, steps=5, coefficients=[(3.4445, -4.7750, 2.0315)], dtype=torch.float32
                )
                scale = 0.2 * max(stacked.shape[1:]) ** 0.5
                p.mul_(1 - group["lr"] * group["weight_decay"])
                p.add_(square.reshape(p.shape), alpha=-group["lr"] * scale)


def optimisers(model: ViTime, config: TrainConfig) -> list[torch.optim.Optimizer]:
    """Muon for the matrices inside the blocks, AdamW for everything else that is trained."""
    inside = {p for block in model.blocks_by_layer().values() for p in block.parameters() if p.ndim == 2}
    rest = [p for p in model.parameters() if p.requires_grad and p not in inside]
    matrices = [p for p in model.parameters() if p in inside]
    return [
        Muon(matrices, config.lr, config.weight_decay),
        torch.optim.AdamW(rest, config.lr, betas=(0.9, 0.95), weight_decay=config.weight_decay),
    ]


@torch.no_grad()
def held_out_error(model: ViTime, config: TrainConfig, n: int = 64) -> dict[str, float]:
    """Mean absolute error of the forecast on series that training never draws, in history standard deviations.

    Returns
    -------
    dict
        "model" (median forecast), "mean" (the history's mean) and "slow" (the model on slow harmonics alone).
    """
    network = config.network
    device = next(model.parameters()).device
    border = network.context_columns
    errors: dict[str, float] = {}
    for name, mixture in (("model", config.broad), ("slow", Mixture(1.0, 0.0, 0.0, 0.0))):
        series = synthesise(np.random.default_rng([config.seed, 2**40]), n, network.columns, mixture)
        images, rows = encode_batch(series, border, network)
        probability = torch.cat([model(part.to(device)).cpu() for part in images.split(config.batch_size)])
        median = (probability.cumsum(-1) < 0.5).sum(-1)  # (n, W) rows
        errors[name] = float((median - rows)[:, border:].abs().float().mean()) * network.row_step
        if name == "model":
            encoding = SeriesEncoding.fit(series[:, :border], network.columns - border, network)
            off_mean = np.abs(encoding.rows(encoding.mean) - rows.numpy())[:, border:]
            errors["mean"] = float(off_mean.mean()) * network.row_step
    return errors


def train(
    config: TrainConfig,
    out: str | Path,
    *,
    device: str = "auto",
    workers: int = 0,
    save_every: float = 120.0,
    evaluate_every: int = 250,
    log: TextIO = sys.stderr,
) -> Path:
    """Train until `config.steps`, resuming from `out`'s training checkpoint if there is one.

    Parameters
    ----------
    out
        The `.safetensors` file to write; its training state lies beside it as `.training.pt` until the run ends.
    workers
        Processes that draw batches ahead of the network; 0 draws them in this one.
    save_every
        Seconds between checkpoints.

    Raises
    ------
    TrainingError
        If the state beside `out` belongs to another configuration, naming the field; only `steps` and `cooldown`
        may change between resumes.
    """
    target = torch.device("cuda" if device == "auto" and torch.cuda.is_available() else device.replace("auto", "cpu"))
    out = Path(out)
    if out.suffix != ".safetensors":
        raise TrainingError(f"the trained weights are written as .safetensors, got {out}")
    out.parent.mkdir(parents=True, exist_ok=True)
    state_file = out.with_suffix(".training.pt")
    torch.manual_seed(config.seed)
    model = ViTime(config.network).to(target).train()
    optimisers_ = optimisers(model, config)
    first = _resume(state_file, config, model, optimisers_, target) if state_file.exists() else 0
    batches = DataLoader(
        SyntheticBatches(config), batch_size=None, sampler=range(first, config.steps), num_workers=workers,
        pin_memory=target.type == "cuda",
    )  # fmt: skip
    report = _Report(config, first, log)
    saved = time.monotonic()
    for step, (images, rows, border) in enumerate(batches, start=first):
        for optimiser in optimisers_:
            for group in optimiser.param_groups:
                group["lr"] = config.learning_rate(step)
        with torch.autocast(target.type, torch.bfloat16, enabled=config.autocast):
            logits = model.logits(images.to(target, non_blocking=True))
        loss = loss_of(logits, rows.to(target, non_blocking=True), border, config)
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        for optimiser in optimisers_:
            optimiser.step()
            optimiser.zero_grad(set_to_none=True)
        done = step + 1
        report.step(done, loss)
        if done % evaluate_every == 0 or done == config.steps:
            model.eval()
            report.held_out(done, held_out_error(model, config))
            model.train()
        if time.monotonic() - saved > save_every or done == config.steps:
            _save(state_file, out, config, model, optimisers_, done)
            saved = time.monotonic()
    state_file.unlink(missing_ok=True)
    return out


def _save(
    state_file: Path, out: Path, config: TrainConfig, model: ViTime, optimisers_: list[torch.optim.Optimizer], step: int
) -> None:
    state = {
        "config": json.dumps(asdict(config)),
        "step": step,
        "model": model.state_dict(),
        "optimisers": [o.state_dict() for o in optimisers_],
    }
    with replacing(state_file) as file:
        torch.save(state, file)
    note = f"trained on synthetic series for {step} steps of {config.batch_size}; not the published ViTime model"
    save_safetensors(model, out, note=note)


def _resume(
    state_file: Path, config: TrainConfig, model: ViTime, optimisers_: list[torch.optim.Optimizer], target: torch.device
) -> int:
    try:
        state = torch.load(state_file, map_location=target, weights_only=True)
        then = json.loads(state["config"])
    except Exception as error:
        raise TrainingError(f"{state_file} is damaged ({error}); remove it to start anew") from error
    now = json.loads(json.dumps(asdict(config)))
    for name in now.keys() - {"steps", "cooldown"}:
        if then.get(name) != now[name]:
            raise TrainingError(
                f"{state_file} was written by a run with {name} = {then.get(name)}, now it is {now[name]}; "
                "remove the file to start anew, or give the old value"
            )
    model.load_state_dict(state["model"])
    for optimiser, saved in zip(optimisers_, state["optimisers"], strict=True):
        optimiser.load_state_dict(saved)
    return int(state["step"])


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
        self._print(
            f"step {done}  held-out MAE {errors['model']:.3f} std (mean of the history {errors['mean']:.3f}), "
            f"slow harmonics {errors['slow']:.3f}"
        )

    def _print(self, line: str) -> None:
        print(line, file=self.log, flush=True)


def _names(kind: Any) -> str:
    return ", ".join(f.name for f in fields(kind))
