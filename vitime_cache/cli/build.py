"""`build`: capture signals into a store."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from vitime_cache.cli import console
from vitime_cache.cli.arguments import (
    CONFIG_HELP,
    STORE_HELP,
    UsageError,
    add_files,
    add_inputs,
    at_least,
    default_store_of,
    layers,
    one_store,
    positive,
    signals_of,
)
from vitime_cache.model.checkpoint import DTYPES

if TYPE_CHECKING:
    from vitime_cache.model.network import ViTime

PURPOSE = "write the attention of signals into a store"
EXAMPLE = "prices.csv --tokens decoder.1 --store store/prices.zarr"
AFTER_INTERRUPT = "Run the same command again to go on: complete signals are kept."


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The flags of `build`."""
    add_files(parser)
    add_inputs(parser)
    add = parser.add_argument
    add("--store", help=f"{STORE_HELP}; a first argument that ends in .zarr works too")
    add("--weights", help="weights file (default: weights/ViTime_Model.pth, else the shipped model)")
    add("--config", help=CONFIG_HELP)
    add("--tokens", type=layers, default="all", help="layers whose token maps are stored: all, none or names")
    add("--device", default="auto", help="auto, cpu, cuda or cuda:0 (mps and xpu are accepted, but untested)")
    add(
        "--dtype", choices=DTYPES, default="float32",
        help="of the arithmetic: float32 (default) for figures to compare; float16 for speed, eight times as fast on a "
        "GPU and off by less than a hundredth of a map's largest value on the shipped weights; bfloat16, off by up to "
        "ten times that, only for weights that overflow in float16",
    )  # fmt: skip
    add("--batch-size", type=at_least(1), help="signals per pass (default: from the model's size, on a GPU also from "
        "its free memory; halved when that runs out)")  # fmt: skip
    add(
        "--workers", type=_workers,
        help="processes; on a GPU, which they share, eight write thousands of small signals twice as fast as one; or a "
        "dask scheduler's address (tcp://…)",
    )  # fmt: skip
    add("--max-size", type=positive("gigabytes"), default=20.0, help="refuse to write more than this many GB (20)")
    add("--quiet", action="store_true", help="print errors, and notes on files, only")


def run(args: argparse.Namespace) -> int:
    """Print the plan, then build with a progress bar."""
    from vitime_cache.store.build import build

    store = _store(args)
    signals = signals_of(args)
    options = {name: getattr(args, name) for name in ("tokens", "batch_size", "workers", "device", "dtype")}
    options["max_size"] = args.max_size * 1e9
    model = _model(args)
    if args.quiet:
        build(signals, store, model, **options)
        return 0
    with console.progress_bar("signals") as progress:
        report = build(signals, store, model, **options, announce=console.show_plan, progress=progress)
    console.show_report(report)
    return 0


def _model(args: argparse.Namespace) -> ViTime | str | None:
    """The weights file, or the loaded network if --config gives its shape."""
    if not args.config:
        return None if args.weights is None else str(args.weights)
    if args.workers:
        raise UsageError("--workers load the weights themselves, without --config; leave out one of the two")
    from vitime_cache.model.checkpoint import load_model

    return load_model(args.weights, args.device, args.dtype, config=args.config)


def _store(args: argparse.Namespace) -> str:
    """The store named by --store or by the first argument, which is removed from the files."""
    first = args.files.pop(0) if args.files and args.files[0].rstrip("/").endswith(".zarr") else None
    return one_store(first, args.store) or default_store_of(args.weights)


def _workers(text: str) -> int | str:
    if "://" in text:
        return text
    if not text.isdigit() or int(text) < 1:
        raise argparse.ArgumentTypeError(
            f"{text!r} is neither a number of processes nor an address such as tcp://host:8786"
        )
    return int(text)
