"""Change named heads and see what the forecast does: head ablation, and masking of attention by lag.

    ablate_heads(model, signals, heads=[("decoder.1", 6)])          # z replaced before the output projection
    mask_lags(model, signals, [("decoder.1", 6)], period=63)        # the comb of P, 2P, 3P … removed

Heads named together are changed together. Every signal is run in its own geometry; reference signals are cut to it.
For every head singly, control combs and sets of heads see `knockout`.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Literal, get_args

import numpy as np
import torch
import xarray as xr
from torch import Tensor

from vitime_cache.attention import schema
from vitime_cache.attention.capture import images_of
from vitime_cache.attention.forward import (
    ByColumn,
    Edit,
    Intact,
    Mask,
    Replace,
    edited,
    open_blocks,
    plain_outputs,
    run_and_keep,
    run_layers,
    split_heads,
)
from vitime_cache.checks import positive
from vitime_cache.errors import VitimeError
from vitime_cache.evidence.combs import pairs_at, period_lags, token_pairs
from vitime_cache.evidence.outcomes import OUTCOMES, Yardstick
from vitime_cache.evidence.verdict import OUTCOME
from vitime_cache.model.checkpoint import check_model
from vitime_cache.model.encoding import SeriesEncoding
from vitime_cache.model.network import ViTime
from vitime_cache.series import signal as series
from vitime_cache.series.examples import catalogue
from vitime_cache.series.signal import Signal, hold_out

Head = tuple[str, int]
Value = Literal["mean", "resample", "zero"]
Signals = Signal | Sequence[Signal] | xr.Dataset


class InterventionError(VitimeError):
    """An intervention that cannot be made, or that would not be what it is called."""


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


def mask_facts(harmonics: bool, renormalise: bool) -> dict[str, Any]:
    """What a record of a lag mask says besides its heads and its period."""
    return {
        "lags": "within half a patch of the period" + (" and of its multiples" if harmonics else ""),
        "positions": "every token query; CLS looks and is looked at as before",
        "renormalise": renormalise,
        "where": "scores before the softmax" if renormalise else "weights after the softmax",
    }


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
    each = [signals] if schema.SIGNAL not in signals.dims else [ds for _, ds in signals.groupby(schema.SIGNAL)]
    return [
        Signal(
            str(ds[schema.SIGNAL].item()),
            ds[schema.HISTORY].values.ravel()[: int(ds[schema.N_HISTORY].item())].astype(np.float64),
            horizon=int(ds[schema.HORIZON].item()),
        )
        for ds in each
    ]


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
        if layer not in config.layers or head != number or not 0 <= head < config.heads:
            raise InterventionError(f"no head {number!r} in layer {layer!r}; {there}")
        if (layer, head) in chosen:
            raise InterventionError(f"{layer}, head {head} is named twice")
        chosen.append((layer, head))
    if not chosen:
        raise InterventionError(f"no head was named; {there}")
    return chosen


def unrelated_signals(signal: Signal) -> list[Signal]:
    """The catalogue's signals that share no harmonic, name or origin with `signal`, cut to its share of history."""
    own = {harmonic.period for harmonic in signal.harmonics}
    related = {signal.name, signal.reduced_of} - {""}
    cut = []
    for other in catalogue():
        if {other.name, other.reduced_of} & related or own & {harmonic.period for harmonic in other.harmonics}:
            continue
        assert other.future is not None
        series = np.concatenate((other.values, other.future))
        horizon = round(len(series) * signal.horizon / (len(signal.values) + signal.horizon))
        cut.append(hold_out(other.name, series, min(max(horizon, 1), len(series) - 2)))
    return cut


class Substitutes:
    """What heads' outputs are replaced by, for every layer, computed once for each geometry and set of references.

    Whoever knocks heads out of many signals of one geometry hands one of these on in place of the references.

    Raises
    ------
    InterventionError
        For another value than "mean", "resample" and "zero", for references of another geometry, and for none.
    """

    def __init__(self, model: ViTime, value: Value, reference: Signal | Sequence[Signal] | None) -> None:
        reference = None if reference is None else series.as_signals(reference)
        if value not in get_args(Value):
            raise InterventionError(f"value must be {', '.join(get_args(Value))}, got {value!r:.60}")
        if reference is not None and not len(reference) and value != "zero":
            raise InterventionError(
                f"value {value!r} needs reference signals and got none; leave reference out for those of the catalogue"
            )
        self.model, self.value, self.reference = model, value, reference
        self._computed: dict[tuple[int, tuple[str, ...]], list[Tensor]] = {}

    @classmethod
    def by(cls, model: ViTime, value: Value, reference: Sequence[Signal] | Substitutes | None) -> Substitutes:
        """`reference` itself where it is one already."""
        return reference if isinstance(reference, Substitutes) else cls(model, value, reference)

    @property
    def facts(self) -> dict[str, Any]:
        """What a record of the intervention says of it."""
        names = None if self.reference is None else [signal.name for signal in self.reference]
        note = {
            "mean": "mean over the reference signals, token by token",
            "resample": "the output of the first reference signal",
            "zero": "zero, which lies off what the network was trained on",
        }[self.value]
        return {
            "value": self.value,
            "value_note": note,
            "reference": names or "those of the catalogue that are unrelated to the signal, cut to its geometry",
            "positions": "every token and CLS",
            "where": "a head's output before the output projection",
        } | ({"reference": []} if self.value == "zero" else {})

    def of(self, signal: Signal) -> list[Tensor]:
        """For every layer the outputs (heads, 1 + N, d) to put in, in the network's dtype."""
        config = self.model.config
        if self.value == "zero":
            width = (config.encoder_width, config.decoder_width)
            return [
                torch.zeros(
                    config.heads, 1 + config.tokens, width[number >= config.encoder_depth] // config.heads,
                    dtype=self.model.dtype, device=self.model.device,
                )
                for number in range(len(config.layers))
            ]  # fmt: skip
        reference = unrelated_signals(signal) if self.reference is None else list(self.reference)
        if self.value == "resample":
            reference = reference[:1]
        columns = SeriesEncoding.fit(signal.values, signal.horizon, config).history_columns
        for other in reference:
            its = SeriesEncoding.fit(other.values, other.horizon, config).history_columns
            if abs(its - columns) > config.patch_width / 2:
                raise InterventionError(
                    f"the history of reference {other.name!r} fills {its} of {config.columns} image columns, that of "
                    f"{signal.name!r} {columns}: their tokens do not correspond. Give references with the same ratio "
                    "of history to horizon, or leave reference out"
                )
        key = columns, tuple(other.fingerprint for other in reference)
        if key not in self._computed:
            self._computed = {key: mean_outputs(self.model, reference)}
        return self._computed[key]


