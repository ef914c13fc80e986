"""The commit protocol: how signals get into a store so that no reader ever meets half of one.

1. *begin*: take the lock, read what is there, write the manifest, array metadata and coordinates of every planned
   signal, publish what is committed, remove what an interrupted build left.
2. *write*: all objects of a signal, by one writer, visible to nobody.
3. *commit*: everything flushed to disk, then the signal's marker, then the root, which makes it visible.

A process killed between any two steps leaves a store whose readers see what they saw before, and in which the next
build does again whatever has no marker.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from threading import BoundedSemaphore
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from vitime_cache.attention import schema
from vitime_cache.store import format as store
from vitime_cache.store.manifest import (
    EVIDENCE,
    FOLDER,
    LOCK,
    MANIFEST,
    ROOT,
    TEMPLATE,
    Entry,
    Identity,
    Manifest,
    Marker,
    assign_places,
    check_identity,
    marker_key,
    read_journal,
    seal,
    visible,
)
from vitime_cache.store.objects import Objects, Stamp, StoreError, stamp

# What runs the model: (model, signals, token layers, sink of token maps) → arrays of each signal, as `capture_batch`.
Capture = Callable[..., list[dict[str, NDArray[Any]]]]

PUTS_AT_ONCE = 4  # they mostly wait for the disk or the network
PUTS_WAITING = 4  # together with the former the bound on memory: a token map is 4-10 MB at full size


@contextmanager
def open_writer(objects: Objects, identity: Identity, wanted: Sequence[Entry]) -> Iterator[StoreWriter]:
    """Begin a build: the only writer of a store until the context ends.

    Raises
    ------
    StoreError
        If another process writes, the store was built otherwise, or it holds another signal of a wanted name.
    """
    with objects.lock(LOCK):
        yield StoreWriter(objects, identity, wanted)


def forget(objects: Objects, places: Iterable[int]) -> None:
    """Take signals back out of a store, so that the next build writes them again; rewrite metadata that is damaged.

    Readers stop seeing them, and every signal after them, before anything of them goes. They stay planned: nothing that
    a reader has open gets another meaning.
    """
    with objects.lock(LOCK):
        if journal := read_journal(objects, objects.sizes()):
            entries = journal.manifest.entries
            kept = journal.markers.keys() - set(places)
            _hide(objects, visible(kept))
            for key, data in store.render_complete([place in kept for place in range(len(entries))]).items():
                objects.put(key, [data])
            objects.flush()
            objects.delete([key for key in map(marker_key, places) if objects.get(key) is not None])
            objects.flush()
            missing = [entry for place, entry in enumerate(entries) if place not in kept]
            StoreWriter(objects, journal.manifest.identity, missing)


def _hide(objects: Objects, first: int) -> None:
    """Let readers see no signal after the `first` ones: the step before anything else about the others changes."""
    if root := store.shorten_root(objects.get(ROOT), first):
        objects.put(ROOT, [root])
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

    def __init__(self, objects: Objects, identity: Identity, wanted: Sequence[Entry]) -> None:
        self._objects = objects
        self._sizes = objects.sizes()  # as found
        self._there: dict[str, bytes | None] = {}  # content of shared objects, once known
        journal = read_journal(objects, self._sizes)
        if journal:
            check_identity(journal.manifest, identity, objects.url)
        old = journal.manifest if journal else _new_manifest(identity)
        self._markers = dict(journal.markers) if journal else {}
        self.pending = assign_places(journal, wanted, objects.url)
        entries = {place: old.entries[place] for place in self._markers} | self.pending
        # A place that is neither committed nor wanted keeps its signal; what is committed after it stays hidden.
        self.manifest = old.with_entries(
            entries[place] if place in entries else old.entries[place] for place in range(max(entries, default=-1) + 1)
        )
        self._template = store.render_template(self.manifest)
        self._begin()

    def _begin(self) -> None:
        _hide(self._objects, visible(self._markers))  # where a signal that readers see has lost its marker or an object
        manifest = self.manifest.to_bytes()
        self._put_changed({MANIFEST: manifest})
        self._put_changed(self._template)
        self._publish()  # before the sweep: what is about to go must be visible to nobody
        # Only now does everything agree with the manifest, which is what this record says.
        stamps = {key: stamp([data]) for key, data in self._template.items()}
        self._put_changed({TEMPLATE: seal({"manifest": stamp([manifest]), "objects": stamps})})
        self._sweep()

    def _sweep(self) -> None:
        """Remove what builds that were interrupted, or signals without a valid marker, have left."""
        known = {MANIFEST, TEMPLATE, LOCK, ROOT, *self._template, *store.render_complete([False] * self.count)}
        for place, marker in self._markers.items():
            known |= {marker_key(place), *marker.objects}
        stale = [
            key
            for key in self._sizes
            if key not in known and _is_ours(key, self._template) and not key.startswith(f"{FOLDER}{EVIDENCE}")
        ]
        for keys in (
            [key for key in stale if key.startswith(FOLDER)],  # a marker goes before what it speaks for
            [key for key in stale if not key.startswith(FOLDER)],
        ):
            self._objects.delete(keys)
            self._objects.flush()

    @property
    def count(self) -> int:
        """Number of planned signals, committed ones included."""
        return len(self.manifest.entries)

    def commit(self, marker: Marker) -> None:
        """Make a written signal count, and visible once all before it are; `finish` has seen to its objects."""
        self._objects.put(marker_key(marker.index), [marker.to_bytes()])
        self._objects.flush()
        self._markers[marker.index] = marker
        del self.pending[marker.index]
        self._publish()

    def _publish(self) -> None:
        committed = [place in self._markers for place in range(self.count)]
        self._put_changed(store.render_complete(committed))
        self._put_changed({ROOT: store.render_root(self.manifest, self._template, visible(self._markers))})

    def _put_changed(self, wanted: Mapping[str, bytes]) -> None:
        """Put what is not there yet, in no particular order, and wait until it is on disk."""
        unknown = [key for key in wanted if key in self._sizes and key not in self._there]
        self._there |= zip(unknown, self._objects.get_many(unknown), strict=True)
        changed = [key for key, data in wanted.items() if data != self._there.get(key)]
        with ThreadPoolExecutor(PUTS_AT_ONCE) as pool:
            list(pool.map(lambda key: self._objects.put(key, [wanted[key]]), changed))
        self._objects.flush()
        self._there |= wanted


class Puts:
    """Objects on their way to the store, in background threads; used as a context.

    Encoding is the caller's: it is work for a core, while a put mostly waits for the disk or the network.
    """

    def __init__(self, objects: Objects) -> None:
        self.objects = objects
        self._pool = ThreadPoolExecutor(PUTS_AT_ONCE, thread_name_prefix="put")
        self._room = BoundedSemaphore(PUTS_AT_ONCE + PUTS_WAITING)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        self._pool.shutdown(cancel_futures=kind is not None)

    def put(self, key: str, parts: list[bytes]) -> Future[Stamp]:
        """Begin to put an object; wait first while too many are under way."""
        self._room.acquire()
        future = self._pool.submit(self.objects.put, key, parts)
        future.add_done_callback(lambda _: self._room.release())
        return future


class SignalWriter:
    """Writes the objects of one signal: token maps one by one while the model runs, then `finish` with the rest."""

    def __init__(self, puts: Puts, manifest: Manifest, index: int) -> None:
        self._puts, self._manifest, self._index = puts, manifest, index
        self._rows = store.query_rows(manifest.identity.config)
        self._written: dict[str, Future[Stamp]] = {}

    def write_map(self, layer: str, head: int, weights: NDArray[np.float16]) -> None:
        """Encode one token map (N, N) now and write it in the background; safe to call from several threads."""
        parts = store.encode_map(weights, self._rows)
        key = store.map_key(self._manifest.identity.config, self._index, layer, head)
        self._written[key] = self._puts.put(key, parts)

    def finish(self, arrays: Mapping[str, NDArray[Any]]) -> Marker:
        """Write every other variable, wait until all of it is on disk, and say what was written.

        Parameters
        ----------
        arrays
            Variable -> values without the signal dimension, as `capturing.capture_batch` returns them.

        Raises
        ------
        StoreError
            If an array has the wrong shape or attention that is not finite, or a token map was never written.
        """
        entry = self._manifest.entries[self._index]
        check_arrays(arrays, self._manifest, entry)
        for key, data in store.render_arrays(self._manifest, self._index, arrays).items():
            self._written[key] = self._puts.put(key, [data])
        written = {key: put.result() for key, put in sorted(self._written.items())}
        if missing := sorted(store.map_keys(self._manifest.identity, self._index) - written.keys()):
            raise StoreError(
                f"signal {entry.name!r}: {len(missing)} token maps were not captured, the first {missing[0]}"
            )
        self._puts.objects.flush()
        return Marker(self._index, entry.name, entry.fingerprint, written)


def check_arrays(arrays: Mapping[str, NDArray[Any]], manifest: Manifest, entry: Entry) -> None:
    """Raise StoreError unless these are the arrays of that signal: the last look before they are kept."""
    lengths = schema.sizes(manifest.identity.config, entry.samples, entry.components)
    expected = {name: v for name, v in schema.VARIABLES.items() if name != store.TOKEN_ATTENTION}
    if arrays.keys() != expected.keys():
        raise StoreError(f"signal {entry.name!r} comes with {sorted(arrays)}, expected {sorted(expected)}")
    for name, variable in expected.items():
        shape = tuple(lengths[dimension] for dimension in variable.dims)
        if arrays[name].shape != shape:
            raise StoreError(f"{name} of signal {entry.name!r} has shape {arrays[name].shape}, expected {shape}")
        if name.endswith("attention") and not np.isfinite(arrays[name]).all():
            raise StoreError(f"{name} of signal {entry.name!r} is not finite: the model overflows; use --dtype float32")


def _new_manifest(identity: Identity) -> Manifest:
    return Manifest(identity, schema.attributes(identity.config, identity.weights, identity.dtype))


def _is_ours(key: str, template: Iterable[str]) -> bool:
    """Whether a store may have written this: a file that a person put beside the arrays is left alone."""
    return key.startswith((FOLDER, f"{ROOT}.")) or any(
        key.startswith(name.rpartition("/")[0] + "/") for name in template
    )
