"""The model in its own process: the pages' process never imports torch, and stays responsive while the model runs.

One process serves every session, in the order that `line` decides. It starts when a run is likely, so that the first
run does not wait for torch. It is replaced when it dies or gives no sign of life, and ends with the server.
"""

from __future__ import annotations

import functools
import threading
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import xarray as xr

from vitime_cache.child import DIED, ENDS, ERROR, HUNG, LOST, Child, Request
from vitime_cache.errors import VitimeError
from vitime_cache.evidence.levels.table import STAGES
from vitime_cache.evidence.verdict.schema import complete
from vitime_cache.series.sources import Signal
from vitime_cache.store.objects import StoreError
from vitime_cache.ui.processes import model_process
from vitime_cache.ui.processes.line import FIRST_LEVELS, OTHER_LEVELS, SERIES, Line, Turn

Progress = Callable[[float, str], object]
Partial = Callable[[xr.Dataset], object]

SILENCE = 30.0  # seconds without a sign of life after which the process is replaced
PATIENCE = 10.0  # seconds that an abandoned run has to stop by itself
ATTEMPTS = 3  # starts of a run whose process ends because of another run
SHORT = "mechanism"  # levels up to this one run before the other levels of all questions
END_OF = {
    DIED: "The process that ran the model died, most likely because memory ran out. Run again to start another; a "
    "shorter series or a smaller model needs less.",
    HUNG: "The process that ran the model gave no sign of life for {silence:.0f} s and was replaced by another; this "
    "run is lost. Run it again.",
    LOST: f"The process that runs the model ended {ATTEMPTS} times before this run was done, because of other runs. "
    "Run it again.",
}


class EngineError(VitimeError):
    """The process that runs the model has died or hung."""


class Engine:
    """The model's process and the runs in it; thread-safe.

    Parameters
    ----------
    silence
        Seconds without a sign of life after which the process is replaced.
    """

    def __init__(self, silence: float = SILENCE) -> None:
        self._silence, self._starting = silence, threading.Lock()
        self._child: Child | None = None
        self._line = Line()

    def prepare(self, weights: Path) -> Child:
        """Start the process if there is none. Returns at once; the process imports torch and loads the weights."""
        with self._starting:
            if self._child is None or not self._child.alive:
                self._child = Child(self._silence)
                self._child.begin(model_process.load, str(weights))
            return self._child

    def ask(
        self, signal: Signal, period: float, weights: Path, settings: Mapping[str, Any], store: Path | None,
        progress: Progress, partial: Partial,
    ) -> xr.Dataset:  # fmt: skip
        """Run `vitime_cache.ask` on a series; raises its errors and EngineError.

        Parameters
        ----------
        store
            Where the verdict is kept; a question already answered there is not run again.
        progress
            Called with the share done and the present step, first the place in the line; an exception ends the run.
        partial
            Called after each level with the verdict so far.
        """
        known: xr.Dataset | None = None

        def learn(verdict: xr.Dataset) -> None:
            nonlocal known
            known = verdict
            partial(verdict)

        def arguments(until: str) -> tuple[Any, ...]:  # a repeated start continues from the verdict so far
            return signal, period, dict(settings), store, until, known

        share, number = 0.0, self._line.number()
        for rank, until in ((FIRST_LEVELS, SHORT), (OTHER_LEVELS, STAGES[-1])):
            turn = Turn(f"until {until} {weights}", rank, number, share)
            question = functools.partial(arguments, until)
            known, problem = self._run(turn, progress, learn, weights, model_process.answer, question)
            share = turn.share
            if complete(known):
                break
        if problem:
            raise StoreError(f"answered, and shown below, but the answer could not be kept in the store: {problem}")
        assert known is not None
        return known

    def build(
        self, signals: Sequence[Signal], store: Path, weights: Path, sha256: str, tokens: str | Sequence[str],
        progress: Progress = lambda *_: None,
    ) -> None:  # fmt: skip
        """Run `vitime_cache.build` on some signals; raises its errors and EngineError.

        Parameters
        ----------
        sha256
            Of the weights that are meant: a file of others that took their place meanwhile is refused.
        """
        turn = Turn(f"series {weights}", SERIES, self._line.number())
        what = list(signals), str(store), sha256, tokens
        self._run(turn, progress, lambda _: None, weights, model_process.build, lambda: what)

    def stop(self) -> None:
        """End the process at once."""
        with self._starting:
            if self._child is not None:
                self._child.kill()
                self._child = None

    def _run(
        self, turn: Turn, progress: Progress, partial: Partial, weights: Path, work: Callable[..., Any],
        arguments: Callable[[], tuple[Any, ...]],
    ) -> Any:  # fmt: skip
        """Run one turn; if another run ends the process, start again at the same place in the line."""
        for _ in range(ATTEMPTS):
            with self._line.wait_for(turn, lambda words: progress(turn.share, words)):
                progress(turn.share, "loading the model")
                request = self.prepare(weights).begin(work, str(weights), *arguments())
                try:
                    kind, value = self._follow(request, turn, progress, partial)
                except BaseException:  # the caller no longer waits for it
                    request.leave(PATIENCE)
                    raise
                turn.finished = kind not in END_OF
            if kind == ERROR:
                raise value
            if kind not in END_OF:
                return value
            if kind != LOST:
                break
        raise EngineError(END_OF[kind].format(silence=self._silence))

    def _follow(self, request: Request, turn: Turn, progress: Progress, partial: Partial) -> tuple[str, Any]:
        """Pass on a run's progress until it ends; return how it ended and its value."""
        step = "loading the model"
        while True:
            reply = request.reply(timeout=0.5)
            if reply is not None:
                kind, value = reply
                if kind in ENDS:
                    return kind, value
                if kind == model_process.PARTIAL:
                    partial(value)
                    continue
                turn.tell(value[0])
                step = value[1]
            progress(turn.share, "making way for a shorter run" if self._line.in_between(turn) else step)


@cache
def engine() -> Engine:
    """The engine of this server."""
    return Engine()
