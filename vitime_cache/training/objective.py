"""What a training step is scored on: a batch of images, a choice of tokens, the loss.

The image of a history goes in, the drawing of the whole series is the target: cross-entropy between the softened
true row of each column and the model's distribution over rows.

Showing a choice of tokens is what makes training affordable: of the future, a few columns of tokens (blank tokens
differ in their position alone, and a network that fills some can fill all); of the history, those with ink. That is
masked-autoencoder practice (arXiv 2111.06377), and as positions are fixed and added to tokens, the network needs no
change. The last stages show every token in a share of their steps, because blank tokens do take a share of attention.
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

INKED = 2.25  # tokens of the history that are shown, for each of its columns, about; in patches of 16 rows
TILE = 32  # tokens, CLS among them, are shown in multiples of it: processors multiply whole tiles


def choose_tokens(patches: Tensor, columns: Tensor, border: int, config: TrainConfig) -> Tensor:
    """Tokens that are shown, (B, n): those of the scored columns, row by row, then the history's with the most ink.

    Parameters
    ----------
    patches
        (B, N, ph * pw) ink of each token.
    columns
        (B, scored) columns of tokens, those of the future first (`Batch`).
    """
    height, width = config.network.grid
    first = math.ceil(border / config.network.patch_width)
    past = columns.shape[1] - min(config.future_columns, width - first)
    scored = columns[:, None, :] + width * torch.arange(height, device=columns.device)[:, None]  # (B, rows, scored)
    ahead = torch.arange(height * width, device=patches.device) % width >= first
    ink = patches.sum(dim=-1).masked_fill(ahead, -1)
    ink.scatter_(1, scored.flatten(1), -1)
    spare = height * (first - past)  # tokens of the history that are not shown already; no device is asked
    others = 1 + height * columns.shape[1]
    shown = round((others + inked_tokens(config.network.patch_height) * first) / TILE) * TILE - others
    inked = ink.topk(max(0, min(shown, spare)), dim=1).indices
    return torch.cat((scored.flatten(1), inked), dim=1)


def inked_tokens(patch_height: int) -> float:
    """How many tokens of a column are shown for the ink of a series: BLUR_SIZE rows of it touch more flat patches."""
    return INKED * max(1.0, (BLUR_SIZE / patch_height + 1) / (BLUR_SIZE / 16 + 1))


def patch_scores(model: ViTime, patches: Tensor, tokens: Tensor) -> Tensor:
    """What the network says about the pixels of some tokens when it is shown those alone.

    Positions are added to the tokens and nothing else knows where they are: any choice of them may be shown.

    Parameters
    ----------
    patches
        (B, n, ph * pw) pixels.
    tokens
        (B, n) int64: which token of the grid each is.

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
    """Mean cross-entropy in nats at `columns` of tokens, of a network that is shown a choice of tokens."""
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
    """Mean cross-entropy over all columns, the future weighted more: logits (B, W, h), rows (B, W)."""
    weight = torch.ones(logits.shape[1], device=logits.device)
    weight[border:] = config.future_weight
    return (cross_entropy(logits, rows, config.softness, config.network.output) * weight).sum() / (
        weight.sum() * len(rows)
    )


def cross_entropy(logits: Tensor, rows: Tensor, softness: float, output: str = "softmax") -> Tensor:
    """Cross-entropy in nats between softened true rows (B, n) and logits (B, n, h), (B, n).

    A network whose output is a sigmoid tells each row by itself: the cross-entropies of a column's rows are summed.
    Both are least where the network tells the true probability of each row.
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
        known = torch.isfinite(periods)  # stays a mask: to pick the series would make the host wait for the device
        true = torch.log2(periods.where(known, 80.0) / 80)[:, None, None]
        errors: Tensor = (self(encoded).float() - true).square().mean(dim=(1, 2))  # (B,)
        return (errors * known).sum() / known.sum().clamp(min=1)
