"""Value patching: heads read the values of another run at chosen pairs of query and key, with unchanged attention.

A head's output is z = A v, where A is its attention. A patch keeps the A of the intact run in every layer, and replaces
the values v at some pairs by those of another run, v': z' = A v + (A ∘ M) (v' - v). The content that is read there
changes, but the magnitude of attention does not (activation patching: Vig et al., NeurIPS 2020; Zhang and Nanda,
ICLR 2024). Layers below the lowest patched one are those of the intact run and are not computed again.

Many patches of one signal run as a batch. Since they share their attention, it is computed once for each layer and
batch, and z' = z + A (v - v₀) + (A ∘ M) (v' - v) with the intact run's z and v₀: where nothing has changed, the output
equals the intact one bit for bit.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import linear, scaled_dot_product_attention

from vitime_cache.arrays import Bools
from vitime_cache.attention.forward import (
    HeadOutputs,
    Intact,
    open_blocks,
    plain_outputs,
    run_and_keep,
    run_layers,
    split_heads,
)
from vitime_cache.attention.passes import in_passes
from vitime_cache.interventions.lag_masks import pairs_at
from vitime_cache.interventions.runs import batch_size
from vitime_cache.model.network import ViTime

Pairs = Bools  # (gw, 1 + gw): query column by CLS and key column


@dataclass(frozen=True, eq=False)
class Patch:
    """One patched run.

    Attributes
    ----------
    pairs
        Pairs at which values are replaced, (gw, 1 + gw) bool: query column by CLS and key column.
    heads
        The patched heads, (layer, head) bool.
    """

    pairs: Pairs
    heads: Bools


@dataclass(frozen=True, eq=False)
class FrozenRun:
    """The intact run of one signal, with queries, keys and values kept.

    Attributes
    ----------
    queries, keys, values
        For every layer, (1, heads, 1 + N, d).
    """

    intact: Intact
    queries: list[Tensor]
    keys: list[Tensor]
    values: list[Tensor]

    def attention(self, number: int) -> Tensor:
        """Attention of every head of layer `number`, (heads, 1 + N, 1 + N), in the network's dtype."""
        q, k = self.queries[number][0], self.keys[number][0]
        scores = (q.float() * q.shape[-1] ** -0.5) @ k.float().transpose(-2, -1)
        attention: Tensor = scores.softmax(-1).to(q.dtype)
        return attention


def lag_pairs(lags: Bools, first_query: int = 0) -> Pairs:
    """Pairs whose key lies `lags` (patches,) behind its query, for query columns from `first_query` on."""
    pairs = np.pad(pairs_at(lags), ((0, 0), (1, 0)))
    pairs[:first_query] = False
    return pairs


def all_pairs(patches: int, first_query: int = 0) -> Pairs:
    """Every pair, including keys ahead of the query and CLS, for query columns from `first_query` on."""
    pairs = np.ones((patches, 1 + patches), dtype=bool)
    pairs[:first_query] = False
    return pairs


@torch.inference_mode()
def freeze(model: ViTime, image: Tensor) -> FrozenRun:
    """Run one image (1, 1, h, W) and keep what patches need."""
    intact = run_and_keep(model, image)
    queries, keys, values = [], [], []
    for block, x in zip(open_blocks(model).values(), intact.inputs, strict=True):
        normalised = block.norm1(x)
        q, k, _ = split_heads(block.attn, normalised)
        queries.append(q)
        keys.append(k)
        values.append(head_values(block.attn, normalised))
    return FrozenRun(intact, queries, keys, values)


@torch.inference_mode()
def run_for_values(
    model: ViTime, images: Tensor, outputs: HeadOutputs = plain_outputs
) -> tuple[list[Tensor], Tensor]:  # fmt: skip
    """Values of every layer, (B, heads, 1 + N, d) each, and probability (B, W, h) of images (B, 1, h, W)."""
    values: list[Tensor] = []

    def kept(layer: str, attention: Any, x: Tensor) -> Tensor:
        values.append(head_values(attention, x))
        return outputs(layer, attention, x)

    probability = model.probability(run_layers(model, model.embed(images), kept))
    return values, probability


def head_values(attention: Any, x: Tensor) -> Tensor:
    """Values alone, (B, heads, 1 + N, d), of a block's normalised input (B, 1 + N, D)."""
    n = attention.qkv.out_features // 3
    bias = attention.qkv.bias
    v = linear(x, attention.qkv.weight[2 * n :], None if bias is None else bias[2 * n :])
    by_head: Tensor = v.unflatten(-1, (attention.num_heads, -1)).transpose(1, 2)
    return by_head


