"""A question about one period of one series, checked before anything runs."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr
from numpy.typing import ArrayLike

from vitime_cache.arrays import Bools, Floats
from vitime_cache.checks import positive, whole
from vitime_cache.evidence.budget import Effort
from vitime_cache.evidence.levels import heads_set, influence, single_heads
from vitime_cache.evidence.levels.claimed import LEVEL
from vitime_cache.evidence.levels.looking import sights
from vitime_cache.evidence.levels.nulls import MOST_NULLS, NULLS, fewest_nulls
from vitime_cache.evidence.levels.sweep import FEWEST_PATCHES, PERIODS, measured_on, sweep_periods
from vitime_cache.evidence.periods import Proposal, propose_periods
from vitime_cache.evidence.verdict import schema as vschema
from vitime_cache.evidence.window import Window, choose_window
from vitime_cache.interventions.lag_masks import multiples, other_phases, whole_periods
from vitime_cache.model.checkpoint import check_model, dtype_name
from vitime_cache.model.encoding import SeriesEncoding, is_flat
from vitime_cache.series.given import as_signal
from vitime_cache.series.signal import Signal, hold_out
from vitime_cache.series.spans import samples_in_words, to_samples
from vitime_cache.stats.surrogates import null_kinds

if TYPE_CHECKING:
    from vitime_cache.model.network import ViTime

Heads = str | Sequence[tuple[str, int]]
Subject = Signal | ArrayLike | xr.Dataset

NULLS_OF_A_WINDOW = 39  # fewest null inputs per window if there are several windows


class ConstantSeriesError(vschema.VerdictError):
    """A constant series, or a constant window of one: there is nothing to look back at."""


class NoPeriodError(vschema.VerdictError):
    """A series for which no period is proposed, when none was given."""


@dataclass(frozen=True, eq=False)
class Question:
    """What is asked, on which windows, and with how many runs of the model.

    Attributes
    ----------
    series
        History and known future of the signal, concatenated.
    proposed
        Periods of the series, strongest first.
    period_from
        "proposed" if the period is the strongest of these, "asked" if it was given.
    asked
        (layer, head): the heads over which verdicts are corrected.
    wanted, effort
        The full effort, and the effort that will be made, which is smaller if a budget requires it.
    budget
        Minutes; None has no limit.
    dropped
        One sentence for each part that a budget left out.
    levels
        Names of the levels to run, the first ones of `levels.table.STAGES`; all of them except for many signals.
    """

    signal: Signal
    series: Floats
    period: float
    proposed: tuple[Proposal, ...]
    period_from: str
    window: Window
    heads: Heads
    asked: Bools
    wanted: Effort
    effort: Effort
    level: float
    seed: int
    budget: float | None = None
    dropped: tuple[str, ...] = ()
    levels: tuple[str, ...] = vschema.STAGES

    @property
    def windows(self) -> list[Signal]:
        """The windows as signals with a known future."""
        span = self.window.history + self.window.horizon
        return [
            hold_out(
                self.signal.name, self.series[start : start + span], self.window.horizon,
                harmonics=self.signal.harmonics, reduced_of=self.signal.reduced_of,
            )
            for start in self.window.starts
        ]  # fmt: skip

    def with_effort(self, effort: Effort, dropped: Sequence[str] = ()) -> Question:
        """The same question with the last windows, as many as the effort has."""
        window = replace(self.window, starts=self.window.starts[-effort.windows :])
        return replace(self, window=window, effort=effort, dropped=tuple(dropped))

    @property
    def words(self) -> str:
        """Two lines that say what will be done, then what a budget leaves out."""
        source = "the strongest of the series" if self.period_from == "proposed" else "as asked"
        period = samples_in_words(self.period, self.signal.sample_seconds)
        first = f"{self.signal.name}: a period of {period}, {source}. {self.window.words}"
        return "\n".join((first, self.effort.words, *self.dropped))


def prepare(
    model: ViTime, signal: Subject, period: float | str | None = None, *, heads: Heads = "all", nulls: int = NULLS,
    window: tuple[int, int] | None = None, level: float = LEVEL, budget: float | None = None, seed: int = 0,
) -> Question:  # fmt: skip
    """Check a question and choose its period and window without running it. Parameters and errors as for `ask`."""
    from vitime_cache.interventions.named_heads import check_heads

    signal, config = _one_signal(model, signal), model.config
    nulls = whole(nulls, "nulls", 1, MOST_NULLS, error=vschema.VerdictError)
    seed = whole(seed, "the seed", 0, 2**63, error=vschema.VerdictError)
    if isinstance(period, str):
        period = to_samples(period, signal.sample_seconds)
    elif period is not None:
        period = positive(period, "the period", "samples", error=vschema.VerdictError)
    if budget is not None:
        budget = positive(budget, "the budget", "minutes", error=vschema.VerdictError)
    history, horizon = check_window(window) or (None, None)
    fewest = fewest_nulls(level)
    if nulls < fewest:
        raise vschema.VerdictError(f"a level of {level:g} needs {fewest} nulls or more, got {nulls}")
    series = signal.known
    if is_flat(series):
        raise ConstantSeriesError(f"{signal.name!r} is constant: there is nothing to look back at")
    proposed, period_from = tuple(propose_periods(series)), "asked"
    if period is None:
        if not proposed:
            raise NoPeriodError(
                f"no period of {signal.name!r} stands out of noise; name the one to ask about (--period)"
            )
        period, period_from = proposed[0].period, "proposed"
    chosen = choose_window(
        len(series), period, columns=config.columns, patch_width=config.patch_width, history=history, horizon=horizon,
        sample_seconds=signal.sample_seconds,
    )  # fmt: skip
    chosen = _after_constant(signal.name, series, chosen)
    asked = np.zeros((len(config.layers), config.heads), dtype=bool)
    for layer, head in check_heads(model, heads):
        asked[config.layers.index(layer), head] = True
    # In a fixed order, so that equal questions compare equal.
    heads = "all" if asked.all() else [(config.layers[i], int(head)) for i, head in np.argwhere(asked)]
    count, history_patches = len(chosen.starts), _history_patches(model, chosen)
    sights(config.grid[1], history_patches, chosen.patches_per_period)
    effort = Effort(
        heads=int(asked.sum()), tested=int(asked.sum()), network=asked.size, layers=len(config.layers), windows=count,
        history_patches=history_patches, masks=influence.MASKS, most_masks=influence.MOST_MASKS, details=True,
        multiples=multiples(chosen.patches_per_period, config.grid[1]), kinds=len(null_kinds(period)),
        nulls=nulls if count == 1 else min(nulls, max(NULLS_OF_A_WINDOW, fewest, -(-nulls // count))),
        sweep=PERIODS if history_patches >= FEWEST_PATCHES else 0, fewest_nulls=fewest,
    )  # fmt: skip
    return Question(
        signal, series, float(period), proposed, period_from, chosen, heads, asked, effort, effort, float(level), seed,
        budget,
    )  # fmt: skip


def _after_constant(name: str, series: Floats, window: Window) -> Window:
    """The windows after the last one whose history is constant, and has nothing to look back at."""
    flat = [is_flat(series[start : start + window.history]) for start in window.starts]
    if flat[-1]:
        raise ConstantSeriesError(
            f"the last window of {name!r}, {window.history} samples of history and a horizon of {window.horizon}, is "
            "constant: there is nothing to look back at; ask on a window where the series varies, such as a longer one"
        )
    first = max((place + 1 for place, each in enumerate(flat) if each), default=0)
    return replace(window, starts=window.starts[first:], after_constant=first > 0)


def _history_patches(model: ViTime, window: Window) -> int:
    """Patch columns of which at least half show history."""
    length = np.arange(float(window.history))
    return SeriesEncoding.fit(length, window.horizon, model.config).history_patches


def _one_signal(model: ViTime, given: Subject) -> Signal:
    """Convert the subject to a signal; a Dataset must be of this model."""
    from vitime_cache.interventions.named_heads import as_signals

    check_model(model)
    if not isinstance(given, xr.Dataset):
        return as_signal(given)
    if len(signals := as_signals(model, given)) != 1:
        raise vschema.VerdictError(
            f"a question is about one signal, the Dataset has {len(signals)}; choose one with ds.sel(signal=…)"
        )
    return signals[0]


def check_window(window: tuple[int, int] | None) -> tuple[int, int] | None:
    """A window's history and horizon as whole numbers, or None; a VerdictError for anything else."""
    if window is None:
        return None
    try:
        history, horizon = window
    except (TypeError, ValueError):
        raise vschema.VerdictError(f"a window is a pair (history, horizon) in samples, got {window!r:.60}") from None
    return (
        whole(history, "a window's history", 1, error=vschema.VerdictError),
        whole(horizon, "a window's horizon", 1, error=vschema.VerdictError),
    )


