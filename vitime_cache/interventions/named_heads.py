"""Change named heads and see what the forecast does: head ablation, and masking of attention by lag.

    ablate_heads(model, signals, heads=[("decoder.1", 6)])          # z replaced before the output projection
    mask_lags(model, signals, [("decoder.1", 6)], period=63)        # the comb of P, 2P, 3P … removed

Heads named together are changed together. Every signal is run in its own geometry; reference signals are cut to it.
For every head singly see `knockout`, which also does sets of heads, and `masking`, which adds control combs.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
import xarray as xr

from vitime_cache.attention import schema
from vitime_cache.attention.forward import Edit, Intact, Mask, Replace, edited, run_layers
from vitime_cache.checks import positive
from vitime_cache.interventions.combs import pairs_at, period_lags, token_pairs
from vitime_cache.interventions.outcomes import OUTCOME
from vitime_cache.interventions.references import InterventionError, Substitutes, Value
from vitime_cache.interventions.result_metadata import EFFECT, labels, mask_facts, record
from vitime_cache.interventions.runs import by_column, run_signal, samples_per_patch, yardstick_of
from vitime_cache.model.checkpoint import check_model, dtype_name
from vitime_cache.model.network import ViTime
from vitime_cache.series import signal as series
from vitime_cache.series.signal import Signal

Head = tuple[str, int]
Signals = Signal | Sequence[Signal] | xr.Dataset


def ablate_heads(
    model: ViTime,
    signals: Signals,
    heads: Sequence[Head],
    value: Value = "mean",
    reference: Sequence[Signal] | None = None,
    *,
    period: float | None = None,
) -> xr.Dataset:
    """Replace the outputs of `heads`, all together, before their output projection, and measure the forecast.

    Parameters
    ----------
    signals
        A signal, several, or a Dataset of this model (its histories and horizons), each run in its own geometry.
    heads
        Pairs (layer, head) such as ("decoder.1", 6).
    value
        "mean": the mean over reference signals, token by token; "resample": the output of one reference signal, the
        first; "zero": nothing, which lies off what the network was trained on and is labelled so.
    reference
        Signals whose history fills the same share of the image, or None for those of the catalogue that are unrelated
        to the signal, cut to that share.
    period
        In samples, for the outcome "seasonal_power".

    Returns
    -------
    xarray.Dataset
        `effect` (signal, outcome) as `outcomes` describes, `forecast` and `intact_forecast` (signal, time), `changed`
        (layer, head); the intervention as JSON in the attribute "intervention".

    Raises
    ------
    InterventionError, EncodingError
        Naming what does not fit and what to do.
    """
    asked, chosen = as_signals(model, signals), check_heads(model, heads)
    if period is not None:
        period = positive(period, "the period", "samples", error=InterventionError)
    values = Substitutes(model, value, reference)
    parts = []
    for signal in asked:
        outputs = values.of(signal)
        edits = [Replace(layer, head, outputs[model.config.layers.index(layer)][head]) for layer, head in chosen]
        parts.append(_measured(model, signal, run_signal(model, signal), edits, period))
    facts = {"kind": "head ablation", "heads": chosen, "period": period, **values.facts}
    return _labelled(model, asked, chosen, parts, facts)


def mask_lags(
    model: ViTime,
    signals: Signals,
    heads: Sequence[Head],
    period: float,
    *,
    harmonics: bool = True,
    renormalise: bool = True,
) -> xr.Dataset:
    """Take away the attention of `heads`, all together, to keys one period back, and measure the forecast.

    Parameters
    ----------
    period
        In samples; lags within half a patch of it, and with `harmonics` of its multiples, are masked for every query.
        Without them a head gets from 2 periods back what it had from one.
    renormalise
        True: masked before the softmax, so that the mass moves to the keys that are left. False: removed after it.

    Returns
    -------
    xarray.Dataset
        As `ablate_heads`, with `removed_mass` (signal, layer, head), the attention that the intact head gives to what
        is masked, mean over query tokens; NaN for heads that are not masked.

    Raises
    ------
    InterventionError, CombError, EncodingError
        For a period that the axis of one of the signals cannot resolve, among others.
    """
    asked, chosen = as_signals(model, signals), check_heads(model, heads)
    period = positive(period, "the period", "samples", error=InterventionError)
    config = model.config
    parts = []
    for signal in asked:
        lags = period_lags(period, samples_per_patch(model, signal), config.grid[1], harmonics)
        removed = token_pairs(pairs_at(lags), config.grid[0])
        keep = torch.from_numpy(1 - removed.astype(np.float32)).to(model.device)
        intact = run_signal(model, signal)
        edits = [Mask(layer, head, keep, renormalise) for layer, head in chosen]
        part = _measured(model, signal, intact, edits, period)
        mass = np.full((len(config.layers), config.heads), np.nan, np.float32)
        for layer, head in chosen:
            attended = by_column(model, intact, layer, head)
            mass[config.layers.index(layer), head] = float((attended.mass * (1 - keep)).sum(-1).mean())
        parts.append(part | {"removed_mass": mass})
    facts = {"kind": "lag mask", "heads": chosen, "period": period, **mask_facts(harmonics, renormalise)}
    return _labelled(model, asked, chosen, parts, facts)


def as_signals(model: ViTime, signals: Signals) -> list[Signal]:
    """Signals as a list; those of a Dataset only if it is of this model."""
    check_model(model)
    if not isinstance(signals, xr.Dataset):
        if listed := series.as_signals(signals):
            return listed
        raise InterventionError("give a Signal, a list of them, or a Dataset of this model; got none")
    if "config" not in signals.attrs or schema.N_HISTORY not in signals.coords:
        raise InterventionError("the Dataset is not one that capture or open_store returns; give its series as signals")
    if schema.config_of(signals) != model.config or signals.attrs["weights_sha256"] != model.weights.sha256:
        raise InterventionError(
            f"the Dataset is of the weights {signals.attrs['weights']!r}, the model has {model.weights.name!r}; "
            "load the weights that the Dataset names, or give its histories as signals"
        )
    if signals.attrs["dtype"] != dtype_name(model):
        raise InterventionError(
            f"the Dataset was computed in {signals.attrs['dtype']}, the model computes in {dtype_name(model)}; load "
            "the model in that dtype"
        )
    if schema.SIGNAL not in signals.dims:
        return [schema.signal_of(signals)]
    return [schema.signal_of(signals.isel({schema.SIGNAL: place})) for place in range(signals.sizes[schema.SIGNAL])]


def check_heads(model: ViTime, heads: Sequence[Head] | str) -> list[Head]:
    """Heads as pairs in the order given, each in the model and named once; "all" for every one."""
    config = model.config
    if isinstance(heads, str):
        if heads != "all":
            raise InterventionError(f'heads are "all" or pairs (layer, head), got {heads!r:.60}')
        return [(layer, head) for layer in config.layers for head in range(config.heads)]
    there = f"this model has layers {', '.join(config.layers)} with heads 0 … {config.heads - 1}"
    chosen: list[Head] = []
    if not isinstance(heads, Iterable):
        raise InterventionError(f'heads are "all" or pairs (layer, head), got {heads!r:.60}')
    for each in heads:
        try:
            layer, number = each
            head = int(number)
        except (TypeError, ValueError, OverflowError):
            raise InterventionError(f"a head is a pair such as ('decoder.1', 6), got {each!r:.60}; {there}") from None
        if layer not in config.layers or isinstance(number, bool) or head != number or not 0 <= head < config.heads:
            raise InterventionError(f"no head {number!r} in layer {layer!r}; {there}")
        if (layer, head) in chosen:
            raise InterventionError(f"{layer}, head {head} is named twice")
        chosen.append((layer, head))
    if not chosen:
        raise InterventionError(f"no head was named; {there}")
    return chosen


@torch.inference_mode()
def _measured(
    model: ViTime, signal: Signal, intact: Intact, edits: Sequence[Edit], period: float | None
) -> dict[str, np.ndarray]:
    """Effect and forecasts of joint edits, computed from the lowest layer that they touch."""
    first = min(model.config.layers.index(edit.layer) for edit in edits)
    scores = run_layers(model, intact.inputs[first], edited(model, edits, 1), first)
    probability = model.probability(scores).cpu().numpy()
    yardstick = yardstick_of(model, signal, intact, period)
    return {
        "effect": yardstick.measure(probability)[:, 0],
        "forecast": yardstick.forecast(probability)[0],
        "intact_forecast": yardstick.intact,
    }


def _labelled(
    model: ViTime,
    signals: Sequence[Signal],
    heads: Sequence[Head],
    parts: Sequence[Mapping[str, np.ndarray]],
    facts: Mapping[str, Any],
) -> xr.Dataset:
    config = model.config
    length = max(len(signal.values) + signal.horizon for signal in signals)
    changed = np.zeros((len(config.layers), config.heads), dtype=bool)
    for layer, head in heads:
        changed[config.layers.index(layer), head] = True

    def in_time(name: str) -> np.ndarray:
        rows = np.full((len(signals), length), np.nan)
        for row, signal, part in zip(rows, signals, parts, strict=True):
            start = len(signal.values)
            row[start : start + signal.horizon] = part[name]
        return rows

    variables: dict[str, Any] = {
        "effect": ((schema.SIGNAL, OUTCOME), np.stack([part["effect"] for part in parts]), EFFECT),
        "changed": ((schema.LAYER, schema.HEAD), changed, {"long_name": "heads that were changed, together"}),
        **{
            name: ((schema.SIGNAL, schema.TIME), in_time(name), {"long_name": text, "units": "units of the signal"})
            for name, text in {"forecast": "changed forecast", "intact_forecast": "intact forecast"}.items()
        },
    }  # fmt: skip
    if "removed_mass" in parts[0]:
        variables["removed_mass"] = (
            (schema.SIGNAL, schema.LAYER, schema.HEAD), np.stack([part["removed_mass"] for part in parts]),
            {"long_name": "attention of the intact head to what is masked, mean over query tokens", "units": "share"},
        )  # fmt: skip
    return xr.Dataset(variables, labels(model, signals), record(model, f"{facts['kind']} in a ViTime model", facts))
