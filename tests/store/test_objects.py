"""What a store asks of its place, kept alike by a folder and behind a URL."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path

import fsspec
import pytest

from vitime_cache import atomic
from vitime_cache.store import local_objects
from vitime_cache.store.locations import open_objects
from vitime_cache.store.objects import ObjectError, Objects, StoreError, stamp

DATA = b"abcdef"


@pytest.fixture(params=["folder", "memory"])
def objects(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Objects]:
    """An object of six bytes, and three in folders."""
    found = open_objects(tmp_path / "a.zarr" if request.param == "folder" else "memory://contract/a.zarr")
    for key in ("six", "folder/one", "folder/deeper/two", "folders/three"):
        assert found.put(key, [DATA[:2], DATA[2:]]) == stamp([DATA])
    yield found
    fsspec.filesystem("memory").store.clear()


def test_any_part_of_an_object_is_that_part_of_its_bytes(objects: Objects) -> None:
    for start in range(8):
        for stop in range(start, 9):
            assert objects.read("six", start, stop) == DATA[start:stop]
    for count in range(1, 9):
        assert objects.tail("six", count) == DATA[-count:]
    assert (objects.get("none"), objects.read("none", 0, 3), objects.tail("none", 3)) == (None, b"", None)
    assert objects.get_many(["none", "six"]) == [None, DATA]


def test_several_objects_are_written_or_replaced_at_once(objects: Objects, monkeypatch: pytest.MonkeyPatch) -> None:
    several = {"six": [b"a", b"bc"], "new/folder/four": [b"d"] * 2000, "new/none": []}
    for written_short in (False, True):
        if written_short:  # as the system may at any time
            monkeypatch.setattr(os, "writev", lambda descriptor, parts: os.write(descriptor, b"".join(parts)[:2]))
        assert objects.put_many(several) == {key: stamp(parts) for key, parts in several.items()}
        objects.flush()
        assert {key: objects.get(key) for key in several} == {key: b"".join(parts) for key, parts in several.items()}
        assert sorted(objects.names()) == ["folder", "folders", "new", "six"]
    assert objects.put_many({}) == {}


@pytest.mark.parametrize("objects", ["folder"], indirect=True)
def test_an_object_among_several_that_cannot_be_written_leaves_nothing(
    objects: Objects, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "writev", lambda *_: (_ for _ in ()).throw(OSError(28, "No space left on device")))
    with pytest.raises(OSError, match=r"No space left on device: '.*a\.zarr/folder/deeper/two'"):
        objects.put_many({"folder/deeper/two": [b"new"]})
    assert (objects.get("folder/deeper/two"), objects.names("folder/deeper/")) == (DATA, ["two"])


@pytest.mark.skipif(not atomic.can_sync_all(), reason="needs Linux")
@pytest.mark.parametrize("objects", ["folder"], indirect=True)
def test_after_a_flush_that_failed_no_other_thread_takes_its_objects_for_synced(
    objects: Objects, monkeypatch: pytest.MonkeyPatch
) -> None:
    told_once = iter([OSError(5, "Input/output error")])
    monkeypatch.setattr(local_objects, "sync_all", lambda _: (_ for _ in ()).throw(next(told_once)))
    objects.put_many({"mine": [b"a"]})
    for _ in range(2):
        with pytest.raises(OSError, match="Input/output error"):
            objects.flush()


def test_an_object_is_read_up_to_the_limit_and_refused_above_it(objects: Objects) -> None:
    assert objects.get("six", 6) == DATA
    for read in (lambda: objects.get("six", 5), lambda: objects.get_many(["folder/one", "six"], 5)):
        with pytest.raises(ObjectError, match="more than the 5"):
            read()


def test_256_megabytes_are_the_most_that_is_read_at_once_where_no_other_limit_is_given(tmp_path: Path) -> None:
    (tmp_path / "large").touch()
    os.truncate(tmp_path / "large", 256 * 1024 * 1024 + 1)  # a file of zeros that takes no room
    with pytest.raises(ObjectError, match="has 268,435,457 bytes, more than the 268,435,456 allowed"):
        open_objects(tmp_path).get("large")


def test_sizes_and_names_are_those_of_the_objects_that_are_there(objects: Objects) -> None:
    assert objects.sizes() == dict.fromkeys(["six", "folder/one", "folder/deeper/two", "folders/three"], 6)
    assert objects.sizes_of(["six", "none", "folder/one"]) == {"six": 6, "folder/one": 6}
    assert sorted(objects.names()) == ["folder", "folders", "six"]
    assert sorted(objects.names("folder/")) == ["deeper", "one"]
    assert objects.names("none/") == []


def test_removing_deletes_what_was_named_and_nothing_else_and_ignores_missing_objects(objects: Objects) -> None:
    objects.delete(["none", "six", "folder/none"])
    objects.delete([])
    assert objects.sizes().keys() == {"folder/one", "folder/deeper/two", "folders/three"}
    objects.delete_below("folder/")
    objects.delete_below("none/")
    assert objects.sizes().keys() == {"folders/three"}


@pytest.mark.parametrize("objects", ["folder"], indirect=True)
@pytest.mark.parametrize("pieces", [1, 2])
def test_a_disk_that_is_full_when_a_piece_is_synced_is_told_with_the_name_of_the_object_and_nothing_is_left(
    objects: Objects, monkeypatch: pytest.MonkeyPatch, pieces: int
) -> None:
    """Told while the next piece is written, in a thread that reports it before the file is closed, or at the end."""
    monkeypatch.setattr(local_objects, "SYNC_BYTES", 1)
    monkeypatch.setattr(local_objects, "sync", lambda _: (_ for _ in ()).throw(OSError(28, "No space left on device")))
    told: list[str] = []

    def write() -> None:
        with objects.stream("folder/new") as stream:
            for _ in range(pieces):
                try:
                    stream.write(DATA)
                except OSError as error:
                    told.append(str(error))
                    raise

    named = r"No space left on device: '.*a\.zarr/folder/new'"
    with pytest.raises(OSError, match=named):
        write()
    assert [bool(re.search(named, each)) for each in told] == [True] * (pieces - 1)
    assert sorted(objects.names("folder/")) == ["deeper", "one"]


@pytest.mark.parametrize("objects", ["folder"], indirect=True)  # fsspec's memory shows what is being written
def test_an_object_that_is_streamed_appears_whole_at_the_end(objects: Objects) -> None:
    with objects.stream("folder/new") as stream:
        stream.write(DATA)
        assert objects.get("folder/new") is None
        stream.write(DATA)
    assert (objects.get("folder/new"), stream.stamp) == (DATA + DATA, stamp([DATA + DATA]))


@pytest.mark.parametrize("objects", ["folder"], indirect=True)
def test_an_object_whose_writing_is_interrupted_stays_what_it_was(objects: Objects) -> None:
    def interrupted() -> None:
        with objects.stream("six") as stream:
            stream.write(b"half")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert (objects.get("six"), sorted(objects.names())) == (DATA, ["folder", "folders", "six"])


@pytest.mark.parametrize("key", ["../six", "folder/../six", "/six", "folder//one", "./six", "a\\b", "a\0b"])
def test_a_key_that_is_not_below_the_place_is_refused(objects: Objects, key: str) -> None:
    for use in (
        lambda: objects.get(key), lambda: objects.put(key, [b"new"]), lambda: objects.put_many({key: [b"new"]}),
        lambda: objects.read(key, 0, 1), lambda: objects.delete([key]),
    ):  # fmt: skip
        with pytest.raises(StoreError, match="is not a place in a store"):
            use()
    assert objects.get("six") == DATA
