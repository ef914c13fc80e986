"""The few heads: the smallest set of heads that carries nine tenths of what values whole periods back carry.

On some stand-ins and windows, heads are ranked by what each carries alone; the set is the shortest prefix that carries
nine tenths of what all heads carry. On other stand-ins and windows the set is tested alone, and all heads without it.
Random sets with as many heads in each layer are shown for comparison. A head outside the set belongs to the family of
one inside if the set carries enough with either of the two, but not with neither.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from vitime_cache.arrays import Bools, Floats
from vitime_cache.evidence.window_runs import Cell, Told, WindowRuns, cells

if TYPE_CHECKING:
    from vitime_cache.model.network import ViTime

CELLS = 4  # stand-ins over all windows: every second one is used to choose, the others to test
TARGET = 0.9
MOST = 16  # heads in a set
RANDOM_SETS = 40
RIVALS = 4  # heads outside the set that are tried in place of one inside

Index = tuple[int, int]  # (layer, head) by number


@dataclass(frozen=True, eq=False)
class HeadSet:
    """The set, and what it carries on stand-ins and windows that were not used to choose it.

    Attributes
    ----------
    head_share
        (layer, head): share that each head carries alone, on the choosing half; NaN if not tried.
    heads
        The set, strongest head first.
    path
        Share that the first n heads carry, on the choosing half; at most `MOST` entries.
    share, without
        Share that the set carries alone, and share that all other heads carry without it.
    random
        Shares that random sets with as many heads in each layer carry.
    families
        Heads of the set, each with the heads that could replace it.
    """

    head_share: Floats
    heads: list[Index]
    path: Floats
    share: float
    without: float
    random: Floats
    families: list[list[Index]]


@dataclass(frozen=True, eq=False)
class HeadReads:
    """The effect of patching single heads whole periods back, on one stand-in and window.

    Attributes
    ----------
    effect
        (layer, head): root mean square change of the forecast, standard deviations of the history; NaN: not patched.
    projection
        (layer, head): the change projected on the change from all heads together.
    size
        Squared norm of the change from all heads together.
    """

    effect: Floats
    projection: Floats
    size: float


def read_heads(window: WindowRuns, draw: int, heads: Bools, told: Told = lambda _: None) -> HeadReads:
    """Patch every one of `heads` (layer, head) alone."""
    index = list(zip(*(at.tolist() for at in np.nonzero(heads)), strict=True))
    rows, projection, size = _carried(window, draw, [[head] for head in index], told)
    effect, projected = np.full(heads.shape, np.nan), np.full(heads.shape, np.nan)
    effect[heads], projected[heads] = window.effect(rows), projection
    return HeadReads(effect, projected, size)


def choose_and_test(
    windows: Sequence[WindowRuns], heads: Bools, seed: int = 0, told: Told = lambda _: None,
    reads: dict[Cell, HeadReads] | None = None, *, compared: bool = True,
) -> HeadSet | None:  # fmt: skip
    """Choose the set among `heads` (layer, head) and test it; None where all heads together carry nothing.

    Parameters
    ----------
    reads
        Filled with the effects of patching single heads, by stand-in and window.
    compared
        Whether random sets and families are computed for comparison.
    """
    every = cells(len(windows), CELLS)
    choosing, testing = every[::2], every[1::2]
    reads = {} if reads is None else reads
    for cell in choosing:
        reads[cell] = read_heads(windows[cell.window], cell.draw, heads, told)
    size = sum(reads[cell].size for cell in choosing)
    if size == 0:
        return None
    share: Floats = np.sum([reads[cell].projection for cell in choosing], axis=0) / size
    order = np.argwhere(heads)[np.argsort(-share[heads], kind="stable")]
    ranked = [(int(i), int(j)) for i, j in order[:MOST]]
    path: list[float] = []
    while len(path) < len(ranked) and (not path or max(path) < TARGET):
        prefixes = [ranked[: n + 1] for n in range(len(path), min(len(path) + 4, len(ranked)))]
        path += _shares(windows, choosing, prefixes, told).tolist()
    reached = [n for n, carried in enumerate(path) if carried >= TARGET]
    path = path[: reached[0] + 1] if reached else path
    chosen, rivals = ranked[: len(path)], ranked[len(path) : len(path) + RIVALS]
    others = [(i, j) for i, j in np.ndindex(heads.shape) if (i, j) not in chosen]
    carried, without = _shares(windows, testing, [chosen, others], told).tolist()
    found = HeadSet(share, chosen, np.array(path), carried, without, np.empty(0), [])
    if not compared:
        return found

    def tested(sets: Sequence[Sequence[Index]], some: Sequence[Cell] = testing) -> Floats:
        return _shares(windows, some, sets, told)

    random = _random_sets(windows[0].model, chosen, seed)
    return replace(
        found, random=tested(random, testing[:1]) if random else np.empty(0),
        families=_families(chosen, rivals, TARGET * carried, tested),
    )  # fmt: skip


def _families(
    chosen: Sequence[Index], rivals: Sequence[Index], enough: float, tested: Callable[[list[list[Index]]], Floats]
) -> list[list[Index]]:
    """Heads that the set needs, each with the rivals that can replace it so that the set still carries enough."""
    less = [[head for head in chosen if head != each] for each in chosen]
    lacking, swaps = np.split(tested([*less, *([*some, rival] for some in less for rival in rivals)]), [len(less)])
    families = [
        [head, *(rival for rival, value in zip(rivals, row, strict=True) if value >= enough)]
        for head, lack, row in zip(chosen, lacking, swaps.reshape(len(chosen), len(rivals)), strict=True)
        if lack < enough
    ]
    return [each for each in families if len(each) > 1]


def _random_sets(model: ViTime, chosen: Sequence[Index], seed: int) -> list[list[Index]]:
    """Other sets with as many heads in each layer as the set; empty where there are none."""
    from vitime_cache.interventions.knockout import random_sets  # imports torch, which reading a verdict does not need

    layers = model.config.layers
    drawn = random_sets(model, [(layers[i], head) for i, head in chosen], RANDOM_SETS, seed)
    return [[(layers.index(layer), head) for layer, head in each] for each in drawn]


def _shares(windows: Sequence[WindowRuns], some: Sequence[Cell], sets: Sequence[Sequence[Index]], told: Told) -> Floats:
    """Share of the change from all heads that sets of heads carry, over stand-ins and windows, (sets,)."""
    total, size = np.zeros(len(sets)), 0.0
    for cell in some:
        _, projection, whole = _carried(windows[cell.window], cell.draw, sets, told)
        total, size = total + projection, size + whole
    shares: Floats = total / size if size else np.zeros(len(sets))
    return shares


def _carried(
    window: WindowRuns, draw: int, sets: Sequence[Sequence[Index]], told: Told
) -> tuple[Floats, Floats, float]:
    """Forecasts (sets, W) with sets of heads patched, their changes projected on that of all heads, and its square."""
    from vitime_cache.interventions.value_patch import Patch

    members = np.zeros((len(sets), *window.every_head.shape), dtype=bool)
    for member, heads in zip(members, sets, strict=True):
        for head in heads:
            member[head] = True
    known = members.any(axis=(1, 2))  # an empty set changes nothing
    values, _ = window.source(draw)
    told(1)
    run = [Patch(window.on, member) for member in (window.every_head, *members[known])]
    rows = np.tile(window.intact, (len(sets), 1))
    together, *each = window.patched(values, run, told)
    if each:
        rows[known] = each
    change = window.change(together)
    return rows, (window.change(rows) * change).sum(axis=-1), float((change**2).sum())
