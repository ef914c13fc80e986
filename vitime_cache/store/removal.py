"""Removes a signal from a store for good. The last signal takes its place, so that the places have no gap.

1. The signal and those after it are hidden from readers, as in a repair.
2. The objects of the last signal are copied to its place, and a marker of them is written there. The marker does not
   count yet, because the manifest still has the other signal in that place.
3. The manifest is written without the signal. From here on the copy counts, and the last place is no more.
4. The root shows the signals again, and the objects that were copied are removed.

After a kill between any two steps no other signal is lost. Removing the signal again, or the next build, continues.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from vitime_cache.store.commit import StoreWriter
from vitime_cache.store.journal import Journal, page_key, page_of, read_journal, render_page
from vitime_cache.store.locations import open_objects
from vitime_cache.store.manifest import LOCK, Entry, Marker
from vitime_cache.store.objects import Objects, StoreError

PIECE = 2**24  # bytes that are copied at once


def remove_signal(store: str | Path, name: str) -> bool:
    """Remove a signal and everything that the store holds of it; what was asked about it stays.

    Returns
    -------
    bool
        Whether it was there.

    Raises
    ------
    StoreError
        If there is no store, another process writes to it, or the signal that would take its place is damaged.
    """
    objects = open_objects(store)
    if read_journal(objects) is None:
        raise StoreError(f"no store at {objects.url}")
    with objects.lock(LOCK):
        journal = read_journal(objects)
        assert journal is not None
        place = next((at for at, entry in enumerate(journal.manifest.entries) if entry.name == name), None)
        if place is None:
            if not journal.clean:  # a removal was killed after its third step
                StoreWriter(objects, journal, _unwritten(journal)).end()
            return False
        hidden = journal.without({place})
        StoreWriter(objects, hidden, _unwritten(hidden), sweep=False)
        if place in journal.markers:
            objects.delete(journal.markers[place].objects)
        last, left = max(hidden.markers, default=-1), None
        entries, markers = list(journal.manifest.entries), dict(hidden.markers)
        if last > place:
            entries[place] = entries[last]
            markers[place] = _copied(objects, markers[last], place)
            objects.put(page_key(page_of(place)), [render_page(markers, page_of(place))])
            objects.flush()
            left = markers.pop(last)
        without = replace(hidden, manifest=journal.manifest.with_entries(entries), markers=markers, clean=False)
        unwritten = [entry for entry in _unwritten(hidden) if entry.name != name]
        writer = StoreWriter(objects, without, unwritten, sweep=not journal.clean)
        if left is not None:
            objects.delete(left.objects)
        pages = range(page_of(len(writer.manifest.entries) - 1) + 1, page_of(len(entries) - 1) + 1)
        objects.delete(page_key(page) for page in pages)
        writer.end()
    return True


def _unwritten(journal: Journal) -> list[Entry]:
    """The signals without a marker, in the order of their places."""
    return [entry for place, entry in enumerate(journal.manifest.entries) if place not in journal.markers]


def _copied(objects: Objects, marker: Marker, place: int) -> Marker:
    """Copy the objects of a signal to another place, and return their marker."""
    copies = {}
    for key, (size, digest) in marker.objects.items():
        there = key.replace(f"/c.{marker.index}.", f"/c.{place}.", 1)
        with objects.stream(there) as copy:
            for start in range(0, size, PIECE):
                copy.write(objects.read(key, start, min(start + PIECE, size)))
            if copy.stamp != (size, digest):
                raise StoreError(f"{objects.url}/{key} is damaged: run verify --repair first")
        copies[there] = (size, digest)
    objects.flush()
    return replace(marker, index=place, objects=copies)
