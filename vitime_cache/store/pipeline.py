"""Signals through a model and into a store, so that neither waits for the other.

While the model runs on a batch, those before it are made into arrays, encoded, put and flushed on all cores; what is
ready is handed out for its commit, in order. A model on a device is only told what to do: the next batch is drawn and
under way there before the host has looked at what the last one gave.
"""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from vitime_cache.store.manifest import Manifest, Marker
from vitime_cache.store.writing import Puts, SignalWriter

if TYPE_CHECKING:
    from vitime_cache.model.network import ViTime
    from vitime_cache.series.sources import Signal
    from vitime_cache.store.objects import Objects
    from vitime_cache.store.writing import Capture

AHEAD = 2  # batches that the model may have run on before the oldest of them is committed: the bound on memory


@dataclass(frozen=True)
class Pipeline:
    """A model and the store that its attention goes to."""

    objects: Objects
    manifest: Manifest
    model: ViTime
    capture: Capture

    def write(self, pending: Mapping[int, Signal], size: int) -> Iterator[list[Marker]]:
        """Write signals, `size` of them in a pass of the model; half as many where its device is out of memory.

        Yields
        ------
        The markers of a batch whose objects are on disk, in the order of `pending`.
        """
        from vitime_cache.attention.passes import in_passes

        begun: deque[_Begun] = deque()
        try:
            with Puts(self.objects) as puts, _Cores() as cores:

                def begin(places: Sequence[int]) -> _Begun:
                    return self._begin(puts, cores, {place: pending[place] for place in places})

                for places, batch in in_passes(list(pending), size, begin):
                    begun.append(batch)
                    # A large signal alone is committed at once, so that little is lost when the build is killed.
                    most = 0 if len(places) == 1 else AHEAD
                    while begun and (len(begun) > most or begun[0].markers.done()):
                        yield begun[0].finish()
                        begun.popleft()
                while begun:
                    yield begun[0].finish()
                    begun.popleft()
        finally:
            for batch in begun:
                batch.writing.close()

    def _begin(self, puts: Puts, cores: ThreadPoolExecutor, batch: Mapping[int, Signal]) -> _Begun:
        """Run the model on a batch, writing its token maps meanwhile, and begin to write the rest."""
        with ExitStack() as stack:
            writers = [stack.enter_context(SignalWriter(puts, self.manifest, place)) for place in batch]
            tokens = writers[0].entry.tokens  # those of one build are all the same

            def keep(number: int, layer: str, head: int, weights: NDArray[np.float16]) -> None:
                writers[number].write_map(layer, head, weights)

            captured = self.capture(self.model, list(batch.values()), tokens, keep)
            if len(captured) != len(writers):
                raise ValueError(f"{len(captured)} signals were captured of {len(writers)}")

            def write(number: int) -> Marker:
                return writers[number].finish(captured[number])

            written = [cores.submit(write, number) for number in range(len(writers))]

            def flushed() -> list[Marker]:
                markers = [each.result() for each in written]
                self.objects.flush()
                return markers

            # Of the same threads: they take work in order, so that all it waits for has begun before it does.
            return _Begun(cores.submit(flushed), stack.pop_all())


@dataclass(frozen=True)
class _Begun:
    """A batch that the model has run on, on its way to the disk."""

    markers: Future[list[Marker]]
    writing: ExitStack

    def finish(self) -> list[Marker]:
        """The markers, once everything they speak for is on disk."""
        markers = self.markers.result()
        self.writing.close()
        return markers


class _Cores(ThreadPoolExecutor):
    """A thread for each core; what has not begun when the context ends with an error is left out."""

    def __init__(self) -> None:
        super().__init__(os.cpu_count(), thread_name_prefix="finish")

    def __exit__(self, kind: type[BaseException] | None, *_: Any) -> None:
        self.shutdown(cancel_futures=kind is not None)
