"""Tasks of a build in other processes: they write signals, and the building process commits them."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import CancelledError
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import lru_cache
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vitime_cache.errors import Note
from vitime_cache.series.sources import Signal
from vitime_cache.store.locations import open_objects
from vitime_cache.store.manifest import Manifest, Marker
from vitime_cache.store.objects import StoreError

if TYPE_CHECKING:
    from vitime_cache.model.network import ViTime
    from vitime_cache.store.writing import Capture

Batch = Mapping[int, Signal]  # by place
Written = tuple[list[Marker], list[str]]  # markers and notes


@dataclass(frozen=True)
class Job:
    """Everything a process needs to write signals of a store; it can be pickled."""

    capture: Capture
    address: str = field(repr=False)  # a scheduler logs the repr of its arguments
    manifest: Manifest
    weights: str | Path | None
    device: str
    dtype: str

    def write(self, batch: Batch) -> list[Marker]:
        """Capture signals and write their objects, which stay invisible until the markers are committed."""
        from vitime_cache.store.pipeline import Pipeline

        model = _model(self.weights, self.device, self.dtype, self.manifest.identity.weights.sha256)
        if model.weights.sha256 != self.manifest.identity.weights.sha256:
            raise StoreError(f"a worker has other weights than this process at {self.weights or 'the default name'}")
        pipeline = Pipeline(open_objects(self.address), self.manifest, model, self.capture)
        return [marker for markers in pipeline.write(batch, len(batch)) for marker in markers]


def write_noted(job: Job, batch: Batch) -> Written:
    """`Job.write`, and the notes that came up: in the process that writes, nobody would read them."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", Note)
        markers = job.write(batch)
    for each in caught:
        if not issubclass(each.category, Note):
            warnings.showwarning(each.message, each.category, each.filename, each.lineno)
    return markers, [str(each.message) for each in caught if issubclass(each.category, Note)]


def told(written: Iterable[Written]) -> Iterator[list[Marker]]:
    """Yield the markers, and warn of each different note once."""
    known: set[str] = set()
    for markers, notes in written:
        for note in dict.fromkeys(notes):
            if note not in known:
                known.add(note)
                warnings.warn(note, Note, stacklevel=2)
        yield markers


@lru_cache(maxsize=1)
def _model(weights: str | Path | None, device: str, dtype: str, sha256: str) -> ViTime:  # noqa: ARG001
    """Each worker process loads the model once, and again for a build with other weights in the same place."""
    from vitime_cache.model.checkpoint import load_model

    return load_model(weights, device, dtype)


@contextmanager
def scheduler(address: str) -> Iterator[Any]:
    """A client of the dask scheduler at an address.

    Raises
    ------
    StoreError
        If dask's scheduler is not installed, or no scheduler answers.
    """
    try:
        distributed: Any = import_module("distributed")
    except ImportError as error:
        raise StoreError("--workers with an address needs dask's scheduler: pip install distributed") from error
    try:
        client = distributed.Client(address)
    except (OSError, ValueError) as error:
        raise StoreError(f"no dask scheduler answers at {address}: {error}") from error
    with client:
        yield client


def write_on_scheduler(
    client: Any, job: Job, batches: Sequence[Batch], lost: Callable[[], object]
) -> Iterator[Written]:
    """Yield markers and notes of each batch when its worker finishes; if a worker dies, another takes its batch.

    Parameters
    ----------
    client
        Its workers reach the store and the weights file under the same names as this process.
    lost
        Called once, because a worker may die and only the scheduler knows.

    Raises
    ------
    StoreError
        If several workers have died over one batch, or the scheduler is gone.
    """
    distributed: Any = import_module("distributed")
    lost()
    shared = client.scatter(job, broadcast=True)
    tasks = {client.submit(write_noted, shared, batch, pure=False): batch for batch in batches}
    for task in distributed.as_completed(list(tasks)):
        yield _result(task, tasks[task].values())


def on_scheduler(address: str, work: Callable[..., Any], signal: Signal, *arguments: Any) -> Any:
    """The result of `work(signal, *arguments)` on one of a scheduler's workers."""
    with scheduler(address) as client:
        return _result(client.submit(work, signal, *arguments, pure=False), [signal])


def _result(task: Any, signals: Iterable[Signal]) -> Any:
    """The result of a scheduler's task; StoreError if workers or scheduler are lost, else the error of the task."""
    distributed: Any = import_module("distributed")
    try:
        return task.result()
    except distributed.KilledWorker as error:
        names = ", ".join(repr(signal.name) for signal in signals)
        raise StoreError(f"several workers died over {names}; give them more memory, or fewer of them") from error
    except (CancelledError, OSError) as error:
        if task.status == "error":  # the worker's own: its disk may be full
            raise
        raise StoreError(
            "the dask scheduler or all its workers are gone; complete signals are kept, build again to continue"
        ) from error
