"""Evaluates a network on synthetic series that training never draws."""

from __future__ import annotations

import numpy as np
import torch

from vitime_cache.model.drawing import draw
from vitime_cache.model.network import ViTime
from vitime_cache.training.batches import image_rows
from vitime_cache.training.config import TrainConfig
from vitime_cache.training.synthesis import Mixture, synthesise

VALIDATION_SEED = 2**40  # training draws from [seed, step]
VALIDATION = {
    "repeats": Mixture(repeats=1.0),
    "slow": Mixture(slow=1.0),
    "sines": Mixture(sines=1.0),
    "blends": Mixture(blends=1.0),
    "periodic": Mixture(periodic=1.0),
}


@torch.no_grad()
def held_out_error(model: ViTime, config: TrainConfig, n: int = 32) -> dict[str, float]:
    """Mean absolute error of the median forecast on series that training never draws, in history standard deviations.

    Returns
    -------
    dict
        Error for each kind of `VALIDATION`, at the study's border; "mean" is the error of forecasting the history's
        mean on the last kind.
    """
    network = config.network
    errors: dict[str, float] = {}
    for name, mixture in VALIDATION.items():
        rng = np.random.default_rng([config.seed, VALIDATION_SEED])
        rows, border = image_rows(synthesise(rng, n, network.columns, mixture)[0], network.context_columns, network)
        images = draw(rows.to(model.device)[:, :border], network)
        probability = torch.cat([model(part).cpu() for part in images.split(16)])
        median = (probability.cumsum(-1) < 0.5).sum(-1)  # (n, W) rows
        errors[name] = float((median - rows)[:, border:].abs().float().mean()) * network.row_step
        errors["mean"] = float((rows[:, border:] - network.image_height / 2).abs().float().mean()) * network.row_step
    return errors