def series_hash(series: Floats) -> str:
    """Hash that identifies a series (T,) in a verdict; names need not be unique."""
    return hashlib.sha256(series.astype("<f8").tobytes()).hexdigest()


def identity(model: ViTime, q: Question, budget: float | None = None) -> dict[str, Any]:
    """The key of a question: equal keys mean equal answers. `budget` is set if the effort is less than wanted."""
    e = q.wanted
    heads = q.heads if isinstance(q.heads, str) else [list(head) for head in q.heads]
    return {
        "signal": q.signal.name, "period": q.period, "period_from": q.period_from, "heads": heads,
        "nulls": e.nulls, "windows": e.windows, "sweep": e.sweep, "masks": e.masks,
        "history": q.window.history, "horizon": q.window.horizon, "budget": budget, "seed": q.seed, "level": q.level,
        "sample_seconds": q.signal.sample_seconds, "weights": model.weights.name,
        "weights_sha256": model.weights.sha256, "dtype": dtype_name(model),
        "series_sha256": series_hash(q.series), "method": vschema.METHOD,
    } | ({"start": q.signal.start} if q.signal.start else {}) | (
        {} if q.levels == vschema.STAGES else {"levels": list(q.levels)}
    )  # fmt: skip


def answered_by(key: Mapping[str, Any], budget: float | None) -> tuple[dict[str, Any], dict[str, Any]]:
    """The keys of the verdicts that answer a question: first without a budget, then with the given one."""
    return {**key, "budget": None}, {**key, "budget": budget}


