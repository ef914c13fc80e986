"""`info`: prints what is in a store."""

from __future__ import annotations

import argparse
import json

from vitime_cache.cli import console
from vitime_cache.cli.arguments import add_store, store_of

PURPOSE = "what is in a store"
EXAMPLE = "store/vitime-mini.zarr --json"
AFTER_INTERRUPT = ""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The flags of `info`."""
    add_store(parser)
    parser.add_argument("--json", action="store_true", help="print JSON for programs")


def run(args: argparse.Namespace) -> int:
    """Print what a store holds."""
    from vitime_cache.store.info import info

    found = info(store_of(args))
    print(json.dumps(found, indent=1)) if args.json else console.show_info(found)
    return 0
