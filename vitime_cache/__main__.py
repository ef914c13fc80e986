"""The command line: python -m vitime_cache build | info | verify | export | train | signals."""

from __future__ import annotations

import argparse
import json
import math
import os
import sys
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vitime_cache import console
from vitime_cache.store.objects import StoreError, open_objects

if TYPE_CHECKING:
    from vitime_cache.model.network import ViTime
    from vitime_cache.series.sources import Signal

INTERRUPTED = 130  # 128 + SIGINT, as shells have it


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; 0 for success, 1 for an error or a store that is not sound, 130 for Ctrl-C."""
    argv = sys.argv[1:] if argv is None else argv
    args = _parser(argv).parse_args(argv)
    try:
        return int(args.run(args))
    except KeyboardInterrupt:
        console.errors.print(f"interrupted. {args.after_interrupt}")
        return INTERRUPTED
    except OSError as error:
        console.errors.print(f"error: {error}")
    except (ValueError, RuntimeError) as error:
        if type(error).__name__ == "OutOfMemoryError":  # torch's, by name: torch may never have been imported
            console.errors.print("error: the device is out of memory; use a smaller --batch-size or --dtype bfloat16")
            return 1
        if not type(error).__module__.startswith("vitime_cache."):
            raise  # a defect of ours: the traceback is what helps
        console.errors.print(f"error: {error}")
    return 1


def _build(args: argparse.Namespace) -> int:
    from vitime_cache.store.build import build

    signals = _signals(args)
    store = args.store or _default_store(args.weights)
    options = {name: getattr(args, name) for name in ("tokens", "batch_size", "workers", "device", "dtype")}
    options["max_size"] = args.max_size * 1e9
    if args.quiet:
        build(signals, store, args.weights, **options)
        return 0
    with console.progress_bar() as progress:
        report = build(signals, store, args.weights, **options, announce=console.show_plan, progress=progress)
    console.show_report(report)
    return 0


def _info(args: argparse.Namespace) -> int:
    from vitime_cache.store.info import info

    found = info(args.store or _default_store(None))
    print(json.dumps(found, indent=1)) if args.json else console.show_info(found)
    return 0


def _verify(args: argparse.Namespace) -> int:
    from vitime_cache.store.commit import forget
    from vitime_cache.store.verify import verify

    store = args.store or _default_store(args.weights)
    model = _model_of(store, args.weights) if args.sample else None
    found = verify(store, model, _signals(args) if model else (), args.sample)
    console.show_verification(store, found)
    if not found.problems:
        return 0
    if args.repair:
        forget(open_objects(store), {problem.place for problem in found.problems if problem.place is not None})
        console.console.print("damaged signals are taken out; build again to write them")
    else:
        console.errors.print("verify --repair takes damaged signals out, and the next build writes them again")
    return 1


def _export(args: argparse.Namespace) -> int:
    from vitime_cache.study.export import run

    return run(args)


def _train(args: argparse.Namespace) -> int:
    from vitime_cache.training.train import TrainConfig, train

    config = TrainConfig.from_toml(args.config) if args.config else TrainConfig()
    changes = {name: getattr(args, name) for name in ("steps", "batch_size", "lr", "seed")}
    config = replace(config, **{name: value for name, value in changes.items() if value is not None})
    with open(os.devnull, "w") if args.quiet else nullcontext(sys.stderr) as log:  # noqa: PTH123
        train(config, args.out, device=args.device, workers=args.workers, log=log)
    return 0


def _signals_table(args: argparse.Namespace) -> int:
    signals = _signals(args)
    if args.json:
        facts = [
            {
                "name": signal.name,
                "samples": len(signal.values),
                "horizon": signal.horizon,
                "periods": [harmonic.period for harmonic in signal.harmonics],
                "reduced_of": signal.reduced_of,
                "description": signal.description,
            }
            for signal in signals
        ]
        print(json.dumps(facts, indent=1))
    else:
        console.show_signals(signals)
    return 0


def _signals(args: argparse.Namespace) -> list[Signal]:
    """The signals of the files named, or the catalogue."""
    from vitime_cache.series.sources import catalogue, read_signals

    if args.files:
        horizon = {} if args.horizon is None else {"horizon": args.horizon}
        return [signal for file in args.files for signal in read_signals(file, fill=args.fill, **horizon)]
    signals = catalogue()
    if args.horizon is None:
        return signals
    return [replace(signal, horizon=args.horizon, future=None) for signal in signals]


def _default_store(weights: str | None) -> str:
    from vitime_cache.model.checkpoint import peek

    return str(Path("store") / f"{peek(weights)[1].name}.zarr")


def _model_of(store: str, weights: str | None) -> ViTime | None:
    """The model a store was built with, if its weights are at hand."""
    from vitime_cache.model.checkpoint import CheckpointError, load_model, peek
    from vitime_cache.store.info import info

    wanted = info(store)
    try:
        sha256 = peek(weights)[1].sha256
    except CheckpointError:
        if weights:
            raise
        sha256 = ""
    if sha256 == wanted["weights"]["sha256"]:
        return load_model(weights, dtype=wanted["dtype"])
    if not weights:
        console.errors.print(f"nothing is captured again without --weights: the file of {wanted['weights']['name']}")
        return None
    raise StoreError(f"{weights} is not what {store} was built with ({wanted['weights']['name']})")


def _workers(text: str) -> int | str:
    if "://" in text:
        return text
    if not text.isdigit() or int(text) < 1:
        raise argparse.ArgumentTypeError(
            f"{text!r} is neither a number of processes nor an address such as tcp://host:8786"
        )
    return int(text)


def _tokens(text: str) -> str | list[str]:
    return text if text in ("all", "none") else [name.strip() for name in text.split(",")]


def _at_least(smallest: int) -> Callable[[str], int]:
    def whole_number(text: str) -> int:
        try:
            value = int(text)
        except ValueError:
            value = smallest - 1
        if value < smallest:
            raise argparse.ArgumentTypeError(f"{text!r} is no whole number from {smallest} on")
        return value

    return whole_number


def _size(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not value > 0:
        raise argparse.ArgumentTypeError(f"{text!r} is no positive number of gigabytes")
    return value


def _parser(argv: Sequence[str]) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser("python -m vitime_cache", description="Run a ViTime model and keep its attention.")
    commands = parser.add_subparsers(required=True, metavar="command")

    inputs = argparse.ArgumentParser(add_help=False)
    inputs.add_argument(
        "--horizon", type=_at_least(1), help="samples to forecast (default: as the signals say, or 720)"
    )
    inputs.add_argument(
        "--fill", choices=("none", "interpolate"), default="none", help="interpolate missing values, or refuse them"
    )
    files = argparse.ArgumentParser(add_help=False)
    files.add_argument("files", nargs="*", metavar="FILE", help="CSV, Parquet, NPY or TOML (default: the catalogue)")

    build = _command(
        commands, "build", _build, "write the attention of signals into a store", [files, inputs],
        "build prices.csv --tokens decoder.5 --store store/prices.zarr",
        after="Run the same command again to go on: complete signals are kept.",
    )  # fmt: skip
    build.add_argument("--store", help="folder or URL (s3://…, gs://…, memory://…; default: store/<weights>.zarr)")
    build.add_argument("--weights", help="weights file (default: weights/ViTime_Model.pth, else the shipped model)")
    build.add_argument(
        "--tokens", type=_tokens, default="all", help="layers whose token maps are kept: all, none or names"
    )
    build.add_argument("--device", default="auto", help="auto, cpu, cuda or cuda:0")
    build.add_argument("--dtype", choices=("float32", "bfloat16"), default="float32")
    build.add_argument("--batch-size", type=_at_least(1), default=1, help="signals per pass; more than 1 pays on a GPU")
    build.add_argument("--workers", type=_workers, help="processes, or a dask scheduler's address (tcp://…)")
    build.add_argument("--max-size", type=_size, default=20.0, help="refuse to write more than this many GB (20)")
    build.add_argument("--quiet", action="store_true", help="print errors only")

    info = _command(commands, "info", _info, "what is in a store", [], "info store/vitime-mini.zarr --json")
    info.add_argument("store", nargs="?", help="folder or URL (default: the store of the default weights)")
    info.add_argument("--json", action="store_true", help="for programs")

    verify = _command(
        commands, "verify", _verify, "check every object of a store, and capture a sample again", [inputs],
        "verify store/prices.zarr --inputs prices.csv",
    )  # fmt: skip
    verify.add_argument("store", nargs="?", help="folder or URL (default: the store of the default weights)")
    verify.add_argument(
        "--inputs", nargs="+", dest="files", default=[], metavar="FILE", help="what the store was built from"
    )
    verify.add_argument("--weights", help="weights file the store was built with")
    verify.add_argument("--sample", type=_at_least(0), default=1, help="signals to capture again (1)")
    verify.add_argument(
        "--repair", action="store_true", help="take damaged signals out, for the next build to write again"
    )

    export = _command(
        commands, "export", _export, "write pictures and numbers of heads to files", [],
        "export store/vitime-mini.zarr --layer decoder.1 --head 3 --format png csv",
    )  # fmt: skip
    if "export" in argv[:1]:  # its flags come with charts and xarray, which no other command should wait for
        from vitime_cache.study.export import add_arguments

        add_arguments(export)

    train = _command(
        commands, "train", _train, "train a model on synthetic series", [],
        "train --config weights/vitime-mini.toml --out weights/mine.safetensors",
        after="Run the same command again to go on from the last checkpoint.",
    )  # fmt: skip
    train.add_argument("--out", required=True, help="the .safetensors file to write; its checkpoint lies beside it")
    train.add_argument(
        "--config", metavar="FILE", help="TOML file with fields of TrainConfig; the flags below go first"
    )
    train.add_argument("--steps", type=_at_least(1), help="optimiser steps")
    train.add_argument("--batch-size", type=_at_least(1), help="series in each step")
    train.add_argument("--lr", type=float, help="peak learning rate")
    train.add_argument("--seed", type=_at_least(0), help="of weights and series")
    train.add_argument("--device", default="auto", help="auto, cpu, cuda or cuda:0")
    train.add_argument("--workers", type=_at_least(0), default=0, help="processes that draw series ahead (0: none)")
    train.add_argument("--quiet", action="store_true", help="print errors only")

    signals = _command(
        commands, "signals", _signals_table, "list the catalogue, or the signals in files", [files, inputs],
        "signals prices.csv --fill interpolate",
    )  # fmt: skip
    signals.add_argument("--json", action="store_true", help="for programs")
    return parser


def _command(
    commands: Any, name: str, run: Callable[[argparse.Namespace], int], purpose: str,
    parents: list[argparse.ArgumentParser], example: str, after: str = "",
) -> argparse.ArgumentParser:  # fmt: skip
    parser: argparse.ArgumentParser = commands.add_parser(
        name, parents=parents, help=purpose, description=purpose.capitalize() + ".",
        epilog=f"example: python -m vitime_cache {example}",
    )  # fmt: skip
    parser.set_defaults(run=run, after_interrupt=after)
    return parser


if __name__ == "__main__":
    sys.exit(main())
