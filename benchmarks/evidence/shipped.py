"""The shipped weights and other families: what is answered, what stays open, how long it takes, what agrees."""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np
import torch

from benchmarks.evidence.asking import put, weights
from benchmarks.periods import load
from vitime_cache.evidence.ask import answers
from vitime_cache.evidence.levels.table import CLAIM_NAMES, STAGES
from vitime_cache.evidence.question import prepare
from vitime_cache.evidence.verdict import schema as vschema
from vitime_cache.interventions.named_heads import ablate_heads
from vitime_cache.model.network import ViTime
from vitime_cache.series.examples import catalogue
from vitime_cache.series.signal import Signal, hold_out

THREE = ("full", "co2_mauna_loa", "greensboro_temperature")
OTHERS = ("vitime-mini-1.safetensors",)  # beside the shipped ones, where a clone has them
WEEK = 24 * 7


def signals() -> list[tuple[Signal, float | None]]:
    """The three signals, and an hourly load asked about its day and its week; None: the period that it has."""
    named = {signal.name: signal for signal in catalogue()}
    hourly = hold_out("hourly load", load(np.random.default_rng(7), 20 * WEEK), WEEK)
    return [*((named[name], None) for name in THREE), (hourly, 24.0), (hourly, float(WEEK))]


def real(seed: int) -> None:
    """The opening table of the README."""
    print(f"{weights().weights.name} ({weights().weights.sha256[:12]}); shares [90 %]")
    print(
        "  signal | from whole periods back (by chance) | of what attention carries, from there (largest other phase) "
        "| the few heads: their share, without them | heads that matter, that are read"
    )
    for signal, period in signals():
        asked = put(weights(), signal, period, seed=seed, last="heads")
        f = asked.figures
        print(
            f"  {signal.name}{f', {period:g}' if period else ''} | {f['influence_share']:.2f} "
            f"[{f['influence_low']:.2f}, {f['influence_high']:.2f}] ({f['influence_by_chance']:.2f}) | "
            f"{f['mechanism_share']:.2f} ({f['other_phase']:.2f}) | {asked.heads}: {f['set_share']:.2f}, "
            f"{f['set_without']:.2f} | {asked.supported('matters')}, {asked.supported('reads')}"
        )
        print(f"    {asked.headline}", flush=True)


def shipped(seed: int) -> None:
    """What stays inconclusive at each claim, seconds by level, and agreement with knockouts made one by one."""
    model = weights()
    print(f"{model.weights.name} ({model.weights.sha256[:12]}), {torch.get_num_threads()} threads")
    left_open, heads = dict.fromkeys(CLAIM_NAMES, 0), 0
    for signal, period in signals()[: len(THREE)]:
        asked = put(model, signal, period, seed=seed)
        heads += sum(asked.counts["matters"].values())
        print(f"  {signal.name}: {asked.words}")
        for claim in CLAIM_NAMES:
            left_open[claim] += asked.counts[claim]["inconclusive"]
            print(f"    {claim:8} " + ", ".join(f"{n} {word}" for word, n in asked.counts[claim].items() if n))
        took = ", ".join(f"{stage} {asked.seconds[stage]:.1f}" for stage in STAGES if stage in asked.seconds)
        print(f"    seconds until: {took}", flush=True)
    for claim in CLAIM_NAMES:
        print(f"  inconclusive, {claim}: {left_open[claim] / heads:.2f} of {heads}")
    print(f"  largest difference between a knockout as asked and as vc.ablate_heads makes it: {agreement(seed):.1e}")


def agreement(seed: int) -> float:
    """Largest difference in any outcome and window between `ask`'s knockouts and `ablate_heads`, over four heads."""
    model = weights()
    signal, _ = signals()[0]
    heads = [(layer, head) for layer in model.config.layers[-2:] for head in (0, model.config.heads - 1)]
    question = prepare(model, signal, heads=heads, seed=seed)
    ds = next(each for each in answers(model, question) if "heads" in vschema.facts(each, "stages"))
    worst = 0.0
    for layer, head in heads:
        asked = ds["knockout"].sel(layer=layer, head=head).transpose("window", "outcome").values
        for window, mine in zip(question.windows, asked, strict=True):
            made = ablate_heads(model, window, [(layer, head)], period=question.period)
            worst = max(worst, float(np.abs(made.effect.values.ravel() - mine).max()))
    return worst


def families(seed: int) -> None:
    """The same questions to other weights: answers differ, and each is what that network does."""
    print("the same questions to several families of weights, up to the few heads")
    others = [path for name in OTHERS if (path := Path("weights") / name).exists()]
    models = [weights(), *(weights(str(path)) for path in others), *(_random(number) for number in (1, 2))]
    for signal, period in signals()[: len(THREE)]:
        for model in models:
            began = time.perf_counter()
            asked = put(model, signal, period, seed=seed, last="set")
            print(
                f"  {signal.name:24} {model.weights.name:15} {asked.words}; {asked.heads} "
                f"({time.perf_counter() - began:.0f} s)",
                flush=True,
            )


def _random(seed: int) -> ViTime:
    torch.manual_seed(seed)
    return ViTime(weights().config).eval().requires_grad_(False)
