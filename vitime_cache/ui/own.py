"""Series that people bring: each becomes a small store of its own, so that every page reads it like any stored signal.

They lie in a folder beside the named stores, under the hash of the series. Whoever has the address finds them again,
after a reload, in another tab, after a restart. A session holds their names alone. The oldest go when there are too
many, and who brought them is told.
"""

from __future__ import annotations

import math
import re
import shutil
import time
from dataclasses import replace
from pathlib import Path

import streamlit as st
import xarray as xr

from vitime_cache.attention import schema
from vitime_cache.errors import VitimeError
from vitime_cache.evidence.periods import propose_periods
from vitime_cache.evidence.window import choose_window
from vitime_cache.model.checkpoint import find_weights, peek
from vitime_cache.model.config import ViTimeConfig, WeightsInfo
from vitime_cache.series.signal import hold_out
from vitime_cache.series.sources import Signal, SignalError
from vitime_cache.ui import questions
from vitime_cache.ui.processes.engine import engine
from vitime_cache.ui.stores import KEY, Store, folder, store_at
from vitime_cache.ui.words import plain

PREFIX = "own:"
FOLDER = ".own"  # below the folder of stores; a leading dot keeps it out of the list of stores
WHOLE = "all of it"  # the signal that holds the whole series, beside the stretch that pages look at
NAME = re.compile(r"[0-9a-f]{16}")  # nothing else of an address becomes part of a path
MOST = 200  # series
MOST_BYTES = 4e9  # of all of them
NEW = 60  # seconds for which a series is looked at by who brought it
MOST_TOKEN_BYTES = 256e6  # token maps of one series; beyond that none are kept


class OwnError(VitimeError):
    """A series of one's own that is not there."""


def options() -> dict[str, str]:
    """This session's series: option of a picker → name, the latest first; one that an address names among them."""
    mine: dict[str, str] = st.session_state.setdefault("own_series", {})
    for asked in (st.query_params.get("q", ""), st.query_params.get("signal", "").removeprefix(PREFIX)):
        take_up(asked)
    for option in [option for option in mine if not _path(option).is_dir()]:
        st.toast(
            f"{plain(mine.pop(option))} is not here any more: it was deleted, or made room for newer series.",
            icon=":material/delete:",
        )
    return {option: mine[option] for option in reversed(mine)}


def is_here(name: str) -> bool:
    """Whether a short name is that of a series of one's own, whoever brought it."""
    return bool(NAME.fullmatch(name)) and _store(name).stamp is not None


def take_up(name: str) -> None:
    """Make a series that an address names one of this session's, if it is here."""
    mine: dict[str, str] = st.session_state.setdefault("own_series", {})
    if PREFIX + name not in mine and is_here(name):
        mine[PREFIX + name] = _shown(_store(name))


def dataset(option: str) -> xr.Dataset:
    """The attention of a series of one's own, as a store's signal."""
    found = store_of(option)
    return found.signal(_shown(found))


def store_of(option: str) -> Store:
    """The small store behind an option.

    Raises
    ------
    OwnError
        If it has been deleted.
    """
    found = _store(option.removeprefix(PREFIX))
    if found.stamp is None:
        raise OwnError("this series is not here any more; bring it again on the page Ask")
    return found


def keep(signal: Signal) -> str:
    """Run the model on a series and keep its attention; its option. A series that is there already is not run again."""
    path, config, weights = default_weights()
    signal = replace(signal, reduced_of="")  # what it is a reduction of lies in no store of its own
    name = _name(signal, weights)
    if _store(name).stamp is None:
        _make_room()
        tokens = "all" if _token_bytes(config) <= MOST_TOKEN_BYTES else "none"
        place, fitted = st.empty(), _fitted(signal, config)
        engine().build(
            fitted, _path(PREFIX + name), path, tokens,
            lambda _, step: place.caption(plain(f"{signal.name}: {step}")),  # also where a page that is left ends
        )  # fmt: skip
        place.empty()
    st.session_state.setdefault("own_series", {})[PREFIX + name] = signal.name
    return PREFIX + name


def _fitted(signal: Signal, config: ViTimeConfig) -> list[Signal]:
    """What pages look at, the latest stretch on which the strongest period shows well, and all of the series."""
    whole = replace(signal, name=WHOLE)
    proposals = propose_periods(signal.values)
    try:
        window = choose_window(
            len(signal.values), proposals[0].period, columns=config.columns, patch_width=config.patch_width
        )
    except (VitimeError, IndexError):  # no period stands out, or none that this series is long enough for
        return [signal, whole]
    start = window.starts[-1]
    span = signal.values[start : start + window.history + window.horizon]
    cut = hold_out(signal.name, span, window.horizon, harmonics=signal.harmonics)
    return [
        replace(cut, sample_seconds=signal.sample_seconds, description=signal.description, filled=signal.filled), whole
    ]  # fmt: skip


