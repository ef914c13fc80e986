"""The heads of a verdict in order, and a table with a row for each."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr

from vitime_cache.attention.schema import HEAD, LAYER
from vitime_cache.evidence.levels.table import CLAIMS, OUTCOMES, STAGES, SUPPORTED
from vitime_cache.evidence.verdict import schema as vschema

if TYPE_CHECKING:
    import pandas as pd

# Names of a claim's columns in tables and JSON: the figure has this name, the others add _low, _high, _p, _verdict.
COLUMN = {claim.name: "knockout" if claim.name == "matters" else claim.name for claim in CLAIMS}


def head_order(ds: xr.Dataset) -> list[tuple[int, int]]:
    """Indices (layer, head) of the heads asked about, best first: the order in command, card, page and chart.

    The set comes first in its order, then the others by their claims: supported first, then by larger figure.
    """
    rank = np.nan_to_num(ds["set_rank"].transpose(LAYER, HEAD).values, nan=np.inf)
    verdict = ds["verdict"].transpose(vschema.CLAIM, LAYER, HEAD).values == SUPPORTED
    figure = np.nan_to_num(ds["figure"].transpose(vschema.CLAIM, LAYER, HEAD).values, nan=-np.inf)
    share = np.nan_to_num(ds["head_share"].transpose(LAYER, HEAD).values, nan=-np.inf)

    def key(at: tuple[int, int]) -> tuple[Any, ...]:
        place = (slice(None), *at)
        return rank[at], *(~verdict[place]).tolist(), *(-figure[place]).tolist(), -share[at], at

    asked = ds["asked"].transpose(LAYER, HEAD).values
    return sorted(((int(i), int(h)) for i, h in np.argwhere(asked)), key=key)


def set_heads(ds: xr.Dataset) -> list[tuple[int, int]]:
    """Indices (layer, head) of the few heads that carry most of it, in order; empty without a set."""
    rank = ds["set_rank"].transpose(LAYER, HEAD).values
    return [(int(i), int(h)) for i, h in sorted(np.argwhere(np.isfinite(rank)), key=lambda at: rank[tuple(at)])]


def to_come(ds: xr.Dataset) -> list[str]:
    """Levels that a partial verdict lacks; empty for a complete one."""
    return [stage for stage in STAGES if stage not in vschema.facts(ds, "stages")]


def claim_figures(ds: xr.Dataset) -> dict[str, xr.DataArray]:
    """The figure of each claim whose level has run, over (layer, head), as measures of the heads: NAME_figure."""
    figures = {}
    for claim in (each for each in CLAIMS if each.level in vschema.facts(ds, "stages")):
        of = ds["figure"].sel({vschema.CLAIM: claim.name}, drop=True).astype("float64")
        label = {"long_name": f"{claim.title.lower()}: the figure of this claim", "units": claim.units}
        figures[f"{claim.name}_figure"] = of.assign_attrs(label)
    return figures


def verdict_table(ds: xr.Dataset) -> pd.DataFrame:
    """One row for each head asked about, best first.

    Columns: layer, head; rank in the set and share of what is read whole periods back; for each claim its figure,
    interval, corrected p-value and verdict in words, named as in `COLUMN`; lag of the strongest peak in samples.
    """
    import pandas as pd

    last = ds.isel({vschema.REGION: -1}).transpose(..., LAYER, HEAD)
    arrays = {name: last[name].values for name in ("verdict", "figure", "low", "high", "p_value")}
    rows = []
    for at in head_order(ds):
        row: dict[str, Any] = {LAYER: str(ds[LAYER].values[at[0]]), HEAD: int(ds[HEAD].values[at[1]])}
        row |= {"set_rank": float(last["set_rank"].values[at]), "share": float(last["head_share"].values[at])}
        for c, claim in enumerate(CLAIMS):
            name, place = COLUMN[claim.name], (c, *at)
            row |= {
                name: float(arrays["figure"][place]),
                f"{name}_low": float(arrays["low"][place]), f"{name}_high": float(arrays["high"][place]),
                f"{name}_p": float(arrays["p_value"][place]),
                f"{name}_verdict": OUTCOMES[int(arrays["verdict"][place])].word,
            }  # fmt: skip
        rows.append(row | {"peak_lag": float(last["peak_lag"].values[at])})
    return pd.DataFrame(rows)
