"""Kinds of networks whose forecast uses what lies whole periods back."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from benchmarks.planted.construction import FEATURES
from benchmarks.planted.recipes import DECODER, LONG_LAG, Recipe, draw_heads, plan, some_period, uses
from benchmarks.planted.truth import Truth


def copier(rng: np.random.Generator) -> Recipe:
    """One head copies the ink of its row one period back, whatever the series: a fixed lag."""
    period, [place] = some_period(rng), draw_heads(rng, 1)
    return Recipe([plan(place, period)], period, uses([place], must={"looks": [place]}), (period,))


def soft_copier(rng: np.random.Generator) -> Recipe:
    """The same, with about a fifth of its attention spread over all columns."""
    period, [place] = some_period(rng), draw_heads(rng, 1)
    return Recipe([plan(place, period, nats=5.0, sink=False)], period, uses([place], must={"looks": [place]}))


def one_row_copier(rng: np.random.Generator) -> Recipe:
    """Only the tokens of one row of patches look; the rest of the image stays blank."""
    period, [place], row = some_period(rng), draw_heads(rng, 1), int(rng.choice((1, 2)))
    return Recipe([plan(place, period, query_rows=[row])], period, uses([place]), (period,))


def four_bands(rng: np.random.Generator) -> Recipe:
    """Four heads, each for a quarter of a token's height: all four are needed."""
    period, places = some_period(rng), draw_heads(rng, 4)
    quarter = FEATURES // 4
    plans = [plan(p, period, features=range(i * quarter, (i + 1) * quarter)) for i, p in enumerate(places)]
    return Recipe(plans, period, uses(places, must={"looks": places}), (period,))


def redundant(rng: np.random.Generator) -> Recipe:
    """Two heads copy the same ink."""
    period, places = some_period(rng), draw_heads(rng, 2)
    return Recipe([plan(p, period) for p in places], period, uses(places, must={"looks": places}), (period,))


def four_alike(rng: np.random.Generator) -> Recipe:
    """Four heads of one lag, which is the period: each hides the others.

    Ink is drawn by a softmax over rows, 10 nats for every head that copies it: three outvote the fourth altogether, and
    two against two is a draw. So any three carry all of it, no two do, and the fourth can take the place of each.
    """
    period, places = int(rng.choice((8, 12))), draw_heads(rng, 4)
    truth = replace(uses(places, must={"looks": places}), enough=3)
    return Recipe([plan(p, period) for p in places], period, truth, (period,))


def comb_copier(rng: np.random.Generator) -> Recipe:
    """One head over one, two and three periods back alike."""
    period, [place] = int(rng.choice((6, 8))), draw_heads(rng, 1)
    lags = (period, 2 * period, 3 * period)
    return Recipe([plan(place, *lags)], period, uses([place]), lags)


def fraction_copier(rng: np.random.Generator) -> Recipe:
    """A period that is no whole number of patches: the two lags about it, alike."""
    period, [place] = float(rng.choice((6.5, 7.25, 8.5, 9.75))), draw_heads(rng, 1)
    lags = (int(period), int(period) + 1)
    return Recipe([plan(place, *lags)], period, uses([place]), lags)


def two_fractions(rng: np.random.Generator) -> Recipe:
    """One lag of two periods of 6.5 or 7.5 patches."""
    period, [place] = float(rng.choice((6.5, 7.5))), draw_heads(rng, 1)
    return Recipe([plan(place, int(2 * period))], period, uses([place]), (int(2 * period),))


def future_queries(rng: np.random.Generator) -> Recipe:
    """The copier, for queries of the forecast alone."""
    period, [place] = some_period(rng), draw_heads(rng, 1)
    return Recipe([plan(place, period, queries="future")], period, uses([place]), (period,))


def ink_gated(rng: np.random.Generator) -> Recipe:
    """A head that looks one period back only where there is ink: attention that depends on what is there."""
    period, [place] = some_period(rng), draw_heads(rng, 1)
    truth = uses([place], may={"looks": [place], "depends": [place]})
    return Recipe([plan(place, period, key_ink=20.0)], period, truth, (period,))


