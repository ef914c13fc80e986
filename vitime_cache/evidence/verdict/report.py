"""The answer in words: a headline, a text for each level, and what is not claimed. Functions of the verdict alone.

Figures are rounded but not clipped: a share above one or below zero is printed as measured. Unfinished levels are not
mentioned, except in the list of what is still to come.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import xarray as xr

from vitime_cache._version import __version__
from vitime_cache.arrays import Bools
from vitime_cache.attention.schema import HEAD, LAYER
from vitime_cache.evidence.levels.answer_kind import ALONE, Figures
from vitime_cache.evidence.levels.table import (
    BY_ATTENTION,
    CLAIM,
    CLAIMS,
    INCONCLUSIVE,
    KINDS,
    LEVEL,
    NOT_SUPPORTED,
    NOT_TESTED,
    SUPPORTED,
)
from vitime_cache.evidence.verdict import schema as vschema
from vitime_cache.evidence.verdict.data import set_heads, to_come
from vitime_cache.evidence.window import GOOD_PATCHES
from vitime_cache.interventions.lag_masks import REACH
from vitime_cache.numerals import number, percent
from vitime_cache.series.spans import samples_in_words
from vitime_cache.shown import counted, listed

MOST_NAMED = 6
NAMED_PART = 0.1  # least share for the largest multiple and the largest layer to be named
MOSTLY = 0.5  # share whole periods back above which a headline says so
COVERED = (0.8, 1.2)  # share of the whole change that values carry; outside, changes of where heads look count too
SAME = 0.02  # share of a period within which a proposal is the same period
NOT_CLAIMED = "not claimed"
INTERVALS = (
    "Intervals in brackets are at 90 %: for what the forecast follows, over draws of which patches were replaced; for "
    "what attention reads, over stand-ins and windows. They apply to this series and this network only."
)
AGAINST = "Parts of the past work against one another"  # so that their shares are no measure of what each does
STANDS_FOR = "a history moved by a part of its period"


def with_words(ds: xr.Dataset) -> xr.Dataset:
    """The verdict with headline and sentences for the kind of answer in its attribute "answer"."""
    answer = {"kind": kind(ds), "headline": headline(ds), "sentences": sentences(ds), "version": __version__}
    return vschema.with_facts(ds, answer=answer)


def kind(ds: xr.Dataset) -> str:
    """The kind of answer, one of `levels.table.KINDS`; a VerdictError for one that this version does not know."""
    return vschema.kind(ds.attrs)


def headline(ds: xr.Dataset) -> str:
    """The answer in two or three sentences: what the forecast follows, by which heads, and what was tested."""
    of = kind(ds)
    return f"{answer_words(ds)}: {_HEADLINES[of](ds)}{_tested(ds, effect=of not in ('indifferent', 'open'))}"


def answer_words(ds: xr.Dataset) -> str:
    """The first words of the headline, such as "Yes, mostly", which the share after them bears out."""
    of = kind(ds)
    if of not in BY_ATTENTION:
        return KINDS[of].words
    return "Yes, mostly" if _value(ds, "influence_share") > MOSTLY else "Yes, partly"


def sentences(ds: xr.Dataset) -> dict[str, str]:
    """What each level found, by its name and in order; last, under `NOT_CLAIMED`, what is not claimed."""
    stages = vschema.facts(ds, "stages")
    said = {level: say(ds) for level, say in _LEVELS.items() if level in stages}
    return said | {NOT_CLAIMED: _not_claimed(ds, stages)}


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


def interval(share: float, low: float, high: float) -> str:
    """A share with its interval, "84 % (74 … 94)"."""
    if not np.isfinite([low, high]).all():
        return percent(share)
    return f"{percent(share)} ({_whole(low)} … {_whole(high)})"


def _whole(share: float) -> str:
    return percent(share).removesuffix(" %")


def _value(ds: xr.Dataset, name: str) -> float:
    return float(ds[name])


def _share(ds: xr.Dataset, level: str) -> str:
    """The share whole periods back of one of the first two levels, with its interval."""
    return interval(*(_value(ds, f"{level}_{name}") for name in ("share", "low", "high")))


def _back(ds: xr.Dataset) -> str:
    return f"whole periods of {period_words(ds)} back"


def _stds(effect: float) -> str:
    return f"{number(effect, 2)} standard deviations"


# The headline of each kind, without its first words.


def _followed(ds: xr.Dataset) -> str:
    """How much of the forecast's dependence on its past comes from whole periods back."""
    return f"{_share(ds, 'influence')} of how this forecast follows its past comes from {_back(ds)}"


def _by_chance(ds: xr.Dataset) -> str:
    return f"{percent(_value(ds, 'influence_by_chance'))} would by chance"


