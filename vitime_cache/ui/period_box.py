"""The box for a period, as a person writes it: 24 samples, 24h, 1 day."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal

import streamlit as st

from vitime_cache.evidence.window import SHORTEST_SAMPLES
from vitime_cache.series.bounds import SignalError
from vitime_cache.series.spans import WRITTEN, to_samples
from vitime_cache.ui.words import notice

WIDTH = 200  # pixels


def written(period: float) -> str:
    """A period in samples as the box shows it."""
    return f"{round(period, 2):.12g}"


def period_box(
    key: str, known: Iterable[float], sample_seconds: float, *, help: str, first: str = "",
    bind: Literal["query-params"] | None = None,
) -> float | None:  # fmt: skip
    """A period in samples; None if the box is empty, or with the reason in place if it holds no period.

    Parameters
    ----------
    key
        Of the text in the session's state.
    known
        Periods in samples that may be written there: what the box shows of one stands for all of its digits.
    sample_seconds
        From one sample to the next; 0 if that is not known, and then a time is no period.
    first
        The text of a box that nobody has written in.
    """
    text = st.text_input("Period P", first, key=key, placeholder=WRITTEN, help=help, bind=bind, width=WIDTH) or ""
    try:
        return read_period(text, known, sample_seconds)
    except SignalError as error:
        notice(error)
        return None


def read_period(text: str, known: Iterable[float], sample_seconds: float) -> float | None:
    """The period in samples that a text in the box stands for; None for an empty text.

    Raises
    ------
    SignalError
        If the text is no period.
    """
    exact = {written(period): period for period in known}
    if not text.strip() or text in exact:
        return exact.get(text)
    period = to_samples(text, sample_seconds)
    if period < SHORTEST_SAMPLES:
        raise SignalError(f"a period spans at least {SHORTEST_SAMPLES} samples, got {text!r:.60}")
    return period
