"""Parts of sentences about a verdict: its period, its heads, and shares with their intervals."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
import xarray as xr

from vitime_cache.attention.schema import HEAD, LAYER
from vitime_cache.evidence.verdict import schema as vschema
from vitime_cache.evidence.verdict.data import set_heads
from vitime_cache.numerals import number, percent
from vitime_cache.series.spans import samples_in_words

MOST_NAMED = 6  # heads
STANDS_FOR = "a history moved by a part of its period"


def period_words(ds: xr.Dataset) -> str:
    """The period asked about, in samples and, if their spacing is known, in time."""
    return span_words(ds, float(vschema.facts(ds, "question")["period"]))


def span_words(ds: xr.Dataset, samples: float | Sequence[float]) -> str:
    """Spans of the series asked about, in samples and, where their spacing is known, in time."""
    return samples_in_words(samples, float(vschema.facts(ds, "question")["sample_seconds"]))


def head_names(ds: xr.Dataset, heads: Iterable[tuple[int, int]]) -> str:
    """Heads by layer, such as "decoder.1 · 6, 0; decoder.0 · 3 and 4 more", in the given order."""
    heads = list(heads)
    groups: dict[str, list[str]] = {}
    for i, h in heads[:MOST_NAMED]:
        groups.setdefault(str(ds[LAYER].values[i]), []).append(str(ds[HEAD].values[h]))
    told = "; ".join(f"{layer} · {', '.join(numbers)}" for layer, numbers in groups.items())
    return told + (f" and {len(heads) - MOST_NAMED} more" if len(heads) > MOST_NAMED else "")


def set_words(ds: xr.Dataset) -> str:
    """How many heads the set has, and of how many; a budget may leave some untried."""
    few, tried, all_of_them = len(set_heads(ds)), int(ds["head_share"].notnull().sum()), ds["head_share"].size
    if tried == all_of_them:
        return f"{few} of {tried} heads"
    return f"all {few} heads that were tried" if few == tried else f"{few} of the {tried} heads that were tried"


def interval(share: float, low: float, high: float) -> str:
    """A share with its interval, "84 % (74 … 94)"."""
    if not np.isfinite([low, high]).all():
        return percent(share)
    return f"{percent(share)} ({_whole(low)} … {_whole(high)})"


def _whole(share: float) -> str:
    return percent(share).removesuffix(" %")


def stds(effect: float) -> str:
    """A change of the forecast in standard deviations of the history."""
    said = number(effect, 2)
    return f"{said} standard deviation{'' if said == '1' else 's'}"
