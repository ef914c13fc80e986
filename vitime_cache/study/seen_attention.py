"""Captures attention as the study's scripts do: at the dropout after the softmax, with fused kernels off."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor

from vitime_cache.checks import text
from vitime_cache.errors import VitimeError
from vitime_cache.model.checkpoint import check_model
from vitime_cache.model.network import ViTime


class RolloutError(VitimeError):
    """An option that does not fit the model, or attention that cannot be captured."""


class SeenAttention:
    """The attention modules of a network, by the names in the study's scripts.

    Parameters
    ----------
    attention_layer_name, attention_drop_layer_name
        Endings of the names of the attention modules, and of the dropout after their softmax.

    Raises
    ------
    RolloutError
        For names that do not match the model's attention, with those that do.
    """

    def __init__(self, model: ViTime, attention_layer_name: str, attention_drop_layer_name: str) -> None:
        check_model(model)
        text(attention_layer_name, "attention_layer_name", error=RolloutError)
        text(attention_drop_layer_name, "attention_drop_layer_name", error=RolloutError)
        self.model = model
        named = list(model.named_modules())
        known = {block.attn for block in model.blocks_by_layer().values()}
        self._attention: list[Any] = [m for name, m in named if name.endswith(attention_layer_name) and m in known]
        self._dropout = {name: m for name, m in named if name.endswith(attention_drop_layer_name)}
        for option, ending, found in (
            ("attention_layer_name", attention_layer_name, len(self._attention)),
            ("attention_drop_layer_name", attention_drop_layer_name, len(self._dropout)),
        ):
            if found != len(known):
                raise RolloutError(
                    f"{option} {ending!r} matches {found} modules, but the model has {len(known)} attention layers, "
                    "named 'blocks.0.attn' and so on, with their dropout in 'blocks.0.attn.attn_drop'; use 'attn' and "
                    "'attn_drop'"
                )

    def run(self, image: Tensor, see: Callable[[str, Tensor], None]) -> None:
        """Run one image (1, 1, h, W); `see` gets the name and attention of each layer in turn.

        Raises
        ------
        RolloutError
            If a layer's attention was not captured or has an unexpected shape, with the remedy.
        """
        seen: list[str] = []
        size = self.model.config.tokens + 1
        expected = (1, self.model.config.heads, size, size)

        def checked(name: str, attention: Tensor) -> None:
            if tuple(attention.shape) != expected:
                raise RolloutError(
                    f"{name} gave an output of shape {tuple(attention.shape)}, expected attention of shape {expected}; "
                    "attention_drop_layer_name must name the dropout after the softmax, 'attn_drop'"
                )
            seen.append(name)
            see(name, attention)

        with self._seeing(checked), torch.inference_mode():
            self.model(image)
        if len(seen) != len(self._dropout):
            missed = ", ".join(name for name in self._dropout if name not in seen)
            raise RolloutError(
                f"no attention map was captured in {missed}: the model does not call it. Load the model again with "
                "load_model, do not compile it, and do not capture from it at the same time"
            )

    @contextmanager
    def _seeing(self, see: Callable[[str, Tensor], None]) -> Iterator[None]:
        """During the context, `see` gets each layer's attention of forward passes; afterwards the model is restored."""

        def hook(name: str) -> Callable[[Any, Any, Tensor], None]:
            return lambda _module, _inputs, output: see(name, output)

        fused = [attention.fused_attn for attention in self._attention]
        handles = [module.register_forward_hook(hook(name)) for name, module in self._dropout.items()]
        try:
            for attention in self._attention:
                attention.fused_attn = False
            yield
        finally:
            for handle in handles:
                handle.remove()
            for attention, before in zip(self._attention, fused, strict=True):
                attention.fused_attn = before
