"""The address of a question, `?q=…`: a short name for a series and the period asked about.

A small file beside the stores keeps what a name stands for, so the address works after a reload, in another tab, for
others who use this server, and after a restart, both while the question runs and once it is answered.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Collection, Iterable, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path

import streamlit as st
from streamlit.errors import StreamlitAPIException

from vitime_cache.atomic import oldest_first, write_whole
from vitime_cache.errors import VitimeError
from vitime_cache.typed_json import read_json
from vitime_cache.ui import own
from vitime_cache.ui.stores import folder
from vitime_cache.ui.verdicts import Subject

FOLDER = ".asked"  # below the folder of stores; a leading dot keeps it out of the list of stores
MOST = 2000  # addresses; the oldest are deleted
MOST_BYTES = 4000
FOLLOWED = "followed_address"


@dataclass(frozen=True)
class Asked:
    """The question that an address stands for.

    Attributes
    ----------
    store
        Name of the store that holds the series; empty for an own series.
    signal
        The option of the signal picker.
    period
        In samples.
    """

    store: str
    signal: str
    period: float

    @classmethod
    def of(cls, subject: Subject, period: float) -> Asked:
        """A question about a subject."""
        return cls.about(subject.store, subject.signal.name, period)

    @classmethod
    def about(cls, store: Path, signal: str, period: float) -> Asked:
        """A question about a signal in the store at a path."""
        if store.parent.name == own.FOLDER:
            return cls("", own.PREFIX + store.stem, period)
        return cls(store.name, signal, period)

    @property
    def name(self) -> str:
        """The short name in its address; equal questions have equal names."""
        return hashlib.sha256(json.dumps(asdict(self)).encode()).hexdigest()[:16]

    @property
    def place(self) -> dict[str, str]:
        """The parameters of an address that name its series."""
        return {"signal": self.signal} | ({"store": self.store} if self.store else {})


def keep_address(asked: Asked) -> str:
    """Write the file of an address and return its short name. If it cannot be written, the address does not work."""
    path = _place() / f"{asked.name}.json"
    with suppress(OSError):
        if not os.path.lexists(path):
            path.parent.mkdir(parents=True, exist_ok=True)
            _make_room()
            write_whole(path, json.dumps(asdict(asked)).encode())
    return asked.name


def address_of(asked: Asked) -> dict[str, str]:
    """The address of a question as parameters, or where its file cannot be written that of its series."""
    name = keep_address(asked)
    return {"q": name} if find_address(name) == asked else asked.place


def find_address(name: str) -> Asked | None:
    """The question that a name in an address stands for, or None."""
    if not own.NAME.fullmatch(name):
        return None
    path = _place() / f"{name}.json"
    try:
        if path.is_symlink() or path.stat().st_size > MOST_BYTES:
            return None
        asked = read_json(path.read_bytes(), Asked, str(path.name))
    except (OSError, VitimeError):
        return None
    return asked if asked.name == name else None


def in_address() -> Asked | None:
    """The question that the address of the page names."""
    return find_address(st.query_params.get("q", ""))


def show_in_address(subject: Subject, period: float) -> None:
    """Put a question into the page's address: one entry in the browser's history."""
    asked = Asked.of(subject, period)
    named = {key: value for key, value in asked.place.items() if key in st.query_params}
    st.session_state[FOLLOWED] = asked.name
    write_address({**named, **address_of(asked)}, {"q"})


def write_address(new: Mapping[str, str], dropped: Collection[str]) -> None:
    """Write parameters to the page's address and drop others: one entry in the browser's history, if possible."""
    gone = set(dropped) & set(st.query_params) - set(new)
    if not gone:
        st.query_params.update(new)
        return
    kept: dict[str, str | Iterable[str]] = {
        key: st.query_params.get_all(key) for key in st.query_params if key not in gone
    }
    try:
        st.query_params.from_dict({**kept, **new})
    except StreamlitAPIException:  # what a control of the page keeps in the address may not be written with the others
        st.query_params.update(new)
        for key in gone:
            del st.query_params[key]


def newly_asked_for(subject: Subject) -> float | None:
    """The period that the address asks about, the first time it is seen; else None."""
    period = asked_for(subject)
    if period is None or st.session_state.get(FOLLOWED) == (name := Asked.of(subject, period).name):
        return None
    st.session_state[FOLLOWED] = name
    return period


def asked_for(subject: Subject) -> float | None:
    """The period that the address asks about, if it asks about this subject; else None."""
    asked = in_address()
    return asked.period if asked is not None and Asked.of(subject, asked.period) == asked else None


def _place() -> Path:
    return folder() / FOLDER


def _make_room() -> None:
    kept = list(oldest_first(_place().glob("*.json")))
    for old in kept[: max(len(kept) - MOST + 1, 0)]:
        old.unlink(missing_ok=True)
