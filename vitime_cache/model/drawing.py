"""Images of many histories as tensors, drawn on the device that the network is on.

`SeriesEncoding.image` draws with scipy, one core a history; here a batch is one lookup on any device. What is drawn is
decided by `SeriesEncoding` alone, in float64 on the CPU: the row of each column. So a device cannot move ink to another
row, and images differ from `SeriesEncoding.image` by the rounding of float32 sums only.
"""

from __future__ import annotations

from functools import lru_cache

import torch
from torch import Tensor
from torch.nn import functional

from vitime_cache.model.config import ViTimeConfig
from vitime_cache.model.encoding import BLUR_SIZE, blur_kernel, row_blur

REACH = BLUR_SIZE // 2  # columns that ink is smeared to either side


@torch.no_grad()
def draw(rows: Tensor, config: ViTimeConfig) -> Tensor:
    """Ink of histories, the future columns blank: what the network takes.

    Parameters
    ----------
    rows
        (B, columns of history), whole numbers: `SeriesEncoding.history_rows`; h where a history is shorter than others.

    Returns
    -------
    Tensor
        (B, 1, h, W) float32, on the device of `rows`.
    """
    n, border = rows.shape
    height, width = config.image_height, config.columns
    inked = min(border + REACH, width)  # columns that ink reaches
    shown = functional.pad(rows.int(), (0, width - border), value=height)[:, _reflected(inked, width, rows.device)]
    around = shown.unfold(1, BLUR_SIZE, 1).reshape(-1, BLUR_SIZE)  # (B * inked, BLUR_SIZE) rows around each column
    table, kernel = _ink(height, rows.device)
    weights = kernel.expand(len(around), -1).contiguous()
    # A column's ink is a weighted sum of rows of a table. Unlike a convolution, this is float32 on every device.
    ink = functional.embedding_bag(around, table, per_sample_weights=weights, mode="sum")
    images = ink.new_zeros(n, width, height)
    images[:, :inked] = ink.view(n, inked, height)
    return images.transpose(1, 2).unsqueeze(1)


def _reflected(inked: int, width: int, device: torch.device) -> Tensor:
    """Columns from REACH before the first to REACH after the last inked one, reflected at the edges of the image."""
    column = torch.arange(-REACH, inked + REACH, device=device).abs()
    return torch.where(column < width, column, 2 * (width - 1) - column)


@lru_cache
def _ink(height: int, device: torch.device) -> tuple[Tensor, Tensor]:
    """(h + 1, h) ink of each row, blurred along the value axis, and of none; (BLUR_SIZE,) weights along time."""
    table = torch.cat((torch.from_numpy(row_blur(height)), torch.zeros(1, height)))
    return table.to(device), torch.from_numpy(BLUR_SIZE * blur_kernel()).to(device)
