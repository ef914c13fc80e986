"""Progress lines of a training run."""

from __future__ import annotations

import time
from typing import TextIO

from torch import Tensor

from vitime_cache.training.config import TrainConfig


class Progress:
    """One line every few seconds: step, smoothed loss, series per second, time left."""

    def __init__(self, config: TrainConfig, log: TextIO, seconds: float = 10.0) -> None:
        self.config, self.log, self.seconds = config, log, seconds
        self.loss: float | None = None
        self.begin(0)

    def begin(self, first: int) -> None:
        """Start the clock before the first step."""
        self.first = first
        self.started = self.printed = time.monotonic()

    def step(self, done: int, loss: Tensor) -> None:
        now = time.monotonic()
        if now - self.printed < self.seconds and done < self.config.steps:
            return
        value = loss.item()
        self.loss = value if self.loss is None else 0.7 * self.loss + 0.3 * value
        rate = (done - self.first) / (now - self.started)
        left = (self.config.steps - done) / rate
        self.say(
            f"step {done}/{self.config.steps}  loss {self.loss:.3f}  {rate * self.config.batch_size:.1f} series/s  "
            f"{left / 60:.0f} min left"
        )
        self.printed = now

    def say(self, line: str) -> None:
        print(line, file=self.log, flush=True)
