"""Series a second that `train` learns from, against the way it was done before, in one run and in turns.

    python -m benchmarks.training                      # the network of the weights before: 2 × 77 tokens
    python -m benchmarks.training --network mini       # the shipped one: 4 × 77 tokens

Before: every token and every column of every image in each step, and stock Newton-Schulz, all in float32. Now: a
choice of tokens, in the precision of --precision: bfloat16 where the processor has AMX, else float32 is faster.
Series are drawn by the same process, batches are of the same size. A ratio of two ways in turns says more than either
figure: the machine's other work falls on both.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from dataclasses import replace
from typing import get_args

import numpy as np
import torch
from timm.optim.muon import zeropower_via_newtonschulz
from torch import Tensor, nn

from vitime_cache.model.config import ViTimeConfig
from vitime_cache.model.network import ViTime
from vitime_cache.training import muon
from vitime_cache.training.config import MINI, Precision, Stage, TrainConfig
from vitime_cache.training.objective import SyntheticBatches, whole_loss
from vitime_cache.training.synthesis import Mixture
from vitime_cache.training.train import Learner

NETWORKS = {
    "before": replace(MINI, patch_height=32, decoder_width=128),
    "mini": MINI,
}
LESSON = Stage(10**6, Mixture(repeats=0.5, slow=0.25, periodic=0.25))


class Before:
    """The former step: all tokens, all columns, Muon by timm's iteration, no mean of the weights."""

    def __init__(self, config: TrainConfig) -> None:
        self.config = config
        self.model = ViTime(config.network).train()
        inside = {p for block in self.model.blocks_by_layer().values() for p in block.parameters() if p.ndim == 2}
        self.matrices = [p for p in self.model.parameters() if p in inside]
        self.momentum = [torch.zeros_like(p) for p in self.matrices]
        rest = [p for p in self.model.parameters() if p.requires_grad and p not in inside]
        self.adam = torch.optim.AdamW(rest, config.lr, betas=(0.9, 0.95), weight_decay=config.weight_decay)

    def learn(self, images: Tensor, rows: Tensor, border: int, periods: Tensor) -> Tensor:  # noqa: ARG002
        loss = whole_loss(self.model.logits(images), rows, border, self.config)
        loss.backward()
        nn.utils.clip_grad_norm_(self.model.parameters(), 1.0)
        self.adam.step()
        with torch.no_grad():
            for p, momentum in zip(self.matrices, self.momentum, strict=True):
                assert p.grad is not None
                momentum.lerp_(p.grad, 0.05)
                update = p.grad.lerp(momentum, 0.95)
                width = p.shape[1]
                stacked = update.view(3, width, width) if p.shape[0] == 3 * width else update[None]
                square = zeropower_via_newtonschulz(
                    stacked, steps=muon.STEPS, coefficients=[muon.COEFFICIENTS], dtype=torch.float32
                )
                p.add_(square.reshape(p.shape), alpha=-self.config.lr * 0.2 * max(stacked.shape[1:]) ** 0.5)
        self.model.zero_grad(set_to_none=True)
        return loss.detach()


def seconds(learn: Callable[..., Tensor], batches: SyntheticBatches, steps: range) -> list[float]:
    """Wall-clock seconds of each step, drawing its series included."""
    taken = []
    for step in steps:
        started = time.perf_counter()
        learn(*batches[step])
        taken.append(time.perf_counter() - started)
    return taken


def compare(network: ViTimeConfig, batch_size: int, rounds: int, precision: Precision) -> tuple[float, float]:
    """Series a second before and now: medians over the steps of `rounds` turns of five steps each."""
    config = TrainConfig(network=network, stages=(LESSON,), batch_size=batch_size, precision=precision)
    batches = SyntheticBatches(config)
    ways = (Before(config).learn, Learner(config, torch.device("cpu")).learn)
    taken: tuple[list[float], list[float]] = ([], [])
    for turn in range(rounds + 1):
        for learn, mine in zip(ways, taken, strict=True):
            steps = seconds(learn, batches, range(5 * turn, 5 * turn + 5))
            mine.extend(steps if turn else [])  # the first turn warms up
    before, now = (batch_size / float(np.median(mine)) for mine in taken)
    return before, now


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--network", choices=NETWORKS, default="before")
    parser.add_argument("--batch-size", type=int, nargs="+", default=[16, 64])
    parser.add_argument("--precision", choices=get_args(Precision), default="bfloat16")
    parser.add_argument("--rounds", type=int, default=4)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    network = NETWORKS[arguments.network]
    height, width = network.grid
    print(f"network {arguments.network}: {height} × {width} tokens, {arguments.precision}, {arguments.threads} threads")
    for batch_size in arguments.batch_size:
        before, now = compare(network, batch_size, arguments.rounds, arguments.precision)
        print(
            f"batches of {batch_size}: {before:.0f} series/s before, {now:.0f} now: {now / before:.2f} times",
            flush=True,
        )


if __name__ == "__main__":
    main()
