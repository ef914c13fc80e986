"""Taking out of a store what `verify` found damaged, for the next build or `ask` to make again."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from vitime_cache.store.commit import clear_left, forget
from vitime_cache.store.evidence_groups import remove_groups
from vitime_cache.store.locations import open_objects
from vitime_cache.store.soundness import Problem


def repair(store: str | Path, problems: Iterable[Problem]) -> None:
    """Take out the signals and verdicts that these are about, write damaged metadata again, and clear leftovers away.

    Readers stop seeing what goes before anything of it does. Killed on the way, it goes on where it was when it is
    called again, as does a build.

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
