"""Each head: does the forecast use what it reads whole periods back, and does it change without the head?

*reads*: the values that one head reads whole periods back are taken from a stand-in (value patch). *matters*: a head's
output is replaced, token by token, by its mean over the reference signals of `vc.ablate_heads` (knockout), in the
windows and in stand-ins of them. Both are effects on the forecast in standard deviations of the history, averaged over
stand-ins and windows, and compared with a fixed margin: above, below, or undecided. A rank among heads is not a test.

The family-wise error over all heads asked about is `level` for each of the two claims. Heads that a first look leaves
undecided get more replicates; since there are two looks, each has half the error.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from vitime_cache.arrays import Bools, Floats
from vitime_cache.evidence.levels.heads_set import HeadReads, read_heads
from vitime_cache.evidence.window_runs import Cell, Told, WindowRuns, cells
from vitime_cache.stats.intervals import Interval, MeanWithError, held_against

if TYPE_CHECKING:
    from torch import Tensor

    from vitime_cache.attention.forward import Intact

MARGIN = 0.02  # standard deviations of the history; a smaller effect counts as none
REPLICATES = 8  # stand-ins and windows at the first look
MOST_REPLICATES = 16  # at the second look, for heads that the first left undecided
LOOKS = 2


@dataclass(frozen=True, eq=False)
class Effects:
    """Effects of single heads on the forecast, standard deviations of the history.

    Attributes
    ----------
    each
        (replicate, layer, head); NaN where a head was not tested, or needed fewer replicates.
    interval
        Mean effect over replicates with its interval, (layer, head), from `stats.intervals.held_against`.
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
        """The effect lies below the margin: equivalent to no effect."""
        below: Bools = self.interval.high < MARGIN
        return below

    def undecided(self, heads: Bools) -> Bools:
        """Those of `heads` whose interval contains the margin."""
        rest: Bools = heads & ~self.supported & ~self.refuted
        return rest

    def smallest(self, heads: Bools) -> float:
        """The smallest effect that would have been detected in every unsupported one of `heads`, given their spread."""
        rest = heads & ~self.supported
        half = self.interval.value - self.interval.low
        return MARGIN + float(np.nanmax(half[rest], initial=0.0))


def judge(each: Floats, asked: Bools, level: float) -> Effects:
    """Compare replicates (replicate, layer, head) with the margin, for all heads `asked` about together."""
    return Effects(each, held_against(MARGIN, MeanWithError.of(each), asked, level / LOOKS))


def measure_reads(
    windows: Sequence[WindowRuns], heads: Bools, asked: Bools, level: float, told: Told = lambda _: None, *,
    known: Mapping[Cell, HeadReads] | None = None,
) -> Effects:  # fmt: skip
    """Patch every one of `heads` alone, on several stand-ins and windows.

    Parameters
    ----------
    asked
        (layer, head): the claims hold simultaneously over these heads.
    known
        Earlier measurements, by stand-in and window.
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

    first, more = (cells(len(windows), n) for n in (REPLICATES, MOST_REPLICATES))
    return _in_two_looks(measured, first, more[len(first) :], heads, asked, level)


def _in_two_looks(
    measured: Callable[[Sequence[Cell], Bools], list[Floats]], first: Sequence[Cell], more: Sequence[Cell],
    heads: Bools, asked: Bools, level: float, known: Sequence[Floats] = (),
) -> Effects:  # fmt: skip
    """Measure `heads` on replicates `first`, and those still undecided on `more`; `known` has earlier replicates."""
    each = [*known, *measured(first, heads)]
    rest = judge(np.array(each), asked, level).undecided(heads)
    if rest.any():
        each += measured(more, rest)
    return judge(np.array(each), asked, level)


@dataclass(frozen=True, eq=False)
class Knockouts:
    """Effects of knocking out each head.

    Attributes
    ----------
    outcomes
        (outcome, window, layer, head): the outcomes of `vc.ablate_heads` on the windows.
    effects
        Effects on the outcome "distance", on the windows and on stand-ins of them.
    """

    outcomes: Floats
    effects: Effects


def measure_knockouts(
    windows: Sequence[WindowRuns], heads: Bools, asked: Bools, level: float, period: float,
    told: Told = lambda _: None,
) -> Knockouts:  # fmt: skip
    """Replace every one of `heads` by its mean over reference signals, on the windows and on stand-ins of them.

    Parameters
    ----------
    asked
        (layer, head): the claims hold simultaneously over these heads.
    period
        In samples, for the outcome "seasonal_power".
    """
    outputs = windows[0].reference_means()  # the same for every window: one signal, one geometry
    outcomes = np.stack([_outcomes(window, heads, outputs, period, told) for window in windows], axis=1)

    def on_stand_ins(some: Sequence[Cell], heads: Bools) -> list[Floats]:
        found = []
        for cell in some:
            window = windows[cell.window]
            intact, rows = window.keep_stand_in(cell.draw)
            told(1)
            distance = np.full(heads.shape, np.nan)
            for number, some_heads, probability in _each_out(window, intact, heads, outputs):
                distance[number, some_heads] = window.effect(window.rows(probability), rows)
                told(len(some_heads))
            found.append(distance)
        return found

    first, more = (cells(len(windows), n)[: max(n - len(windows), 0)] for n in (REPLICATES, MOST_REPLICATES))
    return Knockouts(outcomes, _in_two_looks(on_stand_ins, first, more[len(first) :], heads, asked, level, outcomes[0]))


def _outcomes(window: WindowRuns, heads: Bools, outputs: list[Tensor], period: float, told: Told) -> Floats:
    """Outcomes (outcome, layer, head) of replacing each of `heads` alone, as `vc.ablate_heads` measures them."""
    from vitime_cache.interventions.outcomes import OUTCOMES
    from vitime_cache.interventions.runs import scorer_of

    intact = window.frozen.intact
    scorer = scorer_of(window.model, window.signal, intact, period)
    effect = np.full((len(OUTCOMES), *heads.shape), np.nan)
    for number, some, probability in _each_out(window, intact, heads, outputs):
        effect[:, number, some] = scorer.measure(probability.cpu().numpy())
        told(len(some))
    return effect


def _each_out(
    window: WindowRuns, intact: Intact, heads: Bools, outputs: list[Tensor]
) -> Iterator[tuple[int, list[int], Tensor]]:
    from vitime_cache.interventions.knockout import knocked_out

    layers = window.model.config.layers
    return knocked_out(window.model, intact, outputs, [(layers[i], int(head)) for i, head in np.argwhere(heads)])
