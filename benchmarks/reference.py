"""The reference study's way of reading attention: every map hooked and copied. Slow, and plainly right."""

from __future__ import annotations

from functools import partial
from typing import Any

import torch
from torch import Tensor

from vitime_cache.model.network import ViTime


@torch.inference_mode()
def hook_and_copy(model: ViTime, images: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
    """Probability image and, for each layer, the attention (B, heads, 1 + N, 1 + N) as the output of `attn_drop`."""
    maps: dict[str, Tensor] = {}
    handles = []
    modules: dict[str, Any] = {layer: block.attn for layer, block in model.blocks_by_layer().items()}
    fused = {layer: module.fused_attn for layer, module in modules.items()}

    def copy(layer: str, _module: object, _inputs: object, output: Tensor) -> None:
        maps[layer] = output.detach().cpu().clone()

    try:
        for layer, module in modules.items():
            module.fused_attn = False
            handles.append(module.attn_drop.register_forward_hook(partial(copy, layer)))
        probability = model(images)
    finally:
        for handle in handles:
            handle.remove()
        for layer, module in modules.items():
            module.fused_attn = fused[layer]
    return probability, maps


def pool_to_time(attention: Tensor, grid: tuple[int, int]) -> Tensor:
    """(B, heads, 1 + N, 1 + N) → (B, heads, gw, gw): drop CLS, mean over both value axes."""
    gh, gw = grid
    tokens = attention[..., 1:, 1:]
    return tokens.reshape(*tokens.shape[:-2], gh, gw, gh, gw).mean(dim=(-4, -2))
