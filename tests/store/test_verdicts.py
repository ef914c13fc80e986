"""Verdicts in a store: kept once, replaced whole, seen by nobody who did not ask for them."""

from __future__ import annotations

import os
import signal
import warnings
from multiprocessing import get_context
from multiprocessing.connection import Connection
from pathlib import Path

import numpy as np
import pytest
import xarray as xr

from tests.store.standin import WEIGHTS, build, files, make_signals, verify
from vitime_cache.evidence import verdict as schema
from vitime_cache.evidence.mock_verdict import mock_verdict
from vitime_cache.store.objects import StoreError, open_objects
from vitime_cache.store.reader import open_store
from vitime_cache.store.verdicts import (
    damaged_verdicts,
    find_verdict,
    keep_verdict,
    open_verdict,
    remove_verdicts,
    stored_verdicts,
)

SIGNALS = make_signals(2)
PARTLY_THEN_WHOLLY = [schema.STAGES[:1], schema.STAGES]
KILLS = int(os.environ.get("VITIME_CRASH_KILLS", "16")) // 4


@pytest.fixture(autouse=True)
def _quick(monkeypatch):
    monkeypatch.setattr(os, "fsync", lambda _: None)


@pytest.fixture
def path(tmp_path) -> Path:
    build(SIGNALS, tmp_path / "a.zarr")
    return tmp_path / "a.zarr"


def verdict(signal: str = "s0", period: float = 64.0, **options) -> xr.Dataset:
    ds = mock_verdict(None, signal, period, **options)
    question = schema.facts(ds, "question") | {"weights": WEIGHTS.name, "weights_sha256": WEIGHTS.sha256}
    return schema.with_facts(ds, question=question, created="2000-01-01T00:00:00+00:00")


def test_a_verdict_is_read_back_as_it_was_by_us_and_by_plain_xarray_without_a_warning(path):
    kept = verdict()
    group = keep_verdict(path, kept)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert xr.open_zarr(f"{path}/{group}").load().identical(kept)
        assert xr.open_zarr(path, group=group, consolidated=False).load().identical(kept)
        assert open_verdict(path, group).identical(kept)
        assert find_verdict(path, schema.facts(kept, "question")).identical(kept)
    (found,) = stored_verdicts(path)
    assert (found.signal, found.complete, found.group) == ("s0", True, group)
    assert found.question == schema.facts(kept, "question")


def test_readers_of_the_root_see_no_change(path):
    before, root = open_store(path), (path / "zarr.json").read_bytes()
    keep_verdict(path, verdict())
    assert (path / "zarr.json").read_bytes() == root
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for options in ({}, {"chunks": None}, {"consolidated": False}):
            assert xr.open_zarr(path, **options).load().identical(before.load())


def test_keeping_the_same_verdict_again_writes_nothing(path):
    group = keep_verdict(path, verdict())
    stamps = {file: file.stat().st_mtime_ns for file in path.rglob("*") if file.name != "lock"}
    assert keep_verdict(path, verdict()) == group
    assert {file: file.stat().st_mtime_ns for file in path.rglob("*") if file.name != "lock"} == stamps


def test_another_question_is_kept_beside_and_a_fuller_answer_takes_the_place_of_the_earlier(path):
    keep_verdict(path, verdict(period=32.0))
    for stages in PARTLY_THEN_WHOLLY:
        keep_verdict(path, verdict(stages=stages))
        found = find_verdict(path, schema.facts(verdict(), "question"))
        assert found.identical(verdict(stages=stages))
        assert len(stored_verdicts(path)) == len(list((path / "evidence").glob("*-*"))) == 2
    assert {kept.question["period"] for kept in stored_verdicts(path)} == {32.0, 64.0}


@pytest.mark.parametrize("name", ["../../evil", "a/b", "", "日本", "x" * 300, "..", "a-7"])
def test_whatever_a_signal_is_called_its_verdict_stays_in_its_folder(path, name):
    outside = set(path.parent.rglob("*")) - set(path.rglob("*"))
    group = keep_verdict(path, verdict(name))
    assert set(path.parent.rglob("*")) - set(path.rglob("*")) == outside
    assert (path / group).resolve().parent == (path / "evidence").resolve()
    assert [kept.signal for kept in stored_verdicts(path)] == [name]


def test_a_build_leaves_verdicts_alone_also_when_it_cleans_up(path):
    group = keep_verdict(path, verdict())
    before = files(path / "evidence")
    (path / "history" / "c.7.0.0123abcd.partial").write_text("of a killed build")

    def interrupt(progress):
        if progress.done == 1:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        build(make_signals(4), path, progress=interrupt)
    build(make_signals(4), path)
    assert files(path / "evidence") == before
    assert open_verdict(path, group).identical(verdict())
    assert verify(path).problems == ()


