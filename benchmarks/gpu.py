"""Everything that is said of a GPU, on one card in about four minutes.

    python -m benchmarks.gpu                        # all parts
    python -m benchmarks.gpu --only capture equal
    python -m benchmarks.gpu --device cpu           # the same code on a tiny network: that it runs, not how fast

capture   full-size network (s = 1.0, random weights): plain forward pass, capture, capture without the kernel, and
          hooks that pool on the card; milliseconds, and peak memory
build     signals/s in the second half of a build: full-size without token maps and with all of them, and the shipped
          network in one process and in several; the disk's own rate. By step: `benchmarks.store --only pace`
train     series/s of the shipped network at batch 512, and the share of the time spent waiting for them
ask       seconds of `ask` on `full`: the shipped weights, and the full-size network in half a minute
equal     largest differences from the CPU in float32: capture, token maps, interventions, ask, a training step
"""

from __future__ import annotations

import argparse
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

import vitime_cache as vc
from benchmarks import equal
from benchmarks.reference import pool_to_time
from benchmarks.training import LESSON, on_a_device
from vitime_cache.attention.capture import images_of
from vitime_cache.attention.streaming import Streaming, Way
from vitime_cache.model.checkpoint import pick_device
from vitime_cache.model.config import ViTimeConfig
from vitime_cache.model.encoding import SeriesEncoding
from vitime_cache.model.network import ViTime
from vitime_cache.series.signal import Signal
from vitime_cache.store.build import BuildProgress, build
from vitime_cache.training.config import MINI, TrainConfig

TINY = ViTimeConfig(
    image_height=16, context_columns=160, horizon_columns=80, patch_height=8, patch_width=8,
    encoder_width=16, encoder_depth=2, decoder_width=8, decoder_depth=1, heads=2,
)  # fmt: skip
DTYPES = {"float32": torch.float32, "float16": torch.float16, "bfloat16": torch.bfloat16}
REPEATS = 5


class Card:
    """A device, and how much of each part it is given: little on the CPU."""

    def __init__(self, device: torch.device) -> None:
        self.device, self.small = device, device.type == "cpu"
        self.config = TINY if self.small else ViTimeConfig.published(1.0)
        self.full, self.mini = ("tiny", "tiny") if self.small else ("full-size", "shipped network")

    def network(self, dtype: str = "float32") -> ViTime:
        torch.manual_seed(0)
        with self.device:  # drawing 175 million weights takes seconds on the CPU
            model = ViTime(self.config).eval().requires_grad_(False)
        return model.to(self.device, DTYPES[dtype])

    def shipped(self) -> ViTime:
        return self.network() if self.small else vc.load_model(None, str(self.device))

    def wait(self) -> None:
        if self.device.type != "cpu":
            getattr(torch, self.device.type).synchronize(self.device)

    def milliseconds(self, run: Callable[[], object]) -> float:
        """Median of a few, after one that warms up."""
        took = []
        for _ in range(1 + (1 if self.small else REPEATS)):
            self.wait()
            began = time.perf_counter()
            run()
            self.wait()
            took.append(1e3 * (time.perf_counter() - began))
        return median(took[1:])

    def peak(self, run: Callable[[], object]) -> str:
        """Peak memory of a run in GB, where the device tells."""
        if self.device.type != "cuda":
            return "not told"
        torch.cuda.reset_peak_memory_stats(self.device)
        run()
        return f"{torch.cuda.max_memory_allocated(self.device) / 1e9:.2f} GB"


def walks(count: int, n: int = 512, horizon: int = 720) -> list[Signal]:
    rng = np.random.default_rng(0)
    return [Signal(f"s{i}", rng.standard_normal(n).cumsum(), horizon) for i in range(count)]


@torch.inference_mode()
def capture(card: Card) -> None:
    """Reading attention against the plain pass."""
    for dtype in ("float32",) if card.small else DTYPES:
        model = card.network(dtype)
        for size in (1, 2) if card.small else (1, 8):
            signals = walks(size)
            images = images_of(signals, [SeriesEncoding.fit(s.values, s.horizon, model.config) for s in signals], model)
            read = partial(reading, model, images)
            plain, ours = card.milliseconds(partial(model, images)), card.milliseconds(read)
            hooks = card.milliseconds(partial(hooks_that_pool, model, images))
            memory = card.peak(partial(model, images)), card.peak(read)
            print(
                f"capture   {dtype}, batches of {size}: plain {plain:.1f} ms, capture {ours:.1f} "
                f"({ours / plain:.2f} x), hooks that pool there {hooks:.1f} ({hooks / plain:.2f} x); "
                f"memory {memory[0]}, {memory[1]}",
                flush=True,
            )
        by_blocks = card.milliseconds(partial(reading, model, images, "blocks"))
        print(f"          {dtype}, batches of {len(images)} by blocks: {by_blocks:.1f} ms", flush=True)


def reading(model: ViTime, images: Tensor, way: Way | None = None) -> Streaming:
    """Capture alone, without what is made of it on the host."""
    stream = Streaming(model, len(images), way=way)
    stream.run(images)
    return stream


def hooks_that_pool(model: ViTime, images: Tensor) -> list[Tensor]:
    """Ten lines of hooks: attention written down layer by layer, and pooled where it is."""
    found: list[Tensor] = []
    handles: list[Any] = []
    modules: list[Any] = [block.attn for block in model.blocks_by_layer().values()]

    def pool(_module: nn.Module, _inputs: object, output: Tensor) -> None:
        found.append(pool_to_time(output, model.config.grid))

    fused = [module.fused_attn for module in modules]
    try:
        for module in modules:
            module.fused_attn = False
            handles.append(module.attn_drop.register_forward_hook(pool))
        model(images)
    finally:
        for module, before in zip(modules, fused, strict=True):
            module.fused_attn = before
        for handle in handles:
            handle.remove()
    return found


