"""The regression of a forecast's change on the patches of the history that random masks replaced.

Of interest are three shares: of the columns whole periods back, of those beside them, and of all others. A forecast
rarely follows all columns of a class alike. What it follows at single lags then scatters the three shares from mask to
mask, although it is not noise. So it is estimated too, by a ridge regression on every lag, and subtracted: a control
variate (Owen, Monte Carlo Theory, Methods and Examples, section 8.9). Two precautions keep the shares unbiased. What is
subtracted is estimated from other masks than those it is subtracted from (cross-fitting: Chernozhukov et al.,
Econometrics Journal 2018), and the part of it that the three classes explain over all possible masks is left in.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from statistics import NormalDist
from typing import Self

import numpy as np
from numpy.typing import NDArray

from vitime_cache.arrays import Bools, Floats
from vitime_cache.evidence.levels.answer_kind import turning_shares
from vitime_cache.interventions.lag_masks import GUARD

STANDS = 0.002  # error of the two-sided interval that ends the test after the first stage
LEVEL = 0.1  # error of the two-sided interval: 5 % on either side
RESAMPLES = 2000
LEAST = 0.25  # least share of the whole change that masks must explain for shares to add up to 1
FOLDS = 6  # parts of the masks; what is subtracted from one is estimated from the others
PENALTIES = (0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0, 100.0)  # on single lags, relative to their mean square; the last
# one leaves nearly nothing of them
TINY = 1e-12  # added to the diagonal, relative to the trace


@dataclass(frozen=True, eq=False)
class ColumnWeights:
    """How much of a history patch lies whole periods before a future patch, beside that, and elsewhere.

    Attributes
    ----------
    weights
        (3, history patches, future patches); they sum to 1 over the first axis.
    lag
        (history patches, future patches), in patches.
    """

    weights: Floats
    lag: NDArray[np.intp]

    @classmethod
    def of(cls, period: float, history_patches: int, future: NDArray[np.intp]) -> Self:
        """For a period in patches and future patch columns; a short period has no "beside", only "elsewhere"."""
        lag = future - np.arange(history_patches)[:, None]
        multiple = np.rint(lag / period)
        off = np.abs(lag - period * multiple)
        back = multiple >= 1
        on = np.where(back, np.clip(1 - off, 0, 1), 0)
        near = np.where(back, np.clip(2 - off, 0, 1), 0) - on if period >= 2 * GUARD else np.zeros_like(on)
        return cls(np.stack((on, near, 1 - on - near)), lag)

    @property
    def by_chance(self) -> float:
        """Share of all columns that lie whole periods back."""
        return float(self.weights[0].mean())

    @property
    def parts(self) -> Floats:
        """Part of its class that each history patch is, (3, history patches, future patches); a class adds up to 1."""
        parts: Floats = self.weights / np.maximum(self.weights.sum(axis=1, keepdims=True), 1e-9)
        return parts

    def apart(self, followed: Floats, size: Floats) -> Floats:
        """What the three classes do not explain of how much each patch is followed, (history patches, future patches).

        "Explain" is meant as in `Moments`, over all possible masks, in which a patch is replaced with probability ½:
        there, the expected products of two columns are ¼ of their sums' product and ¼ of their sum of products.
        """
        parts = self.parts[self.weights.any(axis=(1, 2))]
        by_patch = np.concatenate((parts, followed[None]))
        both = np.einsum("f,ahf,bhf->ab", size, by_patch, by_patch)
        both += np.einsum("f,af,bf->ab", size, by_patch.sum(axis=1), by_patch.sum(axis=1))
        squares, products = both[:-1, :-1], both[:-1, -1]
        # A window that the stand-in does not change has no size: there is nothing to explain.
        explained = np.linalg.solve(squares + _ridge(squares), products)
        rest: Floats = followed - np.tensordot(explained, parts, axes=1)
        return rest


@dataclass(frozen=True, eq=False)
class MaskedRuns:
    """Runs of one window and stand-in, under pairs of a mask and its complement.

    Attributes
    ----------
    weights
        Of the window's columns.
    size
        (future,): squared change under the whole stand-in; the variance of a response grows with it.
    masks
        (pairs, 2, history patches).
    response
        (pairs, 2, future): change projected on the change under the whole stand-in.
    """

    weights: ColumnWeights
    size: Floats
    masks: Bools
    response: Floats

    def then(self, more: MaskedRuns) -> MaskedRuns:
        """These runs and more of the same window and stand-in."""
        masks, response = np.concatenate((self.masks, more.masks)), np.concatenate((self.response, more.response))
        return replace(self, masks=masks, response=response)

    @property
    def replaced(self) -> Floats:
        """Share of each class that the masks replace, (pairs, 2, future, 3)."""
        shares: Floats = np.einsum("nmh,chf->nmfc", self.masks.astype(np.float64), self.weights.parts)
        return shares

    def by_lag(self, lags: int) -> Floats:
        """½ where the patch at a lag is replaced, −½ where it is not, 0 where none is: (pairs, 2, future, lags)."""
        found = np.zeros((*self.response.shape, lags))
        future = np.arange(len(self.size))
        found[:, :, future, self.weights.lag] = (self.masks - 0.5)[..., None]
        return found

    def without(self, followed: Floats, pairs: Bools) -> MaskedRuns:
        """Subtract what single lags explain (lags,) from some pairs, but not what the three classes explain of it."""
        apart = self.weights.apart(followed[self.weights.lag], self.size)
        response = self.response.copy()
        response[pairs] -= self.masks[pairs] @ apart * self.size
        return replace(self, response=response)


@dataclass(frozen=True, eq=False)
class Moments:
    """The sums of a weighted regression through the origin, by pair of masks: (n, 3, 3) and (n, 3)."""

    squares: Floats
    products: Floats

    @classmethod
    def of(cls, runs: Sequence[MaskedRuns]) -> Self:
        """Compute them from runs as they are."""
        found = [_sums(each.replaced, each) for each in runs]
        return cls(np.concatenate([squares for squares, _ in found]), np.concatenate([p for _, p in found]))

    @property
    def masks(self) -> int:
        """Number of masks."""
        return 2 * len(self.squares)

    def shares(self, weight: Floats | None = None) -> Floats:
        """Shares (..., 3) of whole periods back, beside them, and elsewhere; `weight` (..., n) weights the pairs.

        They add up to 1, or to less if the masks explain less than `LEAST` of the whole change.
        """
        weight = np.ones(len(self.squares)) if weight is None else weight
        squares, products = (np.tensordot(weight, each, axes=1) for each in (self.squares, self.products))
        known = self.squares.any(axis=(0, 2))  # a short period has nothing beside it
        explained = np.zeros(products.shape)
        explained[..., known] = np.linalg.solve(
            squares[..., known, :][..., known] + _ridge(self.squares.sum(axis=0)[known][:, known]),
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
        share, reach = (
            float(self.shares()[0]),
            NormalDist().inv_cdf(1 - STANDS / 2) * float(self._resampled(seed).std()),
        )
        return all(abs(share - turning) > reach for turning in turning_shares(by_chance))

    def _resampled(self, seed: int) -> Floats:
        """The first share of bootstrap samples, (RESAMPLES,)."""
        n = len(self.squares)
        drawn = np.random.default_rng([seed, 8]).multinomial(n, np.full(n, 1 / n), RESAMPLES).astype(np.float64)
        first: Floats = self.shares(drawn)[:, 0]
        return first


def regress(runs: Sequence[MaskedRuns]) -> Moments:
    """The regression of runs without what single lags explain."""
    pairs = [len(each.masks) for each in runs]
    fold = np.split(np.arange(sum(pairs)) % FOLDS, np.cumsum(pairs)[:-1])
    followed = _followed_at_single_lags(runs, fold)
    for number, single in enumerate(followed):
        runs = [each.without(single, of == number) for each, of in zip(runs, fold, strict=True)]
    return Moments.of(runs)


def _followed_at_single_lags(runs: Sequence[MaskedRuns], fold: Sequence[NDArray[np.intp]]) -> list[Floats]:
    """How much the forecast follows each lag beyond its class, (lags,), for each fold from all other folds.

    The penalty is the one that predicts left out folds best.
    """
    lags = int(max(each.weights.lag.max() for each in runs)) + 1
    squares, products = np.zeros((FOLDS, 3 + lags, 3 + lags)), np.zeros((FOLDS, 3 + lags))
    for each, of in zip(runs, fold, strict=True):
        by_pair = _sums(np.concatenate((each.replaced, each.by_lag(lags)), axis=-1), each)
        for total, part in zip((squares, products), by_pair, strict=True):
            np.add.at(total, of, part)
    single = np.diag(np.arange(3 + lags) >= 3).astype(np.float64)
    fits = np.empty((len(PENALTIES), FOLDS, 3 + lags))
    loss = np.zeros(len(PENALTIES))
    for number in range(FOLDS):
        others, known = squares.sum(axis=0) - squares[number], products.sum(axis=0) - products[number]
        scale = np.trace(single @ others) / lags
        for i, penalty in enumerate(PENALTIES):
            ridge = penalty * scale * single + _ridge(others)
            fit = fits[i, number] = np.linalg.solve(others + ridge, known)
            loss[i] += fit @ squares[number] @ fit - 2 * fit @ products[number]
    return list(fits[loss.argmin(), :, 3:])


def _ridge(squares: Floats) -> Floats:
    """What is added to the diagonal, so that the equations have a solution."""
    ridge: Floats = max(TINY * np.trace(squares), np.finfo(np.float64).tiny) * np.eye(len(squares))
    return ridge


def _sums(regressors: Floats, runs: MaskedRuns) -> tuple[Floats, Floats]:
    """Sums of products of regressors (pairs, 2, future, k) with each other and the response, by pair."""
    weighted = regressors * np.sqrt(runs.size)[:, None]
    flat = weighted.reshape(len(weighted), -1, weighted.shape[-1])
    squares: Floats = flat.swapaxes(1, 2) @ flat
    products: Floats = np.einsum("nmf,nmfk->nk", runs.response, regressors)
    return squares, products
