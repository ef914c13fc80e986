"""A made-up table of many signals that follows the schema, for stores, charts and tests without a model."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence

import xarray as xr

from vitime_cache.evidence.levels.table import BY_ATTENTION
from vitime_cache.evidence.population import schema as population_schema
from vitime_cache.evidence.verdict import schema as vschema
from vitime_cache.evidence.verdict.mock import DEFAULT, MADE


def mock_population(
    kinds: Sequence[str], *, available: int | None = None, weights: tuple[str, str] = ("mock", "")
) -> xr.Dataset:
    """Make a table with one signal for each of `kinds` (of `levels.table.KINDS` or `NOT_ASKED`), named s0, s1, ….

    Where attention carries it, the first head of the last layer carries it, on every second signal together with the
    next head.

    Parameters
    ----------
    available
        Number of signals from which they were drawn; by default the same number.
    weights
        Name and hash.
    """
    names = [f"s{i}" for i in range(len(kinds))]
    hashes = [hashlib.sha256(name.encode()).hexdigest() for name in names]
    question = {
        "period": None, "window": None, "seed": 0, "levels": list(population_schema.LEVELS), "weights": weights[0],
        "weights_sha256": weights[1], "dtype": "float32", "method": vschema.METHOD, "series": hashes,
    }  # fmt: skip
    ds = population_schema.blank(
        DEFAULT.layers, DEFAULT.heads, names, hashes,
        {
            "question": question, "config": json.dumps(DEFAULT.to_dict()), "weights": "made-up heads",
            "counts": {"available": available or len(names), "drawn": len(names)},
            "created": "2000-01-01T00:00:00+00:00",
        },
    )  # fmt: skip
    yes = 0
    for place, kind in enumerate(kinds):
        ds["kind"].values[place] = kind
        if kind in population_schema.NOT_ASKED:
            ds["reason"].values[place] = f"{names[place]!r} was not asked about: {kind}"
        if (made := MADE.get(kind)) is None:
            continue
        ds["period"].values[place], ds["windows"].values[place] = 24.0, 1
        figures = {
            "influence_effect": made.effect, "influence_share": made.influence[0], "influence_low": made.influence[1],
            "influence_high": made.influence[2], "influence_by_chance": 0.2, "mechanism_share": made.mechanism[0],
            "mechanism_low": made.mechanism[1], "mechanism_high": made.mechanism[2], "mechanism_rest": made.rest,
            "mechanism_coverage": made.coverage,
        }  # fmt: skip
        for name, figure in figures.items():
            ds[name].values[place] = figure
        if kind in BY_ATTENTION:
            ds["in_set"].values[place, -1, 0] = True
            ds["in_set"].values[place, -1, 1] = yes % 2 == 0
            yes += 1
    return population_schema.validate(ds)
