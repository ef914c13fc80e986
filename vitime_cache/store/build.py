"""Signals → capture → store: the work behind `python -m vitime_cache build`.

Nothing heavy is imported before it is known that there is something to do: building again with the same signals reads
the journal and returns.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from copy import deepcopy
from dataclasses import dataclass, replace
from functools import partial
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING

from vitime_cache.checks import positive, whole
from vitime_cache.model.checkpoint import check_dtype, check_model, pick_device
from vitime_cache.model.config import ViTimeConfig, WeightsInfo
from vitime_cache.series.signal import as_signals
from vitime_cache.series.sources import Signal, check_signals
from vitime_cache.store.journal import Journal, assign_places, published, read_journal, visible
from vitime_cache.store.manifest import ROOT, Entry, Identity, Marker, check_identity
from vitime_cache.store.objects import Objects, StoreError, open_objects
from vitime_cache.store.plan import MAX_SIZE, Plan

if TYPE_CHECKING:
    import xarray as xr

    from vitime_cache.model.network import ViTime
    from vitime_cache.store.commit import StoreWriter
    from vitime_cache.store.writing import Capture

TOKENS_AT_ONCE = 2464  # of the published model
MOST_AT_ONCE = 16  # signals in one pass


@dataclass(frozen=True)
class BuildProgress:
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
    without_maps
        Names of the signals that the store holds with fewer token maps than asked for.
    dtype_deviation
        Where a store was begun in another dtype than float32: how far its maps lie from float32 on the first signal,
        as `attention.capture.dtype_deviation`; else None.
    """

    store: str
    written: tuple[str, ...] = ()
    complete: int = 0
    bytes: int = 0
    seconds: float = 0.0
    without_maps: tuple[str, ...] = ()
    dtype_deviation: float | None = None


