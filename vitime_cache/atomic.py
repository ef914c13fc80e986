"""Files that appear whole or not at all."""

from __future__ import annotations

import os
import re
import secrets
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

try:
    import fcntl
except ImportError:  # Windows, where a file that another process has open cannot be removed
    fcntl = None  # type: ignore[assignment]

PARTIAL = ".partial"  # ending of a file that is still being written
_LEFT = re.compile(rf".+\.[0-9a-f]{{8}}{re.escape(PARTIAL)}")


@contextmanager
def replacing(path: Path) -> Iterator[BinaryIO]:
    """Write a file under a temporary name, sync it, and rename it; after an error nothing is left.

    The name is an entry of the folder: to survive a loss of power, the caller must sync the folder too
    (`store.objects`). A killed process leaves the temporary file; `remove_left` removes it.
    """
    partial, file = _begin(path)
    try:
        with file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        partial.replace(path)
    except BaseException:
        partial.unlink(missing_ok=True)
        raise


def write_whole(path: Path, content: bytes) -> None:
    """Write one file whole or not at all, and remove temporary files of killed processes in its folder."""
    remove_left(path.parent)
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
        # A random name, because a writer that was taken for dead may still run.
        partial = path.with_name(f"{path.name}.{secrets.token_hex(4)}{PARTIAL}")
        file = partial.open("xb")
        _lock(file)
        if partial.exists():  # another process may have removed it before it was locked
            return partial, file
        file.close()


def _lock(file: BinaryIO) -> bool:
    """Try to lock a file; return whether this process now holds it alone."""
    if fcntl is None:
        return False
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:  # another process holds it, or the file system has no locks
        return False
    return True
