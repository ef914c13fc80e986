"""Runs signals through a model and writes them to a store at the same time.

While the model runs on a batch, earlier batches are converted to arrays, encoded, put and flushed on other cores, and
then yielded in order for their commit. A device works asynchronously: the next batch is drawn and started there before
the host reads the results of the last one.
"""

from __future__ import annotations

import math
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

# Signals that one thread finishes at once. Only one thread runs Python at a time, and every call of numpy hands over;
# several signals share a call. More would not stay in a core's cache.
MOST_TOGETHER = 8
MOST_THREADS = 6  # that finish signals: more would mostly wait for one another to run Python
AHEAD = 2  # batches that the model may run ahead of the oldest uncommitted one, which bounds memory


@dataclass(frozen=True)
class Pipeline:
    """A model and the store to which its attention is written."""

    objects: Objects
    manifest: Manifest
    model: ViTime
    capture: Capture

    def write(self, pending: Mapping[int, Signal], size: int) -> Iterator[list[Marker]]:
        """Write signals, `size` per pass of the model, or half as many once its device runs out of memory.

        Yields
        ------
        The markers of each batch once its objects are on disk, in the order of `pending`.
        """
        from vitime_cache.attention.passes import in_passes

        begun: deque[_Begun] = deque()
        try:
            with Puts(self.objects) as puts, _Cores() as cores:

                def begin(places: Sequence[int]) -> _Begun:
                    return self._begin(puts, cores, {place: pending[place] for place in places})

                for places, batch in in_passes(list(pending), size, begin):
                    begun.append(batch)
                    # On the CPU a large signal takes seconds: it is committed at once, so that a kill loses only one.
                    most = 0 if len(places) == 1 and self.model.device.type == "cpu" else AHEAD
                    while begun and (len(begun) > most or begun[0].markers.done()):
                        yield begun[0].finish()
                        begun.popleft()
                while begun:
                    yield begun[0].finish()
                    begun.popleft()
        finally:
            for batch in begun:
                batch.writing.close()

    def _begin(self, puts: Puts, cores: _Cores, batch: Mapping[int, Signal]) -> _Begun:
        """Run the model on a batch, write its token maps meanwhile, and start to write the rest."""
        with ExitStack() as stack:
            writers = [stack.enter_context(SignalWriter(puts, self.manifest, place)) for place in batch]
            tokens = writers[0].entry.tokens  # the same for all signals of a build

            def keep(number: int, layer: str, head: int, weights: NDArray[np.float16]) -> None:
                writers[number].write_map(layer, head, weights)

            captured = self.capture(self.model, list(batch.values()), tokens, keep)
            if len(captured) != len(writers):
                raise ValueError(f"{len(captured)} signals were captured of {len(writers)}")

            def write(some: slice) -> list[Marker]:
                pairs = zip(writers[some], captured[some], strict=True)
                return [writer.finish(arrays) for writer, arrays in pairs]

            size = min(math.ceil(len(writers) / cores.count), MOST_TOGETHER)
            written = [cores.submit(write, slice(at, at + size)) for at in range(0, len(writers), size)]

            def flushed() -> list[Marker]:
                markers = [marker for each in written for marker in each.result()]
                self.objects.flush()
                return markers

            # On the same threads: they take work in order, so everything that it waits for has already started.
            return _Begun(cores.submit(flushed), stack.pop_all())


@dataclass(frozen=True)
class _Begun:
    """A batch that the model has run on and that is being written."""

    markers: Future[list[Marker]]
    writing: ExitStack

    def finish(self) -> list[Marker]:
        """The markers, once everything that they list is on disk."""
        markers = self.markers.result()
        self.writing.close()
        return markers


class _Cores(ThreadPoolExecutor):
    """Threads on as many cores; if the context ends with an error, work that has not started is cancelled."""

    def __init__(self) -> None:
        self.count = min(os.cpu_count() or 1, MOST_THREADS)
        super().__init__(self.count, thread_name_prefix="finish")

    def __exit__(self, kind: type[BaseException] | None, *_: Any) -> None:
        self.shutdown(cancel_futures=kind is not None)
