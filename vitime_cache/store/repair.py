"""Removes from a store what `verify` found damaged, so that the next build or `ask` makes it again."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from vitime_cache.store.commit import clear_left, forget
from vitime_cache.store.evidence_groups import remove_groups
from vitime_cache.store.locations import open_objects
from vitime_cache.store.soundness import Problem


def repair(store: str | Path, problems: Iterable[Problem]) -> None:
    """Remove the signals and verdicts with problems, rewrite damaged metadata, and delete leftovers.

    Readers stop seeing a signal or verdict before any of it is removed. If a repair is killed, calling it again
    continues where it stopped, like a build.

    Raises
    ------
    StoreError
        If there is no store, its manifest is damaged, or another process writes to it.
    """
    found, objects = list(problems), open_objects(store)
    clear_left(objects)
    if found:
        forget(objects, {problem.place for problem in found if problem.place is not None})
    remove_groups(store, {problem.verdict for problem in found if problem.verdict is not None})
