"""The training objective: a selection of tokens of a batch of images, and the loss.

The input is the image of a history, the target is the drawing of the whole series: the loss is the cross-entropy
between the softened true row of each column and the model's distribution over rows.

Training is affordable because only some tokens are shown: of the future a few columns (blank tokens differ only in
their position, and a network that fills some can fill all), of the history those with ink. This is masked-autoencoder
practice (arXiv 2111.06377). Positions are fixed and added to tokens, so the network needs no change. The last stages
show every token in a share of their steps, because blank tokens do receive attention.
"""

from __future__ import annotations

import math

import torch
from einops import rearrange
from torch import Tensor, nn
from torch.nn import functional

from vitime_cache.model.encoding import BLUR_SIZE
from vitime_cache.model.network import ViTime
from vitime_cache.training.config import TrainConfig

INKED = 2.25  # approximate number of shown tokens per history column, for patches of 16 rows
TILE = 32  # the number of shown tokens, with CLS, is a multiple of this: processors multiply whole tiles


def choose_tokens(patches: Tensor, columns: Tensor, border: int, config: TrainConfig) -> Tensor:
    """Select the shown tokens, (B, n): those of the scored columns row by row, then those of the history with most ink.

    Parameters
    ----------
    patches
        (B, N, ph * pw) ink of each token.
    columns
        (B, scored) scored columns of tokens, those of the future first (`Batch`).
    """
    height, width = config.network.grid
    first = math.ceil(border / config.network.patch_width)
    past = columns.shape[1] - min(config.future_columns, width - first)
    scored = columns[:, None, :] + width * torch.arange(height, device=columns.device)[:, None]  # (B, rows, scored)
    ahead = torch.arange(height * width, device=patches.device) % width >= first
    ink = patches.sum(dim=-1).masked_fill(ahead, -1)
    ink.scatter_(1, scored.flatten(1), -1)
    spare = height * (first - past)  # history tokens not shown yet, computed without reading from the device
    others = 1 + height * columns.shape[1]
    shown = round((others + inked_tokens(config.network.patch_height) * first) / TILE) * TILE - others
    inked = ink.topk(max(0, min(shown, spare)), dim=1).indices
    return torch.cat((scored.flatten(1), inked), dim=1)


def inked_tokens(patch_height: int) -> float:
    """Number of tokens per column to show for the ink of a series: its BLUR_SIZE rows touch more flat patches."""
    return INKED * max(1.0, (BLUR_SIZE / patch_height + 1) / (BLUR_SIZE / 16 + 1))


def patch_scores(model: ViTime, patches: Tensor, tokens: Tensor) -> Tensor:
    """The network's scores for the pixels of some tokens when only these tokens are shown.

    Positions are added to the tokens and used nowhere else, so any selection of tokens can be shown.

    Parameters
    ----------
    patches
        (B, n, ph * pw) pixels.
    tokens
        (B, n) int64: index of each token in the grid.

    Returns
    -------
    Tensor
        (B, n, ph * pw)
    """

    def places(positions: Tensor) -> Tensor:  # (B, 1 + n, D), CLS first
        return torch.cat((positions[:, :1].expand(len(tokens), -1, -1), positions[0, 1:][tokens]), dim=1)

    projection = model.patch_embed.proj
    x = functional.linear(patches, projection.weight.flatten(1), projection.bias)
    x = torch.cat((model.cls_token.expand(len(x), -1, -1), x), dim=1) + places(model.pos_embed)
    x = model.run_blocks(x, decoder_positions=places(model.decoder_pos_embed))
    scores: Tensor = model.decoder_pred(model.decoder_norm(x))[:, 1:]
    return scores


def sampled_loss(
    model: ViTime, images: Tensor, rows: Tensor, border: int, columns: Tensor, config: TrainConfig
) -> Tensor:
    """Mean cross-entropy in nats at `columns` of tokens, when a selection of tokens is shown."""
    network = config.network
    height, width = network.patch_height, network.patch_width
    patches = rearrange(images, "b 1 (row ph) (col pw) -> b (row col) (ph pw)", ph=height, pw=width)
    tokens = choose_tokens(patches, columns, border, config)
    shown = patches.gather(1, tokens[..., None].expand(-1, -1, patches.shape[-1]))
    scores = patch_scores(model, shown, tokens)[:, : network.grid[0] * columns.shape[1]]
    scores = rearrange(scores, "b (row col) (ph pw) -> b (col pw) (row ph)", row=network.grid[0], ph=height)
    pixels = (columns[..., None] * width + torch.arange(width, device=columns.device)).flatten(1)  # (B, scored * pw)
    return cross_entropy(scores, rows.gather(1, pixels), config.softness, network.output).mean()


def whole_loss(logits: Tensor, rows: Tensor, border: int, config: TrainConfig) -> Tensor:
    """Mean cross-entropy over all columns, with more weight on the future: logits (B, W, h), rows (B, W)."""
    weight = torch.ones(logits.shape[1], device=logits.device)
    weight[border:] = config.future_weight
    return (cross_entropy(logits, rows, config.softness, config.network.output) * weight).sum() / (
        weight.sum() * len(rows)
    )


def cross_entropy(logits: Tensor, rows: Tensor, softness: float, output: str = "softmax") -> Tensor:
    """Cross-entropy in nats between softened true rows (B, n) and logits (B, n, h), (B, n).

    For a sigmoid output each row is separate, and the cross-entropies of a column's rows are summed. Both losses are
    smallest if the network outputs the true probability of each row.
    """
    height = torch.arange(logits.shape[-1], device=logits.device)
    softened = torch.softmax(-0.5 * ((height[:, None] - height) / softness) ** 2, dim=-1)  # (h, h)
    if output == "sigmoid":
        return functional.binary_cross_entropy_with_logits(logits.float(), softened[rows], reduction="none").sum(dim=-1)
    return -(softened[rows] * logits.float().log_softmax(dim=-1)).sum(dim=-1)


class PeriodReadout(nn.Linear):
    """The auxiliary task: one linear map from the encoder's output at a token to the logarithm of the period."""

    def __init__(self, width: int) -> None:
        super().__init__(width, 1)

    def loss(self, encoded: Tensor, periods: Tensor) -> Tensor:
        """Mean squared error of log2(period / 80) over the tokens (B, n, D) of series that have one."""
        known = torch.isfinite(periods)  # a mask: indexing would make the host wait for the device
        true = torch.log2(periods.where(known, 80.0) / 80)[:, None, None]
        errors: Tensor = (self(encoded).float() - true).square().mean(dim=(1, 2))  # (B,)
        return (errors * known).sum() / known.sum().clamp(min=1)
