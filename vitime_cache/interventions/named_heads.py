"""Change named heads and measure the forecast: head ablation, value patching, and masking of attention by lag.

    ablate_heads(model, signals, heads=[("decoder.1", 6)])          # z replaced before the output projection
    patch_values(model, signals, [("decoder.1", 6)], [5, 10, 15])   # what is read there replaced, attention kept
    mask_lags(model, signals, [("decoder.1", 6)], period=63)        # the comb of P, 2P, 3P … removed

Heads named together are changed together. Every signal runs in its own geometry; reference signals are cut to it.
`knockout` changes every head singly, and sets of heads.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
import xarray as xr
from numpy.typing import ArrayLike
from torch import Tensor

from vitime_cache.attention import schema
from vitime_cache.attention.capture import images_of_rows
from vitime_cache.attention.forward import Edit, Intact, Mask, Replace, edited, run_layers
from vitime_cache.checks import positive, truth
from vitime_cache.interventions.lag_masks import comb, lag_mask, pairs_at, token_pairs
from vitime_cache.interventions.outcomes import OUTCOME
from vitime_cache.interventions.references import InterventionError, ReplacementOutputs, Value
from vitime_cache.interventions.result_metadata import EFFECT, labels, mask_facts, record
from vitime_cache.interventions.runs import by_column, draw, run_signal, samples_per_patch, scorer_of
from vitime_cache.interventions.value_patch import Patch, freeze, lag_pairs, run_for_values, run_patches
from vitime_cache.model.checkpoint import check_model, dtype_name
from vitime_cache.model.encoding import SeriesEncoding
from vitime_cache.model.network import ViTime
from vitime_cache.series.signal import Signal
from vitime_cache.series.sources import check_names
from vitime_cache.stats.stand_ins import stand_ins

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
        "mean": the mean over reference signals, token by token; "resample": the output of the first reference signal;
        "zero": zero, which is outside the training distribution and is labelled so.
    reference
        Signals whose history fills the same share of the image; None takes the signals of the catalogue that are
        unrelated to the signal, cut to that share.
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
    values = ReplacementOutputs(model, value, reference)
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
    """Remove the attention of `heads`, all together, to keys one period back, and measure the forecast.

    This removes magnitude: a head that carries a constant, whatever it reads there, has an effect too. `patch_values`
    shows whether the forecast uses *what* is read there.

    Parameters
    ----------
    period
        In samples; lags within half a patch of it, and with `harmonics` of its multiples, are masked for every query.
        Without the multiples a head can read from two periods back what it read from one.
    renormalise
        True: masked before the softmax, so that the weight moves to the other keys. False: removed after the softmax.

    Returns
    -------
    xarray.Dataset
        As `ablate_heads`, with `removed_mass` (signal, layer, head): the intact head's attention to the masked keys,
        mean over query tokens; NaN for heads that are not masked.

    Raises
    ------
    InterventionError, LagMaskError, EncodingError
        For example for a period that the lag axis of one of the signals cannot resolve.
    """
    asked, chosen = as_signals(model, signals), check_heads(model, heads)
    period = positive(period, "the period", "samples", error=InterventionError)
    harmonics = truth(harmonics, "harmonics", error=InterventionError)
    renormalise = truth(renormalise, "renormalise", error=InterventionError)
    config = model.config
    parts = []
    for signal in asked:
        lags = comb(period, samples_per_patch(model, signal), config.grid[1], harmonics)
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


def patch_values(
    model: ViTime,
    signals: Signals,
    heads: Sequence[Head],
    lags: ArrayLike,
    stand_in: Signals | None = None,
    *,
    period: float | None = None,
) -> xr.Dataset:
    """Replace the values that the forecast reads at `lags` in `heads` by another history's, and measure it.

    The attention is not changed.

    Parameters
    ----------
    signals, heads
        As for `ablate_heads`; the heads are patched together.
    lags
        Whole patches into the past, such as [5, 10, 15]: queries of the forecast read the stand-in's values at keys
        this many patches back, including keys in the forecast. A patch is `samples_per_patch` samples.
    stand_in
        The source of values: a signal for each of `signals` (or one for all) with the same number of samples. None
        takes the signal itself, moved by half of `period` about its linear trend. It is drawn with the signal's
        scaling.
    period
        In samples, for the default stand-in and the outcome "seasonal_power"; None takes the shortest of `lags`.

    Returns
    -------
    xarray.Dataset
        As `ablate_heads`, with `read_mass` (signal, layer, head): the attention of the forecast's queries to the
        replaced keys, mean over these queries; NaN for heads that are not patched.

    Raises
    ------
    InterventionError, LagMaskError, EncodingError
        For example for lags that are not on the axis, or stand-ins of another length.

    Examples
    --------
    >>> model, signal = load_model(), catalogue()[0]
    >>> ds = patch_values(model, signal, [("decoder.1", 6), ("decoder.1", 0)], [4, 8, 12, 16])
    >>> ds.effect.sel(outcome="distance")  # standard deviations of the history
    """
    asked, chosen = as_signals(model, signals), check_heads(model, heads)
    if period is not None:
        period = positive(period, "the period", "samples", error=InterventionError)
    config = model.config
    mask = lag_mask(lags, config.grid[1])
    others = _stand_ins(model, asked, stand_in, int(mask.argmax()), period)
    heads_changed = _members(model, chosen)
    parts = []
    for signal, other in zip(asked, others, strict=True):
        encoding = SeriesEncoding.fit(signal.values, signal.horizon, config)
        frozen = freeze(model, draw(model, [signal]))
        values, _ = run_for_values(model, images_of_rows(encoding.history_rows(other[None]), encoding, model))
        pairs = lag_pairs(mask, first_query=-(-encoding.history_columns // config.patch_width))
        [(_, changed)] = run_patches(model, frozen, values, [Patch(pairs, heads_changed)])
        part = _outcome(model, signal, frozen.intact, changed, period)
        mass = np.full((len(config.layers), config.heads), np.nan, np.float32)
        for layer, head in chosen:
            attended = by_column(model, frozen.intact, layer, head).mass.cpu().numpy()  # (N, gw)
            read = token_pairs(pairs[:, 1:], config.grid[0])
            mass[config.layers.index(layer), head] = np.where(read, attended, 0).sum(-1)[read.any(-1)].mean()
        parts.append(part | {"read_mass": mass})
    facts = {
        "kind": "value patch", "heads": chosen, "period": period, "lags": np.flatnonzero(mask).tolist(),
        "stand_in": "the signal moved by half its period" if stand_in is None else _names(stand_in),
        "positions": "queries of the forecast; CLS reads and is read as before",
        "where": "values of the keys, attention as in the intact run in every layer",
    }  # fmt: skip
    return _labelled(model, asked, chosen, parts, facts)


def as_signals(model: ViTime, signals: Signals) -> list[Signal]:
    """Convert input to a list of signals with unique names; a Dataset must be of this model."""
    check_model(model)
    if not isinstance(signals, xr.Dataset):
        if listed := schema.to_signals(signals):
            check_names(listed)
            return listed
        raise InterventionError("give a Signal, a list of them, or a Dataset of this model; got none")
    if "config" not in signals.attrs or schema.N_HISTORY not in signals.coords:
        raise InterventionError("the Dataset is not from capture or open_store; pass its series as signals")
    theirs, ours = signals.attrs["weights_sha256"], model.weights
    if schema.config_of(signals) != model.config or theirs != ours.sha256:
        raise InterventionError(
            f"the Dataset is of the weights {signals.attrs['weights']!r} ({theirs[:12] or 'of no file'}), the model "
            f"has {ours.name!r} ({ours.sha256[:12]}); load the weights that the Dataset names, or give its histories "
            "as signals"
        )
    if signals.attrs["dtype"] != dtype_name(model):
        raise InterventionError(
            f"the Dataset was computed in {signals.attrs['dtype']}, the model computes in {dtype_name(model)}; load "
            "the model in that dtype"
        )
    if listed := schema.to_signals(signals):
        return listed
    raise InterventionError("the Dataset has no signals")


def check_heads(model: ViTime, heads: Sequence[Head] | str) -> list[Head]:
    """Heads as pairs in the given order, after a check that each exists and is named once; "all" gives every head."""
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
    """Effect and forecasts of joint edits, computed from the lowest layer that they change."""
    first = min(model.config.layers.index(edit.layer) for edit in edits)
    scores = run_layers(model, intact.inputs[first], edited(model, edits, 1), first)
    return _outcome(model, signal, intact, model.probability(scores), period)


def _outcome(
    model: ViTime, signal: Signal, intact: Intact, changed: Tensor, period: float | None
) -> dict[str, np.ndarray]:
    """Effect and forecasts of one changed run, from its probability image (1, W, h)."""
    probability = changed.cpu().numpy()
    scorer = scorer_of(model, signal, intact, period)
    return {
        "effect": scorer.measure(probability)[:, 0],
        "forecast": scorer.forecast(probability)[0],
        "intact_forecast": scorer.intact,
    }


def _stand_ins(
    model: ViTime,
    signals: Sequence[Signal],
    given: Signals | None,
    shortest_lag: int,
    period: float | None,
) -> list[np.ndarray]:
    """For each signal the history (T,) from which values are taken."""
    if given is None:
        moves = []
        for signal in signals:
            length = period or shortest_lag * samples_per_patch(model, signal)
            if not 2 <= length <= len(signal.values):
                raise InterventionError(
                    f"a stand-in of {signal.name!r} is its history moved by half a period, and a period of "
                    f"{length:.4g} samples does not fit its {len(signal.values)}; give a stand_in"
                )
            moves.append(stand_ins(signal.values, length, 1)[0])
        return moves
    others = schema.to_signals(given)
    others = others * len(signals) if len(others) == 1 else others
    if len(others) != len(signals):
        raise InterventionError(f"{len(signals)} signals need as many stand-ins or one, got {len(others)}")
    for signal, other in zip(signals, others, strict=True):
        if len(other.values) != len(signal.values):
            raise InterventionError(
                f"the stand-in {other.name!r} has {len(other.values)} samples, {signal.name!r} has "
                f"{len(signal.values)}: values are read token by token; give one of the same length"
            )
    return [other.values for other in others]


def _names(signals: Signals) -> list[str]:
    return [signal.name for signal in schema.to_signals(signals)]


def _members(model: ViTime, heads: Sequence[Head]) -> np.ndarray:
    """The given heads as a mask, (layer, head) bool."""
    member = np.zeros((len(model.config.layers), model.config.heads), dtype=bool)
    for layer, head in heads:
        member[model.config.layers.index(layer), head] = True
    return member


def _labelled(
    model: ViTime,
    signals: Sequence[Signal],
    heads: Sequence[Head],
    parts: Sequence[Mapping[str, np.ndarray]],
    facts: Mapping[str, Any],
) -> xr.Dataset:
    length = max(len(signal.values) + signal.horizon for signal in signals)
    changed = _members(model, heads)

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
    masses = {
        "removed_mass": "attention of the intact head to what is masked, mean over query tokens",
        "read_mass": "attention of the intact head to what is replaced, mean over query tokens of the forecast",
    }
    for name, text in masses.items():
        if name in parts[0]:
            by_head = np.stack([part[name] for part in parts])
            variables[name] = (
                (schema.SIGNAL, schema.LAYER, schema.HEAD), by_head, {"long_name": text, "units": "share"}
            )  # fmt: skip
    return xr.Dataset(variables, labels(model, signals), record(model, f"{facts['kind']} in a ViTime model", facts))
