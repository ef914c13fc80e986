"""Series a second that `train` learns from, and the images a second that it draws, against the way it was done before.

    python -m benchmarks.training                                # the network of the weights before: 2 × 77 tokens
    python -m benchmarks.training --network mini                 # the shipped one: 4 × 77 tokens
    python -m benchmarks.training --network mini --device cuda --batch-size 512 --workers 14    # on a card

Before: every token and every column of every image in each step, images drawn by `SeriesEncoding.image`, and stock
Newton-Schulz, all in float32. Now: a choice of tokens, and images drawn as tensors where the network is, in the
precision of --precision: bfloat16 where the processor has AMX or the device is a card, else float32 is faster. A ratio
of two ways in turns says more than either figure: the machine's other work falls on both. On a card there is no way
before; series come from worker processes.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import get_args

import numpy as np
import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader

from vitime_cache.arrays import Floats
from vitime_cache.model.checkpoint import pick_device
from vitime_cache.model.drawing import draw
from vitime_cache.model.encoding import SeriesEncoding
from vitime_cache.model.network import ViTime
from vitime_cache.training import muon
from vitime_cache.training.batches import Batch, Batches, image_rows
from vitime_cache.training.config import MINI, Precision, Stage, TrainConfig
from vitime_cache.training.learner import Learner, float32_products
from vitime_cache.training.objective import whole_loss
from vitime_cache.training.synthesis import Mixture, synthesise

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

    def learn(self, step: int) -> Tensor:
        from timm.optim.muon import zeropower_via_newtonschulz  # with all of timm, for this step alone

        series, border = synthesised(self.config, step)
        encoding = SeriesEncoding.fit(series[:, :border], self.config.network.columns - border, self.config.network)
        images = torch.from_numpy(encoding.image(series[:, :border])).transpose(1, 2).unsqueeze(1)
        rows = torch.from_numpy(encoding.rows(series))
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


def synthesised(config: TrainConfig, step: int) -> tuple[Floats, int]:
    """Series (B, W) and the border of their histories."""
    rng = np.random.default_rng([config.seed, step])
    return synthesise(rng, config.batch_size, config.network.columns, LESSON.mixture)[0], config.network.context_columns


def seconds(do: Callable[[int], object], steps: Iterable[int]) -> list[float]:
    """Wall-clock seconds of each step."""
    taken = []
    for step in steps:
        started = time.perf_counter()
        do(step)
        taken.append(time.perf_counter() - started)
    return taken


def in_turns(before: Callable[[int], object], now: Callable[[int], object], rounds: int) -> tuple[float, float]:
    """Median seconds of a step before and now, over `rounds` turns of five steps each."""
    taken: tuple[list[float], list[float]] = ([], [])
    for turn in range(rounds + 1):
        for do, mine in zip((before, now), taken, strict=True):
            steps = seconds(do, range(5 * turn, 5 * turn + 5))
            mine.extend(steps if turn else [])  # the first turn warms up
    return float(np.median(taken[0])), float(np.median(taken[1]))


def drawing(config: TrainConfig, rounds: int) -> tuple[float, float]:
    """Seconds that a batch of images takes by `SeriesEncoding.image`, and as tensors; of series that are there."""
    network = config.network
    series, border = synthesised(config, 0)
    encoding = SeriesEncoding.fit(series[:, :border], network.columns - border, network)
    rows = image_rows(series, border, network)[0][:, :border]
    return in_turns(lambda _: encoding.image(series[:, :border]), lambda _: draw(rows, network), rounds)


def learning(config: TrainConfig, rounds: int) -> tuple[float, float]:
    """Seconds of a step before and now, the drawing of series and images included."""
    batches, learner = Batches(config), Learner(config, torch.device("cpu"))
    return in_turns(Before(config).learn, lambda step: learner.learn(batches[step]), rounds)


def on_a_device(config: TrainConfig, device: torch.device, workers: int, steps: int = 300) -> tuple[float, float]:
    """Series a second that are learnt from, and the share of the time in which the network waits for them."""
    learner = Learner(config, device)
    loader = DataLoader(
        Batches(config), batch_size=None, sampler=range(steps + 20), num_workers=workers,
        prefetch_factor=4 if workers else None, pin_memory=device.type == "cuda",
    )  # fmt: skip
    waited, batches = 0.0, iter(loader)

    def following() -> Batch:
        nonlocal waited
        asked = time.perf_counter()
        batch: Batch = next(batches)
        waited += time.perf_counter() - asked
        return batch

    with float32_products(config.precision, device):
        for _ in range(20):
            learner.learn(following()).item()
        started, waited = time.perf_counter(), 0.0
        for _ in range(steps):
            loss = learner.learn(following())
        loss.item()
        taken = time.perf_counter() - started
    return steps * config.batch_size / taken, waited / taken


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--network", choices=NETWORKS, default="before")
    parser.add_argument("--batch-size", type=int, nargs="+", default=[16, 64])
    parser.add_argument("--precision", choices=get_args(Precision), default="bfloat16")
    parser.add_argument("--rounds", type=int, default=4)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--workers", type=int, default=0, help="processes that draw series, on a device")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    network, device = NETWORKS[arguments.network], pick_device(arguments.device)
    height, width = network.grid
    where = f"{arguments.threads} threads" if device.type == "cpu" else torch.cuda.get_device_name(device)
    print(f"network {arguments.network}: {height} × {width} tokens, {arguments.precision}, {where}")
    for size in arguments.batch_size:
        config = TrainConfig(network=network, stages=(LESSON,), batch_size=size, precision=arguments.precision)
        if device.type != "cpu":
            pace, waiting = on_a_device(config, device, arguments.workers)
            print(
                f"batches of {size}: {pace:.0f} series/s, {waiting:.0%} of the time spent waiting for them", flush=True
            )
            continue
        for what, compare in (("images drawn", drawing), ("series learnt from", learning)):
            before, now = (size / each for each in compare(config, arguments.rounds))
            print(
                f"batches of {size}: {before:.0f} {what}/s before, {now:.0f} now: {now / before:.2f} times", flush=True
            )


if __name__ == "__main__":
    main()
