"""The network's forward pass layer by layer, with heads' outputs computed, kept or changed.

This replaces nothing in the model, so a plain `model(images)` in another thread is not affected. A head's output z is
softmax(q kᵀ / √d) v, before the output projection of its block. Changes to heads are data (`Replace`, `Mask`). A
forecast alone pools no attention and uses torch's fused kernel, like the plain forward pass.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self

import torch
from torch import Tensor
from torch.nn.functional import scaled_dot_product_attention

from vitime_cache.errors import VitimeError
from vitime_cache.model.network import Attend, ViTime

# (layer, its attention module, the block's normalised input (B, 1 + N, D)) → heads' outputs z (B, heads, 1 + N, d).
HeadOutputs = Callable[[str, Any, Tensor], Tensor]


class CaptureError(VitimeError):
    """A network whose attention cannot be read or changed."""


class EditError(VitimeError):
    """A change to a head that does not fit the network."""


@dataclass(frozen=True, eq=False)
class Replace:
    """Replace a head's output z by `output`, (1 + N, d) or (B, 1 + N, d), in the network's dtype."""

    layer: str
    head: int
    output: Tensor


@dataclass(frozen=True, eq=False)
class Mask:
    """Keep only a share of a head's attention, by query token and key column.

    Attributes
    ----------
    keep
        (N, gw) or (B, N, gw), 0 … 1: the share of its attention to each key column that a query token keeps. Attention
        to CLS and from CLS is unchanged.
    renormalise
        True: scores are changed before the softmax (0 becomes −∞), so the removed weight is spread over the rest.
        False: weights are removed after the softmax, and the row sums to less than 1.
    """

    layer: str
    head: int
    keep: Tensor
    renormalise: bool = True


Edit = Replace | Mask


def split_heads(attention: Any, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Queries, keys and values (B, heads, 1 + N, d) of a block's normalised input (B, 1 + N, D)."""
    qkv = attention.qkv(x).unflatten(-1, (3, attention.num_heads, -1)).permute(2, 0, 3, 1, 4)
    q, k, v = qkv.unbind(0)
    return attention.q_norm(q), attention.k_norm(k), v


def plain_outputs(_layer: str, attention: Any, x: Tensor) -> Tensor:
    """The output of every head without any change."""
    return scaled_dot_product_attention(*split_heads(attention, x))


def mix_heads(attention: Any, z: Tensor) -> Tensor:
    """Heads' outputs (B, heads, 1 + N, d) → the block's attention output (B, 1 + N, D): the output projection."""
    mixed: Tensor = attention.proj(z.transpose(1, 2).flatten(2))
    return mixed


def run_layers(model: ViTime, x: Tensor, outputs: HeadOutputs = plain_outputs, first: int = 0) -> Tensor:
    """Run from the input (B, 1 + N, D) of layer number `first` to row scores (B, W, h).

    Raises
    ------
    CaptureError
        If a block does more than a block of the published network, so that this pass would differ from the model's.
    """
    open_blocks(model)
    return model.read_out(model.run_blocks(x, mixed(outputs), first))


def mixed(outputs: HeadOutputs) -> Attend:
    """Heads' outputs in the form that the network's loop takes: after the block's output projection."""
    return lambda layer, attention, x: mix_heads(attention, outputs(layer, attention, x))


def open_blocks(model: ViTime) -> dict[str, Any]:
    """The blocks by layer, after a check that `run_layers` would leave nothing out."""
    blocks: dict[str, Any] = dict(model.blocks_by_layer())
    for layer, block in blocks.items():
        watched = (block, block.attn, block.attn.attn_drop)
        if any("forward" in vars(part) or part._forward_hooks or part._forward_pre_hooks for part in watched):
            raise CaptureError(
                f"{layer} has a hook or a changed forward method, which reading its attention would skip; remove it, "
                "or load the model again with load_model"
            )
    return blocks


@torch.inference_mode()
def forecast(model: ViTime, images: Tensor, edits: Sequence[Edit] = ()) -> Tensor:
    """Probability image (B, W, h) of images (B, 1, h, W) under `edits`; without edits, the plain forward pass.

    Raises
    ------
    EditError
        If an edit names a head that this network lacks, or its numbers have the wrong shape or dtype.
    """
    return model.probability(run_layers(model, model.embed(images), edited(model, edits, len(images))))


def edited(model: ViTime, edits: Sequence[Edit], batch: int) -> HeadOutputs:
    """Heads' outputs under `edits`, for `run_layers`."""
    if not edits:
        return plain_outputs
    by_layer = sort_edits(model, edits, batch)
    grid = model.config.grid

    def outputs(layer: str, attention: Any, x: Tensor) -> Tensor:
        q, k, v = split_heads(attention, x)
        z = scaled_dot_product_attention(q, k, v)
        for edit in by_layer.get(layer, ()):
            head = edit.head
            if isinstance(edit, Replace):
                z[:, head] = edit.output
            else:
                attended = ByColumn.of(q[:, head], k[:, head], v[:, head], grid)
                z[:, head] = attended.output(edit.keep, edit.renormalise)
        return z

    return outputs


