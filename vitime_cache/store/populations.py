"""Tables of many signals kept in a store, one group for each question, by the protocol of `evidence_groups`.

A table that has grown takes the place of the one before; tables of the same question about other signals lie beside it.
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
    """Keep a table, finished or not, in the place of one on the same question about the same signals that says less.

    Returns
    -------
    str
        The group it lies in.

    Raises
    ------
    StoreError
        If there is no store, it is of other weights, or another process does not let go of its root.
    VerdictError
        If the Dataset is no such table.
    """
    schema.validate(table)
    question = schema.facts(table, "question")
    done = _rows(table)

    def says_more(_: bytes, group: str) -> bool:
        try:
            return done <= _rows(open_population(store, group))
        except StoreError:
            return False  # damaged: what is new takes its place

    return keep_group(store, schema.question_name(question), table, question, says_more)


def open_population(store: str | Path, group: str) -> xr.Dataset:
    """One table, in memory and checked.

    Raises
    ------
    StoreError
        If there is none of that name, it is damaged, or was found by another method than this version's.
    """
    return open_group(store, group, schema.validate, "table of many signals")


def stored_populations(store: str | Path) -> dict[str, xr.Dataset]:
    """Group -> table of many signals, latest first; without those that are damaged or of another method.

    What is wrong with a damaged one `verify` says; `ask` works its rows out again.
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
    """Signals that are finished."""
    kinds: Any = table["kind"].values
    return int((kinds != schema.OPEN).sum())