def _yes(ds: xr.Dataset) -> str:
    share, rest = (percent(_value(ds, f"mechanism_{name}")) for name in ("share", "rest"))
    elsewhere = f" ({rest} elsewhere)" if kind(ds) == "partly" else ""
    return (
        f"{_followed(ds)} ({_by_chance(ds)}). Of what it reads through attention, {share} is read there"
        f"{elsewhere}{_through(ds)}."
    )


def _through(ds: xr.Dataset) -> str:
    """The set of heads, as the end of a sentence; empty if none is known."""
    few = set_heads(ds)
    if not few:
        return ""
    return f", {percent(_value(ds, 'set_share'))} of it through {_few_words(ds)}: {head_names(ds, few)}"


def _few_words(ds: xr.Dataset) -> str:
    """How many heads carry it, and of how many; a budget may leave some untried."""
    few, tried, all_of_them = len(set_heads(ds)), int(ds["head_share"].notnull().sum()), ds["head_share"].size
    if tried == all_of_them:
        return f"{few} of {tried} heads"
    return f"all {few} heads that were tried" if few == tried else f"{few} of the {tried} heads that were tried"


def _detour(ds: xr.Dataset) -> str:
    known = np.isfinite(_value(ds, "mechanism_share"))
    carried = f": of what it reads through attention, {_share(ds, 'mechanism')} is" if known else ""
    return (
        f"{_followed(ds)} ({_by_chance(ds)}). That it is read there directly is not shown{carried}{_stays(ds)}. It may "
        "come by lags that add up over layers, or by other routes."
    )


def _stays(ds: xr.Dataset) -> str:
    """That the influence stays while the reads are held, as the end of a sentence; empty where it does not."""
    if Figures.of(ds).through:
        return ""
    return ", but the influence of that past stays while these reads are held"


def _indifferent(ds: xr.Dataset) -> str:
    margin = vschema.facts(ds, "counts")["margin"]
    return (
        f"this forecast does not follow where in its period of {period_words(ds)} the history is. "
        f"{STANDS_FOR.capitalize()} changes it by {_stds(_value(ds, 'influence_effect'))}; less than {margin:g} "
        "counts as none."
    )


def _elsewhere(ds: xr.Dataset) -> str:
    return f"{_followed(ds)}, where {_by_chance(ds)}."


def _unsettled(ds: xr.Dataset) -> str:
    read = f"of what this forecast reads through attention, {_share(ds, 'mechanism')} is read {_back(ds)}"
    if stays := _stays(ds):
        return f"{read}{stays}. {_followed(ds)}, where {_by_chance(ds)}."
    return (
        f"{read}, but the input alone does not show it: {_share(ds, 'influence')} of how the forecast follows its past "
        f"comes from there, where {_by_chance(ds)}."
    )


def _not_shown(ds: xr.Dataset) -> str:
    figures = Figures.of(ds)
    share, low, chance = (_value(ds, f"influence_{name}") for name in ("share", "low", "by_chance"))
    if not figures.add_up or (figures.no_more and figures.opposed):
        return f"{_followed(ds)}, where {_by_chance(ds)}. {AGAINST}, so that this share says little."
    if figures.alone:  # and yet no detour
        return (
            f"{_followed(ds)} ({_by_chance(ds)}), and that goes when what is read there is held. But of what it reads "
            f"through attention, {_share(ds, 'mechanism')} is read there. {AGAINST}, so that these shares say little."
        )
    if figures.more_than(ALONE):
        return (
            f"{_followed(ds)} ({_by_chance(ds)}). Of what it reads through attention, "
            f"{percent(_value(ds, 'mechanism_beside'))} is read one patch beside them, where the image blurs their "
            "ink, so that this share says little."
        )
    enough = chance + ALONE * (1 - chance)
    seen = enough + share - low  # with this interval around it, its lower end would say so
    little = (
        ": too little more to count on its own, and attention there is not shown to carry clearly more than elsewhere"
        if low > chance
        else ""
    )
    return (
        f"{_followed(ds)}, where {_by_chance(ds)}{little}. A share above about {percent(seen)} would have counted on "
        "its own."
    )


def _open(ds: xr.Dataset) -> str:
    stages = vschema.facts(ds, "stages")
    coming = LEVEL["mechanism" if "influence" in stages else "influence"]
    so_far = f"{_followed(ds)} ({_by_chance(ds)}). " if np.isfinite(_value(ds, "influence_share")) else ""
    return f"{so_far}{'Still' if so_far else 'still'} to be worked on: {coming.asks[0].lower()}{coming.asks[1:]}"


_HEADLINES: Mapping[str, Callable[[xr.Dataset], str]] = {
    "mostly": _yes, "partly": _yes, "detour": _detour, "indifferent": _indifferent, "elsewhere": _elsewhere,
    "unsettled": _unsettled, "not shown": _not_shown, "open": _open,
}  # fmt: skip


