"""The headline of a verdict, by its kind of answer: what the forecast follows, by which heads, and what was tested."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
import xarray as xr

from vitime_cache.evidence.levels.answer_kind import ALONE, Figures
from vitime_cache.evidence.levels.table import BY_ATTENTION, KINDS, LEVEL, NOT_TESTED, OF_HEADS
from vitime_cache.evidence.verdict import schema as vschema
from vitime_cache.evidence.verdict.data import set_heads
from vitime_cache.evidence.verdict.phrases import STANDS_FOR, head_names, interval, period_words, set_words, stds
from vitime_cache.numerals import number, number_below, percent
from vitime_cache.shown import counted

MOSTLY = 0.5  # share whole periods back above which a headline says so
AGAINST = "Parts of the past work against one another"  # so that their shares are no measure of what each does


def headline(ds: xr.Dataset) -> str:
    """The answer in two or three sentences: what the forecast follows, by which heads, and what was tested."""
    of = vschema.kind(ds.attrs)
    return f"{answer_words(ds)}: {_HEADLINES[of](ds)}{_tested(ds, effect=of not in ('indifferent', 'open'))}"


def answer_words(ds: xr.Dataset) -> str:
    """The first words of the headline, such as "Yes, mostly", which the share after them bears out."""
    of = vschema.kind(ds.attrs)
    if of not in BY_ATTENTION:
        return KINDS[of].words
    return "Yes, mostly" if round(float(ds["influence_share"]), 2) > MOSTLY else "Yes, partly"


# Each kind, without its first words.


def _yes(ds: xr.Dataset) -> str:
    share, rest = (percent(float(ds[f"mechanism_{name}"])) for name in ("share", "rest"))
    elsewhere = f" ({rest} elsewhere)" if vschema.kind(ds.attrs) == "partly" else ""
    return (
        f"{_followed(ds)} ({_by_chance(ds)}). Of what it reads through attention, {share} is read there"
        f"{elsewhere}{_through(ds)}."
    )


def _detour(ds: xr.Dataset) -> str:
    known = np.isfinite(float(ds["mechanism_share"]))
    carried = f": of what it reads through attention, {_share(ds, 'mechanism')} is" if known else ""
    return (
        f"{_followed(ds)} ({_by_chance(ds)}). That it is read there directly is not shown{carried}{_stays(ds)}. It may "
        "come by lags that add up over layers, or by other routes."
    )


def _indifferent(ds: xr.Dataset) -> str:
    margin = vschema.facts(ds, "counts")["margin"]
    return (
        f"this forecast does not follow where in its period of {period_words(ds)} the history is. "
        f"{STANDS_FOR.capitalize()} changes it by {number_below(float(ds['influence_effect']), margin, 2)} standard "
        f"deviations; less than {margin:g} counts as none."
    )


def _elsewhere(ds: xr.Dataset) -> str:
    return f"{_followed(ds)}, where {_by_chance(ds)}."


def _unsettled(ds: xr.Dataset) -> str:
    read = f"of what this forecast reads through attention, {_share(ds, 'mechanism')} is read {_back(ds)}"
    stays, followed = _stays(ds), f"{_followed(ds)}, where {_by_chance(ds)}."
    if not Figures.of(ds).add_up:
        return f"{read}{stays}. {followed} {AGAINST}, so that this share says little."
    if stays:
        return f"{read}{stays}. {followed}"
    return (
        f"{read}, but the input alone does not show it: {_share(ds, 'influence')} of how the forecast follows its past "
        f"comes from there, where {_by_chance(ds)}."
    )


def _not_shown(ds: xr.Dataset) -> str:
    figures = Figures.of(ds)
    share, low, chance = (float(ds[f"influence_{name}"]) for name in ("share", "low", "by_chance"))
    if not figures.add_up or (figures.no_more and figures.opposed):
        return f"{_followed(ds)}, where {_by_chance(ds)}. {AGAINST}, so that this share says little."
    if figures.alone:  # and yet no detour
        gone = f"{_followed(ds)} ({_by_chance(ds)}), and that goes when what is read there is held. But"
        if not figures.carried:
            margin, effect = vschema.facts(ds, "counts")["margin"], figures.carried_effect
            change = number_below(effect, margin, 2) if effect < margin else number(effect, 2)
            return (
                f"{gone} with attention held as it is, the values that it reads change it by {change} standard "
                f"deviations, {percent(figures.coverage)} of the whole change: too little to tell where they are read."
            )
        return (
            f"{gone} of what it reads through attention, {_share(ds, 'mechanism')} is read there. {AGAINST}, so that "
            "these shares say little."
        )
    if figures.more_than(ALONE):
        return (
            f"{_followed(ds)} ({_by_chance(ds)}). Of what it reads through attention, "
            f"{percent(float(ds['mechanism_beside']))} is read one patch beside them, where the image blurs their "
            "ink, so that this share says little."
        )
    enough = chance + ALONE * (1 - chance) + figures.blurred
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
    so_far = f"{_followed(ds)} ({_by_chance(ds)}). " if np.isfinite(float(ds["influence_share"])) else ""
    return f"{so_far}{'Still' if so_far else 'still'} to be worked on: {coming.asks[0].lower()}{coming.asks[1:]}"


_HEADLINES: Mapping[str, Callable[[xr.Dataset], str]] = {
    "mostly": _yes, "partly": _yes, "detour": _detour, "indifferent": _indifferent, "elsewhere": _elsewhere,
    "unsettled": _unsettled, "not shown": _not_shown, "open": _open,
}  # fmt: skip


# What several of them say.


def _followed(ds: xr.Dataset) -> str:
    """How much of the forecast's dependence on its past comes from whole periods back."""
    return f"{_share(ds, 'influence')} of how this forecast follows its past comes from {_back(ds)}"