def sort_edits(model: ViTime, edits: Sequence[Edit], batch: int) -> Mapping[str, list[Edit]]:
    """Group edits by layer, after checking each against the network and the batch."""
    config = model.config
    by_layer: dict[str, list[Edit]] = {}
    for edit in edits:
        where = f"{edit.layer}, head {edit.head}"
        if edit.layer not in config.layers or not 0 <= edit.head < config.heads:
            raise EditError(
                f"no {where}; this model has layers {', '.join(config.layers)} with heads 0 … {config.heads - 1}"
            )
        if isinstance(edit, Replace):
            width = config.encoder_width if edit.layer.startswith("encoder") else config.decoder_width
            given, expected = edit.output, (1 + config.tokens, width // config.heads)
            if given.dtype != model.dtype:
                raise EditError(f"{where}: its new output is {given.dtype}, the model computes in {model.dtype}")
        else:
            given, expected = edit.keep, (config.tokens, config.grid[1])
        if given.shape not in (expected, (batch, *expected)):
            raise EditError(
                f"{where}: expected numbers of shape {expected} or {(batch, *expected)}, got {tuple(given.shape)}"
            )
        others = by_layer.setdefault(edit.layer, [])
        if any(other.head == edit.head for other in others):
            raise EditError(f"{where} is changed twice; combine the changes into one")
        others.append(edit)
    return by_layer


@dataclass(frozen=True, eq=False)
class ByColumn:
    """A head's attention grouped by the patch column of the key, each column as one key.

    Any mask by query token and key column is then a sum over gw columns instead of N keys, so a hundred masks of one
    head cost little more than one.

    Attributes
    ----------
    score
        (..., 1 + N, 1 + gw) float32: log of the unnormalised weight on CLS and on each key column.
    value
        (..., 1 + N, gw, d) float32: mean of the values in a key column, weighted by the attention within it.
    cls_value
        (..., 1, d) float32.
    """

    score: Tensor
    value: Tensor
    cls_value: Tensor
    dtype: torch.dtype

    @classmethod
    def of(cls, q: Tensor, k: Tensor, v: Tensor, grid: tuple[int, int]) -> Self:
        """Group queries, keys and values (..., 1 + N, d) of one head on a grid of (gh, gw) tokens."""
        q32, k32, v32 = q.float() * q.shape[-1] ** -0.5, k.float(), v.float()
        scores = q32 @ k32.transpose(-2, -1)  # (..., 1 + N, 1 + N)
        by_row = scores[..., 1:].unflatten(-1, grid).transpose(-3, -2)  # (..., gh, 1 + N, gw)
        column = by_row.logsumexp(-3)  # (..., 1 + N, gw)
        within = (by_row - column[..., None, :, :]).exp().permute(*range(by_row.ndim - 3), -1, -2, -3)
        values = v32[..., 1:, :].unflatten(-2, grid).transpose(-3, -2)  # (..., gw, gh, d)
        value = (within @ values).transpose(-3, -2)  # (..., gw, 1 + N, gh) @ (..., gw, gh, d)
        return cls(torch.cat((scores[..., :1], column), dim=-1), value, v32[..., :1, :], q.dtype)

    @property
    def mass(self) -> Tensor:
        """Attention of each query token to each key column, (..., N, gw)."""
        return self.score.softmax(-1)[..., 1:, 1:]

    def output(self, keep: Tensor, renormalise: bool) -> Tensor:
        """The head's output (..., 1 + N, d) under a mask (..., N, gw), in the dtype of its queries."""
        kept = torch.nn.functional.pad(keep.to(self.score), (1, 0, 1, 0), value=1.0)  # CLS is not masked
        weight = (self.score + kept.log()).softmax(-1) if renormalise else self.score.softmax(-1) * kept
        z = torch.einsum("...nc,...ncd->...nd", weight[..., 1:], self.value) + weight[..., :1] * self.cls_value
        return z.to(self.dtype)


@dataclass(frozen=True, eq=False)
class Intact:
    """One unchanged pass of one signal, with what is needed to change a head and recompute only the layers above.

    Attributes
    ----------
    inputs
        Input of every layer, (1, 1 + N, D).
    outputs
        Heads' outputs z of every layer, (1, heads, 1 + N, d).
    probability
        The forecast's image, (1, W, h) float32.
    """

    inputs: list[Tensor]
    outputs: list[Tensor]
    probability: Tensor


@torch.inference_mode()
def run_and_keep(model: ViTime, image: Tensor) -> Intact:
    """Run one image (1, 1, h, W) and keep every layer's input and outputs, about twice the tokens' size per layer."""
    open_blocks(model)
    inputs: list[Tensor] = []
    outputs: list[Tensor] = []

    def kept(layer: str, attention: Any, x: Tensor) -> Tensor:
        outputs.append(plain_outputs(layer, attention, x))
        return outputs[-1]

    x = model.run_blocks(model.embed(image), mixed(kept), on_input=lambda _, x: inputs.append(x))
    return Intact(inputs, outputs, model.probability(model.read_out(x)))


@torch.inference_mode()
def forecast_from_layer(model: ViTime, intact: Intact, number: int, heads: Sequence[int], outputs: Tensor) -> Tensor:
    """Forecast with one head of layer `number` changed, computing only from that layer on.

    Parameters
    ----------
    heads
        The head that each of B forecasts changes.
    outputs
        Their new outputs z, (B, 1 + N, d), in the network's dtype.

    Returns
    -------
    Tensor
        Probability images (B, W, h). With z itself as output, the layer's output equals the intact one bit for bit.

    Notes
    -----
    The output projection is linear, so the block's attention output changes by (z' − z) W_O of that head alone.
    """
    changed = model.config.layers[number]
    attention = open_blocks(model)[changed].attn
    z = intact.outputs[number]
    weight = attention.proj.weight.unflatten(1, (z.shape[1], -1))[:, list(heads)]  # (D, B, d)
    change = (outputs - z[0, list(heads)]) @ weight.permute(1, 2, 0)  # (B, 1 + N, D)
    plain = mixed(plain_outputs)

    def attend(layer: str, attention: Any, x: Tensor) -> Tensor:
        return mix_heads(attention, z) + change if layer == changed else plain(layer, attention, x)

    return model.probability(model.read_out(model.run_blocks(intact.inputs[number], attend, number)))
