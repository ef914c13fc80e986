"""Builds that end at the worst moment: SIGKILL at chosen and at random instants, again and again, and loss of power.

The number of kills is VITIME_CRASH_KILLS: 16 by default, 200 before a release.
"""

from __future__ import annotations

import os
import random
import shutil
import signal
import time
import traceback
import warnings
from dataclasses import dataclass
from multiprocessing import get_context
from multiprocessing.connection import Connection
from pathlib import Path

import pytest
import xarray as xr

from tests.store.killing import die_at
from tests.store.standin import Model, assert_holds, build, files, make_signals, verify
from vitime_cache.store import local_objects
from vitime_cache.store.manifest import ROOT
from vitime_cache.store.objects import StoreError
from vitime_cache.store.reader import open_store

KILLS = int(os.environ.get("VITIME_CRASH_KILLS", "16"))
SIGNALS = make_signals(4, harmonics=1)

CHILDREN = get_context("forkserver")
pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("fork_server")]


@pytest.fixture(autouse=True)
def _same_second(monkeypatch):
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "0")


@dataclass
class Run:
    """How a building process ended, and what it had said until then."""

    exitcode: int
    committed: int = 0
    changes: int = 0  # of the disk, in all
    seconds: float = 0.0


def child(path: Path, kill_at: int | None, pipe: Connection) -> None:
    """Build, report each commit, and die by SIGKILL right before the `kill_at`-th change of the disk."""
    os.environ["SOURCE_DATE_EPOCH"] = "0"  # the fork server is older than the test
    changes = die_at(kill_at)
    start = time.monotonic()
    build(SIGNALS, path, Model(), progress=lambda progress: pipe.send(("committed", progress.done)))
    pipe.send(("changes", changes()))
    pipe.send(("seconds", time.monotonic() - start))


def run(path: Path, *, kill_at: int | None = None, kill_after: float | None = None) -> Run:
    receiver, sender = CHILDREN.Pipe(duplex=False)
    process = CHILDREN.Process(target=child, args=(path, kill_at, sender))
    process.start()
    sender.close()
    if kill_after is not None:
        process.join(kill_after)
        process.kill()
    process.join()
    ended = Run(process.exitcode)
    try:
        while True:
            setattr(ended, *receiver.recv())
    except EOFError:
        return ended


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory) -> tuple[Run, dict[str, bytes]]:
    """A build that nobody interrupted, and its files."""
    path = tmp_path_factory.mktemp("undisturbed") / "a.zarr"
    ended = run(path)
    assert (ended.exitcode, ended.committed) == (0, len(SIGNALS))
    return ended, files(path)


def assert_readers_see_only_what_is_committed(path: Path, ended: Run) -> None:
    if not (path / ROOT).exists():
        assert ended.committed == 0
        return
    ds = open_store(path)
    assert ds.sizes["signal"] >= ended.committed
    assert_holds(ds, SIGNALS[: ds.sizes["signal"]])
    assert all("interrupted while it set up" in problem.what for problem in verify(path).problems)


def assert_resumes_to(path: Path, expected: dict[str, bytes]) -> None:
    build(SIGNALS, path, Model())
    assert files(path) == expected


