"""How much of a question fits into a time: runs of the model counted, and what gives way first when they are too many.

Pure arithmetic: what one run costs is measured by the caller. The model and its mechanism come first, then the few
heads, then as many single heads as the time allows; null inputs and the sweep give way before any of that.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from vitime_cache.evidence.levels import heads_set, mechanism, single_heads

LEAST_MASKS = 48
FEWEST_HEADS = 8  # that a plan leaves to the time that remains
ABOVE = 0.55  # of a forward pass: what lies above a layer, mean over layers
PHASES = 5  # patches of level 2 besides multiples and layers, about
SMALL = 1000  # tokens of a network whose passes take milliseconds, and a whole question a minute
BUDGET = 30.0  # minutes to propose where a question would take hours
RESERVE = 0.85  # of a budget that is planned with
NO_DETAILS = (
    "the influence of every single patch, what each multiple of the period carries, the forecast without whole periods "
    "back, random sets of heads and heads that could stand in for others are not worked out"
)
SCREENED = 0.05  # share of a layer whose heads are worth testing one by one


@dataclass(frozen=True)
class Effort:
    """Runs that a question takes.

    Attributes
    ----------
    heads, network
        Asked about, and all that the network has.
    tested
        Of those asked about, how many are tested one by one; below `heads`, those of the layers that carry most.
    layers, windows, history_patches, multiples
        Of the network, the question and its geometry.
    masks, most_masks
        Of the input, and where these leave a wide interval.
    details
        Whether that is measured on which no answer rests: the influence of every single patch, what each multiple of
        the period carries, the forecast without whole periods back, random sets and families of heads.
    nulls, kinds, sweep
        Null inputs of a kind, kinds, periods of the sweep; 0: that level is left out.
    fewest_nulls
        With which the level asked for can be reached.
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
        """Whether heads are tested in the order of what their layers carry, as far as time allows."""
        return self.tested < self.heads

    @property
    def cells(self) -> int:
        """Stand-ins, over all windows."""
        return max(mechanism.CELLS, self.windows)

    def model_runs(self) -> float:
        """Forward passes of the first two levels: what the headline takes."""
        curve = 2 * self.history_patches if self.details else 0
        apart = mechanism.DETAILED * (self.multiples * self.details + ABOVE * self.layers)
        return self.most_masks + self.cells * (2 + PHASES) + apart + curve

    def set_runs(self) -> float:
        """Forward passes of choosing and testing the few heads."""
        candidates = self.network if not self.screened else min(self.network, max(self.tested, 2 * FEWEST_HEADS))
        compared = self.details * (self.cells / 2 * 3 * heads_set.MOST + heads_set.RANDOM_SETS)
        return self.cells / 2 * (2 + ABOVE * (candidates + heads_set.MOST)) + ABOVE * compared

    def head_runs(self) -> float:
        """Forward passes that testing one head takes."""
        replicates = max(single_heads.REPLICATES, self.windows)
        return ABOVE * (2 * replicates + self.windows)

    def pooled_runs(self) -> int:
        """Runs that pool attention: looking, null inputs, the sweep."""
        return self.windows * (1 + self.nulls * self.kinds) + self.sweep

    def seconds(self, run: float, forward: float) -> float:
        """Time for all of it, from the time of a run that pools attention and of a plain forward pass."""
        passes = self.model_runs() + self.set_runs() + self.tested * self.head_runs()
        return run * self.pooled_runs() + forward * passes

    @property
    def words(self) -> str:
        """What will be done, in a line."""
        few = f"{self.masks} to {self.most_masks}" if self.most_masks > self.masks else f"{self.masks}"
        tested = (
            f"{self.heads} heads one by one"
            if not self.screened
            else f"about {self.tested} of {self.heads} heads one by one, those of the layers that carry most"
        )
        nulls = f"{self.windows * self.nulls * self.kinds} null inputs" if self.nulls else "no null inputs"
        sweep = f"a sweep of {self.sweep} periods" if self.sweep else "no sweep of periods"
        return f"{few} masks of the input, values patched on {self.cells} stand-ins, {tested}; {nulls}, {sweep}"


def fit_budget(wanted: Effort, run: float, forward: float, budget: float) -> tuple[Effort, list[str]]:
    """The most that `budget` seconds allow, and what was dropped for it, a sentence each, in the order it gave way.

    What is left when nothing more can give way is returned even if it takes longer.
    """
    room, effort, dropped = budget * RESERVE, wanted, []
    for change in _STEPS:
        if effort.seconds(run, forward) <= room:
            break
        less, said = change(effort)
        if less != effort:
            effort = less
            dropped.append(said)
    left = room - (effort.seconds(run, forward) - forward * effort.tested * effort.head_runs())
    affordable = int(max(left, 0) / (forward * effort.head_runs()))
    if affordable < effort.heads:
        tested = max(min(FEWEST_HEADS, effort.heads - 1), affordable)
        effort = replace(effort, tested=tested)
        dropped.append(
            f"Before the start: about {tested} of {wanted.heads} heads are tested one by one, those of the layers that "
            "carry most first."
        )
    return effort, dropped


def _fewer_windows(e: Effort) -> tuple[Effort, str]:
    return replace(e, windows=1), f"Before the start: one window in place of {e.windows}."


def _fewer_nulls(e: Effort) -> tuple[Effort, str]:
    nulls = min(e.nulls, e.fewest_nulls)
    return replace(e, nulls=nulls), f"Before the start: {nulls} null inputs of a kind in place of {e.nulls}."


def _shorter_sweep(e: Effort) -> tuple[Effort, str]:
    sweep = min(e.sweep, 24)
    return replace(e, sweep=sweep), f"Before the start: {sweep} periods in the sweep in place of {e.sweep}."


def _no_nulls(e: Effort) -> tuple[Effort, str]:
    return replace(e, nulls=0, sweep=0), "Before the start: null inputs and the sweep of periods are left out."


def _no_details(e: Effort) -> tuple[Effort, str]:
    return replace(e, details=False), f"Before the start: {NO_DETAILS}."


def _fewer_masks(e: Effort) -> tuple[Effort, str]:
    masks = min(e.masks, LEAST_MASKS)
    said = f"Before the start: {masks} masks of the input, and no more where they leave a wide interval."
    return replace(e, masks=masks, most_masks=masks), said


_STEPS: tuple[Callable[[Effort], tuple[Effort, str]], ...] = (
    _fewer_windows, _fewer_nulls, _shorter_sweep, _no_details, _no_nulls, _fewer_masks,
)  # fmt: skip
