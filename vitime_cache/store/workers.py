"""The tasks of a build in other processes: they write signals, the process that builds commits them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import CancelledError
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import lru_cache
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vitime_cache.series.sources import Signal
from vitime_cache.store.locations import open_objects
from vitime_cache.store.manifest import Manifest, Marker
from vitime_cache.store.objects import StoreError

if TYPE_CHECKING:
    from vitime_cache.model.network import ViTime
    from vitime_cache.store.writing import Capture

Batch = Mapping[int, Signal]  # by place


@dataclass(frozen=True)
class Job:
    """What a process needs to know to write signals of a store, all of it good for another process."""

    capture: Capture
    address: str = field(repr=False)  # a scheduler writes what it was given into its log
    manifest: Manifest
    weights: str | Path | None
    device: str
    dtype: str

    def write(self, batch: Batch) -> list[Marker]:
        """Capture signals and write their objects, which stay invisible until the markers are committed."""
        from vitime_cache.store.pipeline import Pipeline

        model = _model(self.weights, self.device, self.dtype)
        if model.weights.sha256 != self.manifest.identity.weights.sha256:
            raise StoreError(f"a worker has other weights than this process under {self.weights or 'the default name'}")
        pipeline = Pipeline(open_objects(self.address), self.manifest, model, self.capture)
        return [marker for markers in pipeline.write(batch, len(batch)) for marker in markers]


@lru_cache(maxsize=1)
def _model(weights: str | Path | None, device: str, dtype: str) -> ViTime:
    """Each worker process loads the model once."""
    from vitime_cache.model.checkpoint import load_model

    return load_model(weights, device, dtype)


@contextmanager
def scheduler(address: str) -> Iterator[Any]:
    """A client of the dask scheduler at an address.

    Raises
    ------
    StoreError
        If dask's scheduler is not installed, or none answers.
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
) -> Iterator[list[Marker]]:
    """Yield the markers of each batch as its worker finishes; a batch whose worker dies goes to another worker.

    Parameters
    ----------
    client
        Its workers reach the store and the weights file under the same names as this process.
    lost
        Called because a worker may have died, which only the scheduler knows.

    Raises
    ------
    StoreError
        If a batch has brought down several workers, or the scheduler is gone.
    """
    distributed: Any = import_module("distributed")
    lost()
    shared = client.scatter(job, broadcast=True)
    tasks = {client.submit(Job.write, shared, batch, pure=False): batch for batch in batches}
    for task in distributed.as_completed(list(tasks)):
        try:
            yield task.result()
        except distributed.KilledWorker as error:
            names = ", ".join(repr(signal.name) for signal in tasks[task].values())
            raise StoreError(f"several workers died over {names}; give them more memory, or fewer of them") from error
        except (CancelledError, OSError) as error:
            raise StoreError(
                "the dask scheduler or all its workers are gone; what is complete is kept, build again to go on"
            ) from error
