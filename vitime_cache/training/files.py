"""The files of a run: its weights, and next to them the training state from which it resumes.

State and weights are each written whole or not at all, the state first. After the last step the weights are written
from the state, and only then is the state removed: after a kill at any point the run can be finished.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import torch
from filelock import FileLock, Timeout

from vitime_cache.atomic import PARTIAL, behind, named, remove_left, replacing
from vitime_cache.training.config import TrainingError

OF_A_STATE = {"config", "model", "average", "readout", "optimisers", "step"}


class RunFiles:
    """The files of one run.

    Attributes
    ----------
    weights
        The requested `.safetensors` file; of a link, the file it leads to.
    state
        The training state next to it, which exists until the run ends.

    Raises
    ------
    TrainingError
        If the name has another ending, or the file exists and there is no run to resume.
    """

    def __init__(self, out: str | Path) -> None:
        if Path(out).suffix != ".safetensors":
            raise TrainingError(f"the trained weights are written as .safetensors, got {out}")
        self.weights = behind(out)
        self.state = self.weights.with_suffix(".training.pt")
        self._lock = self.weights.with_suffix(".training.lock")
        if self.weights.is_dir():
            raise TrainingError(f"{out} is a folder; name a file in it")
        self._check()

    def _check(self) -> None:
        if self.weights.exists() and not self.resumable:
            raise TrainingError(
                f"{self.weights} already exists, and there is no run to resume next to it; give another --out, or move "
                "it"
            )

    @property
    def resumable(self) -> bool:
        return self.state.exists()

    @contextmanager
    def held(self) -> Iterator[None]:
        """Exclude other runs during the context, and remove what a killed run left half-written.

        Raises
        ------
        TrainingError
            If another run is using the files, or has ended since they were named.
        """
        self.weights.parent.mkdir(parents=True, exist_ok=True)
        lock = FileLock(self._lock, timeout=0)
        try:
            with named(self._lock):
                lock.acquire()
        except Timeout as error:
            raise TrainingError(
                f"another run is writing {self.weights}; wait until it ends, or give another --out"
            ) from error
        try:
            self._check()
            remove_left(self.weights.parent)
            self.state.with_suffix(PARTIAL).unlink(missing_ok=True)  # the name in earlier versions
            yield
        finally:
            self._unlock()
            lock.release()

    def save_state(self, state: dict[str, Any]) -> None:
        with replacing(self.state) as file:
            try:
                torch.save(state, file)
            except RuntimeError as error:  # of its archive, after the system refused to write, as on a full disk
                raise (error.__context__ if isinstance(error.__context__, OSError) else error) from None

    def read_state(self, device: torch.device) -> dict[str, Any]:
        """Read the state of the run to resume.

        Raises
        ------
        TrainingError
            If the state is damaged.
        """
        try:
            state: dict[str, Any] = torch.load(self.state, map_location=device, weights_only=True)
            whole = state.keys() >= OF_A_STATE
        except Exception as error:  # torch has no specific type for unreadable files; its advice is to run their code
            raise TrainingError(f"{self.state} is damaged; remove it to start again") from error
        if not whole:
            raise TrainingError(f"{self.state} is no state of a training run; remove it to start again")
        return state

    def finish(self) -> None:
        """Remove the training state after the weights are written.

        The state is removed last, because a run that finds it resumes.
        """
        self._unlock()
        self.state.unlink(missing_ok=True)

    def _unlock(self) -> None:
        """Remove the lock's file while it is held; the next run creates a new one."""
        with suppress(OSError):
            self._lock.unlink()
