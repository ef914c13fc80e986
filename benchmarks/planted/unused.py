"""Kinds of networks whose forecast does not use what lies whole periods back, though heads may look there."""

from __future__ import annotations

import numpy as np

from benchmarks.planted.construction import COLUMNS, HISTORY, Plan
from benchmarks.planted.recipes import LONG_LAG, Recipe, draw_heads, plan, some_period, uses_not
from benchmarks.planted.truth import Truth


def period_and_a_half(rng: np.random.Generator) -> Recipe:
    """A copier of one and a half periods back."""
    period, [place] = some_period(rng), draw_heads(rng, 1)
    lag = period * 3 // 2
    return Recipe([plan(place, lag)], period, uses_not("elsewhere", {"matters": [place]}), (lag,))


def half_period(rng: np.random.Generator) -> Recipe:
    """A copier of half a period back."""
    period, [place] = some_period(rng), draw_heads(rng, 1)
    return Recipe([plan(place, period // 2)], period, uses_not("elsewhere", {"matters": [place]}), (period // 2,))


def both_sides(rng: np.random.Generator) -> Recipe:
    """Copiers of one patch less than a period and one patch more.

    They have ink of whole periods back, because the image is blurred, but that is no route to there: "yes" is false.
    """
    period, places = some_period(rng), draw_heads(rng, 2)
    lags = (period - 1, period + 1)
    truth = uses_not(("elsewhere", "not shown", "unsettled"), {"matters": places})
    return Recipe([plan(place, lag) for place, lag in zip(places, lags, strict=True)], period, truth, lags)


def four_other_lags(rng: np.random.Generator) -> Recipe:
    """Four heads of one and a half periods: many strong heads, none of them whole periods back."""
    period, places = some_period(rng), draw_heads(rng, 4)
    lag = period * 3 // 2
    return Recipe([plan(p, lag) for p in places], period, uses_not("elsewhere", {"matters": places}), (lag,))


def long_other_lag(rng: np.random.Generator) -> Recipe:
    """A fixed lag of 24 patches, no whole periods."""
    period, [place] = int(rng.choice((7, 9, 10))), draw_heads(rng, 1)
    return Recipe([plan(place, LONG_LAG)], period, uses_not("elsewhere", {"matters": [place]}), (LONG_LAG,))


def absolute_column(rng: np.random.Generator) -> Recipe:
    """A copier of one column of the history, the same for every query.

    From some patches of the forecast it lies whole periods back by accident, and there the head is read. Columns are
    drawn of which that holds for no more patches than by chance, the first one aside, which level 1 leaves out.
    """
    period, [place] = some_period(rng), draw_heads(rng, 1)
    layer, head = place
    future = np.arange(HISTORY + 1, COLUMNS)
    few = [c for c in range(8, 30) if ((future - c) % period == 0).mean() <= 1 / period]
    plan = Plan(layer, head, column=int(rng.choice(few)))
    return Recipe([plan], period, uses_not("elsewhere", {"matters": [place]}, reads=[place]))


def bias_head_beside(rng: np.random.Generator) -> Recipe:
    """The bias head, and a copier of one and a half periods: the forecast follows its past, elsewhere."""
    period, (bias, copies) = some_period(rng), draw_heads(rng, 2)
    lag = period * 3 // 2
    truth = Truth(frozenset({"elsewhere"}), must={"looks": [bias], "matters": [copies]})
    return Recipe([plan(bias, period, reads="position"), plan(copies, lag)], period, truth, (lag,))


def cancelled_pair(rng: np.random.Generator) -> Recipe:
    """Two heads read the same, and one takes away what the other adds: the forecast does not follow it.

    Of each alone it is true that the forecast changes without it.
    """
    period, (first, second) = some_period(rng), draw_heads(rng, 2)
    plans = [plan(first, period), plan(second, period, strength=-1.0)]
    both = [first, second]
    return Recipe(plans, period, uses_not("indifferent", reads=both, matters=both, looks=both), ())


def bias_head(rng: np.random.Generator) -> Recipe:
    """A head that looks one period back and whose values know where they stand, never the ink: removing its attention
    there changes the forecast, and what lies there does not."""
    period, [place] = some_period(rng), draw_heads(rng, 1)
    truth = uses_not("indifferent", {"looks": [place]})
    return Recipe([plan(place, period, reads="position")], period, truth, ())


def inert_copier(rng: np.random.Generator) -> Recipe:
    """The copier's attention with values that are written nowhere."""
    period, [place] = some_period(rng), draw_heads(rng, 1)
    truth = uses_not("indifferent", {"looks": [place]})
    return Recipe([plan(place, period, strength=0.0)], period, truth, ())


def inert_history_queries(rng: np.random.Generator) -> Recipe:
    """History looks one period back, and nothing is made of it: the forecast is blank."""
    period, [place] = some_period(rng), draw_heads(rng, 1)
    return Recipe([plan(place, period, queries="history")], period, uses_not("indifferent", looks=[place]), ())


def forward(rng: np.random.Generator) -> Recipe:
    """One period ahead: the forecast's queries find nothing there, and the forecast is blank."""
    period, [place] = some_period(rng), draw_heads(rng, 1)
    return Recipe([plan(place, -period)], period, uses_not("indifferent"), ())


def constant_forecast(rng: np.random.Generator) -> Recipe:
    """Nothing is planted: the forecast is blank, whatever the history is."""
    return Recipe([], some_period(rng), uses_not("indifferent"), ())


def even_head(rng: np.random.Generator) -> Recipe:
    """A head over all of its row alike: the forecast is how often the series has been there, in any order.

    Where the history is no whole number of periods, that depends on the phase a little, and on no lag more than on
    another. It is a no by either kind: which one hangs on how much a little is. Whole periods back are read as all is.
    """
    period, [place] = some_period(rng), draw_heads(rng, 1)
    planned = plan(place, sink=False, strength=4.0)
    return Recipe([planned], period, uses_not(("indifferent", "elsewhere"), reads=[place], matters=[place]))


def matcher(rng: np.random.Generator) -> Recipe:
    """Ink looks for ink in its row, which lies whole periods back, whatever the period. The forecast's tokens have no
    ink yet, and nothing is made of the match: looks and tracks, and does not matter."""
    period, [place] = some_period(rng), draw_heads(rng, 1)
    planned = plan(place, contrast=6.0, sink=False, ink=2.0, strength=0.0)
    truth = uses_not("indifferent", looks=[place], depends=[place], tracks=[place])
    return Recipe([planned], period, truth, (), harmonics=1)
