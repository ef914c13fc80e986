"""A file that is being written shows under its name whole or not at all."""

from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.conftest import random_model, small_config
from vitime_cache import atomic
from vitime_cache.atomic import PARTIAL, can_sync_all, remove_left, replacing, sync_all, sync_folder, write_whole
from vitime_cache.errors import in_words
from vitime_cache.model.checkpoint import save_safetensors
from vitime_cache.study.pictures import write_files
from vitime_cache.training.files import RunFiles


def test_a_file_has_its_old_content_until_all_of_the_new_is_written(tmp_path: Path) -> None:
    path = tmp_path / "a"
    path.write_bytes(b"old")
    with replacing(path) as file:
        file.write(b"ne")
        file.flush()
        assert path.read_bytes() == b"old"
        file.write(b"w")
    assert [(one.name, one.read_bytes()) for one in tmp_path.iterdir()] == [("a", b"new")]


@pytest.mark.parametrize("error", [OSError, KeyboardInterrupt])
def test_what_fails_on_the_way_leaves_the_old_file_and_nothing_else(tmp_path: Path, error: type[BaseException]) -> None:
    path = tmp_path / "a"
    path.write_bytes(b"old")

    def fail() -> None:
        with replacing(path) as file:
            file.write(b"ne")
            raise error

    with pytest.raises(error):
        fail()
    assert [(one.name, one.read_bytes()) for one in tmp_path.iterdir()] == [("a", b"old")]


def test_two_writers_of_one_file_do_not_meet_under_a_partial_name(tmp_path: Path) -> None:
    with replacing(tmp_path / "a") as one, replacing(tmp_path / "a") as other:
        one.write(b"1")
        other.write(b"22")
        assert len([path for path in tmp_path.iterdir() if path.name.endswith(PARTIAL)]) == 2
    assert (tmp_path / "a").read_bytes() in (b"1", b"22")


DYING = """
import os, signal, sys
from pathlib import Path
from vitime_cache.atomic import replacing
with replacing(Path(sys.argv[1])) as file:
    file.write(b"half")
    file.flush()
    os.kill(os.getpid(), signal.SIGKILL)
"""


def test_what_a_killed_process_left_is_removed_and_what_a_living_one_writes_stays(tmp_path: Path) -> None:
    killed = subprocess.run([sys.executable, "-c", DYING, str(tmp_path / "a")], check=False)
    assert killed.returncode == -signal.SIGKILL
    (tmp_path / "mine.partial").touch()
    os.mkfifo(tmp_path / f"b.01234567{PARTIAL}")
    assert len(list(tmp_path.glob("a.*"))) == 1
    with replacing(tmp_path / "c") as file:
        file.write(b"1")
        remove_left(tmp_path)
        assert list(tmp_path.glob("a.*")) == []
    assert sorted(path.name for path in tmp_path.iterdir()) == [f"b.01234567{PARTIAL}", "c", "mine.partial"]
    remove_left(tmp_path / "none")


def test_a_file_written_whole_takes_away_what_a_killed_process_left_beside_it(tmp_path: Path) -> None:
    (tmp_path / f"card.html.01234567{PARTIAL}").write_bytes(b"half")
    write_whole(tmp_path / "card.html", b"all of it")
    assert [(one.name, one.read_bytes()) for one in tmp_path.iterdir()] == [("card.html", b"all of it")]


def write_files_to(path: Path) -> None:
    write_files({path: lambda: b"new"}, overwrite=True)


def save_weights(path: Path) -> None:
    save_safetensors(random_model(small_config()), path)


def finish_training(path: Path) -> None:
    files = RunFiles(path)
    with files.held():
        files.save_state({"step": 1})
        assert files.state.parent.name == "there", "a run that is given the file itself finds it"
        save_weights(files.weights)
        files.finish()


@pytest.mark.parametrize(
    "write", [lambda path: write_whole(path, b"new"), write_files_to, save_weights, finish_training]
)
@pytest.mark.parametrize("before", [b"old", None])
def test_every_output_is_written_to_what_a_link_leads_to_and_the_link_stays(
    tmp_path: Path, write: Callable[[Path], object], before: bytes | None
) -> None:
    there, link = tmp_path / "there" / "b.safetensors", tmp_path / "a.safetensors"
    there.parent.mkdir()
    if before and write is not finish_training:  # which refuses what is there
        there.write_bytes(before)
    link.symlink_to("there/b.safetensors")
    write(link)
    assert link.is_symlink()
    assert there.read_bytes() not in (b"", before)
    assert sorted(path.name for path in tmp_path.rglob("*")) == ["a.safetensors", "b.safetensors", "there"]


def test_a_pipe_is_written_to_and_stays_a_pipe(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    write_whole(pipe, b"new")
    assert os.read(reader, 10) == b"new"
    os.close(reader)
    assert [each.is_fifo() for each in tmp_path.iterdir()] == [True]


@pytest.mark.skipif(not can_sync_all(), reason="only Linux syncs a whole file system")
def test_an_error_of_the_disk_ends_a_sync_of_everything(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sync_all(tmp_path)
    monkeypatch.setattr(atomic, "_system_call", lambda: lambda _: -1)
    with pytest.raises(OSError, match=str(tmp_path)):
        sync_all(tmp_path)


def test_a_disk_that_cannot_sync_is_written_to_and_an_error_of_one_that_can_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(_: int) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, "fsync", refuse)
    for number in (errno.EINVAL, errno.ENOTSUP):
        write_whole(tmp_path / "a", os.strerror(number).encode())
        sync_folder(tmp_path)
        assert (tmp_path / "a").read_text() == os.strerror(number)
    number = errno.EIO
    with pytest.raises(OSError, match=f"{os.strerror(number)}: '{tmp_path}/a'"):
        write_whole(tmp_path / "a", b"new")


def test_what_the_system_refuses_names_the_file_that_was_asked_for_and_no_number(tmp_path: Path) -> None:
    with pytest.raises(OSError) as missing:  # noqa: PT011 - its words are checked
        write_whole(tmp_path / "nowhere" / "a", b"new")
    assert in_words(missing.value).startswith(f"{tmp_path}/nowhere/a: no such file or directory; make its folder first")
    full = OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))  # of the output, say
    assert in_words(full) == "no space left on device; make room on this disk, or choose another place"
    assert in_words(OSError(errno.EIO, "Input/output error", "a")) == "a: input/output error"
    assert in_words(OSError("of a library")) == "of a library"
