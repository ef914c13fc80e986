"""Own series, brought by users: each becomes a small store, so that every page reads it like any stored signal.

These stores are in a folder beside the named stores, under the hash of the series. Anyone with the address finds them
again after a reload, in another tab and after a restart. A session holds only their names. The oldest are deleted when
there are too many, and a message tells the session that brought them.
"""

from __future__ import annotations

import errno
import hashlib
import math
import re
import shutil
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path

import streamlit as st
import xarray as xr

from vitime_cache.atomic import oldest_first
from vitime_cache.attention import schema
from vitime_cache.charts.clock import Clock
from vitime_cache.errors import VitimeError
from vitime_cache.evidence.periods import propose_periods
from vitime_cache.evidence.window import choose_window
from vitime_cache.model.config import ViTimeConfig
from vitime_cache.series.signal import hold_out
from vitime_cache.series.sources import Signal, SignalError
from vitime_cache.store.locations import open_objects
from vitime_cache.ui import questions
from vitime_cache.ui.processes.engine import Progress, engine
from vitime_cache.ui.stores import Store, folder, store_at, store_of
from vitime_cache.ui.weights import WeightsFile, default_weights
from vitime_cache.ui.words import plain

PREFIX = "own:"
FOLDER = ".own"  # below the folder of stores; a leading dot keeps it out of the list of stores
WHOLE = "all of it"  # the signal with the whole series, beside the stretch that pages show
NAME = re.compile(r"[0-9a-f]{16}")  # nothing else of an address becomes part of a path
MOST = 200  # series
MOST_BYTES = 4e9  # of all own series
NEW = 60  # seconds during which a series is never deleted to make room
MOST_TOKEN_BYTES = 256e6  # token maps of one series; larger ones are not kept


class OwnError(VitimeError):
    """An own series does not exist, or there is no room for another."""


def options() -> dict[str, str]:
    """This session's series, latest first: option of a picker → name. Includes a series that the address names."""
    mine = _mine()
    for asked in (st.query_params.get("q", ""), st.query_params.get("signal", "").removeprefix(PREFIX)):
        take_up(asked)
    for option in [option for option in mine if not is_here(option.removeprefix(PREFIX))]:
        st.toast(
            f"{plain(mine.pop(option))} no longer exists: it was deleted, by hand or to make room for newer series, or "
            "damaged.",
            icon=":material/delete:",
        )
    return {option: mine[option] for option in reversed(mine)}


def is_option(text: str) -> bool:
    """Whether a choice is an own series; a stored signal may be called own:load."""
    return text.startswith(PREFIX) and bool(NAME.fullmatch(text.removeprefix(PREFIX)))


def is_here(name: str) -> bool:
    """Whether a short name is that of an own series, of any session, and all of it is there: not while it is built."""
    if not NAME.fullmatch(name):
        return False
    try:
        names = small_store(name).signals
    except (VitimeError, OSError, KeyError):  # damaged; brought again, it is built again
        return False
    return WHOLE in names and len(names) > 1


def take_up(name: str) -> None:
    """Add a series that an address names to this session's, if it exists."""
    if PREFIX + name not in _mine() and is_here(name):
        _mine()[PREFIX + name] = _shown(small_store(name))


def dataset(option: str) -> xr.Dataset:
    """The attention of an own series, in the layout of a store's signal."""
    found = store_behind(option)
    return found.signal(_shown(found))


def store_behind(option: str) -> Store:
    """The small store behind an option.

    Raises
    ------
    OwnError
        If it has been deleted.
    """
    name = option.removeprefix(PREFIX)
    if not is_here(name):
        raise OwnError("this series no longer exists; bring it again on the page Ask")
    return small_store(name)


def keep(signal: Signal) -> str:
    """Run the model on a series, keep its attention, and return its option. A series that exists is not run again."""
    weights = default_weights()
    signal = replace(signal, reduced_of="")  # the signal that it reduces is not in this store
    name = hashed(signal.fingerprint, weights.info.sha256)  # the same series is kept once per weights
    if not is_here(name):
        make_room()
        tokens = "all" if _token_bytes(weights.config) <= MOST_TOKEN_BYTES else "none"
        place, fitted = st.empty(), _fitted(signal, weights.config)
        run(
            fitted, _path(PREFIX + name), weights, tokens,
            lambda _, step: place.caption(plain(f"{signal.name}: {step}")),  # raises here when the page is closed
        )  # fmt: skip
        place.empty()
    _mine()[PREFIX + name] = signal.name
    return PREFIX + name


def run(
    signals: list[Signal], store: Path, weights: WeightsFile, tokens: str | Sequence[str],
    progress: Progress = lambda *_: None, again: str = "bring",
) -> None:  # fmt: skip
    """Run the model on signals and keep them in a store.

    Parameters
    ----------
    again
        What to do with the series once there is room.

    Raises
    ------
    OwnError
        If the disk is full.
    """
    with _disk_may_be_full(again):
        engine().build(signals, store, weights.path, weights.info.sha256, tokens, progress)


