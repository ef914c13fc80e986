"""A store of 100 000 small signals: what opening it, adding to it and building nothing cost, and where it goes.

    python -m benchmarks.many                       # 100 000 signals; makes 600 000 small files
    python -m benchmarks.many --signals 10000

The store is made by the store's own code (manifest, markers, pages, commits); the attention of all signals is the same,
as it takes hours to compute. Every line is a process of its own, start of the interpreter included where it says so.
"""

from __future__ import annotations

import argparse
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vitime_cache.attention import schema
from vitime_cache.attention.lags import lag_means
from vitime_cache.model.config import ViTimeConfig
from vitime_cache.series.sources import read_signals
from vitime_cache.store import format as store_format
from vitime_cache.store.commit import open_writer
from vitime_cache.store.locations import open_objects
from vitime_cache.store.manifest import MANIFEST, ROOT, Marker
from vitime_cache.store.objects import stamp
from vitime_cache.store.plan import entry_of, identity_of

TINY = ViTimeConfig(
    image_height=16, context_columns=32, horizon_columns=64, patch_height=16, patch_width=16,
    encoder_width=8, encoder_depth=1, decoder_width=8, decoder_depth=1, heads=2,
)  # fmt: skip
HISTORY, HORIZON, FILE = 64, 64, 10_000  # samples, samples, series in a file
COMMIT = 4096  # signals in a commit of the making
REPEATS = 3


def make(folder: Path, signals: int) -> tuple[Path, list[Path], Path]:
    """The store, the files of its series, and the weights that it is of; made only where they are not there yet."""
    from vitime_cache.model.checkpoint import save_safetensors
    from vitime_cache.model.network import ViTime

    weights, place = folder / "tiny.safetensors", folder / "many.zarr"
    files = [folder / f"series{number}.npy" for number in range(-(-signals // FILE))]
    if place.exists():
        return place, files, weights
    save_safetensors(ViTime(TINY), weights, note="random weights")
    rng = np.random.default_rng(0)
    for number, file in enumerate(files):
        np.save(file, rng.standard_normal((HISTORY, min(FILE, signals - number * FILE))).cumsum(axis=0))
    listed = [signal for file in files for signal in read_signals(file, horizon=HORIZON, rows=False)]
    entries = [entry_of(signal, TINY, ()) for signal in listed]
    with open_writer(open_objects(place), identity_of(weights, "float32"), entries) as writer:
        objects = [(key, b"".join(parts)) for key, parts in store_format.encode_arrays(writer.manifest, 0, arrays())]
        for key, _ in objects:
            (place / key).parent.mkdir(exist_ok=True)
        for first in range(0, signals, COMMIT):
            markers = []
            for at in range(first, min(first + COMMIT, signals)):
                written = {}
                for key, data in objects:
                    name = key.replace("/c.0", f"/c.{at}", 1)
                    (place / name).write_bytes(data)
                    written[name] = stamp([data])
                entry = writer.pending[at]
                markers.append(Marker(at, entry.name, entry.fingerprint, dict(sorted(written.items()))))
            writer.commit(markers)
    return place, files, weights


def arrays() -> dict[str, NDArray[Any]]:
    """What stands for the attention of any signal."""
    heads, columns, length = (2, TINY.heads), TINY.grid[1], HISTORY + HORIZON
    time_attention = np.full((*heads, columns, columns), 1 / columns, np.float32)
    return {
        schema.TIME_ATTENTION: time_attention,
        schema.LAG_ATTENTION: lag_means(time_attention)[1].astype(np.float32),
        schema.CLS_ATTENTION: np.zeros((*heads, TINY.tokens), np.float32),
        schema.HISTORY: np.zeros(length),
        schema.FORECAST: np.zeros(length),
        schema.FORECAST_QUANTILE: np.zeros((len(schema.QUANTILES), length)),
        schema.COMPONENT_PERIOD: np.zeros(0, np.float32),
        schema.COMPONENT_AMPLITUDE: np.zeros(0, np.float32),
    }


def cost(code: str, *arguments: object) -> NDArray[np.float64]:
    """Seconds of a process of its own: of the clock, and of the processor, which a busy machine stretches less."""
    before, began = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    subprocess.run([sys.executable, "-c", code, *map(str, arguments)], check=True)
    wall, after = time.perf_counter() - began, resource.getrusage(resource.RUSAGE_CHILDREN)
    return np.array([wall, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime])


def tell(what: str, runs: list[NDArray[np.float64]]) -> None:
    wall, processor = np.min(runs, axis=0)  # the best of several: other programs only ever add
    print(f"{what}: {wall:.2f} s by the clock, {processor:.2f} s of processor time", flush=True)


IMPORTS = "import vitime_cache.attention.capture, vitime_cache.store.writing"  # of a build that has something to do
OPEN = """
import sys, time
import vitime_cache.store.reader as reader
wall, processor = time.perf_counter(), time.process_time()
reader.open_store(sys.argv[1])
print(time.perf_counter() - wall, time.process_time() - processor)
"""
COMMAND = "import sys; from vitime_cache.cli.main import main; sys.exit(main(sys.argv[1:]))"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--signals", type=int, default=100_000)
    parser.add_argument(
        "--folder", type=Path, help="where the store is made, or lies already (default: a temporary one)"
    )
    arguments = parser.parse_args()
    print(f"{os.cpu_count()} CPU cores, Python {sys.version.split()[0]}, {arguments.signals} signals")
    with tempfile.TemporaryDirectory() as temporary:
        folder = arguments.folder or Path(temporary)
        folder.mkdir(exist_ok=True)
        began = time.perf_counter()
        place, files, weights = make(folder, arguments.signals)
        manifest, root = ((place / name).stat().st_size for name in (MANIFEST, ROOT))
        made = time.perf_counter() - began
        print(f"made in {made:.0f} s; manifest {manifest / 1e6:.1f} MB, root {root / 1e3:.0f} kB", flush=True)
        flags = ["--store", place, "--weights", weights, "--horizon", HORIZON, "--tokens", "none", "--no-rows"]
        flags += ["--quiet", "--max-size", 1000]
        rng = np.random.default_rng(1)
        opened = [
            np.array(subprocess.check_output([sys.executable, "-c", OPEN, str(place)]).split(), float)
            for _ in range(REPEATS)
        ]
        tell("opening, for the first time in a process and without imports", opened)
        tell("building nothing, as a command", [cost(COMMAND, "build", *files, *flags) for _ in range(REPEATS)])
        tell("importing torch, timm, xarray and zarr, which adding takes", [cost(IMPORTS) for _ in range(REPEATS)])
        for what, others in (("", []), (" with all others named again", files)):
            took = []
            for number in range(REPEATS):
                one = folder / f"added{time.time_ns()}-{number}.npy"
                np.save(one, rng.standard_normal((HISTORY, 1)).cumsum(axis=0))
                took.append(cost(COMMAND, "build", one, *others, *flags))
            tell(f"adding one signal{what}, as a command", took)


if __name__ == "__main__":
    main()
