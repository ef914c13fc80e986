"""Removing signals from a store: what is left is as if it had never been there, whatever comes in between."""

from __future__ import annotations

import os
import shutil
import signal
from collections.abc import Callable
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import pytest

from tests.store.killing import die_at
from tests.store.standin import assert_holds, build, files, make_signal, make_signals, verify
from tests.store.test_verdicts import verdict
from vitime_cache.store import journal as journal_of
from vitime_cache.store.commit import forget
from vitime_cache.store.locations import open_objects
from vitime_cache.store.manifest import LOCK
from vitime_cache.store.objects import StoreError
from vitime_cache.store.reader import open_store
from vitime_cache.store.removal import remove_signal
from vitime_cache.store.verdicts import keep_verdict, stored_verdicts

SIGNALS = make_signals(5, harmonics=1)
KILLS = int(os.environ.get("VITIME_CRASH_KILLS", "16")) // 2
CHILDREN = get_context("forkserver")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    build(SIGNALS, tmp_path / "a.zarr", tokens=["decoder.0"])
    return tmp_path / "a.zarr"


@pytest.mark.parametrize("gone", range(5))
def test_a_signal_is_gone_with_its_files_and_the_last_one_takes_its_place(path: Path, gone: int) -> None:
    assert remove_signal(path, f"s{gone}")
    left = SIGNALS[:gone] + SIGNALS[4:] + SIGNALS[gone + 1 : 4] if gone < 4 else SIGNALS[:4]
    assert_holds(open_store(path), left, tokens=["decoder.0"])
    assert verify(path).problems == ()
    again = path.with_name("again.zarr")
    build(left, again, tokens=["decoder.0"])
    assert files(path).keys() == files(again).keys()


def repaired(path: Path) -> None:
    forget(open_objects(path), {1})
    build([make_signal("s9")], path, tokens=["decoder.0"])  # it takes the free place


def built_anew(path: Path) -> None:
    shutil.rmtree(path)
    build([SIGNALS[0], make_signal("s9"), *SIGNALS[2:]], path, tokens=["decoder.0"])


def exchanged(path: Path) -> None:
    other = path.with_name("b.zarr")
    built_anew(Path(shutil.copytree(path, other)))
    shutil.rmtree(path)
    other.rename(path)


def removed(path: Path) -> None:
    remove_signal(path, "s1")


@pytest.mark.parametrize("change", [removed, repaired, built_anew, exchanged])
def test_what_is_open_never_shows_another_signal_in_the_place_of_one(
    path: Path, change: Callable[[Path], None]
) -> None:
    before = open_store(path)
    change(path)
    assert open_store(path).signal.values[1] in ("s4", "s9")
    for name in ("history", "n_history", "lag_attention", "token_attention"):
        with pytest.raises(StoreError, match="since it was opened a signal was removed or written again, or the store"):
            before[name].sel(signal="s1").load()


def test_a_store_that_was_moved_while_it_was_open_is_told_from_a_damaged_one(path: Path) -> None:
    before = open_store(path)
    path.rename(path.with_name("b.zarr"))
    with pytest.raises(StoreError, match=r"a\.zarr is no store any more: it was moved or deleted"):
        before.history.load()


