"""`verify`: whether every byte of a store is what was written."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from vitime_cache.cli import console
from vitime_cache.cli.arguments import CONFIG_HELP, add_inputs, add_store, at_least, signals_of, store_of

if TYPE_CHECKING:
    from vitime_cache.model.network import ViTime

PURPOSE = "check every object of a store, and capture a sample again"
EXAMPLE = "store/prices.zarr --inputs prices.csv"
AFTER_INTERRUPT = "Run the same command again: a repair goes on where it was."


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The flags of `verify`."""
    add_store(parser)
    add_inputs(parser)
    add = parser.add_argument
    add("--inputs", nargs="+", dest="files", default=[], metavar="FILE", help="what the store was built from")
    add("--weights", help="weights file the store was built with")
    add("--config", help=CONFIG_HELP)
    add("--sample", type=at_least(0), default=1, help="signals to capture again (1)")
    add("--repair", action="store_true", help="take damaged signals out, for the next build to write again")


def run(args: argparse.Namespace) -> int:
    """Check a store and say what is wrong with it; 1 where something is."""
    from vitime_cache.store.repair import repair
    from vitime_cache.store.verify import verify

    store = store_of(args)
    model = _model_of(store, args.weights, args.config) if args.sample else None
    found = verify(store, model, signals_of(args) if model else (), args.sample)
    console.show_verification(store, found)
    if args.repair:  # also of a sound store: a repair that was killed may have left something
        repair(store, found.problems)
    if not found.problems:
        return 0
    if args.repair:
        console.console.print("what is damaged is taken out; build again to write it, ask again for verdicts")
    else:
        console.errors.print("verify --repair takes what is damaged out; the next build, or ask, makes it again")
    return 1


def _model_of(store: str, weights: str | None, config: str | None) -> ViTime | None:
    """The model a store was built with, if its weights are at hand."""
    from vitime_cache.model.checkpoint import CheckpointError, load_model, peek
    from vitime_cache.store.info import info
    from vitime_cache.store.objects import StoreError

    wanted = info(store)
    try:
        sha256 = peek(weights, config=config)[1].sha256
    except CheckpointError:
        if weights:
            raise
        sha256 = ""
    if sha256 == wanted["weights"]["sha256"]:
        return load_model(weights, dtype=wanted["dtype"], config=config)
    if not weights:
        console.errors.print(f"nothing is captured again without --weights: the file of {wanted['weights']['name']}")
        return None
    raise StoreError(f"{weights} is not what {store} was built with ({wanted['weights']['name']})")
