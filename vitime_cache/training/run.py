"""Saves and resumes the state of a run, and writes its weights with a note about them."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from vitime_cache.model.checkpoint import peek, save_safetensors
from vitime_cache.shown import counted
from vitime_cache.training.backtest import Choice
from vitime_cache.training.config import TrainingError
from vitime_cache.training.files import RunFiles
from vitime_cache.training.learner import NOT_PUBLISHED, Learner, begun_from
from vitime_cache.training.own_series import OwnSeries
from vitime_cache.training.validation import held_out_error

MAY_CHANGE = {"stages", "cooldown", "lr", "precision"}  # fields that may change when a run is resumed
ERRORS = "mean absolute error in standard deviations"


class Run:
    """A learner with its files and the choice of the state to write."""

    def __init__(self, files: RunFiles, learner: Learner, own: OwnSeries | None) -> None:
        self.files, self.learner, self.own = files, learner, own
        self.choice = None if own is None else Choice(own, learner.average)  # raises for series that cannot be tested

    @property
    def identity(self) -> dict[str, Any]:
        """What a resumed run must have in common with the earlier part."""
        data = {} if self.own is None else self.own.identity
        return json.loads(json.dumps(asdict(self.learner.config) | data))  # type: ignore[no-any-return]

    def begin(self) -> str:
        """Test the initial weights, and return the errors in words."""
        assert self.choice is not None
        self.choice.begin(self.learner.average)
        return f"step 0  {ERRORS}: {self.choice.told(self.choice.before)}"

    def evaluate(self) -> str:
        """Evaluate the mean weights, and return their errors in words."""
        step, model = self.learner.step, self.learner.average
        if self.choice is not None:
            return f"step {step}  {ERRORS}: {self.choice.told(self.choice.consider(step, model))}"
        errors = held_out_error(model, self.learner.config)
        told = ", ".join(f"{kind} {error:.3f}" for kind, error in errors.items())
        return f"step {step}  held-out {ERRORS}: {told}"

    def check(self, loss: Tensor) -> None:
        """Raise TrainingError if the loss is not finite, so that it never gets into the files."""
        if not torch.isfinite(loss):
            raise TrainingError(
                f"the loss is not finite at step {self.learner.step}: go on from {self.files.state}, the last "
                "checkpoint before it, or remove that to start again, with a lower --lr"
            )

    def save(self) -> None:
        choice = {} if self.choice is None else {"choice": self.choice.state()}
        self.files.save_state({"config": json.dumps(self.identity), **self.learner.state(), **choice})

    def write(self) -> None:
        model = self.learner.average if self.choice is None else self.choice.best
        save_safetensors(model, self.files.weights, note=self._taught() + self.learner.after + NOT_PUBLISHED)

    def _taught(self) -> str:
        size = self.learner.config.batch_size
        if self.own is None or self.choice is None:
            return f"trained on synthetic series for {counted(self.learner.step, 'step')} of {size}"
        if not self.choice.step:
            return f"not adapted: no step on {self.own.told} made them better; unchanged"
        share = f", {self.own.share:.0%} of them these and the rest synthetic" if self.own.share < 1 else ""
        return f"adapted on {self.own.told} in {counted(self.choice.step, 'step')} of {size} series{share}"

    def resume(self, start: str | Path | None) -> None:
        """Resume from the saved state; TrainingError if it belongs to another run or to other initial weights."""
        state = self.files.read_state(self.learner.device)
        after = str(state.get("after", ""))
        given = "" if start is None else begun_from(start, peek(start)[1].sha256)
        if not after.startswith(given):
            came = f"come{after:.200}" if after else "were drawn at random"
            way = "give the same --start" if after else "leave out --start"
            raise TrainingError(
                f"{self.files.state} was written by a run whose weights {came}, not{given}; {way} to go "
                "on, or remove the file to start again"
            )
        then, now = _flat(json.loads(state["config"])), _flat(self.identity)
        for name in sorted((then.keys() | now.keys()) - MAY_CHANGE):
            if then.get(name) != now.get(name):
                raise TrainingError(
                    f"{self.files.state} was written by a run with {name} = {then.get(name)!s:.200}, now it is "
                    f"{now.get(name)!s:.200}; remove the file to start again, or give the old value"
                )
        self.learner.load(state)
        if self.choice is not None:
            self.choice.load(state["choice"])

    def outcome(self) -> str:
        """One line about the written weights."""
        if self.choice is None:
            return f"written: {self.files.weights}"
        if not self.choice.step:
            return f"written: {self.files.weights}, the initial weights: no step reduced the validation error"
        return (
            f"written: {self.files.weights}, the state after step {self.choice.step}, the best on the validation "
            f"stretches; {ERRORS}: {self.choice.told(self.choice.errors)}"
        )


def _flat(identity: dict[str, Any]) -> dict[str, Any]:
    """An identity with the fields of the network beside the others, so that a message can name one."""
    network = {f"network.{name}": value for name, value in identity.get("network", {}).items()}
    return network | {name: value for name, value in identity.items() if name != "network"}
