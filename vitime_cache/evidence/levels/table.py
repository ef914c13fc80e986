"""The levels of evidence and the claims about single heads: their names, words, figures and colours.

The levels go from the model to the mechanism, the few heads and each head: does the forecast follow what lies whole
periods back (from its input alone), through attention there, and through which heads? What a head looks at is described
separately: a head may look without mattering, and matter without looking.

Everything that shows a verdict (command, card, page, chart) reads these tables and does not refer to levels by number.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Level:
    """One stage of an answer.

    Attributes
    ----------
    name
        As in a verdict's attribute "stages".
    title
        Its name on pages.
    asks, shown_by, leaves_open
        The question, what answers it, and what stays open; one sentence each.
    """

    name: str
    title: str
    asks: str
    shown_by: str
    leaves_open: str


@dataclass(frozen=True)
class Claim:
    """A claim about a single head.

    Attributes
    ----------
    name
        As on a verdict's dimension "claim".
    level
        Name of the level that decides it.
    title
        Heading of its column.
    one, many
        The predicate for one head and for several.
    figure, units
        The figure behind the verdict, and its units.
    """

    name: str
    level: str
    title: str
    one: str
    many: str
    figure: str
    units: str


STDS = "standard deviations of the history"

LEVELS: tuple[Level, ...] = (
    Level(
        "influence",
        "Influence",
        "Does the forecast follow what lies whole periods back?",
        "The input alone: patches of the history are replaced at random by those of a stand-in, the same history moved "
        "by a part of its period, and the forecast's change is regressed on which were replaced.",
        "By which route the network does it.",
    ),
    Level(
        "mechanism",
        "Mechanism",
        "Does it pass through attention to whole periods back?",
        "Attention held as it is while the values that the forecast reads whole periods back come from the stand-in.",
        "What changes where heads look, and routes over several layers.",
    ),
    Level(
        "set",
        "The few heads",
        "Which few heads carry it?",
        "The smallest set that carries nine tenths of it, tested on other stand-ins and windows: alone, and left out.",
        "Other sets that could do the same.",
    ),
    Level(
        "heads",
        "Each head",
        "Which single heads does the forecast use?",
        "Every head alone: what it reads whole periods back replaced by the stand-in's, and its output by a mean.",
        "Heads that do the same as others: no effect is not no role.",
    ),
    Level(
        "looking",
        "Looking",
        "Where does each head look?",
        "Its attention whole periods back against that beside it, for queries of the history and of the forecast.",
        "Whether it would look there on any input, and whether the forecast uses it.",
    ),
    Level(
        "nulls",
        "Looking, against nulls",
        "Does it look there more than on null inputs?",
        "Shuffled samples, autoregressive noise and the series without that period; the maximum over heads.",
        "Which property of the series it follows.",
    ),
    Level(
        "tracking",
        "Tracking",
        "Does its peak move with the period?",
        "The series' own cycle and noise at other periods: chosen on some blocks of periods, measured on others.",
        "Whether the forecast uses it. It is a property of the network, not of this series.",
    ),
)  # fmt: skip

CLAIMS: tuple[Claim, ...] = (
    Claim(
        "reads", "heads", "Read by the forecast", "is read whole periods back by the forecast",
        "are read whole periods back by the forecast", "change of the forecast when what it reads there is replaced",
        STDS,
    ),
    Claim(
        "matters", "heads", "Matters", "matters to the forecast", "matter to the forecast",
        "change of the forecast when its output is replaced by a mean", STDS,
    ),
    Claim(
        "looks", "looking", "Looks", "looks whole periods back", "look whole periods back",
        "(attention whole periods back - beside it) / (their sum), mean over queries", "-1 … 1",
    ),
    Claim(
        "depends", "nulls", "More than on nulls", "looks there more than on null inputs",
        "look there more than on null inputs", "that contrast less the mean one of null inputs", "-2 … 2",
    ),
    Claim(
        "tracks", "tracking", "Tracks", "has a peak that moves with the period",
        "have a peak that moves with the period", "slope of the peak's lag against the period", "samples per sample",
    ),
)  # fmt: skip

STAGES: tuple[str, ...] = tuple(level.name for level in LEVELS)
CLAIM_NAMES: tuple[str, ...] = tuple(claim.name for claim in CLAIMS)
OF_HEADS: tuple[str, ...] = tuple(claim.name for claim in CLAIMS if claim.level == "heads")
FIGURES = "; ".join(f"{claim.title}: {claim.figure} ({claim.units})" for claim in CLAIMS)  # under tables of heads
LEVEL: Mapping[str, Level] = {level.name: level for level in LEVELS}
CLAIM: Mapping[str, Claim] = {claim.name: claim for claim in CLAIMS}


@dataclass(frozen=True)
class Outcome:
    """The result of a claim about a head: its code in a verdict, its word, and its mark in plain text."""

    code: int
    word: str
    mark: str


SUPPORTED, NOT_SUPPORTED, INCONCLUSIVE, NOT_TESTED = 1, 0, -1, -2
OUTCOMES: Mapping[int, Outcome] = {
    each.code: each
    for each in (
        Outcome(SUPPORTED, "supported", "✓"),
        Outcome(NOT_SUPPORTED, "not supported", "✗"),
        Outcome(INCONCLUSIVE, "inconclusive", "?"),
        Outcome(NOT_TESTED, "not tested", "–"),
    )
}
MARKS: Mapping[str, str] = {outcome.word: outcome.mark for outcome in OUTCOMES.values()}


@dataclass(frozen=True)
class Kind:
    """A kind of answer about the forecast as a whole.

    Its name, such as "mostly", tells how much of what attention carries is read whole periods back. A headline's "Yes,
    mostly" or "Yes, partly" tells how much of the forecast follows whole periods back, and may differ from it.

    Attributes
    ----------
    answer
        "yes", "no", "not shown", or "open" while a level that decides it is not finished.
    words
        What it is called where answers are listed. A headline begins with it too, or with how much the forecast
        follows whole periods back (`headline.answer_words`).
    """

    answer: str
    words: str


KINDS: Mapping[str, Kind] = {
    "mostly": Kind("yes", "Yes, through attention there"),
    "partly": Kind("yes", "Yes, partly through attention there"),
    "detour": Kind("yes", "Yes, by a detour"),
    "indifferent": Kind("no", "No"),  # the forecast does not follow where in its period the history is
    "elsewhere": Kind("no", "No"),  # it follows its past, but not whole periods back more than by chance
    "unsettled": Kind("not shown", "Not settled"),  # attention there carries it, but the input alone does not show it
    "not shown": Kind("not shown", "Not shown"),
    "open": Kind("open", "Not answered yet"),
}
BY_ATTENTION = ("mostly", "partly")  # kinds of answer in which attention whole periods back carries it
