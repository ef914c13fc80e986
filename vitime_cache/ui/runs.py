"""Signals that are not in a store: run the model on them in this session, and save them to a store."""

from __future__ import annotations

import math
import time
from dataclasses import dataclass, replace
from pathlib import Path
from uuid import uuid4

import streamlit as st
import xarray as xr

from vitime_cache.attention import schema
from vitime_cache.model.checkpoint import find_weights, peek
from vitime_cache.model.config import ViTimeConfig, WeightsInfo
from vitime_cache.series.sources import Signal, SignalError
from vitime_cache.ui.processes.engine import Progress, engine
from vitime_cache.ui.stores import KEY, folder

PREFIX = "live:"
MOST_RUNS = 8  # kept per session
MOST_TOKEN_BYTES = 256e6  # token maps of a run, kept in memory; beyond that a run has none


@dataclass(frozen=True)
class Run:
    """A signal the model was run on in this session."""

    signal: Signal
    dataset: xr.Dataset
    seconds: float


def runs() -> dict[str, Run]:
    """This session's runs by the name they have among the signals, "live:" and their own."""
    found: dict[str, Run] = st.session_state.setdefault("live_runs", {})
    return found


def label(option: str) -> str:
    """How a signal is called in a picker."""
    return f"{option.removeprefix(PREFIX)} (live, not saved)" if option.startswith(PREFIX) else option


def default_weights() -> tuple[Path, ViTimeConfig, WeightsInfo]:
    """The weights of a live run: the published file if it is there, else the shipped small model.

    Raises
    ------
    CheckpointError
        Saying where weights belong, if there are none.
    """
    path = find_weights()
    config, info = peek(path)
    return path, config, info


def run(signal: Signal, progress: Progress) -> str:
    """Run the model on a signal and keep the Dataset in this session; the name it is found under.

    A run of the same series takes the place of the one before; another series of that name gets a number.
    """
    start = time.perf_counter()
    path, config, _ = default_weights()
    tokens = "all" if _token_bytes(config) <= MOST_TOKEN_BYTES else "none"
    signal = _distinct(signal)
    ds = engine().capture(signal, path, tokens, progress)
    name = PREFIX + signal.name
    kept = {key: value for key, value in runs().items() if key != name}
    kept[name] = Run(signal, ds.assign_attrs({KEY: f"{name}:{uuid4()}"}), time.perf_counter() - start)
    st.session_state["live_runs"] = dict(list(kept.items())[-MOST_RUNS:])
    return name


def save(run: Run, name: str, store: str) -> None:
    """Write a run to a store of the app's folder under a name.

    A store may keep token maps that were too large to hold in memory; then the signal is captured once more, as a
    build does it.

    Raises
    ------
    SignalError, StoreError
        For a name that cannot be used or is taken, a store of other weights, or one that is being built.
    """
    if name.startswith(PREFIX):
        raise SignalError(f"{name!r} would pass for a run that is not saved: take a name without {PREFIX!r}")
    from vitime_cache.store.build import add_dataset
    from vitime_cache.store.journal import read_journal
    from vitime_cache.store.objects import open_objects

    path = folder() / Path(store).name
    signal = replace(run.signal, name=name)
    objects = open_objects(path)
    journal = read_journal(objects)
    kept = journal.manifest.tokens if journal else "all"  # a new store keeps what `build` would
    if schema.TOKEN_ATTENTION in run.dataset or not kept:
        add_dataset(path, run.dataset, signal)
    else:
        weights, _, _ = default_weights()
        engine().build(signal, path, weights, kept)


def _distinct(signal: Signal) -> Signal:
    """The signal under a name that no run of another series has."""
    name, number = signal.name, 1
    while (run := runs().get(PREFIX + name)) and run.signal.fingerprint != replace(signal, name=name).fingerprint:
        number += 1
        name = f"{signal.name} ({number})"
    return replace(signal, name=name)


def default_store(info: WeightsInfo) -> str:
    """Name of the store that `build` makes for these weights."""
    return f"{info.name}.zarr"


def _token_bytes(config: ViTimeConfig) -> int:
    return 2 * math.prod((len(config.layers), config.heads, config.tokens, config.tokens))
