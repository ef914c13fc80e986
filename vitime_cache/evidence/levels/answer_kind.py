"""Decides the kind of answer from the figures of the first two levels alone."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import xarray as xr

from vitime_cache.evidence.levels.single_heads import MARGIN
from vitime_cache.evidence.verdict import schema as vschema

CARRIED = 0.5  # share of what values carry above which they carry it mostly whole periods back
AHEAD = 0.2  # lead of whole periods back over the largest other phase, or over chance where another phase leads too
COVERED = 0.25  # share of the whole change below which values say little about it
CHANCE = 0.1  # κ below this counts as chance
ALONE = 0.2  # κ above this is accepted from the input alone, without attention shown there
SHARES = (-0.5, 1.5)  # outside, parts of the past work against one another so much that a share is no yes
BLURRED = 0.5  # of the ink of a patch comes from its neighbours, at most: a blur of 5 columns and patches of 8
HELD = 0.75  # share of their squared influence; more left while reads there are held: it does not pass through them


@dataclass(frozen=True)
class Figures:
    """The figures behind the kind of answer: shares and ends of their intervals, effects in standard deviations."""

    effect: float
    influence_low: float
    influence_high: float
    by_chance: float
    carried_effect: float
    coverage: float
    share_low: float
    rest: float
    margin_low: float
    influence_share: float = np.nan
    near: float = np.nan
    far: float = np.nan
    beside: float = np.nan  # share of values one patch beside whole periods back
    size: float = np.nan  # squared change by values whole periods back alone, relative to that by every value
    held: float = np.nan  # squared influence of lags whole periods back left while values read there are held

    @classmethod
    def of(cls, ds: xr.Dataset) -> Figures:
        """From a verdict whose first two levels are finished."""
        names = (
            "influence_effect", "influence_low", "influence_high", "influence_by_chance", "mechanism_effect",
            "mechanism_coverage", "mechanism_low", "mechanism_rest", "mechanism_margin_low", "influence_share",
            "influence_near", "influence_far", "mechanism_beside", "mechanism_size",
        )  # fmt: skip
        return cls(*(*(float(ds[name]) for name in names), held_share(ds)))

    @property
    def kappa(self) -> tuple[float, float]:
        """Interval of κ = (share - by chance) / (1 - by chance): 0 is chance, 1 is all from whole periods back."""
        return self._beyond_chance(self.influence_low), self._beyond_chance(self.influence_high)

    @property
    def followed(self) -> bool:
        """Level 1: the input alone shows more than chance."""
        return self.more_than(0)

    def more_than(self, kappa: float) -> bool:
        """Level 1: the whole interval of κ is above this, and the shares are those of parts that add up."""
        return self.kappa[0] > kappa and self.add_up

    @property
    def add_up(self) -> bool:
        """Level 1: no share lies far outside 0 to 1, as those of parts that work against one another do."""
        return not any(share < SHARES[0] or share > SHARES[1] for share in (self.influence_share, self.near, self.far))

    @property
    def alone(self) -> bool:
        """Level 1 shows enough by itself, apart from ink that is blurred into what is read one patch beside."""
        return self.add_up and self._beyond_chance(self.influence_low - self.blurred) > ALONE

    @property
    def blurred(self) -> float:
        """The share whole periods back that may be ink of what is read one patch beside."""
        return BLURRED * max(self.beside, 0.0) if self.carried and np.isfinite(self.beside) else 0.0

    @property
    def gone(self) -> bool:
        """Holding what is read whole periods back takes nearly all of its influence away: no other route has it."""
        return self.held < 1 - HELD

    @property
    def no_more(self) -> bool:
        """Level 1: surely about as much as by chance, or less."""
        return self.kappa[1] < CHANCE

    @property
    def opposed(self) -> bool:
        """Level 2: values whole periods back change the forecast by themselves, whatever their part of the change."""
        return self.carried and self._beyond_chance(self.size) > ALONE

    @property
    def through(self) -> bool:
        """Both levels are about the same past: holding what is read whole periods back takes its influence away."""
        return not self.held > HELD

    def _beyond_chance(self, share: float) -> float:
        return (share - self.by_chance) / (1 - self.by_chance) if self.by_chance < 1 else np.nan

    @property
    def carried(self) -> bool:
        """Level 2: values carry enough of the whole change to say something about it."""
        return self.carried_effect >= MARGIN and self.coverage >= COVERED

    @property
    def ahead(self) -> bool:
        """Level 2, its last condition: values whole periods back carry more than those at any other phase."""
        return self.carried and self.margin_low > AHEAD

    @property
    def besides(self) -> bool:
        """Level 2: values whole periods back carry well more than by chance, even if another phase carries as much."""
        return self.carried and self._beyond_chance(self.share_low) > AHEAD

    @property
    def mostly(self) -> bool:
        """Level 2, all conditions: whole periods back carry more than half, the rest less than half."""
        return self.ahead and self.share_low > CARRIED and self.rest < CARRIED


def held_share(ds: xr.Dataset) -> float:
    """Squared influence of lags whole periods back while the values read there are held, by that in the intact run."""
    curves = ds["influence_curve"].sel({vschema.PAST_LAG: ds["whole_periods"]})
    intact, blocked = (float((curves.sel({vschema.CURVE: curve}) ** 2).sum()) for curve in vschema.CURVES)
    return blocked / intact if intact > 0 else np.nan


def turning_shares(by_chance: float) -> tuple[float, ...]:
    """Shares whole periods back at which the kind of answer changes, given the share by chance."""
    return tuple(by_chance + kappa * (1 - by_chance) for kappa in (0.0, CHANCE, ALONE))


def kind_of(ds: xr.Dataset) -> str:
    """The kind of answer (of `levels.table.KINDS`) that a verdict's figures lead to; "open" while a level is missing.

    The forecast is "indifferent" to the phase of its past if the whole stand-in changes it by less than the margin. It
    follows its past "elsewhere" if the whole interval of κ is below `CHANCE` and no parts of the past work against one
    another: a network that takes the mean of two opposite phases follows both. If another phase carries as much,
    attention whole periods back does not show that the period is special, and κ must itself exceed `CHANCE`: a random
    network with attention by content reads a little more at the same phase. The forecast follows whole periods back by
    a "detour" (routes over several layers, or changes of where heads look) if the whole interval of κ is above `ALONE`
    and values there are not shown to carry well more than by chance: a single level must show more. What is read one
    patch beside whole periods back has ink of them, which is no detour; nor is it one if the influence goes when the
    values read there are held. If only the values say yes, the answer is "unsettled", because the input decides and has
    not shown it. Both levels may say yes about different pasts (one head moves content along, another reads one period
    back of that); then the influence stays while the reads are held, and attention there is not what carries it.
    """
    if not {"influence", "mechanism"} <= set(vschema.facts(ds, "stages")):
        return "open"
    return kind_of_figures(Figures.of(ds))


def kind_of_figures(f: Figures) -> str:
    """The kind of answer that these figures lead to."""
    if f.effect < MARGIN:
        return "indifferent"
    if f.followed and f.mostly and f.through:
        return "mostly"
    if ((f.followed and f.ahead) or (f.more_than(CHANCE) and f.besides)) and f.through:
        return "partly"
    if f.alone and not f.gone:
        return "detour"
    if f.ahead:
        return "unsettled"
    return "elsewhere" if f.no_more and f.add_up and not f.opposed else "not shown"
