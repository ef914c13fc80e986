"""Chooses who writes the pending signals of a store: this process, other processes, or a scheduler's workers."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, nullcontext
from copy import deepcopy
from dataclasses import replace
from functools import partial
from itertools import cycle, islice
from pathlib import Path
from typing import TYPE_CHECKING

from vitime_cache.model.config import ViTimeConfig
from vitime_cache.series.sources import Signal
from vitime_cache.store.manifest import Identity, Manifest, Marker
from vitime_cache.store.objects import Objects, StoreError

if TYPE_CHECKING:
    from vitime_cache.model.network import ViTime
    from vitime_cache.store.commit import StoreWriter
    from vitime_cache.store.writing import Capture

TOKENS_AT_ONCE = 2464  # tokens of the published model
MOST_AT_ONCE = 16  # signals in one pass
TOKENS_OF_A_WORKER = 16384  # tokens in one pass on a device that several processes share

Write = Callable[["Objects", "StoreWriter", Mapping[int, Signal]], Iterator[list[Marker]]]


@contextmanager
def ready_to_write(
    model: ViTime | str | Path | None,
    device: str,
    dtype: str,
    batch_size: int | None,
    workers: int | str | None,
    capture: Capture | None,
    identity: Identity,
) -> Iterator[Write]:
    """Yield a function that writes pending signals, here or in other processes, and is ready before any is written.

    Raises
    ------
    StoreError
        If the weights file is not that of `identity` any more.
    """
    from vitime_cache.model.checkpoint import devices_like, load_model

    if capture is None:
        from vitime_cache.attention.capture import capture_batch

        capture = capture_batch
    if workers is None:
        loaded = load_model(model, device, dtype) if isinstance(model, str | Path | None) else model
        if loaded.weights.sha256 != identity.weights.sha256:
            raise StoreError(f"the weights {identity.weights.name} were replaced since the build began; build again")
        yield partial(_write_here, loaded, capture, batch_size)
        return
    if not isinstance(model, str | Path | None):
        raise StoreError("workers load the model themselves: pass the weights file to build, not a loaded model")
    from vitime_cache.store.processes import write_in_processes
    from vitime_cache.store.workers import Job, scheduler, told, write_on_scheduler

    def write(objects: Objects, writer: StoreWriter, pending: Mapping[int, Signal]) -> Iterator[list[Marker]]:
        job = Job(capture, objects.address, writer.manifest, model, device, dtype)
        # A scheduler's workers have devices of their own, which this machine may lack.
        devices = [device] if client else devices_like(device)
        on_cpu = devices[0] in ("auto", "cpu")
        batches = _batches(pending, batch_size or _of_a_worker(writer.manifest, on_cpu))
        if client:
            return told(write_on_scheduler(client, job, batches, writer.unclean))
        jobs = [replace(job, device=each) for each in islice(cycle(devices), int(workers))]
        return told(write_in_processes(jobs, batches, writer.unclean))

    with scheduler(workers) if isinstance(workers, str) else nullcontext() as client:
        yield write


def _of_a_worker(manifest: Manifest, on_cpu: bool) -> int:
    """Signals in one pass of a model in another process."""
    few = _on_cpu(manifest.identity.config)
    return few if on_cpu or manifest.tokens else max(TOKENS_OF_A_WORKER // manifest.identity.config.tokens, 1)


def _batches(pending: Mapping[int, Signal], size: int) -> list[dict[int, Signal]]:
    """Group signals into the batches that other processes run through the model."""
    places = list(pending)
    return [{place: pending[place] for place in places[start : start + size]} for start in range(0, len(places), size)]


def _on_cpu(config: ViTimeConfig) -> int:
    """Signals in one pass of a model on the CPU."""
    return min(max(TOKENS_AT_ONCE // config.tokens, 1), MOST_AT_ONCE)


def _write_here(
    model: ViTime,
    capture: Capture,
    batch_size: int | None,
    objects: Objects,
    writer: StoreWriter,
    pending: Mapping[int, Signal],
) -> Iterator[list[Marker]]:
    """Write the pending signals with a model in this process."""
    from vitime_cache.attention.passes import at_once
    from vitime_cache.store.pipeline import Pipeline

    config = writer.manifest.identity.config
    if batch_size is None:
        # The disk limits a build with token maps: large batches would only need more memory.
        few = _on_cpu(config)
        batch_size = few if writer.manifest.tokens else at_once(model, on_cpu=few)
    yield from Pipeline(objects, writer.manifest, model, capture).write(pending, batch_size)


def deviation(
    signal: Signal, model: ViTime | str | Path | None, device: str, dtype: str, workers: int | str | None = None
) -> float:
    """How far a dtype is from float32 on one signal, on the devices that will write the store.

    The weights of a loaded model are rounded already: only its arithmetic counts.
    """
    if isinstance(workers, str):
        from vitime_cache.store.workers import on_scheduler

        return float(on_scheduler(workers, deviation, signal, model, device, dtype))
    from vitime_cache.attention.capture import dtype_deviation
    from vitime_cache.model.checkpoint import load_model

    if isinstance(model, str | Path | None):
        return dtype_deviation(load_model(model, device, dtype), load_model(model, device, "float32"), signal)
    return dtype_deviation(model, deepcopy(model).float(), signal)
