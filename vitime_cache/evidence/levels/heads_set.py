"""The few heads: the smallest set of heads that carries nine tenths of what values whole periods back carry.

Heads are ranked by what each carries alone, on some stand-ins and windows; the shortest prefix that carries nine tenths
of all heads together is the set. On others it is tested: alone, and all heads without it. Random sets with as many
heads in each layer are shown beside it. A head outside the set belongs to the family of one inside where the set holds
with the one in the other's place, and does not without either.
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

CELLS = 4  # stand-ins, over all windows: every second one chooses, the others test
TARGET = 0.9
MOST = 16  # heads of a set
RANDOM_SETS = 40
RIVALS = 4  # heads outside the set that are tried in the place of one inside

Index = tuple[int, int]  # (layer, head) by number


@dataclass(frozen=True, eq=False)
class HeadSet:
    """The set, and how it does on stand-ins and windows that it was not chosen on.

    Attributes
    ----------
    head_share
        (layer, head): what each head carries alone, where the set was chosen; NaN: not tried.
    heads
        The set, the strongest first.
    path
        What the first n heads carry, where the set was chosen: as long as it took, at most `MOST`.
    share, without
        What the set carries alone, and what all other heads do without it.
    random
        What random sets with as many heads in each layer carry.
    families
        Heads of the set with those that could take their place.
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
    """What patching single heads whole periods back does, on one stand-in and window.

    Attributes
    ----------
    effect
        (layer, head): root mean square change of the forecast, standard deviations of the history; NaN: not patched.
    projection
        (layer, head): the change projected on that of all heads together.
    size
        Square of the latter.
    """

    effect: Floats
    projection: Floats
    size: float


def read_heads(window: WindowRuns, draw: int, heads: Bools, told: Told = lambda _: None) -> HeadReads:
    """Patch every one of `heads` (layer, head) alone."""
    index = list(zip(*(at.tolist() for at in np.nonzero(heads)), strict=True))
    rows, projection, size = _carried(window, draw, heads.shape, [[head] for head in index], told)
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
        Filled with what patching single heads did, by stand-in and window.
    compared
        Whether random sets and families are worked out, beside which the set is told.
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
        path += _shares(windows, choosing, heads.shape, prefixes, told).tolist()
    reached = [n for n, carried in enumerate(path) if carried >= TARGET]
    path = path[: reached[0] + 1] if reached else path
    chosen, rivals = ranked[: len(path)], ranked[len(path) : len(path) + RIVALS]
    others = [(i, j) for i, j in np.ndindex(heads.shape) if (i, j) not in chosen]
    carried, without = _shares(windows, testing, heads.shape, [chosen, others], told).tolist()
    found = HeadSet(share, chosen, np.array(path), carried, without, np.empty(0), [])
    if not compared:
        return found

    def tested(sets: Sequence[Sequence[Index]], some: Sequence[Cell] = testing) -> Floats:
        return _shares(windows, some, heads.shape, sets, told)

    random = _random_sets(windows[0].model, chosen, seed)
    return replace(
        found, random=tested(random, testing[:1]) if random else np.empty(0),
        families=_families(chosen, rivals, TARGET * carried, tested),
    )  # fmt: skip


def _families(
    chosen: Sequence[Index], rivals: Sequence[Index], enough: float, tested: Callable[[list[list[Index]]], Floats]
) -> list[list[Index]]:
    """Heads of the set, each with the rivals with one of which in its place the set carries enough, and not without."""
    less = [[head for head in chosen if head != each] for each in chosen]
    lacking, swaps = np.split(tested([*less, *([*some, rival] for some in less for rival in rivals)]), [len(less)])
    families = [
        [head, *(rival for rival, value in zip(rivals, row, strict=True) if value >= enough)]
        for head, lack, row in zip(chosen, lacking, swaps.reshape(len(chosen), len(rivals)), strict=True)
        if lack < enough
    ]
    return [each for each in families if len(each) > 1]


def _random_sets(model: ViTime, chosen: Sequence[Index], seed: int) -> list[list[Index]]:
    """Sets with as many heads in each layer as the set has, others than it; none where there are no others."""
    from vitime_cache.interventions.knockout import random_sets  # torch, which whoever reads a verdict does without

    layers = model.config.layers
    drawn = random_sets(model, [(layers[i], head) for i, head in chosen], RANDOM_SETS, seed)
    return [[(layers.index(layer), head) for layer, head in each] for each in drawn]


def _shares(
    windows: Sequence[WindowRuns], some: Sequence[Cell], shape: tuple[int, int], sets: Sequence[Sequence[Index]],
    told: Told,
) -> Floats:  # fmt: skip
    """What sets of heads carry of what all heads do, over stand-ins and windows, (sets,)."""
    total, size = np.zeros(len(sets)), 0.0
    for cell in some:
        _, projection, whole = _carried(windows[cell.window], cell.draw, shape, sets, told)
        total, size = total + projection, size + whole
    shares: Floats = total / size if size else np.zeros(len(sets))
    return shares


def _carried(
    window: WindowRuns, draw: int, shape: tuple[int, int], sets: Sequence[Sequence[Index]], told: Told
) -> tuple[Floats, Floats, float]:
    """Forecasts (sets, W) with sets of heads patched, their projections on that of all heads, and its square."""
    from vitime_cache.interventions.value_patch import Patch, lag_pairs

    on = lag_pairs(window.on, window.first_future)
    members = np.zeros((len(sets), *shape), dtype=bool)
    for member, heads in zip(members, sets, strict=True):
        for head in heads:
            member[head] = True
    known = members.any(axis=(1, 2))  # of no heads nothing is patched
    values, _ = window.source(draw)
    told(1)
    run = [Patch(0, on, member) for member in (np.ones(shape, dtype=bool), *members[known])]
    rows = np.tile(window.intact, (len(sets), 1))
    together, *each = window.patched(values, run, told)
    if each:
        rows[known] = each
    change = window.change(together)
    return rows, (window.change(rows) * change).sum(axis=-1), float((change**2).sum())
