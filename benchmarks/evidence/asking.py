"""One question as a process of its own can answer it, and many of them within a time."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass, replace
from functools import cache
from typing import Any, TypeVar

import numpy as np
import torch
import xarray as xr

from benchmarks import planted
from vitime_cache.evidence.ask import answers
from vitime_cache.evidence.levels.answer_kind import AHEAD, ALONE
from vitime_cache.evidence.levels.table import CLAIM_NAMES, KINDS, OUTCOMES, STAGES, SUPPORTED
from vitime_cache.evidence.question import prepare
from vitime_cache.evidence.verdict import schema as vschema
from vitime_cache.model.checkpoint import load_model
from vitime_cache.model.network import ViTime
from vitime_cache.series.signal import Signal

T = TypeVar("T")


@dataclass(frozen=True)
class Asked:
    """What became of a question: figures alone, which a process hands on.

    Attributes
    ----------
    label
        What was asked about.
    kind
        Of `levels.table.KINDS`.
    figures
        The verdict's scalars by variable, NaN where unknown.
    chosen
        The few heads, strongest first.
    counts
        Claim → word of a verdict → heads.
    seconds
        Stage → seconds after the question began.
    judged
        Where the truth is known.
    """

    label: str
    kind: str
    figures: Mapping[str, float]
    chosen: tuple[planted.Head, ...]
    counts: Mapping[str, Mapping[str, int]]
    seconds: Mapping[str, float]
    headline: str
    judged: planted.Judgement | None = None

    @property
    def yes(self) -> bool:
        return KINDS[self.kind].answer == "yes"

    @property
    def influence(self) -> bool:
        """Whether level 1 shows more than chance: no claim by itself, as it may be little."""
        return self.figures["influence_low"] > self.figures["influence_by_chance"]

    @property
    def alone(self) -> bool:
        """Whether level 1 shows so much more than chance that it is claimed whatever level 2 finds."""
        by_chance = self.figures["influence_by_chance"]
        return self.figures["influence_low"] > by_chance + ALONE * (1 - by_chance)

    @property
    def mechanism(self) -> bool:
        """Whether level 2 shows attention there above any other phase."""
        return self.figures["mechanism_margin_low"] > AHEAD

    @property
    def heads(self) -> str:
        return ", ".join(f"{layer} {head}" for layer, head in self.chosen) or "–"

    def supported(self, claim: str) -> int:
        """Heads of which a claim is supported."""
        return self.counts[claim][OUTCOMES[SUPPORTED].word]

    @property
    def words(self) -> str:
        """Levels 1 and 2 in a line."""
        f = self.figures
        return (
            f"{self.kind}: T {f['influence_effect']:.2f} SD; influence {f['influence_share']:.2f} "
            f"[{f['influence_low']:.2f}, {f['influence_high']:.2f}], by chance {f['influence_by_chance']:.2f}; "
            f"attention {f['mechanism_share']:.2f} [{f['mechanism_low']:.2f}, {f['mechanism_high']:.2f}], rest "
            f"{f['mechanism_rest']:.2f}, less the largest other phase from {f['mechanism_margin_low']:.2f}, coverage "
            f"{f['mechanism_coverage']:.2f}"
        )


def put(
    model: ViTime, signal: Signal, period: float | None, *, label: str = "", window: tuple[int, int] | None = None,
    seed: int = 0, last: str = STAGES[-1], truth: planted.Truth | None = None, **how: Any,
) -> Asked:  # fmt: skip
    """Ask, up to a level."""
    began = time.perf_counter()
    seconds: dict[str, float] = {}
    question = prepare(model, signal, period, window=window, seed=seed, **how)
    if truth is None and STAGES.index(last) <= STAGES.index("heads"):  # no answer of these levels rests on details
        question = question.with_effort(replace(question.effort, details=False))
    ds = None
    for ds in answers(model, question):
        for stage in vschema.facts(ds, "stages"):
            seconds.setdefault(stage, time.perf_counter() - began)
        if last in seconds:
            break
    assert ds is not None
    judged = None if truth is None else planted.judge(ds, truth)
    answer = vschema.facts(ds, "answer")
    return Asked(
        label or signal.name,
        answer["kind"],
        _figures(ds),
        _chosen(ds),
        _counts(ds),
        seconds,
        answer["headline"],
        judged,
    )


def _figures(ds: xr.Dataset) -> dict[str, float]:
    figures = {str(name): float(each) for name, each in ds.data_vars.items() if each.ndim == 0}
    phases = ds["mechanism_phase"].values
    figures["other_phase"] = float(np.nanmax(phases)) if np.isfinite(phases).any() else float("nan")
    return figures


def _chosen(ds: xr.Dataset) -> tuple[planted.Head, ...]:
    rank = ds["set_rank"].values
    order = sorted(np.argwhere(np.isfinite(rank)).tolist(), key=lambda at: float(rank[tuple(at)]))
    return tuple((str(ds["layer"].values[i]), int(head)) for i, head in order)


def _counts(ds: xr.Dataset) -> dict[str, dict[str, int]]:
    codes = ds["verdict"]
    return {
        claim: {each.word: int((codes.sel({vschema.CLAIM: claim}) == each.code).sum()) for each in OUTCOMES.values()}
        for claim in CLAIM_NAMES
    }


@cache
def weights(name: str | None = None) -> ViTime:
    """The shipped weights, or those of a file; loaded once in a process."""
    return load_model() if name is None else load_model(name)


def within(
    minutes: float, workers: int, work: Callable[..., T], jobs: Sequence[tuple[Any, ...]]
) -> Iterator[T]:  # fmt: skip
    """Results of as many jobs as the time allows, in the order in which they are done."""
    ends = time.perf_counter() + 60 * minutes
    with ProcessPoolExecutor(workers, initializer=torch.set_num_threads, initargs=(1,)) as pool:
        waiting = [pool.submit(work, *job) for job in jobs]
        for done in as_completed(waiting):
            yield done.result()
            if time.perf_counter() > ends:
                pool.shutdown(cancel_futures=True)  # and waits: leaving the pool would take it back
                return
