"""Which heads look one period back, and does the forecast use it? Every rung, for every head, as one verdict.

    verdict = vc.ask(model, signal, period=24)

The cheap parts come first: what the heads show, null inputs, a sweep of periods, then interventions. Whoever waits is
handed the verdict as far as it goes after each of them.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from vitime_cache.arrays import Array
from vitime_cache.attention import schema
from vitime_cache.attention.lags import diagonal_means
from vitime_cache.attention.peaks import MIN_PROMINENCE, lag_peaks, period_prominence
from vitime_cache.evidence.budget import SMALL, fit_budget
from vitime_cache.evidence.causal import NEGLIGIBLE
from vitime_cache.evidence.levels.contrast import Lags, looks_back
from vitime_cache.evidence.levels.sweep import judge_sweep, sweep_signals
from vitime_cache.evidence.question import (
    CAPTURED,
    CONTROLS,
    LEVEL,
    NULL_RUN,
    NULLS,
    SWEPT,
    Heads,
    Question,
    Subject,
    prepare,
    unanswered,
)  # fmt: skip
from vitime_cache.evidence.verdict import schema as v
from vitime_cache.evidence.verdict.report import sentences
from vitime_cache.evidence.verdict.schema import three_values
from vitime_cache.series.signal import Signal
from vitime_cache.stats.max_statistic import max_statistic_p
from vitime_cache.stats.surrogates import NULLS as NULL_TABLE
from vitime_cache.stats.surrogates import null_kinds, null_series

if TYPE_CHECKING:
    from vitime_cache.model.network import ViTime

Progress = Callable[[float, str], object]

ONE_SIDED = 1.645
SPENT = 0.97  # of a budget when the last intervention ends; loading, judging and drawing take the rest


def ask(
    model: ViTime,
    signal: Subject,
    period: float | None = None,
    *,
    heads: Heads = "all",
    nulls: int = NULLS,
    controls: int = CONTROLS,
    window: tuple[int, int] | None = None,
    level: float = LEVEL,
    negligible: float = NEGLIGIBLE,
    budget: float | None = None,
    seed: int = 0,
    progress: Progress | None = None,
    partial: Callable[[xr.Dataset], object] | None = None,
) -> xr.Dataset:
    """Ask which heads look one period back, and whether the forecast uses it.

    Parameters
    ----------
    signal
        Its history and, where it is known, its future are one series, on which windows are chosen. Plain samples (T,)
        and the Dataset of one signal of this model do as well.
    period
        In samples; None asks about the strongest period that the series has.
    heads
        "all", or pairs (layer, head): what corrections are over.
    nulls
        Null inputs of each kind; 19 or more. Where there are several windows, each gets a share.
    controls
        Other lags that are masked in each head, where the axis has as many, and random sets of heads.
    window
        History and horizon in samples, in place of those that the tool chooses.
    level
        Family-wise error of each rung over the heads asked about.
    negligible
        Change of the forecast in standard deviations of the history that counts as none.
    budget
        Minutes. Where all of it takes longer, windows, nulls and controls are fewer, and interventions are made in the
        heads that screening puts first, one after the other until the time is up; the verdict says which were not
        tested. What comes before the first of them is not cut short.
    seed
        Equal questions with equal seeds have equal answers.
    progress
        Called as (share done, what is being done); an exception that it raises ends the question.
    partial
        Called with the verdict as far as it goes, after each rung.

    Returns
    -------
    xarray.Dataset
        As `verdict` describes.

    Raises
    ------
    VerdictError, SignalError, EncodingError, InterventionError, CheckpointError
        For a period that cannot be seen or is not there, too few nulls, heads that do not exist; saying what to do.
    """
    question = prepare(
        model, signal, period, heads=heads, nulls=nulls, controls=controls, window=window, level=level,
        negligible=negligible, budget=budget, seed=seed,
    )  # fmt: skip
    for ds in answers(model, question, progress or (lambda *_: None)):
        if partial is not None:
            partial(ds)
    return ds


def answers(model: ViTime, question: Question, progress: Progress = lambda *_: None) -> Iterator[xr.Dataset]:
    """The verdict as far as it goes, after each rung."""
    from vitime_cache.evidence.intervene import causal

    run = Run(model, question, progress)
    unrelated: list[Array] = []
    for stage, work in zip(v.STAGES, (_descriptive, _signal_dependent, _tracking), strict=False):
        work(run, unrelated)
        yield run.stage(stage)
    causal(run)
    yield run.stage(v.STAGES[-1])


class Run:
    """A question being answered: the arrays of its verdict, filled rung by rung."""

    def __init__(self, model: ViTime, question: Question, progress: Progress) -> None:
        self.model, self._progress = model, progress
        self.began = time.monotonic()
        self.deadline = self.began + (60 * question.budget * SPENT if question.budget is not None else float("inf"))
        self.captured: list[xr.Dataset] = []
        self._set(question)

    def _set(self, question: Question) -> None:
        self.q, self.windows = question, question.windows
        self.blank = unanswered(self.model, question)
        self.values: dict[str, NDArray[Any]] = {name: each.values for name, each in self.blank.data_vars.items()}  # type: ignore[misc]
        self.values["asked"][:] = question.asked
        self.facts: dict[str, Any] = {name: v.facts(self.blank, name) for name in ("counts", "screening", "stages")}

    def progress(self, share: float, what: str) -> None:
        """Tell the share done; where time ends the question, that is the share of the time."""
        if self.q.effort.screened:
            share = min((time.monotonic() - self.began) / (self.deadline - self.began), 1.0)
        self._progress(share, what)

    def capture(self) -> None:
        """Capture every window; the first run says what a budget affords."""
        from vitime_cache.attention.capture import capture

        last = capture(self.model, self.windows[-1])
        if self.q.budget is not None:
            effort = fit_budget(self.q.wanted, *pace(self.model, self.windows[-1]), 60 * self.q.budget)
            if effort != self.q.effort:
                self._set(self.q.with_effort(effort))
        for i, window in enumerate(self.windows[:-1]):
            self.progress(CAPTURED * i / len(self.windows), f"window {i + 1} of {len(self.windows)}")
            self.captured.append(capture(self.model, window))
        self.captured.append(last)

    def settle(
        self, rung: int, figure: Array, p_value: Array, supported: NDArray[np.bool_], refuted: NDArray[np.bool_]
    ) -> None:
        """Write down a rung's verdicts, the figures that they rest on and the corrected p-values."""
        asked = self.q.asked
        self.values["figure"][rung] = np.where(asked, figure, np.nan)
        self.values["p_value"][rung] = np.where(asked, p_value, np.nan)
        self.values["verdict"][rung] = three_values(supported, refuted, asked)

    def stage(self, name: str) -> xr.Dataset:
        """The verdict as it stands once a rung is done, independent of what follows."""
        self.facts["stages"] = [*self.facts["stages"], name]
        ds = self.blank.copy(data={name: array.copy() for name, array in self.values.items()})
        ds = v.with_facts(ds, **self.facts)
        return v.validate(v.with_facts(ds, sentences=sentences(ds)))


