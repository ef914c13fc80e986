"""Capture against the plain forward pass and against hook-and-copy: time and peak memory, one signal, one machine.

    python -m benchmarks.capture                 # full-size network, s = 1.0, random weights
    python -m benchmarks.capture --model-size 0.5 --repeats 5

What bounds it: one full-size encoder head (2465 tokens, 64 channels) takes 18-20 ms of one core here, and 13 ms in
torch's fused kernel, which pools nothing. The two matrix products are 10 of them, at 150 GFLOP/s near the core's peak;
softmax takes 4, pooling 1. So capture was 1.06 and 1.15 of the plain pass in two runs on one core. Tried without gain:
a softmax by hand whose division is left to its products, blocks of two and four grid rows (slower: they leave the
cache), pooling as a matrix product (seven times as dear as the sum). To go below 1.0 the exponential and the pooled sum
would have to run inside the blocks of the matrix product, which takes a kernel of one's own.

Every way runs in a process of its own, so that peak memory is its own; rounds interleave the ways, and the ratios are
medians over rounds.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import time
from statistics import median

import numpy as np
import torch

from benchmarks.reference import hook_and_copy, pool_to_time
from vitime_cache.attention.capture import capture_batch
from vitime_cache.model.config import ViTimeConfig
from vitime_cache.model.encoding import SeriesEncoding
from vitime_cache.model.network import ViTime
from vitime_cache.series.sources import catalogue

WAYS = ("plain", "capture", "capture with tokens", "hook and copy")


def run_once(way: str, model_size: float) -> dict[str, float]:
    """Time one way after a warm-up of the libraries; seconds and peak resident bytes of this process."""
    torch.manual_seed(0)
    config = ViTimeConfig.published(model_size)
    model = ViTime(config).eval().requires_grad_(False)
    signal = next(s for s in catalogue() if s.name == "full")
    encoding = SeriesEncoding.fit(signal.values, signal.horizon, config)
    images = torch.from_numpy(np.ascontiguousarray(encoding.image(signal.values).T))[None, None]
    torch.mm(torch.rand(512, 512), torch.rand(512, 512))
    idle = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    started = time.perf_counter()
    if way == "plain":
        with torch.inference_mode():
            model(images)
    elif way == "capture":
        capture_batch(model, [signal])
    elif way == "capture with tokens":
        capture_batch(model, [signal], "all", lambda *_: None)
    else:
        _, maps = hook_and_copy(model, images)
        for attention in maps.values():
            pool_to_time(attention, config.grid)
    seconds = time.perf_counter() - started
    return {"seconds": seconds, "peak": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024, "idle": idle}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model-size", type=float, default=1.0, help="published size s (default 1.0)")
    parser.add_argument("--repeats", type=int, default=3, help="rounds (default 3)")
    parser.add_argument("--way", choices=WAYS, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.way:
        print(json.dumps(run_once(arguments.way, arguments.model_size)))
        return
    runs: dict[str, list[dict[str, float]]] = {way: [] for way in WAYS}
    for _ in range(arguments.repeats):
        for way in WAYS:
            command = [
                sys.executable,
                "-m",
                "benchmarks.capture",
                "--model-size",
                str(arguments.model_size),
                "--way",
                way,
            ]
            runs[way].append(json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout))
    print(f"ViTime s = {arguments.model_size}, random weights, one signal, {torch.get_num_threads()} CPU threads")
    print(f"{'way':22}{'seconds':>9}{'peak GB':>9}{'x plain':>9}{'x hooks':>9}{'memory x hooks':>16}")
    for way in WAYS:
        seconds = median(r["seconds"] for r in runs[way])
        against = {
            other: median(r["seconds"] / o["seconds"] for r, o in zip(runs[way], runs[other], strict=True))
            for other in ("plain", "hook and copy")
        }
        peak = median(r["peak"] for r in runs[way])
        memory = peak / median(r["peak"] for r in runs["hook and copy"])
        ratios = f"{against['plain']:9.2f}{against['hook and copy']:9.2f}{memory:16.2f}"
        print(f"{way:22}{seconds:9.2f}{peak / 1e9:9.2f}{ratios}")


if __name__ == "__main__":
    main()
