"""Builds on dask.distributed: the same store, also when a worker dies on the way."""

from __future__ import annotations

import os
import sys

import dask
import distributed  # noqa: F401  (first, as it fills in dask's configuration)
import pytest

from tests.store import standin
from tests.store.standin import files, make_signals
from vitime_cache.store.build import build
from vitime_cache.store.objects import StoreError

SIGNALS = make_signals(5)
PRELOAD = """
import os, signal
from pathlib import Path
from tests.store import standin
standin.install()
real = standin.__dict__.setdefault("real_capture_batch", standin.capture_batch)  # dask preloads more than once

def die_once(model, signals, *rest):
    victim = Path(os.environ["VITIME_TEST_VICTIM"])
    if signals[0].name == "s3" and victim.exists():
        def kill(*_):
            victim.unlink()
            os.kill(os.getpid(), signal.SIGKILL)
        return real(model, signals, rest[0], kill)  # at the first token map
    return real(model, signals, *rest)

standin.capture_batch = die_once
"""


@pytest.fixture(autouse=True)
def _workers_without_torch(monkeypatch, tmp_path):
    """Workers that have the stand-in for a model, as this process has; one of them may be told to die."""
    monkeypatch.setitem(sys.modules, "vitime_cache.attention.capture", standin)
    monkeypatch.setitem(sys.modules, "vitime_cache.model.checkpoint", standin.checkpoint())
    monkeypatch.setattr(standin.schema, "attributes", standin.attributes)
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(sys.path))
    monkeypatch.setenv("VITIME_TEST_VICTIM", str(tmp_path / "victim"))
    (tmp_path / "preload.py").write_text(PRELOAD)
    with dask.config.set(
        {"distributed.worker.preload": [str(tmp_path / "preload.py")], "temporary-directory": str(tmp_path / "scratch")}
    ):
        yield


def test_workers_write_the_store_that_one_process_writes_also_when_one_of_them_is_killed(tmp_path):
    victim = tmp_path / "victim"
    victim.touch()
    done = []
    report = build(SIGNALS, tmp_path / "workers.zarr", "weights", workers=2, progress=lambda p: done.append(p.done))
    assert not victim.exists()  # someone died
    assert sorted(report.written) == [s.name for s in SIGNALS]
    assert done == list(range(6))
    build(SIGNALS, tmp_path / "alone.zarr", "weights")
    assert files(tmp_path / "workers.zarr") == files(tmp_path / "alone.zarr")


def test_a_scheduler_that_does_not_answer_is_named(tmp_path):
    with (
        dask.config.set({"distributed.comm.timeouts.connect": "100ms"}),
        pytest.raises(StoreError, match=r"no dask scheduler answers at tcp://127\.0\.0\.1:9"),
    ):
        build(SIGNALS, tmp_path / "a.zarr", "weights", workers="tcp://127.0.0.1:9")
    assert not (tmp_path / "a.zarr").exists()