def pace(model: ViTime, window: Signal) -> tuple[float, float]:
    """Seconds that a run takes which pools attention, and a plain forward pass among many, on this machine."""
    from vitime_cache.attention.capture import time_attention

    few = 4 if model.config.tokens <= SMALL else 1
    started = time.perf_counter()
    list(time_attention(model, [window] * few))
    run = (time.perf_counter() - started) / few
    # Pooling costs a small network as much as the pass itself, a large one a tenth (benchmarks/capture.py).
    return run, run * (0.5 if model.config.tokens <= SMALL else 0.9)


def past(attention: Array) -> Array:
    """Lag curves (..., n) over lags 0 … n - 1 into the past, of time attention (..., n, n)."""
    return diagonal_means(attention)[..., attention.shape[-1] - 1 :]


def _descriptive(run: Run, _: list[Array]) -> None:
    run.capture()
    q, values = run.q, run.values
    attention = np.stack([each[schema.TIME_ATTENTION].values for each in run.captured])
    curves = past(attention)  # (window, layer, head, n)
    mean = curves.mean(axis=0)
    looks = looks_back(attention, mean, q.window.patches_per_period, q.asked)
    values["lag_curve"][:] = mean
    for name, found in (("flank_excess", looks.excess), ("query_contrast", looks.contrast)):
        values[name][:], values[f"{name}_error"][:] = found.value, found.error
    lag = np.arange(mean.shape[-1])
    values["prominence"][:] = period_prominence(lag, curves, 1.0, q.window.patches_per_period)
    for at in np.ndindex(mean.shape[:-1]):
        peaks = lag_peaks(lag, mean[at], q.window.samples_per_patch)
        if peaks:
            strongest = max(peaks, key=lambda peak: peak.prominence)
            values["peak_lag"][at] = strongest.lag
            values["peak_prominence"][at] = strongest.relative_prominence
    for w, (ds, window) in enumerate(zip(run.captured, run.windows, strict=True)):
        values["history"][w] = ds[schema.HISTORY].values
        values["forecast"][w] = ds[schema.FORECAST_QUANTILE].sel({schema.QUANTILE: 0.5}).values
        values["future"][w, -window.horizon :] = window.future
    run.settle(0, looks.prominence, looks.p_value, looks.supported(q.level), looks.refuted(q.level))


