"""The process that runs the model: one for everybody, replaced when it dies, honest about what went wrong in it."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import xarray as xr
from streamlit.testing.v1 import AppTest

from tests.app.conftest import SMALL, write_weights
from vitime_cache.attention.capture import capture
from vitime_cache.child import Tell
from vitime_cache.evidence.levels.table import LEVEL
from vitime_cache.evidence.verdict.schema import complete
from vitime_cache.model.checkpoint import CheckpointError, load_model, peek
from vitime_cache.places import HOME
from vitime_cache.series.examples import catalogue
from vitime_cache.series.sources import Signal
from vitime_cache.store.build import build
from vitime_cache.store.objects import StoreError
from vitime_cache.store.reader import open_store
from vitime_cache.ui.processes import model_process
from vitime_cache.ui.processes.engine import Engine, EngineError, Progress, engine
from vitime_cache.ui.processes.line import SERIES, Turn

FEW = {"nulls": 19, "heads": [("encoder.0", 0)]}  # of a question, so that it takes seconds
FULL = next(signal for signal in catalogue() if signal.name == "full")


def run(weights: Path, store: Path, signal: Signal = FULL, sha256: str = "") -> xr.Dataset:
    """Build a signal into a store in the process; what the store holds of it."""
    engine().build([signal], store, weights, sha256 or peek(weights)[1].sha256, "none")
    return open_store(store).sel(signal=signal.name)


def ask(weights: Path, progress: Progress) -> xr.Dataset:
    return engine().ask(FULL, 62.8, weights, FEW, None, progress, lambda _: None)


def die(tell: Tell, weights: str) -> None:  # noqa: ARG001
    os._exit(3)


def die_building(tell: Tell, *_: object) -> None:  # noqa: ARG001
    os._exit(3)


def hang(tell: Tell, weights: str) -> None:  # noqa: ARG001
    threading.Event().wait()


def short_run(on: Engine, weights: Path, work: Callable[[Tell, str], None]) -> None:
    on._run(Turn("test", SERIES, on._line.number()), lambda *_: None, lambda _: None, weights, work, tuple)


def process(weights: Path) -> int:
    return engine().prepare(weights).pid


def test_a_run_in_the_process_is_a_capture(weights: Path, tmp_path: Path) -> None:
    expected = capture(load_model(weights, device="cpu"), FULL, tokens="none")
    found = run(weights, tmp_path / "a.zarr")
    for name in ("time_attention", "lag_attention", "forecast_quantile"):
        np.testing.assert_allclose(found[name], expected[name], rtol=1e-2, atol=1e-3)


def test_a_question_that_is_left_is_stopped_and_the_process_goes_on_with_the_next_run(
    weights: Path, tmp_path: Path
) -> None:
    def leave(_: float, step: str) -> None:
        if step != "loading the model":
            raise InterruptedError

    before = process(weights)
    with pytest.raises(InterruptedError):
        ask(weights, leave)
    assert run(weights, tmp_path / "a.zarr").attrs["weights"]
    assert process(weights) == before


def test_a_series_is_run_in_between_a_question_and_neither_changes_the_other(weights: Path, tmp_path: Path) -> None:
    alone, series = ask(weights, lambda *_: None), run(weights, tmp_path / "a.zarr")
    began = threading.Event()

    def note(_: float, step: str) -> None:
        if step == LEVEL["set"].title:
            began.set()

    with ThreadPoolExecutor(1) as pool:
        question = pool.submit(ask, weights, note)
        assert began.wait(60)
        between = run(weights, tmp_path / "b.zarr")
        assert not question.done(), "the series waited for the question"
        xr.testing.assert_equal(between.load(), series.load())
        found = question.result()
    for name in alone.data_vars:
        np.testing.assert_array_equal(found[name], alone[name], err_msg=str(name))


def test_a_question_whose_process_ends_over_another_run_goes_on_and_the_other_is_told(weights: Path) -> None:
    began, told = threading.Event(), []

    def note(_: float, step: str) -> None:
        told.append(step)
        if step == LEVEL["set"].title:
            began.set()

    with ThreadPoolExecutor(1) as pool:
        question = pool.submit(ask, weights, note)
        assert began.wait(60)
        with pytest.raises(EngineError, match="most likely because memory ran out"):
            short_run(engine(), weights, die)
        assert complete(question.result())
    assert LEVEL["influence"].title not in told[told.index(LEVEL["set"].title) :], "finished levels are not begun again"


def test_a_run_that_hangs_is_told_so_in_one_line_and_the_next_one_has_another_process(
    weights: Path, tmp_path: Path
) -> None:
    mine = Engine(silence=60)
    sha256 = peek(weights)[1].sha256
    mine.build([FULL], tmp_path / "first.zarr", weights, sha256, "none")  # the start takes its time on a busy machine
    child = mine.prepare(weights)
    threading.Thread(target=child._watch, args=(4.0,), daemon=True).start()
    hung = child.pid
    with pytest.raises(EngineError, match=r"^The process that ran the model gave no sign of life for 60 s and was .*$"):
        short_run(mine, weights, hang)
    mine.build([FULL], tmp_path / "a.zarr", weights, sha256, "none")
    assert mine.prepare(weights).pid != hung
    mine.stop()


def test_sessions_at_once_wait_for_each_other_and_share_one_process(weights: Path, tmp_path: Path) -> None:
    before = process(weights)
    some = [replace(each, reduced_of="") for each in catalogue()[:4]]  # each in a store of its own
    with ThreadPoolExecutor(4) as pool:
        runs = [pool.submit(run, weights, tmp_path / f"{each.name}.zarr", each) for each in some]
        datasets = [done.result() for done in runs]
    for signal_, ds in zip(some, datasets, strict=True):
        assert ds.history.values[: signal_.values.size] == pytest.approx(signal_.values)
    assert process(weights) == before


def test_weights_that_change_on_disk_are_loaded_anew(weights: Path, tmp_path: Path) -> None:
    mine = Path(shutil.copy(weights, tmp_path))
    run(mine, tmp_path / "a.zarr")
    content = bytearray(mine.read_bytes())
    content[-4:] = b"\0\0\0\0"
    mine.write_bytes(content)
    os.utime(mine, ns=(1, 1))
    assert peek(mine)[1].sha256 != peek(weights)[1].sha256
    with pytest.raises(CheckpointError, match="was replaced by other weights while the series waited"):
        run(mine, tmp_path / "b.zarr", sha256=peek(weights)[1].sha256)
    assert not (tmp_path / "b.zarr").exists()
    assert run(mine, tmp_path / "b.zarr").attrs["weights_sha256"] == peek(mine)[1].sha256


def test_a_question_about_a_store_is_not_answered_by_other_weights_that_took_the_place_of_its_own(
    weights: Path, tmp_path: Path
) -> None:
    file, store, heard = Path(shutil.copy(weights, tmp_path / weights.name)), tmp_path / "a.zarr", []
    build([FULL], store, file, tokens="none")
    write_weights(replace(SMALL, heads=2), file)
    with pytest.raises(StoreError, match=r"is for the weights vitime-mini \(\w+…\), the answer for other ones of that"):
        engine().ask(FULL, 62.8, file, FEW, store, lambda *_: None, heard.append)
    assert not heard


def test_what_is_wrong_with_the_weights_is_said_by_the_run_and_the_process_lives_on(
    weights: Path, tmp_path: Path
) -> None:
    broken = tmp_path / "broken.safetensors"
    broken.write_bytes(weights.read_bytes()[:-1000])
    engine().stop()
    before = process(broken)
    with pytest.raises(CheckpointError, match=r"broken\.safetensors"):
        run(broken, tmp_path / "a.zarr", sha256="of no matter")
    assert run(weights, tmp_path / "b.zarr").attrs["weights"]
    assert process(weights) == before


def test_a_process_that_died_unnoticed_is_replaced(weights: Path, tmp_path: Path) -> None:
    os.kill(process(weights), signal.SIGKILL)
    assert run(weights, tmp_path / "a.zarr").attrs["weights"]


def test_a_process_that_dies_during_a_run_is_said_on_the_page_and_replaced(
    store: Path, open_page: Callable[..., AppTest], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert store.is_dir()
    at = open_page("ask")
    with monkeypatch.context() as patch:
        patch.setattr(model_process, "build", die_building)
        at.button(key="take_composed").click().run()
    assert not at.exception
    assert "most likely because memory ran out" in at.error[0].value
    at.button(key="take_composed").click().run()
    assert not at.error
    assert "composed" in at.session_state["own_series"].values()


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
