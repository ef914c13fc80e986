"""Files that appear whole or not at all."""

from __future__ import annotations

import ctypes
import errno
import os
import re
import secrets
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path
from typing import BinaryIO

try:
    import fcntl
except ImportError:  # Windows, where a file that another process has open cannot be removed
    fcntl = None  # type: ignore[assignment]

FileStamp = tuple[int, int, int]
PARTIAL = ".partial"  # ending of a file that is still being written
PARTS_AT_ONCE = 1024  # that one system call writes
_LEFT = re.compile(rf".+\.[0-9a-f]{{8}}{re.escape(PARTIAL)}")


def behind(path: str | Path) -> Path:
    """The file that an output of this name is written to: of a link what it leads to, which need not exist yet."""
    return Path(os.path.realpath(path)) if Path(path).is_symlink() else Path(path)


def is_special(path: Path) -> bool:
    """Whether there is a pipe or a device of this name, which is no file to replace."""
    return path.exists() and not (path.is_file() or path.is_dir())


@contextmanager
def replacing(path: Path) -> Iterator[BinaryIO]:
    """Write a file under a temporary name, sync it, and rename it; after an error nothing is left.

    The name is an entry of the folder: to survive a loss of power, the caller must sync the folder too
    (`store.objects`). A killed process leaves the temporary file; `remove_left` removes it. A link stays a link
    (`behind`); a pipe or a device, such as /dev/null, has no content to replace and is written to as it is.
    """
    if is_special(path):
        with path.open("wb") as special:
            yield special
        return
    path = behind(path)
    with named(path):
        partial, file = _begin(path)
        try:
            with file:
                yield file
                file.flush()
                sync(file.fileno())
            partial.replace(path)
        except BaseException:
            partial.unlink(missing_ok=True)
            raise


def write_unsynced(path: str, parts: Sequence[bytes]) -> None:
    """Write a file under a temporary name and rename it; only `sync_all` makes sure of its content and its name.

    With system calls alone: for a small file `replacing` takes more than twice as long, most of it Python, which only
    one thread runs at a time.
    """
    partial = _partial(path)
    with named(path):
        descriptor = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o666)
        try:
            try:
                written = os.writev(descriptor, parts[:PARTS_AT_ONCE])
                if written < sum(map(len, parts)):  # the system may write less than it is given
                    rest = memoryview(b"".join(parts))[written:]
                    while rest:
                        rest = rest[os.write(descriptor, rest) :]
            finally:
                os.close(descriptor)
            os.replace(partial, path)  # noqa: PTH105
        except BaseException:
            with suppress(FileNotFoundError):
                os.unlink(partial)  # noqa: PTH108
            raise


@contextmanager
def named(path: str | Path) -> Iterator[None]:
    """Let an error of the system name this file: of a full disk it names none, else perhaps a temporary file."""
    try:
        yield
    except OSError as error:
        if error.errno is not None and (error.filename is None or str(error.filename).endswith(PARTIAL)):
            error.filename = str(path)
        raise


def can_sync_all() -> bool:
    """Whether `sync_all` works on this system."""
    return _system_call() is not None


def sync_all(folder: Path) -> None:
    """Sync everything on the file system of a folder, in one go.

    On ext4 this took 0.08 s for 636 new files of 160 kB, and 0.3 s for each by itself in four threads.
    """
    call = _system_call()
    assert call is not None
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        if call(descriptor):
            number = ctypes.get_errno()
            raise OSError(number, os.strerror(number), str(folder))
    finally:
        os.close(descriptor)


def sync_folder(folder: Path) -> None:
    """Sync the names in a folder; Windows, which opens no folder, keeps them by itself."""
    if not hasattr(os, "O_DIRECTORY"):
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        sync(descriptor)
    finally:
        os.close(descriptor)


def sync(descriptor: int) -> None:
    """Sync an open file or folder, where its file system can: some network disks refuse, above all for folders."""
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno not in (errno.EINVAL, errno.ENOSYS, errno.ENOTSUP, errno.EOPNOTSUPP):
            raise


@cache
def _system_call() -> Callable[[int], int] | None:
    """Linux's syncfs, which other systems lack, from the version on that tells of a failed write."""
    version = re.match(r"(\d+)\.(\d+)", os.uname().release) if sys.platform == "linux" else None
    if version is None or (int(version[1]), int(version[2])) < (5, 8):
        return None
    return getattr(ctypes.CDLL(None, use_errno=True), "syncfs", None)


def file_stamp(path: Path) -> FileStamp:
    """What tells a file from another of its name: the time of its last change, its size, and its inode."""
    found = path.stat()
    return found.st_mtime_ns, found.st_size, found.st_ino


def oldest_first(paths: Iterable[Path]) -> dict[Path, float]:
    """Path -> the time of its last change, oldest first, without those that another process has removed meanwhile."""
    found = {}
    for path in paths:
        with suppress(FileNotFoundError):
            found[path] = path.stat().st_mtime
    return dict(sorted(found.items(), key=lambda each: each[1]))


def write_whole(path: Path, content: bytes) -> None:
    """Write one file whole or not at all, and remove temporary files of killed processes in its folder."""
    remove_left(behind(path).parent)
    with replacing(path) as file:
        file.write(content)


def is_left(name: str) -> bool:
    """Whether this is the name of a temporary file, of a running or a killed process."""
    return _LEFT.fullmatch(name) is not None


def remove_left(folder: Path) -> None:
    """Remove the temporary files that killed processes left in a folder."""
    left: list[Path] = []
    with suppress(OSError), os.scandir(folder) as entries:
        left = [Path(entry.path) for entry in entries if is_left(entry.name) and entry.is_file(follow_symlinks=False)]
    for partial in left:
        with suppress(OSError):
            if fcntl is None:
                partial.unlink()  # fails while its writer is running
                continue
            with partial.open("rb") as file:
                if _lock(file):
                    partial.unlink()


def _begin(path: Path) -> tuple[Path, BinaryIO]:
    """Create a temporary file next to `path`, locked as long as this process has it open."""
    while True:
        partial = Path(_partial(str(path)))
        file = partial.open("xb")
        _lock(file)
        if partial.exists():  # another process may have removed it before it was locked
            return partial, file
        file.close()


def _partial(path: str) -> str:
    """A temporary name; random, because a writer that was taken for dead may still run."""
    return f"{path}.{secrets.token_hex(4)}{PARTIAL}"


def _lock(file: BinaryIO) -> bool:
    """Try to lock a file; return whether this process now holds it alone."""
    if fcntl is None:
        return False
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:  # another process holds it, or the file system has no locks
        return False
    return True
