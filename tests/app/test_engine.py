"""The process that runs the model: one for everybody, replaced when it dies, honest about what went wrong in it."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import xarray as xr
from streamlit.testing.v1 import AppTest

from vitime_cache.attention.capture import capture
from vitime_cache.model.checkpoint import CheckpointError, load_model, peek
from vitime_cache.places import HOME
from vitime_cache.series.examples import catalogue
from vitime_cache.series.sources import Signal
from vitime_cache.ui.processes.engine import Progress, engine

FULL = next(signal for signal in catalogue() if signal.name == "full")


def run(weights: Path, signal: Signal = FULL, progress: Progress = lambda *_: None) -> xr.Dataset:
    return engine().capture(signal, weights, "none", progress)


def process(weights: Path) -> int:
    return engine().prepare(weights).pid


def test_a_run_in_the_process_is_a_capture(weights: Path) -> None:
    expected = capture(load_model(weights, device="cpu"), FULL, tokens="none")
    xr.testing.assert_allclose(run(weights).drop_attrs(), expected.drop_attrs())


def test_the_progress_goes_through_the_layers_in_turn(weights: Path) -> None:
    seen: list[tuple[float, str]] = []
    run(weights, progress=lambda *step: seen.append(step))
    layers = peek(weights)[0].layers
    shares = [(i + 1) / len(layers) for i in range(len(layers))]
    assert seen == [(0, "loading the model"), *zip(shares, layers, strict=True)]


def test_a_run_that_is_left_is_stopped_and_the_next_one_starts_afresh(weights: Path) -> None:
    def leave(share: float, _: str) -> None:
        if share:
            raise InterruptedError

    before = process(weights)
    with pytest.raises(InterruptedError):
        run(weights, progress=leave)
    with pytest.raises(ProcessLookupError):
        os.kill(before, 0)
    assert run(weights).attrs["weights"]


def test_sessions_at_once_wait_for_each_other_and_share_one_process(weights: Path) -> None:
    before, steps = process(weights), []
    with ThreadPoolExecutor(8) as pool:
        runs = [pool.submit(run, weights, signal, lambda *step: steps.append(step)) for signal in catalogue()[:8]]
        datasets = [done.result() for done in runs]
    for signal_, ds in zip(catalogue()[:8], datasets, strict=True):
        assert ds.history.values[: signal_.values.size] == pytest.approx(signal_.values)
    assert process(weights) == before


def test_weights_that_change_on_disk_are_loaded_anew(weights: Path, tmp_path: Path) -> None:
    mine = Path(shutil.copy(weights, tmp_path))
    run(mine)
    content = bytearray(mine.read_bytes())
    content[-4:] = b"\0\0\0\0"
    mine.write_bytes(content)
    os.utime(mine, ns=(1, 1))
    assert peek(mine)[1].sha256 != peek(weights)[1].sha256
    assert run(mine).attrs["weights_sha256"] == peek(mine)[1].sha256


def test_what_is_wrong_with_the_weights_is_said_by_the_run_and_the_process_lives_on(
    weights: Path, tmp_path: Path
) -> None:
    broken = tmp_path / "broken.safetensors"
    broken.write_bytes(weights.read_bytes()[:-1000])
    engine().stop()
    before = process(broken)
    with pytest.raises(CheckpointError, match=r"broken\.safetensors"):
        engine().capture(FULL, broken, "none", lambda *_: None)
    assert run(weights).attrs["weights"]
    assert process(weights) == before


def test_a_process_that_died_unnoticed_is_replaced(weights: Path) -> None:
    died = engine().prepare(weights)
    died.kill()
    died.wait()
    assert run(weights).attrs["weights"]


def test_a_process_that_dies_during_a_run_is_said_on_the_page_and_replaced(
    open_page: Callable[..., AppTest], monkeypatch: pytest.MonkeyPatch
) -> None:
    at = open_page("live")
    command = "import sys, pickle; pickle.load(sys.stdin.buffer)"  # reads the request and dies over it
    fragile = subprocess.Popen([sys.executable, "-c", command], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    monkeypatch.setattr(engine(), "_process", fragile)
    at.button(key="run").click().run()
    assert not at.exception
    assert "want of memory" in at.error[0].value
    at.button(key="run").click().run()
    assert not at.error
    assert "live:composed" in at.session_state["live_runs"]


def test_the_process_ends_with_its_server(weights: Path) -> None:
    server = (
        "import os, sys, pathlib; from vitime_cache.ui.processes.engine import engine\n"
        f"print(engine().prepare(pathlib.Path({str(weights)!r})).pid, flush=True)\n"
        "os.kill(os.getpid(), 9)"
    )
    command = [sys.executable, "-c", server]
    started = subprocess.run(command, cwd=HOME, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, check=False)
    for _ in range(300):
        if not Path(f"/proc/{int(started.stdout)}").exists():
            return
        time.sleep(0.1)
    pytest.fail("the process outlived its server by half a minute")