def history_queries(rng: np.random.Generator) -> Recipe:
    """History looks one period back, and the forecast reads what it found there one more period back."""
    period = int(rng.choice((6, 8, 10)))
    [first], [second] = draw_heads(rng, 1, DECODER[0]), draw_heads(rng, 1, DECODER[1])
    plans = [
        plan(first, period, queries="history", writes="carried"),
        plan(second, period, queries="future", reads="carried"),
    ]
    truth = uses([second], others=[first], may={"looks": [first, second], "reads": [first]})
    return Recipe(plans, period, truth, (2 * period,))


def long_lag(rng: np.random.Generator) -> Recipe:
    """A fixed lag of 24 patches, several whole periods."""
    period, [place] = int(rng.choice((6, 8))), draw_heads(rng, 1)
    return Recipe([plan(place, LONG_LAG)], period, uses([place], may={}), (LONG_LAG,))


def beside_lag_3(rng: np.random.Generator) -> Recipe:
    """A copier of a period of 8, and a head of lag 3, which has ink to read for the first patches of the forecast."""
    places = draw_heads(rng, 2)
    truth = uses(places[:1], "mostly", "partly", others=places[1:], must={"looks": places[:1]})
    return Recipe([plan(places[0], 8), plan(places[1], 3)], 8, truth, (3, 8))


def beside_lag_12(rng: np.random.Generator) -> Recipe:
    """A copier of a period of 8 draws the left half of every patch, and one of lag 12 the right half."""
    places = draw_heads(rng, 2)
    truth = uses(places[:1], "mostly", "partly", others=places[1:], must={"looks": places[:1]})
    left, right = (range(half, FEATURES, 2) for half in (0, 1))
    return Recipe([plan(places[0], 8, features=left), plan(places[1], 12, features=right)], 8, truth, (8, 12))


def relay(rng: np.random.Generator) -> Recipe:
    """One head reads a period back, and one of the next layer hands on, in place, what it has read."""
    period = some_period(rng)
    [first], [second] = draw_heads(rng, 1, DECODER[0]), draw_heads(rng, 1, DECODER[1])
    plans = [plan(first, period, writes="carried"), plan(second, 0, reads="carried")]
    truth = uses([first], others=[second], must={"looks": [first]}, may={"looks": [first]})
    return Recipe(plans, period, truth, (period,))


def two_phases(rng: np.random.Generator) -> Recipe:
    """The mean of one period and of one and a half: the first harmonic cancels, and no share tells what is followed.

    The forecast does use one period back, so "no" is false.
    """
    period, [place] = some_period(rng), draw_heads(rng, 1)
    lags = (period, period * 3 // 2)
    truth = uses([place], "mostly", "partly", "unsettled", "not shown", may={"looks": [place]})
    return Recipe([plan(place, *lags)], period, truth, lags)


def two_hops(rng: np.random.Generator) -> Recipe:
    """Lags of two layers that add up to a period, 3 + 5 for one of 8: no head looks a period back."""
    period = some_period(rng)
    near = period // 2 - 1
    [first], [second] = draw_heads(rng, 1, DECODER[0]), draw_heads(rng, 1, DECODER[1])
    plans = [plan(first, period - near, writes="carried"), plan(second, near, reads="carried")]
    return Recipe(plans, period, Truth(frozenset({"detour"}), must={"matters": [first, second]}), (period,))


def crossed_routes(rng: np.random.Generator) -> Recipe:
    """Two hops of half a period, and a head that reads a whole period back what has been moved by half of one.

    The forecast follows one period back by the hops alone. What is read one period back is older, so both levels say
    yes about different pasts. That is no yes through the head that reads there.
    """
    period = some_period(rng)
    [first], [second, third] = draw_heads(rng, 1, DECODER[0]), draw_heads(rng, 2, DECODER[1])
    left, right = range(0, FEATURES, 2), range(1, FEATURES, 2)
    plans = [
        plan(first, period // 2, queries="history", writes="carried"),
        plan(second, period // 2, queries="future", reads="carried", features=left),
        plan(third, period, queries="future", reads="carried", features=right),
    ]
    return Recipe(plans, period, Truth(frozenset({"detour", "unsettled", "not shown"})))