def unanswered(model: ViTime, q: Question) -> xr.Dataset:
    """The empty verdict on a question."""
    config, e = model.config, q.effort
    period, patches = q.window.patches_per_period, config.grid[1]
    counts: dict[str, Any] = {
        "windows": e.windows, "heads": e.heads, "masks": 0, "stand_ins": e.cells,
        "nulls": e.nulls, "null_kinds": e.kinds, "sweep": e.sweep, "passes": 0, "margin": single_heads.MARGIN,
        "smallest": {}, "left_out": [],
        "effort": asdict(e),
    }  # fmt: skip
    periods = sweep_periods(q.window.history, q.window.samples_per_patch, e.sweep)
    return vschema.blank(
        config.layers, config.heads, patches=patches, whole_periods=whole_periods(period, patches),
        windows=q.window.starts, samples=q.window.history + q.window.horizon, phases=other_phases(period),
        multiples=e.multiples, replicates=single_heads.MOST_REPLICATES,
        sizes=min(heads_set.MOST, e.network), random_sets=heads_set.RANDOM_SETS, nulls=null_kinds(q.period),
        sweep=periods, measured_on=measured_on(e.sweep),
        attributes={
            "question": identity(model, q, q.budget if e != q.wanted else None),
            "window_facts": q.window.facts(q.proposed) | {"filled": q.signal.filled}, "counts": counts,
            "answer": {"kind": "open", "headline": "", "sentences": {}}, "families": [],
            "dropped": list(q.dropped), "stages": [],
            "config": json.dumps(config.to_dict()), "created": datetime.now(UTC).isoformat(timespec="seconds"),
            "weights": model.weights.note,
        },
    )  # fmt: skip
