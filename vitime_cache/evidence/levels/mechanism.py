"""Mechanism: does the influence of the past pass through attention to whole periods back?

Attention is held as in the intact run. For queries of the forecast, in all heads at once, the values of the keys whole
periods back are taken from the run of a stand-in; then those of all other keys, of other phases, of each multiple of
the period, and in each layer alone. A share is the change of the forecast projected on its change when *every* value
comes from the stand-in. Content changes, magnitude does not.

What is read whole periods back may be passed on by later layers. So that this does not count as read elsewhere, the
values of all other keys come from a run of the stand-in in which the reads whole periods back are held.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from vitime_cache.arrays import Bools, Floats
from vitime_cache.evidence.levels.single_heads import MARGIN
from vitime_cache.evidence.window_runs import Told, WindowRuns, cells
from vitime_cache.interventions.lag_masks import (
    at_phase,
    beside_whole_periods,
    multiples,
    one_multiple,
    other_phases,
)
from vitime_cache.stats.intervals import ratio_interval

if TYPE_CHECKING:
    from vitime_cache.interventions.value_patch import Patch

CELLS = 4  # stand-ins over all windows
DETAILED = 2  # stand-ins that are split by layer and multiple; these shares have no interval
TAIL = 0.05  # error of either end of an interval


@dataclass(frozen=True, eq=False)
class Mechanism:
    """What attention to whole periods back carries; shares of the change when every value is the stand-in's.

    Attributes
    ----------
    effect
        Root mean square of that change, standard deviations of the history.
    coverage
        Share of the change under the whole stand-in that these values carry; the rest comes from where heads look.
    share, low, high
        Share of values whole periods back, with its 90 % interval.
    rest
        Share of all other values, without what they have of the reads whole periods back.
    beside
        Share of values one patch beside whole periods back: neither there nor at another phase.
    size
        Squared norm of the change by values whole periods back alone, relative to that by all values.
    by_phase
        Share of values at each of `other_phases`.
    margin_low
        Lower end of the 90 % interval of `share` minus the largest of `by_phase`.
    by_multiple
        Share of values k periods back, k = 1 … n.
    by_layer
        Share of values whole periods back in each layer alone.
    """

    effect: float
    coverage: float
    share: float
    low: float
    high: float
    rest: float
    beside: float
    size: float
    by_phase: Floats
    margin_low: float
    by_multiple: Floats
    by_layer: Floats


def measure_mechanism(
    windows: Sequence[WindowRuns], told: Told = lambda _: None, *, by_multiple: bool = True
) -> Mechanism:
    """Patch values in all heads, on several stand-ins and windows; with `by_multiple` also each multiple of the period.

    If all values together change the forecast by less than `single_heads.MARGIN`, there are no shares.
    """
    chosen = cells(len(windows), CELLS)
    parts = [
        _Projected.of(windows[cell.window], cell.draw, i < DETAILED, by_multiple, told) for i, cell in enumerate(chosen)
    ]
    size = np.array([part.size for part in parts])
    effect = float(np.sqrt(np.mean([part.effect**2 for part in parts])))
    n, m = len(other_phases(windows[0].period)), multiples(windows[0].period, windows[0].patches)
    layers = len(windows[0].model.config.layers)
    coverage = sum(part.covered for part in parts) / max(sum(part.whole for part in parts), np.finfo(float).tiny)
    if effect < MARGIN:
        nothing = np.nan
        return Mechanism(
            effect, coverage, nothing, nothing, nothing, nothing, nothing, nothing, np.full(n, np.nan), nothing,
            np.full(m, np.nan), np.full(layers, np.nan),
        )  # fmt: skip
    shares = np.stack([part.shares[: 2 + n] for part in parts])  # (cell, patch), not yet divided
    on = ratio_interval(shares[:, 0], size, TAIL)
    margins = ratio_interval(shares[:, :1] - shares[:, 2:], size, TAIL)
    mean = shares.sum(axis=0) / size.sum()
    rest = float(sum(part.rest for part in parts) / size.sum())
    there = float(sum(part.there for part in parts) / size.sum())
    detail = np.sum([part.shares[2 + n :] for part in parts[:DETAILED]], axis=0) / size[:DETAILED].sum()
    return Mechanism(
        effect, coverage, float(on.value), float(on.low), float(on.high), rest, float(mean[1]), there, mean[2:],
        float(margins.low.min()), detail[layers:] if by_multiple else np.full(m, np.nan), detail[:layers],
    )  # fmt: skip


def without_periods(window: WindowRuns) -> Floats:
    """The forecast (W,) with the values whole periods back in all heads taken from the first stand-in."""
    from vitime_cache.interventions.value_patch import Patch

    values, _ = window.source(0)
    rows: Floats = window.patched(values, [Patch(window.on, window.every_head)])[0]
    return rows


@dataclass(frozen=True, eq=False)
class _Projected:
    """One stand-in on one window: projections on the change when every value is the stand-in's.

    Attributes
    ----------
    shares
        Shares of the patches in the order of `_patches`, times `size`.
    rest
        Share of all other values, times `size`.
    size, there
        Squared norm of that change, and of the change by values whole periods back alone.
    covered, whole
        Projection of that change on the change under the whole stand-in, and the squared norm of the latter.
    """

    effect: float
    shares: Floats
    size: float
    rest: float
    there: float
    covered: float
    whole: float

    @classmethod
    def of(cls, window: WindowRuns, draw: int, by_layer: bool, by_multiple: bool, told: Told) -> _Projected:
        from vitime_cache.interventions.value_patch import Patch, all_pairs

        every, everywhere = window.every_head, all_pairs(window.patches, window.first_future)
        values, rows = window.source(draw)
        held = window.source_holding(draw, window.on)
        told(2)
        run = [Patch(everywhere, every), *_patches(window, by_layer, by_multiple)]
        forecasts = window.patched(values, run, told)
        rest = window.patched(held, [Patch(everywhere & ~window.on, every)], told)[0]
        change, whole = window.change(forecasts), window.change(rows)
        size = float((change[0] ** 2).sum())
        return cls(
            float(window.effect(forecasts[0])), (change[1:] * change[0]).sum(axis=-1), size,
            float((window.change(rest) * change[0]).sum()), float((change[1] ** 2).sum()),
            float((change[0] * whole).sum()), float((whole**2).sum()),
        )  # fmt: skip


def _patches(window: WindowRuns, by_layer: bool, by_multiple: bool) -> list[Patch]:
    """Patches in order: whole periods back; beside them; other phases; each layer alone; each multiple."""
    from vitime_cache.interventions.value_patch import Patch, lag_pairs

    period, patches, every = window.period, window.patches, window.every_head

    def at(lags: Bools) -> Patch:
        return Patch(lag_pairs(lags, window.first_future), every)

    found = [Patch(window.on, every), at(beside_whole_periods(period, patches))]
    found += [at(at_phase(period, offset, patches)) for offset in other_phases(period)]
    if by_layer:
        found += [Patch(window.on, layer) for layer in np.eye(len(every), dtype=bool)[:, :, None] & every]
    if by_layer and by_multiple:
        found += [at(one_multiple(period, k, patches)) for k in range(1, multiples(period, patches) + 1)]
    return found
