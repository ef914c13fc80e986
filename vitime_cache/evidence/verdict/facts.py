"""The fields and types of a verdict's JSON attributes, by which a verdict from any source is checked when read.

Unknown fields are accepted, because nothing reads them.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal, NotRequired, TypedDict

import msgspec

from vitime_cache.model.config import ViTimeConfig

# An upper bound refuses infinity; NaN is within no bounds.
Span = Annotated[float, msgspec.Meta(gt=0, le=1e15)]  # samples
Seconds = Annotated[float, msgspec.Meta(ge=0, le=1e15)]  # from one sample to the next; 0: not known
Count = Annotated[int, msgspec.Meta(ge=0, le=2**53)]
Seed = Annotated[int, msgspec.Meta(ge=0)]
Head = tuple[str, Count]  # layer, head


class Question(TypedDict):
    """What is asked, about which series, and of which weights; equal questions have equal answers."""

    signal: str
    series_sha256: str
    sample_seconds: Seconds
    start: NotRequired[str]  # ISO 8601; only if it is known
    period: Span
    period_from: Literal["asked", "proposed"]
    heads: Literal["all"] | Annotated[list[Head], msgspec.Meta(min_length=1)]
    windows: Count
    history: Count
    horizon: Count
    nulls: Count
    masks: Count
    sweep: Count
    level: Annotated[float, msgspec.Meta(gt=0, lt=1)]
    seed: Seed
    budget: Annotated[float, msgspec.Meta(gt=0, le=1e15)] | None  # minutes
    levels: NotRequired[list[str]]  # only if they are not all levels
    weights: str
    weights_sha256: str
    dtype: str
    method: int


class Proposal(TypedDict):
    """A period of the series, as `evidence.periods` describes it."""

    period: Span
    power: float
    p_value: float


class WindowFacts(TypedDict):
    """The windows of a question, as `evidence.window` describes them."""

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
    sample_seconds: NotRequired[Seconds]
    after_constant: NotRequired[bool]
    filled: NotRequired[Count]  # samples of the series that were missing and are interpolated
    proposed: list[Proposal]


class Counts(TypedDict):
    """How much was run, and which effects it could detect.

    Attributes
    ----------
    margin, smallest
        The effect below which there is none, and the smallest effect that could have been detected, by level or claim.
    left_out
        One sentence for each region that has lags with too few pairs.
    null_periods
        Number of null inputs with a period of their own.
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
    """The answer: its kind of `levels.table.KINDS`, a headline of two or three sentences, and a text for each level."""

    kind: str
    headline: str
    sentences: dict[str, str]
    version: NotRequired[str]  # of this program, whose words they are


# families: heads that could replace one another. dropped: one sentence for each part that a budget left out.
# stages: finished levels. config: as in the attention schema.
KINDS_OF_FACTS: dict[str, Any] = {
    "question": Question,
    "window_facts": WindowFacts,
    "counts": Counts,
    "answer": Answer,
    "families": list[list[Head]],
    "dropped": list[str],
    "stages": list[str],
    "config": ViTimeConfig,
}
TEXTS = ("created", "weights")  # time of creation; the weights' note, such as what they were adapted on
