"""Questions on their way: `ask` runs in the model's process, whether or not the page that asked is still open.

A question is known to the server by what was asked of whom, so that whoever comes back to it, or asks the same of the
same store, finds it under way. Whoever asked may stop waiting for it; it is stopped when nobody waits any more.
"""

from __future__ import annotations

import re
import secrets
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import streamlit as st
import xarray as xr

from vitime_cache.errors import VitimeError
from vitime_cache.evidence.verdict import schema as vschema
from vitime_cache.series.signal import Signal
from vitime_cache.ui.processes.engine import engine

MOST = 32  # ended questions that the server remembers
DEFECT = "The question could not be answered for a reason that is a defect of ours; the log has it."
BY = "by"  # of the page's address: who asked
TOKEN = re.compile("[0-9a-f]{32}")
Key = tuple[str, str]  # of whom, by the key of a subject; and what


class _LeftError(Exception):
    """Nobody wants the answer any more."""


@dataclass(eq=False)
class RunningQuestion:
    """One question: how far it is, the verdict as far as it goes, and what went wrong.

    Attributes
    ----------
    share, step
        How much is done, 0 to 1, and what is being done, or which place in the line it has.
    verdict
        None until the first level is done; complete once `ended`, unless there is an `error`.
    asked_by
        Tokens of the sessions that asked it. Others see how far it is.
    """

    signal: Signal
    period: float
    share: float = 0.0
    step: str = "waiting for the model"
    verdict: xr.Dataset | None = None
    error: str = ""
    ended: bool = False
    asked_by: set[str] = field(default_factory=set, repr=False)

    def leave(self, session: str) -> None:
        """Wait no longer, as a session that asked; the last one to leave stops the run, at its next step."""
        if session in self.asked_by:
            self.asked_by.discard(session)
            if not self.asked_by:
                self.step = "stopping"

    @property
    def stages(self) -> list[str]:
        """Levels that have been worked on."""
        return [] if self.verdict is None else list(vschema.facts(self.verdict, "stages"))

    def note(self, share: float, step: str) -> None:
        """Called by the run as it goes on."""
        if not self.asked_by:
            raise _LeftError
        self.share, self.step = share, step

    def learn(self, verdict: xr.Dataset) -> None:
        """Called by the run after each level."""
        self.verdict = verdict


@st.cache_resource(show_spinner=False)
def _questions() -> tuple[dict[Key, RunningQuestion], threading.Lock]:
    return {}, threading.Lock()


def session() -> str:
    """The token of this session, which only those know who have its address.

    A reload begins a new session: it is who asked by the token that the address of the page carries.
    """
    given = st.query_params.get(BY, "")
    known = given if TOKEN.fullmatch(given) else secrets.token_hex(16)
    token: str = st.session_state.setdefault("session_token", known)
    return token


def find(key: Key) -> RunningQuestion | None:
    """The question known by this key, if it was asked since the server started."""
    return _questions()[0].get(key)


def known() -> dict[Key, RunningQuestion]:
    """The questions that the server knows, under way or ended."""
    return dict(_questions()[0])


def of_subject(subject: str) -> dict[Key, RunningQuestion]:
    """Those about one subject."""
    return {key: each for key, each in known().items() if key[0] == subject}


def under_way(subject: str) -> dict[Key, RunningQuestion]:
    """The questions about a subject that are being worked on."""
    return {key: each for key, each in of_subject(subject).items() if not each.ended}


def ask(
    key: Key, signal: Signal, period: float, weights: Path, settings: Mapping[str, Any], store: Path | None
) -> None:
    """Begin to work on a question for this session, or wait with others where that is under way.

    The verdict is kept in `store`, where there is one.

    What ended before of the same subject is forgotten, its errors with it.
    """
    every, lock = _questions()
    with lock:
        if key in every and not every[key].ended and every[key].asked_by:
            every[key].asked_by.add(session())
            return
        ended = [name for name, each in every.items() if each.ended]
        for old in [name for name in ended if name[0] == key[0]] + ended[: max(len(every) - MOST, 0)]:
            every.pop(old, None)
        every[key] = asked = RunningQuestion(signal, period, asked_by={session()})
    threading.Thread(target=_answer, args=(asked, weights, dict(settings), store), daemon=True).start()


def forget(key: Key) -> None:
    """Drop a question that has ended."""
    every, lock = _questions()
    with lock:
        if key in every and every[key].ended:
            del every[key]


def _answer(asked: RunningQuestion, weights: Path, settings: dict[str, Any], store: Path | None) -> None:
    try:
        asked.verdict = engine().ask(asked.signal, asked.period, weights, settings, store, asked.note, asked.learn)
    except _LeftError:
        asked.error = "stopped before it was answered."
    except (VitimeError, MemoryError, OSError) as error:
        asked.error = str(error)
    except Exception:
        asked.error = DEFECT
        raise
    finally:
        asked.ended = True
