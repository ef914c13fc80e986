"""What a kind of planted network is made of, and the words in which its recipe is written."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from benchmarks.planted.construction import CONFIG, CONTRAST, Head, Plan
from benchmarks.planted.truth import Claims, Truth

DECODER = ("decoder.0", "decoder.1")
WHOLE_PERIODS = (6, 8, 10)  # patches, even: half a period and one and a half are whole numbers too
LONG_LAG = 24


@dataclass(frozen=True)
class Recipe:
    """What a kind plants.

    Attributes
    ----------
    plans
        Of its heads.
    period
        Asked about, in patches.
    lags
        Patches back that the forecast's ink comes from, and no others; None: not so simple (see the kind).
    harmonics
        Of the series.
    """

    plans: Sequence[Plan]
    period: float
    truth: Truth
    lags: tuple[int, ...] | None = None
    harmonics: int = 2


def draw_heads(rng: np.random.Generator, n: int, layer: str | None = None) -> list[Head]:
    """`n` heads of one layer of the decoder."""
    layer = layer or str(rng.choice(DECODER))
    return [(layer, int(head)) for head in rng.choice(CONFIG.heads, n, replace=False)]


def plan(place: Head, *lags: int, nats: float = CONTRAST, **how: object) -> Plan:
    layer, head = place
    return Plan(layer, head, dict.fromkeys(lags, nats), **how)  # type: ignore[arg-type]


def some_period(rng: np.random.Generator) -> int:
    return int(rng.choice(WHOLE_PERIODS))


def uses(
    carriers: Sequence[Head], *kinds: str, others: Sequence[Head] = (), must: Claims | None = None,
    may: Claims | None = None,
) -> Truth:  # fmt: skip
    """The forecast uses what the carriers read whole periods back; the others' content matters, too."""
    return Truth(
        frozenset(kinds or ("mostly",)), frozenset(carriers),
        must={"reads": carriers, "matters": [*carriers, *others], **(must or {})}, may=may or {"looks": carriers},
    )  # fmt: skip


def uses_not(kind: str | Sequence[str], must: Claims | None = None, **may: Sequence[Head]) -> Truth:
    """The forecast does not use what lies whole periods back."""
    return Truth(frozenset([kind] if isinstance(kind, str) else kind), must=must or {}, may=may)