def _share(ds: xr.Dataset, level: str) -> str:
    """The share whole periods back of one of the first two levels, with its interval."""
    return interval(*(float(ds[f"{level}_{name}"]) for name in ("share", "low", "high")))


def _back(ds: xr.Dataset) -> str:
    return f"whole periods of {period_words(ds)} back"


def _by_chance(ds: xr.Dataset) -> str:
    return f"{percent(float(ds['influence_by_chance']))} would by chance"


def _through(ds: xr.Dataset) -> str:
    """The set of heads, as the end of a sentence; empty if none is known."""
    few = set_heads(ds)
    if not few:
        return ""
    return f", {percent(float(ds['set_share']))} of it through {set_words(ds)}: {head_names(ds, few)}"


def _stays(ds: xr.Dataset) -> str:
    """That the influence stays while the reads are held, as the end of a sentence; empty where it does not."""
    if Figures.of(ds).through:
        return ""
    return ", but the influence of that past stays while these reads are held"


def _tested(ds: xr.Dataset, *, effect: bool) -> str:
    """The windows and heads tested, and the size of the effect."""
    windows = int(vschema.facts(ds, "counts")["windows"])
    scope = " Tested on one window" if windows == 1 else f" Tested on {windows} windows"
    if "mechanism" in vschema.facts(ds, "stages"):  # earlier levels involve no heads
        scope += f" and {_heads_tested(ds)}"
    size = float(ds["influence_effect"])
    if not effect or not np.isfinite(size):
        return f"{scope}."
    return f"{scope}; {STANDS_FOR} changes the forecast by {stds(size)}."


def _heads_tested(ds: xr.Dataset) -> str:
    """How many heads were tested in any way, of all; levels 1 and 2 involve all heads at once."""
    n = ds["head_share"].size
    alone = (ds["verdict"].sel({vschema.CLAIM: list(OF_HEADS)}) != NOT_TESTED).any(vschema.CLAIM)
    tried = int((ds["head_share"].notnull() | alone).sum())
    return f"{tried} of {n} heads" if 0 < tried < n else counted(n, "head")
