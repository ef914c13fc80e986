"""The model in a process of its own: the pages' process never imports torch, and stays quick while the model runs.

One process serves every session, in the order that `line` knows. It is started when a run is likely, so that the first
run need not wait for torch, is replaced when it dies or gives no sign of life, and ends with the server.
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
PATIENCE = 10.0  # seconds that a run which is left has to stop by itself
ATTEMPTS = 3  # times that a run is begun whose process ends over something else
SHORT = "mechanism"  # up to this level a question goes before the other levels of all questions
END_OF = {
    DIED: "The process that ran the model died, most likely for want of memory. Run again to start another; a shorter "
    "series or a smaller model needs less.",
    HUNG: "The process that ran the model gave no sign of life for {silence:.0f} s and was replaced by another; this "
    "run is lost. Run it again.",
    LOST: f"The process that runs the model ended {ATTEMPTS} times before this run was done, over something else. Run "
    "it again.",
}


class EngineError(VitimeError):
    """The process that runs the model has died or hung."""


class Engine:
    """The process, and the runs in it; safe to use from many threads.

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
        """Start the process if there is none; it imports torch and loads the weights while this returns at once."""
        with self._starting:
            if self._child is None or not self._child.alive:
                self._child = Child(self._silence)
                self._child.begin(model_process.load, str(weights))
            return self._child

    def ask(
        self, signal: Signal, period: float, weights: Path, settings: Mapping[str, Any], store: Path | None,
        progress: Progress, partial: Partial,
    ) -> xr.Dataset:  # fmt: skip
        """`vitime_cache.ask` of a series; raises what that raises, and EngineError.

        Parameters
        ----------
        store
            Where the verdict is kept; a question that was answered there before costs nothing.
        progress
            Called with the share done and what is being done, its place in the line at first; what it raises ends it.
        partial
            Called with the verdict as far as it goes, after each level.
        """
        known: xr.Dataset | None = None

        def learn(verdict: xr.Dataset) -> None:
            nonlocal known
            known = verdict
            partial(verdict)

        def arguments(until: str) -> tuple[Any, ...]:  # begun again, it goes on from what is known
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
        self, signals: Sequence[Signal], store: Path, weights: Path, tokens: str | Sequence[str],
        progress: Progress = lambda *_: None,
    ) -> None:  # fmt: skip
        """`vitime_cache.build` of some signals into a store; raises what that raises, and EngineError."""
        turn = Turn(f"series {weights}", SERIES, self._line.number())
        what = list(signals), str(store), tokens
        self._run(turn, progress, lambda _: None, weights, model_process.build, lambda: what)

    def stop(self) -> None:
        """End the process, whatever it is doing."""
        with self._starting:
            if self._child is not None:
                self._child.kill()
                self._child = None

    def _run(
        self, turn: Turn, progress: Progress, partial: Partial, weights: Path, work: Callable[..., Any],
        arguments: Callable[[], tuple[Any, ...]],
    ) -> Any:  # fmt: skip
        """One turn: a run whose process ends over another one is begun again, at the place it had."""
        for _ in range(ATTEMPTS):
            with self._line.wait_for(turn, lambda words: progress(turn.share, words)):
                progress(turn.share, "loading the model")
                request = self.prepare(weights).begin(work, str(weights), *arguments())
                try:
                    kind, value = self._follow(request, turn, progress, partial)
                except BaseException:  # nobody waits for it any more
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
        """Hand on what a run tells until it ends; how it ends."""
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
    """The one of this server."""
    return Engine()