@torch.inference_mode()
def mean_outputs(model: ViTime, signals: Sequence[Signal]) -> list[Tensor]:
    """For every layer the heads' outputs (heads, 1 + N, d), mean over signals, token by token."""
    totals: dict[str, Tensor] = {}

    def outputs(layer: str, attention: Any, x: Tensor) -> Tensor:
        z = plain_outputs(layer, attention, x)
        totals[layer] = totals.get(layer, 0) + z.double().sum(dim=0)
        return z

    batch = max(1, min(len(signals), 4096 // model.config.tokens))
    for start in range(0, len(signals), batch):
        images = draw(model, signals[start : start + batch])
        run_layers(model, model.embed(images), outputs)
    return [(totals[layer] / len(signals)).to(model.dtype) for layer in model.config.layers]


def draw(model: ViTime, signals: Sequence[Signal]) -> Tensor:
    """Signals as a batch of images, (B, 1, h, W)."""
    return images_of(signals, [SeriesEncoding.fit(s.values, s.horizon, model.config) for s in signals], model)


def run_signal(model: ViTime, signal: Signal) -> Intact:
    """The intact pass of one signal, with what is needed to change heads in it."""
    return run_and_keep(model, draw(model, [signal]))


@torch.inference_mode()
def by_column(model: ViTime, intact: Intact, layer: str, head: int) -> ByColumn:
    """The attention of one head in an intact pass, by key column."""
    number, block = model.config.layers.index(layer), open_blocks(model)[layer]
    q, k, v = split_heads(block.attn, block.norm1(intact.inputs[number]))
    return ByColumn.of(q[0, head], k[0, head], v[0, head], model.config.grid)


def samples_per_patch(model: ViTime, signal: Signal) -> float:
    return SeriesEncoding.fit(signal.values, signal.horizon, model.config).samples_per_patch


def dtype_name(model: ViTime) -> str:
    return str(model.dtype).removeprefix("torch.")


def record(model: ViTime, title: str, intervention: Mapping[str, Any]) -> dict[str, str]:
    """Global attributes of a result: the model's, and the intervention as JSON."""
    return schema.attributes(model.config, model.weights, dtype_name(model)) | {
        "title": title,
        "intervention": json.dumps({**intervention, "forecast": "mean row of each image column"}),
        "outcomes": json.dumps({name: {"long_name": text, "units": units} for name, (text, units) in OUTCOMES.items()}),
    }


def signal_labels(model: ViTime, signals: Sequence[Signal]) -> dict[str, Any]:
    """Coordinates of results over `signal`: the name, and what fixes the geometry."""
    named = [schema.signal_coordinates(signal, model.config) for signal in signals]
    wanted = (schema.SIGNAL, schema.N_HISTORY, schema.HORIZON, schema.SAMPLES_PER_PATCH)
    return {name: (schema.SIGNAL, [facts[name] for facts in named]) for name in wanted}


def head_labels(model: ViTime) -> dict[str, Any]:
    """Coordinates layer and head."""
    return {schema.LAYER: np.array(model.config.layers, dtype=object), schema.HEAD: np.arange(model.config.heads)}


@torch.inference_mode()
def _measured(
    model: ViTime, signal: Signal, intact: Intact, edits: Sequence[Edit], period: float | None
) -> dict[str, np.ndarray]:
    """Effect and forecasts of joint edits, computed from the lowest layer that they touch."""
    first = min(model.config.layers.index(edit.layer) for edit in edits)
    scores = run_layers(model, intact.inputs[first], edited(model, edits, 1), first)
    probability = model.probability(scores).cpu().numpy()
    yardstick = Yardstick.of(signal, model.config, intact.probability[0].cpu().numpy(), period)
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
        "effect": ((schema.SIGNAL, OUTCOME), np.stack([part["effect"] for part in parts]), {
            "long_name": "what the intervention did to the forecast", "units": "as the attribute outcomes says",
        }),
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
    labels = signal_labels(model, signals) | head_labels(model) | {OUTCOME: np.array(list(OUTCOMES), dtype=object)}
    return xr.Dataset(variables, labels, record(model, f"{facts['kind']} in a ViTime model", facts))
