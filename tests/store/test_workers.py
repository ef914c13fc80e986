"""Builds by several processes: the same store, also when they die on the way."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
import warnings
from contextlib import nullcontext
from pathlib import Path
from types import SimpleNamespace

import dask
import distributed  # first, as it fills in dask's configuration
import psutil
import pytest
import torch

from tests.conftest import GOLDEN_WEIGHTS
from tests.store import standin
from tests.store.standin import build, files, make_signals
from vitime_cache.errors import Note
from vitime_cache.store import dispatch, processes, workers
from vitime_cache.store.journal import published
from vitime_cache.store.manifest import ROOT
from vitime_cache.store.objects import StoreError
from vitime_cache.store.reader import open_store
from vitime_cache.store.workers import write_on_scheduler

pytestmark = pytest.mark.slow

PATIENCE = 120  # seconds, for a machine that is busy with other things
SIGNALS = make_signals(5, n=100, horizon=100)


@pytest.fixture(autouse=True)
def _same_second(monkeypatch, tmp_path):
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "0")
    monkeypatch.setenv("VITIME_TEST_VICTIM", str(tmp_path / "victim"))


def die_once(model, signals, tokens, on_tokens):
    """As the stand-in, but with a note, and one process dies at the first token map of s3."""
    warnings.warn("memory is short", Note, stacklevel=2)
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
    with pytest.warns(Note) as told:
        report = build(
            SIGNALS,
            tmp_path / "workers.zarr",
            GOLDEN_WEIGHTS,
            workers=2,
            capture=die_once,
            progress=lambda p: done.append(p.done),
        )
    assert not victim.exists()  # someone died
    assert [str(each.message) for each in told] == ["memory is short"], "said once, not by every process"
    assert sorted(report.written) == [s.name for s in SIGNALS]
    assert done == list(range(6))
    build(SIGNALS, tmp_path / "alone.zarr", GOLDEN_WEIGHTS)
    assert files(tmp_path / "workers.zarr") == files(tmp_path / "alone.zarr")


@pytest.mark.parametrize(
    ("flags", "sent", "status"),
    [(["--workers", "2"], signal.SIGINT, 130), (["--workers", "2"], signal.SIGTERM, 143), ([], signal.SIGHUP, 129)],
)
def test_a_build_that_is_told_to_end_says_one_line_and_leaves_no_process(tmp_path, flags, sent, status):
    names = [f"s{i}" for i in range(400)]
    rows = [",".join(str((i * k) % 97) for k in range(2, len(names) + 2)) for i in range(60)]
    (tmp_path / "many.csv").write_text("\n".join([",".join(names), *rows]))
    path = tmp_path / "a.zarr"
    command = [sys.executable, "-m", "vitime_cache", "build", tmp_path / "many.csv", "--weights", GOLDEN_WEIGHTS]
    options = ["--store", path, "--horizon", "60", "--tokens", "none", "--batch-size", "2", "--quiet", "--no-rows"]
    process = subprocess.Popen(
        [*command, *options, *flags],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
        preexec_fn=lambda: signal.signal(signal.SIGHUP, signal.SIG_DFL),  # under nohup this run ignores it
    )
    patience = time.monotonic() + PATIENCE
    while not ((path / ROOT).exists() and published((path / ROOT).read_bytes())) and process.poll() is None:
        assert time.monotonic() < patience
        time.sleep(0.02)
    children = psutil.Process(process.pid).children(recursive=True)
    assert len(children) >= len(flags)
    os.killpg(process.pid, sent) if sent == signal.SIGINT else process.send_signal(sent)
    told = process.communicate(timeout=PATIENCE)[0]
    assert told == "interrupted. Run the same command again to go on: complete signals are kept.\n"
    assert process.returncode == status
    _, left = psutil.wait_procs(children, timeout=PATIENCE)
    assert left == []
    assert open_store(path).signal.values.tolist() == names[: open_store(path).sizes["signal"]]


def test_a_scheduler_that_is_lost_ends_a_build_with_one_sentence(tmp_path):
    with distributed.LocalCluster(
        n_workers=1, threads_per_worker=1, processes=False, protocol="tcp", dashboard_address=None
    ) as cluster:

        def lose(progress):
            if progress.done == 1:
                cluster.close()

        with pytest.raises(StoreError, match=r"^the dask scheduler or all its workers are gone"):
            build(SIGNALS, tmp_path / "a.zarr", GOLDEN_WEIGHTS, workers=cluster.scheduler_address, progress=lose)
    done = len(open_store(tmp_path / "a.zarr").signal)
    assert len(build(SIGNALS, tmp_path / "a.zarr", GOLDEN_WEIGHTS).written) == len(SIGNALS) - done


def test_a_schedulers_workers_have_devices_that_this_machine_may_lack(monkeypatch):
    given = []
    monkeypatch.setattr(workers, "scheduler", nullcontext)
    monkeypatch.setattr(dispatch, "_batches", lambda _, size: given.append(size) or [])
    writer = SimpleNamespace(manifest=SimpleNamespace(identity=standin.Model(), tokens=()), unclean=None)
    objects, identity = SimpleNamespace(address=""), standin.Model()
    for device in ("auto", "cpu", "cuda", "cuda:7"):
        with dispatch.ready_to_write(GOLDEN_WEIGHTS, device, "float32", None, "tcp://a", None, identity) as write:
            write(objects, writer, {})
    few, _, many, _ = given
    assert given == [few, few, many, many]
    assert few < many


@pytest.mark.parametrize(
    ("device", "shared"),
    [("auto", ["cuda:0", "cuda:1", "cuda:0"]), ("cuda", ["cuda:0", "cuda:1", "cuda:0"]), ("cuda:1", ["cuda:1"] * 3),
     ("cpu", ["cpu"] * 3)],
)  # fmt: skip
def test_processes_share_all_devices_of_the_machine_unless_one_is_named(monkeypatch, device, shared):
    given = []
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setattr(
        processes, "write_in_processes", lambda jobs, *_: given.extend(job.device for job in jobs) or []
    )
    writer = SimpleNamespace(manifest=SimpleNamespace(identity=standin.Model(), tokens=()), unclean=None)
    identity = standin.Model()
    with dispatch.ready_to_write(GOLDEN_WEIGHTS, device, "float32", None, 3, None, identity) as write:
        write(SimpleNamespace(address=""), writer, dict(enumerate(SIGNALS)))
    assert given == shared


class OfAScheduler:
    """A dask client whose workers end every batch in one way."""

    def __init__(self, error: Exception, status: str) -> None:
        self.error, self.status = error, status

    def scatter(self, job, broadcast):
        assert broadcast
        return job

    def submit(self, _work, _job, _batch, pure):
        assert not pure  # or equal batches would be done once
        return self

    def result(self):
        raise self.error


@pytest.mark.parametrize(
    ("error", "status", "kind", "message"),
    [(distributed.KilledWorker("write", None, 3), "error", StoreError,
      "several workers died over 's0', 's1'; give them more memory"),
     (ConnectionResetError("gone"), "lost", StoreError,
      "the dask scheduler or all its workers are gone; complete signals are kept"),
     (OSError(28, "No space left on device", "a.zarr"), "error", OSError, "No space left on device: 'a.zarr'")],
)  # fmt: skip
def test_what_ends_a_batch_on_a_scheduler_is_told_in_one_sentence(monkeypatch, error, status, kind, message):
    lost = []
    monkeypatch.setattr(distributed, "as_completed", iter)
    batches = [dict(enumerate(SIGNALS[:2]))]
    with pytest.raises(kind, match=message):
        list(write_on_scheduler(OfAScheduler(error, status), None, batches, lambda: lost.append(True)))
    assert lost == [True], "what dead workers left is swept"


def test_how_far_16_bits_are_off_is_measured_by_a_worker_as_this_machine_may_lack_its_device(monkeypatch):
    class Client:
        def submit(self, work, signal, weights, device, dtype, pure):
            assert (device, pure) == ("cuda:7", False)
            return SimpleNamespace(result=lambda: work(signal, weights, "cpu", dtype))

    monkeypatch.setattr(workers, "scheduler", lambda address: nullcontext({"tcp://a": Client()}[address]))
    there = dispatch.deviation(SIGNALS[0], GOLDEN_WEIGHTS, "cuda:7", "bfloat16", "tcp://a")
    assert there == dispatch.deviation(SIGNALS[0], GOLDEN_WEIGHTS, "cpu", "bfloat16") > 0


def test_a_scheduler_that_does_not_answer_is_named(tmp_path):
    with (
        dask.config.set({"distributed.comm.timeouts.connect": "100ms"}),
        pytest.raises(StoreError, match=r"no dask scheduler answers at tcp://127\.0\.0\.1:9"),
    ):
        build(SIGNALS, tmp_path / "a.zarr", GOLDEN_WEIGHTS, workers="tcp://127.0.0.1:9")
    assert not (tmp_path / "a.zarr").exists()
