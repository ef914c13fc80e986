"""Asks whether the forecast uses what lies whole periods back, through attention there, and through which heads.

    verdict = vc.ask(model, signal, period=24)

The levels run in order: the model as a whole (influence, mechanism), the few heads, each head, then where heads look.
After each level the caller gets the partial verdict, and an interrupted question can continue from it.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from itertools import zip_longest
from typing import TYPE_CHECKING, Any

import msgspec
import numpy as np
import xarray as xr
from numpy.typing import NDArray

from vitime_cache.arrays import Bools
from vitime_cache.checks import called
from vitime_cache.evidence.budget import SCREENED, SMALL, Effort, fit_budget
from vitime_cache.evidence.levels import heads_set, influence, mechanism, nulls, single_heads, sweep
from vitime_cache.evidence.levels.answer_kind import kind_of
from vitime_cache.evidence.levels.claimed import LEVEL, Claimed
from vitime_cache.evidence.levels.looking import look, past_curves
from vitime_cache.evidence.levels.table import BY_ATTENTION, CLAIM_NAMES
from vitime_cache.evidence.levels.table import LEVEL as LEVELS
from vitime_cache.evidence.levels.tracking import track
from vitime_cache.evidence.question import Heads, Question, Subject, prepare, unanswered
from vitime_cache.evidence.verdict import schema as vschema
from vitime_cache.evidence.verdict.report import with_words
from vitime_cache.evidence.verdict.schema import three_values
from vitime_cache.evidence.window_runs import WindowRuns
from vitime_cache.numerals import percent
from vitime_cache.series.signal import Signal

if TYPE_CHECKING:
    from vitime_cache.model.network import ViTime

Progress = Callable[[float, str], object]

SPENT = 0.97  # share of a budget for testing heads; loading, judging and drawing take the rest
HEADS_AT_ONCE = 8  # heads tested between two looks at the clock
LOOKED_AT = 0  # index in `schema.REGIONS` of the region used for tracking: the one with the most pairs


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
        _draw_windows(run)
        if before:
            yield run.so_far()
    for stage, following in zip_longest(left, left[1:]):
        run.begin(stage)
        _WORK[stage](run)
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
        self._progress(min((before + here) / sum(planned.values()), 1.0), LEVELS[self._stage].title)

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


def _influence(run: Run) -> None:
    e, values = run.q.effort, run.values
    found = influence.measure_influence(run.windows, run.q.seed, masks=e.masks, most=e.most_masks, told=run.told)
    for name in ("effect", "share", "low", "high", "by_chance", "near", "far"):
        values[f"influence_{name}"][...] = getattr(found, name)
    run.facts["counts"]["masks"] = found.masks
    if found.masks:
        run.facts["counts"]["smallest"]["influence"] = found.by_chance + found.share - found.low


def _draw_windows(run: Run) -> None:
    """Record the input and output of the model: the windows, their forecasts, and one stand-in of each."""
    values, q = run.values, run.q
    history = slice(0, q.window.history)
    ahead = slice(q.window.history, None)
    for w, window in enumerate(run.windows):
        values["history"][w, history] = window.signal.values
        values["future"][w, ahead] = window.signal.future
        values["forecast"][w, ahead] = window.values_of(window.intact)
        values["forecast_low"][w, ahead], values["forecast_high"][w, ahead] = window.quantiles((0.05, 0.95))
        values["stand_in"][w, history] = window.stand_in(0)
        values["forecast_stand_in"][w, ahead] = window.values_of(window.forecasts(window.stand_in_columns(0)[None])[0])
        run.told(2)


def _mechanism(run: Run) -> None:
    values = run.values
    details = run.q.effort.details
    found = mechanism.measure_mechanism(run.windows, run.told, by_multiple=details)
    for name in (
        "effect", "coverage", "share", "low", "high", "rest", "margin_low", "by_multiple", "by_layer",
    ):  # fmt: skip
        values[f"mechanism_{name}"][...] = getattr(found, name)
    values["mechanism_phase"][:] = found.by_phase
    if not details:
        return
    for w, window in enumerate(run.windows):
        values["forecast_without"][w, run.q.window.history :] = window.values_of(mechanism.without_periods(window))
        run.told(2)
    curve = influence.influence_curve(run.windows[-1], run.q.seed, run.told)  # illustrates the first two levels
    values["influence_curve"][:] = curve.intact, curve.blocked


def _set(run: Run) -> None:
    values, model, details = run.values, run.model, run.q.effort.details
    if run.kind not in BY_ATTENTION:
        return  # without attention shown to carry it, no heads can carry it
    candidates = _candidates(run)
    found = heads_set.choose_and_test(run.windows, candidates, run.q.seed, run.told, run.reads, compared=details)
    if found is None:
        return
    values["head_share"][:] = found.head_share
    for rank, head in enumerate(found.heads, start=1):
        values["set_rank"][head] = rank
    values["set_path"][: len(found.path)] = found.path
    values["set_share"][...], values["set_without"][...] = found.share, found.without
    values["set_random"][: len(found.random)] = found.random
    layers = model.config.layers
    run.facts["families"] = [[[layers[i], head] for i, head in family] for family in found.families]


def _candidates(run: Run) -> Bools:
    """Candidate heads for the set: all, or with a budget those of the layers that carry most."""
    every: Bools = np.ones_like(run.q.asked)
    if not run.q.effort.screened:
        return every
    share = run.values["mechanism_by_layer"]
    some: Bools = every & (share >= min(SCREENED, np.nanmax(share, initial=0)))[:, None]
    if (left := int((~some).sum())) and some.any():
        run.facts["dropped"].append(
            f"At the few heads: {left} of {some.size} heads were not tried, because their layers carry less than "
            f"{percent(SCREENED)} each."
        )
    return some if some.any() else every


def _heads(run: Run) -> None:
    q, values, counts = run.q, run.values, run.facts["counts"]
    tested = np.zeros_like(q.asked)
    for heads in _in_turn(run):
        reads = single_heads.measure_reads(run.windows, heads, q.asked, q.level, run.told, known=run.reads)
        knockouts = single_heads.measure_knockouts(run.windows, heads, q.asked, q.level, q.period, run.told)
        for name, effects in (("reads", reads), ("matters", knockouts.effects)):
            values[f"{name}_each"][: len(effects.each), heads] = effects.each[:, heads]
        values["knockout"][:, :, heads] = knockouts.outcomes[:, :, heads]
        tested |= heads
    nothing = np.full(tested.shape, np.nan)
    for name in ("reads", "matters"):
        effects = single_heads.judge(values[f"{name}_each"].astype(np.float64), q.asked, q.level)
        interval, verdict = effects.interval, three_values(effects.supported, effects.refuted, tested)
        run.settle(name, Claimed(interval.value, interval.low, interval.high, nothing, verdict))
        counts["smallest"][name] = effects.smallest(tested)
    if missed := int((q.asked & ~tested).sum()):
        run.facts["dropped"].append(
            f"At each head: {missed} of {int(q.asked.sum())} heads were not tested one by one, because time ran out."
        )


def _in_turn(run: Run) -> Iterator[Bools]:
    """Yield heads to test together: all or, with a budget, groups until time runs out, strongest layers first."""
    asked = run.q.asked
    if not run.q.effort.screened:
        yield asked
        return
    share = np.where(np.isfinite(run.values["head_share"]), run.values["head_share"], -1)
    by_layer = np.nan_to_num(run.values["mechanism_by_layer"])[:, None]
    order = sorted(zip(*np.nonzero(asked), strict=True), key=lambda at: (-by_layer[at[0], 0], -share[at]))
    for first in range(0, len(order), HEADS_AT_ONCE):
        heads = np.zeros_like(asked)
        for at in order[first : first + HEADS_AT_ONCE]:
            heads[at] = True
        yield heads
        if time.monotonic() > run.deadline:
            return


def _looking(run: Run) -> None:
    from vitime_cache.attention.capture import time_attention

    q = run.q
    attention = []
    for each in time_attention(run.model, [window.signal for window in run.windows]):
        attention.append(each)
        run.told(1)
    found = look(
        np.stack(attention), q.effort.history_patches, q.window.patches_per_period, q.window.samples_per_patch,
        q.asked, q.level, q.signal.sample_seconds,
    )  # fmt: skip
    for name in ("looks", "query_contrast", "query_contrast_error", "lag_curve", "peak_lag", "prominence"):
        run.values[name][:] = getattr(found, name)
    run.settle("looks", found.claimed)
    run.facts["counts"]["left_out"] = list(found.left_out)


def _nulls(run: Run) -> None:
    from vitime_cache.attention.capture import time_attention

    q, e = run.q, run.q.effort
    if not e.nulls:
        return
    first = q.window.starts[0]
    inputs = nulls.null_inputs(
        q.series[first:], [start - first for start in q.window.starts], q.window.history, q.window.horizon, q.period,
        n=e.nulls, seed=q.seed, proposed=q.period_from == "proposed",
    )  # fmt: skip

    def attention() -> Iterator[NDArray[np.float32]]:
        for each in time_attention(run.model, [each.signal for each in inputs]):
            run.told(1)
            yield each

    found = nulls.against_null_inputs(
        run.values["query_contrast"], inputs, attention(), e.history_patches, q.window.patches_per_period,
        q.window.samples_per_patch, q.asked, q.level,
    )  # fmt: skip
    for name in ("null_mean", "null_upper", "null_contrast", "null_p"):
        run.values[name][:] = getattr(found, name)
    run.settle("depends", found.claimed)
    own = {(each.kind, each.number) for each in inputs if each.own_period is not None}
    run.facts["counts"]["null_periods"] = len(own)


def _tracking(run: Run) -> None:
    from vitime_cache.attention.capture import time_attention

    q, values, periods = run.q, run.values, run.blank[vschema.SWEEP].values
    if not len(periods):
        return
    last = run.windows[-1].signal
    signals = sweep.sweep_signals(
        last.values, q.period, periods, len(last.values), last.horizon, others=_others(q), seed=q.seed
    )
    swept = []
    for attention in time_attention(run.model, signals):
        swept.append(past_curves(attention, q.effort.history_patches)[LOOKED_AT])
        run.told(1)
    unrelated = nulls.aperiodic(values["null_mean"], [str(kind) for kind in run.blank[vschema.NULL].values])[LOOKED_AT]
    found = track(
        np.stack(swept), periods, run.blank["measured_on"].values, q.window.samples_per_patch, unrelated, q.asked,
        q.level,
    )  # fmt: skip
    for name in ("sweep_peak", "intercept", "r_squared", "found", "chosen"):
        values[name][:] = getattr(found, name)
    run.settle("tracks", found.claimed)


def _others(q: Question) -> list[float]:
    """Other periods of the series that are not harmonics of the one asked about."""
    ratios = [(each.period, q.period / each.period) for each in q.proposed]
    return [period for period, ratio in ratios if abs(ratio - max(round(ratio), 1)) > 0.05]


_WORK: dict[str, Callable[[Run], None]] = {
    "influence": _influence, "mechanism": _mechanism, "set": _set, "heads": _heads, "looking": _looking,
    "nulls": _nulls, "tracking": _tracking,
}  # fmt: skip
