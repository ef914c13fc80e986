"""Images of many histories as tensors, drawn on the device that the network is on.

`SeriesEncoding.image` draws with scipy, one history per core; here a batch is one lookup on any device.
`SeriesEncoding` alone decides the row of each column, in float64 on the CPU. A device therefore cannot move ink to
another row, and images differ from `SeriesEncoding.image` only by the rounding of float32 sums.
"""

from __future__ import annotations

from functools import lru_cache

import torch
from torch import Tensor
from torch.nn import functional

from vitime_cache.model.config import ViTimeConfig
from vitime_cache.model.encoding import BLUR_SIZE, blur_kernel, row_blur

REACH = BLUR_SIZE // 2  # columns to either side that the blur reaches


@torch.no_grad()
def draw(rows: Tensor, config: ViTimeConfig) -> Tensor:
    """Draw histories as ink with blank future columns, the network's input.

    Parameters
    ----------
    rows
        (B, columns of history), whole numbers from `SeriesEncoding.history_rows`; h pads shorter histories.

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
    """Columns from REACH before the first to REACH after the last with ink, reflected at the edges of the image."""
    column = torch.arange(-REACH, inked + REACH, device=device).abs()
    return torch.where(column < width, column, 2 * (width - 1) - column)


@lru_cache
def _ink(height: int, device: torch.device) -> tuple[Tensor, Tensor]:
    """Ink of each row blurred along the value axis, and a last row without ink, (h + 1, h); weights in time."""
    table = torch.cat((torch.from_numpy(row_blur(height)), torch.zeros(1, height, dtype=torch.float32)))
    return table.to(device), torch.from_numpy(BLUR_SIZE * blur_kernel()).to(device)
