"""Removes from a store what `verify` found damaged, so that the next build or `ask` makes it again."""

from __future__ import annotations

from pathlib import Path

from vitime_cache.store.commit import clear_left, forget
from vitime_cache.store.evidence_groups import remove_groups
from vitime_cache.store.locations import open_objects
from vitime_cache.store.verify import Verification


def repair(store: str | Path, found: Verification) -> None:
    """Remove the signals and verdicts with problems, rewrite damaged metadata, and delete leftovers.

    Readers stop seeing a signal or verdict before any of it is removed. If a repair is killed, calling it again
    continues where it stopped, like a build.

    Raises
    ------
    StoreError
        If there is no store, its manifest is damaged, or another process writes to it or has since `verify`.
    """
    objects = open_objects(store)
    clear_left(objects)
    if found.problems:
        forget(objects, {each.place for each in found.problems if each.place is not None}, found.state)
    remove_groups(store, {each.verdict for each in found.problems if each.verdict is not None})
