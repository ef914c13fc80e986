"""Chooses how many signals run in one pass, and halves the number when the device runs out of memory.

`build` and `ask` make all of their passes here.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, TypeVar

import torch

from vitime_cache.errors import Note
from vitime_cache.shown import counted

if TYPE_CHECKING:
    from vitime_cache.model.network import ViTime

TOKENS_ON_A_DEVICE = 65536  # most tokens in one pass: more do not run faster
SHARE = 0.4  # of free memory for one pass: another pass runs meanwhile, and the one before is still being copied
ACTIVATIONS = 12  # numbers per token and channel: a block's input, queries, keys, values, and the MLP's two layers

Item = TypeVar("Item")
Result = TypeVar("Result")


def at_once(model: ViTime, on_cpu: int) -> int:
    """Number of signals in one pass on the model's device.

    Parameters
    ----------
    on_cpu
        The number on the CPU, whatever its free memory: a large batch is no quicker there.
    """
    if model.device.type == "cpu":
        return on_cpu
    fitting = TOKENS_ON_A_DEVICE // (1 + model.config.tokens)
    if (free := free_bytes(model.device)) is not None:
        fitting = min(fitting, int(SHARE * free) // signal_bytes(model))
    return max(fitting, 1)


def signal_bytes(model: ViTime) -> int:
    """Estimate the most device memory that the pass of one signal needs, its results included, in bytes."""
    config, item = model.config, model.dtype.itemsize
    tokens, columns = 1 + config.tokens, 1 + config.grid[1]
    width = max(config.encoder_width, config.decoder_width)
    pooled = 4 * config.heads * tokens * columns  # what the kernel stores of a layer before it sums over query rows
    maps = 4 * len(config.layers) * config.heads * (config.grid[1] ** 2 + config.tokens)
    return ACTIVATIONS * tokens * width * item + pooled + maps


def free_bytes(device: torch.device) -> int | None:
    """Device memory that torch can still use, including its unused cache, in bytes; None where torch cannot tell."""
    if device.type != "cuda":
        return None
    free, _ = torch.cuda.mem_get_info(device)
    return free + torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)


def in_passes(
    items: Sequence[Item], size: int, run: Callable[[Sequence[Item]], Result]
) -> Iterator[tuple[Sequence[Item], Result]]:
    """Run on `size` items at a time, in order. If the device runs out of memory, go on with half as many.

    Raises
    ------
    torch.OutOfMemoryError
        If even one item does not fit.
    """
    start = 0
    while start < len(items):
        some = items[start : start + size]
        try:
            result = run(some)
        except torch.OutOfMemoryError:
            if len(some) == 1:
                raise
            size = len(some) // 2
        else:
            start += len(some)
            yield some, result
            continue
        # After the except block: the exception keeps the tensors of the failed pass alive.
        torch.cuda.empty_cache()
        few = counted(size, "signal")
        warnings.warn(f"the device is out of memory; continuing with {few} per pass", Note, stacklevel=2)
