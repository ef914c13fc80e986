"""A verdict for a reader: heads in order, a table, two sentences, JSON."""

from __future__ import annotations

import json
import math
from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from vitime_cache.attention.schema import HEAD, LAYER
from vitime_cache.evidence.agreement import looking_and_mattering
from vitime_cache.evidence.verdict import schema as v

if TYPE_CHECKING:
    import pandas as pd

# What is said of some heads, and what is not shown of any.
CLAIMS = {
    "descriptive": ("look one period back", "looks one period back"),
    "signal-dependent": ("look there more than on null inputs", "looks there more than on null inputs"),
    "tracking": ("have a peak that moves with the period", "has a peak that moves with the period"),
    "causal": ("matter to the forecast", "matters to the forecast"),
}
MOST_NAMED = 4
MARKS = {"supported": "✓", "not supported": "✗", "inconclusive": "?", "not tested": "–"}
# The column of `verdict_table` with the figure that each rung's verdict rests on.
FIGURES = dict(zip(v.RUNGS, ("prominence", "excess_over_nulls", "slope", "effect"), strict=True))


def verdict_table(ds: xr.Dataset) -> pd.DataFrame:
    """One row for each head asked about, best first: verdicts in words, and the figures that they rest on."""
    import pandas as pd

    rows = []
    for i, h in head_order(ds):
        row: dict[str, Any] = {LAYER: str(ds[LAYER].values[i]), HEAD: int(ds[HEAD].values[h])}
        for r, rung in enumerate(v.RUNGS):
            row[rung] = v.WORDS[int(ds["verdict"].values[r, i, h])]
            row[f"{rung}_p"] = float(ds["p_value"].values[r, i, h])
            row[FIGURES[rung]] = float(ds["figure"].values[r, i, h])
        row |= {
            **{name: float(ds[name].values[i, h]) for name in ("peak_lag", "flank_excess", "r_squared", "found")},
            "mask_distance": float(ds["mask"].values[0, :, i, h].mean()),
            "mask_elsewhere_distance": float(ds["mask_elsewhere"].values[0, :, i, h].mean()),
            "comb_distance": float(ds["comb"].values[0, :, i, h].mean()),
            "comb_rank": float(ds["comb_rank"].values[i, h]),
            "knockout_distance": float(ds["knockout"].values[0, :, i, h].mean()),
            "knockout_rank": float(ds["knockout_rank"].values[i, h]),
        }
        rows.append(row)
    return pd.DataFrame(rows)


def head_order(ds: xr.Dataset) -> list[tuple[int, int]]:
    """Indices (layer, head) of the heads asked about, best first: the order of the command, the card and the page.

    By rungs supported, then by the figure of the causal rung, then by that of the descriptive one.
    """
    supported = (ds["verdict"].values == v.SUPPORTED).sum(axis=0)
    looks, *_, matters = np.nan_to_num(ds["figure"].values, nan=-np.inf)
    found = [(int(i), int(h)) for i, h in np.argwhere(ds["asked"].values)]
    return sorted(found, key=lambda at: (-supported[at], -matters[at], -looks[at], at))


def to_come(ds: xr.Dataset) -> list[str]:
    """Rungs that a partial verdict has not worked on; none of a complete one."""
    return [rung for rung in v.RUNGS if rung not in v.facts(ds, "stages")]