@contextmanager
def _disk_may_be_full(again: str) -> Iterator[None]:
    """Say of a full disk what a page can do: what the library advises, flags and folders of the server, it has not."""
    from vitime_cache.store.plan import TooLargeError

    try:
        yield
    except (TooLargeError, OSError) as error:
        if isinstance(error, OSError) and error.errno not in (errno.ENOSPC, errno.EDQUOT):
            raise
        raise OwnError(
            f"the server's disk is full: delete another series of yours in the Library, then {again} this one again"
        ) from error


def _fitted(signal: Signal, config: ViTimeConfig) -> list[Signal]:
    """Two signals: the latest stretch that shows the strongest period well, for the pages, and the whole series."""
    whole = replace(signal, name=WHOLE)
    proposals = propose_periods(signal.values)
    try:
        window = choose_window(
            len(signal.values), proposals[0].period, columns=config.columns, patch_width=config.patch_width
        )
    except (VitimeError, IndexError):  # no period stands out, or the series is too short for it
        return [signal, whole]
    start = window.starts[-1]
    span = signal.values[start : start + window.history + window.horizon]
    cut = hold_out(signal.name, span, window.horizon, harmonics=signal.harmonics)
    clock = Clock(signal.sample_seconds, signal.start).starting_at(start)
    filled = min(signal.filled, len(cut.values))  # at most; which of the samples were filled is not known
    cut = replace(cut, sample_seconds=clock.seconds, start=clock.start, description=signal.description, filled=filled)
    return [cut, whole]


def whole(ds: xr.Dataset) -> Signal | None:
    """The whole own series of which a Dataset shows a stretch; None for a signal of a named store."""
    place = store_of(ds)
    if place.parent.name != FOLDER:
        return None
    return schema.signal_of(store_at(place).signal(WHOLE))


def save(option: str, name: str, store: str) -> None:
    """Copy an own series into a named store.

    Raises
    ------
    SignalError, StoreError
        For a name that cannot be used or is taken, a store of other weights, or one that is being built.
    """
    if name.startswith(PREFIX):
        raise SignalError(f"{name!r} looks like an unsaved series: choose a name without {PREFIX!r}")
    from vitime_cache.store.build import add_dataset
    from vitime_cache.store.journal import read_journal

    path, ds = folder() / Path(store).name, dataset(option)
    signal = replace(schema.signal_of(ds), name=name)
    journal = read_journal(open_objects(path))
    kept = journal.manifest.tokens if journal else "all"  # the default of `build`
    if schema.TOKEN_ATTENTION in ds or not kept:
        with _disk_may_be_full("save"):
            add_dataset(path, ds, signal)
    else:
        run([signal], path, default_weights(), kept, again="save")


def forget(option: str) -> None:
    """Delete an own series with its verdicts, and stop the questions about it; OSError if it cannot be deleted."""
    path = _path(option)
    questions.stop(lambda key, _: questions.store_of(key) == path)
    with suppress(FileNotFoundError):  # deleted meanwhile
        shutil.rmtree(path)
    _mine().pop(option, None)


def _mine() -> dict[str, str]:
    """This session's series, oldest first: option of a picker → name."""
    mine: dict[str, str] = st.session_state.setdefault("own_series", {})
    return mine


def _shown(store: Store) -> str:
    """The signal of an own series that pages show."""
    return next(name for name in store.signals if name != WHOLE)


def hashed(*parts: str) -> str:
    """A short name that no address can turn into another path."""
    return hashlib.sha256("|".join(parts).encode()).hexdigest()[:16]


def _path(option: str) -> Path:
    name = option.removeprefix(PREFIX)
    if not NAME.fullmatch(name):
        raise OwnError(f"{option!r:.60} is not the name of an own series")
    return folder() / FOLDER / f"{name}.zarr"


def small_store(name: str) -> Store:
    """The small store of that short name, which need not exist."""
    return store_at(_path(PREFIX + name))


def make_room() -> None:
    """Delete the oldest series while there are too many, except new ones and those with a running question.

    Raises
    ------
    OwnError
        If none can be deleted.
    """
    place = folder() / FOLDER
    changed = oldest_first(each for each in place.glob("*.zarr") if each.is_dir())
    sizes = {each: sum(open_objects(each).sizes().values()) for each in changed}
    asked_about = {questions.store_of(key) for key, each in questions.known().items() if not each.ended}
    old = [each for each, at in changed.items() if time.time() - at > NEW and each not in asked_about]
    while len(sizes) >= MOST or sum(sizes.values()) > MOST_BYTES:
        if not old:
            raise OwnError("there is no room for another series right now; try again in a few minutes")
        shutil.rmtree(old[0], ignore_errors=True)
        del sizes[old.pop(0)]


def _token_bytes(config: ViTimeConfig) -> int:
    return 2 * math.prod((len(config.layers), config.heads, config.tokens, config.tokens))
