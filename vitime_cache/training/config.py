"""Configuration of a training run: the network, the training stages, the optimiser."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass, fields, replace
from itertools import accumulate
from math import inf
from pathlib import Path
from typing import Any, Literal, Self, get_args

from vitime_cache.checks import choice, positive, real, whole
from vitime_cache.errors import VitimeError
from vitime_cache.model.config import ConfigError, ViTimeConfig
from vitime_cache.training.synthesis import PERIODS, Mixture
from vitime_cache.training.waveforms import Range

Precision = Literal["float32", "tf32", "bfloat16"]

MINI = ViTimeConfig(
    image_height=64, context_columns=512, horizon_columns=720, patch_height=16, patch_width=16,
    encoder_width=192, encoder_depth=4, decoder_width=192, decoder_depth=2, heads=8,
)  # fmt: skip


MAX_SEED = 2**32 - 1  # a batch is drawn from seed and step, 32 bits each


class TrainingError(VitimeError):
    """A training configuration or checkpoint that cannot be used."""


@dataclass(frozen=True)
class Stage:
    """One stage of training.

    Attributes
    ----------
    steps
        Optimiser steps.
    mixture, periods
        Kinds of series, and the range of their periods in columns.
    border
        Range, in shares of the image, from which the border of history and future is drawn for each batch.
    study_border
        Share of batches with the border at the end of the model's context instead.
    near
        Share of series whose scored future columns are drawn only from the `NEAR` next to the border.
    whole
        Share of steps that show all tokens and score all columns, as in inference.
    """

    steps: int
    mixture: Mixture
    periods: Range = PERIODS
    border: Range = (0.3, 0.75)
    study_border: float = 0.5
    near: float = 0.5
    whole: float = 0.0

    def __post_init__(self) -> None:
        whole(self.steps, "steps of a stage", 1, error=TrainingError)
        for name, most in (("periods", inf), ("border", 0.95)):
            low, high = getattr(self, name)
            if not 0 < low <= high < most:
                raise TrainingError(f"{name} must be a range between 0 and {most}, got {getattr(self, name)}")
        for name in ("study_border", "near", "whole"):
            if not 0 <= getattr(self, name) <= 1:
                raise TrainingError(f"{name} is a share between 0 and 1, got {getattr(self, name)}")


STAGES = (
    Stage(1000, Mixture(copies=1.0), (128.0, 128.0), near=1.0),
    Stage(2000, Mixture(copies=1.0), (80.0, 160.0), near=1.0),
    Stage(3000, Mixture(copies=0.3, repeats=0.5, slow=0.2), (64.0, 260.0), near=0.8),
    Stage(4000, Mixture(repeats=0.35, slow=0.15, sines=0.2, blends=0.2, periodic=0.1), whole=0.1),
)


ADAPTING = Stage(
    120,
    Mixture(
        repeats=0.2, slow=0.1, sines=0.1, blends=0.15, periodic=0.1, autoregressive=0.1, drifting=0.1, seasons=0.1,
        skewed=0.05,
    ),
    border=(0.3, 0.85), near=0.3, whole=0.2,
)  # fmt: skip


@dataclass(frozen=True)
class TrainConfig:
    """Everything that determines a training run.

    Attributes
    ----------
    network
        Shapes of the network.
    stages
        Training stages in order.
    batch_size
        Series in each step.
    lr, weight_decay, warmup, cooldown
        Peak learning rate; decoupled decay; steps of linear warm-up; steps of linear decay to zero at the end.
    average
        Decay of the running mean of the weights per step; this mean is saved.
    future_columns, history_columns
        Number of scored columns of tokens, drawn for each series. The other future tokens are not shown; of the
        history's other tokens only those with the most ink are.
    future_weight
        Loss weight of a future column relative to a history column, in steps that score all columns.
    period_weight
        Loss weight of an auxiliary task: predict the main period of the series from the encoder's output at each token.
        Its readout is not part of the saved model.
    softness
        Standard deviation, in rows, of the Gaussian that softens the true row.
    precision
        Precision of matrix products in network and optimiser; weights, sums and the loss stay float32. "bfloat16" is
        faster if the processor supports it in hardware (AMX, CUDA). "tf32" rounds to 10 bits on a CUDA device and is
        float32 elsewhere; on a CUDA device "bfloat16" uses it for the remaining float32 products.
    """

    network: ViTimeConfig = MINI
    stages: tuple[Stage, ...] = STAGES
    batch_size: int = 16
    lr: float = 3e-3
    weight_decay: float = 0.05
    warmup: int = 100
    cooldown: int = 1000
    average: float = 0.99
    future_columns: int = 8
    history_columns: int = 2
    future_weight: float = 5.0
    period_weight: float = 0.1
    softness: float = 1.0
    precision: Precision = "float32"
    seed: int = 0

    def __post_init__(self) -> None:
        if not self.stages:
            raise TrainingError("there is no stage; add a [[stages]] table")
        for name, low, high in (
            ("batch_size", 1, inf), ("future_columns", 1, inf), ("history_columns", 0, inf), ("warmup", 0, inf),
            ("cooldown", 0, inf), ("seed", 0, MAX_SEED),
        ):  # fmt: skip
            whole(getattr(self, name), name, low, high, error=TrainingError)
        for name in ("lr", "softness", "future_weight"):
            positive(getattr(self, name), name, error=TrainingError)
        for name in ("weight_decay", "period_weight"):
            if not 0 <= real(getattr(self, name)) < inf:
                raise TrainingError(f"{name} must be a number from 0 on, got {getattr(self, name)!r:.60}")
        choice(self.precision, "precision", get_args(Precision), error=TrainingError)
        if not 0 <= real(self.average) < 1:
            raise TrainingError(f"average must be at least 0 and below 1, got {self.average!r:.60}")

    @classmethod
    def adapting(cls, network: ViTimeConfig, steps: int = ADAPTING.steps) -> Self:
        """A short run with a small learning rate that adapts a trained network; the rate falls in the second half."""
        scale = network.columns / MINI.columns
        stage = replace(ADAPTING, steps=steps, periods=(PERIODS[0] * scale, PERIODS[1] * scale))
        return cls(
            network, (stage,), lr=1e-3, warmup=min(20, steps), cooldown=(steps + 1) // 2, average=0.95,
            period_weight=0.0,  # its readout would have to be trained from scratch
        )  # fmt: skip

    @property
    def steps(self) -> int:
        """Optimiser steps of all stages."""
        return sum(stage.steps for stage in self.stages)

    @classmethod
    def from_toml(cls, path: str | Path) -> Self:
        """Read a TOML file: top-level fields, a table [network] and tables [[stages]]; missing fields keep defaults.

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
            if "stages" in values:
                values["stages"] = tuple(_stage(table, number) for number, table in enumerate(values["stages"], 1))
            return cls(**values)
        except (ConfigError, TypeError, ValueError) as error:
            raise TrainingError(f"{path}: {error}") from error

    def stage(self, step: int) -> Stage:
        """The stage of `step`; the last stage continues without end."""
        for end, stage in zip(accumulate(s.steps for s in self.stages), self.stages, strict=True):
            if step < end:
                return stage
        return self.stages[-1]

    def with_steps(self, steps: int) -> Self:
        """The same training with `steps` steps in all: later stages are cut, or the last one is extended."""
        stages: list[Stage] = []
        left = steps
        for stage in self.stages:
            if left > 0:
                stages.append(replace(stage, steps=min(stage.steps, left)))
                left -= stage.steps
        if left > 0:
            stages[-1] = replace(stages[-1], steps=stages[-1].steps + left)
        return replace(self, stages=tuple(stages))

    def learning_rate(self, step: int) -> float:
        """Warm-up, plateau, linear decay to zero; the plateau lets a run be extended without changing its past."""
        up = (step + 1) / max(self.warmup, 1)
        down = (self.steps - step) / max(self.cooldown, 1)
        return self.lr * min(1.0, up, down)


def _stage(table: Any, number: int) -> Stage:
    if not isinstance(table, dict):
        raise TrainingError(f"stage {number} must be a table, got {table!r:.60}")
    if unknown := sorted(table.keys() - {f.name for f in fields(Stage)}):
        raise TrainingError(f"stage {number}: unknown field {', '.join(unknown)}; known are {_names(Stage)}")
    if missing := sorted({"steps", "mixture"} - table.keys()):
        raise TrainingError(f"stage {number} lacks {', '.join(missing)}")
    ranges = {name: tuple(table[name]) for name in ("periods", "border") if name in table}
    try:
        return Stage(**{**table, **ranges, "mixture": Mixture(**table["mixture"])})
    except (TypeError, ValueError) as error:
        raise TrainingError(f"stage {number}: {error}") from error


def _names(kind: Any) -> str:
    return ", ".join(f.name for f in fields(kind))