def spread(points: int) -> list[int]:
    """A quarter of the kills over 1 … points, the ends included; each point once if there are enough kills."""
    return sorted({1 + i * (points - 1) // (KILLS // 4 - 1) for i in range(KILLS // 4)})


def test_undisturbed_builds_change_the_disk_equally_often(tmp_path, undisturbed):
    ended, expected = undisturbed
    again = run(tmp_path / "a.zarr")
    assert again.changes == ended.changes  # or a kill at a chosen change would come too late now and then
    assert files(tmp_path / "a.zarr") == expected


def test_a_build_killed_before_any_change_of_the_disk_is_resumed_to_the_same_bytes(tmp_path, undisturbed):
    ended, expected = undisturbed
    for kill_at in spread(ended.changes):
        path = tmp_path / f"{kill_at}.zarr"
        killed = run(path, kill_at=kill_at)
        assert killed.exitcode == -signal.SIGKILL
        assert_readers_see_only_what_is_committed(path, killed)
        assert_resumes_to(path, expected)


def test_a_build_killed_while_it_adds_signals_is_resumed_to_the_same_bytes(tmp_path, undisturbed):
    _, expected = undisturbed
    build(SIGNALS[:2], tmp_path / "two.zarr", Model())
    shutil.copytree(tmp_path / "two.zarr", tmp_path / "all.zarr")
    changes = run(tmp_path / "all.zarr").changes
    for kill_at in spread(changes):
        path = tmp_path / f"{kill_at}.zarr"
        shutil.copytree(tmp_path / "two.zarr", path)
        killed = run(path, kill_at=kill_at)
        killed.committed += 2
        assert_readers_see_only_what_is_committed(path, killed)
        assert_resumes_to(path, expected)


def test_a_build_killed_at_a_random_instant_is_resumed_to_the_same_bytes(tmp_path, undisturbed):
    ended, expected = undisturbed
    random_ = random.Random(0)
    for number in range(KILLS // 4):
        path = tmp_path / f"{number}.zarr"
        killed = run(path, kill_after=random_.uniform(0, ended.seconds))
        assert_readers_see_only_what_is_committed(path, killed)
        assert_resumes_to(path, expected)


def test_a_build_killed_again_and_again_ends_in_the_same_bytes(tmp_path, undisturbed):
    _, expected = undisturbed
    path, visible = tmp_path / "a.zarr", 0
    random_ = random.Random(0)
    for _ in range(KILLS // 4):
        killed = run(path, kill_at=random_.randint(1, 60))
        killed.committed += visible
        assert_readers_see_only_what_is_committed(path, killed)
        visible = open_store(path).sizes["signal"] if (path / ROOT).exists() else 0
    assert_resumes_to(path, expected)


def test_the_lock_of_a_killed_build_is_free_and_that_of_a_living_one_is_not(tmp_path):
    path = tmp_path / "a.zarr"
    run(path, kill_at=100)

    def build_beside(progress):
        if progress.done == 1:
            with pytest.raises(StoreError, match="another process is building"):
                build(SIGNALS, path, Model())

    assert len(build(SIGNALS, path, Model(), progress=build_beside).written) > 0


@pytest.mark.parametrize("in_one_go", [True, False])
def test_after_a_loss_of_power_everything_that_a_commit_lists_is_on_disk(tmp_path, monkeypatch, in_one_go):
    """At the moment a marker, or the root, gets its name, all that came before has its content and its name on disk."""
    synced, unsynced, unsynced_names, commits = set(), set(), set(), 0
    real_replace, real_mkdir = os.replace, Path.mkdir

    def fsync(descriptor: int) -> None:
        path = Path(f"/proc/self/fd/{descriptor}").readlink()
        if path.is_dir():
            unsynced_names.difference_update([name for name in unsynced_names if name.parent == path])
        else:
            synced.add(path)

    def sync_all(folder: Path) -> None:
        assert folder == path
        unsynced.clear()
        unsynced_names.clear()

    def replace(partial: str | Path, target: str | Path) -> None:
        nonlocal commits
        target = Path(target)
        if Path(partial) not in synced:
            assert in_one_go
            assert target.name.startswith("c.")  # an object of one signal, which nothing lists yet
            assert not target.exists()
            unsynced.add(target)
        if target == path / ROOT or target.name.startswith("markers-"):
            assert unsynced | unsynced_names == set()
            commits += 1
        unsynced_names.add(target)
        real_replace(partial, target)

    def mkdir(folder: Path, *args, **options) -> None:
        if not folder.exists():  # a lock asks for its folder again
            unsynced_names.add(folder)
        real_mkdir(folder, *args, **options)

    path = tmp_path / "a.zarr"
    monkeypatch.setattr(os, "fsync", fsync)
    monkeypatch.setattr(os, "replace", replace)
    monkeypatch.setattr(local_objects, "can_sync_all", lambda: in_one_go)
    monkeypatch.setattr(local_objects, "sync_all", sync_all)
    monkeypatch.setattr(Path, "mkdir", mkdir)
    build(SIGNALS, path, Model())
    assert commits == 2 * len(SIGNALS) + 1
    assert unsynced_names == set()


def poll(path: Path, polls, stop, pipe: Connection) -> None:
    """Open and read the whole store, through our function and through plain xarray, until told to stop."""
    seen, failures = [], []
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        while not stop.is_set():
            for opened in (open_store, xr.open_zarr):
                is_there = (path / ROOT).exists()
                try:
                    ds = opened(path)
                    assert_holds(ds.load(), SIGNALS[: ds.sizes["signal"]])
                    seen.append(ds.sizes["signal"])
                except Exception:
                    if is_there:
                        failures.append(traceback.format_exc())
            polls.value += 1
    pipe.send((seen, failures))


def test_a_reader_that_polls_through_builds_never_fails_and_never_sees_an_unfinished_signal(tmp_path):
    path = tmp_path / "a.zarr"
    receiver, sender = CHILDREN.Pipe(duplex=False)
    stop, polls = CHILDREN.Event(), CHILDREN.Value("i")
    reader = CHILDREN.Process(target=poll, args=(path, polls, stop, sender))
    reader.start()

    def wait_for_reader(*_) -> None:
        goal = polls.value + 2
        while polls.value < goal and reader.is_alive():
            time.sleep(0.01)

    wait_for_reader()
    build(SIGNALS[:2], path, Model(), progress=wait_for_reader)
    while run(path, kill_at=60).exitcode:  # killed, resumed and grown under the reader's eyes
        pass
    wait_for_reader()
    stop.set()
    seen, failures = receiver.recv()
    reader.join()
    assert failures == []
    assert seen == sorted(seen)
    assert set(seen) >= {0, 1, 2, len(SIGNALS)}
