"""The functions that the model's process runs for the pages. They import torch and the model only when called."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import xarray as xr

from vitime_cache.atomic import FileStamp, file_stamp
from vitime_cache.child import Tell
from vitime_cache.errors import VitimeError, in_words
from vitime_cache.series.sources import Signal

if TYPE_CHECKING:
    from vitime_cache.model.network import ViTime

STEP, PARTIAL = "step", "partial"  # replies: (share done, present step); the verdict so far


def load(tell: Tell, weights: str) -> None:  # noqa: ARG001
    """Import torch and load the weights before the first run."""
    from vitime_cache.model.checkpoint import CheckpointError

    with suppress(CheckpointError, OSError):  # a run with these weights meets the error again, and reports it
        _loaded(weights)


def answer(
    tell: Tell,
    weights: str,
    signal: Signal,
    period: float,
    settings: Mapping[str, Any],
    store: Path | None,
    until: str,
    start: xr.Dataset | None,
) -> tuple[xr.Dataset, str]:
    """Continue a question until a level is done; return the verdict, and why the store could not keep it.

    Parameters
    ----------
    start
        The verdict so far; None looks it up in the store.
    """
    from vitime_cache.evidence.ask import answers
    from vitime_cache.evidence.question import prepare
    from vitime_cache.evidence.verdict import schema as vschema
    from vitime_cache.store.evidence_groups import check_weights
    from vitime_cache.store.locations import open_objects
    from vitime_cache.store.verdicts import find_answer, keep_verdict

    model = _loaded(weights)
    if store is not None:  # the file may have been replaced while the question waited
        check_weights(open_objects(store), model.weights.name, model.weights.sha256)
    question = prepare(model, signal, period, **settings)
    known = start if start is not None or store is None else find_answer(store, model, question)
    if known is not None and until in vschema.facts(known, "stages"):
        return known, ""
    problem = ""
    for verdict in answers(model, question, lambda *step: tell(STEP, step), known, before=True):
        tell(PARTIAL, verdict)  # shown first, even if the store cannot keep it
        try:
            if store is not None and vschema.facts(verdict, "stages"):
                keep_verdict(store, verdict)  # level by level, as a question may be stopped at any time
        except (VitimeError, OSError) as error:
            problem = in_words(error)
        if until in vschema.facts(verdict, "stages"):
            break
    return verdict, problem


def build(
    tell: Tell,  # noqa: ARG001
    weights: str,
    signals: Sequence[Signal],
    store: str,
    sha256: str,
    tokens: str | Sequence[str],
) -> None:
    """Build some signals into a store, by the weights of this hash and no others."""
    from vitime_cache.model.checkpoint import CheckpointError
    from vitime_cache.store.build import build

    model = _loaded(weights)
    if model.weights.sha256 != sha256:
        raise CheckpointError(f"{weights} was replaced by other weights while the series waited: take the series again")
    build(signals, store, model, tokens=tokens)


def _loaded(weights: str) -> ViTime:
    return _model(weights, file_stamp(Path(weights)))


@lru_cache(maxsize=1)
def _model(weights: str, stamp: FileStamp) -> ViTime:  # noqa: ARG001 - a file that has changed is another model
    from vitime_cache.model.checkpoint import load_model

    return load_model(weights)
