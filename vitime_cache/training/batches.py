"""Training batches, each determined by its number alone, so that any process can draw them ahead of the network.

A batch holds the image row of every column; the network's device draws the images from it.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset

from vitime_cache.arrays import Floats
from vitime_cache.model.config import ViTimeConfig
from vitime_cache.model.encoding import SeriesEncoding
from vitime_cache.training.config import TrainConfig
from vitime_cache.training.own_series import OwnSeries
from vitime_cache.training.synthesis import synthesise

NEAR = 12  # columns of tokens next to the border that count as near


class Batch(NamedTuple):
    """A batch of B series on the W columns of a network's images.

    Attributes
    ----------
    rows
        (B, W) int32, image row of every column at the scale of the series' history.
    border
        The column at which the histories end.
    columns
        (B, scored) int64, scored columns of tokens; None shows all tokens and scores all columns.
    periods
        (B,) float32, main period of each series in columns, NaN if there is none.
    """

    rows: Tensor
    border: int
    columns: Tensor | None
    periods: Tensor

    def to(self, device: torch.device) -> Batch:
        """The batch on a device; the copy from pinned memory is asynchronous."""
        moved = (each if each is None else each.to(device, non_blocking=True) for each in (self.columns, self.periods))
        return Batch(self.rows.to(device, non_blocking=True), self.border, *moved)  # type: ignore[arg-type]


class Batches(Dataset[Batch]):
    """Batch number i depends on the configuration, the user's series and i alone."""

    def __init__(self, config: TrainConfig, own: OwnSeries | None = None) -> None:
        self.config, self.own = config, own

    def __len__(self) -> int:
        return self.config.steps

    def __getitem__(self, step: int) -> Batch:
        config, network, stage = self.config, self.config.network, self.config.stage(step)
        rng = np.random.default_rng([config.seed, step])
        border = network.context_columns
        if rng.random() >= stage.study_border:
            border = int(network.columns * rng.uniform(*stage.border))
        own = 0 if self.own is None else rng.binomial(config.batch_size, self.own.share)
        series, periods = synthesise(rng, config.batch_size - own, network.columns, stage.mixture, stage.periods)
        if self.own is not None:
            series = np.concatenate((self.own.windows(rng, own, network.columns), series))
            periods = np.concatenate((np.full(own, np.nan), periods))
        rows, border = image_rows(series, border, network)
        generator = torch.Generator().manual_seed(config.seed * 2**32 + step)
        whole = float(torch.rand((), generator=generator)) < stage.whole
        columns = None if whole else choose_columns(len(rows), border, stage.near, config, generator)
        return Batch(rows, border, columns, torch.from_numpy(periods).float())


def image_rows(series: Floats, border: int, network: ViTimeConfig) -> tuple[Tensor, int]:
    """Rows (B, W) int32 of series (B, W) whose histories end at `border`, and the border as drawn.

    For some borders (335 of 1232) rounding in ViTime's formula for a history's width loses a column, and the border
    moves by one.
    """
    encoding = SeriesEncoding.fit(series[:, :border], network.columns - border, network)
    while encoding.history_columns < border:
        border = encoding.history_columns
        encoding = SeriesEncoding.fit(series[:, :border], network.columns - border, network)
    return torch.from_numpy(encoding.rows(series).astype(np.int32)), border


def choose_columns(n: int, border: int, near: float, config: TrainConfig, generator: torch.Generator) -> Tensor:
    """Draw the scored columns of tokens, (n, scored): first those of the future, then those of the history.

    A column that contains the border counts as history.
    """
    first = math.ceil(border / config.network.patch_width)
    ahead = config.network.grid[1] - first
    confined = torch.rand(n, 1, generator=generator) < near
    far = torch.arange(ahead) >= NEAR
    order = torch.rand(n, ahead, generator=generator) - (confined & far).float()
    future = first + order.topk(min(config.future_columns, ahead), dim=1).indices
    history = torch.rand(n, first, generator=generator).topk(min(config.history_columns, first), dim=1).indices
    return torch.cat((future, history), dim=1)
