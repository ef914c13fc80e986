"""Copies between a device and the host through pinned memory, so that neither waits for the other.

On the CPU the same calls copy nothing; on devices without pinned memory they wait.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor


def to_device(values: NDArray[Any], device: torch.device) -> Tensor:
    """An array as a tensor on a device. A copy from pageable memory would wait for all work queued on the device."""
    tensor = torch.from_numpy(np.ascontiguousarray(values))
    return tensor.pin_memory().to(device, non_blocking=True) if device.type == "cuda" else tensor.to(device)


class HostCopy:
    """A copy of tensors from one device to the host, on its own stream; any thread may call `wait`."""

    def __init__(self, *tensors: Tensor) -> None:
        self._host = list(tensors)
        self._copied: torch.cuda.Event | None = None
        if not tensors[0].is_cuda:
            return
        device = tensors[0].device
        self._host = [torch.empty(each.shape, dtype=each.dtype, pin_memory=True) for each in tensors]
        stream = _copying(device)
        stream.wait_stream(torch.cuda.current_stream(device))
        with torch.cuda.stream(stream):
            for host, there in zip(self._host, tensors, strict=True):
                host.copy_(there, non_blocking=True)
                there.record_stream(stream)  # the allocator must not reuse the memory before the copy has read it
            # While a thread waits for a blocking event its core is free; for any other event it would spin.
            self._copied = torch.cuda.Event(blocking=True)
            self._copied.record(stream)

    def wait(self) -> list[NDArray[Any]]:
        """The arrays, once they have arrived."""
        if self._copied is not None:
            self._copied.synchronize()
        return [each.cpu().numpy() for each in self._host]


@lru_cache
def _copying(device: torch.device) -> torch.cuda.Stream:
    return torch.cuda.Stream(device)
