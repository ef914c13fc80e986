"""`train`: trains a small model on synthetic series, or adapts any model to the user's own series."""

from __future__ import annotations

import argparse
import os
import sys
from contextlib import nullcontext
from dataclasses import replace
from typing import TYPE_CHECKING

from vitime_cache.cli.arguments import UsageError, add_reading, at_least, reading_of, span

if TYPE_CHECKING:
    from vitime_cache.training.config import TrainConfig
    from vitime_cache.training.own_series import OwnSeries

PURPOSE = "train a model on synthetic series, or adapt one to series of your own"
EXAMPLE = "--data prices.csv --start weights/vitime-mini.safetensors --out weights/prices.safetensors"
AFTER_INTERRUPT = "Run the same command again to go on from the last checkpoint: one is written every minute."
OF_DATA = ("share", "holdout", "column", "time", "fill", "missing", "rows", "decimal", "day_first")  # flags of --data


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The flags of `train`."""
    add = parser.add_argument
    add("--out", required=True, help="the .safetensors file to write; its checkpoint is next to it")
    add("--config", metavar="FILE", help="TOML file with fields of TrainConfig; the flags below override it")
    add(
        "--start", metavar="WEIGHTS",
        help="weights to start from (default: none; with --data and no --config, the default weights)",
    )  # fmt: skip
    add(
        "--steps", type=at_least(1),
        help="optimiser steps in all: later stages are cut, or the last one is extended (default: from the config; "
        "with --data and no --config, 120)",
    )  # fmt: skip
    add("--batch-size", type=at_least(1), help="series in each step")
    add("--lr", type=float, help="peak learning rate")
    add("--seed", type=at_least(0), help="of weights and series")
    add("--device", default="auto", help="auto, cpu, cuda or cuda:0")
    add(
        "--workers", type=at_least(0),
        help="processes that draw series ahead (default: 0 on a CPU, all cores but one on a device)",
    )  # fmt: skip
    add("--quiet", action="store_true", help="print errors, and notes on files, only")
    own = parser.add_argument_group(
        "your own series",
        "Random windows of them are mixed with synthetic series. The end of each is not used for training: one stretch "
        "chooses the best state, and the last one is held out.",
    )
    own.add_argument("--data", nargs="+", metavar="FILE", help="CSV, Parquet, NPY or TOML")
    own.add_argument("--share", type=float, help="their share of each batch (default: 0.5)")
    own.add_argument(
        "--holdout",
        type=span,
        metavar="SPAN",
        help="each stretch: 168 samples, 24h, 1d, '2 weeks' (default: a fifth of each series)",
    )
    add_reading(parser)


def run(args: argparse.Namespace) -> int:
    """Train, with a line of progress every few seconds."""
    from vitime_cache.training.train import train

    own = _own_series(args)
    config, start = _config(args)
    with open(os.devnull, "w", encoding="utf-8") if args.quiet else nullcontext(sys.stderr) as log:  # noqa: PTH123
        train(config, args.out, own=own, start=start, device=args.device, workers=args.workers, log=log)
    return 0


def _own_series(args: argparse.Namespace) -> OwnSeries | None:
    """The series of --data, with what the other flags say of them."""
    from vitime_cache.training.own_series import read_own_series

    if args.data is None:
        if given := [name for name in OF_DATA if getattr(args, name) not in (None, (), "none")]:
            raise UsageError(f"--{given[0].replace('_', '-')} is about your own series; name them by --data")
        return None
    share = {} if args.share is None else {"share": args.share}
    return read_own_series(args.data, hold_out=args.holdout, **share, **reading_of(args))


def _config(args: argparse.Namespace) -> tuple[TrainConfig, str | None]:
    """The training's config, and the weights that it starts from."""
    from vitime_cache.model.checkpoint import find_weights, peek
    from vitime_cache.training.config import TrainConfig

    start = args.start
    if args.config:
        config = TrainConfig.from_toml(args.config)
    elif args.data:
        start = start or str(find_weights())
        config = TrainConfig.adapting(peek(start)[0], **({} if args.steps is None else {"steps": args.steps}))
    else:
        config = TrainConfig()
    changes = {name: getattr(args, name) for name in ("batch_size", "lr", "seed")}
    config = replace(config, **{name: value for name, value in changes.items() if value is not None})
    return (config if args.steps is None else config.with_steps(args.steps)), start
