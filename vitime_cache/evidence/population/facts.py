"""Types of the JSON attributes of a table of many signals; a table from outside is checked against them when read.

As in `evidence.verdict.facts`, fields that are not described here are let through: nothing reads them.
"""

from __future__ import annotations

from typing import Any, NotRequired, TypedDict

from vitime_cache.evidence.verdict.facts import Count, Seed, Span
from vitime_cache.model.config import ViTimeConfig


class Question(TypedDict):
    """What is asked of every signal, and by which weights, then what the signals are."""

    period: Span | str | None  # samples, a span of time such as "1d", or the strongest of each signal
    window: tuple[Count, Count] | None  # history and horizon; None: chosen for each signal
    seed: Seed
    levels: list[str]
    weights: str
    weights_sha256: str
    dtype: str
    method: int
    series: list[str]  # a hash of each
    sample_seconds: NotRequired[list[float]]  # of each, where a span of time is asked about


class Counts(TypedDict):
    """How many signals there are, and how many of them were drawn."""

    available: Count
    drawn: Count


# config: as in the attention schema.
KINDS_OF_FACTS: dict[str, Any] = {"question": Question, "counts": Counts, "config": ViTimeConfig}
