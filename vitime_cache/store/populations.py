"""Tables of many signals in a store, one group for each question, by the protocol of `evidence_groups`.

A larger table replaces the earlier one. Tables of the same question about other signals are separate groups.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import xarray as xr

from vitime_cache.evidence.population import schema
from vitime_cache.store.evidence_groups import keep_group, latest_groups, open_group
from vitime_cache.store.locations import open_objects
from vitime_cache.store.objects import StoreError
from vitime_cache.store.root import POPULATION


def keep_population(store: str | Path, table: xr.Dataset) -> str:
    """Store a table, finished or not; it replaces one of the same question and signals that has fewer finished rows.

    Returns
    -------
    str
        The group that holds it.

    Raises
    ------
    StoreError
        If there is no store, it is for other weights, or another process does not release its root.
    VerdictError
        If the Dataset is not such a table.
    """
    schema.validate(table)
    question = schema.facts(table, "question")
    done = _rows(table)

    def says_more(_: bytes, group: str) -> bool:
        try:
            return done <= _rows(open_population(store, group))
        except StoreError:
            return False  # damaged: the new table replaces it

    return keep_group(store, schema.question_name(question), table, question, says_more)


def open_population(store: str | Path, group: str) -> xr.Dataset:
    """Read one table into memory and check it.

    Raises
    ------
    StoreError
        If there is none of that name, it is damaged, or another version's method found it.
    """
    return open_group(store, group, schema.validate, "table of many signals")


def stored_populations(store: str | Path) -> dict[str, xr.Dataset]:
    """Group -> table of many signals, latest first, without tables that are damaged or of another method.

    `verify` says what is wrong with a damaged table; `ask` computes its rows again.
    """
    objects, found = open_objects(store), {}
    for group in latest_groups(objects):
        if POPULATION.fullmatch(group):
            try:
                found[group] = open_population(store, group)
            except StoreError:
                continue
    return dict(sorted(found.items(), key=lambda each: str(each[1].attrs["created"]), reverse=True))


def _rows(table: xr.Dataset) -> int:
    """Number of finished signals."""
    kinds: Any = table["kind"].values
    return int((kinds != schema.OPEN).sum())
