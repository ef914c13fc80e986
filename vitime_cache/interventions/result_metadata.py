"""Labels and attributes of the result of an intervention, with the intervention as JSON."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from vitime_cache.attention import schema
from vitime_cache.interventions.outcomes import OUTCOME, OUTCOMES
from vitime_cache.model.checkpoint import dtype_name
from vitime_cache.model.network import ViTime
from vitime_cache.series.signal import Signal

EFFECT = {"long_name": "what the intervention did to the forecast", "units": "as the attribute outcomes says"}


def record(model: ViTime, title: str, intervention: Mapping[str, Any]) -> dict[str, str]:
    """Global attributes of a result: those of the model, and the intervention as JSON."""
    return schema.attributes(model.config, model.weights, dtype_name(model)) | {
        "title": title,
        "intervention": json.dumps({**intervention, "forecast": "mean row of each image column"}),
        "outcomes": json.dumps({name: {"long_name": text, "units": units} for name, (text, units) in OUTCOMES.items()}),
    }


def mask_facts(harmonics: bool, renormalise: bool) -> dict[str, Any]:
    """The record of a lag mask without its heads and period."""
    return {
        "lags": "within half a patch of the period" + (" and of its multiples" if harmonics else ""),
        "positions": "every token query; CLS looks and is looked at as before",
        "renormalise": renormalise,
        "where": "scores before the softmax" if renormalise else "weights after the softmax",
    }


def labels(model: ViTime, signals: Sequence[Signal]) -> dict[str, Any]:
    """Coordinates of a result: signal with its geometry, layer, head and outcome."""
    named = [schema.signal_coordinates(signal, model.config) for signal in signals]
    wanted = (schema.SIGNAL, schema.N_HISTORY, schema.HORIZON, schema.SAMPLES_PER_PATCH)
    return {name: (schema.SIGNAL, [facts[name] for facts in named]) for name in wanted} | {
        schema.LAYER: np.array(model.config.layers, dtype=object),
        schema.HEAD: np.arange(model.config.heads),
        OUTCOME: np.array(list(OUTCOMES), dtype=object),
    }
