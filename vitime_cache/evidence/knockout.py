"""Every head knocked out, or masked beside its controls, at the price of what changes.

One intact pass of a signal keeps each layer's input and every head's output z. For a changed head only its
(z' − z) W_O, its block's MLP and the layers above are computed; both are exact, not approximations.
`screen_heads` alone is one: a first-order estimate from one backward pass, to choose candidates with.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
import xarray as xr
from torch import Tensor

from vitime_cache.attention import schema
from vitime_cache.attention.forward import Intact, above, plain_outputs, run_layers
from vitime_cache.evidence.combs import control_combs, matched_keep, pairs_at, period_lags, token_pairs
from vitime_cache.evidence.interventions import (
    Head,
    InterventionError,
    Signals,
    Substitutes,
    Value,
    as_signals,
    by_column,
    check_heads,
    draw,
    head_labels,
    mask_facts,
    record,
    run_signal,
    samples_per_patch,
    signal_labels,
)
from vitime_cache.evidence.outcomes import OUTCOMES, Yardstick
from vitime_cache.evidence.verdict import CONTROL, OUTCOME
from vitime_cache.model.network import ViTime
from vitime_cache.series.signal import Signal

Progress = Callable[[int, int, str], object]  # steps done, steps in all, what has just been done

SET = "set"
TOKENS_AT_ONCE = 4096  # in a batch of forecasts: more do not run faster on two cores, and cost memory

_EFFECT = {"long_name": "what the intervention did to the forecast", "units": "as the attribute outcomes says"}
_HEADS = (schema.SIGNAL, schema.LAYER, schema.HEAD)


def knock_out_all(
    model: ViTime,
    signals: Signals,
    reference: Sequence[Signal] | None = None,
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
        `effect` (signal, outcome, layer, head), NaN for heads that were not asked for.

    Raises
    ------
    InterventionError, EncodingError
        Naming what does not fit and what to do.
    """
    asked, chosen = as_signals(model, signals), check_heads(model, heads)
    values = Substitutes(model, value, reference)
    config = model.config
    effect = np.full((len(asked), len(OUTCOMES), len(config.layers), config.heads), np.nan)
    steps = _Steps(progress, len(asked) * len(chosen))
    batch = _batch(model)
    for i, signal in enumerate(asked):
        outputs = values.of(signal)
        intact = run_signal(model, signal)
        yardstick = _yardstick(model, signal, intact, period)
        for number, layer in enumerate(config.layers):
            mine = [head for name, head in chosen if name == layer]
            for start in range(0, len(mine), batch):
                some = mine[start : start + batch]
                probability = above(model, intact, number, some, outputs[number][some])
                effect[i, :, number, some] = yardstick.measure(probability.cpu().numpy()).T
                steps.add(len(some), f"{signal.name}: {layer} knocked out")
    facts = {"kind": "head ablation, each head singly", "period": period, **values.facts}
    return xr.Dataset(
        {"effect": ((schema.SIGNAL, OUTCOME, schema.LAYER, schema.HEAD), effect, _EFFECT)},
        _labels(model, asked),
        record(model, "every head of a ViTime model knocked out singly", facts),
    )


