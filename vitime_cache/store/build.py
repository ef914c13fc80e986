"""Signals → capture → store: the work behind `python -m vitime_cache build`.

Heavy packages are imported only once there is work to do: building again with the same signals reads the journal and
returns.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vitime_cache.checks import called, positive, whole
from vitime_cache.model.checkpoint import check_dtype, check_model, pick_device
from vitime_cache.model.config import WeightsInfo
from vitime_cache.series.given import as_signals
from vitime_cache.series.sources import Signal, check_signals
from vitime_cache.store.bounds import check_config
from vitime_cache.store.dispatch import deviation, ready_to_write
from vitime_cache.store.journal import Journal, assign_places, published, read_journal, visible
from vitime_cache.store.locations import open_objects
from vitime_cache.store.manifest import ROOT, ROOT_BYTES, Identity, check_identity
from vitime_cache.store.objects import Objects, StoreError
from vitime_cache.store.plan import MAX_SIZE, Plan, entry_of, identity_of

if TYPE_CHECKING:
    import xarray as xr

    from vitime_cache.model.network import ViTime
    from vitime_cache.store.writing import Capture


@dataclass(frozen=True)
class BuildProgress:
    """The progress of a build."""

    name: str  # the signal just committed, "" at the start
    done: int
    total: int  # signals that this build has to write
    seconds: float


@dataclass(frozen=True)
class BuildReport:
    """The result of a build.

    Attributes
    ----------
    written
        Names of the signals it committed.
    complete
        Number of the requested signals that the store already held.
    bytes
        Bytes written, compressed.
    without_maps
        Names of the signals that the store holds with fewer token maps than requested.
    dtype_deviation
        For a new store in a dtype other than float32: how far its maps are from float32 on the first signal, as
        `attention.capture.dtype_deviation`; else None.
    """

    store: str
    written: tuple[str, ...] = ()
    complete: int = 0
    bytes: int = 0
    seconds: float = 0.0
    without_maps: tuple[str, ...] = ()
    dtype_deviation: float | None = None


def build(
    signals: Signal | Iterable[Signal] | xr.Dataset,
    store: str | Path,
    model: ViTime | str | Path | None = None,
    *,
    tokens: str | Sequence[str] = "all",
    batch_size: int | None = None,
    workers: int | str | None = None,
    max_size: float = MAX_SIZE,
    device: str = "auto",
    dtype: str = "float32",
    capture: Capture | None = None,
    announce: Callable[[Plan], None] | None = None,
    progress: Callable[[BuildProgress], None] | None = None,
) -> BuildReport:
    """Write the attention of every signal that is not yet in the store. After an interruption, call it again.

    Parameters
    ----------
    signals
        One or several, with unique names, or a Dataset of them. Signals already in the store cost nothing.
    store
        A folder or a URL (s3://bucket/name.zarr). A URL has no lock: run one build at a time on it.
    model
        A loaded model, a weights file, or None for the default weights; a file is loaded only if there is work.
    tokens
        Layers whose token maps are stored for the signals that this build writes: "all", "none" or names such as
        "decoder.5". Signals already in the store stay as they are.
    batch_size
        Signals in one pass of the model, committed together. None takes as many as have together about as many tokens
        as one signal of the published model; on a device, if no token maps are stored, as many as fit its free memory,
        or as have 16 384 tokens where processes share it. If a device runs out of memory, the build goes on with half.
    workers
        A number of processes on this machine, which share its GPUs unless `device` names one; or the address of a dask
        scheduler ("tcp://…") whose workers reach `store` and the weights file under the same names.
    max_size
        Refuse to write more than this many bytes.
    device, dtype
        As for `load_model`, where `model` is a file.
    capture
        The function that runs the model; it replaces `attention.capture.capture_batch`.
    announce
        Called with the plan before any work.
    progress
        Called when the work begins, and after each commit.

    Raises
    ------
    StoreError, SignalError, CheckpointError, ConfigError, EncodingError
        If the input or the store does not allow the build; nothing has been written then.
    """
    start = time.monotonic()
    signals = _listed(signals)
    from_file = isinstance(model, str | Path | None)
    if not from_file:
        check_model(model)
    check_dtype(dtype)
    if batch_size is not None:
        batch_size = whole(batch_size, "batch_size", 1, error=StoreError)
    if not (workers is None or (isinstance(workers, str) and "://" in workers)):
        workers = whole(workers, "workers, unless they are a scheduler's address (tcp://…),", 1, error=StoreError)
    for name, callback in {"capture": capture, "announce": announce, "progress": progress}.items():
        called(callback, name, error=StoreError)
    max_size = positive(max_size, "max_size", "bytes", error=StoreError)
    identity = identity_of(model, dtype)
    check_config(identity.config)
    layers = identity.config.select_layers(tokens)
    objects = open_objects(store)
    journal = read_journal(objects, [signal.name for signal in signals])
    if journal:
        check_identity(journal.manifest, identity, objects.url)
    check_signals(signals, known=[marker.name for marker in journal.markers.values()] if journal else ())
    places = assign_places(journal, signals, objects.url)
    pending = {signal.name: signal for signal in places.values()}
    without = _without_maps(journal, [signal.name for signal in signals if signal.name not in pending], layers)
    report = BuildReport(objects.url, complete=len(signals) - len(places), without_maps=without)
    if journal and not places and journal.laid_out and journal.clean and _is_published(objects, journal):
        return replace(report, seconds=time.monotonic() - start)

    entries = [entry_of(signal, identity.config, layers) for signal in pending.values()]
    plan = Plan.of(objects, identity, entries, report.complete)
    if not isinstance(workers, str):  # a scheduler's workers check their own devices
        pick_device(device)
    if announce:
        announce(plan)
    plan.check(max_size)
    from vitime_cache.store.commit import open_writer

    facts: dict[str, str] = {}
    if journal is None and identity.dtype != "float32" and capture is None:
        from vitime_cache.attention.schema import DTYPE_DEVIATION

        off = deviation(next(iter(pending.values())), model, device, dtype, workers)
        facts[DTYPE_DEVIATION] = f"{off:.3g}"
        report = replace(report, dtype_deviation=off)
    written, size = [], 0
    with (
        ready_to_write(model, device, dtype, batch_size, workers, capture, identity) as write,
        open_writer(objects, identity, entries, facts, known=journal) as writer,
    ):
        todo = {place: pending[entry.name] for place, entry in writer.pending.items()}
        tell = progress or (lambda _: None)
        tell(BuildProgress("", 0, len(todo), time.monotonic() - start))
        for markers in write(objects, writer, todo):
            writer.commit(markers)
            for marker in markers:
                written.append(marker.name)
                size += marker.size
                tell(BuildProgress(marker.name, len(written), len(todo), time.monotonic() - start))
    return replace(report, written=tuple(written), bytes=size, seconds=time.monotonic() - start)


def add_dataset(store: str | Path, ds: xr.Dataset, signal: Signal) -> bool:
    """Save one live run to a store, by the same protocol as a build; a run that is already there stays as it is.

    Parameters
    ----------
    store
        A folder or URL. Exactly the token maps in `ds` are stored.
    ds
        The Dataset that `capture` returned for `signal`.

    Returns
    -------
    bool
        Whether it was written: False if the store already holds the same signal.

    Raises
    ------
    StoreError
        If the store was built with other weights, or holds a different signal of that name.
    """
    from vitime_cache.attention.schema import TOKEN_ATTENTION, VARIABLES, config_of
    from vitime_cache.store.commit import open_writer
    from vitime_cache.store.writing import Puts, SignalWriter

    if not ds.attrs["weights_sha256"]:
        raise StoreError(
            f"the weights {ds.attrs['weights']!r} are not from a file: a store could not tell them from others"
        )
    objects = open_objects(store)
    weights = WeightsInfo(ds.attrs["weights"], ds.attrs["weights_sha256"], ds.attrs["weights_note"])
    identity = Identity(weights, config_of(ds), ds.attrs["dtype"])
    entry = entry_of(signal, identity.config, _token_layers(ds))
    arrays = {name: ds[name].values for name in VARIABLES if name != TOKEN_ATTENTION}
    with open_writer(objects, identity, [entry]) as writer, Puts(objects) as puts:
        places = list(writer.pending)  # empty if the signal is already there
        for place in places:
            with SignalWriter(puts, writer.manifest, place) as signal_writer:
                for layer, head in product(entry.tokens, range(identity.config.heads)):
                    signal_writer.write_map(layer, head, ds[TOKEN_ATTENTION].sel(layer=layer, head=head).values)
                marker = signal_writer.finish(arrays)
            objects.flush()
            writer.commit([marker])
    return bool(places)


def _listed(given: Any) -> list[Signal]:
    """`schema.to_signals`, without importing xarray (a second) where it cannot be a Dataset."""
    if "xarray" not in sys.modules:
        return as_signals(given)
    from vitime_cache.attention.schema import to_signals

    return to_signals(given)


def _token_layers(ds: xr.Dataset) -> tuple[str, ...]:
    """Layers whose token maps were captured; the others are NaN."""
    from vitime_cache.attention.schema import TOKEN_ATTENTION

    if TOKEN_ATTENTION not in ds:
        return ()
    first = ds.token_attention.isel(head=0, query_token=0, key_token=0)
    return tuple(str(layer) for layer in ds.layer.values[first.notnull().values])


def _is_published(objects: Objects, journal: Journal) -> bool:
    return published(objects.get(ROOT, ROOT_BYTES)) == visible(journal.markers)


def _without_maps(journal: Journal | None, names: Sequence[str], layers: Sequence[str]) -> tuple[str, ...]:
    """The committed signals whose entries lack some of the layers."""
    wanted, asked = set(layers), set(names)
    entries = journal.manifest.entries if journal and wanted else ()
    short = {entry.name for entry in entries if entry.name in asked and not wanted.issubset(entry.tokens)}
    return tuple(name for name in names if name in short)
