"""Removes from a store what `verify` found damaged, so that the next build or `ask` makes it again."""

from __future__ import annotations

from pathlib import Path

from vitime_cache.store.commit import clear_left, forget, half_written
from vitime_cache.store.evidence_groups import remove_groups
from vitime_cache.store.locations import open_objects
from vitime_cache.store.manifest import ROOT, ROOT_BYTES
from vitime_cache.store.objects import Objects
from vitime_cache.store.root import left_evidence, listed_verdicts, visible_verdicts
from vitime_cache.store.verify import Verification


def repair(store: str | Path, found: Verification) -> None:
    """Remove the signals and verdicts with problems, rewrite damaged metadata, and delete leftovers.

    Where there are none, nothing is written, so that the store may be one that can only be read.
    Readers stop seeing a signal or verdict before any of it is removed. If a repair is killed, calling it again
    continues where it stopped, like a build.

    Raises
    ------
    StoreError
        If there is no store, its manifest is damaged, or another process writes to it or has since `verify`.
    """
    objects = open_objects(store)
    if not found.problems and not _holds_leftovers(objects):
        return
    clear_left(objects)
    if found.problems:
        forget(objects, {each.place for each in found.problems if each.place is not None}, found.state)
    remove_groups(store, {each.verdict for each in found.problems if each.verdict is not None})


def _holds_leftovers(objects: Objects) -> bool:
    """Whether killed processes left something half-written, or a verdict that the root does not list."""
    unlisted = set(visible_verdicts(objects)) - listed_verdicts(objects.get(ROOT, ROOT_BYTES)).keys()
    return bool(unlisted or half_written(objects) or (objects.locks and any(left_evidence(objects))))
