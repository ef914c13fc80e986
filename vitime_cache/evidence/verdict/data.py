"""The answer as data: heads in order, a table with a row for each, JSON."""

from __future__ import annotations

import json
import math
from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr

from vitime_cache.attention.schema import HEAD, LAYER
from vitime_cache.evidence.agreement import looking_and_mattering
from vitime_cache.evidence.levels.table import CLAIMS, KINDS, OUTCOMES, STAGES, SUPPORTED
from vitime_cache.evidence.verdict import schema as v

if TYPE_CHECKING:
    import pandas as pd

# What a claim's columns are called in tables and in JSON: its figure by this name, then _low, _high, _p, _verdict.
COLUMN = {claim.name: "knockout" if claim.name == "matters" else claim.name for claim in CLAIMS}


def head_order(ds: xr.Dataset) -> list[tuple[int, int]]:
    """Indices (layer, head) of the heads asked about, best first: the order of command, card, page and chart.

    The set in its order, then by the claims: those supported first, the larger figure first among equals.
    """
    rank = np.nan_to_num(ds["set_rank"].transpose(LAYER, HEAD).values, nan=np.inf)
    verdict = ds["verdict"].transpose(v.CLAIM, LAYER, HEAD).values == SUPPORTED
    figure = np.nan_to_num(ds["figure"].transpose(v.CLAIM, LAYER, HEAD).values, nan=-np.inf)
    share = np.nan_to_num(ds["head_share"].transpose(LAYER, HEAD).values, nan=-np.inf)

    def key(at: tuple[int, int]) -> tuple[Any, ...]:
        place = (slice(None), *at)
        return rank[at], *(~verdict[place]).tolist(), *(-figure[place]).tolist(), -share[at], at

    asked = ds["asked"].transpose(LAYER, HEAD).values
    return sorted(((int(i), int(h)) for i, h in np.argwhere(asked)), key=key)


def set_heads(ds: xr.Dataset) -> list[tuple[int, int]]:
    """Indices (layer, head) of the few heads that carry most of it, in their order; none where there is no set."""
    rank = ds["set_rank"].transpose(LAYER, HEAD).values
    return [(int(i), int(h)) for i, h in sorted(np.argwhere(np.isfinite(rank)), key=lambda at: rank[tuple(at)])]


def to_come(ds: xr.Dataset) -> list[str]:
    """Levels that a partial verdict has not worked on; none of a complete one."""
    return [stage for stage in STAGES if stage not in v.facts(ds, "stages")]


def verdict_table(ds: xr.Dataset) -> pd.DataFrame:
    """One row for each head asked about, best first.

    layer, head; rank in the set and share of what is read whole periods back; for each claim its figure, interval,
    corrected p-value and verdict in words, called as `COLUMN` says; the lag of the strongest peak in samples.
    """
    import pandas as pd

    last = ds.isel({v.REGION: -1}).transpose(..., LAYER, HEAD)
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


def answer_data(ds: xr.Dataset) -> dict[str, Any]:
    """The answer in a few fields: answer, headline, influence, mechanism, set, heads, and what is asked and tested."""
    from vitime_cache.evidence.verdict.report import headline, kind, sentences

    def one(name: str) -> float:
        return float(f"{float(ds[name]):.7g}")

    spp = float(v.facts(ds, "window_facts")["samples_per_patch"])
    intact, blocked = (_plain(ds["influence_curve"].sel({v.CURVE: curve}).values) for curve in v.CURVES)
    by_layer = dict(zip(map(str, ds[LAYER].values), _plain(ds["mechanism_by_layer"].values), strict=True))
    by_k = dict(zip(map(str, ds[v.MULTIPLE].values), _plain(ds["mechanism_by_multiple"].values), strict=True))
    random = ds["set_random"].values[np.isfinite(ds["set_random"].values)]
    agreement = looking_and_mattering(ds)
    return {
        "answer": KINDS[kind(ds)].answer, "kind": kind(ds), "headline": headline(ds), "sentences": sentences(ds),
        "complete": v.complete(ds),
        "influence": {name: one(f"influence_{name}") for name in ("share", "low", "high", "by_chance", "effect")}
        | {"lags": _plain(ds[v.PAST_LAG].values * spp), "curve": intact, "curve_blocked": blocked},
        "mechanism": {name: one(f"mechanism_{name}") for name in ("share", "low", "high", "rest", "coverage", "effect")}
        | {"other_phases": _plain(ds["mechanism_phase"].values), "by_k": by_k, "by_layer": by_layer},
        "set": {
            "heads": [[str(ds[LAYER].values[i]), int(ds[HEAD].values[h])] for i, h in set_heads(ds)],
            "share": one("set_share"), "without": one("set_without"),
            "random": {"median": float(np.median(random)) if random.size else None,
                       "max": float(random.max()) if random.size else None},
        },
        "heads": verdict_table(ds).to_dict("records"),
        "looking_and_mattering": {"rho": agreement.rho, "low": agreement.low, "high": agreement.high},
    }  # fmt: skip


def to_json(ds: xr.Dataset) -> str:
    """The whole verdict as JSON: the answer, then attributes, coordinates and every number; what is missing is null."""
    document = answer_data(ds) | {
        "attributes": {
            name: v.facts(ds, name) if name in v.ATTRIBUTES else str(value) for name, value in ds.attrs.items()
        },
        "coordinates": {str(name): _plain(each.values) for name, each in ds.coords.items()},
        "variables": {
            str(name): {"dims": list(each.dims), **each.attrs, "values": _plain(each.values)}
            for name, each in ds.data_vars.items()
        },
    }
    return json.dumps(_without_nan(document), allow_nan=False)


def _plain(values: np.ndarray) -> Any:
    if values.dtype.kind == "f":
        return [_plain(row) for row in values] if values.ndim else float(f"{values:.7g}")
    return values.tolist()


def _without_nan(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _without_nan(each) for name, each in value.items()}
    if isinstance(value, list):
        return [_without_nan(each) for each in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
