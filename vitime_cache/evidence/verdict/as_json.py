"""The verdict as JSON: the answer in a few fields, then every number behind it."""

from __future__ import annotations

from typing import Any

import numpy as np
import xarray as xr

from vitime_cache.attention.schema import HEAD, LAYER
from vitime_cache.evidence.agreement import looking_and_mattering
from vitime_cache.evidence.levels.table import KINDS
from vitime_cache.evidence.verdict import schema as vschema
from vitime_cache.evidence.verdict.data import set_heads, verdict_table
from vitime_cache.evidence.verdict.headline import headline
from vitime_cache.evidence.verdict.report import sentences
from vitime_cache.typed_json import write_json


def answer_data(ds: xr.Dataset) -> dict[str, Any]:
    """The answer in a few fields: answer, kind (of `levels.table.KINDS`), headline, influence, mechanism and more."""

    def one(name: str) -> float:
        return float(f"{float(ds[name]):.7g}")

    spp = float(vschema.facts(ds, "window_facts")["samples_per_patch"])
    intact, blocked = (_plain(ds["influence_curve"].sel({vschema.CURVE: curve}).values) for curve in vschema.CURVES)
    by_layer = dict(zip(map(str, ds[LAYER].values), _plain(ds["mechanism_by_layer"].values), strict=True))
    by_k = dict(zip(map(str, ds[vschema.MULTIPLE].values), _plain(ds["mechanism_by_multiple"].values), strict=True))
    random = ds["set_random"].values[np.isfinite(ds["set_random"].values)]
    agreement, kind = looking_and_mattering(ds), vschema.kind(ds.attrs)
    return {
        "answer": KINDS[kind].answer, "kind": kind, "headline": headline(ds), "sentences": sentences(ds),
        "complete": vschema.complete(ds),
        "influence": {name: one(f"influence_{name}") for name in ("share", "low", "high", "by_chance", "effect")}
        | {"lags": _plain(ds[vschema.PAST_LAG].values * spp), "curve": intact, "curve_blocked": blocked},
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
    """The whole verdict as JSON: the answer, then attributes, coordinates and all numbers; missing values are null."""
    document = answer_data(ds) | {
        "attributes": {
            name: vschema.facts(ds, name) if name in vschema.ATTRIBUTES else str(value)
            for name, value in ds.attrs.items()
        },
        "coordinates": {str(name): _plain(each.values) for name, each in ds.coords.items()},
        "variables": {
            str(name): {"dims": list(each.dims), **each.attrs, "values": _plain(each.values)}
            for name, each in ds.data_vars.items()
        },
    }
    return write_json(document)


def _plain(values: np.ndarray) -> Any:
    if values.dtype.kind == "f":
        return [_plain(row) for row in values] if values.ndim else float(f"{values:.7g}")
    return values.tolist()
