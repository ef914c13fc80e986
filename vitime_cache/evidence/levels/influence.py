"""Influence: does the forecast follow what lies whole periods back? This level uses the model's input alone.

Every patch of the history is replaced, with probability ½, by the patch of a stand-in: the same history moved by a
share of its period. The change of each future patch is projected on its change under the whole stand-in, and regressed
on how much of the columns whole periods back, beside them and elsewhere was replaced. Shares are relative to the sum of
the three: where half a stand-in does more or less than half of what the whole one does, as with a forecast that reacts
strongly to noise, it does so at every lag. Masks come in pairs, a mask and its complement, so that the joint effect of
two replaced patches averages out. The interval is a bootstrap over these pairs.

Masks run in two stages. The first stage ends the test if the answer cannot change: if an interval of 99.8 % contains
none of the shares at which the kind of answer changes. Such a strict first look costs the interval of the second almost
nothing (Haybittle, British Journal of Radiology 1971; Peto et al., British Journal of Cancer 1976).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray
from scipy.stats import norm

from vitime_cache.arrays import Bools, Floats
from vitime_cache.evidence.levels.answer_kind import turning_shares
from vitime_cache.evidence.levels.single_heads import MARGIN
from vitime_cache.evidence.window_runs import Told, WindowRuns, cells
from vitime_cache.interventions.lag_masks import GUARD

MASKS = 96  # masks in the first stage, over all windows and stand-ins
MOST_MASKS = 288  # most masks, if the interval stays wide
HALF_WIDTH = 0.1  # half width of the share's interval up to which masks are added, if the answer can still change
STANDS = 0.002  # error of the two-sided interval that ends the test after the first stage
CELLS = 4  # stand-ins over all windows
LEVEL = 0.1  # error of the two-sided interval: 5 % on either side
RESAMPLES = 2000
LEAST = 0.25  # least share of the whole change that masks must explain for shares to add up to 1


@dataclass(frozen=True)
class Influence:
    """How much the forecast follows whole periods back.

    Attributes
    ----------
    effect
        Root mean square change of the forecast under the whole stand-in, standard deviations of the history.
    share, low, high
        Share of that change which comes from whole periods back, and its 90 % interval; NaN if there is no change.
    by_chance
        The share if all columns of the history counted equally: about 1 / P patches.
    near, far
        Shares of the columns beside whole periods back, and of all others.
    masks
        Number of masks that were run.
    """

    effect: float
    share: float
    low: float
    high: float
    by_chance: float
    near: float
    far: float
    masks: int


@dataclass(frozen=True, eq=False)
class ColumnWeights:
    """How much of a history patch lies whole periods before a future patch, beside that, and elsewhere.

    Attributes
    ----------
    weights
        (3, history patches, future patches); they sum to 1 over the first axis.
    """

    weights: Floats

    @classmethod
    def of(cls, period: float, history_patches: int, future: NDArray[np.intp]) -> Self:
        """For a period in patches and future patch columns; a short period has no "beside", only "elsewhere"."""
        lag = future - np.arange(history_patches)[:, None]
        multiple = np.rint(lag / period)
        off = np.abs(lag - period * multiple)
        back = multiple >= 1
        on = np.where(back, np.clip(1 - off, 0, 1), 0)
        near = np.where(back, np.clip(2 - off, 0, 1), 0) - on if period >= 2 * GUARD else np.zeros_like(on)
        return cls(np.stack((on, near, 1 - on - near)))

    @property
    def by_chance(self) -> float:
        """Share of all columns that lie whole periods back."""
        return float(self.weights[0].mean())

    def replaced(self, masks: Bools) -> Floats:
        """Share of each class that masks (n, history patches) replace, (n, future patches, 3)."""
        total = np.maximum(self.weights.sum(axis=1), 1e-9)  # (3, future)
        shares: Floats = np.einsum("nh,chf->nfc", masks.astype(np.float64), self.weights) / total.T
        return shares


@dataclass(frozen=True, eq=False)
class Moments:
    """The sums of a weighted regression through the origin, by pair of masks: (n, 3, 3) and (n, 3)."""

    squares: Floats
    products: Floats

    @classmethod
    def of(cls, replaced: Floats, response: Floats, size: Floats) -> Self:
        """Compute them from pairs of masks.

        Parameters
        ----------
        replaced
            (2 n, future, 3), first the masks, then their complements.
        response
            (2 n, future): change projected on the change under the whole stand-in.
        size
            (future,): squared change under the whole stand-in; the variance of a response grows with it.
        """
        squares = np.einsum("f,nfa,nfb->nab", size, replaced, replaced)
        products = np.einsum("nf,nfa->na", response, replaced)
        half = len(squares) // 2
        return cls(squares[:half] + squares[half:], products[:half] + products[half:])

    @classmethod
    def join(cls, parts: Sequence[Moments]) -> Self:
        return cls(np.concatenate([p.squares for p in parts]), np.concatenate([p.products for p in parts]))

    def shares(self, weight: Floats | None = None) -> Floats:
        """Shares (..., 3) of whole periods back, beside them, and elsewhere; `weight` (..., n) weights the pairs.

        They add up to 1, or to less if the masks explain less than `LEAST` of the whole change.
        """
        weight = np.ones(len(self.squares)) if weight is None else weight
        squares, products = (np.tensordot(weight, each, axes=1) for each in (self.squares, self.products))
        known = self.squares.any(axis=(0, 2))  # a short period has nothing beside it
        explained = np.zeros(products.shape)
        explained[..., known] = np.linalg.solve(
            squares[..., known, :][..., known] + 1e-12 * np.trace(self.squares.sum(axis=0)) * np.eye(int(known.sum())),
            products[..., known, None],
        )[..., 0]
        shares: Floats = explained / np.maximum(explained.sum(axis=-1, keepdims=True), LEAST)
        return shares

    def interval(self, seed: int, level: float = LEVEL) -> tuple[float, float]:
        """Bootstrap interval of the first share over pairs of masks."""
        low, high = np.quantile(self._resampled(seed), (level / 2, 1 - level / 2))
        return float(low), float(high)

    def stands(self, seed: int, by_chance: float) -> bool:
        """Whether the first share is so far from every turning share that more masks cannot change the answer."""
        share, reach = float(self.shares()[0]), norm.isf(STANDS / 2) * float(self._resampled(seed).std())
        return all(abs(share - turning) > reach for turning in turning_shares(by_chance))

    def _resampled(self, seed: int) -> Floats:
        """The first share of bootstrap samples, (RESAMPLES,)."""
        n = len(self.squares)
        drawn = np.random.default_rng([seed, 8]).multinomial(n, np.full(n, 1 / n), RESAMPLES).astype(np.float64)
        first: Floats = self.shares(drawn)[:, 0]
        return first


def measure_influence(
    windows: Sequence[WindowRuns], seed: int = 0, *, masks: int = MASKS, most: int = MOST_MASKS,
    told: Told = lambda _: None,
) -> Influence:  # fmt: skip
    """Measure which columns of the input the forecast follows.

    If the answer can still change after `masks`, and the interval is wider than `HALF_WIDTH` to either side, enough
    masks are added to reach that width, up to `most` in all (Stein, Annals of Mathematical Statistics 1945). A forecast
    that the whole stand-in changes by less than `single_heads.MARGIN` has no shares and needs no masks.
    """
    rng = np.random.default_rng([seed, 9])
    chosen = cells(len(windows), CELLS)
    prepared = [_Replaced.of(windows[cell.window], cell.draw) for cell in chosen]
    effect = float(np.sqrt(np.mean([each.effect**2 for each in prepared])))
    weights = prepared[0].weights
    if effect < MARGIN:
        nothing = np.nan
        return Influence(effect, nothing, nothing, nothing, weights.by_chance, nothing, nothing, 0)
    first = Moments.join([each.run(_pairs(masks, len(chosen)), rng, told) for each in prepared])
    low, high = first.interval(seed)
    ran = 2 * len(first.squares)
    wanted = min(most, int(np.ceil(ran * ((high - low) / 2 / HALF_WIDTH) ** 2)))
    moments = first
    if wanted > ran and not first.stands(seed, weights.by_chance):
        more = [each.run(_pairs(wanted - ran, len(chosen)), rng, told) for each in prepared]
        moments = Moments.join([first, *more])
        low, high = moments.interval(seed)
    share, near, far = (float(each) for each in moments.shares())
    return Influence(effect, share, low, high, weights.by_chance, near, far, 2 * len(moments.squares))


@dataclass(frozen=True, eq=False)
class _Replaced:
    """A window and one of its stand-ins, ready to be mixed.

    Attributes
    ----------
    whole
        Change under the whole stand-in by future patch, (future, columns).
    """

    window: WindowRuns
    stand_in: Floats
    whole: Floats
    effect: float
    weights: ColumnWeights

    @classmethod
    def of(cls, window: WindowRuns, draw: int) -> Self:
        stand_in = window.stand_in_columns(draw)
        rows = window.forecasts(stand_in[None])[0]
        future = _future(window)
        weights = ColumnWeights.of(window.period, window.first_future, future)
        whole = window.change_by_patch(rows)[-len(future) :]
        return cls(window, stand_in, whole, float(window.effect(rows)), weights)

    def run(self, pairs: int, rng: np.random.Generator, told: Told) -> Moments:
        """Run `pairs` new masks and their complements."""
        masks = rng.random((pairs, self.window.first_future)) < 0.5
        masks = np.concatenate((masks, ~masks))
        by_column = np.repeat(masks, self.window.patch_width, axis=1)[:, : self.window.history_columns]
        rows = self.window.forecasts(np.where(by_column, self.stand_in, self.window.drawn), told)
        change = self.window.change_by_patch(rows)[:, -len(self.whole) :]
        response = (change * self.whole).sum(axis=-1)
        return Moments.of(self.weights.replaced(masks), response, (self.whole**2).sum(axis=-1))


def _future(window: WindowRuns) -> NDArray[np.intp]:
    """Future patch columns, without the first if there are others: the history's ink is blurred into it."""
    columns = np.arange(window.first_future, window.patches)
    return columns[1:] if len(columns) > 2 else columns


