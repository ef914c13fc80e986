"""Influence: does the forecast follow what lies whole periods back? This level uses the model's input alone.

Every patch of the history is replaced, with probability ½, by the patch of a stand-in: the same history moved by a
share of its period. The change of each future patch is projected on its change under the whole stand-in, and regressed
on how much of the columns whole periods back, beside them and elsewhere was replaced (`mask_regression`). Shares are
relative to the sum of the three: where half a stand-in does more or less than half of what the whole one does, as with
a forecast that reacts strongly to noise, it does so at every lag. Masks come in pairs, a mask and its complement, so
that the joint effect of two replaced patches averages out. The interval is a bootstrap over these pairs.

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

from vitime_cache.arrays import Floats
from vitime_cache.evidence.levels.mask_regression import ColumnWeights, MaskedRuns, regress
from vitime_cache.evidence.levels.single_heads import MARGIN
from vitime_cache.evidence.window_runs import Told, WindowRuns, cells

MASKS = 96  # masks in the first stage, over all windows and stand-ins
MOST_MASKS = 288  # most masks, if the interval stays wide
HALF_WIDTH = 0.1  # half width of the share's interval up to which masks are added, if the answer can still change
CELLS = 4  # stand-ins over all windows


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
    runs = [each.run(_pairs(masks, len(chosen)), rng, told) for each in prepared]
    found = regress(runs)
    low, high = found.interval(seed)
    wanted = min(most, int(np.ceil(found.masks * ((high - low) / 2 / HALF_WIDTH) ** 2)))
    if wanted > found.masks and not found.stands(seed, weights.by_chance):
        pairs = _pairs(wanted - found.masks, len(chosen))
        found = regress([ran.then(each.run(pairs, rng, told)) for ran, each in zip(runs, prepared, strict=True)])
        low, high = found.interval(seed)
    share, near, far = (float(each) for each in found.shares())
    return Influence(effect, share, low, high, weights.by_chance, near, far, found.masks)


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

    def run(self, pairs: int, rng: np.random.Generator, told: Told) -> MaskedRuns:
        """Run `pairs` new masks and their complements."""
        half = rng.random((pairs, self.window.first_future)) < 0.5
        masks = np.stack((half, ~half), axis=1)
        by_column = np.repeat(masks, self.window.patch_width, axis=-1)[..., : self.window.history_columns]
        drawn = np.where(by_column, self.stand_in, self.window.drawn)
        rows = self.window.forecasts(drawn.reshape(2 * pairs, -1), told)
        change = self.window.change_by_patch(rows)[:, -len(self.whole) :]
        response = (change * self.whole).sum(axis=-1).reshape(pairs, 2, -1)
        return MaskedRuns(self.weights, (self.whole**2).sum(axis=-1), masks, response)


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
    window: WindowRuns, seed: int = 0, told: Told = lambda _: None, *, every: int = 1
) -> InfluenceCurve:  # fmt: skip
    """Replace one patch of the history at a time by a stretch from elsewhere in it, with the trend kept.

    Parameters
    ----------
    every
        Replace only the patches 0, `every`, 2 · `every`, …; with several future patches that leaves no lag out.

    Returns
    -------
    Root mean square change of future patches, mean over all pairs of patches at a lag.
    """
    occluded = one_patch_replaced(window.drawn, window.patch_width, np.random.default_rng([seed, 5]))
    patches, occluded = np.arange(len(occluded))[::every], occluded[::every]
    future = _future(window)
    lag = future - patches[:, None]
    found = []
    for rows in (window.forecasts(occluded, told), window.forecasts_holding(occluded, window.on, told)):
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
