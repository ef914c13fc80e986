"""Arguments that several commands share: a store, signals, bounded numbers."""

from __future__ import annotations

import argparse
import math
import os
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vitime_cache.atomic import behind, is_special
from vitime_cache.errors import VitimeError
from vitime_cache.places import default_store

if TYPE_CHECKING:
    from vitime_cache.series.signal import Signal

STDOUT = Path("-")  # instead of a file
CONFIG_HELP = "JSON or TOML with the network's shape, for weights without it (a bare state dict)"
FILES_HELP = "CSV or other delimited text, Parquet, Feather, a workbook, NPY, NPZ or TOML"
_URLS = "s3://…, gs://…"
PLACE_HELP = f"folder or URL ({_URLS})"
STORE_HELP = f"folder or URL ({_URLS}; default: the store of the default weights, store/<weights>.zarr)"


class UsageError(VitimeError):
    """Arguments that contradict each other."""


def add_store(parser: argparse.ArgumentParser) -> None:
    """Add a store as the first argument, or after --store."""
    parser.add_argument("place", nargs="?", metavar="STORE", help=STORE_HELP)
    parser.add_argument("--store", help="the same")


def store_of(args: argparse.Namespace) -> str:
    """The named store, or the store of the default weights; a UsageError for two different ones."""
    return one_store(args.place, args.store) or default_store_of(getattr(args, "weights", None))


def one_store(place: str | None, store: str | None) -> str | None:
    """The store named as an argument or after --store; None if neither was.

    Raises
    ------
    UsageError
        If two different stores were named.
    """
    if place and store and place != store:
        raise UsageError(f"two stores were named, {place} and {store}; name one")
    return place or store


def default_store_of(weights: str | None) -> str:
    """The store of a weights file, or of the default weights."""
    from vitime_cache.model.checkpoint import find_weights, weights_name

    return str(default_store(weights_name(weights or find_weights())))


def add_inputs(parser: argparse.ArgumentParser) -> None:
    """Add the horizon, and how files are read."""
    parser.add_argument("--horizon", type=at_least(1), help="samples to forecast (default: as the signals say, or 720)")
    add_reading(parser)


def add_reading(parser: argparse.ArgumentParser) -> None:
    """Add how files are read; `reading_of` passes it to `read_signals`."""
    group = parser.add_argument_group("files", "How files are read. By default every column of numbers is a series.")
    add = group.add_argument
    add("--column", nargs="+", metavar="NAME", default=(), help="columns to read")
    add("--time", metavar="NAME", help="the column with the time; none: rows are consecutive samples")
    add("--fill", choices=("none", "interpolate"), default="none",
        help="interpolate missing values and times and sort times, or refuse them")  # fmt: skip
    add("--missing", nargs="+", metavar="MARK", default=(), help="what marks a missing value, such as -999")
    add("--rows", action=argparse.BooleanOptionalAction, help="each row of the table is a series, or each column")
    add("--decimal", choices=("point", "comma"), help="the decimal separator")
    add("--day-first", action=argparse.BooleanOptionalAction, help="01/02/2020 is in February, or in January")


def check_reading(args: argparse.Namespace, file: object) -> None:
    """Refuse flags on how a file is read where there is none: they may have taken its name for one of their words."""
    taken = [flag for flag, words in (("--column", args.column), ("--missing", args.missing)) if words and not file]
    if taken:
        raise UsageError(f"no file is named for {taken[0]}, which takes every word behind it: name the file before it")


def reading_of(args: argparse.Namespace) -> dict[str, Any]:
    """The flags of `add_reading` as arguments of `read_signals`."""
    same = {name: getattr(args, name) for name in ("fill", "time", "rows", "decimal", "day_first")}
    return same | {"columns": tuple(args.column), "missing": tuple(args.missing)}


def span(text: str) -> str:
    """The type of a span such as 24, 24h or "2 weeks"; its number of samples depends on the series."""
    from vitime_cache.series.bounds import SignalError
    from vitime_cache.series.spans import to_samples

    try:
        to_samples(text, 1.0)
    except SignalError as error:
        raise argparse.ArgumentTypeError(str(error)) from None
    return text


def add_files(parser: argparse.ArgumentParser) -> None:
    """Add files of series as the arguments of a command."""
    parser.add_argument("files", nargs="*", metavar="FILE", help=f"{FILES_HELP} (default: the catalogue)")


def signals_of(args: argparse.Namespace) -> list[Signal]:
    """The signals of the named files, or the catalogue."""
    from vitime_cache.series.sources import catalogue, read_signals

    check_reading(args, args.files)
    if args.files:
        horizon = {} if args.horizon is None else {"horizon": args.horizon}
        return [signal for file in args.files for signal in read_signals(file, **reading_of(args), **horizon)]
    signals = catalogue()
    if args.horizon is None:
        return signals
    return [replace(signal, horizon=args.horizon, future=None) for signal in signals]


def at_least(smallest: int, largest: float = math.inf) -> Callable[[str], int]:
    """The type of a whole number from `smallest` to `largest`."""
    bounds = f"from {smallest} on" if largest == math.inf else f"from {smallest} to {largest}"

    def whole_number(text: str) -> int:
        try:
            value = int(text)
        except ValueError:
            value = smallest - 1
        if not smallest <= value <= largest:
            raise argparse.ArgumentTypeError(f"{text!r} is not a whole number {bounds}")
        return value

    return whole_number


def positive(unit: str) -> Callable[[str], float]:
    """The type of a positive finite number with a unit."""

    def number(text: str) -> float:
        try:
            value = float(text)
        except ValueError:
            value = math.nan
        if not 0 < value < math.inf:
            raise argparse.ArgumentTypeError(f"{text!r} is not a positive number of {unit}")
        return value

    return number


def check_outputs(outputs: Sequence[Path | None], inputs: Sequence[str | None]) -> None:
    """Refuse, before a long run, output files that could not be written after it, or would overwrite another file.

    Raises
    ------
    UsageError
        Naming the file and what to do.
    """
    taken = [Path(name) for name in inputs if name]
    for path in (each for each in outputs if each is not None):
        if path.is_dir():
            raise UsageError(f"{path} is a folder; name a file in it")
        if is_special(path):
            continue
        folder = behind(path).parent
        if not folder.is_dir():
            raise UsageError(f"{path} cannot be written: there is no folder {folder}; make it first")
        if not os.access(folder, os.W_OK):
            raise UsageError(f"{path} cannot be written: the folder {folder} is read-only; choose another")
        if any(_same_file(path, other) for other in taken):
            raise UsageError(f"{path} is named twice and would be overwritten; choose another name for the output")
        taken.append(path)


def _same_file(one: Path, other: Path) -> bool:
    """Whether two names are one file, or would be on a disk that does not tell capitals from small letters."""
    if one.exists() or other.exists():
        return one.exists() and other.exists() and one.samefile(other)
    return os.path.realpath(one).casefold() == os.path.realpath(other).casefold()  # `resolve` fails for a loop of links


def layers(text: str) -> str | list[str]:
    """ "all", "none" or names of layers separated by commas."""
    return text if text in ("all", "none") else [name.strip() for name in text.split(",")]
