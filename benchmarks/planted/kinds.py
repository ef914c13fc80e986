"""Kinds of planted networks, each with a question and the right answer to it.

Every kind is drawn anew from a seed: the layer and the heads, the period in patches, phases, amplitudes and noise of
the series. Every lag is in patches; P is the period asked about. What is right follows from what the network computes:
the forecast at a patch is made of the ink at the lags below, and of nothing else.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch

from benchmarks.planted.construction import (
    CONFIG,
    CONTRAST,
    FEATURES,
    HORIZON,
    N_HISTORY,
    SAMPLES_PER_PATCH,
    Head,
    Plan,
    network,
)  # fmt: skip
from benchmarks.planted.truth import Claims, Truth
from vitime_cache.attention.forward import open_blocks
from vitime_cache.model.config import ViTimeConfig, WeightsInfo
from vitime_cache.model.network import ViTime
from vitime_cache.series.signal import Harmonic, Signal, compose

DECODER = ("decoder.0", "decoder.1")
WHOLE_PERIODS = (6, 8, 10)  # patches, even: half a period and one and a half are whole numbers too
LONG_LAG = 24


@dataclass(frozen=True, eq=False)
class Case:
    """A network, a question to it, and the right answer.

    Attributes
    ----------
    period
        In samples.
    lags
        Patches back that the forecast's ink comes from, and no others; None: not so simple (see the kind).
    """

    kind: str
    plans: tuple[Plan, ...]
    model: ViTime
    signal: Signal
    period: float
    truth: Truth
    lags: tuple[int, ...] | None = None

    @property
    def window(self) -> tuple[int, int]:
        return N_HISTORY, HORIZON


@dataclass(frozen=True)
class Recipe:
    """What a kind plants: the plans of its heads, the period in patches, and what is true."""

    plans: Sequence[Plan]
    period: float
    truth: Truth
    lags: tuple[int, ...] | None = None
    harmonics: int = 2


def case(kind: str, seed: int = 0, *, noise: float = 0.1) -> Case:
    """A kind's network, question and truth, drawn from a seed."""
    rng = np.random.default_rng([seed, *kind.encode()])
    recipe = KINDS[kind](rng)
    signal = question(rng, recipe.period * SAMPLES_PER_PATCH, noise=noise, harmonics=recipe.harmonics)
    signal = replace(signal, name=f"{kind} {seed}")
    return Case(
        kind, tuple(recipe.plans), network(kind, recipe.plans), signal, recipe.period * SAMPLES_PER_PATCH,
        recipe.truth, recipe.lags,
    )  # fmt: skip


def question(rng: np.random.Generator, period: float, *, noise: float = 0.1, harmonics: int = 2) -> Signal:
    """A periodic series of the planted networks' geometry: random phases and amplitudes, white noise, known future."""
    parts = [
        Harmonic(period / k, amplitude=rng.uniform(0.5, 1.5) / k, phase=rng.uniform(0, 2 * np.pi))
        for k in range(1, harmonics + 1)
    ]
    return compose("question", parts, n=N_HISTORY, horizon=HORIZON, noise=noise, seed=int(rng.integers(2**31)))


def sharpened(seed: int = 0, factor: float = 4.0) -> ViTime:
    """Random weights with queries and keys scaled up: attention that depends on content and means nothing."""
    torch.manual_seed(seed)
    model = ViTime(RANDOM_CONFIG).eval().requires_grad_(False)
    for block in open_blocks(model).values():
        block.attn.qkv.weight[: 2 * block.attn.attn_dim] *= factor
    model.weights = WeightsInfo("planted", note=f"sharpened random weights, seed {seed}")
    return model


RANDOM_CONFIG = ViTimeConfig(
    image_height=CONFIG.image_height, context_columns=CONFIG.context_columns, horizon_columns=CONFIG.horizon_columns,
    patch_height=CONFIG.patch_height, patch_width=CONFIG.patch_width,
    encoder_width=128, encoder_depth=1, decoder_width=128, decoder_depth=2, heads=4,
)  # fmt: skip


def _places(rng: np.random.Generator, n: int, layer: str | None = None) -> list[Head]:
    """`n` heads of one layer of the decoder."""
    layer = layer or str(rng.choice(DECODER))
    return [(layer, int(head)) for head in rng.choice(CONFIG.heads, n, replace=False)]


