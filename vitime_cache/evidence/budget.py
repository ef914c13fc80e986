"""How much of a question fits into a time: runs of the model counted, and what gives way first when they are too many.

Pure arithmetic: what one run costs is measured by the caller.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

LEAST_NULLS, LEAST_CONTROLS = 19, 24  # the fewest that reach 5 %, the latter at four fifths of the level
FEWEST_KNOCKED, FEWEST_REFERENCES = 12, 8  # a head's effect is held against those of others
PHASES = 10  # of the period's comb, about
ABOVE = 0.55  # of a forward pass: what lies above a layer, mean over layers
SCREENING = 3  # forward passes that a forward and a backward pass cost
SMALL = 1000  # tokens of a network whose passes take milliseconds, and a whole question a minute
BUDGET = 30.0  # minutes to propose where a question would take hours
RESERVE = 0.85  # of a budget that is planned with


@dataclass(frozen=True)
class Effort:
    """Runs that a question takes.

    Attributes
    ----------
    heads
        Asked about.
    knocked, candidates
        Of these, how many are knocked out and how many masked; below `heads` they are chosen by screening.
    windows, nulls, kinds, sweep, controls
        Windows, null inputs of a kind and window, kinds, periods of the sweep, control combs.
    sets
        Random sets of heads knocked out together.
    references
        Signals whose mean replaces a head, at most.
    """

    heads: int
    knocked: int
    candidates: int
    windows: int
    nulls: int
    kinds: int
    sweep: int
    controls: int
    sets: int
    references: int = 26

    @property
    def screened(self) -> bool:
        """Whether screening chooses the heads that are tested."""
        return self.candidates < self.heads

    def seconds(self, run: float, forward: float) -> float:
        """Time for all of it, from the time of a run that pools attention and of a plain forward pass."""
        pooled = self.windows * (1 + self.nulls * self.kinds) + self.sweep
        knocked = (ABOVE * self.knocked + 1) * (self.windows + 2) + self.references  # the windows, and two stand-ins
        masked = ABOVE * self.candidates * (PHASES + 2 * self.controls) * self.windows
        together = ABOVE * (1 + self.sets)
        return run * pooled + forward * (knocked + masked + together + SCREENING * self.screened)


def fit_budget(wanted: Effort, run: float, forward: float, budget: float) -> Effort:
    """The most that `budget` seconds allow: windows give way first, then nulls and controls, then heads.

    What is left when nothing more can give way is returned even if it takes longer.
    """
    least = {
        "nulls": min(wanted.nulls, LEAST_NULLS), "controls": min(wanted.controls, LEAST_CONTROLS), "sets": 0,
    }  # fmt: skip
    steps = [
        wanted,
        replace(wanted, windows=1),
        replace(wanted, windows=1, nulls=min(wanted.nulls, 2 * LEAST_NULLS)),
        replace(wanted, windows=1, **least),
        replace(wanted, windows=1, **least, sweep=min(wanted.sweep, 16)),
        replace(wanted, windows=1, **least, sweep=min(wanted.sweep, 16), references=FEWEST_REFERENCES),
    ]
    room = budget * RESERVE
    for effort in steps:
        if effort.seconds(run, forward) <= room:
            return effort
    smallest = steps[-1]
    while smallest.candidates > 1 and smallest.seconds(run, forward) > room:
        candidates = max(1, int(smallest.candidates * 0.8))
        smallest = replace(
            smallest, candidates=candidates, knocked=min(wanted.knocked, max(candidates, FEWEST_KNOCKED))
        )
    return smallest
