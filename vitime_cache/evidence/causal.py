"""Does the forecast use it? From the effects of interventions, and of their controls, to a verdict; plain arrays.

Two interventions can carry the rung and share its level. Taking away the attention one period back, not shared out
again, as it would go to two and three periods back, which hold the same: the forecast uses what this head reads there.
Knocking the whole head out, against the other heads: the forecast uses this head, whatever it reads.

What a mask does is held against taking as much attention of every query elsewhere, and that ratio against the ratios at
all other lags. The ratio alone proves nothing: to take attention where it lies thick does more than to take as much of
it evenly, at whatever lag it lies thick. Nor does the effect alone: more attention has more effect. A series of period
P has keys of as many phases as P has patches, and lags of one phase act alike; so masking the whole comb P, 2P, 3P …
must also do more than the same comb at every other phase.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.stats import rankdata
from scipy.stats import t as student

from vitime_cache.arrays import Array
from vitime_cache.stats.corrections import FEWEST_WINDOWS, holm, interval_over_windows, sign_flip_p
from vitime_cache.stats.max_statistic import max_statistic_p

NEGLIGIBLE = 0.02  # standard deviations of the history: a smaller change of the forecast counts as none
FEWEST_CONTROLS = 3
MASK_SHARE = 0.8  # of the level: a p-value over few lags is coarse, the knockout's is not
LEAST_SPREAD = 0.25  # of log effects: heads that all do nothing must not make a little look like much
FAINT = 1e-4  # standard deviations of the history: what rounding may do to a forecast


@dataclass(frozen=True, eq=False)
class Causal:
    """What the interventions say of every head, (layer, head).

    Attributes
    ----------
    mask, comb, knockout
        Effect on the forecast (distance), mean over windows.
    comb_rank
        Of the comb among those at the other phases, by distance; 1 the largest.
    mask_low, mask_high, knockout_low, knockout_high
        95 % bootstrap intervals over windows, of every outcome, (outcome, layer, head).
    mask_p
        Of every outcome, against the other lags, corrected over heads, (outcome, layer, head).
    windows_p
        Sign-flip over windows, of the mask's ratio less that at the other lags.
    knockout_p, rank
        Of the head's distance as an outlier among all heads tested, corrected; and its rank.
    windows
        How many there were; 2 to the minus that is the smallest p-value that flipping their signs can give.
    p_value
        The smaller of the mask's and the knockout's, each divided by its share of the level.
    """

    mask: Array
    comb: Array
    comb_rank: Array
    knockout: Array
    mask_low: Array
    mask_high: Array
    knockout_low: Array
    knockout_high: Array
    mask_p: Array
    windows_p: Array
    knockout_p: Array
    rank: Array
    windows: int
    p_value: Array

    def supported(self, level: float, negligible: float = NEGLIGIBLE) -> NDArray[np.bool_]:
        """Either intervention changes the forecast more than its controls do, and by more than nothing."""
        return self.by_lags(level, negligible) | self.by_head(level, negligible)

    def by_lags(self, level: float, negligible: float = NEGLIGIBLE) -> NDArray[np.bool_]:
        """The forecast uses what the head reads at the period."""
        too_few = 0.5**self.windows > level  # windows to ask
        generalises = too_few | ~(self.windows_p > level)
        # Of what is read at two and three periods back as well, one tooth of the comb takes little.
        enough = np.fmax(self.mask, self.comb) >= negligible
        seen: NDArray[np.bool_] = (self.mask_p[0] / MASK_SHARE <= level) & (self.comb_rank == 1) & enough & generalises
        return seen

    def by_head(self, level: float, negligible: float = NEGLIGIBLE) -> NDArray[np.bool_]:
        """The forecast uses the head more than the others."""
        seen: NDArray[np.bool_] = (self.knockout_p / (1 - MASK_SHARE) <= level) & (self.knockout >= negligible)
        return seen

    def refuted(self, negligible: float = NEGLIGIBLE) -> NDArray[np.bool_]:
        """Neither intervention does anything worth the name, up to the upper end of its interval."""
        tops = [
            np.where(np.isfinite(high[0]), high[0], value)
            for high, value in ((self.mask_high, self.mask), (self.knockout_high, self.knockout))
        ]
        nothing: NDArray[np.bool_] = np.logical_and.reduce([top < negligible for top in (*tops, self.comb)])
        return nothing


def judge_interventions(
    mask: ArrayLike, controls: ArrayLike, comb: ArrayLike, other_phases: ArrayLike, knockout: ArrayLike,
    seed: int = 0, tails: tuple[int, ...] = (1, 1, -1, -1),
) -> Causal:  # fmt: skip
    """Hold every head's effects against those of its controls.

    Parameters
    ----------
    mask
        (2, window, outcome, layer, head): what masking the period does, and what taking as much attention elsewhere
        does. The first outcome is the distance. NaN for heads not tested.
    controls
        The same of masks at other lags, (2, window, control, outcome, layer, head).
    comb, knockout
        (window, outcome, layer, head).
    other_phases
        Of the comb, (window, control, outcome, layer, head).
    tails
        Sign of each outcome in which the forecast suffers.
    """
    masked, others, knocked = (np.asarray(x, dtype=np.float64) for x in (mask, controls, knockout))
    combed = np.asarray(comb, dtype=np.float64)[:, 0].mean(axis=0)
    phases = np.asarray(other_phases, dtype=np.float64)[:, :, 0].mean(axis=0)
    comb_rank = np.where(np.isfinite(combed), 1 + (phases >= combed).sum(axis=0), np.nan)
    mean, control = masked.mean(axis=1), others.mean(axis=1)  # over windows
    mask_p = np.full(mean.shape[1:], np.nan)
    if control.shape[1] >= FEWEST_CONTROLS:
        mask_p[0] = max_statistic_p(
            more_than_elsewhere(*mean[:, 0]), more_than_elsewhere(*control[:, :, 0]), LEAST_SPREAD
        )
        for i, tail in enumerate(tails):
            if i and np.isfinite(mean[:, i]).any():
                change, other_changes = tail * (mean[0, i] - mean[1, i]), tail * (control[0, :, i] - control[1, :, i])
                mask_p[i] = max_statistic_p(change, other_changes)
    windows_p = np.full(mean.shape[2:], np.nan)
    if masked.shape[1] >= FEWEST_WINDOWS and others.shape[2]:
        here, there = more_than_elsewhere(*masked[:, :, 0]), more_than_elsewhere(*others[:, :, :, 0])
        windows_p = sign_flip_p(here - there.mean(axis=1), seed)
    distance = knocked[:, 0].mean(axis=0)
    knockout_p = outlier_p(distance)
    known = np.isfinite(distance)
    rank = np.full(distance.shape, np.nan)
    rank[known] = rankdata(-distance[known], method="min")
    mask_ends, knockout_ends = interval_over_windows(masked[0], seed), interval_over_windows(knocked, seed)
    p_value = np.minimum(np.fmin(mask_p[0] / MASK_SHARE, knockout_p / (1 - MASK_SHARE)), 1)
    return Causal(
        mean[0, 0],
        combed,
        comb_rank,
        distance,
        *mask_ends,
        *knockout_ends,
        mask_p,
        windows_p,
        knockout_p,
        rank,
        masked.shape[1],
        p_value,
    )


def more_than_elsewhere(effect: ArrayLike, elsewhere: ArrayLike) -> Array:
    """Log of how many times as far a mask moves the forecast as taking as much attention elsewhere does."""
    here, there = (np.maximum(np.asarray(each, dtype=np.float64), FAINT) for each in (effect, elsewhere))
    ratio: Array = np.log(here / there)
    return ratio


def outlier_p(effect: ArrayLike) -> Array:
    """Whether a head's effect stands out of those of all the others, corrected over heads (Holm); NaN stays NaN.

    The log effect is held against the mean and deviation of the other heads' (an externally studentised residual, as in
    Grubbs' test, Technometrics 1969).
    """
    values = np.asarray(effect, dtype=np.float64)
    known = np.isfinite(values)
    logs = _log(values[known])
    n = len(logs)
    p_value = np.full(values.shape, np.nan)
    if n < FEWEST_CONTROLS + 1:
        return p_value
    others = (logs.sum() - logs) / (n - 1)
    squares = ((logs**2).sum() - logs**2) / (n - 1) - others**2
    spread = np.maximum(np.sqrt(np.maximum(squares, 0) * (n - 1) / (n - 2)), LEAST_SPREAD)
    p_value[known] = student.sf((logs - others) / (spread * np.sqrt(1 + 1 / (n - 1))), n - 2)
    return holm(p_value)


def _log(effect: Array) -> Array:
    """Log of an effect, a quarter of what is negligible or less counted as that."""
    logs: Array = np.log(np.maximum(effect, NEGLIGIBLE / 4))
    return logs
