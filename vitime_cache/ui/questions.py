"""Questions on their way: `ask` runs in the model's process, whether or not the page that asked is still open.

A question is known to the server by what was asked of whom, so that whoever comes back to it, or asks the same of the
same store, finds it under way. What is asked of a live run is known to its session alone, as the run is.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import streamlit as st
import xarray as xr

from vitime_cache.errors import VitimeError
from vitime_cache.series.signal import Signal
from vitime_cache.ui.processes.engine import engine

MOST = 32  # ended questions that the server remembers
DEFECT = "The question could not be answered for a reason that is a defect of ours; the log has it."


class _LeftError(Exception):
    """Nobody wants the answer any more."""


@dataclass(eq=False)
class Inquiry:
    """One question: how far it is, the verdict as far as it goes, and what went wrong.

    Attributes
    ----------
    share, step
        How much is done, 0 to 1, and what is being done.
    verdict
        Complete once `ended`, unless there is an `error`.
    """

    signal: Signal
    period: float
    share: float = 0.0
    step: str = "waiting for the model"
    verdict: xr.Dataset | None = None
    error: str = ""
    ended: bool = False
    _left: threading.Event = field(default_factory=threading.Event, repr=False)

    def leave(self) -> None:
        """Stop working on it."""
        self._left.set()

    def note(self, share: float, step: str) -> None:
        """Called by the run as it goes on."""
        if self._left.is_set():
            raise _LeftError
        self.share, self.step = share, step


@st.cache_resource(show_spinner=False)
def _inquiries() -> tuple[dict[str, Inquiry], threading.Lock]:
    return {}, threading.Lock()


def inquiry(key: str) -> Inquiry | None:
    """The question known by this key, if it was asked since the server started."""
    return _inquiries()[0].get(key)


def ask(
    key: str, signal: Signal, period: float, weights: Path, settings: Mapping[str, Any], store: Path | None
) -> None:
    """Begin to work on a question, unless that is under way; the verdict is kept in `store`, where there is one."""
    known, lock = _inquiries()
    with lock:
        if key in known and not known[key].ended:
            return
        for old in [name for name, each in known.items() if each.ended][: max(len(known) - MOST, 0)]:
            del known[old]
        known[key] = asked = Inquiry(signal, period)
    threading.Thread(target=_answer, args=(asked, weights, dict(settings), store), daemon=True).start()


def any_under_way(start: str) -> bool:
    """Whether a question whose key starts so is being worked on."""
    return any(not each.ended for key, each in list(_inquiries()[0].items()) if key.startswith(start))


def forget(key: str) -> None:
    """Drop a question that has ended."""
    known, lock = _inquiries()
    with lock:
        if key in known and known[key].ended:
            del known[key]


def _answer(asked: Inquiry, weights: Path, settings: dict[str, Any], store: Path | None) -> None:
    try:
        asked.verdict = engine().ask(asked.signal, asked.period, weights, settings, asked.note)
        if store is not None:
            from vitime_cache.store.verdicts import keep_verdict

            keep_verdict(store, asked.verdict)
    except _LeftError:
        asked.error = "Stopped before it was answered."
    except (VitimeError, MemoryError, OSError) as error:
        asked.error = str(error)
    except Exception:
        asked.error = DEFECT
        raise
    finally:
        asked.ended = True