def whole(ds: xr.Dataset) -> Signal | None:
    """All of the series of one's own that a Dataset shows a stretch of; None for a signal of a named store."""
    place = Path(str(ds.attrs[KEY]).partition("@")[0])
    if place.parent.name != FOLDER:
        return None
    return schema.signal_of(store_at(place).signal(WHOLE))


def save(option: str, name: str, store: str) -> None:
    """Copy a series of one's own into a named store.

    Raises
    ------
    SignalError, StoreError
        For a name that cannot be used or is taken, a store of other weights, or one that is being built.
    """
    if name.startswith(PREFIX):
        raise SignalError(f"{name!r} would pass for a series that is not saved: take a name without {PREFIX!r}")
    from vitime_cache.store.build import add_dataset
    from vitime_cache.store.journal import read_journal
    from vitime_cache.store.locations import open_objects

    path, ds = folder() / Path(store).name, dataset(option)
    signal = replace(schema.signal_of(ds), name=name)
    journal = read_journal(open_objects(path))
    kept = journal.manifest.tokens if journal else "all"  # a new store keeps what `build` would
    if schema.TOKEN_ATTENTION in ds or not kept:
        add_dataset(path, ds, signal)
    else:
        engine().build([signal], path, default_weights()[0], kept)


def forget(option: str) -> None:
    """Delete a series of one's own, with what was found of it."""
    st.session_state.setdefault("own_series", {}).pop(option, None)
    shutil.rmtree(_path(option), ignore_errors=True)


def default_weights() -> tuple[Path, ViTimeConfig, WeightsInfo]:
    """The weights that series are run with: the published file if it is there, else the shipped small model.

    Raises
    ------
    CheckpointError
        Saying where weights belong, if there are none.
    """
    path = find_weights()
    config, info = peek(path)
    return path, config, info


def default_store(info: WeightsInfo) -> str:
    """Name of the store that `build` makes for these weights."""
    return f"{info.name}.zarr"


def _shown(store: Store) -> str:
    """The signal of a small store that pages show."""
    return next(name for name in store.signals if name != WHOLE)


def _name(signal: Signal, weights: WeightsInfo) -> str:
    """Of the series and the weights: the same series is kept once, and again for other weights."""
    import hashlib

    return hashlib.sha256(f"{signal.fingerprint}|{weights.sha256}".encode()).hexdigest()[:16]


def _path(option: str) -> Path:
    name = option.removeprefix(PREFIX)
    if not NAME.fullmatch(name):
        raise OwnError(f"{option!r:.60} names no series of one's own")
    return folder() / FOLDER / f"{name}.zarr"


def _store(name: str) -> Store:
    return store_at(_path(PREFIX + name))


def _make_room() -> None:
    """Delete the oldest series while there are too many of them, but none that is new or that a question is about.

    Raises
    ------
    OwnError
        If none can go.
    """
    place = folder() / FOLDER
    kept = sorted(place.glob("*.zarr"), key=lambda each: each.stat().st_mtime) if place.is_dir() else []
    sizes = {each: sum(file.stat().st_size for file in each.rglob("*") if file.is_file()) for each in kept}
    asked_about = {key[0].rpartition(":")[0] for key, each in questions.known().items() if not each.ended}
    old = [each for each in kept if time.time() - each.stat().st_mtime > NEW and str(each) not in asked_about]
    while len(sizes) >= MOST or sum(sizes.values()) > MOST_BYTES:
        if not old:
            raise OwnError("there is no room for another series at this moment; try again in some minutes")
        shutil.rmtree(old[0], ignore_errors=True)
        del sizes[old.pop(0)]


def _token_bytes(config: ViTimeConfig) -> int:
    return 2 * math.prod((len(config.layers), config.heads, config.tokens, config.tokens))


def ran_under(ds: xr.Dataset, weights: WeightsInfo) -> bool:
    """Whether what a Dataset shows has been run with other weights, and is kept."""
    return _store(_name_under(ds, weights)).stamp is not None


def run_under(ds: xr.Dataset, path: Path, weights: WeightsInfo) -> None:
    """Run the model of other weights on what a Dataset shows, history and horizon alike, and keep it as a series is."""
    _make_room()
    signal = replace(schema.signal_of(ds), reduced_of="")
    engine().build([signal], _path(PREFIX + _name_under(ds, weights)), path, "none")


def under(ds: xr.Dataset, weights: WeightsInfo) -> xr.Dataset:
    """What `run_under` kept."""
    found = _store(_name_under(ds, weights))
    return found.signal(found.signals[0])


def _name_under(ds: xr.Dataset, weights: WeightsInfo) -> str:
    """Another name than the series has by itself: a store of one's own holds more."""
    import hashlib

    return hashlib.sha256(f"under|{schema.signal_of(ds).fingerprint}|{weights.sha256}".encode()).hexdigest()[:16]
