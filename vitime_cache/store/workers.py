"""The tasks of a build on dask.distributed: a worker writes a signal, the process that builds commits it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from functools import lru_cache
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vitime_cache.series.sources import Signal
from vitime_cache.store.manifest import Manifest, Marker
from vitime_cache.store.objects import Objects, StoreError, open_objects

if TYPE_CHECKING:
    from vitime_cache.model.network import ViTime
    from vitime_cache.store.commit import Capture


@contextmanager
def connected(workers: int | str) -> Iterator[Any]:
    """A dask client: of a number of processes started here, or of the scheduler at an address.

    Raises
    ------
    StoreError
        If dask's scheduler is not installed, or none answers.
    """
    try:
        distributed: Any = import_module("distributed")
    except ImportError as error:
        raise StoreError("--workers needs dask's scheduler: pip install distributed") from error
    with ExitStack() as stack:
        address = workers
        if isinstance(workers, int):
            local = distributed.LocalCluster(n_workers=workers, threads_per_worker=1, dashboard_address=None)
            address = stack.enter_context(local).scheduler_address
        try:
            client = stack.enter_context(distributed.Client(address))
        except (OSError, ValueError) as error:
            raise StoreError(f"no dask scheduler answers at {address}: {error}") from error
        yield client


def write_on_workers(
    client: Any,
    capture: Capture,
    weights: str | Path | None,
    device: str,
    dtype: str,
    objects: Objects,
    manifest: Manifest,
    pending: Mapping[int, Signal],
) -> Iterator[Marker]:
    """Yield the marker of each signal as its worker finishes; a signal whose worker dies goes to another worker.

    Parameters
    ----------
    client
        Its workers reach the store and the weights file under the same names as this process.

    Raises
    ------
    StoreError
        If a signal has brought down several workers.
    """
    distributed: Any = import_module("distributed")
    shared = client.scatter(manifest, broadcast=True)
    tasks = {
        client.submit(
            write_signal, capture, objects.url, shared, place, signal, weights, device, dtype, pure=False
        ): signal
        for place, signal in pending.items()
    }
    for task in distributed.as_completed(list(tasks)):
        try:
            yield task.result()
        except distributed.KilledWorker as error:
            raise StoreError(
                f"several workers died over signal {tasks[task].name!r}; give them more memory, or fewer --workers"
            ) from error


def write_signal(
    capture: Capture,
    url: str,
    manifest: Manifest,
    place: int,
    signal: Signal,
    weights: str | Path | None,
    device: str,
    dtype: str,
) -> Marker:
    """One task: capture a signal and write its objects, which stay invisible until the marker is committed."""
    from vitime_cache.store.commit import Puts, SignalWriter

    model = _model(weights, device, dtype)
    if model.weights.sha256 != manifest.identity.weights.sha256:
        raise StoreError(f"a worker has other weights than this process under {weights or 'the default name'}")
    with Puts(open_objects(url)) as puts:
        writer = SignalWriter(puts, manifest, place)
        (arrays,) = capture(
            model, [signal], manifest.identity.tokens, lambda _, layer, head, maps: writer.write_map(layer, head, maps)
        )
        return writer.finish(arrays)


@lru_cache(maxsize=1)
def _model(weights: str | Path | None, device: str, dtype: str) -> ViTime:
    """Each worker process loads the model once."""
    from vitime_cache.model.checkpoint import load_model

    return load_model(weights, device, dtype)
