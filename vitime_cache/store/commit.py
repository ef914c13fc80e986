"""The commit protocol: how signals get into a store so that no reader ever meets half of one.

1. *begin*: take the lock, note that a build is under way, write the manifest, array metadata and coordinates of every
   planned signal, publish what is committed, remove what an interrupted build left.
2. *write*: all objects of some signals, each by one writer, visible to nobody.
3. *commit*: everything flushed to disk, then the signals' markers, then the root, which makes them visible. Of all
   objects it alone is written by others, too (see `root`).
4. *end*: take the note back.

A process killed between any two steps leaves a store whose readers see what they saw before, and in which the next
build does again whatever has no marker. A commit costs the same however many signals there are.
"""

from __future__ import annotations

from collections.abc import Container, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import numpy as np

from vitime_cache.atomic import is_left
from vitime_cache.attention import schema
from vitime_cache.store import format as store_format
from vitime_cache.store.bounds import check_config
from vitime_cache.store.journal import Journal, assign_places, page_key, page_of, read_journal, render_page, visible
from vitime_cache.store.manifest import (
    BUILDING,
    EVIDENCE,
    FOLDER,
    LOCK,
    MANIFEST,
    ROOT,
    ROOT_BYTES,
    ROOT_LOCK,
    TEMPLATE,
    Entry,
    Identity,
    Manifest,
    Marker,
    check_identity,
    seal,
)
from vitime_cache.store.objects import Objects, stamp
from vitime_cache.store.root import (
    clear_evidence,
    hold_root,
    list_verdicts,
    render_root,
    shorten_root,
)

PUTS_AT_ONCE = 4


@contextmanager
def open_writer(
    objects: Objects,
    identity: Identity,
    wanted: Sequence[Entry],
    facts: Mapping[str, str] | None = None,
    *,
    known: Journal | None = None,
) -> Iterator[StoreWriter]:
    """Begin a build: the only writer of a store until the context ends.

    Parameters
    ----------
    facts
        What the attributes of a new store say besides those of the schema.
    known
        The journal as it was read before for these signals.

    Raises
    ------
    StoreError
        If another process writes, the store was built otherwise, or it holds another signal of a wanted name.
    """
    with objects.lock(LOCK):
        journal = read_journal(objects, [entry.name for entry in wanted], known=known)
        if journal:
            check_identity(journal.manifest, identity, objects.url)
        check_config(identity.config)
        writer = StoreWriter(objects, journal or _new_journal(objects, identity, facts or {}), wanted)
        yield writer
        writer.end()


def forget(objects: Objects, places: Container[int]) -> None:
    """Take signals back out of a store, so that the next build writes them again; rewrite metadata that is damaged.

    Readers stop seeing them, and every signal after them, before anything of them goes. They stay planned: nothing that
    a reader has open gets another meaning. The next build removes their objects before it writes.
    """
    with objects.lock(LOCK):
        if journal := read_journal(objects):
            journal = journal.without(places)
            missing = [e for place, e in enumerate(journal.manifest.entries) if place not in journal.markers]
            StoreWriter(objects, journal, missing, sweep=False)


def clear_left(objects: Objects) -> None:
    """Remove files that killed processes were writing, while nobody else writes to the store.

    Raises
    ------
    StoreError
        If another process does.
    """
    if objects.locks:  # others put whole objects, and nothing is left of one that was not finished
        with objects.lock(LOCK), hold_root(objects):
            objects.delete([key for key in objects.sizes() if is_left(key.rpartition("/")[2])])
            objects.flush()