def mask_lags_all(
    model: ViTime,
    signals: Signals,
    period: float,
    *,
    heads: Sequence[Head] | str = "all",
    harmonics: bool = True,
    renormalise: bool = True,
    controls: int = 99,
    seed: int = 0,
    progress: Progress | None = None,
) -> xr.Dataset:
    """Mask the lags of a period in every head singly, beside control combs matched in removed mass per query.

    Parameters
    ----------
    heads
        Pairs (layer, head), or "all".
    harmonics, renormalise
        As for `interventions.mask_lags`.
    controls
        Control combs wanted. The grid mostly allows fewer: a comb can move by as many whole patches as its period
        spans less one, a single tooth (`harmonics` False) to some seventy places (`combs.control_combs`). Where
        `smallest_p` is too large for a claim, the units are several windows or signals: hold `effect` less the mean
        of `control_effect` against zero over them.
    progress
        Called as (forecasts done, forecasts in all, what); an exception that it raises ends the run.

    Returns
    -------
    xarray.Dataset
        `effect` (signal, outcome, layer, head) and `control_effect` (signal, control, outcome, layer, head);
        `removed_mass` (signal, layer, head) and `control_removed_mass` (signal, control, layer, head), attention, mean
        over query tokens; `unmatched_mass` (signal, control, layer, head), the mean over queries of what a control
        could not remove because the query has no more attention off the period. `n_controls` (signal) and
        `smallest_p` (signal), 1 / (n + 1). Controls that a signal does not have are NaN.

    Raises
    ------
    InterventionError, CombError, EncodingError
        For a period that the axis of one of the signals cannot resolve, among others.
    """
    asked, chosen = as_signals(model, signals), check_heads(model, heads)
    config = model.config
    columns = config.grid[1]
    lags = [period_lags(period, samples_per_patch(model, s), columns, harmonics) for s in asked]
    sets = [control_combs(period, samples_per_patch(model, s), columns, harmonics, controls, seed) for s in asked]
    most = max(len(each.lags) for each in sets)
    shape = (len(config.layers), config.heads)
    effect = np.full((len(asked), 1 + most, len(OUTCOMES), *shape), np.nan)
    removed = np.full((len(asked), 1 + most, *shape), np.nan)
    steps = _Steps(progress, sum(len(chosen) * (1 + len(each.lags)) for each in sets))
    batch = _batch(model)
    for i, (signal, own, others) in enumerate(zip(asked, lags, sets, strict=True)):
        n = len(others.lags)
        pairs = token_pairs(pairs_at(np.stack((own, *others.lags))), config.grid[0])  # (1 + n, N, gw)
        spare = token_pairs(pairs_at(others.spare), config.grid[0])
        intact = run_signal(model, signal)
        yardstick = _yardstick(model, signal, intact, period)
        for layer, head in chosen:
            number = config.layers.index(layer)
            attended = by_column(model, intact, layer, head)
            mass = attended.mass.cpu().numpy()
            wanted = np.where(pairs[0], mass, 0).sum(axis=-1)  # (N,)
            for start in range(0, 1 + n, batch):
                some = list(range(start, min(start + batch, 1 + n)))
                keep = np.stack([
                    1 - pairs[0].astype(np.float32) if j == 0 else matched_keep(mass, wanted, pairs[j], spare)
                    for j in some
                ])  # fmt: skip
                outputs = attended.output(torch.from_numpy(keep).to(model.device), renormalise)
                probability = above(model, intact, number, [head] * len(some), outputs)
                effect[i, some, :, number, head] = yardstick.measure(probability.cpu().numpy()).T
                removed[i, some, number, head] = (mass * (1 - keep)).sum(axis=-1).mean(axis=-1)
                steps.add(len(some), f"{signal.name}: {layer}, head {head} masked")
    count = np.array([len(each.lags) for each in sets])
    facts = {
        "kind": "lag mask, each head singly", "period": period, "seed": seed, **mask_facts(harmonics, renormalise),
        "controls": "the comb moved as one off the period and its multiples; each query loses as much attention as to "
        "the period's comb, what a control lacks taken evenly from the other past lags off the period",
    }  # fmt: skip
    controlled = (schema.SIGNAL, CONTROL, schema.LAYER, schema.HEAD)
    share = {"units": "share"}
    return xr.Dataset(
        {
            "effect": ((schema.SIGNAL, OUTCOME, schema.LAYER, schema.HEAD), effect[:, 0], _EFFECT),
            "control_effect": (
                (schema.SIGNAL, CONTROL, OUTCOME, schema.LAYER, schema.HEAD), effect[:, 1:],
                {**_EFFECT, "long_name": "what masking a control comb did to the forecast"},
            ),
            "removed_mass": (_HEADS, removed[:, 0], {"long_name": "attention removed, mean over queries", **share}),
            "control_removed_mass": (
                controlled, removed[:, 1:], {"long_name": "attention removed by a control", **share},
            ),
            "unmatched_mass": (
                controlled, np.maximum(removed[:, :1] - removed[:, 1:], 0),
                {"long_name": "attention that a control could not remove: there is no more off the period", **share},
            ),
            "n_controls": (schema.SIGNAL, count, {"long_name": "control combs"}),
            "smallest_p": (schema.SIGNAL, 1 / (count + 1), {"long_name": "smallest p-value that they permit"}),
        },
        _labels(model, asked),
        record(model, "lags of a period masked in every head of a ViTime model", facts),
    )  # fmt: skip


def knock_out_sets(
    model: ViTime,
    signals: Signals,
    sets: Sequence[Sequence[Head]],
    reference: Sequence[Signal] | None = None,
    *,
    value: Value = "mean",
    period: float | None = None,
    progress: Progress | None = None,
) -> xr.Dataset:
    """Knock out sets of heads, the heads of a set together.

    Returns
    -------
    xarray.Dataset
        `effect` (signal, outcome, set) and `member` (set, layer, head). Compare a set with `random_sets` of it, and
        with the sum of its heads' single knockouts: redundant heads do more together.
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
    values = Substitutes(model, value, reference)
    effect = np.full((len(asked), len(OUTCOMES), len(chosen)), np.nan)
    steps = _Steps(progress, len(asked) * len(chosen))
    batch = _batch(model)
    lowest = member.any(axis=2).argmax(axis=1)  # (set,)
    order = np.argsort(lowest, kind="stable")  # sets that begin in like layers run together
    for i, signal in enumerate(asked):
        outputs = values.of(signal)
        intact = run_signal(model, signal)
        yardstick = _yardstick(model, signal, intact, period)
        for start in range(0, len(chosen), batch):
            some = order[start : start + batch]
            probability = _replaced(model, intact, outputs, member[some], int(lowest[some].min()))
            effect[i][:, some] = yardstick.measure(probability)
            steps.add(len(some), f"{signal.name}: sets of heads knocked out")
    facts = {"kind": "head ablation, sets of heads together", "period": period, **values.facts}
    labels = _labels(model, asked)
    return xr.Dataset(
        {
            "effect": ((schema.SIGNAL, OUTCOME, SET), effect, _EFFECT),
            "member": ((SET, schema.LAYER, schema.HEAD), member, {"long_name": "heads of the set"}),
        },
        labels,
        record(model, "sets of heads of a ViTime model knocked out", facts),
    )


def random_sets(model: ViTime, heads: Sequence[Head], n: int = 100, seed: int = 0) -> list[list[Head]]:
    """Up to `n` different random sets with as many heads in each layer as `heads` has, other than `heads` itself.

    Fewer only where the network has no more; then all that there are turn up with high probability.
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