def _plan(place: Head, *lags: int, nats: float = CONTRAST, **how: object) -> Plan:
    layer, head = place
    return Plan(layer, head, dict.fromkeys(lags, nats), **how)  # type: ignore[arg-type]


def _period(rng: np.random.Generator) -> int:
    return int(rng.choice(WHOLE_PERIODS))


def _uses(
    carriers: Sequence[Head], *kinds: str, others: Sequence[Head] = (), must: Claims | None = None,
    may: Claims | None = None,
) -> Truth:  # fmt: skip
    """The forecast uses what the carriers read whole periods back; the others' content matters, too."""
    return Truth(
        frozenset(kinds or ("mostly",)), frozenset(carriers),
        must={"reads": carriers, "matters": [*carriers, *others], **(must or {})}, may=may or {"looks": carriers},
    )  # fmt: skip


def _not(kind: str | Sequence[str], must: Claims | None = None, **may: Sequence[Head]) -> Truth:
    """The forecast does not use what lies whole periods back."""
    return Truth(frozenset([kind] if isinstance(kind, str) else kind), must=must or {}, may=may)


def copier(rng: np.random.Generator) -> Recipe:
    """One head copies the ink of its row one period back, whatever the series: a fixed lag."""
    period, [place] = _period(rng), _places(rng, 1)
    return Recipe([_plan(place, period)], period, _uses([place], must={"looks": [place]}), (period,))


def soft_copier(rng: np.random.Generator) -> Recipe:
    """The same, with about a fifth of its attention spread over all columns."""
    period, [place] = _period(rng), _places(rng, 1)
    return Recipe([_plan(place, period, nats=5.0, sink=False)], period, _uses([place], must={"looks": [place]}))


def one_row_copier(rng: np.random.Generator) -> Recipe:
    """Only the tokens of one row of patches look; the rest of the image stays blank."""
    period, [place], row = _period(rng), _places(rng, 1), int(rng.choice((1, 2)))
    return Recipe([_plan(place, period, query_rows=[row])], period, _uses([place]), (period,))


def four_bands(rng: np.random.Generator) -> Recipe:
    """Four heads, each for a quarter of a token's height: all four are needed."""
    period, places = _period(rng), _places(rng, 4)
    quarter = FEATURES // 4
    plans = [_plan(p, period, features=range(i * quarter, (i + 1) * quarter)) for i, p in enumerate(places)]
    return Recipe(plans, period, _uses(places, must={"looks": places}), (period,))


def redundant(rng: np.random.Generator) -> Recipe:
    """Two heads copy the same ink."""
    period, places = _period(rng), _places(rng, 2)
    return Recipe([_plan(p, period) for p in places], period, _uses(places, must={"looks": places}), (period,))


def cancelled_pair(rng: np.random.Generator) -> Recipe:
    """Two heads read the same, and one takes away what the other adds: the forecast does not follow it.

    Of each alone it is true that the forecast changes without it.
    """
    period, (first, second) = _period(rng), _places(rng, 2)
    plans = [_plan(first, period), _plan(second, period, strength=-1.0)]
    both = [first, second]
    return Recipe(plans, period, _not("indifferent", reads=both, matters=both, looks=both), ())


def comb_copier(rng: np.random.Generator) -> Recipe:
    """One head over one, two and three periods back alike."""
    period, [place] = int(rng.choice((6, 8))), _places(rng, 1)
    lags = (period, 2 * period, 3 * period)
    return Recipe([_plan(place, *lags)], period, _uses([place]), lags)


def fraction_copier(rng: np.random.Generator) -> Recipe:
    """A period that is no whole number of patches: the two lags about it, alike."""
    period, [place] = float(rng.choice((6.5, 7.25, 8.5, 9.75))), _places(rng, 1)
    lags = (int(period), int(period) + 1)
    return Recipe([_plan(place, *lags)], period, _uses([place]), lags)


def two_fractions(rng: np.random.Generator) -> Recipe:
    """One lag of two periods of 6.5 or 7.5 patches."""
    period, [place] = float(rng.choice((6.5, 7.5))), _places(rng, 1)
    return Recipe([_plan(place, int(2 * period))], period, _uses([place]), (int(2 * period),))


