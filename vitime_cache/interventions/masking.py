"""The lags of a period masked in every head singly, beside control combs, at the price of what changes.

One intact pass of a signal keeps each layer's input and what every head attends to. For a masked head only its
(z' − z) W_O, its block's MLP and the layers above are computed, which is exact.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
import xarray as xr

from vitime_cache.attention import schema
from vitime_cache.attention.forward import Intact, above
from vitime_cache.interventions.combs import even_keep, pairs_at, token_pairs, with_controls
from vitime_cache.interventions.named_heads import Head, Signals, as_signals, check_heads
from vitime_cache.interventions.outcomes import CONTROL, OUTCOME, OUTCOMES
from vitime_cache.interventions.result_metadata import EFFECT, labels, mask_facts, record
from vitime_cache.interventions.runs import (
    Progress,
    Steps,
    batch_size,
    by_column,
    run_signal,
    samples_per_patch,
    yardstick_of,
)
from vitime_cache.model.network import ViTime


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
    steps = Steps(progress, sum(ways * len(chosen) * len(each.lags) for each in sets))
    batch = max(1, batch_size(model) // ways)
    for i, (signal, combs) in enumerate(zip(asked, sets, strict=True)):
        pairs, others = (token_pairs(pairs_at(lags), rows) for lags in (combs.lags, combs.elsewhere))  # (n, N, gw)
        run = run_signal(model, signal) if intact is None else intact
        yardstick = yardstick_of(model, signal, run, period)
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
    each_head = (schema.SIGNAL, schema.LAYER, schema.HEAD)
    controlled = (schema.SIGNAL, CONTROL, schema.LAYER, schema.HEAD)
    each_effect = (schema.SIGNAL, OUTCOME, schema.LAYER, schema.HEAD)
    control_effect = (schema.SIGNAL, CONTROL, OUTCOME, schema.LAYER, schema.HEAD)
    share = {"units": "share"}
    instead = "what taking as much attention elsewhere did to the forecast"
    lacking = "attention that could not be taken elsewhere: there is no more"
    return xr.Dataset(
        {
            "effect": (each_effect, effect[:, 0, 0], EFFECT),
            "elsewhere_effect": (each_effect, effect[:, 1, 0], {**EFFECT, "long_name": instead}),
            "control_effect": (
                control_effect, effect[:, 0, 1:],
                {**EFFECT, "long_name": "what masking a control comb did to the forecast"},
            ),
            "control_elsewhere_effect": (
                control_effect, effect[:, 1, 1:], {**EFFECT, "long_name": f"{instead}, for each control"}
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
        labels(model, asked),
        record(model, "lags of a period masked in every head of a ViTime model", facts),
    )  # fmt: skip