def _tested(ds: xr.Dataset, *, effect: bool) -> str:
    """The windows and heads tested, and the size of the effect."""
    windows = int(vschema.facts(ds, "counts")["windows"])
    scope = " Tested on one window" if windows == 1 else f" Tested on {windows} windows"
    if "mechanism" in vschema.facts(ds, "stages"):  # earlier levels involve no heads
        scope += f" and {_heads_tested(ds)}"
    size = _value(ds, "influence_effect")
    if not effect or not np.isfinite(size):
        return f"{scope}."
    return f"{scope}; {STANDS_FOR} changes the forecast by {_stds(size)}."


def _heads_tested(ds: xr.Dataset) -> str:
    """How many heads were tested in any way, of all; levels 1 and 2 involve all heads at once."""
    n = ds["head_share"].size
    alone = (ds["verdict"].sel({vschema.CLAIM: _of_heads()}) != NOT_TESTED).any(vschema.CLAIM)
    tried = int((ds["head_share"].notnull() | alone).sum())
    return f"{tried} of {n} heads" if 0 < tried < n else counted(n, "head")


# What each level found.


def _influence(ds: xr.Dataset) -> str:
    share, near, far, chance = (_value(ds, f"influence_{name}") for name in ("share", "near", "far", "by_chance"))
    size = f"{STANDS_FOR.capitalize()} changes the forecast by {_stds(_value(ds, 'influence_effect'))}."
    if not np.isfinite(share):
        return size
    return (
        f"{size} By the input alone, {percent(share)} of that change comes from whole periods back, {percent(near)} "
        f"from the patches beside them and {percent(far)} from all others; it would be {percent(chance)} whole periods "
        "back if all of the history counted alike."
    )


def _mechanism(ds: xr.Dataset) -> str:
    share, low, high, rest, coverage, effect = (
        _value(ds, f"mechanism_{name}") for name in ("share", "low", "high", "rest", "coverage", "effect")
    )
    said = f"With attention held as it is, the values that the forecast reads change it by {_stds(effect)}"
    if np.isfinite(coverage) and _value(ds, "influence_effect") > 0:
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
        most.append(f"{counted(int(ds[vschema.MULTIPLE].values[k]), 'period')} back ({percent(float(by_k[k]))})")
    if np.nanmax(by_layer, initial=0) >= NAMED_PART:
        i = int(np.nanargmax(by_layer))
        most.append(f"in {ds[LAYER].values[i]} ({percent(float(by_layer[i]))})")
    if not most:
        return f"{said}."
    return f"{said}. Alone, most lies {' and '.join(most)}; parts can stand in for one another, and need not add up."


def _set(ds: xr.Dataset) -> str:
    few = set_heads(ds)
    if not few:
        return "No set of heads is named: too little is read whole periods back, or no small set carries most of it."
    share, without = (percent(_value(ds, name)) for name in ("set_share", "set_without"))
    it = "it" if len(few) == 1 else "them"
    said = f"{_few_words(ds)} ({head_names(ds, few)}) alone: {share} of what is read whole periods back; all"
    said += f" others without {it}: {without}."
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
    for claim in (each for each in CLAIMS if each.level == "heads"):
        part = _claimed(ds, claim.name)
        if (least := smallest.get(claim.name)) is not None and np.isfinite(least):
            part += f"; a change of {number(least, 2)} standard deviations would have been seen"
        parts.append(part)
    margin = vschema.facts(ds, "counts")["margin"]
    return f"{'. '.join(parts)}. Less than {margin:g} counts as none."


def _looking(ds: xr.Dataset) -> str:
    looks = ds["looks"].transpose(vschema.REGION, LAYER, HEAD).values == SUPPORTED
    regions = ", ".join(
        f"{region}: {int(of.sum())}" for region, of in zip(ds[vschema.REGION].values, looks, strict=True)
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


def _not_claimed(ds: xr.Dataset, stages: list[str]) -> str:
    """Conclusions that the answer does not allow."""
    question, window, counts = (vschema.facts(ds, name) for name in ("question", "window_facts", "counts"))
    limits = []
    if KINDS[kind(ds)].answer == "yes":
        limits.append(
            "that it is because of the period: a head at a fixed lag does the same, and a second period would tell "
            "(the series resampled, or tracking)"
        )
    limits.append("anything of other series" if counts["windows"] > 1 else "anything of other windows or other series")
    if "heads" in stages and (ds["verdict"].values[: len(_of_heads())] == NOT_SUPPORTED).any():
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


def _of_heads() -> list[str]:
    return [claim.name for claim in CLAIMS if claim.level == "heads"]


def _other_routes(ds: xr.Dataset, stages: list[str]) -> list[str]:
    coverage = _value(ds, "mechanism_coverage")
    if "mechanism" not in stages or not np.isfinite(coverage) or COVERED[0] <= coverage <= COVERED[1]:
        return []
    if kind(ds) == "indifferent":  # there is no change to share out
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
