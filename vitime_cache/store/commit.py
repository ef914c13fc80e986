"""The commit protocol, by which readers never see a half-written signal.

1. *begin*: take the lock, note that a build is running, write the manifest, array metadata and coordinates of every
   planned signal, publish what is committed, remove what an interrupted build left.
2. *write*: write all objects of some signals, each by one writer, invisible to readers.
3. *commit*: flush everything to disk, then write the signals' markers, then the root, which makes them visible. The
   root is the only object that others write too (see `root`).
4. *end*: remove the note.

After a kill between any two steps, readers see what they saw before, and the next build redoes every signal without a
marker. The cost of a commit does not depend on the number of signals.
"""

from __future__ import annotations

from collections.abc import Container, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from uuid import uuid4

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
    HIDDEN,
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
from vitime_cache.store.objects import Objects, StoreError, stamp
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
    """Begin a build: yield the only writer of a store until the context ends.

    Parameters
    ----------
    facts
        Attributes of a new store in addition to those of the schema.
    known
        The journal, if it was already read for these signals.

    Raises
    ------
    StoreError
        If another process writes, the store has another identity, or it holds a different signal of a wanted name.
    """
    with objects.lock(LOCK):
        journal = read_journal(objects, [entry.name for entry in wanted], known=known)
        if journal:
            check_identity(journal.manifest, identity, objects.url)
        check_config(identity.config)
        writer = StoreWriter(objects, journal or _new_journal(objects, identity, facts or {}), wanted)
        yield writer
        writer.end()


def forget(objects: Objects, places: Container[int], state: str | None = None) -> None:
    """Remove signals from a store, so that the next build writes them again, and rewrite damaged metadata.

    Readers stop seeing these signals, and every signal after them, before anything is removed. The signals stay
    planned. The next build removes their objects first.

    Parameters
    ----------
    state
        `Journal.digest` of the store in which the signals had these places; None takes whatever is there now.

    Raises
    ------
    StoreError
        If another process is writing to the store, or has changed it since.
    """
    with objects.lock(LOCK):
        if journal := read_journal(objects):
            if state not in (None, journal.digest):
                raise StoreError(
                    f"{objects.url} has changed since it was verified, and nothing is removed: verify again"
                )
            journal = journal.without(places)
            missing = [e for place, e in enumerate(journal.manifest.entries) if place not in journal.markers]
            StoreWriter(objects, journal, missing, sweep=False)


def clear_left(objects: Objects) -> None:
    """Remove files that killed processes left half-written.

    Raises
    ------
    StoreError
        If another process is writing to the store.
    """
    if objects.locks:  # stores without locks put whole objects, so an unfinished one leaves nothing
        with objects.lock(LOCK), hold_root(objects):
            objects.delete(half_written(objects))
            objects.flush()


def half_written(objects: Objects) -> list[str]:
    """The files of a store that are being written, or were when their process was killed."""
    return [key for key in objects.sizes() if is_left(key.rpartition("/")[2])] if objects.locks else []


class StoreWriter:
    """The single writer of a store, made by `open_writer`.

    Attributes
    ----------
    manifest
        The manifest with the wanted signals in their places.
    pending
        Place -> signal, for signals still to be written.
    """

    def __init__(self, objects: Objects, journal: Journal, wanted: Sequence[Entry], *, sweep: bool = True) -> None:
        self._objects = objects
        self._there: dict[str, bytes | None] = {}  # known content of shared objects
        self._markers = dict(journal.markers)
        self.pending = assign_places(journal, wanted, objects.url)
        old = journal.manifest
        entries = {place: old.entries[place] for place in self._markers} | self.pending
        # A place that is neither committed nor wanted keeps its signal; signals committed after it stay hidden.
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
        # This comes first, so that the next build sweeps whatever a killed process leaves from here on.
        self._put_changed({BUILDING: b"a build is under way, or did not come to its end\n"})
        self._hide()
        manifest = self.manifest.to_bytes()
        self._put_changed({MANIFEST: manifest})
        self._put_changed(self._template)
        everywhere = range(len(self.manifest.entries))
        # Readers must no longer see a signal when its markers and objects are removed below.
        self._publish(everywhere, anew=True)
        if not clean:
            self._put_pages(everywhere)
        # Only now does everything agree with the manifest, as this record states.
        stamps = {key: stamp([data]) for key, data in self._template.items()}
        self._put_changed({TEMPLATE: seal({"manifest": stamp([manifest]), "objects": stamps})})
        if sweep and not clean:
            self._sweep()
        self._clean = True

    def _hide(self) -> None:
        """Hide signals that lost their marker or an object from readers, before anything else about them changes."""
        with hold_root(self._objects):
            clear_evidence(self._objects)
            there = self._objects.sizes_of([ROOT, HIDDEN])
            if not there and self._objects.locks:  # readers may have another store open that was in this place
                self._objects.put(HIDDEN, [uuid4().bytes])
            if root := shorten_root(self._objects.get(ROOT, ROOT_BYTES), self._visible):
                # Before the root for readers that are open, even if this process is killed in between; after it for
                # those that opened the store meanwhile.
                self._objects.put(HIDDEN, [uuid4().bytes])
                self._objects.put(ROOT, [root])
                self._objects.put(HIDDEN, [uuid4().bytes])
                self._objects.flush()

    def _sweep(self) -> None:
        """Remove the remains of interrupted builds and of signals without a valid marker."""
        known = {MANIFEST, TEMPLATE, HIDDEN, LOCK, ROOT_LOCK, BUILDING, ROOT, *self._template, *self._there}
        for marker in self._markers.values():
            known |= marker.objects.keys()
        ours = {key.partition("/")[0] for key in self._template}
        with hold_root(self._objects):  # keeps a root that another process is writing
            self._objects.delete(
                key
                for key in self._objects.sizes()
                # A user's own files next to the arrays are kept, and verdicts do not belong to this build.
                if key not in known
                and (key.partition("/")[0] in ours or key.startswith(f"{ROOT}."))
                and not key.startswith(f"{FOLDER}{EVIDENCE}")
            )
        self._objects.flush()

    def commit(self, markers: Sequence[Marker]) -> None:
        """Commit written signals whose objects are flushed; they become visible once all before them are committed."""
        places = [marker.index for marker in markers]
        self._markers |= zip(places, markers, strict=True)
        self._put_pages(places)
        for place in places:
            del self.pending[place]
        self._complete[places] = True
        self._visible = visible(self._markers, self._visible)
        self._publish(places)

    def unclean(self) -> None:
        """Note that a writing process has died and may have left objects that no marker lists."""
        self._clean = False

    def end(self) -> None:
        """End the build: remove objects that no marker lists, then the note of a running build."""
        self._publish(())  # again: without a lock, another process may have overwritten the root
        if not self._clean:
            self._sweep()
        self._objects.delete([BUILDING])
        self._objects.flush()

    def _put_pages(self, places: Iterable[int]) -> None:
        self._put_changed({page_key(page): render_page(self._markers, page) for page in set(map(page_of, places))})

    def _publish(self, places: Iterable[int], *, anew: bool = False) -> None:
        """Write which places are complete, and the root that shows them; `anew` ignores what the root says now."""
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
        """Put objects that differ from what is there, in any order, and wait until they are on disk."""
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
    # Left by a build that ended before it wrote a manifest.
    left = {f"{FOLDER}{name}" for name in objects.names(FOLDER)} - {LOCK, ROOT_LOCK}
    return Journal(Manifest(identity, attributes), {}, clean=not left)
