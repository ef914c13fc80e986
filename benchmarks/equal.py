"""Does a device compute what the CPU does? Largest differences of everything that runs there, in float32.

`benchmarks.gpu --only equal` prints them; tests hold them to `TOLERANCE` on whatever device there is.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from copy import deepcopy
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

import vitime_cache as vc
from vitime_cache.attention import schema
from vitime_cache.attention.capture import capture_batch
from vitime_cache.interventions.knockout import knock_out_all
from vitime_cache.model.network import ViTime
from vitime_cache.series.signal import Signal, hold_out
from vitime_cache.training.batches import Batches
from vitime_cache.training.config import Stage, TrainConfig
from vitime_cache.training.learner import Learner, float32_products
from vitime_cache.training.synthesis import Mixture

Arrays = Mapping[str, NDArray[Any]]

TOLERANCE: Mapping[str, float] = {  # of the largest value of the CPU's; measured on an H200: 1.8e-4 and less
    "capture": 1e-3, "token maps": 2e-3, "interventions": 5e-3, "ask": 2e-2, "training step": 1e-2,
}  # fmt: skip
PERIOD = 24.0


def signals(n: int = 192, horizon: int = 96) -> list[Signal]:
    """A noisy season and a walk, with their futures."""
    rng, time = np.random.default_rng(0), np.arange(n + horizon)
    season = np.sin(2 * np.pi * time / PERIOD) + 0.2 * rng.standard_normal(len(time))
    return [hold_out(name, x, horizon) for name, x in (("season", season), ("walk", season.cumsum()))]


def differences(model: ViTime, device: torch.device) -> Iterator[tuple[str, str, float]]:
    """(part, variable, largest difference as a share of the CPU's largest value) of a model that is on the CPU."""
    there = deepcopy(model).to(device)
    for part, run in PARTS.items():
        found, expected = run(there), run(model)
        for name, values in expected.items():
            yield part, name, _apart(found[name], values)


def _apart(found: NDArray[Any], expected: NDArray[Any]) -> float:
    if not np.array_equal(np.isnan(found), np.isnan(expected)):
        return float("inf")
    known = ~np.isnan(expected)
    largest = float(np.abs(expected[known]).max(initial=0.0))
    return float(np.abs(found[known] - expected[known]).max(initial=0.0)) / (largest or 1.0)


def _captured(model: ViTime) -> Arrays:
    every = capture_batch(model, signals())
    # Not the forecast itself, the most probable row, which jumps where two are nearly as probable.
    names = (schema.TIME_ATTENTION, schema.CLS_ATTENTION, schema.LAG_ATTENTION, schema.FORECAST_QUANTILE)
    return {name: np.stack([each[name] for each in every]) for name in names}


def _tokens(model: ViTime) -> Arrays:
    ds = vc.capture(model, signals()[0], tokens=[model.config.layers[0], model.config.layers[-1]])
    return {schema.TOKEN_ATTENTION: ds[schema.TOKEN_ATTENTION].values.astype(np.float32)}


def _changed(model: ViTime) -> Arrays:
    signal, heads = signals()[0], [(model.config.layers[-1], 0), (model.config.layers[0], 1)]
    every = knock_out_all(model, signal, signals()[1:], period=PERIOD)
    masked = vc.mask_lags(model, signal, heads, PERIOD)
    patched = vc.patch_values(model, signal, heads, [_patches(model, signal)], period=PERIOD)
    distance = {"every head knocked out": every.effect.sel(outcome="distance").values}
    for name, ds in (("lags masked", masked), ("values patched", patched)):
        distance[name] = ds.forecast.values - ds.intact_forecast.values
    return distance


def _patches(model: ViTime, signal: Signal) -> int:
    length = len(signal.values) + signal.horizon
    return max(1, round(PERIOD / model.config.samples_per_patch(length)))


def _asked(model: ViTime) -> Arrays:
    ds = vc.ask(model, signals()[0], period=PERIOD, nulls=19)
    names = ("lag_curve", "null_mean", "query_contrast", "null_contrast")
    return {name: ds[name].values for name in names}


def _taught(model: ViTime) -> Arrays:
    config = TrainConfig(
        network=model.config, stages=(Stage(2, Mixture(repeats=1.0), (10.0, 30.0)),), batch_size=4, warmup=1,
        cooldown=1, precision="float32",
    )  # fmt: skip
    learner = Learner(config, model.device)
    before = learner.model.decoder_pred.weight.detach().clone()
    with float32_products("float32", model.device):
        loss = learner.learn(Batches(config)[0])
    step = learner.model.decoder_pred.weight.detach() - before
    return {"loss": loss.cpu().numpy(), "step of the last weights": step.cpu().numpy()}


PARTS: Mapping[str, Callable[[ViTime], Arrays]] = {
    "capture": _captured, "token maps": _tokens, "interventions": _changed, "ask": _asked, "training step": _taught,
}  # fmt: skip
