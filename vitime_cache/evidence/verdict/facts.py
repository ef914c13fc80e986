"""What the JSON attributes of a verdict hold, with their types; a stranger's verdict is held against them when read.

A field that is not described here is let through: nothing reads it.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal, NotRequired, TypedDict

import msgspec

Span = Annotated[float, msgspec.Meta(gt=0, le=1e15)]  # samples
Count = Annotated[int, msgspec.Meta(ge=0, le=2**53)]
Seed = Annotated[int, msgspec.Meta(ge=0)]
Head = tuple[str, Count]  # layer, head


class Question(TypedDict):
    """What is asked, of which series, and by which weights; equal questions have equal answers."""

    signal: str
    series_sha256: str
    sample_seconds: float  # 0: not known
    period: Span
    period_from: Literal["asked", "proposed"]
    heads: Literal["all"] | Annotated[list[Head], msgspec.Meta(min_length=1)]
    windows: Count
    history: Count
    horizon: Count
    nulls: Count
    masks: Count
    sweep: Count
    level: float
    seed: Seed
    budget: Annotated[float, msgspec.Meta(gt=0)] | None  # minutes
    levels: NotRequired[list[str]]  # where they are not all
    weights: str
    weights_sha256: str
    dtype: str
    method: int


class Proposal(TypedDict):
    """A period that the series has, as `evidence.periods` describes it."""

    period: Span
    power: float
    p_value: float


class WindowFacts(TypedDict):
    """The stretches asked on, as `evidence.window` describes them."""

    starts: list[Count]
    history: Count
    horizon: Count
    length: Count
    samples_per_patch: Span
    period: Span
    chosen: bool
    patches_per_period: Span
    left_out: Count
    words: str
    proposed: list[Proposal]


class Counts(TypedDict):
    """How much was run, and what could have been seen by it.

    Attributes
    ----------
    margin, smallest
        Effects below which count as none, and the smallest that could have been seen, by level or claim.
    left_out
        A sentence for each region with lags of too few pairs.
    null_periods
        Null inputs that have a period of their own.
    effort
        As `evidence.budget` describes it.
    """

    windows: Count
    heads: Count
    masks: Count
    stand_ins: Count
    nulls: Count
    null_kinds: Count
    sweep: Count
    passes: Count
    margin: float
    smallest: dict[str, float]
    left_out: list[str]
    null_periods: NotRequired[Count]
    effort: NotRequired[dict[str, Count | bool]]


class Answer(TypedDict):
    """The answer in words: one of `levels.table.KINDS`, in two or three sentences, and one text for each level."""

    kind: str
    headline: str
    sentences: dict[str, str]


# families: heads that could stand in for another. dropped: what a budget left out, a sentence each. stages: levels
# that are finished. config: as in the attention schema.
KINDS_OF_FACTS: dict[str, Any] = {
    "question": Question,
    "window_facts": WindowFacts,
    "counts": Counts,
    "answer": Answer,
    "families": list[list[Head]],
    "dropped": list[str],
    "stages": list[str],
    "config": dict[str, Any],
}
TEXTS = ("created", "weights")  # when; the weights' note, such as what they were adapted on
