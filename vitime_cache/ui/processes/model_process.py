"""The process that runs the model for the app's pages: python -m vitime_cache.ui.processes.model_process WEIGHTS.

It imports torch and loads the weights at once, so that the first request finds both there, and then answers requests
until its input ends. What a live run does without is imported by the requests that need it. Requests and replies are
pickles on standard input and output, which only `engine` holds.
"""

from __future__ import annotations

import os
import pickle
import signal
import sys
import traceback
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from functools import lru_cache
from pathlib import Path
from typing import Any

import xarray as xr

from vitime_cache.errors import VitimeError
from vitime_cache.model.checkpoint import CheckpointError, load_model
from vitime_cache.model.network import ViTime
from vitime_cache.series.sources import Signal

# The kind of a reply and what it carries: "step" (share done, what was done), "partial" (a result as far as it goes),
# "result", or "error".
Tell = Callable[[str, Any], None]


def main(weights: str) -> None:
    """Answer requests: pickled (name of a function in `REQUESTS`, its arguments)."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C stops the server; the end of its pipe stops this process
    replies = os.fdopen(os.dup(sys.stdout.fileno()), "wb")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())  # whatever a library prints is no reply

    def tell(kind: str, value: Any) -> None:
        pickle.dump((kind, value), replies)
        replies.flush()

    with suppress(CheckpointError, OSError):  # a request for these weights meets the error again, and reports it
        _loaded(weights)
    while True:
        try:
            name, arguments = pickle.load(sys.stdin.buffer)
        except EOFError:
            return
        try:
            tell("result", REQUESTS[name](tell, *arguments))
        except Exception as error:
            error.add_note(traceback.format_exc())
            tell("error", error)


def _answer(
    tell: Tell, weights: str, signal_: Signal, period: float, settings: Mapping[str, Any], store: Path | None
) -> xr.Dataset:
    from vitime_cache.evidence.ask import answers
    from vitime_cache.evidence.question import prepare
    from vitime_cache.evidence.verdict import schema as v
    from vitime_cache.store.objects import StoreError
    from vitime_cache.store.verdicts import find_answer, keep_verdict

    model = _loaded(weights)
    question = prepare(model, signal_, period, **settings)
    known = None if store is None else find_answer(store, model, question)
    if known is not None and v.complete(known):
        return known
    problem = ""
    for verdict in answers(model, question, lambda *step: tell("step", step), known):
        tell("partial", verdict)  # shown first: what cannot be kept is an answer all the same
        try:
            if store is not None:
                keep_verdict(store, verdict)  # level by level, as a question may be left at any time
        except (VitimeError, OSError) as error:
            problem = str(error)
    if problem:
        raise StoreError(f"answered, and shown below, but the answer could not be kept in the store: {problem}")
    return verdict


def _build(tell: Tell, weights: str, signals: Sequence[Signal], store: str, tokens: Sequence[str]) -> None:  # noqa: ARG001
    from vitime_cache.store.build import build

    build(signals, store, _loaded(weights), tokens=tokens)


REQUESTS: dict[str, Callable[..., Any]] = {"build": _build, "ask": _answer}


def _loaded(weights: str) -> ViTime:
    return _model(weights, Path(weights).stat().st_mtime_ns)


@lru_cache(maxsize=1)
def _model(weights: str, modified: int) -> ViTime:  # noqa: ARG001 - a file that has changed is another model
    return load_model(weights)


if __name__ == "__main__":
    main(*sys.argv[1:])
