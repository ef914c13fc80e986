"""Asks whether the forecast uses what lies whole periods back, through attention there, and through which heads.

    verdict = vc.ask(model, signal, period=24)

The levels run in order: the model as a whole (influence, mechanism), the few heads, each head, then where heads look.
After each level the caller gets the partial verdict, and an interrupted question can continue from it.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from itertools import zip_longest
from typing import TYPE_CHECKING

import xarray as xr

from vitime_cache.checks import called
from vitime_cache.evidence.budget import SMALL, fit_budget
from vitime_cache.evidence.levels import nulls
from vitime_cache.evidence.levels.claimed import LEVEL
from vitime_cache.evidence.question import Heads, Question, Subject, prepare
from vitime_cache.evidence.run import Progress, Run
from vitime_cache.evidence.verdict import schema as vschema
from vitime_cache.evidence.work import WORK, draw_windows
from vitime_cache.series.signal import Signal

if TYPE_CHECKING:
    from vitime_cache.model.network import ViTime


def ask(
    model: ViTime,
    signal: Subject,
    period: float | str | None = None,
    *,
    heads: Heads = "all",
    nulls: int = nulls.NULLS,
    window: tuple[int, int] | None = None,
    level: float = LEVEL,
    budget: float | None = None,
    seed: int = 0,
    progress: Progress | None = None,
    partial: Callable[[xr.Dataset], object] | None = None,
    start: xr.Dataset | None = None,
) -> xr.Dataset:
    """Ask whether the forecast uses what lies whole periods back, through attention there, and through which heads.

    Parameters
    ----------
    signal
        A signal, plain samples (T,), or the Dataset of one signal of this model. Its history and, where known, its
        future form one series, in which windows are chosen.
    period
        In samples, or a span of time such as "1d"; None asks about the strongest period of the series.
    heads
        "all", or pairs (layer, head); claims about single heads hold simultaneously over them.
    nulls
        Null inputs of each kind, 19 or more. With several windows they are divided among the windows.
    window
        History and horizon in samples, instead of those that the tool chooses.
    level
        Family-wise error of each claim over the heads asked about.
    budget
        Minutes. If the whole question takes longer, it uses fewer windows, null inputs and masks, and tests as many
        single heads as the time allows, starting with those of the layers that carry most. The verdict says what was
        dropped.
    seed
        Equal questions with equal seeds have equal answers.
    progress
        Called as (share done, what is being done); an exception that it raises ends the question.
    partial
        Called with the partial verdict after each level.
    start
        A partial verdict on the same question; its finished levels are reused.

    Returns
    -------
    xarray.Dataset
        As `evidence.verdict.schema` describes.

    Raises
    ------
    VerdictError, SignalError, EncodingError, InterventionError, CheckpointError
        For a period that cannot be seen or is not there, too few nulls, or heads that do not exist, saying what to do.

    Examples
    --------
    >>> ds = ask(load_model(), catalogue()[0], period=62.83)
    >>> float(ds.influence_share), float(ds.mechanism_share)
    """
    called(progress, "progress", error=vschema.VerdictError)
    called(partial, "partial", error=vschema.VerdictError)
    question = prepare(
        model, signal, period, heads=heads, nulls=nulls, window=window, level=level, budget=budget, seed=seed
    )
    for ds in answers(model, question, progress or (lambda *_: None), start):
        if partial is not None:
            partial(ds)
    return ds


def answers(
    model: ViTime,
    question: Question,
    progress: Progress = lambda *_: None,
    start: xr.Dataset | None = None,
    *,
    before: bool = False,
) -> Iterator[xr.Dataset]:
    """Yield the partial verdict after each level; with `start`, after each level that it lacks.

    Parameters
    ----------
    before
        Also yield one before the first level, which takes long: the windows and their forecasts, without any answer.

    Raises
    ------
    VerdictError
        If `start` is a verdict on another question.
    """
    run = Run(model, within_budget(model, question) if start is None else question, progress, start)
    left = [stage for stage in question.levels if stage not in run.facts["stages"]]
    if left and not run.facts["stages"]:
        run.begin(left[0])
        draw_windows(run)
        if before:
            yield run.so_far()
    for stage, following in zip_longest(left, left[1:]):
        run.begin(stage)
        WORK[stage](run)
        run.facts["stages"] = [*run.facts["stages"], stage]
        verdict = run.so_far()
        if following is not None:
            run.begin(following)  # whoever is handed a level is already told the next
        yield verdict
    if start is not None and not left:
        yield start


def within_budget(model: ViTime, question: Question) -> Question:
    """The question reduced to its budget, with a list of what was dropped; measures a few runs of the model."""
    if question.budget is None or question.effort != question.wanted:
        return question
    effort, dropped = fit_budget(question.wanted, *pace(model, question.windows[-1]), 60 * question.budget)
    return question.with_effort(effort, dropped)


def pace(model: ViTime, window: Signal) -> tuple[float, float]:
    """Seconds of a run that pools attention, and of one plain forward pass in a batch, on this machine."""
    from vitime_cache.attention.capture import time_attention

    few = 4 if model.config.tokens <= SMALL else 1
    started = time.perf_counter()
    list(time_attention(model, [window] * few))
    run = (time.perf_counter() - started) / few
    # Pooling costs as much as the pass itself in a small network, a tenth of it in a large one (benchmarks/capture.py).
    return run, run * (0.5 if model.config.tokens <= SMALL else 0.9)
