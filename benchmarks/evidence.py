"""What `ask` finds in networks whose answers are known, and what it claims where there is nothing to find.

    python -m benchmarks.evidence                          # planted and sharpened networks
    python -m benchmarks.evidence --only known             # the five known answers alone
    python -m benchmarks.evidence --only real --questions 20
    python -m benchmarks.evidence --only shipped           # the shipped weights on three signals

Networks (`benchmarks.planted`): a copier (fixed offset: looks, matters, does not follow), the same without values
(looks, inert), an even head (matters, does not look), two redundant copiers, a copier over P, 2P and 3P, a matcher
(looks, follows, inert), and random weights with sharpened scores, of which nothing is true. Each question has other
phases, amplitudes and noise; the random networks other weights too. A question counts as a false claim on a rung if
any head of which it is not true is called supported there: all heads of a network together. Bounds are one-sided
Clopper-Pearson 95 %. "real": real series and the shipped weights, asked about periods that the series do not have.
Heads look at such a lag by their positions, too, so that the descriptive rung is counted and is no false claim;
tracking is left out, as it asks about the waveform at other periods.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterator, Mapping
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import torch
import xarray as xr
from scipy.stats import beta

from benchmarks import planted
from vitime_cache.evidence.agreement import looking_and_mattering
from vitime_cache.evidence.ask import answers, ask
from vitime_cache.evidence.question import prepare
from vitime_cache.evidence.verdict import schema as v
from vitime_cache.evidence.verdict.report import together
from vitime_cache.evidence.window import propose_periods
from vitime_cache.model.checkpoint import load_model
from vitime_cache.series.examples import REAL_SERIES, catalogue
from vitime_cache.series.signal import Signal

QUICK: Mapping[str, Any] = {"nulls": 19, "controls": 39}
GEOMETRY = (planted.N_HISTORY, planted.HORIZON)

# Rungs that are true of the planted heads; of all other heads none is.
TRUE_RUNGS: Mapping[str, tuple[str, ...]] = {
    "copier": ("descriptive", "causal"),
    "inert_copier": ("descriptive",),
    "even_head": ("causal",),
    "redundant_copiers": ("descriptive", "causal"),
    "comb_copier": ("descriptive", "causal"),
    "matcher": ("descriptive", "signal-dependent", "tracking"),
}
# A single one of two redundant heads may well change nothing: neither answer is wrong.
EITHER = {("redundant_copiers", "causal")}


@dataclass(frozen=True)
class Answer:
    """Of one question: by rung whether every planted head was found (None: none to find), and any other claimed."""

    kind: str
    found: Mapping[str, bool | None]
    false: Mapping[str, bool]


def ask_planted(kind: str, seed: int, last: str = v.RUNGS[-1]) -> Answer:
    """One question to one network of a kind, up to a rung."""
    torch.set_num_threads(1)
    periodic = kind != "sharpened, no period"
    network = planted.sharpened(seed) if kind.startswith("sharpened") else getattr(planted, kind)()
    signal = planted.question(seed) if periodic else _aperiodic(seed)
    question = prepare(network.model, signal, planted.PERIOD, window=GEOMETRY, seed=seed, **QUICK)
    ds = next(each for each in answers(network.model, question) if last in v.facts(each, "stages"))
    true = TRUE_RUNGS.get(kind, ())
    found: dict[str, bool | None] = {}
    false = {}
    for rung in v.facts(ds, "stages"):
        claimed = ds["verdict"].sel({v.RUNG: rung}) == v.SUPPORTED
        mine = [bool(claimed.sel(layer=layer, head=head)) for layer, head in network.heads]
        found[rung] = all(mine) if rung in true and (kind, rung) not in EITHER else None
        wrong = int(claimed.sum()) - (sum(mine) if rung in true or (kind, rung) in EITHER else 0)
        false[rung] = wrong > 0
    return Answer(kind, found, false)


def _aperiodic(seed: int) -> Signal:
    """First-order autoregression of the planted networks' geometry."""
    rng = np.random.default_rng([seed, 7])
    walk = np.zeros(sum(GEOMETRY) + 100)
    for i, shock in enumerate(rng.standard_normal(len(walk) - 1), start=1):
        walk[i] = 0.8 * walk[i - 1] + shock
    x = walk[100:]
    return Signal(f"aperiodic {seed}", x[: GEOMETRY[0]], GEOMETRY[1], future=x[GEOMETRY[0] :])


def bounds(hits: int, n: int) -> str:
    """A share with its one-sided Clopper-Pearson 95 % bounds."""
    low = beta.ppf(0.05, hits, n - hits + 1) if hits else 0.0
    high = beta.ppf(0.95, hits + 1, n - hits) if hits < n else 1.0
    return f"{hits / n:.2f} [{low:.2f} … {high:.2f}] of {n}"


def known_answers() -> None:
    """The figures behind the five known answers, one question each."""
    print("the known answers: distance in history standard deviations of the planted head's interventions")
    for kind in TRUE_RUNGS:
        network = getattr(planted, kind)()
        ds = ask(network.model, planted.question(1), planted.PERIOD, window=GEOMETRY, **QUICK)
        layer, head = network.heads[0]
        one = ds.sel(layer=layer, head=head)
        said = ", ".join(f"{rung} {v.WORDS[int(one['verdict'].sel(rung=rung))]}" for rung in v.RUNGS)
        effects = ", ".join(f"{name} {float(one[name].sel(outcome='distance')[0]):.3f}" for name in
                            ("knockout", "mask", "comb", "comb_kept"))  # fmt: skip
        joint = f"joint {float(ds['joint'][0]):.3f}, sum of singles {float(ds['joint_sum'][0]):.3f}"
        print(f"  {kind:18}{said}\n{'':20}{effects}; {joint}", flush=True)


