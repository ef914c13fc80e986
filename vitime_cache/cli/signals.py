"""`signals`: lists the catalogue, or the signals in files."""

from __future__ import annotations

import argparse
import json

from vitime_cache.cli import console
from vitime_cache.cli.arguments import add_files, add_inputs, signals_of

PURPOSE = "list the catalogue, or the signals in files"
EXAMPLE = "prices.csv --fill interpolate"
AFTER_INTERRUPT = ""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The flags of `signals`."""
    add_files(parser)
    add_inputs(parser)
    parser.add_argument("--json", action="store_true", help="print JSON for programs")


def run(args: argparse.Namespace) -> int:
    """Print a table of signals."""
    signals = signals_of(args)
    if not args.json:
        console.show_signals(signals)
        return 0
    facts = [
        {
            "name": signal.name,
            "samples": len(signal.values),
            "sample_seconds": signal.sample_seconds,
            "start": signal.start,
            "filled": signal.filled,
            "horizon": signal.horizon,
            "periods": [harmonic.period for harmonic in signal.harmonics],
            "reduced_of": signal.reduced_of,
            "description": signal.description,
        }
        for signal in signals
    ]
    print(json.dumps(facts, indent=1))
    return 0
