"""Signals → capture → store: the work behind `python -m vitime_cache build`.

Nothing heavy is imported before it is known that there is something to do: building again with the same signals reads
the journal and returns.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING

from vitime_cache.model.config import ViTimeConfig, WeightsInfo
from vitime_cache.series.sources import Signal, check_signals
from vitime_cache.store.manifest import (
    ROOT,
    Entry,
    Identity,
    Manifest,
    Marker,
    assign_places,
    check_identity,
    published,
    read_journal,
    visible,
)
from vitime_cache.store.objects import Objects, StoreError, open_objects
from vitime_cache.store.plan import MAX_SIZE, Plan

if TYPE_CHECKING:
    import numpy as np
    import xarray as xr
    from numpy.typing import NDArray

    from vitime_cache.model.network import ViTime
    from vitime_cache.store.commit import Capture, SignalWriter


@dataclass(frozen=True)
class Progress:
    """How far a build is."""

    name: str  # the signal just committed, "" at the start
    done: int
    total: int  # of those this build has to write
    seconds: float


@dataclass(frozen=True)
class BuildReport:
    """What a build did.

    Attributes
    ----------
    written
        Names of the signals it committed.
    complete
        How many of the signals asked for the store held before.
    bytes
        What it wrote, compressed.
    """

    store: str
    written: tuple[str, ...] = ()
    complete: int = 0
    bytes: int = 0
    seconds: float = 0.0


def build(
    signals: Sequence[Signal],
    store: str | Path,
    model: ViTime | str | Path | None = None,
    *,
    tokens: str | Sequence[str] = "all",
    batch_size: int = 1,
    workers: int | str | None = None,
    max_size: float = MAX_SIZE,
    device: str = "auto",
    dtype: str = "float32",
    capture: Capture | None = None,
    announce: Callable[[Plan], None] | None = None,
    progress: Callable[[Progress], None] | None = None,
) -> BuildReport:
    """Write the attention of every signal that is not yet in the store. After an interruption, call it again.

    Parameters
    ----------
    signals
        With unique names. Those that the store holds already cost nothing.
    store
        A folder or a URL (s3://bucket/name.zarr). A URL has no lock: run one build at a time on it.
    model
        A loaded model, a weights file, or None for the default weights; a file is loaded only if there is work.
    tokens
        Layers whose token maps are kept: "all", "none" or names such as "decoder.5". Fixed for a store.
    batch_size
        Signals in one pass of the model. More than one pays on a GPU.
    workers
        A number of processes, or the address of a dask scheduler ("tcp://…") whose workers reach `store`
        and the weights file under the same names.
    max_size
        Refuse to write more than this many bytes.
    device, dtype
        As for `load_model`, where `model` is a file.
    capture
        What runs the model, in place of `attention.capture.capture_batch`.
    announce
        Called with the plan before any work.
    progress
        Called when the work begins, and after each commit.

    Raises
    ------
    StoreError, SignalError, CheckpointError, ConfigError, EncodingError
        Before anything is written, where the input or the store does not allow the build.
    """
    start = time.monotonic()
    if batch_size < 1:
        raise StoreError(f"batch_size must be at least 1, got {batch_size}")
    identity = _identity(model, tokens, dtype)
    objects = open_objects(store)
    journal = read_journal(objects, objects.sizes())
    if journal:
        check_identity(journal.manifest, identity, objects.url)
    check_signals(signals, known=[marker.name for marker in journal.markers.values()] if journal else ())
    places = assign_places(journal, signals, objects.url)
    report = BuildReport(objects.url, complete=len(signals) - len(places))
    if journal and journal.laid_out and not places and published(objects.get(ROOT)) == visible(journal.markers):
        return replace(report, seconds=time.monotonic() - start)

    todo = {signal.name: signal for signal in places.values()}
    entries = [_entry(signal, identity.config) for signal in todo.values()]
    plan = Plan.of(objects, identity, entries, report.complete)
    if announce:
        announce(plan)
    plan.check(max_size)
    from vitime_cache.store.commit import open_writer

    with (
        _writing(model, device, dtype, batch_size, workers, capture) as write,
        open_writer(objects, identity, entries) as writer,
    ):
        pending = {place: todo[entry.name] for place, entry in writer.pending.items()}
        tell = progress or (lambda _: None)
        tell(Progress("", 0, len(pending), time.monotonic() - start))
        for marker in write(objects, writer.manifest, pending):
            writer.commit(marker)
            report = replace(report, written=(*report.written, marker.name), bytes=report.bytes + marker.size)
            tell(Progress(marker.name, len(report.written), len(pending), time.monotonic() - start))
    return replace(report, seconds=time.monotonic() - start)


def add_dataset(store: str | Path, ds: xr.Dataset, signal: Signal) -> None:
    """Save one live run to a store, by the same protocol as a build; a run that is already there stays as it is.

    Parameters
    ----------
    store
        A folder or URL. A new store keeps the token layers that `ds` holds.
    ds
        What `capture` returned for `signal`.

    Raises
    ------
    StoreError
        If the store was built by other weights or keeps token maps that `ds` lacks.
    """
    from vitime_cache.attention.schema import TOKEN_ATTENTION, VARIABLES, config_of
    from vitime_cache.store.commit import Puts, SignalWriter, open_writer

    if not ds.attrs["weights_sha256"]:
        raise StoreError(
            f"the weights {ds.attrs['weights']!r} come from no file: a store could not tell them from others"
        )
    objects = open_objects(store)
    journal = read_journal(objects, objects.sizes())
    identity = Identity(
        WeightsInfo(ds.attrs["weights"], ds.attrs["weights_sha256"], ds.attrs["weights_note"]),
        config_of(ds),
        ds.attrs["dtype"],
        journal.manifest.identity.tokens if journal else _token_layers(ds),
    )
    if lacking := set(identity.tokens) - set(_token_layers(ds)):
        raise StoreError(
            f"{store} keeps token maps of layers that this run lacks, such as {min(lacking)}: "
            f"capture it with tokens={list(identity.tokens)}"
        )
    entry = _entry(signal, identity.config)
    arrays = {name: ds[name].values for name in VARIABLES if name != TOKEN_ATTENTION}
    with open_writer(objects, identity, [entry]) as writer, Puts(objects) as puts:
        for place in list(writer.pending):  # none, if the signal is there already
            signal_writer = SignalWriter(puts, writer.manifest, place)
            for layer, head in product(identity.tokens, range(identity.config.heads)):
                signal_writer.write_map(layer, head, ds.token_attention.sel(layer=layer, head=head).values)
            writer.commit(signal_writer.finish(arrays))


def _token_layers(ds: xr.Dataset) -> tuple[str, ...]:
    """Layers whose token maps were captured: the others are NaN."""
    from vitime_cache.attention.schema import TOKEN_ATTENTION

    if TOKEN_ATTENTION not in ds:
        return ()
    first = ds.token_attention.isel(head=0, query_token=0, key_token=0)
    return tuple(str(layer) for layer in ds.layer.values[first.notnull().values])


def _identity(model: ViTime | str | Path | None, tokens: str | Sequence[str], dtype: str) -> Identity:
    """Whose attention this is, without building the network where a file can tell."""
    if isinstance(model, str | Path | None):
        from vitime_cache.model.checkpoint import peek

        config, weights = peek(model)
    else:
        config, weights = model.config, model.weights
        dtype = str(model.dtype).removeprefix("torch.")
        if not weights.sha256:  # weights that were never in a file are told apart by their values
            digest = hashlib.sha256()
            for tensor in model.state_dict().values():
                digest.update(tensor.detach().float().cpu().contiguous().numpy())
            weights = replace(weights, sha256=digest.hexdigest())
    return Identity(weights, config, dtype, config.select_layers(tokens))


def _entry(signal: Signal, config: ViTimeConfig) -> Entry:
    from vitime_cache.attention.schema import signal_coordinates

    known = {"signal", "complete"}  # the manifest has the name, the markers say what is complete
    values = {name: value for name, value in signal_coordinates(signal, config).items() if name not in known}
    return Entry(signal.name, signal.fingerprint, values, len(signal.harmonics))


@contextmanager
def _writing(
    model: ViTime | str | Path | None,
    device: str,
    dtype: str,
    batch_size: int,
    workers: int | str | None,
    capture: Capture | None,
) -> Iterator[Callable[[Objects, Manifest, Mapping[int, Signal]], Iterator[Marker]]]:
    """What writes the signals of a manifest one by one, here or on workers, ready before anything is written."""
    from vitime_cache.model.checkpoint import load_model
    from vitime_cache.store.workers import connected, write_on_workers

    if capture is None:
        from vitime_cache.attention.capture import capture_batch

        capture = capture_batch

    if workers is None:
        loaded = load_model(model, device, dtype) if isinstance(model, str | Path | None) else model
        yield partial(_write_here, loaded, batch_size, capture)
    elif isinstance(model, str | Path | None):
        with connected(workers) as client:
            yield partial(write_on_workers, client, capture, model, device, dtype)
    else:
        raise StoreError("workers load the model themselves: give build the weights file, not a loaded model")


def _write_here(
    model: ViTime,
    batch_size: int,
    capture: Capture,
    objects: Objects,
    manifest: Manifest,
    pending: Mapping[int, Signal],
) -> Iterator[Marker]:
    """Write the pending signals with a model in this process, `batch_size` at a time."""
    from vitime_cache.store.commit import Puts, SignalWriter

    places = list(pending)
    with Puts(objects) as puts:
        for start in range(0, len(places), batch_size):
            batch = places[start : start + batch_size]
            writers = [SignalWriter(puts, manifest, place) for place in batch]
            captured = capture(
                model, [pending[place] for place in batch], manifest.identity.tokens, partial(_write_map, writers)
            )
            for writer, arrays in zip(writers, captured, strict=True):
                yield writer.finish(arrays)


def _write_map(writers: Sequence[SignalWriter], i: int, layer: str, head: int, weights: NDArray[np.float16]) -> None:
    writers[i].write_map(layer, head, weights)
