"""A question being answered: the arrays of its verdict, filled level by level, and how far it is."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import msgspec
import numpy as np
import xarray as xr
from numpy.typing import NDArray

from vitime_cache.evidence.budget import Effort
from vitime_cache.evidence.levels import heads_set
from vitime_cache.evidence.levels.answer_kind import kind_of
from vitime_cache.evidence.levels.claimed import Claimed
from vitime_cache.evidence.levels.table import CLAIM_NAMES, LEVEL
from vitime_cache.evidence.question import Question, unanswered
from vitime_cache.evidence.verdict import schema as vschema
from vitime_cache.evidence.verdict.report import with_words
from vitime_cache.evidence.window_runs import WindowRuns
from vitime_cache.series.signal import Signal

if TYPE_CHECKING:
    from vitime_cache.model.network import ViTime

Progress = Callable[[float, str], object]

SPENT = 0.97  # share of a budget for testing heads; loading, judging and drawing take the rest


class Run:
    """A question being answered: the arrays of its verdict, filled level by level."""

    def __init__(self, model: ViTime, question: Question, progress: Progress, start: xr.Dataset | None) -> None:
        self.model, self._progress = model, progress
        if start is not None and "effort" in (counts := vschema.facts(vschema.validate(start), "counts")):
            question = question.with_effort(_effort(counts["effort"]), vschema.facts(start, "dropped"))
        self.q = question
        self.blank = unanswered(model, question)
        if start is not None and vschema.question_key(start) != vschema.question_key(self.blank):
            raise vschema.VerdictError("the verdict to continue from is on another question, or on other weights")
        known = self.blank if start is None else start
        self.values: dict[str, NDArray[Any]] = {str(n): known[n].values.copy() for n in self.blank.data_vars}
        self.values["asked"][:] = question.asked
        self.facts: dict[str, Any] = {n: vschema.facts(known, n) for n in ("counts", "families", "dropped", "stages")}
        began = time.monotonic()
        self.deadline = began + (60 * question.budget * SPENT if question.budget is not None else float("inf"))
        self.windows = [
            WindowRuns(model, signal, question.period, question.series[:first])
            for signal, first in zip(question.windows, question.window.starts, strict=True)
        ]
        self.kind = kind_of(known)
        self.reads: dict[Any, heads_set.HeadReads] = {}
        self._done, self._stage = 0, ""

    def begin(self, stage: str) -> None:
        """Report that this level runs now."""
        if stage != self._stage:
            self._stage, self._done = stage, 0
            self.told(0)

    def told(self, runs: int) -> None:
        """Report progress after `runs` more runs of this level."""
        self._done += runs
        self.facts["counts"]["passes"] += runs
        planned = {stage: runs for stage, runs in _planned(self.q.effort).items() if stage in self.q.levels}
        before = sum(planned[stage] for stage in vschema.STAGES[: vschema.STAGES.index(self._stage)])
        here = min(self._done, planned[self._stage])
        self._progress(min((before + here) / sum(planned.values()), 1.0), LEVEL[self._stage].title)

    def attention(self, signals: Sequence[Signal]) -> Iterator[NDArray[np.float32]]:
        """Time attention of every head, (layer, head, n, n), of one signal after the other."""
        from vitime_cache.attention.capture import time_attention

        for each in time_attention(self.model, signals):
            self.told(1)
            yield each

    def settle(self, name: str, claimed: Claimed) -> None:
        """Record a claim's verdicts, figures, intervals and p-values."""
        number = CLAIM_NAMES.index(name)
        for part in ("verdict", "figure", "low", "high", "p_value"):
            self.values[part][number] = getattr(claimed, part)

    def so_far(self) -> xr.Dataset:
        """The partial verdict after the finished levels, as a copy that later levels do not change."""
        ds = self.blank.copy(data={name: array.copy() for name, array in self.values.items()})
        ds = vschema.with_facts(ds, **self.facts)
        self.kind = kind_of(ds)
        return with_words(
            vschema.validate(vschema.with_facts(ds, answer={"kind": self.kind, "headline": "", "sentences": {}}))
        )


def _effort(known: Mapping[str, Any]) -> Effort:
    """The effort of the verdict to continue from."""
    try:
        return msgspec.convert(known, Effort)
    except msgspec.ValidationError as error:
        raise vschema.VerdictError(f"the effort of the verdict to continue from cannot be read: {error}") from error


def _planned(e: Effort) -> dict[str, float]:
    """Approximate number of runs in each level, by which progress is measured."""
    return {
        "influence": e.masks + e.cells, "mechanism": e.model_runs() - e.most_masks, "set": e.set_runs(),
        "heads": e.tested * e.head_runs(), "looking": e.windows, "nulls": e.windows * e.nulls * e.kinds,
        "tracking": e.sweep,
    }  # fmt: skip
