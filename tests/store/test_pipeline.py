"""The model and the store work at the same time: in order, within bounded memory, and after running out of memory."""

from __future__ import annotations

import threading
import time
from typing import Any

import pytest
import torch

from tests.store import standin
from tests.store.standin import Model, assert_holds, build, files, make_signals
from vitime_cache.errors import Note
from vitime_cache.store import pipeline
from vitime_cache.store.reader import open_store
from vitime_cache.store.writing import SignalWriter


@pytest.fixture(autouse=True)
def _same_second(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "0")


def test_a_device_without_memory_for_a_batch_ends_in_the_same_bytes_with_one_line(tmp_path):
    asked = []

    def narrow(model, signals, tokens, on_tokens):
        asked.append(len(signals))
        if len(signals) > 2:
            standin.capture_batch(model, signals[:1], tokens, on_tokens)  # some of it is written already
            raise torch.OutOfMemoryError("CUDA out of memory")
        return standin.capture_batch(model, signals, tokens, on_tokens)

    with pytest.warns(Note, match="the device is out of memory; continuing with 2 signals per pass") as told:
        report = build(make_signals(7), tmp_path / "narrow.zarr", Model(), capture=narrow, batch_size=5)
    assert asked == [5, 2, 2, 2, 1]
    assert len(told) == 1
    assert report.written == tuple(f"s{i}" for i in range(7))
    build(make_signals(7), tmp_path / "wide.zarr", Model())
    assert files(tmp_path / "narrow.zarr") == files(tmp_path / "wide.zarr")


@pytest.mark.parametrize(
    ("size", "device", "ahead"), [(2, "cpu", pipeline.AHEAD), (1, "cpu", 0), (1, "cuda", pipeline.AHEAD)]
)
def test_the_model_runs_ahead_of_the_disk_up_to_the_bound_unless_a_kill_would_cost_more_than_one_large_signal(
    tmp_path, monkeypatch, size, device, ahead
):
    """With a slow disk, slowest for the first signals. A large signal is one that a pass takes alone."""
    captured: list[str] = []
    lead: list[int] = []
    finish = SignalWriter.finish

    def slow(self: SignalWriter, arrays: Any) -> Any:
        time.sleep(0.2 if self.entry.name in ("s0", "s2") else 0)
        return finish(self, arrays)

    def noted(model, signals, tokens, on_tokens):
        captured.extend(signal.name for signal in signals)
        return standin.capture_batch(model, signals, tokens, on_tokens)

    def told(progress):
        lead.append(len(captured) - progress.done)

    monkeypatch.setattr(SignalWriter, "finish", slow)
    signals, model = make_signals(12), Model()
    model.device = torch.device(device)
    report = build(signals, tmp_path / "a.zarr", model, capture=noted, batch_size=size, progress=told)
    assert report.written == tuple(signal.name for signal in signals)
    assert max(lead) == size * (ahead + 1) - 1  # when the first signal of a batch is committed
    assert_holds(open_store(tmp_path / "a.zarr"), signals)


def test_signals_of_a_batch_are_finished_at_the_same_time(tmp_path, monkeypatch):
    monkeypatch.setattr("os.cpu_count", lambda: 3)
    together = threading.Barrier(3, timeout=20)
    finish = SignalWriter.finish

    def meeting(self: SignalWriter, arrays: Any) -> Any:
        together.wait()  # never passed by fewer than three
        return finish(self, arrays)

    monkeypatch.setattr(SignalWriter, "finish", meeting)
    build(make_signals(3), tmp_path / "a.zarr", Model(), batch_size=3)
    assert_holds(open_store(tmp_path / "a.zarr"), make_signals(3))


def test_a_signal_that_cannot_be_finished_ends_the_build_and_those_before_it_are_kept(tmp_path, monkeypatch):
    finish = SignalWriter.finish

    def failing(self: SignalWriter, arrays: Any) -> Any:
        if self.entry.name == "s3":
            raise OSError("the disk is full")
        return finish(self, arrays)

    monkeypatch.setattr(SignalWriter, "finish", failing)
    with pytest.raises(OSError, match="the disk is full"):
        build(make_signals(8), tmp_path / "a.zarr", Model(), batch_size=2)
    assert_holds(open_store(tmp_path / "a.zarr"), make_signals(2))
    monkeypatch.undo()
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "0")
    build(make_signals(8), tmp_path / "a.zarr", Model())
    build(make_signals(8), tmp_path / "b.zarr", Model())
    assert files(tmp_path / "a.zarr") == files(tmp_path / "b.zarr")