class StoreWriter:
    """A store in the hands of its one writer, made by `open_writer`.

    Attributes
    ----------
    manifest
        With the wanted signals in their places.
    pending
        Place -> signal, of those still to be written.
    """

    def __init__(self, objects: Objects, journal: Journal, wanted: Sequence[Entry], *, sweep: bool = True) -> None:
        self._objects = objects
        self._there: dict[str, bytes | None] = {}  # content of shared objects, once known
        self._markers = dict(journal.markers)
        self.pending = assign_places(journal, wanted, objects.url)
        old = journal.manifest
        entries = {place: old.entries[place] for place in self._markers} | self.pending
        # A place that is neither committed nor wanted keeps its signal; what is committed after it stays hidden.
        self.manifest = old.with_entries(
            entries[place] if place in entries else old.entries[place] for place in range(max(entries, default=-1) + 1)
        )
        self._template = store_format.render_template(self.manifest)
        self._metadata = store_format.array_metadata(self._template)
        self._complete = np.zeros(len(self.manifest.entries), bool)
        self._complete[list(self._markers)] = True
        self._visible = visible(self._markers)
        self._begin(clean=journal.clean, sweep=sweep)

    def _begin(self, *, clean: bool, sweep: bool) -> None:
        # First, so that whatever a killed process leaves from here on is swept by the next.
        self._put_changed({BUILDING: b"a build is under way, or did not come to its end\n"})
        self._hide()
        manifest = self.manifest.to_bytes()
        self._put_changed({MANIFEST: manifest})
        self._put_changed(self._template)
        everywhere = range(len(self.manifest.entries))
        # Before markers and objects go: what is about to go must be visible to nobody.
        self._publish(everywhere, anew=True)
        if not clean:
            self._put_pages(everywhere)
        # Only now does everything agree with the manifest, which is what this record says.
        stamps = {key: stamp([data]) for key, data in self._template.items()}
        self._put_changed({TEMPLATE: seal({"manifest": stamp([manifest]), "objects": stamps})})
        if sweep and not clean:
            self._sweep()
        self._clean = True

    def _hide(self) -> None:
        """Let readers see no signal that has lost its marker or an object, before anything else about it changes."""
        with hold_root(self._objects):
            clear_evidence(self._objects)
            if root := shorten_root(self._objects.get(ROOT, ROOT_BYTES), self._visible):
                self._objects.put(ROOT, [root])
                self._objects.flush()

    def _sweep(self) -> None:
        """Remove what builds that were interrupted, or signals without a valid marker, have left."""
        known = {MANIFEST, TEMPLATE, LOCK, ROOT_LOCK, BUILDING, ROOT, *self._template, *self._there}
        for marker in self._markers.values():
            known |= marker.objects.keys()
        ours = {key.partition("/")[0] for key in self._template}
        with hold_root(self._objects):  # or a root that another process is writing would go
            self._objects.delete(
                key
                for key in self._objects.sizes()
                # A file that a person put beside the arrays is left alone, and verdicts are not this build's.
                if key not in known
                and (key.partition("/")[0] in ours or key.startswith(f"{ROOT}."))
                and not key.startswith(f"{FOLDER}{EVIDENCE}")
            )
        self._objects.flush()

    def commit(self, markers: Sequence[Marker]) -> None:
        """Make written signals count, and visible once all before them are; their objects are flushed."""
        places = [marker.index for marker in markers]
        self._markers |= zip(places, markers, strict=True)
        self._put_pages(places)
        for place in places:
            del self.pending[place]
        self._complete[places] = True
        self._visible = visible(self._markers, self._visible)
        self._publish(places)

    def unclean(self) -> None:
        """Note that a process that wrote has died, and may have left what nothing speaks for."""
        self._clean = False

    def end(self) -> None:
        """Note that the build has come to its end: nothing is there that nothing speaks for."""
        self._publish(())  # again where there is no lock, and the last of it was overwritten
        if not self._clean:
            self._sweep()
        self._objects.delete([BUILDING])
        self._objects.flush()

    def _put_pages(self, places: Iterable[int]) -> None:
        self._put_changed({page_key(page): render_page(self._markers, page) for page in set(map(page_of, places))})

    def _publish(self, places: Iterable[int], *, anew: bool = False) -> None:
        """Say which places are complete, and show what is visible; `anew` trusts nothing that the root says now."""
        chunks = {place // store_format.SIGNALS_PER_CHUNK for place in places}
        self._put_changed(dict(store_format.render_complete(self._complete, chunk) for chunk in chunks))
        with hold_root(self._objects):
            there = self._objects.get(ROOT, ROOT_BYTES)
            verdicts = list_verdicts(self._objects, None if anew else there)
            root = render_root(self.manifest, self._metadata, self._visible, verdicts)
            if root != there:
                self._objects.put(ROOT, [root])
                self._objects.flush()

    def _put_changed(self, wanted: Mapping[str, bytes]) -> None:
        """Put what is not there yet, in no particular order, and wait until it is on disk."""
        unknown = [key for key in wanted if key not in self._there]
        self._there |= zip(unknown, self._objects.get_many(unknown), strict=True)
        changed = [key for key, data in wanted.items() if data != (self._there[key] or b"")]
        if len(changed) > 1:
            with ThreadPoolExecutor(PUTS_AT_ONCE) as pool:
                list(pool.map(lambda key: self._objects.put(key, [wanted[key]]), changed))
        elif changed:
            self._objects.put(changed[0], [wanted[changed[0]]])
        self._objects.flush()
        self._there |= wanted


def _new_journal(objects: Objects, identity: Identity, facts: Mapping[str, str]) -> Journal:
    attributes = {**schema.attributes(identity.config, identity.weights, identity.dtype), **facts}
    # By a build that had not even a manifest.
    left = {f"{FOLDER}{name}" for name in objects.names(FOLDER)} - {LOCK, ROOT_LOCK}
    return Journal(Manifest(identity, attributes), {}, clean=not left)
