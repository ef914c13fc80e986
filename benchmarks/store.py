"""What writing and reading a store costs.

    python -m benchmarks.store                      # everything
    python -m benchmarks.store --only default       # the default build alone

full      build of one signal with all token maps, s = 1.0, against capture without them
default   `python -m vitime_cache build` with the default weights and catalogue: seconds, peak memory
reads     one time map, one token map, one token row of the full-size store; opening a store of 1000 signals
nothing   the same command again on that store: seconds, and whether torch was imported
scale     10 000 signals of 64 + 64 samples with the shipped weights (fewer: --signals), without and with token maps
          (--tokens; up to 9 MB a signal with all of them, 1.5 with the last layer's; each store is removed again):
          time per signal at both ends, files per signal, opening, nothing to do, adding one, memory, the first page
answers   encoding and decoding an answer in memory, against xarray's to_zarr and open_zarr
maps      writing token maps of the full-size network that come without any time in between, as from a quick device,
          against writing as many bytes to one file after another
pace      what a signal costs by step; a build without token maps against the plain batched forward pass, and alone
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any
from unittest.mock import patch

import numpy as np
from numpy.typing import NDArray

from vitime_cache import open_store
from vitime_cache.model.config import ViTimeConfig
from vitime_cache.series.sources import catalogue

if TYPE_CHECKING:
    from torch import Tensor

    from vitime_cache.model.network import ViTime
    from vitime_cache.series.sources import Signal
    from vitime_cache.store.writing import Capture


TINY = ViTimeConfig(
    image_height=16, context_columns=32, horizon_columns=64, patch_height=16, patch_width=16,
    encoder_width=8, encoder_depth=1, decoder_width=8, decoder_depth=1, heads=2,
)  # fmt: skip


BUILD, HOST = "build", "build without the model"  # the second is given what the model read
IMPORTS = "import vitime_cache.attention.capture, vitime_cache.store.writing"  # of a build that has something to do


def milliseconds(run: Callable[[int], object], repeats: int = 30) -> float:
    """Median over runs 1 … repeats, after one that warms caches up."""
    run(0)
    times = []
    for i in range(1, repeats + 1):
        started = time.perf_counter()
        run(i)
        times.append(time.perf_counter() - started)
    return 1e3 * median(times)


def cost(run: Callable[[], object]) -> NDArray[np.float64]:
    """Seconds it takes: of the clock, and of the processor in all threads, which a busy machine stretches less."""
    wall, processor = time.perf_counter(), time.process_time()
    run()
    return np.array([time.perf_counter() - wall, time.process_time() - processor])


def full(folder: Path) -> None:
    """Writing all token maps of the full-size network against capturing without them, in turn."""
    import torch

    from vitime_cache.attention.capture import capture_batch
    from vitime_cache.model.network import ViTime
    from vitime_cache.store.build import build

    torch.manual_seed(0)
    model = ViTime(ViTimeConfig.published(1.0)).eval().requires_grad_(False)
    signal = catalogue()[0]
    capture_batch(model, [signal])
    captured, built = [], []
    for i in range(3):
        captured.append(cost(partial(capture_batch, model, [signal])))
        built.append(cost(partial(build, [signal], folder / f"full-{i}.zarr", model, tokens="all")))
    size = sum(path.stat().st_size for path in (folder / "full-0.zarr").rglob("*") if path.is_file())
    ratios = np.median(np.divide(built, captured), axis=0)
    print(
        f"full      s = 1.0, 288 token maps: build {np.median(built, axis=0)[0]:.1f} s ({size / 1e9:.2f} GB), capture "
        f"without them {np.median(captured, axis=0)[0]:.1f} s: {ratios[0]:.2f} x, in processor time {ratios[1]:.2f} x",
        flush=True,
    )


def default(folder: Path) -> None:
    """The command a person runs first, as a process of its own."""
    started = time.perf_counter()
    command(["build", "--quiet", "--store", str(folder / "default.zarr")])
    seconds = time.perf_counter() - started
    peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * 1024
    print(f"default   build of {len(catalogue())} signals: {seconds:.1f} s, peak {peak / 1e9:.2f} GB")


def reads(folder: Path) -> None:
    """Warm reads through xarray: the store of `full`, and the opening of one with 1000 signals."""
    if not (folder / "full-0.zarr").exists():
        full(folder)
    ds = open_store(folder / "full-0.zarr").isel(signal=0)
    heads, layers = ds.sizes["head"], ds.sizes["layer"]
    one_time = milliseconds(lambda i: ds.time_attention.isel(layer=i % layers, head=i % heads).values)
    one_map = milliseconds(lambda i: ds.token_attention.isel(layer=i % layers, head=i % heads).values)
    one_row = milliseconds(lambda i: ds.token_attention.isel(layer=i % layers, head=0, query_token=i).values)
    print(f"reads     time map {one_time:.1f} ms, token map {one_map:.1f} ms, token row {one_row:.1f} ms")
    thousand = store_of_a_thousand(folder)
    print(f"          opening a store of 1000 signals {milliseconds(lambda _: open_store(thousand)):.1f} ms")


def answers(_: Path) -> None:
    """An answer as objects in memory and back, here and by xarray: medians of processor time."""
    import xarray as xr
    from zarr.storage import MemoryStore

    from vitime_cache.evidence.verdict.mock import mock_verdict
    from vitime_cache.store.group_objects import read_group, render_group

    objects, store = render_group(mock_verdict()), MemoryStore()
    verdict = read_group(objects["zarr.json"], lambda _: objects)
    verdict.to_zarr(store, consolidated=True)

    def processor(run: Callable[[], object]) -> float:
        return 1e3 * float(np.median([cost(run)[1] for _ in range(9)]))

    ours = (
        processor(lambda: render_group(verdict)),
        processor(lambda: read_group(objects["zarr.json"], lambda _: objects)),
    )
    theirs = (
        processor(lambda: verdict.to_zarr(MemoryStore(), consolidated=False)),
        processor(lambda: xr.open_zarr(store, chunks=None).load()),
    )
    for what, mine, plain in zip(("encoding", "decoding"), ours, theirs, strict=True):
        print(
            f"answers   {what} {mine:.0f} ms of the processor; by xarray {plain:.0f}, {plain / mine:.1f} times as long"
        )


def nothing(folder: Path) -> None:
    """A build with nothing to do, start of the interpreter included."""
    thousand = store_of_a_thousand(folder)
    times = []
    for _ in range(5):
        started = time.perf_counter()
        imported = command([*arguments_of_a_thousand(folder), "--store", str(thousand)], imported="torch")
        times.append(time.perf_counter() - started)
    print(f"nothing   build again, 1000 signals: {median(times):.2f} s, torch imported: {imported}")


def store_of_a_thousand(folder: Path) -> Path:
    store = folder / "thousand.zarr"
    if not store.exists():
        command([*arguments_of_a_thousand(folder), "--store", str(store)])
    return store


def arguments_of_a_thousand(folder: Path) -> list[str]:
    """Flags of a build with a tiny network and a file of 1000 series, made on first use."""
    weights, series = folder / "tiny.safetensors", folder / "thousand.npy"
    if not weights.exists():
        from vitime_cache.model.checkpoint import save_safetensors
        from vitime_cache.model.network import ViTime

        save_safetensors(ViTime(TINY), weights, note="random weights")
        np.save(series, np.random.default_rng(0).standard_normal((64, 1000)).cumsum(axis=0))
    return ["build", str(series), "--weights", str(weights), "--horizon", "64", "--quiet"]


def scale(folder: Path, signals: int, kinds: Sequence[str]) -> None:
    """A store of many small signals: does anything grow with their number?"""
    from benchmarks.app_latency import first_page
    from vitime_cache.model.checkpoint import find_weights, peek

    series, more = folder / f"many-{signals}.npy", folder / "more.npy"  # a file holds 10 000 series at most
    walks = np.random.default_rng(0).standard_normal((64, signals + 1)).cumsum(axis=0)
    np.save(series, walks[:, :-1])
    np.save(more, walks[:, -1])
    config, _ = peek(None)
    for kind in kinds:
        tokens = config.layers[-1] if kind == "last" else kind
        need = signals * 2 * len(config.select_layers(tokens)) * config.heads * config.tokens**2  # bytes
        free = shutil.disk_usage(folder).free
        what = f"{signals} signals, tokens {tokens}"
        if need > 0.9 * free:
            print(f"scale     {what}: left out, needs up to {need / 1e9:.0f} GB, of which {free / 1e9:.0f} are free")
            continue
        store = folder / f"scale-{signals}-{kind}" / "many.zarr"  # alone, for the app
        times, peaks, took = _build_many(series, store, tokens)
        some = min(112, signals // 4) // 16 * 16  # whole passes of 16; the first warms up
        first, last = ((times[b] - times[a]) / some for a, b in ((16, 16 + some), (-1 - some, -1)))
        sizes = [path.stat().st_size for path in store.rglob("*") if path.is_file()]
        opening = milliseconds(partial(_open, store), repeats=9)
        again = ["build", str(series), str(more), "--store", str(store), "--tokens", tokens, "--horizon", "64"]
        again += ["--quiet", "--max-size", "1000"]
        adding, _ = cost(partial(command, again))
        nothing_to_do, _ = cost(partial(command, again))
        importing, _ = cost(partial(subprocess.run, [sys.executable, "-c", IMPORTS], check=True))
        page = first_page(store.parent, find_weights().parent).seconds
        shutil.rmtree(store.parent)
        print(
            f"scale     {what}: {signals / took:.1f} signals/s, {len(sizes) / signals:.1f} files and "
            f"{sum(sizes) / signals / 1e6:.2f} MB a signal\n"
            f"          per signal {1e3 * first:.1f} ms in the first {some}, {1e3 * last:.1f} ms in the last: "
            f"{last / first:.2f} x\n"
            f"          opening {opening:.0f} ms, nothing to do {nothing_to_do:.1f} s, adding one {adding:.1f} s (of "
            f"which {importing:.1f} s import torch, timm, xarray and zarr), first page {page:.1f} s\n"
            f"          peak memory {peaks[16] / 1e6:.2f} GB after 16, {peaks[-1] / 1e6:.2f} GB in the end",
            flush=True,
        )


def _build_many(series: Path, store: Path, tokens: str) -> tuple[list[float], list[int], float]:
    """Build all series in a process of its own: seconds and peak kB after each, and seconds in all."""
    code = (
        "import json, resource, sys, time\n"
        "from vitime_cache.series.sources import read_signals\n"
        "from vitime_cache.store.build import build\n"
        "times, peaks = [], []\n"
        "def note(progress):\n"
        "    times.append(progress.seconds)\n"
        "    peaks.append(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)\n"
        "signals = read_signals(sys.argv[1], horizon=64)\n"
        "report = build(signals, sys.argv[2], tokens=sys.argv[3], max_size=1e12, progress=note)\n"
        "print(json.dumps([times, peaks, report.seconds]))\n"
    )
    run = [sys.executable, "-c", code, str(series), str(store), tokens]
    times, peaks, took = json.loads(subprocess.run(run, check=True, stdout=subprocess.PIPE, text=True).stdout)
    return times, peaks, took


def _open(store: Path, _: int) -> object:
    return open_store(store)


def maps(folder: Path) -> None:
    """What the host makes of token maps that are there and encoded already: the disk should be the only limit."""
    import torch

    from vitime_cache.attention.capture import capture_batch
    from vitime_cache.attention.cores import on_cores
    from vitime_cache.model.network import ViTime
    from vitime_cache.store import format as store_format
    from vitime_cache.store.build import build

    torch.manual_seed(0)
    model = ViTime(ViTimeConfig.published(1.0)).eval().requires_grad_(False)
    config, signals = model.config, [replace(catalogue()[0], name=f"n{i}") for i in range(5)]
    layers = config.select_layers(config.layers[-6:])  # 96 maps
    some: list[NDArray[np.float16]] = []
    captured = capture_batch(model, signals[:1], layers[:1], lambda *given: some.append(given[-1].copy()))[:]
    encoded = store_format.encode_map(some[0], store_format.query_rows(config))
    size = len(layers) * config.heads * sum(map(len, encoded))

    def give(_model: ViTime, _signals: object, tokens: Sequence[str], write: Callable[..., None]) -> list[Any]:
        for layer in tokens:
            on_cores(lambda head: write(0, layer, head, some[0]), range(config.heads))  # noqa: B023 - called at once
        return captured

    def plain() -> None:
        for number in range(len(signals)):
            with (folder / f"plain-{number}").open("wb") as file:
                for _ in range(len(layers) * config.heads):
                    file.writelines(encoded)
                file.flush()
                os.fsync(file.fileno())

    took: dict[str, list[NDArray[np.float64]]] = {"on the CPU": [], "on a device": [], "plain files": []}
    for _ in range(3):
        for what, device in (("on the CPU", "cpu"), ("on a device", "cuda")):
            with (
                patch.object(store_format, "encode_map", lambda *_: encoded),
                patch.object(ViTime, "device", torch.device(device)),
            ):
                took[what].append(
                    cost(partial(build, signals, folder / "maps.zarr", model, tokens=layers, capture=give))
                )
            shutil.rmtree(folder / "maps.zarr")
        took["plain files"].append(cost(plain))
        for number in range(len(signals)):
            (folder / f"plain-{number}").unlink()
    for what, each in took.items():
        seconds = np.median(each, axis=0)
        print(f"maps      {what}: {len(signals) * size / 1e6 / seconds[0]:.0f} MB/s ({seconds[0]:.2f} s)", flush=True)


def pace(folder: Path) -> None:
    """What a signal costs by step, and how much of it a build hides by doing it while the model runs; all in turn."""
    import torch

    from vitime_cache.attention.capture import capture_batch, images_of
    from vitime_cache.attention.streaming import Streaming
    from vitime_cache.model.checkpoint import load_model
    from vitime_cache.model.encoding import SeriesEncoding
    from vitime_cache.series.sources import Signal
    from vitime_cache.store.build import build

    model, rng, size = load_model(None, "cpu"), np.random.default_rng(0), 8
    signals = [Signal(f"s{i}", rng.standard_normal(512).cumsum(), 720) for i in range(4 * size)]
    batch, many = signals[:size], [replace(signals[0], name=f"n{i}") for i in range(100 * size)]

    def draw() -> Tensor:
        return images_of(batch, [SeriesEncoding.fit(s.values, s.horizon, model.config) for s in batch], model)

    def built(signals: Sequence[Signal], store: str, capture: Capture | None = None) -> NDArray[np.float64]:
        return cost(partial(build, signals, folder / store, model, tokens="none", capture=capture)) / len(signals)

    images, rounds = draw(), []
    for i in range(4):
        captured = capture_batch(model, batch)
        with torch.inference_mode():
            plain = cost(partial(model, images)) / size
            read = cost(lambda: Streaming(model, size).run(images)) / size
        rounds.append(
            {
                "plain pass": plain,
                "reading attention": read - plain,
                "drawing images": cost(draw) / size,
                "curves and quantiles": cost(lambda: captured[:]) / size,  # noqa: B023 - called at once
                **_writing(folder / f"steps-{i}.zarr", model, batch, captured[:]),
                HOST: built(many, f"host-{i}.zarr", lambda *_: captured),  # noqa: B023
                BUILD: built(signals, f"pace-{i}.zarr"),
            }
        )
    medians = {name: 1e3 * np.median([each[name] for each in rounds[1:]], axis=0) for name in rounds[0]}
    host, whole = medians.pop(HOST), medians.pop(BUILD)
    print("pace      what a signal of 512 + 720 costs by step, milliseconds of the clock and of the processor:")
    for name, (wall, processor) in medians.items():
        print(f"          {name:24}{wall:8.1f}{processor:8.1f}")
    sums = {"one after the other": np.sum(list(medians.values()), axis=0), HOST: host, BUILD: whole}
    for name, (wall, processor) in sums.items():
        print(f"          {name:24}{wall:8.1f}{processor:8.1f}")
    plain_pace = medians["plain pass"] / whole
    print(
        f"          build without token maps {plain_pace[0]:.2f} x the pace of the plain forward pass, "
        f"{plain_pace[1]:.2f} x in processor time",
        flush=True,
    )


def _writing(
    store: Path, model: ViTime, batch: Sequence[Signal], arrays: Sequence[Mapping[str, NDArray[Any]]]
) -> dict[str, NDArray[np.float64]]:
    """What it costs to encode, put and commit a signal, one after the other."""
    from vitime_cache.store import format as zarr_format
    from vitime_cache.store.commit import open_writer
    from vitime_cache.store.locations import open_objects
    from vitime_cache.store.manifest import Marker
    from vitime_cache.store.plan import entry_of, identity_of

    objects = open_objects(store)
    entries = [entry_of(signal, model.config, ()) for signal in batch]
    encoded: list[list[tuple[str, list[bytes]]]] = []
    markers: list[Marker] = []

    def encode() -> None:
        encoded.extend(list(zarr_format.encode_arrays(writer.manifest, i, each)) for i, each in enumerate(arrays))

    def put() -> None:
        for place, (entry, parts) in enumerate(zip(entries, encoded, strict=True)):
            stamps = objects.put_many(dict(sorted(parts)))
            markers.append(Marker(place, entry.name, entry.fingerprint, stamps))
        objects.flush()

    with open_writer(objects, identity_of(model, "float32"), entries) as writer:
        steps = {"encoding": encode, "putting": put, "committing": lambda: writer.commit(markers)}
        return {name: cost(step) / len(batch) for name, step in steps.items()}


def command(arguments: list[str], imported: str = "") -> str:
    """Run the command line in a process of its own; tell whether it imported a module."""
    code = (
        "import sys; from vitime_cache.cli.main import main; code = main(sys.argv[1:]); "
        f"print({imported!r} in sys.modules); sys.exit(code)"
    )
    done = subprocess.run([sys.executable, "-c", code, *arguments], check=True, stdout=subprocess.PIPE, text=True)
    return done.stdout.split()[-1]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parts: dict[str, Callable[[Path], None]] = {
        "default": default,
        "full": full,
        "reads": reads,
        "answers": answers,
        "nothing": nothing,
        "scale": lambda folder: scale(folder, signals, kinds),
        "maps": maps,
        "pace": pace,
    }
    parser.add_argument("--only", nargs="+", choices=parts, default=list(parts), help="parts to run (default all)")
    parser.add_argument("--folder", type=Path, help="where the stores go (default a temporary folder; needs 10 GB)")
    parser.add_argument("--signals", type=int, default=10_000, help="of the part scale (10000)")
    kinds = ("none", "last", "all")
    parser.add_argument("--tokens", nargs="+", choices=kinds, default=kinds, help="of the part scale (all three)")
    arguments = parser.parse_args()
    signals: int = arguments.signals
    kinds = arguments.tokens
    print(f"{os.cpu_count()} CPU cores, Python {sys.version.split()[0]}")
    with tempfile.TemporaryDirectory() as temporary:
        for name in arguments.only:
            parts[name](arguments.folder or Path(temporary))


if __name__ == "__main__":
    main()