def builds(card: Card) -> None:
    """Signals written in a second, in the second half of a build: processes start and kernels are compiled before."""
    dtypes = ("float32",) if card.small else ("float32", "float16", "bfloat16")
    every, processes = ("float32", 1) if card.small else ("float16", 8)
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)

        def told(what: str, model: ViTime | None, count: int, tokens: str = "none", **options: Any) -> None:
            pace, bytes_ = paced(folder / f"{what}.zarr", model, count, tokens=tokens, **options)
            print(f"build     {what}: {pace:.2f} signals/s, {pace * bytes_ / 1e6:.0f} MB/s of the disk", flush=True)

        for dtype in dtypes:
            told(f"{card.full} in {dtype}, no token maps", card.network(dtype), 3 if card.small else 400)
        told(f"{card.mini}, no token maps", card.shipped(), 24 if card.small else 3000)
        told(
            f"shipped network in {processes} processes, no token maps", None, 24 if card.small else 6000,
            device=str(card.device), workers=processes,
        )  # fmt: skip
        told(f"{card.full} in {every}, all token maps", card.network(every), 2 if card.small else 5, "all")
        print(f"          the disk alone: {disk(folder, 2**24 if card.small else 2**31):.0f} MB/s", flush=True)


def paced(store: Path, model: ViTime | None, count: int, **options: Any) -> tuple[float, float]:
    """Signals committed per second in the second half of a build, and bytes per signal."""
    half: list[float] = []

    def committed(progress: BuildProgress) -> None:
        if progress.done == count // 2:
            half.append(time.perf_counter())

    signals = [replace(signal, name=f"n{i}") for i, signal in enumerate(walks(count))]
    report = build(signals, store, model, max_size=1e12, progress=committed, **options)
    pace = (count - count // 2) / (time.perf_counter() - half[0])
    shutil.rmtree(store)
    return pace, report.bytes / count


def disk(folder: Path, size: int) -> float:
    """MB/s at which one file is written and synced."""
    block = np.random.default_rng(0).bytes(2**24)
    began = time.perf_counter()
    with (folder / "disk").open("wb") as file:
        for _ in range(size // len(block)):
            file.write(block)
        file.flush()
        os.fsync(file.fileno())
    return size / 1e6 / (time.perf_counter() - began)


def train(card: Card) -> None:
    """Series learnt from in a second."""
    network, size = (TINY, 4) if card.small else (MINI, 512)
    config = TrainConfig(network=network, stages=(LESSON,), batch_size=size, precision="bfloat16")
    steps, workers = (2, 0) if card.small else (300, max((os.cpu_count() or 2) - 2, 1))
    pace, waiting = on_a_device(config, card.device, workers, steps)
    print(f"train     batches of {size}, {workers} processes: {pace:.0f} series/s, {waiting:.0%} of the time waiting")


def ask(card: Card) -> None:
    """A whole question."""
    cases: list[tuple[str, ViTime, Signal, dict[str, Any]]]
    if card.small:
        cases = [("a tiny network", card.network(), equal.signals()[0], {"period": equal.PERIOD, "nulls": 19})]
    else:
        full = next(signal for signal in vc.catalogue() if signal.name == "full")
        cases = [("the shipped weights on full", card.shipped(), full, {}),
                 ("full-size in float16, half a minute", card.network("float16"), full, {"budget": 0.5})]  # fmt: skip
    for what, model, signal, options in cases:
        took = []
        for _ in range(1 if card.small or options else 2):  # the first tries the kernels
            card.wait()
            began = time.perf_counter()
            vc.ask(model, signal, **options)
            took.append(time.perf_counter() - began)
        print(f"ask       {what}: {min(took):.1f} s", flush=True)


def equals(card: Card) -> bool:
    """Whether the device computes what the CPU does."""
    model = card.network() if card.small else vc.load_model(None, "cpu")  # random weights react to little
    well = True
    for part, name, apart in equal.differences(model, card.device):
        well &= apart <= equal.TOLERANCE[part]
        told = "" if apart <= equal.TOLERANCE[part] else f": beyond {equal.TOLERANCE[part]:g}"
        print(f"equal     {part}, {name}: {apart:.1e} of the CPU's largest value{told}", flush=True)
    return well


PARTS: dict[str, Callable[[Card], bool | None]] = {
    "capture": capture, "build": builds, "train": train, "ask": ask, "equal": equals,
}  # fmt: skip


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="+", choices=PARTS, default=list(PARTS), help="parts to run (default all)")
    parser.add_argument("--device", default="cuda", help="cuda, cuda:1, mps, xpu, or cpu (a tiny network)")
    arguments = parser.parse_args(argv)
    try:
        card = Card(pick_device(arguments.device))
    except vc.VitimeError as error:
        print(f"{error}; --device cpu runs the same code on a tiny network")
        return 2
    name = "no card" if card.small else arguments.device
    if card.device.type == "cuda":
        name = torch.cuda.get_device_name(card.device)
    print(f"{name}, torch {torch.__version__}, {os.cpu_count()} CPU cores", flush=True)
    if card.small:
        print("a tiny network on the CPU: that everything runs, not how fast")
    results = [PARTS[part](card) for part in arguments.only]  # all of them, whatever the first says
    return 1 if False in results else 0


if __name__ == "__main__":
    sys.exit(main())