def future_queries(rng: np.random.Generator) -> Recipe:
    """The copier, for queries of the forecast alone."""
    period, [place] = _period(rng), _places(rng, 1)
    return Recipe([_plan(place, period, queries="future")], period, _uses([place]), (period,))


def ink_gated(rng: np.random.Generator) -> Recipe:
    """A head that looks one period back only where there is ink: attention that depends on what is there."""
    period, [place] = _period(rng), _places(rng, 1)
    truth = _uses([place], may={"looks": [place], "depends": [place]})
    return Recipe([_plan(place, period, key_ink=20.0)], period, truth, (period,))


def history_queries(rng: np.random.Generator) -> Recipe:
    """History looks one period back, and the forecast reads what it found there one more period back."""
    period = int(rng.choice((6, 8, 10)))
    [first], [second] = _places(rng, 1, DECODER[0]), _places(rng, 1, DECODER[1])
    plans = [
        _plan(first, period, queries="history", writes="carried"),
        _plan(second, period, queries="future", reads="carried"),
    ]
    truth = _uses([second], others=[first], may={"looks": [first, second], "reads": [first]})
    return Recipe(plans, period, truth, (2 * period,))


def inert_history_queries(rng: np.random.Generator) -> Recipe:
    """History looks one period back, and nothing is made of it: the forecast is blank."""
    period, [place] = _period(rng), _places(rng, 1)
    return Recipe([_plan(place, period, queries="history")], period, _not("indifferent", looks=[place]), ())


def inert_copier(rng: np.random.Generator) -> Recipe:
    """The copier's attention with values that are written nowhere."""
    period, [place] = _period(rng), _places(rng, 1)
    truth = _not("indifferent", {"looks": [place]})
    return Recipe([_plan(place, period, strength=0.0)], period, truth, ())


def two_hops(rng: np.random.Generator) -> Recipe:
    """Lags of two layers that add up to a period, 3 + 5 for one of 8: no head looks a period back."""
    period = _period(rng)
    near = period // 2 - 1
    [first], [second] = _places(rng, 1, DECODER[0]), _places(rng, 1, DECODER[1])
    plans = [_plan(first, period - near, writes="carried"), _plan(second, near, reads="carried")]
    return Recipe(plans, period, Truth(frozenset({"detour"}), must={"matters": [first, second]}), (period,))


def long_lag(rng: np.random.Generator) -> Recipe:
    """A fixed lag of 24 patches, several whole periods."""
    period, [place] = int(rng.choice((6, 8))), _places(rng, 1)
    return Recipe([_plan(place, LONG_LAG)], period, _uses([place], may={}), (LONG_LAG,))


def long_other_lag(rng: np.random.Generator) -> Recipe:
    """A fixed lag of 24 patches, no whole periods."""
    period, [place] = int(rng.choice((7, 9, 10))), _places(rng, 1)
    return Recipe([_plan(place, LONG_LAG)], period, _not("elsewhere", {"matters": [place]}), (LONG_LAG,))


