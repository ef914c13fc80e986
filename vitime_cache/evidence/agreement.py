"""Compares looking with mattering: do heads that look whole periods back have more effect on the forecast?"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
import xarray as xr

from vitime_cache.attention.schema import HEAD, LAYER
from vitime_cache.evidence.levels.table import OUTCOMES
from vitime_cache.evidence.verdict import schema as vschema
from vitime_cache.numerals import number

RESAMPLES = 2000
FEWEST = 5  # heads needed for a rank correlation


@dataclass(frozen=True, eq=False)
class Agreement:
    """How much every tested head looks whole periods back, its effect on the forecast, and their rank correlation.

    Attributes
    ----------
    heads
        layer, head, looking (figure of the claim "looks"), effect (figure of the claim "matters", standard deviations
        of the history) and verdict (of the claim "matters", in words), one row per head.
    rho, low, high
        Spearman's rank correlation and its 95 % bootstrap interval over heads; NaN with fewer than `FEWEST` heads, and
        where all look or matter alike.
    """

    heads: pd.DataFrame
    rho: float
    low: float
    high: float

    @property
    def words(self) -> str:
        """The correlation in a sentence."""
        if len(self.heads) < FEWEST:
            return f"Fewer than {FEWEST} heads were knocked out: no rank correlation can be given."
        if not np.isfinite(self.rho):
            alike = "look alike" if np.ptp(self.heads["looking"]) == 0 else "matter alike"
            return f"All {len(self.heads)} heads {alike}: no rank correlation can be given."
        sign = "positively" if self.low > 0 else "negatively" if self.high < 0 else "not shown to be"
        return (
            f"Rank correlation of looking with mattering over {len(self.heads)} heads: {number(self.rho, 2)} "
            f"(95 % interval {number(self.low, 2)} … {number(self.high, 2)}): {sign} related."
        )


def looking_and_mattering(verdict: xr.Dataset) -> Agreement:
    """Compare how much every head looks whole periods back with the effect of its knockout.

    Parameters
    ----------
    verdict
        As `evidence.verdict` describes it; heads for which one of the two is unknown are left out.
    """
    at = verdict.transpose(..., LAYER, HEAD)
    looking, effect = (at["figure"].sel({vschema.CLAIM: claim}).values.ravel() for claim in ("looks", "matters"))
    codes = at["verdict"].sel({vschema.CLAIM: "matters"}).values.ravel()
    names = np.array([str(layer) for layer in verdict[LAYER].values], dtype=object)  # stores give no numpy str
    layers, heads = np.meshgrid(names, verdict[HEAD].values, indexing="ij")
    table = pd.DataFrame(
        {
            "layer": layers.ravel(),
            "head": heads.ravel(),
            "looking": looking.astype(np.float64),
            "effect": effect.astype(np.float64),
            "verdict": [OUTCOMES[int(code)].word for code in codes],
        }
    )
    known = table[np.isfinite(table["looking"]) & np.isfinite(table["effect"])].reset_index(drop=True)
    return Agreement(known, *_spearman(known["looking"].to_numpy(), known["effect"].to_numpy()))


def _spearman(x: np.ndarray, y: np.ndarray) -> tuple[float, float, float]:
    """Rank correlation and its percentile bootstrap interval; NaN where either does not vary."""
    if len(x) < FEWEST or np.ptp(x) == 0 or np.ptp(y) == 0:
        return np.nan, np.nan, np.nan
    drawn = np.random.default_rng(0).integers(0, len(x), (RESAMPLES, len(x)))
    low, high = np.nanpercentile(_rank_correlation(x[drawn], y[drawn]), (2.5, 97.5))
    return float(_rank_correlation(x, y)), float(low), float(high)


def _rank_correlation(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Spearman's correlation of rows (..., n), (...); NaN where a row does not vary. A loop would take a second."""
    from scipy.stats import rankdata

    a, b = (rankdata(each, axis=-1) - (each.shape[-1] + 1) / 2 for each in (x, y))
    scale = np.sqrt((a**2).sum(axis=-1) * (b**2).sum(axis=-1))
    rho: np.ndarray = (a * b).sum(axis=-1) / np.where(scale > 0, scale, np.nan)
    return rho
