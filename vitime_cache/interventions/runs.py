"""Passes of the network for interventions: running signals, batch sizes, and progress."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from numpy.typing import NDArray
from torch import Tensor

from vitime_cache.attention.capture import images_of
from vitime_cache.attention.forward import ByColumn, Intact, open_blocks, run_and_keep, split_heads
from vitime_cache.attention.passes import at_once
from vitime_cache.interventions.outcomes import ForecastScorer
from vitime_cache.model.encoding import SeriesEncoding
from vitime_cache.model.network import ViTime
from vitime_cache.series.signal import Signal

Progress = Callable[[int, int, str], object]  # steps done, steps in all, what has just been done

TOKENS_AT_ONCE = 4096  # tokens in a batch of forecasts on the CPU: more are not faster on two cores, and cost memory


def draw(model: ViTime, signals: Sequence[Signal]) -> Tensor:
    """Signals as a batch of images, (B, 1, h, W)."""
    return images_of(signals, [SeriesEncoding.fit(s.values, s.horizon, model.config) for s in signals], model)


def run_signal(model: ViTime, signal: Signal) -> Intact:
    """Run one signal and keep what is needed to change heads."""
    return run_and_keep(model, draw(model, [signal]))


@torch.inference_mode()
def by_column(model: ViTime, intact: Intact, layer: str, head: int) -> ByColumn:
    """The attention of one head in an intact pass, by key column."""
    number, block = model.config.layers.index(layer), open_blocks(model)[layer]
    q, k, v = split_heads(block.attn, block.norm1(intact.inputs[number]))
    return ByColumn.of(q[0, head], k[0, head], v[0, head], model.config.grid)


def mean_rows(probability: Tensor) -> Tensor:
    """Mean row of each image column, (B, W), of probability images (B, W, h)."""
    return probability @ torch.arange(probability.shape[-1], dtype=probability.dtype, device=probability.device)


def fetch(parts: Sequence[Tensor]) -> NDArray[Any]:
    """Results of several passes as one array along their first axis; only here does the host wait for the device."""
    return torch.cat(list(parts)).cpu().numpy()


def scorer_of(model: ViTime, signal: Signal, intact: Intact, period: float | None) -> ForecastScorer:
    """A scorer that compares forecasts of a signal with its intact forecast."""
    return ForecastScorer.of(signal, model.config, intact.probability[0].cpu().numpy(), period)


def samples_per_patch(model: ViTime, signal: Signal) -> float:
    return SeriesEncoding.fit(signal.values, signal.horizon, model.config).samples_per_patch


def batch_size(model: ViTime) -> int:
    """Number of forecasts in one batch."""
    return at_once(model, on_cpu=max(1, TOKENS_AT_ONCE // (1 + model.config.tokens)))


class Steps:
    """Counts finished steps and reports progress."""

    def __init__(self, progress: Progress | None, total: int) -> None:
        self.progress, self.total, self.done = progress, total, 0

    def add(self, steps: int, what: str) -> None:
        self.done += steps
        if self.progress is not None:
            self.progress(self.done, self.total, what)