def run_patches(
    model: ViTime, frozen: FrozenRun, values: Sequence[Tensor], patches: Sequence[Patch]
) -> Iterator[tuple[Sequence[int], Tensor]]:
    """Run many patches, batch by batch.

    Parameters
    ----------
    values
        Of the run that is read instead, (1, heads, 1 + N, d) for each layer, from `run_for_values` or `freeze`.

    Yields
    ------
    Numbers of the patches of a batch and their probability images (B, W, h). Patches with similar lowest layers run
    together, so that the layers below are not computed.
    """
    lowest = [int(each.heads.any(axis=1).argmax()) for each in patches]
    order = sorted(range(len(patches)), key=lambda i: (lowest[i], patches[i].pairs.tobytes()))

    def run(some: Sequence[int]) -> Tensor:
        return _run_batch(model, frozen, values, [patches[i] for i in some], lowest[some[0]])

    yield from in_passes(order, batch_size(model), run)


@torch.inference_mode()
def run_holding(model: ViTime, images: Tensor, frozen: FrozenRun, pairs: Pairs) -> Tensor:
    """Forecasts (B, W, h) of images (B, 1, h, W) in which all heads read the frozen run's values at `pairs`.

    Here each run has its own attention; only the values at `pairs` are held.
    """
    return model.probability(run_layers(model, model.embed(images), holding(model, frozen, pairs)))


def holding(model: ViTime, frozen: FrozenRun, pairs: Pairs) -> HeadOutputs:
    """Heads' outputs for one run in which all heads read the frozen run's values at `pairs`."""
    queries, mask = _by_token(pairs, model)
    held = iter(frozen.values)

    def outputs(_: str, attention: Any, x: Tensor) -> Tensor:
        q, k, v = split_heads(attention, x)
        z = scaled_dot_product_attention(q, k, v)
        scores = (q[:, :, queries].float() * q.shape[-1] ** -0.5) @ k.float().transpose(-2, -1)
        z[:, :, queries] += (scores.softmax(-1).to(q.dtype) * mask) @ (next(held) - v)
        return z

    return outputs


@torch.inference_mode()
def _run_batch(
    model: ViTime, frozen: FrozenRun, values: Sequence[Tensor], patches: Sequence[Patch], first: int
) -> Tensor:
    layers = model.config.layers
    groups = [_Group.of(patches, numbers, model) for numbers in _alike(patches)]

    def outputs(layer: str, attention: Any, x: Tensor) -> Tensor:
        number = layers.index(layer)
        z, v0 = frozen.intact.outputs[number], frozen.values[number]
        z = z.expand(len(patches), -1, -1, -1).clone()
        touched = [group for group in groups if group.heads[:, number].any()]
        a = frozen.attention(number)
        if number == first:
            v = v0.expand(len(patches), -1, -1, -1)
        else:
            v = head_values(attention, x)
            z += torch.einsum("hqk,bhkd->bhqd", a, v - v0)
        for group in touched:
            heads = group.heads[:, number].any(0).nonzero().flatten()
            change = (values[number][:, heads] - v[group.members][:, heads]) * group.heads[:, number, heads, None, None]
            read = a[heads][:, group.queries] * group.mask  # (heads, queries, 1 + N)
            at = (group.members[:, None, None], heads[None, :, None], group.queries[None, None, :])
            z[at] += torch.einsum("hqk,bhkd->bhqd", read, change)
        return z

    x = frozen.intact.inputs[first].expand(len(patches), -1, -1)
    return model.probability(run_layers(model, x, outputs, first))


@dataclass(frozen=True, eq=False)
class _Group:
    """Patches of a batch that share their pairs: their numbers, heads (B, layer, head), and the pairs by token."""

    members: Tensor
    heads: Tensor
    queries: Tensor  # tokens that any pair has as its query
    mask: Tensor  # (queries, 1 + N)

    @classmethod
    def of(cls, patches: Sequence[Patch], members: list[int], model: ViTime) -> _Group:
        heads = torch.from_numpy(np.stack([patches[i].heads for i in members]))
        return cls(
            torch.tensor(members, device=model.device), heads.to(model.device),
            *_by_token(patches[members[0]].pairs, model),
        )  # fmt: skip


def _by_token(pairs: Pairs, model: ViTime) -> tuple[Tensor, Tensor]:
    """Tokens that any pair has as its query, and the pairs as (queries, 1 + N)."""
    columns = np.tile(np.arange(model.config.grid[1]), model.config.grid[0])
    asking: Bools = np.any(pairs, axis=1)[columns]
    queries = np.flatnonzero(asking)
    mask = pairs[columns[queries]][:, np.concatenate(([0], 1 + columns))]
    return torch.from_numpy(1 + queries).to(model.device), torch.from_numpy(mask).to(model.device)


def _alike(patches: Sequence[Patch]) -> list[list[int]]:
    """Numbers of the patches with equal pairs."""
    groups: dict[bytes, list[int]] = {}
    for number, each in enumerate(patches):
        groups.setdefault(each.pairs.tobytes(), []).append(number)
    return list(groups.values())