def period_and_a_half(rng: np.random.Generator) -> Recipe:
    """A copier of one and a half periods back."""
    period, [place] = _period(rng), _places(rng, 1)
    return Recipe([_plan(place, period * 3 // 2)], period, _not("elsewhere", {"matters": [place]}), (period * 3 // 2,))


def half_period(rng: np.random.Generator) -> Recipe:
    """A copier of half a period back."""
    period, [place] = _period(rng), _places(rng, 1)
    return Recipe([_plan(place, period // 2)], period, _not("elsewhere", {"matters": [place]}), (period // 2,))


def four_other_lags(rng: np.random.Generator) -> Recipe:
    """Four heads of one and a half periods: many strong heads, none of them whole periods back."""
    period, places = _period(rng), _places(rng, 4)
    lag = period * 3 // 2
    return Recipe([_plan(p, lag) for p in places], period, _not("elsewhere", {"matters": places}), (lag,))


def four_alike(rng: np.random.Generator) -> Recipe:
    """Four heads of one lag, which is the period: each hides the others, and three of them outvote the fourth."""
    period, places = int(rng.choice((8, 12))), _places(rng, 4)
    truth = replace(_uses(places, must={"looks": places}), enough=3)
    return Recipe([_plan(p, period) for p in places], period, truth, (period,))


def beside_lag_3(rng: np.random.Generator) -> Recipe:
    """A copier of a period of 8, and a head of lag 3, which has ink to read for the first patches of the forecast."""
    places = _places(rng, 2)
    truth = _uses(places[:1], "mostly", "partly", others=places[1:], must={"looks": places[:1]})
    return Recipe([_plan(places[0], 8), _plan(places[1], 3)], 8, truth, (3, 8))


def beside_lag_12(rng: np.random.Generator) -> Recipe:
    """A copier of a period of 8 draws the left half of every patch, and one of lag 12 the right half."""
    places = _places(rng, 2)
    truth = _uses(places[:1], "mostly", "partly", others=places[1:], must={"looks": places[:1]})
    left, right = (range(half, FEATURES, 2) for half in (0, 1))
    return Recipe([_plan(places[0], 8, features=left), _plan(places[1], 12, features=right)], 8, truth, (8, 12))


def forward(rng: np.random.Generator) -> Recipe:
    """One period ahead: the forecast's queries find nothing there, and the forecast is blank."""
    period, [place] = _period(rng), _places(rng, 1)
    return Recipe([_plan(place, -period)], period, _not("indifferent"), ())


def absolute_column(rng: np.random.Generator) -> Recipe:
    """A copier of one column of the history, the same for every query.

    From some patches of the forecast it lies whole periods back by accident, and is used there: about as much as by
    chance, which an interval may hold open.
    """
    period, [place] = _period(rng), _places(rng, 1)
    layer, head = place
    plan = Plan(layer, head, column=int(rng.integers(8, 30)))
    return Recipe([plan], period, _not(("elsewhere", "not shown"), reads=[place], matters=[place]))


def bias_head(rng: np.random.Generator) -> Recipe:
    """A head that looks one period back and whose values know where they stand, never the ink: removing its attention
    there changes the forecast, and what lies there does not."""
    period, [place] = _period(rng), _places(rng, 1)
    truth = _not("indifferent", {"looks": [place]})
    return Recipe([_plan(place, period, reads="position")], period, truth, ())


def bias_head_beside(rng: np.random.Generator) -> Recipe:
    """The bias head, and a copier of one and a half periods: the forecast follows its past, elsewhere."""
    period, (bias, copies) = _period(rng), _places(rng, 2)
    lag = period * 3 // 2
    truth = Truth(frozenset({"elsewhere"}), must={"looks": [bias], "matters": [copies]})
    return Recipe([_plan(bias, period, reads="position"), _plan(copies, lag)], period, truth, (lag,))


def constant_forecast(rng: np.random.Generator) -> Recipe:
    """Nothing is planted: the forecast is blank, whatever the history is."""
    return Recipe([], _period(rng), _not("indifferent"), ())


def even_head(rng: np.random.Generator) -> Recipe:
    """A head over all of its row alike: the forecast is how often the series has been there, in any order. Where the
    history is no whole number of periods, that depends on the phase a little, and on no lag more than on another."""
    period, [place] = _period(rng), _places(rng, 1)
    plan = _plan(place, sink=False, strength=4.0)
    return Recipe([plan], period, _not(("indifferent", "elsewhere"), reads=[place], matters=[place]))


def matcher(rng: np.random.Generator) -> Recipe:
    """Ink looks for ink in its row, which lies whole periods back, whatever the period. The forecast's tokens have no
    ink yet, and nothing is made of the match: looks and tracks, and does not matter."""
    period, [place] = _period(rng), _places(rng, 1)
    plan = _plan(place, contrast=6.0, sink=False, ink=2.0, strength=0.0)
    truth = _not("indifferent", looks=[place], depends=[place], tracks=[place])
    return Recipe([plan], period, truth, (), harmonics=1)


KINDS: Mapping[str, Callable[[np.random.Generator], Recipe]] = {
    make.__name__: make
    for make in (
        copier, soft_copier, one_row_copier, four_bands, redundant, four_alike, comb_copier, fraction_copier,
        two_fractions, future_queries, ink_gated, history_queries, long_lag, beside_lag_3, beside_lag_12, two_hops,
        period_and_a_half, half_period, four_other_lags, long_other_lag, absolute_column, bias_head_beside,
        cancelled_pair, bias_head, inert_copier, inert_history_queries, forward, constant_forecast, even_head, matcher,
    )
}  # fmt: skip
