"""What `verify` finds: every flipped bit, missing objects, numbers that contradict each other or the model.

VITIME_BIT_FLIPS says how many bits are flipped, one at a time: 20 by default, 2000 before a release.
"""

from __future__ import annotations

import errno
import itertools
import os
import random
import shutil
import signal
from collections.abc import Callable
from multiprocessing import get_context
from multiprocessing.connection import Connection
from pathlib import Path

import numpy as np
import pytest
from filelock import FileLock

from tests.store import standin
from tests.store.killing import die_at
from tests.store.standin import CONFIG, Model, assert_holds, build, files, make_signal, make_signals, verify
from vitime_cache.cli.main import main
from vitime_cache.store import format as store_format
from vitime_cache.store.commit import forget
from vitime_cache.store.info import info
from vitime_cache.store.journal import page_key
from vitime_cache.store.locations import open_objects
from vitime_cache.store.manifest import BUILDING, LOCK, MANIFEST, ROOT, ROOT_LOCK
from vitime_cache.store.objects import StoreError
from vitime_cache.store.reader import open_store
from vitime_cache.store.removal import remove_signal
from vitime_cache.store.repair import repair as take_out

FLIPS = int(os.environ.get("VITIME_BIT_FLIPS", "20"))
SIGNALS = make_signals(3, harmonics=1)
CHILDREN = get_context("forkserver")


@pytest.fixture(autouse=True)
def _same_second(monkeypatch):
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "0")


