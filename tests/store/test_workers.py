"""Builds by several processes: the same store, also when they die on the way."""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path

import dask
import distributed  # noqa: F401  (first, as it fills in dask's configuration)
import pytest

from tests.conftest import GOLDEN_WEIGHTS
from tests.store import standin
from tests.store.standin import build, files, make_signals
from vitime_cache.store.objects import StoreError

SIGNALS = make_signals(5, n=100, horizon=100)


@pytest.fixture(autouse=True)
def _same_second(monkeypatch, tmp_path):
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "0")
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(sys.path))
    monkeypatch.setenv("VITIME_TEST_VICTIM", str(tmp_path / "victim"))


def die_once(model, signals, tokens, on_tokens):
    """As the stand-in, but one process dies at the first token map of s3."""
    victim = Path(os.environ["VITIME_TEST_VICTIM"])

    def kill(*_: object) -> None:
        victim.unlink()
        os.kill(os.getpid(), signal.SIGKILL)

    dies = signals[0].name == "s3" and victim.exists()
    return standin.capture_batch(model, signals, tokens, kill if dies else on_tokens)


def test_workers_write_the_store_that_one_process_writes_also_when_one_of_them_is_killed(tmp_path):
    victim = tmp_path / "victim"
    victim.touch()
    done = []
    report = build(
        SIGNALS,
        tmp_path / "workers.zarr",
        GOLDEN_WEIGHTS,
        workers=2,
        capture=die_once,
        progress=lambda p: done.append(p.done),
    )
    assert not victim.exists()  # someone died
    assert sorted(report.written) == [s.name for s in SIGNALS]
    assert done == list(range(6))
    build(SIGNALS, tmp_path / "alone.zarr", GOLDEN_WEIGHTS)
    assert files(tmp_path / "workers.zarr") == files(tmp_path / "alone.zarr")


def test_a_scheduler_that_does_not_answer_is_named(tmp_path):
    with (
        dask.config.set({"distributed.comm.timeouts.connect": "100ms"}),
        pytest.raises(StoreError, match=r"no dask scheduler answers at tcp://127\.0\.0\.1:9"),
    ):
        build(SIGNALS, tmp_path / "a.zarr", GOLDEN_WEIGHTS, workers="tcp://127.0.0.1:9")
    assert not (tmp_path / "a.zarr").exists()