def screen_heads(
    model: ViTime,
    signals: Signals,
    reference: Sequence[Signal] | None = None,
    *,
    period: float | None = None,
    progress: Progress | None = None,
) -> xr.Dataset:
    """Estimate every head's mean knockout from one backward pass: for choosing candidates, never a result.

    Returns
    -------
    xarray.Dataset
        `attribution` (signal, layer, head): first-order change of the forecast's strength, in standard deviations of
        the history, when the head is replaced by its mean. Strength is the projection of the forecast on its own
        seasonal part at `period`, or without one on its own deviation from its mean (attribution patching).
    """
    asked = as_signals(model, signals)
    values = Substitutes(model, "mean", reference)
    config = model.config
    estimate = np.full((len(asked), len(config.layers), config.heads), np.nan)
    steps = _Steps(progress, len(asked))
    for i, signal in enumerate(asked):
        means = values.of(signal)
        kept, direction = _forecast_with_gradients(model, signal, period)
        gradients = torch.autograd.grad(direction, kept)
        for number, (z, gradient) in enumerate(zip(kept, gradients, strict=True)):
            change = (means[number].clone() - z.detach()[0]).float() * gradient[0].float()
            estimate[i, number] = change.sum(dim=(-2, -1)).cpu().numpy()
        steps.add(1, f"{signal.name}: screened by attribution")
    facts = {"kind": "attribution patching: screening only, not a result", "period": period, **values.facts}
    return xr.Dataset(
        {"attribution": (_HEADS, estimate, {
            "long_name": "first-order estimate of the mean knockout: screening only, not a result",
            "units": "standard deviations of the history",
        })},
        {name: label for name, label in _labels(model, asked).items() if name != OUTCOME},
        record(model, "heads of a ViTime model screened by attribution", facts),
    )  # fmt: skip


def _forecast_with_gradients(model: ViTime, signal: Signal, period: float | None) -> tuple[list[Tensor], Tensor]:
    """Every layer's z in a pass that is recorded, and the forecast's strength along its own season, a scalar."""
    kept: list[Tensor] = []

    def outputs(layer: str, attention: Any, x: Tensor) -> Tensor:
        z = plain_outputs(layer, attention, x)
        kept.append(z if z.requires_grad else z.requires_grad_())
        return z

    with torch.enable_grad():
        scores = run_layers(model, model.embed(draw(model, [signal])), outputs)
        probability = model.probability(scores)[0]  # (W, h)
        yardstick = Yardstick.of(signal, model.config, probability.detach().cpu().numpy(), period)
        config, encoding = model.config, yardstick.encoding
        row = probability @ torch.arange(config.image_height, device=model.device, dtype=probability.dtype)
        ahead = row[encoding.history_columns :] * config.row_step  # in standard deviations of the history
        shape = ahead.detach().double().cpu().numpy()
        shape = shape - shape.mean()
        if period is not None:
            cycles = np.arange(len(shape)) * (len(signal.values) + signal.horizon) / config.columns / period
            basis = np.stack((np.cos(2 * np.pi * cycles), np.sin(2 * np.pi * cycles)), axis=1)
            shape = basis @ np.linalg.lstsq(basis, shape, rcond=None)[0]
        norm = float(np.linalg.norm(shape)) * len(shape) ** 0.5 or 1.0
        strength = ahead @ torch.from_numpy(shape / norm).to(ahead)
    return kept, strength


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


def _batch(model: ViTime) -> int:
    return max(1, TOKENS_AT_ONCE // (1 + model.config.tokens))


def _yardstick(model: ViTime, signal: Signal, intact: Intact, period: float | None) -> Yardstick:
    return Yardstick.of(signal, model.config, intact.probability[0].cpu().numpy(), period)


def _labels(model: ViTime, signals: Sequence[Signal]) -> dict[str, Any]:
    return signal_labels(model, signals) | head_labels(model) | {OUTCOME: np.array(list(OUTCOMES), dtype=object)}


class _Steps:
    """Counts what is done and tells it on."""

    def __init__(self, progress: Progress | None, total: int) -> None:
        self.progress, self.total, self.done = progress, total, 0

    def add(self, steps: int, what: str) -> None:
        self.done += steps
        if self.progress is not None:
            self.progress(self.done, self.total, what)