@pytest.fixture(scope="module")
def pristine(tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("pristine") / "a.zarr"
    build(SIGNALS, path)
    return path


@pytest.fixture
def path(tmp_path, pristine) -> Path:
    """A store of three signals, to be damaged."""
    return Path(shutil.copytree(pristine, tmp_path / "a.zarr"))


def flip(file: Path, bit: int) -> None:
    data = bytearray(file.read_bytes())
    data[bit // 8] ^= 1 << bit % 8
    file.write_bytes(data)


def problems(path: Path) -> list[str]:
    """One line per problem; a manifest that cannot be trusted stops the command."""
    try:
        return [problem.what for problem in verify(path).problems]
    except StoreError as error:
        return [str(error)]


def test_an_untouched_store_is_sound(path):
    found = verify(path)
    assert found.problems == ()
    assert found.signals == 3
    assert found.objects == len(files(path)) - len(
        [MANIFEST, LOCK, ROOT_LOCK, "template", "root", "complete", "markers"]
    )


def test_a_single_flipped_bit_in_any_object_is_found_and_the_object_named(path):
    chance = random.Random()
    contents = files(path)
    for empty in (LOCK, ROOT_LOCK):
        contents.pop(empty)
    keys = list(contents)
    chance.shuffle(keys)
    for key in (keys[i % len(keys)] for i in range(FLIPS)):
        flip(path / key, bit := chance.randrange(8 * len(contents[key])))
        found = problems(path)
        assert any(key in what for what in found), f"bit {bit} of {key}: {found}"
        flip(path / key, bit)
    assert problems(path) == []


def test_a_damaged_head_is_named_by_signal_layer_and_head(path):
    flip(path / "token_attention" / "c.1.0.0.0.0", 8 * 600)
    flip(path / "time_attention" / "c.2.0.0.0.0", 8 * 400)
    flip(path / "history" / "c.0.0", 99)
    assert sorted(problems(path)) == [
        "signal 's0': history/c.0.0 is not what was written",
        "signal 's1', layer encoder.0, head 1: token_attention/c.1.0.0.0.0 is not what was written",
        "signal 's2', layer decoder.0: time_attention/c.2.0.0.0.0 is not what was written",
    ]


def test_an_object_of_another_signal_in_the_place_of_one_is_found(path):
    """Both are valid chunks: only the marker tells them apart."""
    shutil.copy(path / "cls_attention" / "c.0.0.0.0", path / "cls_attention" / "c.1.0.0.0")
    assert problems(path) == ["signal 's1': cls_attention/c.1.0.0.0 is not what was written"]


def test_a_missing_object_and_a_missing_marker_are_found(path):
    (path / "forecast" / "c.1.0").unlink()
    _lose_marker(path, 2)
    found = problems(path)
    assert "signal 's1': forecast/c.1.0 is missing" in found
    assert any("shows 3 signals, but signal 's2' has no marker" in what for what in found)


@pytest.mark.parametrize(
    ("name", "message"),
    [("time_attention", "rows of time_attention do not sum"),
     ("lag_attention", "not the mean of time_attention's diagonals"),
     ("cls_attention", "do not sum to what cls_attention leaves")],
)  # fmt: skip
def test_numbers_that_contradict_each_other_are_found_and_located(tmp_path, name, message):
    real = standin.capture_batch

    def wrong(*args):
        results = real(*args)
        results[0][name][1, 0] *= 1.01
        results[0][name][1, 0] += 0.01
        return results

    build(SIGNALS[:1], tmp_path / "a.zarr", capture=wrong)
    found = problems(tmp_path / "a.zarr")
    assert any(message in what for what in found)
    assert all(what.startswith("signal 's0', layer decoder.0, head 0: ") for what in found)


def test_token_maps_that_contradict_cls_attention_are_found_and_located(tmp_path, monkeypatch):
    real = standin.token_map
    monkeypatch.setattr(
        standin, "token_map", lambda *args: real(*args) * (1.01 if args[2:] == ("encoder.0", 1) else 1)
    )  # fmt: skip
    build(SIGNALS[:1], tmp_path / "a.zarr", Model())
    assert "signal 's0', layer encoder.0, head 1: rows of token_attention do not sum to what cls_attention leaves" in (
        problems(tmp_path / "a.zarr")
    )


def test_a_chunk_that_was_written_with_a_wrong_checksum_is_found_and_located(tmp_path, monkeypatch):
    """Its marker agrees with it: only decoding shows it."""
    real, heads = store_format.encode_map, itertools.count()

    def encode_map(*args):
        parts = real(*args)
        return parts if next(heads) < 3 else [parts[0][:-4] + b"????", *parts[1:]]

    monkeypatch.setattr(store_format, "encode_map", encode_map)
    build(SIGNALS[:1], tmp_path / "a.zarr", Model())
    (found,) = problems(tmp_path / "a.zarr")
    assert found.startswith("signal 's0', layer decoder.0, head 1: token_attention cannot be decoded")


def test_maps_that_differ_from_those_of_the_model_are_found_by_recomputing(path, monkeypatch):
    assert verify(path, Model(), SIGNALS, sample=2).recomputed == ("s0", "s1")
    assert verify(path, Model(), SIGNALS[1:], sample=2).problems == ()
    real = standin.token_map
    monkeypatch.setattr(standin, "token_map", lambda *args: real(*args)[:, ::-1] if args[3] == 1 else real(*args))
    found = verify(path, Model(), SIGNALS, sample=1)
    assert found.recomputed == ("s0",)
    assert any("'s0', layer decoder.0, head 1: token_attention is off by" in problem.what for problem in found.problems)
    assert not any("head 0" in problem.what for problem in found.problems)


def test_inputs_that_are_not_in_the_store_are_not_recomputed(path):
    assert verify(path, Model(), make_signals(2, seed=1)).recomputed == ()


def test_other_weights_cannot_verify(path):
    other = Model(weights=standin.WeightsInfo("other", "6" * 64))
    with pytest.raises(StoreError, match=r"built by .*standin.*, not by .*other"):
        verify(path, other, SIGNALS)


def removed(path: Path) -> None:
    remove_signal(path, "s0")


def added(path: Path) -> None:
    build(make_signals(4, harmonics=1), path, Model())


@pytest.mark.parametrize("change", [removed, added])
def test_a_store_that_has_changed_since_it_was_verified_is_not_repaired(path, change):
    """The last signal takes the place of one that is removed; a commit makes a signal whole that was not."""
    flip(next(path.glob("history/c.0.*")), 50)
    found = verify(path)
    assert {each.place for each in found.problems} == {0}
    change(path)
    before = files(path)
    with pytest.raises(StoreError, match="has changed since it was verified"):
        take_out(path, found)
    assert files(path) == before
    if change is removed:
        assert verify(path).problems == ()


def test_repairing_and_building_again_restores_every_byte(path):
    before = files(path)
    for key in ("token_attention/c.0.0.0.0.0", "lag_attention/zarr.json", "signal/c.0", "complete/c.0", "zarr.json"):
        flip(path / key, 50)
    (path / "history" / "c.2.0").unlink()
    forget(open_objects(path), {problem.place for problem in verify(path).problems if problem.place is not None})
    assert open_store(path).signal.values.tolist() == []  # s0 is to be written again, and s1 after it waits
    build(SIGNALS, path, Model())
    assert files(path) == before
    assert verify(path).problems == ()


def child(pipe: Connection, kill_at: int | None, change: Callable[..., object], *args: object) -> None:
    """Change a store, and die by SIGKILL right before the `kill_at`-th change of the disk."""
    os.environ["SOURCE_DATE_EPOCH"] = "0"  # the fork server is older than the test
    changes = die_at(kill_at)
    change(*args)
    pipe.send(changes())


def repair(path: Path) -> None:
    forget(open_objects(path), {1, 3})


def run(kill_at: int | None, change: Callable[..., object], *args: object) -> int:
    """Number of changes of the disk that a process made which was not killed."""
    receiver, sender = CHILDREN.Pipe(duplex=False)
    process = CHILDREN.Process(target=child, args=(sender, kill_at, change, *args))
    process.start()
    sender.close()
    process.join()
    assert process.exitcode == (0 if kill_at is None else -signal.SIGKILL)
    return receiver.recv() if kill_at is None else kill_at - 1


@pytest.fixture
def damaged(tmp_path) -> tuple[Path, dict[str, bytes]]:
    """Four signals, one in the middle and the last of them damaged, and the files as they were written."""
    path = tmp_path / "damaged.zarr"
    build(make_signals(4), path, tokens="none")
    before = files(path)
    _damage(path, 1)
    _damage(path, 3)
    return path, before


def _damage(path: Path, place: int) -> None:
    for name in ("history", "cls_attention"):
        flip(next(path.glob(f"{name}/c.{place}.*")), 50)


@pytest.mark.usefixtures("fork_server")
def test_a_repair_killed_before_any_change_of_the_disk_shows_no_damage_that_it_has_begun_to_remove(tmp_path, damaged):
    pristine, before = damaged
    path = tmp_path / "killed.zarr"
    changes = run(None, repair, Path(shutil.copytree(pristine, path)))
    found = problems(pristine)
    for kill_at in (*range(1, 12), *range(12, changes, 8), changes):
        shutil.rmtree(path)
        shutil.copytree(pristine, path)
        run(kill_at, repair, path)
        ds = open_store(path)
        if kill_at <= 7:  # the note is there, and the root has its new content, but not yet its name
            assert ds.sizes["signal"] == 4
        else:
            assert_holds(ds, make_signals(1), tokens=())
        assert [what for what in problems(path) if "complete/c.0" not in what] == [
            what for what in found if not what.startswith(_forgotten(path))
        ]
        repair(path)
        build(make_signals(4), path, tokens="none")
        assert files(path) == before


def mend(path: Path) -> None:
    """What `verify --repair` does."""
    take_out(path, verify(path))


@pytest.mark.usefixtures("fork_server")
def test_the_next_repair_removes_what_a_killed_one_left_half_written(tmp_path, damaged):
    pristine, _ = damaged
    (pristine / "mine.partial").touch()
    path = tmp_path / "killed.zarr"
    changes = run(None, mend, Path(shutil.copytree(pristine, path)))
    left = 0
    for kill_at in range(1, changes, max(changes // 8, 1)):
        shutil.rmtree(path)
        shutil.copytree(pristine, path)
        run(kill_at, mend, path)
        left += len(list(path.rglob("*.*.partial")))
        mend(path)
        assert [file.name for file in path.rglob("*.partial")] == ["mine.partial"], kill_at
    assert left > 0


def _forgotten(path: Path) -> tuple[str, ...]:
    """How lines about signals without a marker begin."""
    kept = (path / page_key(0)).read_text()
    return tuple(f"signal 's{place}'" for place in range(4) if f'"s{place}"' not in kept)


def _lose_marker(path: Path, place: int) -> None:
    page = path / page_key(0)
    lines = page.read_bytes().splitlines(keepends=True)
    page.write_bytes(b"".join(line for number, line in enumerate(lines) if number != place))


@pytest.mark.usefixtures("fork_server")
def test_a_build_over_a_lost_marker_hides_what_it_replaces_before_it_changes_anything(tmp_path):
    pristine = tmp_path / "pristine.zarr"
    build(make_signals(4), pristine, tokens="none")
    _damage(pristine, 1)
    _lose_marker(pristine, 1)
    others = [make_signal("another", n=60, horizon=80)]
    path = tmp_path / "killed.zarr"
    changes = run(None, _build, others, Path(shutil.copytree(pristine, path)))
    found_again = make_signals(4)[2:]  # once the build is through
    for kill_at in (*range(8, 17, 2), *range(17, changes, 12)):
        shutil.rmtree(path)
        shutil.copytree(pristine, path)
        run(kill_at, _build, others, path)
        ds = open_store(path)
        assert_holds(ds, [*make_signals(1), *others, *found_again][: ds.sizes["signal"]], tokens=())
    build(others, path, tokens="none")


def _build(signals: list, path: Path) -> None:
    build(signals, path, tokens="none")


def test_info_tells_what_is_in_a_store(path):
    build(make_signals(5, harmonics=1), path, Model())
    found = info(path)
    assert [signal["name"] for signal in found["signals"]] == [f"s{i}" for i in range(5)]
    assert found["visible"] == 5
    assert found["weights"]["sha256"] == standin.WEIGHTS.sha256
    assert found["config"] == CONFIG.to_dict()
    data = [key for key in files(path) if key.split("/")[0] in found["bytes"] and "/c." in key]
    assert found["total"] == sum((path / key).stat().st_size for key in data)
    assert found["total"] == sum(signal["bytes"] for signal in found["signals"])
    (path / ROOT).unlink()
    assert info(path) == found | {"visible": 0}


@pytest.mark.parametrize("look", [info, verify])
def test_a_place_without_a_store_cannot_be_inspected(tmp_path, look):
    with pytest.raises(StoreError, match="no store at"):
        look(tmp_path / "a.zarr")
    assert files(tmp_path) == {}


def test_recomputing_finds_a_real_capture_equal(tmp_path, golden_model):
    signals = [standin.make_signal("a", n=200, horizon=300)]
    build(signals, tmp_path / "a.zarr", golden_model, capture=None)
    found = verify(tmp_path / "a.zarr", golden_model, signals, capture=None)
    assert found.recomputed == ("a",)
    assert found.problems == ()
    assert np.isfinite(open_store(tmp_path / "a.zarr").token_attention).all()


@pytest.mark.parametrize(("begun", "flag", "sound"), [(True, 1, True), (False, 1, False), (True, 2, False)])
def test_flags_behind_their_markers_are_sound_only_if_a_build_was_killed_and_they_are_flags(
    tmp_path, begun, flag, sound
):
    path = tmp_path / "s.zarr"
    build(make_signals(4), path, tokens="none")
    values = np.zeros(store_format.SIGNALS_PER_CHUNK, np.uint8)
    values[:2] = flag
    (path / "complete/c.0").write_bytes(values.tobytes() + store_format.checksum(values.tobytes()))
    if begun:
        (path / BUILDING).write_bytes(b"")
    assert (problems(path) == []) == sound


@pytest.mark.parametrize("refusal", [errno.EACCES, errno.EROFS])
def test_a_repair_of_a_store_that_can_only_be_read_is_one_line_if_it_has_to_write(path, refusal, monkeypatch, capsys):
    def refuse(lock: FileLock, *_: object, **__: object) -> None:
        raise OSError(refusal, os.strerror(refusal), lock.lock_file)  # what the system says to anyone but root

    monkeypatch.setattr(FileLock, "acquire", refuse)
    command = ["verify", str(path), "--sample", "0", "--repair"]
    assert main(command) == 0
    assert capsys.readouterr().err == ""
    (path / "journal" / "markers.0.jsonl.0123abcd.partial").touch()
    before = files(path)
    assert main(command) == 1
    said = capsys.readouterr().err.replace("\n", " ")
    assert f"error: {path} cannot be written to: {os.strerror(refusal).lower()}; change what it permits" in said
    assert files(path) == before
