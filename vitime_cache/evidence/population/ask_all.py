"""Asks the question of `ask` about many series, up to the few heads: one table with a row for each.

    table = vc.ask_all(model, vc.catalogue(), sample=10)

The caller gets the table after each signal, and an interrupted table can continue.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from queue import SimpleQueue
from threading import Event
from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr

from vitime_cache.attention.schema import SIGNAL
from vitime_cache.checks import called, positive, whole
from vitime_cache.errors import VitimeError
from vitime_cache.evidence.ask import answers
from vitime_cache.evidence.budget import LEAST_MASKS, NO_DETAILS, SMALL
from vitime_cache.evidence.levels.table import BY_ATTENTION, KINDS
from vitime_cache.evidence.population import schema as population_schema
from vitime_cache.evidence.question import (
    ConstantSeriesError,
    NoPeriodError,
    Question,
    check_window,
    prepare,
    series_hash,
)
from vitime_cache.evidence.run import Progress
from vitime_cache.evidence.verdict import schema as vschema
from vitime_cache.evidence.verdict.data import set_heads
from vitime_cache.interventions.named_heads import Signals, as_signals
from vitime_cache.model.checkpoint import dtype_name
from vitime_cache.series.bounds import SignalError
from vitime_cache.series.signal import Signal
from vitime_cache.series.spans import to_samples

if TYPE_CHECKING:
    from vitime_cache.model.network import ViTime

DROPPED = f"One of many signals: {NO_DETAILS}; single heads, looking and tracking are left out."


@dataclass(frozen=True, eq=False)
class Many:
    """Signals to ask the same question about.

    Attributes
    ----------
    signals
        The drawn signals, in their original order.
    available
        Number of signals from which they were drawn.
    period
        In samples, or a span of time such as "1d"; None asks about the strongest period of each signal.
    window
        History and horizon in samples; None chooses them for each signal.
    """

    signals: Sequence[Signal]
    available: int
    period: float | str | None
    window: tuple[int, int] | None
    seed: int

    @classmethod
    def of(
        cls, signals: Sequence[Signal], period: float | str | None = None, *, window: tuple[int, int] | None = None,
        sample: int | None = None, seed: int = 0,
    ) -> Many:  # fmt: skip
        """Draw `sample` of the signals without replacement, or take all if there are no more than that.

        Raises
        ------
        VerdictError
            For a period, sample or seed that makes no sense for any signal.
        SignalError
            For a period in words that is not a span of time.
        """
        seed = whole(seed, "the seed", 0, 2**63, error=vschema.VerdictError)
        if isinstance(period, str):
            to_samples(period, 1.0)
        elif period is not None:
            period = positive(period, "the period", "samples", error=vschema.VerdictError)
        drawn = list(signals)
        if sample is not None:
            sample = whole(sample, "the sample", 1, error=vschema.VerdictError)
            if sample < len(drawn):
                places = np.random.default_rng([seed, 15]).choice(len(drawn), sample, replace=False)
                drawn = [drawn[place] for place in sorted(places)]
        return cls(drawn, len(signals), period, check_window(window), seed)

    def question(self, model: ViTime) -> dict[str, Any]:
        """The question of a table without its signals: tables with equal questions can share rows."""
        return {
            "period": self.period, "window": None if self.window is None else list(self.window), "seed": self.seed,
            "levels": list(population_schema.LEVELS), "weights": model.weights.name,
            "weights_sha256": model.weights.sha256, "dtype": dtype_name(model), "method": vschema.METHOD,
        }  # fmt: skip

    def blank(self, model: ViTime) -> xr.Dataset:
        """An empty table."""
        names = [signal.name for signal in self.signals]
        hashes = [series_hash(signal.known) for signal in self.signals]
        seconds = [float(signal.sample_seconds) for signal in self.signals]
        about = {"series": hashes} | ({"sample_seconds": seconds} if isinstance(self.period, str) else {})
        return population_schema.blank(
            model.config.layers, model.config.heads, names, hashes,
            {
                "question": self.question(model) | about,
                "counts": {"available": self.available, "drawn": len(names)},
                "config": json.dumps(model.config.to_dict()), "weights": model.weights.note,
                "created": datetime.now(UTC).isoformat(timespec="seconds"),
            },
            seconds,
        )  # fmt: skip


def ask_all(
    model: ViTime, signals: Signals, period: float | str | None = None, *, window: tuple[int, int] | None = None,
    sample: int | None = None, seed: int = 0, progress: Progress | None = None,
    partial: Callable[[xr.Dataset], object] | None = None, start: Sequence[xr.Dataset] = (),
) -> xr.Dataset:  # fmt: skip
    """Ask of many signals whether the forecast uses what lies whole periods back, and through which heads.

    Parameters
    ----------
    signals
        Several, or a Dataset of this model with several.
    period
        In samples, or a span of time such as "1d", for all signals; None asks about the strongest period of each. A
        signal without a period is counted, not refused.
    window
        History and horizon in samples, instead of those chosen for each signal.
    sample
        Number of signals to draw by `seed`; None takes all.
    progress
        Called as (share done, what is being done); an exception that it raises ends the work.
    partial
        Called with the partial table after each signal.
    start
        Earlier tables, finished or not; rows of the same question about the same series are reused.

    Returns
    -------
    xarray.Dataset
        As `evidence.population.schema` describes; `evidence.population.report.headline` puts it in words.

    Raises
    ------
    VerdictError, InterventionError, CheckpointError
        For a question that makes no sense for any signal, saying what to do.
    """
    called(progress, "progress", error=vschema.VerdictError)
    called(partial, "partial", error=vschema.VerdictError)
    if not isinstance(start, Sequence):
        raise vschema.VerdictError(f"start must be a list of earlier tables, got {start!r:.60}")
    for earlier in start:
        population_schema.validate(earlier)
    many = Many.of(as_signals(model, signals), period, window=window, sample=sample, seed=seed)
    table = taken_over(many.blank(model), start)
    with closing(rows(model, many, table, progress or (lambda *_: None))) as found:
        for step in found:
            table = step.table
            if partial is not None:
                partial(table)
    return table


@dataclass(frozen=True, eq=False)
class Row:
    """A newly finished signal: its place, the table with its row, and its verdict if it has one."""

    place: int
    table: xr.Dataset
    verdict: xr.Dataset | None


def taken_over(table: xr.Dataset, start: Sequence[xr.Dataset]) -> xr.Dataset:
    """The table with the finished rows of earlier tables on the same question about the same series.

    An answer holds for all series of the same samples if the period is as many of them. A reason why there is none
    names the series and may tell spans of time: it holds for a series of the same name and spacing.
    """
    table = table.copy(deep=True)
    question = _exchangeable(table)
    for earlier in (each for each in start if _exchangeable(each) == question):
        known: dict[str, list[int]] = {}
        for at, sha in enumerate(earlier["series_sha256"].values):
            known.setdefault(str(sha), []).append(at)
        for place, sha in enumerate(map(str, table["series_sha256"].values)):
            if table["kind"].values[place] != population_schema.OPEN:
                continue
            held = [at for at in known.get(sha, ()) if _row_holds(question["period"], table, place, earlier, at)]
            for name in (*population_schema.VARIABLES, "kind", "reason") if held else ():
                table[name].values[place] = earlier[name].values[held[0]]
    return table


def _row_holds(period: float | str | None, table: xr.Dataset, place: int, earlier: xr.Dataset, at: int) -> bool:
    """Whether a row of an earlier table is also that of a series of the same samples in this one."""
    same_spacing = population_schema.spacing(table, place) == population_schema.spacing(earlier, at)
    if earlier["kind"].values[at] in KINDS:
        return same_spacing or not isinstance(period, str)
    return same_spacing and str(table[SIGNAL].values[place]) == str(earlier[SIGNAL].values[at])


def rows(
    model: ViTime, many: Many, table: xr.Dataset, progress: Progress = lambda *_: None
) -> Generator[Row, None, None]:
    """Ask about every open signal; yield a copy of the table after each, in the order of the signals.

    A small network on the CPU answers about several signals side by side, each on one core.
    """
    to_do = [place for place, kind in enumerate(table["kind"].values) if kind == population_schema.OPEN]
    under_way: dict[int, float] = {}
    done = 0
    with closing(
        _side_by_side(lambda place, told: _answer(model, many.signals[place], many, told), to_do, model)
    ) as found:
        for news in found:
            if not isinstance(news, _News):
                place, answer = news
                done += 1
                del under_way[place]
                table = table.copy(deep=True)
                answer.write(table, place)
                yield Row(place, table, answer.verdict)
                continue
            under_way[news.place] = news.share
            finished = done + sum(share == 1 for place, share in under_way.items() if place != news.place)
            name = many.signals[news.place].name
            progress(
                (done + sum(under_way.values())) / len(to_do),
                f"{finished + 1} of {len(to_do)}: {name}, {news.what.lower()}",
            )


@dataclass(frozen=True)
class _News:
    """How far the question about the signal at `place` is."""

    place: int
    share: float
    what: str


@dataclass(frozen=True, eq=False)
class _Answer:
    """The kind of answer about one signal, with its reason if it could not be asked about, or its verdict."""

    kind: str
    reason: str = ""
    verdict: xr.Dataset | None = None

    def write(self, table: xr.Dataset, place: int) -> None:
        """Write the row of the signal at `place`."""
        table["kind"].values[place], table["reason"].values[place] = self.kind, self.reason
        if self.verdict is None:
            return
        table["period"].values[place] = vschema.facts(self.verdict, "question")["period"]
        table["windows"].values[place] = vschema.facts(self.verdict, "counts")["windows"]
        for name in population_schema.FIGURES:
            table[name].values[place] = float(self.verdict[name])
        if self.kind in BY_ATTENTION:
            for head in set_heads(self.verdict):
                table["in_set"].values[(place, *head)] = True


class _StoppedError(Exception):
    """Ends the work on a signal that nobody waits for any more."""


def _side_by_side(
    answer: Callable[[int, Progress], _Answer], places: Sequence[int], model: ViTime
) -> Generator[_News | tuple[int, _Answer], None, None]:
    """Answer about several places at once; yield news as it comes and (place, answer) in order, in the caller's thread.

    Whatever ends the caller ends the work under way, at the next news of it.
    """
    from vitime_cache.attention.cores import workers  # imports torch, which reading a table does not need

    news: SimpleQueue[_News | None] = SimpleQueue()
    stopped = Event()

    def work(place: int) -> _Answer:
        def told(share: float, what: str) -> None:
            if stopped.is_set():
                raise _StoppedError
            news.put(_News(place, share, what))

        told(0, "period")
        found = answer(place, told)
        told(1, "done")
        return found

    small = model.device.type == "cpu" and model.config.tokens <= SMALL
    with workers(side_by_side=small) as pool:
        futures = [pool.submit(work, place) for place in places]
        try:
            for future in futures:
                future.add_done_callback(lambda _: news.put(None))
            for place, future in zip(places, futures, strict=True):
                while not (future.done() and news.empty()):
                    if (told := news.get()) is not None:
                        yield told
                yield place, future.result()
        finally:
            stopped.set()
            for future in futures:
                future.cancel()


def _answer(model: ViTime, signal: Signal, many: Many, progress: Progress) -> _Answer:
    try:
        question = part_of_many(prepare(model, signal, many.period, window=many.window, seed=many.seed))
    except NoPeriodError as error:
        return _Answer("no period", str(error))
    except ConstantSeriesError as error:
        return _Answer("constant", str(error))
    except SignalError as error:
        return _Answer("no spacing", str(error))
    except VitimeError as error:
        return _Answer("not seen", str(error))
    for verdict in answers(model, question, progress):
        if "mechanism" in vschema.facts(verdict, "stages") and vschema.kind(verdict.attrs) not in BY_ATTENTION:
            break  # without attention shown to carry it, no heads can carry it
    return _Answer(vschema.kind(verdict.attrs), "", verdict)


def part_of_many(question: Question) -> Question:
    """The question as asked about each of many: three levels, and only the runs that their answers need."""
    e = question.effort
    effort = replace(e, tested=0, masks=LEAST_MASKS, most_masks=e.masks, details=False, nulls=0, sweep=0)
    return replace(question.with_effort(effort, [DROPPED]), levels=population_schema.LEVELS)


def _exchangeable(table: xr.Dataset) -> Mapping[str, Any]:
    question = population_schema.facts(table, "question")
    return {name: value for name, value in question.items() if name not in ("series", "sample_seconds")}
