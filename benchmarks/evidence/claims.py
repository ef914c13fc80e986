"""False claims where the series has no such period or the network means nothing, and true ones at growing noise."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence

import numpy as np

from benchmarks import planted
from benchmarks.evidence.asking import Asked, put, weights, within
from benchmarks.evidence.known import ask_planted
from benchmarks.periods import APERIODIC, bounds
from vitime_cache.arrays import Floats
from vitime_cache.evidence.levels.mask_regression import ColumnWeights
from vitime_cache.evidence.window import choose_window
from vitime_cache.series.signal import Signal, hold_out

LENGTH = 600  # samples of a series; a quarter is held out
PERIODS = (12, 60)  # samples, drawn in equal ratios between them
NOISE = (0.1, 0.35, 0.6, 1.0)  # standard deviations of the periodic part
# A chirp has a period at every moment, so that of none it is known whether its forecast may use it.
WITHOUT = tuple(kind for kind in APERIODIC if kind != "chirp")
SHAPES = ("sine", "two harmonics", "square", "sawtooth", "pulses")
FALSE = ("no period", "wrong period", "sharpened random")
SHIPPED = "shipped weights"
FOUND = ("copier", "soft_copier", "redundant", "comb_copier", "fraction_copier", "two_hops", SHIPPED)


def periodic(rng: np.random.Generator, period: float, noise: float) -> Signal:
    """One of `SHAPES`, of unit deviation, in white noise."""
    shape = str(rng.choice(SHAPES))
    phase = (np.arange(LENGTH) / period + rng.random()) % 1
    x = _wave(rng, shape, phase)
    x = (x - x.mean()) / x.std() + noise * rng.standard_normal(LENGTH)
    return hold_out(f"{shape} of {period:.3g}, noise {noise:g}", x, LENGTH // 4)


def _wave(rng: np.random.Generator, shape: str, phase: Floats) -> Floats:
    angle = 2 * np.pi * phase
    if shape == "two harmonics":
        made = np.sin(angle) + rng.uniform(0.3, 0.8) * np.sin(2 * angle + rng.uniform(0, 2 * np.pi))
    elif shape == "square":
        made = np.where(phase < 0.5, 1.0, -1.0)
    elif shape == "sawtooth":
        made = phase
    elif shape == "pulses":
        made = np.exp(-(((phase - 0.5) / 0.1) ** 2))
    else:
        made = np.sin(angle)
    return np.asarray(made, dtype=np.float64)


def some_period(rng: np.random.Generator) -> float:
    return float(np.exp(rng.uniform(*np.log(PERIODS))))


def wrong_period(rng: np.random.Generator, period: float) -> float:
    """A period about which "yes" is false.

    The axis of lags has a resolution, and multiples of two periods meet. So it is asked what a forecaster would do that
    knows the true period, and repeats the last one or the mean of all: neither may read whole wrong periods back more
    than by chance.
    """
    while True:
        drawn = some_period(rng)
        if max(ideal_shares(drawn, period)) <= 0:
            return drawn


def ideal_shares(asked: float, true: float) -> tuple[float, float]:
    """How much more than by chance of what a true period tells lies whole periods of `asked` back, both in samples.

    Two shares of columns, on the window that such a question gets: of the last true period, and of all of them.
    """
    config = weights().config
    window = choose_window(LENGTH, asked, columns=config.columns, patch_width=config.patch_width)
    history = window.history / window.samples_per_patch
    future = np.arange(np.ceil(history) + 1, config.grid[1])
    lag = true / window.samples_per_patch * np.arange(1, config.grid[1])[:, None]
    known = (lag <= future) & (lag > future - history)  # (multiple, future patch)
    off = np.abs(lag - window.patches_per_period * np.maximum(np.rint(lag / window.patches_per_period), 1))
    there = np.clip(1 - off, 0, 1) * known
    last = there[known.argmax(axis=0), np.arange(len(future))]
    by_chance = ColumnWeights.of(window.patches_per_period, int(np.ceil(history)), future.astype(np.intp)).by_chance
    return float(last.mean()) - by_chance, float(there.sum() / known.sum()) - by_chance


def ask_false(kind: str, seed: int, last: str) -> Asked:
    """A question to which "yes" is false."""
    rng = np.random.default_rng([seed, *kind.encode()])
    if kind == "sharpened random":
        period = float(rng.uniform(5, 11)) * planted.SAMPLES_PER_PATCH
        signal, window = planted.question(rng, period), (planted.N_HISTORY, planted.HORIZON)
        return put(planted.sharpened(seed), signal, period, label=kind, window=window, seed=seed, last=last)
    period = some_period(rng)
    if kind == "no period":
        name = WITHOUT[seed % len(WITHOUT)]
        return put(weights(), hold_out(name, APERIODIC[name](rng, LENGTH), LENGTH // 4), period,
                   label=f"{kind}: {name}", seed=seed, last=last)  # fmt: skip
    signal, asked_about = periodic(rng, period, rng.uniform(0, 0.6)), wrong_period(rng, period)
    return put(weights(), signal, asked_about, label=f"{kind}: {signal.name}, asked about {asked_about:.3g}",
               seed=seed, last=last)  # fmt: skip


def ask_true(kind: str, seed: int, noise: float, last: str) -> Asked:
    """A question to which "yes" is true: of a planted network, or of the shipped weights and a clear period."""
    if kind in planted.KINDS:
        return ask_planted(kind, seed, last, noise)
    rng = np.random.default_rng([seed, *kind.encode()])
    period = some_period(rng)
    return put(weights(), periodic(rng, period, noise), period, label=kind, seed=seed, last=last)


def false_claims(seed: int, questions: int, minutes: float, workers: int, last: str, kinds: Sequence[str]) -> None:
    """Claims by level where there is nothing to claim."""
    jobs = [(kind, seed + i, last) for i in range(questions) for kind in kinds]
    by_kind: dict[str, list[Asked]] = defaultdict(list)
    for asked in within(minutes, workers, ask_false, jobs):
        by_kind[asked.label.partition(":")[0]].append(asked)
        if asked.yes or asked.influence:
            print(f"    {'YES' if asked.yes else 'level 1'} of {asked.label}: {asked.words}", flush=True)
    print(f"false claims from seed {seed} on; shares with one-sided 95 % bounds")
    for kind, mine in [*by_kind.items(), ("all", [asked for each in by_kind.values() for asked in each])]:
        told = ", ".join(f"{n} {word}" for word, n in Counter(asked.kind for asked in mine).most_common())
        print(f"  {kind} ({len(mine)}: {told})")
        for what, hits in {
            "influence above chance, no claim alone": [asked.influence for asked in mine],
            "influence enough by itself": [asked.alone for asked in mine],
            "attention there above any other phase": [asked.mechanism for asked in mine],
            "both": [asked.influence and asked.mechanism for asked in mine],
            "the answer is yes": [asked.yes for asked in mine],
            "a set of heads, and yes": [asked.yes and bool(asked.chosen) for asked in mine],
            "heads that are read, and yes": [asked.yes and asked.supported("reads") > 0 for asked in mine],
        }.items():
            print(f"    {what:40} {bounds(sum(hits), len(mine))}", flush=True)


def found_claims(seed: int, questions: int, minutes: float, workers: int, last: str, kinds: Sequence[str]) -> None:
    """True claims that are found, by noise."""
    jobs = [(kind, seed + i, noise, last) for i in range(questions) for kind in kinds for noise in NOISE]
    asked_at: dict[tuple[str, float], list[Asked]] = defaultdict(list)
    for noise, asked in within(minutes, workers, _at_noise, jobs):
        asked_at[asked.label, noise].append(asked)
    print(f"true claims found from seed {seed} on, by noise in standard deviations of the periodic part")
    for noise in NOISE:
        for kind in kinds:
            mine = asked_at[kind, noise]
            told = ", ".join(f"{n} {word}" for word, n in Counter(asked.kind for asked in mine).most_common())
            print(f"  {noise:4g} {kind:18} {sum(asked.yes for asked in mine)} of {len(mine)} ({told})")
        for name in ("planted", SHIPPED):
            every = [
                asked for kind in kinds if (kind == SHIPPED) == (name == SHIPPED) for asked in asked_at[kind, noise]
            ]
            if every:
                print(f"  {noise:4g} {name}: {bounds(_yes(every), len(every))}", flush=True)


def _at_noise(kind: str, seed: int, noise: float, last: str) -> tuple[float, Asked]:
    return noise, ask_true(kind, seed, noise, last)


def _yes(some: Sequence[Asked]) -> int:
    return sum(asked.yes for asked in some)