def build(
    signals: Signal | Iterable[Signal],
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
        One or several, with unique names. Those that the store holds already cost nothing.
    store
        A folder or a URL (s3://bucket/name.zarr). A URL has no lock: run one build at a time on it.
    model
        A loaded model, a weights file, or None for the default weights; a file is loaded only if there is work.
    tokens
        Layers whose token maps are kept of the signals that this build writes: "all", "none" or names such as
        "decoder.5". Signals that are in the store already stay as they are.
    batch_size
        Signals in one pass of the model, committed together; None takes as many as together have about as many
        tokens as one signal of the published model.
    workers
        A number of processes on this machine, or the address of a dask scheduler ("tcp://…") whose workers reach
        `store` and the weights file under the same names.
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
    signals = as_signals(signals)
    from_file = isinstance(model, str | Path | None)
    if not from_file:
        check_model(model)
    check_dtype(dtype)
    if batch_size is not None:
        batch_size = whole(batch_size, "batch_size", 1, error=StoreError)
    if not (workers is None or (isinstance(workers, str) and "://" in workers)):
        workers = whole(workers, "workers, unless they are a scheduler's address (tcp://…),", 1, error=StoreError)
    max_size = positive(max_size, "max_size", "bytes", error=StoreError)
    identity = _identity(model, dtype)
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

    entries = [_entry(signal, identity.config, layers) for signal in pending.values()]
    plan = Plan.of(objects, identity, entries, report.complete)
    if from_file and not isinstance(workers, str):  # what a scheduler's workers have is for them to say
        pick_device(device)
    if announce:
        announce(plan)
    plan.check(max_size)
    from vitime_cache.store.commit import open_writer

    facts: dict[str, str] = {}
    if journal is None and identity.dtype != "float32" and capture is None:
        from vitime_cache.attention.schema import DTYPE_DEVIATION

        deviation = _deviation(model, device, dtype, next(iter(pending.values())))
        facts[DTYPE_DEVIATION] = f"{deviation:.3g}"
        report = replace(report, dtype_deviation=deviation)
    written, size = [], 0
    with (
        _writing(model, device, dtype, batch_size, workers, capture) as write,
        open_writer(objects, identity, entries, facts) as writer,
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
        A folder or URL. The token maps that `ds` holds are kept with it, and no others.
    ds
        What `capture` returned for `signal`.

    Returns
    -------
    bool
        Whether it was written: False where the store holds this very signal already.

    Raises
    ------
    StoreError
        If the store was built by other weights, or holds another signal of that name.
    """
    from vitime_cache.attention.schema import TOKEN_ATTENTION, VARIABLES, config_of
    from vitime_cache.store.commit import open_writer
    from vitime_cache.store.writing import Puts, SignalWriter

    if not ds.attrs["weights_sha256"]:
        raise StoreError(
            f"the weights {ds.attrs['weights']!r} come from no file: a store could not tell them from others"
        )
    objects = open_objects(store)
    weights = WeightsInfo(ds.attrs["weights"], ds.attrs["weights_sha256"], ds.attrs["weights_note"])
    identity = Identity(weights, config_of(ds), ds.attrs["dtype"])
    entry = _entry(signal, identity.config, _token_layers(ds))
    arrays = {name: ds[name].values for name in VARIABLES if name != TOKEN_ATTENTION}
    with open_writer(objects, identity, [entry]) as writer, Puts(objects) as puts:
        places = list(writer.pending)  # none, if the signal is there already
        for place in places:
            with SignalWriter(puts, writer.manifest, place) as signal_writer:
                for layer, head in product(entry.tokens, range(identity.config.heads)):
                    signal_writer.write_map(layer, head, ds[TOKEN_ATTENTION].sel(layer=layer, head=head).values)
                marker = signal_writer.finish(arrays)
            objects.flush()
            writer.commit([marker])
    return bool(places)


def _token_layers(ds: xr.Dataset) -> tuple[str, ...]:
    """Layers whose token maps were captured: the others are NaN."""
    from vitime_cache.attention.schema import TOKEN_ATTENTION

    if TOKEN_ATTENTION not in ds:
        return ()
    first = ds.token_attention.isel(head=0, query_token=0, key_token=0)
    return tuple(str(layer) for layer in ds.layer.values[first.notnull().values])


def _is_published(objects: Objects, journal: Journal) -> bool:
    return published(objects.get(ROOT)) == visible(journal.markers)


def _without_maps(journal: Journal | None, names: Sequence[str], layers: Sequence[str]) -> tuple[str, ...]:
    """Those of the committed signals whose entries lack some of the layers."""
    kept = {entry.name: set(entry.tokens) for entry in journal.manifest.entries} if journal else {}
    return tuple(name for name in names if not kept[name].issuperset(layers))


def _identity(model: ViTime | str | Path | None, dtype: str) -> Identity:
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
    return Identity(weights, config, dtype)


def _deviation(model: ViTime | str | Path | None, device: str, dtype: str, signal: Signal) -> float:
    """What the dtype costs on one signal; of a loaded model the arithmetic only, as its weights are rounded already."""
    from vitime_cache.attention.capture import dtype_deviation
    from vitime_cache.model.checkpoint import load_model

    if isinstance(model, str | Path | None):
        return dtype_deviation(load_model(model, device, dtype), load_model(model, device, "float32"), signal)
    return dtype_deviation(model, deepcopy(model).float(), signal)


def _entry(signal: Signal, config: ViTimeConfig, tokens: tuple[str, ...]) -> Entry:
    from vitime_cache.attention.schema import COMPLETE, SIGNAL, signal_coordinates

    known = {SIGNAL, COMPLETE}  # the manifest has the name, the markers say what is complete
    values = {name: value for name, value in signal_coordinates(signal, config).items() if name not in known}
    return Entry(signal.name, signal.fingerprint, values, len(signal.harmonics), tokens)


Write = Callable[["Objects", "StoreWriter", Mapping[int, Signal]], Iterator[list[Marker]]]


@contextmanager
def _writing(
    model: ViTime | str | Path | None,
    device: str,
    dtype: str,
    batch_size: int | None,
    workers: int | str | None,
    capture: Capture | None,
) -> Iterator[Write]:
    """What writes the pending signals of a store, here or in other processes, ready before anything is written."""
    from vitime_cache.model.checkpoint import load_model

    if capture is None:
        from vitime_cache.attention.capture import capture_batch

        capture = capture_batch
    if workers is None:
        loaded = load_model(model, device, dtype) if isinstance(model, str | Path | None) else model
        yield partial(_write_here, loaded, capture, batch_size)
        return
    if not isinstance(model, str | Path | None):
        raise StoreError("workers load the model themselves: give build the weights file, not a loaded model")
    from vitime_cache.store.processes import write_in_processes
    from vitime_cache.store.workers import Job, scheduler, write_on_scheduler

    def write(objects: Objects, writer: StoreWriter, pending: Mapping[int, Signal]) -> Iterator[list[Marker]]:
        job = Job(capture, objects.url, writer.manifest, model, device, dtype)
        return elsewhere(job, _batches(pending, batch_size, writer.manifest.identity.config), writer.unclean)

    if isinstance(workers, int):
        elsewhere = partial(write_in_processes, workers)
        yield write
    else:
        with scheduler(workers) as client:
            elsewhere = partial(write_on_scheduler, client)
            yield write


def _batches(pending: Mapping[int, Signal], batch_size: int | None, config: ViTimeConfig) -> list[dict[int, Signal]]:
    """Signals that go through the model together."""
    size = batch_size or min(max(TOKENS_AT_ONCE // config.tokens, 1), MOST_AT_ONCE)
    places = list(pending)
    return [{place: pending[place] for place in places[start : start + size]} for start in range(0, len(places), size)]


def _write_here(
    model: ViTime,
    capture: Capture,
    batch_size: int | None,
    objects: Objects,
    writer: StoreWriter,
    pending: Mapping[int, Signal],
) -> Iterator[list[Marker]]:
    """Write the pending signals with a model in this process.

    While it runs on a batch of several signals, the batch before is encoded and put: with many small signals that takes
    as long as the model. A single large one is committed at once, so that little is lost when the build is killed.
    """
    from vitime_cache.store.writing import Puts, write_batch

    batches = _batches(pending, batch_size, writer.manifest.identity.config)
    with Puts(objects) as puts, ExitStack() as before, ThreadPoolExecutor(1) as finisher:
        finishing: Future[list[Marker]] | None = None
        for batch in batches:
            with ExitStack() as stack:
                finish = stack.enter_context(write_batch(puts, writer.manifest, model, capture, batch))
                if finishing:
                    yield finishing.result()
                    before.close()
                    finishing = None
                if len(batch) == 1:
                    yield finish()
                else:
                    finishing = finisher.submit(finish)
                    before.push(stack.pop_all())
        if finishing:
            yield finishing.result()
