"""Knocks out every head singly, or sets of heads together, and recomputes only what changes.

One intact pass of a signal keeps each layer's input and every head's output z. For a changed head only its
(z' − z) W_O, its block's MLP and the layers above are recomputed, which is exact.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import torch
import xarray as xr
from torch import Tensor

from vitime_cache.attention import schema
from vitime_cache.attention.forward import Intact, forecast_from_layer, plain_outputs, run_layers
from vitime_cache.attention.passes import in_passes
from vitime_cache.interventions.named_heads import Head, Signals, as_signals, check_heads
from vitime_cache.interventions.outcomes import OUTCOME, OUTCOMES
from vitime_cache.interventions.references import InterventionError, ReplacementOutputs, Value
from vitime_cache.interventions.result_metadata import EFFECT, labels, record
from vitime_cache.interventions.runs import Progress, Steps, batch_size, run_signal, scorer_of
from vitime_cache.model.network import ViTime
from vitime_cache.series.signal import Signal

SET = "set"


def knock_out_all(
    model: ViTime,
    signals: Signals,
    reference: Sequence[Signal] | ReplacementOutputs | None = None,
    *,
    heads: Sequence[Head] | str = "all",
    value: Value = "mean",
    period: float | None = None,
    progress: Progress | None = None,
) -> xr.Dataset:
    """Knock out every head singly.

    Parameters
    ----------
    signals, reference, value, period
        As for `interventions.ablate_heads`.
    heads
        Pairs (layer, head), or "all".
    progress
        Called as (heads done, heads in all, what) over all signals; an exception that it raises ends the run.

    Returns
    -------
    xarray.Dataset
        `effect` (signal, outcome, layer, head), NaN for heads that were not requested.

    Raises
    ------
    InterventionError, EncodingError
        Naming what does not fit and what to do.
    """
    asked, chosen = as_signals(model, signals), check_heads(model, heads)
    values = ReplacementOutputs.by(model, value, reference)
    config = model.config
    effect = np.full((len(asked), len(OUTCOMES), len(config.layers), config.heads), np.nan)
    steps = Steps(progress, len(asked) * len(chosen))
    for i, signal in enumerate(asked):
        intact = run_signal(model, signal)
        scorer = scorer_of(model, signal, intact, period)
        for number, some, probability in knocked_out(model, intact, values.of(signal), chosen):
            effect[i, :, number, some] = scorer.measure(probability.cpu().numpy()).T
            steps.add(len(some), f"{signal.name}: {config.layers[number]} knocked out")
    facts = {"kind": "head ablation, each head singly", "period": period, **values.facts}
    return xr.Dataset(
        {"effect": ((schema.SIGNAL, OUTCOME, schema.LAYER, schema.HEAD), effect, EFFECT)},
        labels(model, asked),
        record(model, "every head of a ViTime model knocked out singly", facts),
    )


def knocked_out(
    model: ViTime, intact: Intact, outputs: Sequence[Tensor], heads: Sequence[Head]
) -> Iterator[tuple[int, list[int], Tensor]]:
    """Replace each of `heads` alone, batch by batch.

    Parameters
    ----------
    outputs
        Replacements for heads' outputs, (heads, 1 + N, d) for every layer.

    Yields
    ------
    Number of the layer, heads, and their probability images (B, W, h).
    """
    batch = batch_size(model)
    for number, layer in enumerate(model.config.layers):
        in_layer = [head for name, head in heads if name == layer]

        def run(some: Sequence[int], number: int = number) -> Tensor:
            return forecast_from_layer(model, intact, number, some, outputs[number][list(some)])

        for some, probability in in_passes(in_layer, batch, run):
            yield number, list(some), probability


def knock_out_sets(
    model: ViTime,
    signals: Signals,
    sets: Sequence[Sequence[Head]],
    reference: Sequence[Signal] | ReplacementOutputs | None = None,
    *,
    value: Value = "mean",
    period: float | None = None,
    progress: Progress | None = None,
) -> xr.Dataset:
    """Knock out sets of heads, the heads of a set together.

    Returns
    -------
    xarray.Dataset
        `effect` (signal, outcome, set) and `member` (set, layer, head). Compare a set with `random_sets` of the same
        size, and with the sum of its heads' single knockouts: redundant heads have a larger effect together.
    """
    asked = as_signals(model, signals)
    chosen = [check_heads(model, heads) for heads in sets]
    if not chosen:
        raise InterventionError("no set of heads was given")
    config = model.config
    member = np.zeros((len(chosen), len(config.layers), config.heads), dtype=bool)
    for row, heads in zip(member, chosen, strict=True):
        for layer, head in heads:
            row[config.layers.index(layer), head] = True
    values = ReplacementOutputs.by(model, value, reference)
    effect = np.full((len(asked), len(OUTCOMES), len(chosen)), np.nan)
    steps = Steps(progress, len(asked) * len(chosen))
    batch = batch_size(model)
    lowest = member.any(axis=2).argmax(axis=1)  # (set,)
    order = np.argsort(lowest, kind="stable")  # sets with the same lowest layer run together
    for i, signal in enumerate(asked):
        outputs = values.of(signal)
        intact = run_signal(model, signal)
        scorer = scorer_of(model, signal, intact, period)

        def run(some: Sequence[int], intact: Intact = intact, outputs: list[Tensor] = outputs) -> np.ndarray:
            return _replaced(model, intact, outputs, member[list(some)], int(lowest[list(some)].min()))

        for some, probability in in_passes(order.tolist(), batch, run):
            effect[i][:, list(some)] = scorer.measure(probability)
            steps.add(len(some), f"{signal.name}: sets of heads knocked out")
    facts = {"kind": "head ablation, sets of heads together", "period": period, **values.facts}
    return xr.Dataset(
        {
            "effect": ((schema.SIGNAL, OUTCOME, SET), effect, EFFECT),
            "member": ((SET, schema.LAYER, schema.HEAD), member, {"long_name": "heads of the set"}),
        },
        labels(model, asked),
        record(model, "sets of heads of a ViTime model knocked out", facts),
    )


def random_sets(model: ViTime, heads: Sequence[Head], n: int = 100, seed: int = 0) -> list[list[Head]]:
    """Up to `n` different random sets with as many heads in each layer as `heads`, but different from `heads`.

    There are fewer only if the network has no more; then, with high probability, all of them are returned.
    """
    chosen, config = check_heads(model, heads), model.config
    counts = {layer: sum(name == layer for name, _ in chosen) for layer in config.layers}
    rng = np.random.default_rng(seed)
    found: dict[frozenset[Head], list[Head]] = {}
    for _ in range(50 * n):
        drawn = [
            (layer, int(head))
            for layer, count in counts.items()
            for head in sorted(rng.choice(config.heads, count, replace=False))
        ]
        if frozenset(drawn) != frozenset(chosen):
            found.setdefault(frozenset(drawn), drawn)
        if len(found) == n:
            break
    return list(found.values())


@torch.inference_mode()
def _replaced(model: ViTime, intact: Intact, values: list[Tensor], member: np.ndarray, first: int) -> np.ndarray:
    """Probability images (B, W, h) with the heads of `member` (B, layers, heads) replaced."""
    where = torch.from_numpy(member).to(model.device)[..., None, None]
    layers = model.config.layers

    def outputs(layer: str, attention: Any, x: Tensor) -> Tensor:
        number = layers.index(layer)
        z = intact.outputs[first] if number == first else plain_outputs(layer, attention, x)
        return torch.where(where[:, number], values[number], z)

    x = intact.inputs[first].expand(len(member), -1, -1)
    return model.probability(run_layers(model, x, outputs, first)).cpu().numpy()
