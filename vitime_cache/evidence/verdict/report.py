"""The answer in words: a headline, a text for each level, and what is not claimed. Functions of the verdict alone.

Figures are rounded but not clipped: a share above one or below zero is printed as measured. Unfinished levels are not
mentioned, except in the list of what is still to come.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import xarray as xr

from vitime_cache._version import __version__
from vitime_cache.arrays import Bools
from vitime_cache.attention.schema import HEAD, LAYER
from vitime_cache.evidence.levels.heads_set import TARGET
from vitime_cache.evidence.levels.sweep import FEWEST_PATCHES
from vitime_cache.evidence.levels.table import (
    CLAIM,
    INCONCLUSIVE,
    KINDS,
    LEVEL,
    NOT_SUPPORTED,
    NOT_TESTED,
    OF_HEADS,
    SUPPORTED,
)
from vitime_cache.evidence.verdict import schema as vschema
from vitime_cache.evidence.verdict.data import set_heads, to_come
from vitime_cache.evidence.verdict.headline import headline
from vitime_cache.evidence.verdict.phrases import STANDS_FOR, head_names, interval, set_words, span_words, stds
from vitime_cache.evidence.window import GOOD_PATCHES
from vitime_cache.interventions.lag_masks import REACH
from vitime_cache.numerals import percent
from vitime_cache.shown import counted, listed

NAMED_PART = 0.1  # least share for the largest multiple and the largest layer to be named
COVERED = (0.8, 1.2)  # share of the whole change that values carry; outside, changes of where heads look count too
SAME = 0.02  # share of a period within which a proposal is the same period
NOT_CLAIMED = "not claimed"
INTERVALS = (
    "Intervals in brackets are at 90 %: for what the forecast follows, over draws of which patches were replaced; for "
    "what attention reads, over stand-ins and windows. They apply to this series and this network only."
)


def with_words(ds: xr.Dataset) -> xr.Dataset:
    """The verdict with headline and sentences for the kind of answer in its attribute "answer"."""
    answer = {
        "kind": vschema.kind(ds.attrs),
        "headline": headline(ds),
        "sentences": sentences(ds),
        "version": __version__,
    }
    return vschema.with_facts(ds, answer=answer)


def sentences(ds: xr.Dataset) -> dict[str, str]:
    """What each level found, by its name and in order; last, under `NOT_CLAIMED`, what is not claimed."""
    stages = vschema.facts(ds, "stages")
    said = {level: say(ds) for level, say in _LEVELS.items() if level in stages}
    return said | {NOT_CLAIMED: _not_claimed(ds, stages)}


# What each level found.


def _influence(ds: xr.Dataset) -> str:
    share, near, far, chance = (float(ds[f"influence_{name}"]) for name in ("share", "near", "far", "by_chance"))
    size = f"{STANDS_FOR.capitalize()} changes the forecast by {stds(float(ds['influence_effect']))}."
    if not np.isfinite(share):
        return size
    return (
        f"{size} By the input alone, {percent(share)} of that change comes from whole periods back, {percent(near)} "
        f"from the patches beside them and {percent(far)} from all others; it would be {percent(chance)} whole periods "
        "back if all of the history counted alike."
    )


def _mechanism(ds: xr.Dataset) -> str:
    share, low, high, rest, coverage, effect = (
        float(ds[f"mechanism_{name}"]) for name in ("share", "low", "high", "rest", "coverage", "effect")
    )
    said = f"With attention held as it is, the values that the forecast reads change it by {stds(effect)}"
    if np.isfinite(coverage) and float(ds["influence_effect"]) > 0:
        said += f", which is {percent(coverage)} of the whole change, measured along it"
    said += "."
    if not np.isfinite(share):
        return said
    said += f" Values whole periods back carry {interval(share, low, high)} of that, at all other lags {percent(rest)}"
    phases = ds["mechanism_phase"].values
    if np.isfinite(phases).any():
        said += f"; the largest other phase of the period has {percent(float(np.nanmax(phases)))}"
    by_k, by_layer = ds["mechanism_by_multiple"].values, ds["mechanism_by_layer"].values
    most = []
    if np.nanmax(by_k, initial=0) >= NAMED_PART:
        k = int(np.nanargmax(by_k))
        back = counted(int(ds[vschema.MULTIPLE].values[k]), "period")
        most.append(f"{back} back ({percent(float(by_k[k]))}) among the multiples")
    if np.nanmax(by_layer, initial=0) >= NAMED_PART:
        i = int(np.nanargmax(by_layer))
        most.append(f"in {ds[LAYER].values[i]} ({percent(float(by_layer[i]))}) among the layers")
    if not most:
        return f"{said}."
    return f"{said}. The most is read {' and '.join(most)}; parts can stand in for one another, and need not add up."


def _set(ds: xr.Dataset) -> str:
    few = set_heads(ds)
    if not few:
        return "No set of heads is named: it is not shown that attention whole periods back carries what is followed."
    share, without = (percent(float(ds[name])) for name in ("set_share", "set_without"))
    it = "it" if len(few) == 1 else "them"
    said = f"{set_words(ds)} ({head_names(ds, few)}) alone: {share} of what is read whole periods back; all"
    said += f" others without {it}: {without}."
    if np.nanmax(ds["set_path"].values, initial=0) < np.float32(TARGET):  # as it is kept
        said += f" No set of up to {counted(len(few), 'head')} carried {percent(TARGET)} where it was chosen."
    random = ds["set_random"].values
    random = random[np.isfinite(random)]
    if random.size:
        said += f" {counted(random.size, 'random set')} as large: {percent(float(np.median(random)))} at the median, "
        said += f"{percent(float(random.max()))} at most."
    families = [", ".join(f"{layer} · {head}" for layer, head in family) for family in vschema.facts(ds, "families")]
    return said + (f" Heads that could stand in for one another: {'; '.join(families)}." if families else "")


def _heads(ds: xr.Dataset) -> str:
    smallest = vschema.facts(ds, "counts")["smallest"]
    parts = []
    for name in OF_HEADS:
        part = _claimed(ds, name)
        if (least := smallest.get(name)) is not None and np.isfinite(least):
            part += f"; a change of {stds(least)} would have been seen"
        parts.append(part)
    margin = vschema.facts(ds, "counts")["margin"]
    return f"{'. '.join(parts)}. Less than {margin:g} counts as none."


def _looking(ds: xr.Dataset) -> str:
    looks = ds["looks"].transpose(vschema.REGION, LAYER, HEAD).values
    regions = ", ".join(
        f"{region}: {'not tested' if (of == NOT_TESTED).all() else int((of == SUPPORTED).sum())}"
        for region, of in zip(ds[vschema.REGION].values, looks, strict=True)
    )
    said = f"{_claimed(ds, 'looks')}. By region, {regions}."
    return " ".join([said, *vschema.facts(ds, "counts")["left_out"]])


def _nulls(ds: xr.Dataset) -> str:
    counts = vschema.facts(ds, "counts")
    said = f"{_claimed(ds, 'depends')}."
    if vschema.facts(ds, "question")["period_from"] != "proposed" or "null_periods" not in counts:
        return said
    some, n = counts["null_periods"], counts["nulls"] * counts["null_kinds"]
    return (
        f"{said} The period was proposed from the series, so a null input also counts at the period proposed of it: of "
        f"{n} null series, {some or 'none'} {'has' if some <= 1 else 'have'} one."
    )


def _tracking(ds: xr.Dataset) -> str:
    if not ds.sizes[vschema.SWEEP]:
        patches = vschema.facts(ds, "counts").get("effort", {}).get("history_patches", FEWEST_PATCHES)
        too_few = f" {patches} patches of history are too few for a peak to move; {FEWEST_PATCHES} are enough."
        return f"{_claimed(ds, 'tracks')}.{too_few * (patches < FEWEST_PATCHES)}"
    return f"{_claimed(ds, 'tracks')}. That is a property of the network, not of this series."


_LEVELS: Mapping[str, Callable[[xr.Dataset], str]] = {
    "influence": _influence, "mechanism": _mechanism, "set": _set, "heads": _heads, "looking": _looking,
    "nulls": _nulls, "tracking": _tracking,
}  # fmt: skip


def _claimed(ds: xr.Dataset, name: str) -> str:
    """How many heads support a claim, which ones, and how many are undecided."""
    verdict = ds["verdict"].sel({vschema.CLAIM: name}).transpose(LAYER, HEAD).values
    claim, asked = CLAIM[name], ds["asked"].values
    found: Bools = (verdict == SUPPORTED) & asked
    count = {code: int(((verdict == code) & asked).sum()) for code in (NOT_SUPPORTED, INCONCLUSIVE, NOT_TESTED)}
    tested = int(asked.sum()) - count[NOT_TESTED]
    if not tested:
        return f"No head was tested: {claim.title.lower()}"
    some = int(found.sum())
    if tested == 1:
        of = "The head asked about" if asked.sum() == 1 else "The one head that was tested"
        said = f"{of} {claim.one if some else _undecided(claim.one, bool(count[INCONCLUSIVE]))}"
    else:
        said = f"Of {tested} heads, {some or 'none'} {claim.one if some <= 1 else claim.many}"
    if found.any():
        figure = ds["figure"].sel({vschema.CLAIM: name}).transpose(LAYER, HEAD).values
        strongest_first = sorted(zip(*np.nonzero(found), strict=True), key=lambda at: -figure[at])
        said += f" ({head_names(ds, strongest_first)})"
    if count[INCONCLUSIVE] and tested > 1:
        said += f"; {count[INCONCLUSIVE]} inconclusive, which is not a no"
    if count[NOT_TESTED]:
        said += f"; {count[NOT_TESTED]} not tested"
    return said


def _undecided(one: str, inconclusive: bool) -> str:
    return f"is {'inconclusive' if inconclusive else 'not supported'} on this: that it {one}"


# What is not claimed.


def _not_claimed(ds: xr.Dataset, stages: list[str]) -> str:
    """Conclusions that the answer does not allow."""
    question, window, counts = (vschema.facts(ds, name) for name in ("question", "window_facts", "counts"))
    limits = []
    if KINDS[vschema.kind(ds.attrs)].answer == "yes":
        limits.append(
            "that it is because of the period: a head at a fixed lag does the same, and a second period would tell "
            "(the series resampled, or tracking)"
        )
    limits.append("anything of other series" if counts["windows"] > 1 else "anything of other windows or other series")
    if "heads" in stages and (ds["verdict"].sel({vschema.CLAIM: list(OF_HEADS)}) == NOT_SUPPORTED).any():
        limits.append("that a head without an effect has no role: others may do the same")
    if window["patches_per_period"] < GOOD_PATCHES:
        limits.append("anything finer than half a patch")
    said = [f"Not shown by this: {'; '.join(limits)}."]
    if filled := window.get("filled", 0):
        said.append(
            f"{filled} of the {window['length']} samples of the series {'was' if filled == 1 else 'were'} missing and "
            f"{'is' if filled == 1 else 'are'} interpolated."
        )
    said += _other_routes(ds, stages) + _shared_lags(ds, question["period"], window)
    said += [each if each.endswith(".") else f"{each}." for each in vschema.facts(ds, "dropped")]
    if coming := to_come(ds):
        said.append(f"Not worked on yet: {'; '.join(LEVEL[name].title.lower() for name in coming)}.")
    return " ".join(said)


def _other_routes(ds: xr.Dataset, stages: list[str]) -> list[str]:
    coverage = float(ds["mechanism_coverage"])
    if "mechanism" not in stages or not np.isfinite(coverage) or COVERED[0] <= coverage <= COVERED[1]:
        return []
    if vschema.kind(ds.attrs) == "indifferent":  # there is no change to share out
        return []
    rest = (
        "the rest comes by other routes, such as changes of where heads look, which this does not measure"
        if coverage < 1
        else "other routes, such as changes of where heads look, work against them, which this does not measure"
    )
    return [f"The values that are read carry {percent(coverage)} of the whole change; {rest}."]


def _shared_lags(ds: xr.Dataset, period: float, window: Mapping[str, Any]) -> list[str]:
    """A note on other periods of the series that share lags with the one asked about."""
    near = REACH * window["samples_per_patch"]
    same, others = [], []
    proposed = [float(proposal["period"]) for proposal in window["proposed"]]
    for each in proposed:
        if _is_sideband(each, period, proposed, 1 / window["length"]):
            continue
        long, short = max(each, period), min(each, period)
        if long - short < near:
            same += [each] * (long - short > SAME * period)
        elif abs(long - short * round(long / short)) < near:
            others.append(each)
    said = []
    if same:
        said.append(
            f"The series has a period of {listed([span_words(ds, each) for each in same])}, so close that lags of "
            f"{span_words(ds, window['samples_per_patch'])} a patch do not tell it from this one: what is found may be "
            "due to it."
        )
    if others:
        also = listed([span_words(ds, each) for each in others])
        periods, share = ("a period", "shares") if len(others) == 1 else ("periods", "share")
        said.append(f"The series also has {periods} of {also}, which {share} lags with this one.")
    return said


def _is_sideband(line: float, period: float, proposed: Sequence[float], width: float) -> bool:
    """Whether a line of the spectrum is no period of its own: a cycle of `period` whose size follows a longer one.

    A day whose size follows the week has lines at the sum and the difference of the two frequencies.
    """
    apart = abs(1 / line - 1 / period)
    return any(each > 2 * period and abs(apart - 1 / each) < width for each in proposed)