def sentences(ds: xr.Dataset) -> dict[str, str]:
    """What the verdict supports, and what it does not."""
    question, window, counts = (v.facts(ds, name) for name in ("question", "window_facts", "counts"))
    stages = v.facts(ds, "stages")
    asked, verdicts = int(ds["asked"].values.sum()), ds["verdict"].values
    scope = "On this one window" if counts["windows"] == 1 else f"On {counts['windows']} windows"
    period = f"{question['period']:.4g} samples"
    parts, missing = [], []
    for r, rung in enumerate(v.RUNGS):
        if rung not in stages:
            continue
        found, (some, one) = verdicts[r] == v.SUPPORTED, CLAIMS[rung]
        if not found.any():
            missing.append(f"that any {one}")
            continue
        said = f"{found.sum()} {one if found.sum() == 1 else some}"
        if rung == "causal":
            by_lags = ds["through_lags"].values & found
            ways = [
                f"{ways.sum()} {how}{_named(ds, ways)}"
                for ways, how in ((by_lags, _by_lags(by_lags.sum())), (found & ~by_lags, "as a whole"))
                if ways.any()
            ]
            parts.append(f"{said}, {', '.join(ways)}")
        else:
            parts.append(said + _named(ds, found))
    heads = "the head" if asked == 1 else f"{asked} heads"
    supported = f"{scope} of {question['signal']!r}, at a period of {period}, of {heads} asked about: "
    supported += ("; ".join(parts) or "nothing is shown") + "."
    unsettled = {
        rung: tuple(int((verdicts[r][ds["asked"].values] == code).sum()) for code in (v.INCONCLUSIVE, v.NOT_TESTED))
        for r, rung in enumerate(v.RUNGS) if rung in stages
    }  # fmt: skip
    limits = list(missing)
    if coming := to_come(ds):
        limits.append(f"anything on the rungs not worked on: {', '.join(coming)}")
    limits.append("anything of other series" if counts["windows"] > 1 else "anything of other windows or other series")
    if window["patches_per_period"] < 4:
        limits.append("anything finer than half a patch")
    not_said = [f"This does not say: {'; '.join(limits)}."]
    if open_ := [f"{rung} {n}" for rung, (n, _) in unsettled.items() if n]:
        not_said.append(f"Heads left inconclusive, which is not a no: {', '.join(open_)}.")
    if untested := [f"{rung} {n}" for rung, (_, n) in unsettled.items() if n]:
        not_said.append(f"Heads not tested: {', '.join(untested)}.")
    return {"supported": supported, "not_supported": " ".join(not_said)}


def together(ds: xr.Dataset) -> str:
    """The heads that look most at the period, knocked out together: beside their single knockouts and random sets.

    Empty where nothing has been knocked out together.
    """
    joint, singly = (float(ds[name].sel({v.OUTCOME: "distance"})) for name in ("joint", "joint_sum"))
    if not math.isfinite(joint):
        return ""
    heads = [f"{layer} head {head}" for layer, head in v.facts(ds, "counts")["joint"]]
    random = ds["joint_random"].sel({v.OUTCOME: "distance"}).values
    random = random[np.isfinite(random)]
    which = f"The {len(heads)} heads that look most there" if len(heads) > 1 else "The head that looks most there"
    said = f"{which} ({', '.join(heads)}), knocked out together, move the forecast by {joint:.2g} standard deviations"
    said += f"; the sum of their single knockouts is {singly:.2g}."
    if joint > singly:
        said += " More together than singly added: single knockouts understate what redundant heads do."
    if not len(random):
        return said + " No other heads were knocked out together."
    as_far = int((random >= joint * (1 - 1e-6)).sum())
    return said + f" Random sets with as many heads in each layer that move it as far: {as_far} of {len(random)}."


def to_json(ds: xr.Dataset) -> str:
    """The whole verdict as JSON: attributes, coordinates, every number; what is missing is null."""
    agreement = looking_and_mattering(ds)
    document = {
        "attributes": {
            name: v.facts(ds, name) if name in v.ATTRIBUTES else str(value) for name, value in ds.attrs.items()
        },
        "looking_and_mattering": {"rho": agreement.rho, "low": agreement.low, "high": agreement.high},
        "heads": verdict_table(ds).to_dict("records"),
        "coordinates": {str(name): _plain(each.values) for name, each in ds.coords.items()},
        "variables": {
            str(name): {"dims": list(each.dims), **each.attrs, "values": _plain(each.values)}
            for name, each in ds.data_vars.items()
        },
    }
    return json.dumps(_without_nan(document), allow_nan=False)


def _by_lags(heads: int) -> str:
    return f"by what {'it reads' if heads == 1 else 'they read'} one period back"


def _named(ds: xr.Dataset, found: NDArray[np.bool_]) -> str:
    at = [head for head in head_order(ds) if found[head]]
    names = [f"{ds[LAYER].values[i]} head {h}" for i, h in at[:MOST_NAMED]]
    more = f" and {len(at) - MOST_NAMED} more" if len(at) > MOST_NAMED else ""
    return f" ({', '.join(names)}{more})"


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
