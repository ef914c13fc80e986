"""Which kind of answer the first two levels come to: a function of their figures alone."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import xarray as xr

from vitime_cache.evidence.levels.single_heads import MARGIN
from vitime_cache.evidence.verdict import schema as vschema

CARRIED = 0.5  # of what values carry: mostly whole periods back, or not
AHEAD = 0.2  # by which whole periods back must lead the largest other phase, or chance where another leads as much
COVERED = 0.25  # of the whole change, below which values say little about it
CHANCE = 0.1  # of what is not chance: κ below this is no more than by chance
ALONE = 0.2  # likewise: κ above this is believed of the input alone, where no attention there is shown


@dataclass(frozen=True)
class Figures:
    """What the kind of answer rests on: shares with the ends of their intervals, effects in standard deviations."""

    effect: float
    influence_low: float
    influence_high: float
    by_chance: float
    carried_effect: float
    coverage: float
    share_low: float
    rest: float
    margin_low: float

    @classmethod
    def of(cls, ds: xr.Dataset) -> Figures:
        """From a verdict whose first two levels have been worked on."""
        names = (
            "influence_effect", "influence_low", "influence_high", "influence_by_chance", "mechanism_effect",
            "mechanism_coverage", "mechanism_low", "mechanism_rest", "mechanism_margin_low",
        )  # fmt: skip
        return cls(*(float(ds[name]) for name in names))

    @property
    def kappa(self) -> tuple[float, float]:
        """Interval of (share - by chance) / (1 - by chance): 0 by chance, 1 where all comes from whole periods back."""
        return self._beyond_chance(self.influence_low), self._beyond_chance(self.influence_high)

    @property
    def followed(self) -> bool:
        """Level 1: the input alone shows more than chance."""
        return self.kappa[0] > 0

    def _beyond_chance(self, share: float) -> float:
        return (share - self.by_chance) / (1 - self.by_chance)

    @property
    def carried(self) -> bool:
        """Level 2: values carry enough of the whole change to say anything about it."""
        return self.carried_effect >= MARGIN and self.coverage >= COVERED

    @property
    def ahead(self) -> bool:
        """Level 2, its last condition: values whole periods back carry more than those at any other phase."""
        return self.carried and self.margin_low > AHEAD

    @property
    def besides(self) -> bool:
        """Level 2: they carry well more than by chance, even if another phase carries as much."""
        return self.carried and self._beyond_chance(self.share_low) > AHEAD

    @property
    def mostly(self) -> bool:
        """Level 2, all of it: more than half, and the rest less."""
        return self.ahead and self.share_low > CARRIED and self.rest < CARRIED


def turning_shares(by_chance: float) -> tuple[float, ...]:
    """Shares whole periods back at which a kind of answer turns into another, where so much comes by chance."""
    return tuple(by_chance + kappa * (1 - by_chance) for kappa in (0.0, CHANCE, ALONE))


def kind_of(ds: xr.Dataset) -> str:
    """Of `levels.table.KINDS`, the one that a verdict's figures lead to; "open" while a level is missing.

    The forecast is indifferent to its past's phase where the whole stand-in changes it by less than the margin. It
    follows its past elsewhere where κ is at most `CHANCE` by its whole interval. Where another phase carries as much,
    attention there is no witness that the period is special, and κ has to be above `CHANCE` itself: a random network
    whose attention goes by content reads a little more at the same phase. It follows whole periods back by a
    detour (routes over several layers, or by where heads look) where κ is above `ALONE` by its whole interval and
    values there are not shown to carry well more than by chance: with one witness, a little is not enough. The values'
    yes alone is unsettled: the input has the last word, and has not shown it.
    """
    if not {"influence", "mechanism"} <= set(vschema.facts(ds, "stages")):
        return "open"
    return kind_of_figures(Figures.of(ds))


def kind_of_figures(f: Figures) -> str:
    """The kind of answer of bare figures."""
    if f.effect < MARGIN:
        return "indifferent"
    if f.followed and f.mostly:
        return "mostly"
    if (f.followed and f.ahead) or (f.kappa[0] > CHANCE and f.besides):
        return "partly"
    if f.kappa[0] > ALONE:
        return "detour"
    if f.ahead:
        return "unsettled"
    return "elsewhere" if np.isfinite(f.kappa[1]) and f.kappa[1] < CHANCE else "not shown"
