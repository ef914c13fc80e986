"""How many signals go through a network at once: what its device has room for, and half of that where it was too much.

Every pass of a build and of a question about heads is made here.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Sequence
from typing import TypeVar

import torch

from vitime_cache.errors import Note
from vitime_cache.model.network import ViTime
from vitime_cache.shown import counted

TOKENS_ON_A_DEVICE = 65536  # in one pass: more do not run faster
SHARE = (
    0.4  # of the free memory that a pass may take: another is under way, and copies are being made of the one before
)
ACTIVATIONS = 12  # numbers for each token and channel: a block's input, queries, keys, values, and the MLP's two layers

Item = TypeVar("Item")
Result = TypeVar("Result")


def at_once(model: ViTime, on_cpu: int) -> int:
    """Signals in one pass of a model where it is.

    Parameters
    ----------
    on_cpu
        As many as the CPU takes, whose memory is not asked: a large batch is no quicker there.
    """
    if model.device.type == "cpu":
        return on_cpu
    fitting = TOKENS_ON_A_DEVICE // (1 + model.config.tokens)
    if (free := free_bytes(model.device)) is not None:
        fitting = min(fitting, int(SHARE * free) // signal_bytes(model))
    return max(fitting, 1)


def signal_bytes(model: ViTime) -> int:
    """About how much memory of a device the pass of one signal takes at its widest, and what is read from it."""
    config, item = model.config, model.dtype.itemsize
    tokens, columns = 1 + config.tokens, 1 + config.grid[1]
    width = max(config.encoder_width, config.decoder_width)
    pooled = config.heads * tokens * columns * (2 * item + 4)  # beside the values, in what is returned, and in float32
    maps = 4 * len(config.layers) * config.heads * (config.grid[1] ** 2 + config.tokens)
    return ACTIVATIONS * tokens * width * item + pooled + maps


def free_bytes(device: torch.device) -> int | None:
    """Memory of a device that torch can still use, its own unused cache included; None where it does not tell."""
    if device.type != "cuda":
        return None
    free, _ = torch.cuda.mem_get_info(device)
    return free + torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)


def in_passes(
    items: Sequence[Item], size: int, run: Callable[[Sequence[Item]], Result]
) -> Iterator[tuple[Sequence[Item], Result]]:
    """Run on `size` items at a time, in order; where the device is out of memory, on half as many from there on.

    Raises
    ------
    torch.OutOfMemoryError
        If one item alone is too much.
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
        # Not above: while the error is handled it keeps what the pass had made.
        torch.cuda.empty_cache()
        few = counted(size, "signal")
        warnings.warn(f"the device is out of memory; going on with {few} in a pass", Note, stacklevel=2)
