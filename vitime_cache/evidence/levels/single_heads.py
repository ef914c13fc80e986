"""Each head: does the forecast use what it reads whole periods back, and does it change without the head?

*reads*: the values that one head reads whole periods back come from a stand-in (value patch). *matters*: a head's
output is replaced, token by token, by its mean over reference signals (knockout), as `vc.ablate_heads` does. Either is
an effect on the forecast in standard deviations of the history, held against a fixed margin: above it, below it, or
not decided. Rank among heads is no test.

Error is 5 % over all heads and claims of a kind together. Heads that a first look leaves undecided get twice the
replicates; as there are two looks, each has half the error.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from vitime_cache.arrays import Bools, Floats
from vitime_cache.evidence.levels.heads_set import HeadReads, read_heads
from vitime_cache.evidence.window_runs import Cell, Told, WindowRuns, cells
from vitime_cache.stats.intervals import Interval, mean_interval, pseudo_values

MARGIN = 0.02  # standard deviations of the history: an effect below is none
REPLICATES = 8  # stand-ins or groups of references, over all windows, at the first look
MOST_REPLICATES = 16  # at the second, for heads that the first left undecided
LOOKS = 2


@dataclass(frozen=True, eq=False)
class Effects:
    """Effects of single heads on the forecast, standard deviations of the history.

    Attributes
    ----------
    each
        (replicate, layer, head); NaN where a head was not tested, or needed fewer.
    interval
        Mean over replicates (layer, head) with ends of which each misses by at most the level over all heads.
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


def simultaneous(each: Floats, asked: Bools, level: float) -> Effects:
    """Intervals over replicates (replicate, layer, head), simultaneous over the heads `asked` about (Bonferroni).

    A head's effect is either above the margin or not, so that only one end of its interval can err: each end misses by
    `level` over the heads and looks.
    """
    interval = mean_interval(each, 2 * level / max(int(asked.sum()), 1) / LOOKS)
    return Effects(each, interval)


def undecided(effects: Effects, asked: Bools) -> Bools:
    """Heads asked about whose interval holds the margin."""
    rest: Bools = asked & ~effects.supported & ~effects.refuted
    return rest


def measure_reads(
    windows: Sequence[WindowRuns], asked: Bools, level: float, told: Told = lambda _: None, *,
    known: Mapping[Cell, HeadReads] | None = None,
) -> Effects:  # fmt: skip
    """Patch every head asked about alone, on several stand-ins and windows.

    Parameters
    ----------
    known
        What has been measured already, by stand-in and window.
    """
    known = known or {}

    def measured(some: Sequence[Cell], heads: Bools) -> list[Floats]:
        there = [known[c] if c in known else read_heads(windows[c.window], c.draw, heads, told) for c in some]
        return [np.where(heads, each.effect, np.nan) for each in there]

    first, more = (cells(len(windows), n) for n in (REPLICATES, MOST_REPLICATES))
    each = measured(first, asked)
    rest = undecided(simultaneous(np.array(each), asked, level), asked)
    if rest.any():
        each += measured(more[len(first) :], rest)
    return simultaneous(np.array(each), asked, level)


@dataclass(frozen=True, eq=False)
class Knockouts:
    """What the forecast does without each head.

    Attributes
    ----------
    outcomes
        (outcome, window, layer, head), by the mean over all references: what `vc.ablate_heads` gives.
    effects
        Of the outcome "distance"; its replicates are jackknife pseudo-values over groups of references and windows.
    """

    outcomes: Floats
    effects: Effects


def measure_knockouts(
    windows: Sequence[WindowRuns], asked: Bools, level: float, period: float, told: Told = lambda _: None
) -> Knockouts:
    """Replace every head asked about by its mean over reference signals, and over all but a group of them."""
    from vitime_cache.interventions.outcomes import OUTCOMES
    from vitime_cache.interventions.references import mean_of_means, mean_outputs, unrelated_signals

    distance = list(OUTCOMES).index("distance")
    model, n = windows[0].model, len(windows)
    references = unrelated_signals(windows[0].signal)  # all windows are of one signal and one geometry
    per_window = min(-(-MOST_REPLICATES // n), len(references))
    groups = [references[i::per_window] for i in range(per_window)]
    counts = [len(group) for group in groups]
    means = []
    for group in groups:
        means.append(mean_outputs(model, group))
        told(len(group))
    whole = np.stack([_outcomes(w, mean_of_means(means, counts), asked, period, told) for w in windows], axis=1)
    mean = Effects(whole[distance], mean_interval(whole[distance], level))
    if per_window == 1:
        return Knockouts(whole, simultaneous(whole[distance], asked, level))
    few = max(1, per_window // LOOKS)  # at the first look neighbouring groups are left out together
    each = _left_out(windows, means, counts, few, asked, whole[distance], period, told)
    effects = simultaneous(each, asked, level)
    rest = undecided(effects, asked)
    del mean
    return Knockouts(whole, effects) if not rest.any() else Knockouts(whole, effects)
