"""Compares the answers about two periods of one series, and the heads that carry each."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import xarray as xr

from vitime_cache.attention.schema import HEAD, LAYER
from vitime_cache.compare.maps import CompareError
from vitime_cache.evidence.levels.table import LEVEL
from vitime_cache.evidence.verdict import schema as vschema
from vitime_cache.evidence.verdict.data import set_heads, to_come
from vitime_cache.evidence.verdict.headline import answer_words
from vitime_cache.evidence.verdict.phrases import head_names, interval, period_words, span_words
from vitime_cache.numerals import equals, number, percent
from vitime_cache.shown import counted

SAME = ("weights_sha256", "series_sha256")
FEW = (
    3  # of the longer period: if they make whole numbers of the shorter one, every third of its lags or more is shared
)


@dataclass(frozen=True, eq=False)
class TwoPeriods:
    """The verdicts on two periods of one series by one network.

    Attributes
    ----------
    both, first_only, second_only
        Indices (layer, head) of the few heads that carry both answers, or one of them.
    """

    first: xr.Dataset
    second: xr.Dataset
    both: tuple[tuple[int, int], ...]
    first_only: tuple[tuple[int, int], ...]
    second_only: tuple[tuple[int, int], ...]

    @property
    def periods(self) -> tuple[float, float]:
        """In samples."""
        first, second = (float(vschema.facts(ds, "question")["period"]) for ds in (self.first, self.second))
        return first, second


def compare_periods(first: xr.Dataset, second: xr.Dataset) -> TwoPeriods:
    """Compare two verdicts.

    Raises
    ------
    CompareError
        If they are about different series or weights, or about the same period.
    """
    a, b = (vschema.facts(ds, "question") for ds in (first, second))
    for name, what in zip(SAME, ("weights", "series"), strict=True):
        if a[name] != b[name]:
            raise CompareError(f"the two verdicts are about different {what}: compare two periods of one series")
    if a["period"] == b["period"]:
        raise CompareError(f"both verdicts are about {period_words(first)}: choose two periods")
    one, two = set_heads(first), set_heads(second)
    return TwoPeriods(
        first, second, tuple(at for at in one if at in two), tuple(at for at in one if at not in two),
        tuple(at for at in two if at not in one),
    )  # fmt: skip


def conclusion(found: TwoPeriods) -> str:
    """Both answers, and which of the few heads they share."""
    first, second = (
        f"a period of {period_words(ds)}: **{answer_words(ds).lower()}**" for ds in (found.first, found.second)
    )
    return f"{first[:1].upper()}{first[1:]}; {second}. {_heads(found)}"


def supports(found: TwoPeriods) -> tuple[str, ...]:
    """The figures of each verdict in words."""
    return tuple(_figures(ds) for ds in (found.first, found.second))


def limits(found: TwoPeriods) -> tuple[str, ...]:
    """What the comparison leaves open."""
    said = [
        "That a head serves only one period: each set was chosen for its own period, and another set could do the "
        "same.",
        "That the difference between two shares exceeds chance: each has its own interval.",
    ]
    if shared := _shared(found):
        said.append(f"That the two are separate: {shared}, so lags that they share count for both.")
    one, two = windows = [vschema.facts(ds, "window_facts") for ds in (found.first, found.second)]
    if any(one[name] != two[name] for name in ("starts", "history", "horizon")):
        each = " and ".join(_windows(ds, of) for ds, of in zip((found.first, found.second), windows, strict=True))
        chosen = ", chosen so that they show its period" if one["chosen"] and two["chosen"] else ""
        said.append(f"That only the period differs: each question used windows of its own{chosen}: {each}.")
    for heads, ds in ((found.first_only, found.second), (found.second_only, found.first)):
        tried = ds["head_share"].transpose(LAYER, HEAD).notnull().values
        if set_heads(ds) and (untried := [at for at in heads if not tried[at]]):
            names = head_names(ds, untried)
            said.append(f"That a period of {period_words(ds)} does without {names}: not tried alone there.")
    for ds in (found.first, found.second):
        if coming := to_come(ds):
            names = "; ".join(LEVEL[name].title.lower() for name in coming)
            said.append(f"For a period of {period_words(ds)}, not worked on yet: {names}.")
    return tuple(said)


def _windows(ds: xr.Dataset, of: Mapping[str, Any]) -> str:
    """ "one window of 308, 154 samples", history and horizon."""
    count = len(of["starts"])
    return (
        f"{counted(count, 'window') if count > 1 else 'one window'} of {span_words(ds, (of['history'], of['horizon']))}"
    )


def _heads(found: TwoPeriods) -> str:
    lacking = [f"a period of {period_words(ds)}" for ds in (found.first, found.second) if not set_heads(ds)]
    if lacking:
        return f"No set of heads is named for {' and '.join(lacking)}, so there are none to compare."
    ds = found.first
    parts = [
        f"{len(heads) or 'none'} {words}{f' ({head_names(ds, heads)})' if heads else ''}"
        for heads, words in (
            (found.both, "carry both" if len(found.both) > 1 else "carries both"),
            (found.first_only, "only the first"), (found.second_only, "only the second"),
        )
    ]  # fmt: skip
    return f"Of the few heads named for them, {', '.join(parts)}."


def _figures(ds: xr.Dataset) -> str:
    about = f"A period of {period_words(ds)}"
    share, low, high = (float(ds[f"influence_{name}"]) for name in ("share", "low", "high"))
    if not np.isfinite(share):
        return f"{about}: no share is known."
    said = f"{about}: {interval(share, low, high)} of how the forecast follows its past comes from there"
    said += f" ({percent(float(ds['influence_by_chance']))} would by chance)"
    read = float(ds["mechanism_share"])
    return said + (f"; of what it reads through attention, {percent(read)}." if np.isfinite(read) else ".")


def _shared(found: TwoPeriods) -> str:
    """ "168 = 7 × 24" or "2 × 36 = 3 × 24" if so few of one make the other within 1 %, or how little they differ."""
    long, short = max(found.periods), min(found.periods)
    if long - short <= 0.01 * long:
        return f"they differ by {span_words(found.first, long - short)}"
    for few in range(1, FEW + 1):
        times = round(few * long / short)
        if abs(few * long - times * short) <= 0.01 * long:
            said = f"{few} × " * (few > 1) + number(long, 4)
            return f"{said} {equals(few * long, times * short)} {times} × {number(short, 4)}"
    return ""


def shares(found: TwoPeriods) -> xr.Dataset:
    """Share of what is read whole periods back that each head carries alone, and its place in the set, at both periods.

    `first`, `second`, `first_place`, `second_place` on (layer, head); NaN if unknown, place 0 outside the set.
    """
    arrays = {}
    for name, ds in (("first", found.first), ("second", found.second)):
        arrays[name] = ds["head_share"].transpose(LAYER, HEAD)
        arrays[f"{name}_place"] = ds["set_rank"].transpose(LAYER, HEAD).fillna(0).astype("int64")
    return xr.Dataset({name: array.drop_attrs() for name, array in arrays.items()})