def _signal_dependent(run: Run, unrelated: list[Array]) -> None:
    """Hold the excess at the period against that of null inputs; leaves the curves of those without any period."""
    from vitime_cache.attention.capture import time_attention

    q, values = run.q, run.values
    e, kinds = q.effort, null_kinds(q.period)
    mean = values["lag_curve"].astype(np.float64)
    lags = Lags.of(q.window.patches_per_period, mean.shape[-1])
    observed = np.where(q.asked, lags.excess(mean), np.nan)
    excess, upper, total = [], [], e.nulls * e.windows * len(kinds)
    done = 0
    for k, kind in enumerate(kinds):
        curves = np.zeros((e.nulls, *mean.shape))  # mean over windows
        for w, window in enumerate(run.windows):
            series = null_series(kind, window.values, e.nulls, _seed(q.seed, k, w), period=q.period)
            inputs = [Signal(f"{kind} {i}", each, window.horizon) for i, each in enumerate(series)]
            for i, attention in enumerate(time_attention(run.model, inputs)):
                curves[i] += past(attention) / e.windows
                done += 1
                run.progress(CAPTURED + (NULL_RUN - CAPTURED) * done / total, f"null input {done} of {total}")
        of_nulls = np.where(q.asked, lags.excess(curves), np.nan)
        values["null_mean"][k], values["null_upper"][k] = curves.mean(axis=0), np.quantile(curves, 0.95, axis=0)
        values["null_p"][k] = max_statistic_p(observed, of_nulls)
        excess.append(observed - of_nulls.mean(axis=0))
        upper.append(excess[-1] + ONE_SIDED * of_nulls.std(axis=0, ddof=1) * np.sqrt(1 + 1 / e.nulls))
        if not NULL_TABLE[kind].of_period:
            unrelated.append(curves)
    worst, least = values["null_p"].max(axis=0), np.min(excess, axis=0)
    # What a head does at the period may depend on its input measurably and by next to nothing.
    supported = (worst <= q.level) & (least >= MIN_PROMINENCE)
    run.settle(1, least, worst, supported, np.min(upper, axis=0) < MIN_PROMINENCE)


def _tracking(run: Run, unrelated: list[Array]) -> None:
    from vitime_cache.attention.capture import time_attention

    q, values, periods = run.q, run.values, run.blank[v.SWEEP].values
    last = run.windows[-1]
    signals = sweep_signals(last.values, q.period, periods, len(last.values), last.horizon, q.seed)
    swept = []
    for i, attention in enumerate(time_attention(run.model, signals)):
        swept.append(past(attention))
        run.progress(NULL_RUN + (SWEPT - NULL_RUN) * i / len(signals), f"period {i + 1} of {len(signals)} of the sweep")
    judged = judge_sweep(swept, periods, q.window.samples_per_patch, np.concatenate(unrelated), q.asked, q.seed)
    values["sweep_peak"][:], values["chosen"][:] = judged.all_periods.lags, judged.chosen
    for name in ("slope", "intercept", "r_squared", "found"):
        values[name][:] = getattr(judged.measured, name)
    values["slope_low"][:], values["slope_high"][:] = judged.low, judged.high
    slope = judged.measured.slope
    run.settle(2, slope, judged.p_value, judged.supported(q.level), judged.refuted(q.level))


def _seed(seed: int, *parts: int) -> int:
    return int(np.random.SeedSequence([seed, *parts]).generate_state(1)[0])
