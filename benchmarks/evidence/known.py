"""Planted networks, of which the answer is known: one question of each kind with its figures, or many with bounds."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence

from benchmarks import planted
from benchmarks.evidence.asking import Asked, put, within
from benchmarks.periods import bounds

LEVELS = ("model", "set", "heads")


def ask_planted(kind: str, seed: int, last: str, noise: float = 0.1) -> Asked:
    """A question to a planted network, held against the truth."""
    case = planted.case(kind, seed, noise=noise)
    return put(
        case.model, case.signal, case.period, label=kind, window=case.window, seed=seed, last=last, truth=case.truth
    )


def known(seed: int, minutes: float, workers: int, last: str, kinds: Sequence[str]) -> None:
    """The figures behind an answer of each kind."""
    print(f"one question to a network of each kind, seed {seed}")
    for asked in within(minutes, workers, ask_planted, [(kind, seed, last) for kind in kinds]):
        carried, without = asked.figures["set_share"], asked.figures["set_without"]
        print(f"  {asked.label:22} {asked.words}")
        print(f"  {'':22} set {asked.heads}: {carried:.2f}, without {without:.2f}. {_judged(asked).words}", flush=True)


def many(seed: int, questions: int, minutes: float, workers: int, last: str, kinds: Sequence[str]) -> None:
    """Right, withheld and false answers by level, over all kinds."""
    jobs = [(kind, seed + i, last) for i in range(questions) for kind in kinds]
    by_kind: dict[str, list[Asked]] = defaultdict(list)
    for asked in within(minutes, workers, ask_planted, jobs):
        by_kind[asked.label].append(asked)
    every = [asked for mine in by_kind.values() for asked in mine]
    print(f"{len(every)} questions to {len(by_kind)} kinds, from seed {seed} on; right at levels 1 to 3")
    for kind, mine in by_kind.items():
        told = ", ".join(f"{n} {word}" for word, n in Counter(asked.kind for asked in mine).most_common())
        print(f"  {kind:22} {_right(mine)} of {len(mine)} ({told})")
        for asked in mine:
            if _judged(asked).words != "right":
                print(f"    {_judged(asked).words} | {asked.words}")
    if every:
        print(f"  all: right {bounds(_right(every), len(every))}")
        for level in LEVELS:
            false, withheld = (
                bounds(sum(bool(said[level]) for said in some), len(every))
                for some in ([_judged(a).false for a in every], [_judged(a).withheld for a in every])
            )
            print(f"  {level}: false {false}, withheld {withheld}", flush=True)


def _right(some: list[Asked]) -> int:
    return sum(_judged(asked).right("model", "set") for asked in some)


def _judged(asked: Asked) -> planted.Judgement:
    assert asked.judged is not None
    return asked.judged
