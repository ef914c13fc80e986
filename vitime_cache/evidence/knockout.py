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
from vitime_cache.evidence.combs import even_keep, pairs_at, token_pairs, with_controls
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
    reference: Sequence[Signal] | Substitutes | None = None,
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
    values = Substitutes.by(model, value, reference)
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
    elsewhere: bool = True,
    controls: int = 99,
    seed: int = 0,
    intact: Intact | None = None,
    progress: Progress | None = None,
) -> xr.Dataset:
    """Mask the lags of a period in every head singly, beside control combs; each beside as much attention elsewhere.

    Every comb, the period's and the controls', is masked, and then as much attention of every query is taken evenly
    from its other past lags. How much more the comb does than that is what lags can be compared by: taking a head's
    attention where it is concentrated always does more than taking as much of it anywhere, whatever the lag.

    Parameters
    ----------
    heads
        Pairs (layer, head), or "all".
    harmonics, renormalise
        As for `interventions.mask_lags`.
    elsewhere
        False masks the combs alone: half the work, and the effects and masses of taking as much elsewhere are NaN.
    controls
        Control combs wanted. The grid mostly allows fewer: a comb can move by as many whole patches as its period
        spans less one, a single tooth (`harmonics` False) to some sixty places (`combs.with_controls`). Where
        `smallest_p` is too large for a claim, the units are several windows or signals.
    intact
        The intact pass of the signal, of `interventions.run_signal`, where there is one signal and it has been run.
    progress
        Called as (forecasts done, forecasts in all, what); an exception that it raises ends the run.

    Returns
    -------
    xarray.Dataset
        `effect` and `elsewhere_effect` (signal, outcome, layer, head) of the period's comb; `control_effect` and
        `control_elsewhere_effect` (signal, control, outcome, layer, head). `removed_mass` (signal, layer, head) and
        `control_removed_mass` (signal, control, layer, head), attention, mean over query tokens; `missing_mass` and
        `control_missing_mass`, the mean over queries of what could not be taken elsewhere because the query has no
        more there. `n_controls` (signal) and `smallest_p` (signal), 1 / (n + 1). Controls that a signal does not have
        are NaN.

    Raises
    ------
    InterventionError, CombError, EncodingError
        For a period that the axis of one of the signals cannot resolve, among others.
    """
    asked, chosen = as_signals(model, signals), check_heads(model, heads)
    config = model.config
    rows, columns = config.grid
    sets = [with_controls(period, samples_per_patch(model, s), columns, harmonics, controls, seed) for s in asked]
    most = max(len(each.lags) for each in sets)
    shape = (len(config.layers), config.heads)
    effect = np.full((len(asked), 2, most, len(OUTCOMES), *shape), np.nan)  # 2: the comb; as much elsewhere
    removed = np.full((len(asked), 2, most, *shape), np.nan)
    ways = 1 + elsewhere
    steps = _Steps(progress, sum(ways * len(chosen) * len(each.lags) for each in sets))
    batch = max(1, _batch(model) // ways)
    for i, (signal, combs) in enumerate(zip(asked, sets, strict=True)):
        pairs, others = (token_pairs(pairs_at(lags), rows) for lags in (combs.lags, combs.elsewhere))  # (n, N, gw)
        run = run_signal(model, signal) if intact is None else intact
        yardstick = _yardstick(model, signal, run, period)
        for layer, head in chosen:
            number = config.layers.index(layer)
            attended = by_column(model, run, layer, head)
            mass = attended.mass.cpu().numpy()
            for start in range(0, len(pairs), batch):
                some = slice(start, start + batch)
                wanted = np.where(pairs[some], mass, 0).sum(axis=-1)  # (B, N)
                keep = (1 - pairs[some].astype(np.float32))[None]
                if elsewhere:
                    keep = np.concatenate((keep, even_keep(mass, wanted, others[some])[None]))
                outputs = attended.output(torch.from_numpy(keep.reshape(-1, *mass.shape)).to(model.device), renormalise)
                probability = above(model, run, number, [head] * len(outputs), outputs).cpu().numpy()
                measured = yardstick.measure(probability).T.reshape(ways, -1, len(OUTCOMES))
                effect[i, :ways, : len(pairs)][:, some, :, number, head] = measured
                removed[i, :ways, : len(pairs)][:, some, number, head] = (mass * (1 - keep)).sum(axis=-1).mean(axis=-1)
                steps.add(len(outputs), f"{signal.name}: {layer}, head {head} masked")
    count = np.array([len(each.lags) - 1 for each in sets])
    facts = {
        "kind": "lag mask, each head singly", "period": period, "seed": seed, **mask_facts(harmonics, renormalise),
        "controls": "the comb moved as one off the period and its multiples",
        "elsewhere": "as much attention of each query as the comb takes, evenly from its past lags of other phases",
    }  # fmt: skip
    missing = np.maximum(removed[:, 0] - removed[:, 1], 0)
    each_head, controlled = _HEADS, (schema.SIGNAL, CONTROL, schema.LAYER, schema.HEAD)
    each_effect = (schema.SIGNAL, OUTCOME, schema.LAYER, schema.HEAD)
    control_effect = (schema.SIGNAL, CONTROL, OUTCOME, schema.LAYER, schema.HEAD)
    share = {"units": "share"}
    instead = "what taking as much attention elsewhere did to the forecast"
    lacking = "attention that could not be taken elsewhere: there is no more"
    return xr.Dataset(
        {
            "effect": (each_effect, effect[:, 0, 0], _EFFECT),
            "elsewhere_effect": (each_effect, effect[:, 1, 0], {**_EFFECT, "long_name": instead}),
            "control_effect": (
                control_effect, effect[:, 0, 1:],
                {**_EFFECT, "long_name": "what masking a control comb did to the forecast"},
            ),
            "control_elsewhere_effect": (
                control_effect, effect[:, 1, 1:], {**_EFFECT, "long_name": f"{instead}, for each control"}
            ),
            "removed_mass": (
                each_head, removed[:, 0, 0], {"long_name": "attention removed, mean over queries", **share}
            ),
            "control_removed_mass": (
                controlled, removed[:, 0, 1:], {"long_name": "attention removed by a control", **share}
            ),
            "missing_mass": (each_head, missing[:, 0], {"long_name": lacking, **share}),
            "control_missing_mass": (controlled, missing[:, 1:], {"long_name": f"{lacking}, by control", **share}),
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
    reference: Sequence[Signal] | Substitutes | None = None,
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
    values = Substitutes.by(model, value, reference)
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
    reference: Sequence[Signal] | Substitutes | None = None,
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
    values = Substitutes.by(model, "mean", reference)
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
