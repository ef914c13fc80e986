"""Running questions: `ask` runs in the model's process, whether or not the page that asked is still open.

The server knows a question by its subject and its settings, so a session that returns to it, or asks the same of the
same store, finds it running. A session that asked may leave it; the question stops when the last one has left.
"""

from __future__ import annotations

import re
import secrets
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import streamlit as st
import xarray as xr

from vitime_cache.errors import VitimeError, in_words
from vitime_cache.evidence.verdict import schema as vschema
from vitime_cache.evidence.window import Window
from vitime_cache.series.signal import Signal
from vitime_cache.ui.processes.engine import engine

LONGEST_STOP = 15.0  # seconds; the engine ends the process of a run that takes longer than 10
MOST = 32  # ended questions that the server remembers
STOPPED = "stopped before it was answered. Asked again, it goes on after its last finished level."
DEFECT = "The question could not be answered because of a bug in this program; the log has the details."
BY = "by"  # parameter of the page's address with the token of the session that asked
TOKEN = re.compile("[0-9a-f]{32}")
Key = tuple[str, str]  # key of the subject; the period and window asked about


class _LeftError(Exception):
    """Every session that asked has left."""


@dataclass(eq=False)
class RunningQuestion:
    """One question: its progress, the verdict so far, and its error.

    Attributes
    ----------
    share, step
        The share done, 0 to 1, and the present step, or the place in the line.
    period
        In samples.
    window
        The stretch of the series that is asked about.
    verdict
        None until the model has forecast, then without an answer until the first level is done; complete once `ended`,
        unless there is an `error`.
    asked_by
        Tokens of the sessions that asked it. Other sessions see its progress.
    """

    signal: Signal
    period: float
    window: Window
    share: float = 0.0
    step: str = "waiting for the model"
    verdict: xr.Dataset | None = None
    error: str = ""
    ended: bool = False
    asked_by: set[str] = field(default_factory=set, repr=False)

    def leave(self, session: str) -> None:
        """Leave the question; when the last session that asked leaves, the run stops at its next step."""
        if session in self.asked_by:
            self.asked_by.discard(session)
            if not self.asked_by:
                self.step = "stopping"

    @property
    def stages(self) -> list[str]:
        """Levels that have run."""
        return [] if self.verdict is None else list(vschema.facts(self.verdict, "stages"))

    @property
    def shown(self) -> tuple[str, ...] | None:
        """What a page can show: the levels that have run, none of them if only the forecast is known; None before."""
        return None if self.verdict is None else tuple(self.stages)

    def note(self, share: float, step: str) -> None:
        """Record the progress of the run; raises if every session has left."""
        if not self.asked_by:
            raise _LeftError
        self.share, self.step = share, step

    def learn(self, verdict: xr.Dataset) -> None:
        """Record the verdict after each level."""
        self.verdict = verdict


@st.cache_resource(show_spinner=False)
def _questions() -> tuple[dict[Key, RunningQuestion], threading.Lock]:
    return {}, threading.Lock()


def session() -> str:
    """The token of this session, known only to those who have its address.

    A reload starts a new session, which takes the token from the address of the page.
    """
    given = st.query_params.get(BY, "")
    known = given if TOKEN.fullmatch(given) else secrets.token_hex(16)
    token: str = st.session_state.setdefault("session_token", known)
    return token


def find(key: Key) -> RunningQuestion | None:
    """The question with this key, if it was asked since the server started."""
    return _questions()[0].get(key)


def known() -> dict[Key, RunningQuestion]:
    """The questions that the server remembers, running or ended."""
    return dict(_questions()[0])


def ask(
    key: Key, signal: Signal, period: float, window: Window, weights: Path, settings: Mapping[str, Any],
    store: Path | None, known: xr.Dataset | None = None,
) -> None:  # fmt: skip
    """Start a question for this session, or join it if it is already running.

    The verdict is kept in `store`, if there is one. Earlier questions about the same subject that have ended are
    forgotten, with their errors.

    Parameters
    ----------
    known
        What is known of the answer already, which pages show until the run knows more.
    """
    every, lock = _questions()
    with lock:
        if key in every and not every[key].ended and every[key].asked_by:
            every[key].asked_by.add(session())
            return
        ended = [name for name, each in every.items() if each.ended]
        for old in [name for name in ended if name[0] == key[0]] + ended[: max(len(every) - MOST, 0)]:
            every.pop(old, None)
        every[key] = asked = RunningQuestion(signal, period, window, verdict=known, asked_by={session()})
    threading.Thread(target=_answer, args=(asked, weights, dict(settings), store), daemon=True).start()


def store_of(key: Key) -> Path:
    """The store of the series that a question is about (`verdicts.Subject.of`)."""
    return Path(key[0].rpartition(":")[0])


def stop(concerns: Callable[[Key, RunningQuestion], bool]) -> bool:
    """Stop running questions, whoever asked, because what they are about is deleted; return whether there were any.

    Waits until they have ended, so that none of them keeps an answer afterwards.
    """
    found = [each for key, each in known().items() if not each.ended and concerns(key, each)]
    for each in found:
        for one in list(each.asked_by):
            each.leave(one)
    end = time.monotonic() + LONGEST_STOP
    while any(not each.ended for each in found) and time.monotonic() < end:
        time.sleep(0.05)
    return bool(found)


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
        asked.error = STOPPED
    except (VitimeError, MemoryError, OSError) as error:
        asked.error = in_words(error)
    except Exception:
        asked.error = DEFECT
        raise
    finally:
        asked.ended = True
