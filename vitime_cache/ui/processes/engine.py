"""The model in a process of its own: the pages' process never imports torch, and stays quick while the model runs.

One process serves every session, one run after another. It is started when a run is likely, so that the first run need
not wait for torch, and ends with the server.
"""

from __future__ import annotations

import pickle
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any

import xarray as xr

from vitime_cache.errors import VitimeError
from vitime_cache.places import HOME
from vitime_cache.series.sources import Signal

Progress = Callable[[float, str], object]
Partial = Callable[[xr.Dataset], object]


class EngineError(VitimeError):
    """The process that runs the model has died."""


class Engine:
    """The process, and the conversation with it; safe to use from many threads."""

    def __init__(self) -> None:
        self._process: subprocess.Popen[bytes] | None = None
        self._starting, self._asking = threading.Lock(), threading.Lock()

    def prepare(self, weights: Path) -> subprocess.Popen[bytes]:
        """Start the process if there is none; it imports torch and loads the weights while this returns at once."""
        with self._starting:
            if self._process is None or self._process.poll() is not None:
                command = [sys.executable, "-m", "vitime_cache.ui.processes.model_process", str(weights)]
                pipe = subprocess.PIPE
                self._process = subprocess.Popen(command, cwd=HOME, stdin=pipe, stdout=pipe)
            return self._process

    def ask(
        self, signal: Signal, period: float, weights: Path, settings: Mapping[str, Any], store: Path | None,
        progress: Progress, partial: Partial,
    ) -> xr.Dataset:  # fmt: skip
        """`vitime_cache.ask` of a series; raises what that raises, and EngineError.

        Parameters
        ----------
        store
            Where the verdict is kept; a question that was answered there before costs nothing.
        partial
            Called with the verdict as far as it goes, after each level.
        """
        verdict: xr.Dataset = self._ask(
            progress, weights, "ask", signal, period, dict(settings), store, partial=partial
        )
        return verdict

    def build(self, signals: Sequence[Signal], store: Path, weights: Path, tokens: str | Sequence[str]) -> None:
        """`vitime_cache.build` of some signals into a store; raises what that raises, and EngineError."""
        self._ask(lambda *_: None, weights, "build", list(signals), str(store), tokens)

    def stop(self) -> None:
        """End the process, whatever it is doing."""
        with self._starting:
            if self._process is not None:
                self._process.kill()
                self._process.communicate()
                self._process = None

    def _ask(
        self, progress: Progress, weights: Path, request: str, *arguments: Any, partial: Partial = lambda _: None
    ) -> Any:
        with self._alone(progress):
            try:
                progress(0.0, "loading the model")
                with _a_death_as_engine_error():
                    process = self.prepare(weights)
                    assert process.stdin
                    pickle.dump((request, (str(weights), *arguments)), process.stdin)
                    process.stdin.flush()
                while (reply := _receive(process))[0] in ("step", "partial"):
                    if reply[0] == "step":
                        progress(*reply[1])
                    else:
                        partial(reply[1])
            except BaseException:  # it died, or goes on with what nobody waits for any more
                self.stop()
                raise
        kind, value = reply
        if kind == "error":
            raise value
        return value

    @contextmanager
    def _alone(self, progress: Progress) -> Iterator[None]:
        while not self._asking.acquire(timeout=0.5):
            progress(0.0, "waiting for another run to end")
        try:
            yield
        finally:
            self._asking.release()


def _receive(process: subprocess.Popen[bytes]) -> tuple[str, Any]:
    assert process.stdout
    with _a_death_as_engine_error():
        kind, value = pickle.load(process.stdout)
    return kind, value


@contextmanager
def _a_death_as_engine_error() -> Iterator[None]:
    try:
        yield
    except (EOFError, OSError, pickle.UnpicklingError) as error:
        raise EngineError(
            "The process that ran the model died, most likely for want of memory. Run again to start another; "
            "a shorter series or a smaller model needs less."
        ) from error


@cache
def engine() -> Engine:
    """The one of this server."""
    return Engine()
