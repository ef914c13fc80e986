"""Each head: does the forecast use what it reads whole periods back, and does it change without the head?

*reads*: the values that one head reads whole periods back come from a stand-in (value patch). *matters*: a head's
output is replaced, token by token, by its mean over reference signals (knockout), as `vc.ablate_heads` does. Either is
an effect on the forecast in standard deviations of the history, held against a fixed margin: above it, below it, or
not decided. Rank among heads is no test.

Error is `level` over all heads asked about, for each of the two claims. Heads that a first look leaves undecided get
more replicates; as there are two looks, each has half the error.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

import numpy as np

from vitime_cache.arrays import Bools, Floats
from vitime_cache.evidence.levels.heads_set import HeadReads, read_heads
from vitime_cache.evidence.window_runs import Cell, Told, WindowRuns, cells
from vitime_cache.stats.intervals import Interval, Mean, held_against, pseudo_values

if TYPE_CHECKING:
    from torch import Tensor

MARGIN = 0.02  # standard deviations of the history: an effect below is none
REPLICATES = 8  # stand-ins or groups of references, over all windows, at the first look
MOST_STAND_INS = 16  # at the second, for heads that the first left undecided
MOST_GROUPS = 32  # of references, likewise
LOOKS = 2
KEPT_BYTES = 2**26  # of the outputs that replace all heads: with more, no second look at references


@dataclass(frozen=True, eq=False)
class Effects:
    """Effects of single heads on the forecast, standard deviations of the history.

    Attributes
    ----------
    each
        (replicate, layer, head); NaN where a head was not tested, or needed fewer.
    interval
        Of the effect, (layer, head), as `stats.intervals.held_against` gives it.
    """

    each: Floats
    interval: Interval

    @property
    def supported(self) -> Bools:
        """The effect lies above the margin."""
        above: Bools = self.interval.low > MARGIN
        return above

    @property
    def refuted(self) -> Bools:
        """The effect lies below the margin: equivalence with none."""
        below: Bools = self.interval.high < MARGIN
        return below

    def undecided(self, heads: Bools) -> Bools:
        """Those of `heads` whose interval holds the margin."""
        rest: Bools = heads & ~self.supported & ~self.refuted
        return rest

    def smallest(self, heads: Bools) -> float:
        """The smallest effect that would have been seen in any of `heads` that is not supported, by its spread."""
        rest = heads & ~self.supported
        half = self.interval.value - self.interval.low
        return MARGIN + float(np.nanmax(half[rest], initial=0.0))


def judge(each: Floats, asked: Bools, level: float, effect: Floats | None = None) -> Effects:
    """Replicates (replicate, layer, head) held against the margin, for all heads `asked` about together.

    Parameters
    ----------
    effect
        (layer, head): what the interval is about, where that is not the replicates' mean.
    """
    mean = Mean.of(each)
    if effect is not None:
        mean = Mean(effect, mean.error, mean.degrees)
    return Effects(each, held_against(MARGIN, mean, asked, level / LOOKS))


def measure_reads(
    windows: Sequence[WindowRuns], heads: Bools, asked: Bools, level: float, told: Told = lambda _: None, *,
    known: Mapping[Cell, HeadReads] | None = None,
) -> Effects:  # fmt: skip
    """Patch every one of `heads` alone, on several stand-ins and windows.

    Parameters
    ----------
    asked
        (layer, head): the heads that claims hold over together.
    known
        What has been measured already, by stand-in and window.
    """
    known = known or {}

    def measured(some: Sequence[Cell], heads: Bools) -> list[Floats]:
        each = []
        for cell in some:
            there = known[cell].effect if cell in known else np.full(heads.shape, np.nan)
            missing = heads & ~np.isfinite(there)
            if missing.any():
                new = read_heads(windows[cell.window], cell.draw, missing, told).effect
                there = np.where(missing, new, there)
            each.append(np.where(heads, there, np.nan))
        return each

    first, more = (cells(len(windows), n) for n in (REPLICATES, MOST_STAND_INS))
    each = measured(first, heads)
    rest = judge(np.array(each), asked, level).undecided(heads)
    if rest.any():
        each += measured(more[len(first) :], rest)
    return judge(np.array(each), asked, level)


@dataclass(frozen=True, eq=False)
class ReferenceMeans:
    """Heads' mean outputs over groups of the reference signals of `vc.ablate_heads`.

    Attributes
    ----------
    means
        For each group and layer, (heads, 1 + N, d).
    counts
        Signals of each group.
    """

    means: list[list[Tensor]]
    counts: list[int]

    @classmethod
    def of(cls, window: WindowRuns, told: Told = lambda _: None) -> Self:
        """Those of a window, which are those of every window of its signal and geometry."""
        from vitime_cache.interventions.references import mean_outputs, unrelated_signals

        references = unrelated_signals(window.signal)
        size = sum(each.nbytes for each in window.frozen.intact.outputs)
        number = min(len(references), MOST_GROUPS if size <= KEPT_BYTES else REPLICATES)
        groups = [references[i::number] for i in range(number)]
        means = []
        for group in groups:
            means.append(mean_outputs(window.model, group))
            told(len(group))
        return cls(means, [len(group) for group in groups])

    def without(self, left_out: Collection[int] = ()) -> list[Tensor]:
        """For every layer the mean over all references but some groups."""
        from vitime_cache.interventions.references import mean_of_means

        kept = [i for i in range(len(self.means)) if i not in left_out]
        return mean_of_means([self.means[i] for i in kept], [self.counts[i] for i in kept])


@dataclass(frozen=True, eq=False)
class Knockouts:
    """What the forecast does without each head.

    Attributes
    ----------
    outcomes
        (outcome, window, layer, head), by the mean over all references: what `vc.ablate_heads` gives.
    effects
        Of the outcome "distance", mean over windows; its replicates are jackknife pseudo-values over groups of
        references, by window.
    """

    outcomes: Floats
    effects: Effects


def measure_knockouts(
    windows: Sequence[WindowRuns], heads: Bools, asked: Bools, level: float, period: float,
    references: ReferenceMeans, told: Told = lambda _: None,
) -> Knockouts:  # fmt: skip
    """Replace every one of `heads` by its mean over reference signals, and over all of them but a group.

    Parameters
    ----------
    asked
        (layer, head): the heads that claims hold over together.
    period
        In samples, for the outcome "seasonal_power".
    """
    outcomes = np.stack([_knocked_out(w, heads, references.without(), period, told) for w in windows], axis=1)
    whole = outcomes[0]  # distance, (window, layer, head)

    def replicates(number: int, heads: Bools) -> Floats:
        parts = min(-(-number // len(windows)), len(references.means))
        groups = [range(i, len(references.means), parts) for i in range(parts)]
        each = [
            pseudo_values(distance, [
                _distance(window, heads, references.without(group), told) for group in groups
            ])
            for window, distance in zip(windows, whole, strict=True)
        ] if parts > 1 else [whole]  # fmt: skip
        return np.concatenate(each)

    each = replicates(REPLICATES, heads)
    effects = judge(each, asked, level, whole.mean(axis=0))
    rest = effects.undecided(heads)
    if rest.any() and len(references.means) > REPLICATES:
        finer = replicates(MOST_GROUPS, rest)
        padded = np.full(finer.shape, np.nan)
        padded[: len(each)] = each
        effects = judge(np.where(rest, finer, padded), asked, level, whole.mean(axis=0))
    return Knockouts(outcomes, effects)


def _knocked_out(window: WindowRuns, heads: Bools, outputs: list[Tensor], period: float, told: Told) -> Floats:
    """Outcomes (outcome, layer, head) of every one of `heads` replaced alone, as `vc.ablate_heads` measures them."""
    from vitime_cache.interventions.outcomes import OUTCOMES
    from vitime_cache.interventions.runs import scorer_of

    scorer = scorer_of(window.model, window.signal, window.frozen.intact, period)
    effect = np.full((len(OUTCOMES), *heads.shape), np.nan)
    for number, some, probability in _each_out(window, heads, outputs):
        effect[:, number, some] = scorer.measure(probability.cpu().numpy())
        told(len(some))
    return effect


def _distance(window: WindowRuns, heads: Bools, outputs: list[Tensor], told: Told) -> Floats:
    """The outcome "distance" alone, (layer, head)."""
    effect = np.full(heads.shape, np.nan)
    for number, some, probability in _each_out(window, heads, outputs):
        effect[number, some] = window.effect(window.rows(probability))
        told(len(some))
    return effect


def _each_out(window: WindowRuns, heads: Bools, outputs: list[Tensor]) -> Iterator[tuple[int, list[int], Tensor]]:
    from vitime_cache.interventions.knockout import knocked_out

    layers = window.model.config.layers
    return knocked_out(
        window.model, window.frozen.intact, outputs, [(layers[i], int(head)) for i, head in np.argwhere(heads)]
    )
