"""Fits a question into a time budget: counts runs of the model, and drops parts in a fixed order.

This is pure arithmetic; the caller measures what one run costs. The model and its mechanism have priority, then the few
heads, then as many single heads as the time allows. Null inputs and the sweep are dropped before any of these.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from vitime_cache.evidence.levels import heads_set, mechanism, single_heads
from vitime_cache.shown import counted

LEAST_MASKS = 48
FEWEST_HEADS = 8  # heads tested between two looks at the clock, and so the fewest in a plan to test one by one
ABOVE = 0.55  # of a forward pass: the part above a layer, mean over layers
PHASES = 6  # patches of level 2 besides multiples and layers, approximately
SMALL = 1000  # tokens up to which passes take milliseconds and a whole question a minute
BUDGET = 30.0  # minutes to propose when a question would take hours
RESERVE = 0.85  # share of a budget that is planned
NO_DETAILS = (
    "the influence of seven patches in eight, what each multiple of the period carries, the forecast without whole "
    "periods back, random sets of heads and heads that could stand in for others are not worked out"
)
FEWER_PATCHES = 8  # without details, the influence of each eighth patch is measured
SCREENED = 0.05  # least share of a layer whose heads are tested one by one


@dataclass(frozen=True)
class Effort:
    """The size of a question, from which its runs are counted.

    Attributes
    ----------
    heads, network
        Number of heads asked about, and of all heads in the network.
    tested
        Number of heads tested one by one; if less than `heads`, those of the layers that carry most.
    layers, windows, history_patches, multiples
        Numbers of these in the network and the question.
    masks, most_masks
        Masks of the input, and the most if the interval stays wide.
    details
        Whether to measure details that no answer depends on: the influence of the other patches, what each multiple of
        the period carries, the forecast without whole periods back, random sets and families of heads.
    nulls, kinds, sweep
        Null inputs per kind, kinds, periods of the sweep; 0 leaves that level out.
    fewest_nulls
        Least number of nulls that can reach the level.
    """

    heads: int
    tested: int
    network: int
    layers: int
    windows: int
    history_patches: int
    multiples: int
    masks: int
    most_masks: int
    details: bool
    nulls: int
    kinds: int
    sweep: int
    fewest_nulls: int = 19

    @property
    def screened(self) -> bool:
        """Whether only some heads are tested, those of the layers that carry most first, as time allows."""
        return self.tested < self.heads

    @property
    def one_by_one(self) -> int:
        """Number of heads that the plan tests: `FEWEST_HEADS` are tested together, whatever time is left."""
        return max(self.tested, min(FEWEST_HEADS, self.heads))

    @property
    def cells(self) -> int:
        """Number of stand-ins over all windows."""
        return max(mechanism.CELLS, self.windows)

    def model_runs(self) -> float:
        """Forward passes of the first two levels, which the headline needs."""
        curve = 2 * self.history_patches / (1 if self.details else FEWER_PATCHES)
        apart = mechanism.DETAILED * (self.multiples * self.details + ABOVE * self.layers)
        return self.most_masks + self.cells * (3 + PHASES) + apart + curve

    def set_runs(self) -> float:
        """Forward passes to choose and test the few heads."""
        candidates = self.network if not self.screened else min(self.network, max(self.tested, 2 * FEWEST_HEADS))
        compared = self.details * (self.cells / 2 * 3 * heads_set.MOST + heads_set.RANDOM_SETS)
        return self.cells / 2 * (2 + ABOVE * (candidates + heads_set.MOST)) + ABOVE * compared

    def head_runs(self) -> float:
        """Forward passes to test one head."""
        replicates = max(single_heads.REPLICATES, self.windows)
        return ABOVE * (2 * replicates + self.windows)

    def pooled_runs(self) -> int:
        """Runs that pool attention: looking, null inputs, the sweep."""
        return self.windows * (1 + self.nulls * self.kinds) + self.sweep

    def seconds(self, run: float, forward: float) -> float:
        """Time of the whole question, given the time of a run that pools attention and of a plain forward pass."""
        passes = self.model_runs() + self.set_runs() + self.tested * self.head_runs()
        return run * self.pooled_runs() + forward * passes

    @property
    def words(self) -> str:
        """One line that says what will be done."""
        few = f"{self.masks} to {self.most_masks}" if self.most_masks > self.masks else f"{self.masks}"
        tested = (
            f"{counted(self.heads, 'head')} one by one"
            if self.one_by_one == self.heads
            else f"about {self.one_by_one} of {self.heads} heads one by one, those of the layers that carry most"
        )
        each = f"{self.nulls} of each of {self.kinds} kinds" + (" in each window" if self.windows > 1 else "")
        nulls = f"{self.windows * self.nulls * self.kinds} null inputs ({each})" if self.nulls else "no null inputs"
        sweep = f"a sweep of {self.sweep} periods" if self.sweep else "no sweep of periods"
        return f"{few} masks of the input, values patched on {self.cells} stand-ins, {tested}; {nulls}, {sweep}"


def fit_budget(wanted: Effort, run: float, forward: float, budget: float) -> tuple[Effort, list[str]]:
    """The most that `budget` seconds allow, and one sentence for each part that was dropped.

    If nothing more can be dropped, the rest is returned even if it takes longer.
    """
    room, effort = budget * RESERVE, wanted
    for change in _STEPS:
        if effort.seconds(run, forward) <= room:
            break
        effort = change(effort)
    left = room - (effort.seconds(run, forward) - forward * effort.tested * effort.head_runs())
    affordable = int(max(left, 0) / (forward * effort.head_runs()))
    if affordable < effort.heads:
        effort = replace(effort, tested=max(min(FEWEST_HEADS, effort.heads - 1), affordable))
    return effort, [f"Before the start: {each}." for each in _dropped(wanted, effort)]


def _dropped(wanted: Effort, left: Effort) -> list[str]:
    """What the smaller of two efforts leaves out, each in a phrase."""
    said = []
    if left.windows < wanted.windows:
        said.append(f"one window in place of {wanted.windows}")
    if left.nulls < wanted.nulls and left.nulls:
        said.append(f"{left.nulls} null inputs of a kind in place of {wanted.nulls}")
    if left.sweep < wanted.sweep and left.sweep:
        said.append(f"{left.sweep} periods in the sweep in place of {wanted.sweep}")
    if left.details < wanted.details:
        said.append(NO_DETAILS)
    if (left.nulls, left.sweep) == (0, 0) != (wanted.nulls, wanted.sweep):
        sweep = " and the sweep of periods" if wanted.sweep else ""
        said.append(f"null inputs{sweep} are left out")
    if left.most_masks < wanted.most_masks:
        said.append(f"{left.masks} masks of the input, and no more where they leave a wide interval")
    if left.one_by_one < wanted.one_by_one:
        said.append(
            f"about {left.one_by_one} of {wanted.heads} heads are tested one by one, those of the layers that carry "
            "most first"
        )
    return said


def _fewer_masks(e: Effort) -> Effort:
    masks = min(e.masks, LEAST_MASKS)
    return replace(e, masks=masks, most_masks=masks)


_STEPS: tuple[Callable[[Effort], Effort], ...] = (
    lambda e: replace(e, windows=1),
    lambda e: replace(e, nulls=min(e.nulls, e.fewest_nulls)),
    lambda e: replace(e, sweep=min(e.sweep, 24)),
    lambda e: replace(e, details=False),
    lambda e: replace(e, nulls=0, sweep=0),
    _fewer_masks,
)
