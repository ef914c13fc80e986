"""What may be claimed about a head: the four rungs of evidence, in words.

descriptive (this is where it looks) → signal-dependent (more than on null inputs) → tracking (the peak moves with the
period) → causal (the forecast changes when this is removed). They are separate, not nested: a head may matter without
looking.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Rung:
    """One kind of claim: what it says, what shows it, and what it still leaves open."""

    name: str
    claim: str
    shown_by: str
    leaves_open: str


RUNGS = (
    Rung(
        "descriptive",
        "This is where the head looks.",
        "Its map and its lag curve on this signal.",
        "Whether it would look there on any input: positions alone can produce lag structure.",
    ),
    Rung(
        "signal-dependent",
        "It looks there more than on null inputs.",
        "Curves above the one-sided band of 19 or more shuffled, AR(1) and notched series, by the maximum statistic, "
        "and by a tenth of the curve's mean or more.",
        "Which property of the signal it follows.",
    ),
    Rung(
        "tracking",
        "The peak moves with the period.",
        "A period sweep: the lag of the first peak against the period has a slope near 1, in a head chosen on other "
        "signals than it is measured on.",
        "Whether the forecast uses it.",
    ),
    Rung(
        "causal",
        "The forecast changes when this is removed.",
        "Replacing the head's output by its mean, held against all other heads; or masking the lags of a period, held "
        "against as much attention taken elsewhere, and that against the same at other lags.",
        "Other heads that could do the same: no effect would not mean no role.",
    ),
)
