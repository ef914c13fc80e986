"""Everything that a training run changes, and one training step on any device."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from copy import deepcopy
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim.swa_utils import get_ema_multi_avg_fn

from vitime_cache.model.checkpoint import load_model
from vitime_cache.model.drawing import draw
from vitime_cache.model.network import ViTime
from vitime_cache.training.batches import Batch
from vitime_cache.training.config import Precision, TrainConfig, TrainingError
from vitime_cache.training.muon import Muon
from vitime_cache.training.objective import PeriodReadout, sampled_loss, whole_loss

NOT_PUBLISHED = "; not the published ViTime model"  # ends the note of every file that training writes
MAX_NOTE = 500  # most characters of an earlier note that a new one repeats


class Learner:
    """The network, the running mean of its weights, the auxiliary readout and the optimisers.

    Attributes
    ----------
    average
        The network with the running mean of the weights, for evaluation and for the file.

    Parameters
    ----------
    start
        Weights to start from; None draws them at random from the seed.

    Raises
    ------
    TrainingError
        If `start` has a network of another shape.
    CheckpointError
        If `start` cannot be read.
    """

    def __init__(self, config: TrainConfig, device: torch.device, start: str | Path | None = None) -> None:
        torch.manual_seed(config.seed)
        self.config, self.device, self.step = config, device, 0
        self.model = ViTime(config.network)
        self.after = ""  # the part of the note about the weights that the run started from
        if start is not None:
            self.after = self._begin_with(start)
        self.model.to(device).train()
        self.readout = PeriodReadout(config.network.encoder_width).to(device)
        self._encoded: Tensor | None = None
        self.average = deepcopy(self.model).eval()
        self._into_average = get_ema_multi_avg_fn(config.average)
        self.model.norm.register_forward_hook(self._keep_encoded)  # after the copy for the mean was made
        self.precision = torch.bfloat16 if config.precision == "bfloat16" else torch.float32
        if self.precision == torch.bfloat16 and device.type == "cpu":
            for block in self.model.blocks_by_layer().values():
                block.attn.fused_attn = False  # type: ignore[assignment]  # it is five times slower in bfloat16 there
        inside = {p for block in self.model.blocks_by_layer().values() for p in block.parameters() if p.ndim == 2}
        every = [p for p in (*self.model.parameters(), *self.readout.parameters()) if p.requires_grad]
        self.optimisers: list[torch.optim.Optimizer] = [
            Muon([p for p in every if p in inside], config.lr, config.weight_decay, precision=self.precision),
            torch.optim.AdamW(
                [p for p in every if p not in inside], config.lr, betas=(0.9, 0.95), weight_decay=config.weight_decay
            ),
        ]

    def learn(self, batch: Batch) -> Tensor:
        """Take one optimiser step on one batch; return the loss without the auxiliary task, a scalar on the device.

        Nothing here reads a number from the device, so the device never waits for the host.
        """
        config, border = self.config, batch.border
        for optimiser in self.optimisers:
            for group in optimiser.param_groups:
                group["lr"] = config.learning_rate(self.step)
        batch = batch.to(self.device)
        rows = batch.rows.long()
        images = draw(rows[:, :border], config.network)
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.precision == torch.bfloat16):
            if batch.columns is None:
                loss = whole_loss(self.model.logits(images), rows, border, config)
            else:
                loss = sampled_loss(self.model, images, rows, border, batch.columns, config)
            total = loss
            if config.period_weight:
                assert self._encoded is not None
                total = loss + config.period_weight * self.readout.loss(self._encoded[:, 1:], batch.periods)
        total.backward()
        nn.utils.clip_grad_norm_(self.model.parameters(), 1.0)
        for optimiser in self.optimisers:
            optimiser.step()
            optimiser.zero_grad(set_to_none=True)
        self._encoded = None
        self._update_average()
        self.step += 1
        return loss.detach()

    def _keep_encoded(self, module: nn.Module, inputs: Any, output: Tensor) -> None:  # noqa: ARG002
        self._encoded = output if self.model.training else None

    @torch.no_grad()
    def _update_average(self) -> None:
        """Like torch's AveragedModel, which would copy a counter to the device in each step and wait for it."""
        mean, now = list(self.average.parameters()), list(self.model.parameters())
        if self.step:
            self._into_average(mean, now, None)
        else:
            self.average.load_state_dict(self.model.state_dict())

    def state(self) -> dict[str, Any]:
        parts = {name: getattr(self, name).state_dict() for name in ("model", "average", "readout")}
        optimisers = [o.state_dict() for o in self.optimisers]
        return {**parts, "optimisers": optimisers, "step": self.step, "after": self.after}

    def load(self, state: dict[str, Any]) -> None:
        mean = state["average"]
        if "n_averaged" in mean:  # earlier versions used torch's AveragedModel
            mean = {name.removeprefix("module."): value for name, value in mean.items() if name != "n_averaged"}
        for part, saved in ((self.model, state["model"]), (self.average, mean), (self.readout, state["readout"])):
            part.load_state_dict(saved)
        for optimiser, saved in zip(self.optimisers, state["optimisers"], strict=True):
            optimiser.load_state_dict(saved)
        self.step, self.after = int(state["step"]), str(state.get("after", ""))

    def _begin_with(self, start: str | Path) -> str:
        """Load initial weights, and return how a note names them, with their own note."""
        model = load_model(start, device="cpu")
        then, now = model.config.to_dict(), self.config.network.to_dict()
        if differing := [name for name in now if then[name] != now[name]]:
            told = ", ".join(f"{name} {then[name]}, not {now[name]}" for name in differing)
            raise TrainingError(f"{start} has a different network than this run trains: {told}")
        self.model.load_state_dict(model.state_dict())
        before = model.weights.note.removesuffix(NOT_PUBLISHED)
        return begun_from(start, model.weights.sha256) + (f", {before:.{MAX_NOTE}}" if before else "")


def begun_from(start: str | Path, sha256: str) -> str:
    """The words of a note for the weights that a run started from."""
    return f" after those of {Path(start).name} (SHA-256 {sha256[:12]})"


@contextmanager
def float32_products(precision: Precision, device: torch.device) -> Iterator[None]:
    """Multiply float32 matrices in TF32 on a CUDA device, or in full float32 if the run asks for that.

    The setting is torch's and process-wide; it is restored afterwards.
    """
    if device.type != "cuda":
        yield
        return
    kinds: tuple[Any, ...] = (torch.backends.cuda.matmul, torch.backends.cudnn.conv)  # type: ignore[attr-defined]
    before = [kind.fp32_precision for kind in kinds]
    try:
        for kind in kinds:
            kind.fp32_precision = "ieee" if precision == "float32" else "tf32"
        yield
    finally:
        for kind, was in zip(kinds, before, strict=True):
            kind.fp32_precision = was
