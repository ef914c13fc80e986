"""The files of a run: the weights it writes, and beside them the state from which it goes on after a kill.

State and weights are each written whole or not at all, the state first. Once the last step is done, weights are
written from the state and only then is the state removed: a kill at any point leaves a run that can be finished.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import torch
from filelock import FileLock, Timeout

from vitime_cache.atomic import PARTIAL, remove_left, replacing
from vitime_cache.training.config import TrainingError


class RunFiles:
    """Where a run keeps what it learns.

    Attributes
    ----------
    weights
        The `.safetensors` file that is asked for.
    state
        The training state beside it, there until the run ends.

    Raises
    ------
    TrainingError
        If the name has another ending, or the file is there and no run to resume.
    """

    def __init__(self, out: str | Path) -> None:
        self.weights = Path(out)
        if self.weights.suffix != ".safetensors":
            raise TrainingError(f"the trained weights are written as .safetensors, got {out}")
        self.state = self.weights.with_suffix(".training.pt")
        self._lock = self.weights.with_suffix(".training.lock")
        if self.weights.is_dir():
            raise TrainingError(f"{out} is a folder; name a file in it")
        if self.weights.exists() and not self.resumable:
            raise TrainingError(
                f"{out} is there already, and no run to resume beside it; give another --out, or move it"
            )

    @property
    def resumable(self) -> bool:
        return self.state.exists()

    @contextmanager
    def held(self) -> Iterator[None]:
        """Keep other runs off, and sweep away what a killed one has left half-written.

        Raises
        ------
        TrainingError
            If another run holds them.
        """
        self.weights.parent.mkdir(parents=True, exist_ok=True)
        lock = FileLock(self._lock, timeout=0)
        try:
            lock.acquire()
        except Timeout as error:
            raise TrainingError(
                f"another run is writing {self.weights}; wait until it ends, or give another --out"
            ) from error
        try:
            remove_left(self.weights.parent)
            self.state.with_suffix(PARTIAL).unlink(missing_ok=True)  # as earlier versions called it
            yield
        finally:
            self._unlock()
            lock.release()

    def save_state(self, state: dict[str, Any]) -> None:
        with replacing(self.state) as file:
            torch.save(state, file)

    def read_state(self, device: torch.device) -> dict[str, Any]:
        """The state of the run to be resumed.

        Raises
        ------
        TrainingError
            If it is damaged.
        """
        try:
            state: dict[str, Any] = torch.load(self.state, map_location=device, weights_only=True)
        except Exception as error:  # torch has no type of its own for what it cannot read
            raise TrainingError(f"{self.state} is damaged ({error}); remove it to start anew") from error
        return state

    def finish(self) -> None:
        """The weights are written: what a run goes on from is of no more use.

        The state goes last, as whoever finds it finishes the run.
        """
        self._unlock()
        self.state.unlink(missing_ok=True)

    def _unlock(self) -> None:
        """Remove the lock's file while it is held: who comes now makes a new one."""
        with suppress(OSError):
            self._lock.unlink()