def test_a_verdict_of_other_weights_is_refused(path):
    before = files(path)
    with pytest.raises(StoreError, match="is of the weights standin, the verdict of mock"):
        keep_verdict(path, mock_verdict())
    with pytest.raises(StoreError, match="no store at"):
        keep_verdict(path.with_name("none.zarr"), verdict())
    with pytest.raises(schema.VerdictError, match="lacks the variable"):
        keep_verdict(path, verdict().drop_vars("slope"))
    assert files(path) == before


def test_verify_finds_every_flipped_bit_of_a_verdict_and_repair_takes_it_out(path):
    group, other = keep_verdict(path, verdict()), keep_verdict(path, verdict(period=32.0))
    pristine = files(path)
    keys = [key for key in pristine if key.startswith((group, "journal/evidence/s0-64"))]
    chance = np.random.default_rng()
    for key in chance.choice(keys, 20):
        data = bytearray(pristine[key])
        bit = int(chance.integers(8 * len(data)))
        data[bit // 8] ^= 1 << bit % 8
        (path / key).write_bytes(data)
        found = verify(path).problems
        assert [problem.verdict for problem in found] == [group], f"bit {bit} of {key}"
        (path / key).write_bytes(pristine[key])
    (path / group / "slope" / "c" / "0" / "0").unlink()
    assert [what for _, what in damaged_verdicts(open_objects(path))] == [
        f"verdict {group}: {group}/slope/c/0/0 is missing"
    ]
    remove_verdicts(path, [group])
    assert [kept.group for kept in stored_verdicts(path)] == [other]
    assert verify(path).problems == ()


def child(path: Path, kill_at: int | None, pipe: Connection) -> None:
    """Keep a verdict, first in part, and die right before the `kill_at`-th change of the disk."""
    changes = 0

    def counted(function):
        def change(*args, **kwargs):
            nonlocal changes
            changes += 1
            if changes == kill_at:
                os.kill(os.getpid(), signal.SIGKILL)
            return function(*args, **kwargs)

        return change

    os.fsync = counted(lambda _: None)
    Path.replace, Path.unlink, os.unlink, os.rmdir = map(counted, (Path.replace, Path.unlink, os.unlink, os.rmdir))
    for number, stages in enumerate(PARTLY_THEN_WHOLLY, start=1):
        keep_verdict(path, verdict(stages=stages))
        pipe.send(("kept", number))
    pipe.send(("changes", changes))


@pytest.mark.usefixtures("fork_server")
def test_a_process_killed_while_it_keeps_a_verdict_loses_none_and_shows_none_by_halves(path):
    context = get_context("forkserver")
    question = schema.facts(verdict(), "question")

    def run(kill_at: int | None) -> dict[str, int]:
        receiver, sender = context.Pipe(duplex=False)
        process = context.Process(target=child, args=(path, kill_at, sender))
        process.start()
        sender.close()
        process.join()
        said = {}
        try:
            while True:
                name, value = receiver.recv()
                said[name] = value
        except EOFError:
            return said

    changes = run(None)["changes"]
    for kill_at in sorted({int(point) for point in np.linspace(1, changes, KILLS)}):
        remove_verdicts(path, [f"evidence/{folder.name}" for folder in (path / "evidence").glob("*-*")])
        kept = run(kill_at).get("kept", 0)
        found = find_verdict(path, question)
        shown = [one for one in PARTLY_THEN_WHOLLY if found is not None and found.identical(verdict(stages=one))]
        assert shown == [] if found is None else len(shown) == 1
        assert kept <= (PARTLY_THEN_WHOLLY.index(shown[0]) + 1 if shown else 0) <= kept + 1
        assert verify(path).problems == ()
        assert keep_verdict(path, verdict()) == stored_verdicts(path)[0].group
        assert [folder.name for folder in (path / "evidence").glob("*-*")] == [
            stored_verdicts(path)[0].group.removeprefix("evidence/")
        ]


def test_verdicts_behind_a_url():
    url = "memory://verdicts.zarr"
    build(SIGNALS, url)
    for stages in PARTLY_THEN_WHOLLY:
        group = keep_verdict(url, verdict(stages=stages))
    assert [kept.group for kept in stored_verdicts(url)] == [group]
    assert open_verdict(url, group).identical(verdict())
    assert verify(url).problems == ()


def test_a_verdict_by_another_method_is_no_answer_and_stays_where_it_is(path):
    old = schema.with_facts(verdict(), question=schema.facts(verdict(), "question") | {"method": 1})
    group = keep_verdict(path, old)
    assert stored_verdicts(path) == []
    assert find_verdict(path, schema.facts(verdict(), "question")) is None
    keep_verdict(path, verdict())
    assert [kept.group for kept in stored_verdicts(path)] != [group]
    assert xr.open_zarr(f"{path}/{group}").load().identical(old)
    assert verify(path).problems == ()
