"""Which heads to test first: every head's mean knockout estimated from one backward pass, never a result."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
import xarray as xr
from numpy.typing import ArrayLike, NDArray
from scipy.stats import rankdata
from torch import Tensor

from vitime_cache.attention import schema
from vitime_cache.attention.forward import plain_outputs, run_layers
from vitime_cache.interventions.named_heads import Signals, as_signals
from vitime_cache.interventions.outcomes import OUTCOME, Yardstick
from vitime_cache.interventions.references import Substitutes
from vitime_cache.interventions.result_metadata import labels, record
from vitime_cache.interventions.runs import Progress, Steps, draw
from vitime_cache.model.network import ViTime
from vitime_cache.series.signal import Signal


def promising_first(*scores: ArrayLike) -> NDArray[np.intp]:
    """Order of heads by the best of their ranks, each of which is by one score (heads,).

    A score says nothing of a head where it is NaN, and nothing more of one head than of another where they are equal:
    ranks of equals are the last that they could have.
    """
    ranks = [rankdata(-np.nan_to_num(np.asarray(score, dtype=np.float64)), method="max") for score in scores]
    return np.argsort(np.min(ranks, axis=0), kind="stable")


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
    steps = Steps(progress, len(asked))
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
        {"attribution": ((schema.SIGNAL, schema.LAYER, schema.HEAD), estimate, {
            "long_name": "first-order estimate of the mean knockout: screening only, not a result",
            "units": "standard deviations of the history",
        })},
        {name: label for name, label in labels(model, asked).items() if name != OUTCOME},
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