def _pairs(masks: int, cells: int) -> int:
    """Pairs of masks for each cell."""
    return max(2, -(-masks // (2 * cells)))


@dataclass(frozen=True, eq=False)
class InfluenceCurve:
    """Change of the forecast after one patch of the history is replaced, by lag in patches, (patches,).

    `intact`: nothing else is changed. `blocked`: the values that heads read whole periods back are held. NaN: no pair.
    """

    intact: Floats
    blocked: Floats


def influence_curve(
    window: WindowRuns, seed: int = 0, told: Told = lambda _: None
) -> InfluenceCurve:  # fmt: skip
    """Replace one patch of the history at a time by a stretch from elsewhere in it, with the trend kept.

    Returns
    -------
    Root mean square change of future patches, mean over all pairs of patches at a lag.
    """
    occluded = one_patch_replaced(window.drawn, window.patch_width, np.random.default_rng([seed, 5]))
    future = _future(window)
    lag = future - np.arange(len(occluded))[:, None]
    from vitime_cache.interventions.value_patch import lag_pairs

    pairs = lag_pairs(window.on, window.first_future)
    found = []
    for rows in (window.forecasts(occluded, told), window.forecasts_holding(occluded, pairs, told)):
        change = np.sqrt((window.change_by_patch(rows)[:, -len(future) :] ** 2).mean(axis=-1))
        count = np.bincount(lag.ravel(), minlength=window.patches)
        total = np.bincount(lag.ravel(), change.ravel(), minlength=window.patches)
        found.append(np.where(count > 0, total / np.maximum(count, 1), np.nan))
    return InfluenceCurve(*found)


def one_patch_replaced(drawn: Floats, width: int, rng: np.random.Generator) -> Floats:
    """Histories (n, C); in each, one whole patch is taken from a random place that does not overlap it."""
    time = np.arange(len(drawn))
    trend = np.polyval(np.polyfit(time, drawn, 1), time)
    rest = drawn - trend
    histories = np.tile(drawn, (len(drawn) // width, 1))
    starts = np.arange(len(drawn) - width + 1)
    for number, history in enumerate(histories):
        here = slice(number * width, (number + 1) * width)
        place = rng.choice(starts[np.abs(starts - here.start) >= width])
        history[here] = trend[here] + rest[place : place + width]
    return histories
