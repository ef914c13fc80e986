"""`verify`: checks that every byte of a store is what was written."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from vitime_cache.cli import console
from vitime_cache.cli.arguments import CONFIG_HELP, add_inputs, add_store, at_least, signals_of, store_of

if TYPE_CHECKING:
    from vitime_cache.model.network import ViTime

PURPOSE = "check every object of a store, and capture a sample again"
EXAMPLE = "store/prices.zarr --inputs prices.csv"
NO_INPUTS = "no signal is captured again: name the files that the store was built from with --inputs"
NONE_THE_SAME = (
    "no signal is captured again: no series of these files is the same as in the store; give the files and the flags "
    "of its build, such as --horizon (`info` names that of each signal)"
)
AFTER_INTERRUPT = "Run the same command again: a repair continues where it stopped."


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The flags of `verify`."""
    add_store(parser)
    add_inputs(parser)
    add = parser.add_argument
    add("--inputs", nargs="+", dest="files", default=[], metavar="FILE", help="files that the store was built from")
    add("--weights", help="weights file the store was built with")
    add("--config", help=CONFIG_HELP)
    add("--sample", type=at_least(0), default=1, help="signals to capture again (1)")
    add("--repair", action="store_true", help="remove damaged signals, so that the next build writes them again")


def run(args: argparse.Namespace) -> int:
    """Check a store and print its problems; the status is 1 if there are any."""
    from vitime_cache.store.repair import repair
    from vitime_cache.store.verify import verify

    store = store_of(args)
    model = _model_of(store, args.weights, args.config) if args.sample else None
    found = verify(store, model, signals_of(args) if model else (), args.sample)
    console.show_verification(store, found)
    if model and found.signals and not (found.recomputed or found.problems):
        console.errors.print(NONE_THE_SAME if args.files else NO_INPUTS)
    if args.repair:  # also for a sound store: a killed repair may have left something
        repair(store, found)
    if not found.problems:
        return 0
    if args.repair:
        console.console.print("damaged parts are removed; build again to write them, ask again for verdicts")
    else:
        console.errors.print("verify --repair removes damaged parts; the next build, or ask, makes them again")
    return 1


def _model_of(store: str, weights: str | None, config: str | None) -> ViTime | None:
    """The model that built a store, if its weights are available."""
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
        console.errors.print(
            f"no signal is captured again: give the file of {wanted['weights']['name']} with --weights"
        )
        return None
    raise StoreError(f"{weights} is not what {store} was built with ({wanted['weights']['name']})")
