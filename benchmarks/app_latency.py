"""How long the app's server takes: each page and control from a warm store, the first page, and a series brought.

    python -m benchmarks.app_latency                     # the weights in weights/, or random ones if there are none
    python -m benchmarks.app_latency --repeats 20

Times run from the message a browser sends to the message that the script has finished; the browser's own drawing is
not in them (that is in benchmarks.app_drawing). A busy machine stretches them; processor time, of the server without
the model's process, less so. The first page is that of a fresh process, from the moment it answers; the first series
waits for torch, whose import begins when the Live page is opened.
"""

from __future__ import annotations

import argparse
import json
import os
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from statistics import fmean, median, quantiles

from benchmarks.app_session import Run, Server, Session, served
from vitime_cache.attention import schema
from vitime_cache.attention.mock import mock_dataset
from vitime_cache.model import checkpoint
from vitime_cache.model.config import ViTimeConfig, WeightsInfo
from vitime_cache.series.sources import catalogue
from vitime_cache.store.build import add_dataset, build
from vitime_cache.ui.routing import FIRST, PAGES

VISITED = ("", *(name for name in PAGES if name != FIRST))
LARGE = "full-size.zarr"
MANY = 16  # sessions at once


def large_store(path: Path) -> None:
    """A store of made-up attention with the published model's 18 layers × 16 heads, without token maps."""
    made_up = WeightsInfo("full-size", "0" * 64, "made-up attention")
    signal = next(signal for signal in catalogue() if signal.name == "full")
    ds = mock_dataset(ViTimeConfig(), ("full",), tokens=False).isel(signal=0)
    ds = ds.assign_attrs(schema.attributes(ViTimeConfig(), made_up, "float32"))
    add_dataset(path, ds, replace(signal, harmonics=signal.harmonics[:2]))


def random_weights(folder: Path) -> Path:
    """A network of the shipped size with random weights."""
    from vitime_cache.model.network import ViTime
    from vitime_cache.training.config import MINI

    checkpoint.save_safetensors(ViTime(MINI), folder / checkpoint.SHIPPED_NAME, note="random weights")
    return folder / checkpoint.SHIPPED_NAME


def measure(server: Server, small: str, repeats: int) -> dict[str, list[Run]]:
    """Every run, by what was done."""
    times: dict[str, list[Run]] = {}

    def note(what: str, run: Run) -> None:
        assert not run.exceptions, run.exceptions
        times.setdefault(what, []).append(run)

    with Session(server) as session:
        for page in VISITED:  # warm
            session.open(page, f"store={small}")
        for turn in range(repeats):
            for page in VISITED:
                note(f"page {page or FIRST}", session.open(page, session.query))
            session.open("head")
            choices: dict[str, list[str | bool]] = {
                "Head": [str((turn + i) % 8) for i in range(4)],
                "Layer": ["encoder.0", "encoder.3", "decoder.0"],
                "Signal": ["full", "reduced_harmonic", catalogue()[turn % 20].name, "full"],
                "Logarithm": [True, False],
            }
            for label, values in choices.items():
                for value in values:
                    note(f"control {label}", session.change(label, value))
            for region in ("history→history", "forecast→history", "all"):
                note("control Region", session.change("Region (query→key)", region))
            session.open("compare")
            for value in ("harmonic_63", "white_noise", "reduced_harmonic"):
                note("control Compare with", session.change("Compare with", value))
        times["heads page, 18 × 16 maps, first"] = [session.open("heads", f"view=Maps&store={LARGE}")]
        times["heads page, 18 × 16 maps, again"] = [session.open("heads", f"view=Maps&store={LARGE}")]
        times["series of one's own"] = [brought(session, 0) for _ in range(repeats)]
    return times


def many(server: Server, small: str, repeats: int, sessions: int = MANY) -> list[Run]:
    """Page switches of so many sessions, each of which clicks on as soon as a page is there."""

    def walk(number: int) -> list[Run]:
        with Session(server) as session:
            pages = [VISITED[(number + turn) % len(VISITED)] for turn in range(repeats)]
            return [session.open(page, f"store={small}") for page in pages]

    before = server.cpu_seconds()
    with ThreadPoolExecutor(sessions) as pool:
        runs = [run for walked in pool.map(walk, range(sessions)) for run in walked]
    assert not any(run.exceptions for run in runs)
    each = (server.cpu_seconds() - before) / len(runs)  # that of single runs holds what others took meanwhile
    return [replace(run, cpu=each) for run in runs]


def brought(session: Session, looked_at_for: float) -> Run:
    """From the click to the charts, so many seconds after the page was opened."""
    session.open("ask")
    session.change("Compose a series of harmonics", True)
    time.sleep(looked_at_for)
    run = session.change("Take this series", True)
    assert not run.exceptions, run.exceptions
    assert "q=" in session.query, "the series was not taken in"
    return run


def first_brought(stores: Path, weights: Path, looked_at_for: float) -> Run:
    """The first series that is brought to a fresh process."""
    with served(stores, weights) as server, Session(server) as session:
        session.open()
        return brought(session, looked_at_for)


def first_page(stores: Path, weights: Path) -> Run:
    """The first page of a fresh process, once it answers."""
    with served(stores, weights) as server, Session(server) as session:
        return session.open()


def report(times: dict[str, list[Run]]) -> None:
    """Median and 95th percentile in milliseconds, and the mean of processor time, whose clock ticks every 10 ms."""
    print(f"{'what':36}{'n':>5}{'median ms':>12}{'p95 ms':>10}{'CPU ms':>10}")
    together = {f"any {kind}": [run for what in times if what.startswith(f"{kind} ") for run in times[what]]
                for kind in ("page", "control")}  # fmt: skip
    for what, runs in (times | together).items():
        seconds = [run.seconds for run in runs]
        p95 = quantiles(seconds, n=20)[-1] if len(seconds) > 1 else seconds[0]
        cpu = fmean(run.cpu for run in runs)
        print(f"{what:36}{len(seconds):>5}{1e3 * median(seconds):>12.0f}{1e3 * p95:>10.0f}{1e3 * cpu:>10.0f}")


def main() -> None:
    """Build the stores, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=10)
    parser.add_argument("--json", type=Path, help="also write every time to this file")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        try:
            weights = checkpoint.find_weights()
        except checkpoint.CheckpointError:
            weights = random_weights(folder)
        start = time.perf_counter()
        small = folder / f"{weights.stem}.zarr"
        build(catalogue(), small, weights)
        large_store(folder / LARGE)
        print(f"weights {weights.name}, {os.cpu_count()} cores; stores built in {time.perf_counter() - start:.0f} s")
        times = {"first page of a fresh process": [first_page(folder, weights.parent) for _ in range(3)]}
        for seconds in (0, 2, 5):
            label = f"first series, {seconds} s after its page"
            times[label] = [first_brought(folder, weights.parent, seconds)]
        with served(folder, weights.parent) as server:
            times |= measure(server, small.name, options.repeats)
            times[f"any page, {MANY} sessions at once"] = many(server, small.name, options.repeats)
    report(times)
    if options.json:
        options.json.write_text(
            json.dumps({what: [[run.seconds, run.cpu] for run in runs] for what, runs in times.items()})
        )


if __name__ == "__main__":
    main()