def planted_networks(questions: int, workers: int, minutes: float, last: str) -> None:
    """Sensitivity and false claims by rung and kind of network, of as many questions as the time allows."""
    kinds = [*TRUE_RUNGS, "sharpened, period", "sharpened, no period"]
    jobs = [(kind, seed) for seed in range(questions) for kind in kinds]  # every kind gets its share of a short time
    began, answers = time.perf_counter(), []
    with ProcessPoolExecutor(workers) as pool:
        for answer in pool.map(partial(ask_planted, last=last), *zip(*jobs, strict=True)):
            answers.append(answer)
            if time.perf_counter() - began > 60 * minutes:
                pool.shutdown(wait=False, cancel_futures=True)
                break
    print(f"{len(answers)} questions in {time.perf_counter() - began:.0f} s; share [bounds] of questions")
    for rung in v.RUNGS[: v.RUNGS.index(last) + 1]:
        print(rung)
        for kind in kinds:
            mine = [answer for answer in answers if answer.kind == kind]
            seen = [answer.found[rung] for answer in mine if answer.found[rung] is not None]
            found = f"found {bounds(sum(map(bool, seen)), len(seen))}" if seen else "nothing to find"
            print(f"  {kind:22}{found:34}  false claims {bounds(sum(a.false[rung] for a in mine), len(mine))}")


def real_series(questions: int) -> None:
    """False claims on real series, asked about periods that they do not have."""
    model = load_model()
    print(f"real series, {model.weights.name}: periods where there are none")
    hits = dict.fromkeys(("descriptive", "signal-dependent", "causal"), 0)
    asked = 0
    for name, period in _absent_periods(questions):
        signal = next(each for each in catalogue() if each.name == name)
        ds = ask(model, signal, period, seed=asked, **QUICK)
        asked += 1
        claims = {rung: int((ds["verdict"].sel(rung=rung) == v.SUPPORTED).sum()) for rung in hits}
        for rung, count in claims.items():
            hits[rung] += count > 0
        print(
            f"  {name:24} period {period:6.2f}: " + ", ".join(f"{rung} {n}" for rung, n in claims.items()), flush=True
        )
    for rung, count in hits.items():
        # That a head looks at a lag is true whatever makes it; the other rungs claim something of the period.
        what = "heads look there" if rung == "descriptive" else "false claims"
        print(f"  {rung:18} {what} {bounds(count, asked)} questions, 48 heads each")


def _absent_periods(n: int) -> Iterator[tuple[str, float]]:
    """(series, period): drawn away from every period that a series has, and from its multiples and fractions."""
    rng = np.random.default_rng(11)
    series = {s.name: np.concatenate((s.values, s.future)) for s in catalogue()
              if s.future is not None and s.name in {r.name for r in REAL_SERIES}}  # fmt: skip
    found = 0
    while found < n:
        for name, x in series.items():
            own = [proposal.period for proposal in propose_periods(x)]
            period = float(np.exp(rng.uniform(np.log(5), np.log(len(x) / 12))))
            ratios = [max(period / p, p / period) for p in own]
            if all(abs(r - round(r)) > 0.2 for r in ratios) and found < n:
                found += 1
                yield name, period


def shipped_weights() -> None:
    """How many heads of the shipped weights pass each rung, and whether looking and mattering agree."""
    model = load_model()
    print(f"{model.weights.name} ({model.weights.sha256[:12]})")
    for name in ("full", "co2_mauna_loa", "greensboro_temperature"):
        signal = next(each for each in catalogue() if each.name == name)
        began, first = time.perf_counter(), 0.0

        def note(_: xr.Dataset, began: float = began) -> None:
            nonlocal first
            first = first or time.perf_counter() - began

        ds = ask(model, signal, partial=note)
        took = time.perf_counter() - began
        print(f"  {name}: {v.facts(ds, 'window_facts')['words']}")
        for rung in v.RUNGS:
            codes = ds["verdict"].sel(rung=rung).values
            print(f"    {rung:18}" + ", ".join(f"{(codes == code).sum()} {word}" for code, word in v.WORDS.items()))
        print(f"    {looking_and_mattering(ds).words}")
        print(f"    {together(ds)}")
        print(f"    first rung after {first:.1f} s, all after {took:.0f} s", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", choices=("known", "planted", "real", "shipped"))
    parser.add_argument("--questions", type=int, default=100, help="of each kind of network (100)")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--minutes", type=float, default=30, help="for the planted networks at most (30)")
    parser.add_argument(
        "--last", choices=v.RUNGS, default=v.RUNGS[-1], help="rung that planted networks are asked up to"
    )
    arguments = parser.parse_args()
    parts = {
        "known": known_answers,
        "planted": lambda: planted_networks(arguments.questions, arguments.workers, arguments.minutes, arguments.last),
        "real": lambda: real_series(arguments.questions),
        "shipped": shipped_weights,
    }
    for name, part in parts.items():
        if arguments.only in (None, name):
            part()


if __name__ == "__main__":
    main()
