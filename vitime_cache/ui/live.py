"""Signals that are not in a store: run the model on them in this session, and save them to a store.

torch is imported by `run`, and nowhere before it.
"""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import streamlit as st
import xarray as xr

from vitime_cache.checkpoint import find_weights, peek
from vitime_cache.config import ViTimeConfig, WeightsInfo
from vitime_cache.signals import Signal
from vitime_cache.ui.stores import KEY, folder

if TYPE_CHECKING:
    from vitime_cache.model import ViTime

PREFIX = "live:"
MOST_RUNS = 8  # kept per session
MOST_TOKEN_BYTES = 256e6  # token maps of a run, kept in memory; beyond that a run has none

Progress = Callable[[float, str], object]


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
    config, info = _peek(str(path), path.stat().st_mtime_ns)
    return path, config, info


def run(signal: Signal, progress: Progress) -> str:
    """Run the model on a signal and keep the Dataset in this session; the name it is found under."""
    from vitime_cache.capturing import capture

    start = time.perf_counter()
    progress(0.0, "loading the model")
    path, config, _ = default_weights()
    model = _model(str(path), path.stat().st_mtime_ns)
    tokens = "all" if _token_bytes(config) <= MOST_TOKEN_BYTES else "none"
    with _layer_by_layer(model, progress):
        ds = capture(model, signal, tokens=tokens)
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
    from vitime_cache.building import add_dataset, build
    from vitime_cache.journal import read_journal
    from vitime_cache.objects import open_objects

    path = folder() / Path(store).name
    signal = replace(run.signal, name=name)
    objects = open_objects(path)
    journal = read_journal(objects, objects.sizes())
    if "token_attention" in run.dataset or not (journal and journal.manifest.identity.tokens):
        add_dataset(path, run.dataset, signal)
    else:
        weights, _, _ = default_weights()
        model = _model(str(weights), weights.stat().st_mtime_ns)
        build([signal], path, model, tokens=journal.manifest.identity.tokens)


def default_store(info: WeightsInfo) -> str:
    """Name of the store that `build` makes for these weights."""
    return f"{info.name}.zarr"


@st.cache_data(max_entries=4, show_spinner=False)
def _peek(path: str, modified: int) -> tuple[ViTimeConfig, WeightsInfo]:  # noqa: ARG001 - part of the cache's key
    return peek(path)


@st.cache_resource(max_entries=1, show_spinner=False)
def _model(path: str, modified: int) -> ViTime:  # noqa: ARG001 - part of the cache's key
    from vitime_cache.checkpoint import load_model

    return load_model(path)


def _token_bytes(config: ViTimeConfig) -> int:
    return 2 * math.prod((len(config.layers), config.heads, config.tokens, config.tokens))


@contextmanager
def _layer_by_layer(model: ViTime, progress: Progress) -> Iterator[None]:
    """Report each layer that this thread's run passes; other sessions may run the same model meanwhile."""
    blocks, mine = model.blocks_by_layer(), threading.get_ident()

    def report(done: int, layer: str) -> Callable[..., None]:
        def hook(*_: Any) -> None:
            if threading.get_ident() == mine:
                progress(done / len(blocks), layer)

        return hook

    handles = [
        block.register_forward_hook(report(done, layer)) for done, (layer, block) in enumerate(blocks.items(), start=1)
    ]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()