@pytest.mark.parametrize("name", ["a.zarr", "~a.zarr"])
def test_a_store_is_read_from_the_folder_where_it_was_opened_wherever_the_program_goes_then(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number, folder in enumerate(("one", "two")):
        (tmp_path / folder).mkdir()
        monkeypatch.chdir(tmp_path / folder)
        build(SIGNALS[number : number + 1], name)
    before = open_store(name)
    monkeypatch.chdir(tmp_path / "one")
    assert_holds(before, SIGNALS[1:2])


@pytest.mark.parametrize("per_page", [2, 64])
def test_removing_and_adding_in_any_order_leaves_the_store_that_one_build_would_write(
    tmp_path: Path, per_page: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(journal_of, "MARKERS_PER_PAGE", per_page)
    path, rng, there = tmp_path / "a.zarr", np.random.default_rng(per_page), list[str]()
    by_name = {signal.name: signal for signal in SIGNALS}
    for _ in range(10):
        name = f"s{rng.integers(5)}"
        if name in there:
            assert remove_signal(path, name)
            at, last = there.index(name), there.pop()
            if last != name:
                there[at] = last
        else:
            build([by_name[name]], path)
            there.append(name)
        if there:
            assert_holds(open_store(path), [by_name[name] for name in there])
    assert verify(path).problems == ()


def test_the_only_signal_of_a_store_can_be_removed_and_added_again(tmp_path: Path) -> None:
    path = tmp_path / "a.zarr"
    build(SIGNALS[:1], path)
    assert remove_signal(path, "s0")
    assert open_store(path).sizes["signal"] == 0
    assert verify(path).problems == ()
    build(SIGNALS[:2], path)
    assert_holds(open_store(path), SIGNALS[:2])


def test_what_is_not_there_is_said_and_changes_nothing(path: Path, tmp_path: Path) -> None:
    before = files(path)
    assert not remove_signal(path, "s9")
    assert remove_signal(path, "s1")
    assert not remove_signal(path, "s1")
    assert len(files(path)) < len(before)
    with pytest.raises(StoreError, match="no store at"):
        remove_signal(tmp_path / "nowhere.zarr", "s0")
    assert not (tmp_path / "nowhere.zarr").exists()


def test_answers_about_a_removed_signal_stay_and_are_still_listed(path: Path) -> None:
    group = keep_verdict(path, verdict("s1"))
    remove_signal(path, "s1")
    assert [each.group for each in stored_verdicts(path)] == [group]
    assert verify(path).problems == ()


def test_during_a_build_nothing_is_removed(path: Path) -> None:
    before = files(path)
    with open_objects(path).lock(LOCK), pytest.raises(StoreError, match="another process is building"):
        remove_signal(path, "s1")
    assert files(path) == before


def test_a_damaged_signal_is_not_moved_and_stays_where_it_was(path: Path) -> None:
    (shard,) = (path / "token_attention").glob("c.4.*")
    shard.write_bytes(shard.read_bytes()[:-1] + b"?")
    with pytest.raises(StoreError, match="verify --repair"):
        remove_signal(path, "s1")
    build(SIGNALS, path, tokens=["decoder.0"])
    assert list(open_store(path).signal.values) == [signal.name for signal in SIGNALS]


def test_a_signal_that_was_never_written_is_taken_off_the_plan_and_the_others_stay_on_it(tmp_path: Path) -> None:
    path = tmp_path / "a.zarr"

    class StoppedError(Exception):
        pass

    def stop(progress: object) -> None:
        if getattr(progress, "done", 0) == 2:
            raise StoppedError

    with pytest.raises(StoppedError):
        build(SIGNALS, path, progress=stop)
    for gone, planned in (("s3", ["s0", "s1", "s2", "s4"]), ("s0", ["s1", "s2", "s4"])):
        assert remove_signal(path, gone)
        journal = journal_of.read_journal(open_objects(path))
        assert [entry.name for entry in journal.manifest.entries] == planned
    assert_holds(open_store(path), SIGNALS[1:2])
    build([SIGNALS[1], SIGNALS[2], SIGNALS[4]], path)
    assert verify(path).problems == ()


def child(path: Path, kill_at: int | None, pipe) -> None:
    changes: Callable[[], int] = die_at(kill_at)
    remove_signal(path, "s1")
    pipe.send(changes())


@pytest.mark.slow
@pytest.mark.usefixtures("fork_server")
def test_a_removal_killed_at_any_change_of_the_disk_loses_no_other_signal_and_goes_on(
    tmp_path: Path, path: Path
) -> None:
    pristine = Path(shutil.copytree(path, tmp_path / "pristine.zarr"))

    def run(kill_at: int | None) -> int:
        receiver, sender = CHILDREN.Pipe(duplex=False)
        process = CHILDREN.Process(target=child, args=(path, kill_at, sender))
        process.start()
        sender.close()
        process.join()
        assert process.exitcode == (0 if kill_at is None else -signal.SIGKILL)
        return receiver.recv() if kill_at is None else 0

    left = [SIGNALS[0], SIGNALS[4], SIGNALS[2], SIGNALS[3]]
    for kill_at in sorted({int(point) for point in np.linspace(1, run(None), KILLS)}):
        shutil.rmtree(path)
        shutil.copytree(pristine, path)
        run(kill_at)
        seen = open_store(path)
        by_name = {signal.name: signal for signal in SIGNALS}
        assert_holds(seen, [by_name[name] for name in seen.signal.values], tokens=["decoder.0"])
        if kill_at % 2:
            remove_signal(path, "s1")
            assert_holds(open_store(path), left, tokens=["decoder.0"])
        else:
            build([SIGNALS[1], *left], path, tokens=["decoder.0"])
            assert set(open_store(path).signal.values) == set(by_name)
        assert verify(path).problems == (), kill_at
