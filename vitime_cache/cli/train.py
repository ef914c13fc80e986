"""`train`: a small model, taught on synthetic series."""

from __future__ import annotations

import argparse
import os
import sys
from contextlib import nullcontext
from dataclasses import replace

from vitime_cache.cli.arguments import at_least

PURPOSE = "train a model on synthetic series"
EXAMPLE = "--config weights/vitime-mini.toml --out weights/mine.safetensors"
AFTER_INTERRUPT = "Run the same command again to go on from the last checkpoint: one is written every minute."


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The flags of `train`."""
    add = parser.add_argument
    add("--out", required=True, help="the .safetensors file to write; its checkpoint lies beside it")
    add("--config", metavar="FILE", help="TOML file with fields of TrainConfig; the flags below go first")
    add("--start", metavar="WEIGHTS", help="weights to start from, where there is no checkpoint yet")
    add("--steps", type=at_least(1), help="optimiser steps in all: the stages end early, or the last one goes on")
    add("--batch-size", type=at_least(1), help="series in each step")
    add("--lr", type=float, help="peak learning rate")
    add("--seed", type=at_least(0), help="of weights and series")
    add("--device", default="auto", help="auto, cpu, cuda or cuda:0")
    add("--workers", type=at_least(0), default=0, help="processes that draw series ahead (0: none)")
    add("--quiet", action="store_true", help="print errors only")


def run(args: argparse.Namespace) -> int:
    """Train, with a line of progress every few seconds."""
    from vitime_cache.training.config import TrainConfig
    from vitime_cache.training.train import train

    config = TrainConfig.from_toml(args.config) if args.config else TrainConfig()
    changes = {name: getattr(args, name) for name in ("batch_size", "lr", "seed")}
    config = replace(config, **{name: value for name, value in changes.items() if value is not None})
    if args.steps is not None:
        config = config.with_steps(args.steps)
    with open(os.devnull, "w") if args.quiet else nullcontext(sys.stderr) as log:  # noqa: PTH123
        train(config, args.out, start=args.start, device=args.device, workers=args.workers, log=log)
    return 0
