"""What 16 bits cost: maps and forecasts of the shipped weights against float32, on the CPU.

    python -m benchmarks.dtypes
    python -m benchmarks.dtypes --weights mine.safetensors --signals full nile

A card rounds numbers to the same 16 bits and sums them in another order, so its figures may differ somewhat. TF32 is
a card's own.
"""

from __future__ import annotations

import argparse

import numpy as np

import vitime_cache as vc
from vitime_cache.attention import schema
from vitime_cache.attention.capture import capture_batch, dtype_deviation

MEDIAN = schema.QUANTILES.index(0.5)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--weights", help="default: those that every command takes")
    parser.add_argument("--signals", nargs="+", default=["full", "sunspots"], help="of the catalogue")
    arguments = parser.parse_args()
    signals = {signal.name: signal for signal in vc.catalogue()}
    exact = vc.load_model(arguments.weights, "cpu")
    print(
        "maps: largest difference as a share of the largest value of the head's map, worst head; median forecast: root"
    )
    print("mean square difference in standard deviations of the history")
    for dtype in ("float16", "bfloat16"):
        rounded = vc.load_model(arguments.weights, "cpu", dtype)
        for name in arguments.signals:
            off = dtype_deviation(rounded, exact, signals[name])
            (ours,), (true,) = (capture_batch(model, [signals[name]]) for model in (rounded, exact))
            medians = (each[schema.FORECAST_QUANTILE][MEDIAN] for each in (ours, true))
            apart = np.sqrt(np.nanmean(np.subtract(*medians) ** 2)) / np.nanstd(true[schema.HISTORY])
            print(f"{dtype:9} {name:12} maps {off:.2g}, median forecast {apart:.2g}", flush=True)


if __name__ == "__main__":
    main()
