"""Writes the objects of signals, still invisible to readers: token maps while the model runs, the rest afterwards."""

from __future__ import annotations

import os
import threading
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from threading import BoundedSemaphore
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from vitime_cache.attention import schema
from vitime_cache.store import format as store_format
from vitime_cache.store.manifest import Entry, Manifest, Marker
from vitime_cache.store.objects import Objects, StoreError, Stream

# The function that runs the model: (model, signals, token layers, sink of token maps) → arrays of each signal.
Capture = Callable[..., Sequence[dict[str, NDArray[Any]]]]

PUTS_AT_ONCE = max(4, os.cpu_count() or 1)  # they mostly wait for the disk or the network
PUTS_WAITING = 4  # together with PUTS_AT_ONCE this bounds memory: a full-size token map has 4-10 MB


class Puts:
    """Writes token maps in background threads; used as a context.

    The caller encodes: that keeps a core busy, while writing mostly waits for the disk or the network.
    """

    def __init__(self, objects: Objects) -> None:
        self.objects = objects
        self._pool = ThreadPoolExecutor(PUTS_AT_ONCE, thread_name_prefix="put")
        self._room = BoundedSemaphore(PUTS_AT_ONCE + PUTS_WAITING)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        self._pool.shutdown(cancel_futures=kind is not None)

    def submit(self, work: Callable[..., Any], *arguments: Any) -> Future[Any]:
        """Start some work; block first while too much is running."""
        self._room.acquire()
        future = self._pool.submit(work, *arguments)
        future.add_done_callback(lambda _: self._room.release())
        return future


class TokenShard:
    """Writes all token maps of a signal into one object.

    Maps arrive head by head from several threads and are written in the order of layers and heads, so that the same
    attention always gives the same bytes.
    """

    def __init__(self, puts: Puts, stream: Stream, manifest: Manifest, entry: Entry) -> None:
        config = manifest.identity.config
        self._puts, self._stream = puts, stream
        self._heads, self._blocks, self._rows = (
            config.heads,
            store_format.blocks_per_map(config),
            store_format.query_rows(config),
        )
        self._places = {layer: number for number, layer in enumerate(config.layers)}
        self._order = deque((layer, head) for layer in entry.tokens for head in range(config.heads))
        self._index = store_format.token_index(config)
        self._early: dict[tuple[str, int], list[bytes]] = {}  # maps before their turn: fewer than threads
        self._next: deque[list[bytes]] = deque()
        self._coming, self._appending = threading.Lock(), threading.Lock()
        self._appended: list[Future[Any]] = []

    def write_map(self, layer: str, head: int, weights: NDArray[np.float16]) -> None:
        """Encode one token map (N, N) and append it in the background; safe to call from several threads."""
        encoded = store_format.encode_map(weights, self._rows)
        with self._coming:
            self._early[layer, head] = encoded
            ready = 0
            while self._order and self._order[0] in self._early:
                turn = self._order.popleft()
                chunks = self._early.pop(turn)
                self._index.append((self._places[turn[0]] * self._heads + turn[1]) * self._blocks, chunks)
                self._next.append(chunks)
                ready += 1
        for _ in range(ready):
            self._appended.append(self._puts.submit(self._append))

    def _append(self) -> None:
        with self._appending:
            for chunk in self._next.popleft():
                self._stream.write(chunk)

    def finish(self, who: str) -> None:
        """Wait until every map is written, and write the index.

        Raises
        ------
        StoreError
            If a map was never passed to `write_map`.
        """
        for future in self._appended:
            future.result()
        if self._order:
            layer, head = self._order[0]
            raise StoreError(
                f"{who}: {len(self._order)} token maps were not captured, the first of {layer}, head {head}"
            )
        self._stream.write(self._index.to_bytes())


class SignalWriter:
    """Writes the objects of one signal: token maps one by one while the model runs, then the rest in `finish`.

    Used as a context; an unfinished signal leaves no named object.
    """

    def __init__(self, puts: Puts, manifest: Manifest, place: int) -> None:
        self._puts, self._manifest, self._place = puts, manifest, place
        self.entry = manifest.entries[place]
        self._stack = ExitStack()
        self._stream: Stream | None = None
        self._shard: TokenShard | None = None

    def __enter__(self) -> Self:
        if self.entry.tokens:
            self._stream = self._stack.enter_context(self._puts.objects.stream(store_format.token_key(self._place)))
            self._shard = TokenShard(self._puts, self._stream, self._manifest, self.entry)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: Any) -> None:
        given_up = error or StoreError("given up")
        self._stack.__exit__(type(given_up), given_up, trace)

    def write_map(self, layer: str, head: int, weights: NDArray[np.float16]) -> None:
        """Write one token map (N, N) of a layer whose maps are stored; safe to call from several threads."""
        assert self._shard is not None
        self._shard.write_map(layer, head, weights)

    def finish(self, arrays: Mapping[str, NDArray[Any]]) -> Marker:
        """Write all other variables, wait for all writes, and return the marker; the caller then calls `Objects.flush`.

        Parameters
        ----------
        arrays
            Variable -> values without the signal dimension, as `attention.capture.capture_batch` returns them.

        Raises
        ------
        StoreError
            If an array has the wrong shape or attention that is not finite, or a token map was never written.
        """
        check_arrays(arrays, self._manifest, self.entry)
        encoded = dict(store_format.encode_arrays(self._manifest, self._place, arrays))
        written = self._puts.objects.put_many(encoded)
        if self._shard is not None and self._stream is not None:
            self._shard.finish(f"signal {self.entry.name!r}")
            self._stack.close()
            written[store_format.token_key(self._place)] = self._stream.stamp
        return Marker(self._place, self.entry.name, self.entry.fingerprint, dict(sorted(written.items())))


def check_arrays(arrays: Mapping[str, NDArray[Any]], manifest: Manifest, entry: Entry) -> None:
    """Raise StoreError unless these are the arrays of that signal: the last check before they are written."""
    lengths = schema.sizes(manifest.identity.config, entry.samples, entry.components)
    expected = {name: v for name, v in schema.VARIABLES.items() if name != schema.TOKEN_ATTENTION}
    if arrays.keys() != expected.keys():
        raise StoreError(f"signal {entry.name!r} comes with {sorted(arrays)}, expected {sorted(expected)}")
    for name, variable in expected.items():
        shape = tuple(lengths[dimension] for dimension in variable.dims)
        if arrays[name].shape != shape:
            raise StoreError(f"{name} of signal {entry.name!r} has shape {arrays[name].shape}, expected {shape}")
        if name.endswith("attention") and not np.isfinite(arrays[name]).all():
            raise StoreError(f"{name} of signal {entry.name!r} is not finite: the model overflows; use --dtype float32")
