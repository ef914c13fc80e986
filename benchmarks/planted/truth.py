"""The right answer to a question about a planted network, written down before it is asked, and how one is judged."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field

import numpy as np
import xarray as xr

from benchmarks.planted.construction import Head
from vitime_cache.evidence.levels.table import KINDS, NOT_SUPPORTED, NOT_TESTED, SUPPORTED
from vitime_cache.evidence.verdict import schema as vschema

Claims = Mapping[str, Collection[Head]]


@dataclass(frozen=True)
class Truth:
    """What is true of a network and a period.

    Attributes
    ----------
    kinds
        Kinds of answer (`levels.table.KINDS`) that are right. Another "yes" or "no" is false; "not shown" is withheld.
    carriers
        The few heads that carry what is used whole periods back: the set has no other.
    enough
        How many of them the set has at least; 0: all. Those that it lacks have to be told as able to stand in for one
        of it, where that is worked out.
    must
        Claim → heads of which it is true beyond doubt: "not supported" is false, "inconclusive" withheld.
    may
        Claim → further heads of which it may be said. Of any head in neither, "supported" is false.
    """

    kinds: frozenset[str]
    carriers: frozenset[Head] = frozenset()
    enough: int = 0
    must: Claims = field(default_factory=dict)
    may: Claims = field(default_factory=dict)

    @property
    def fewest(self) -> int:
        return self.enough or len(self.carriers)


@dataclass(frozen=True)
class Judgement:
    """What is wrong with an answer: what it says that is false, and what it withholds, a phrase each, by level."""

    kind: str
    false: Mapping[str, tuple[str, ...]]
    withheld: Mapping[str, tuple[str, ...]]

    def right(self, *levels: str) -> bool:
        """Whether nothing is false and nothing withheld at these levels."""
        return not any(self.false.get(level) or self.withheld.get(level) for level in levels)

    @property
    def words(self) -> str:
        """Everything that is wrong, or "right"."""
        parts = [
            f"{what} ({level}): {', '.join(said)}"
            for what, each in (("FALSE", self.false), ("withheld", self.withheld))
            for level, said in each.items()
            if said
        ]
        return "; ".join(parts) or "right"


MODEL, SET, EACH = "model", "set", "heads"  # levels 1 and 2 together, 3, 4 (and the looking levels)


def judge(ds: xr.Dataset, truth: Truth) -> Judgement:
    """Hold a verdict against the truth."""
    said: str = vschema.facts(ds, "answer")["kind"]
    false: dict[str, list[str]] = {MODEL: [], SET: [], EACH: []}
    withheld: dict[str, list[str]] = {MODEL: [], SET: [], EACH: []}
    if said not in truth.kinds:
        (withheld if KINDS[said].answer == "not shown" else false)[MODEL].append(said)
    stages = vschema.facts(ds, "stages")
    if "set" in stages and KINDS[said].answer == "yes":  # without one there is nothing that a set could carry
        chosen = heads_where(ds, np.isfinite(ds["set_rank"].values))
        false[SET] += [f"{_name(head)} is not of the set" for head in sorted(chosen - truth.carriers)]
        told = chosen.union(*({(layer, int(head)) for layer, head in each} for each in vschema.facts(ds, "families")))
        if len(chosen) < truth.fewest or not truth.carriers <= told:
            withheld[SET] += [f"{_name(head)} is of the set" for head in sorted(truth.carriers - chosen)]
    for claim in ds[vschema.CLAIM].values:
        codes = ds["verdict"].sel({vschema.CLAIM: claim}).values
        supported, refuted = (heads_where(ds, codes == code) for code in (SUPPORTED, NOT_SUPPORTED))
        must, may = set(truth.must.get(claim, ())), set(truth.may.get(claim, ()))
        false[EACH] += [f"{_name(head)} {claim}" for head in sorted(supported - must - may)]
        false[EACH] += [f"{_name(head)} not {claim}" for head in sorted(refuted & must)]
        if np.any(codes != NOT_TESTED):
            withheld[EACH] += [f"{_name(head)} {claim}" for head in sorted(must - supported - refuted)]
    return Judgement(said, *({level: tuple(said) for level, said in each.items()} for each in (false, withheld)))


def heads_where(ds: xr.Dataset, chosen: np.ndarray) -> set[Head]:
    """Heads at which an array over (layer, head) is true."""
    layers = [str(layer) for layer in ds["layer"].values]
    return {(layers[i], int(head)) for i, head in np.argwhere(chosen)}


def _name(head: Head) -> str:
    return f"{head[0]} {head[1]}"
