"""The terms of the field that pages use, explained on hovering where they stand."""

from __future__ import annotations

import re

PATCH = "a column of the image cut into tokens: the unit, and the finest resolution, of a lag."
PROMINENCE = (
    "how far a peak of the lag curve stands above the higher of the two valleys beside it, in means of the curve: 1 is "
    "as much as the head's mean attention at a lag."
)
# The beginning of a term's words in a text -> the term, and what it is.
TERMS = {
    "patch": ("Patch", PATCH),
    "null": (
        "Null inputs",
        "series without what is asked about: shuffled samples, autoregressive noise, and the series without that "
        "period. What a head does on them as well is not because of the period.",
    ),
    "knock": ("Knockout", "a head's output is replaced by a mean, so that the forecast has to do without it."),
    "CLS": ("CLS", "an extra token of the model that represents no part of the image."),
    "prominence": ("Prominence", PROMINENCE),
    "even attention": ("Even attention", "what every patch would get if all got the same: 2 × even is twice as much."),
    "token": ("Token", "one piece of the image, a patch wide and a few values high, that attention looks from and at."),
}
_FIRST = {start: re.compile(rf"\b{start}", re.IGNORECASE) for start in TERMS}


def explained(*texts: str) -> str | None:
    """What the terms in some texts mean, for hovering; None if there are none."""
    said = [
        f"**{name}**: {meaning}" for start, (name, meaning) in TERMS.items() if any(map(_FIRST[start].search, texts))
    ]
    return "\n\n".join(said) or None
