"""Where answers are kept: a store, checked before the work and made from the asked signals if need be, and files."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from vitime_cache.atomic import write_whole
from vitime_cache.cli import console
from vitime_cache.cli.arguments import STDOUT
from vitime_cache.errors import VitimeError, in_words
from vitime_cache.shown import counted

if TYPE_CHECKING:
    from rich.console import Console

    from vitime_cache.model.network import ViTime
    from vitime_cache.series.signal import Signal

WITHOUT_STORE = "Nothing is kept: with --store NAME.zarr it is, also when you interrupt."


def is_new(store: str | None, source: str | None) -> bool:
    """Whether a store has to be made before it can keep the answer about a file; without a file it must be there."""
    from vitime_cache.store.reader import is_store

    return store is not None and source is not None and not is_store(store)


def ready_store(
    store: str | None, signals: Sequence[Signal], model: ViTime, out: Console | None, *, new: bool
) -> str | None:
    """Make a new store of the asked signals, or check that the one that is there can take their answers.

    Parameters
    ----------
    out
        Where the work is told; None tells only what goes wrong.

    Returns
    -------
    str or None
        The store; None, after a line that says why, if it cannot keep answers: they are only shown then.
    """
    from vitime_cache.store.build import build
    from vitime_cache.store.evidence_groups import check_keeping

    if store is None:
        if out is not None:
            out.print(WITHOUT_STORE)
        return None
    try:
        if to_write := list(signals) if new else _cut_short(store, signals):
            if out is not None:
                whose = to_write[0].name if len(to_write) == 1 else counted(len(to_write), "signal")
                why = "is a new store" if new else "was not written to its end"
                out.print(f"{store} {why}: the attention of {whose} is written into it first.")
            build(to_write, store, model)
        check_keeping(store)
    except (VitimeError, OSError) as error:
        console.errors.print(f"what is found will not be kept, only shown: {in_words(error)}")
        return None
    return store


def _cut_short(store: str, signals: Sequence[Signal]) -> list[Signal]:
    """Those of the signals that a killed build began to write into the store: without them it would keep answers alone.

    Signals that nobody began to write are not added: the store may be of others.
    """
    from vitime_cache.store.journal import read_journal
    from vitime_cache.store.locations import open_objects
    from vitime_cache.store.manifest import BUILDING

    objects = open_objects(store)
    if not objects.sizes_of([BUILDING]):  # decoding the markers of a large store takes seconds
        return []
    journal = read_journal(objects)
    if journal is None:
        return []
    entries = enumerate(journal.manifest.entries)
    begun = {(entry.name, entry.fingerprint) for place, entry in entries if place not in journal.markers}
    return [signal for signal in signals if (signal.name, signal.fingerprint) in begun]


def write_files(wanted: Sequence[tuple[Path | None, Callable[[], bytes]]]) -> tuple[list[Path], int]:
    """Write the files asked for; one that cannot be written costs a line, and neither the others nor the answer.

    Returns
    -------
    tuple
        The files that were written, and the exit status.
    """
    written, status = list[Path](), 0
    for path, render in wanted:
        if path is None or path == STDOUT:
            continue
        try:
            write_whole(path, render())
            written.append(path)
        except OSError as error:
            console.errors.print(f"error: {in_words(error)}")
            status = 1
    return written, status
