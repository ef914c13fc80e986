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
except ImportError:  # Windows, where nobody can remove what another process has open
    fcntl = None  # type: ignore[assignment]

PARTIAL = ".partial"  # ends the name of a file that is still being written
_LEFT = re.compile(rf".+\.[0-9a-f]{{8}}{re.escape(PARTIAL)}")


@contextmanager
def replacing(path: Path) -> Iterator[BinaryIO]:
    """Write a file under another name, sync it, and give it its own; after an error nothing of it is left.

    Its name is an entry of the folder: whoever must survive a loss of power syncs that too (`store.objects`). A process
    that is killed leaves the other name behind; `remove_left` takes it away.
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
    """Write one file whole or not at all, and remove what killed processes have left beside it."""
    remove_left(path.parent)
    with replacing(path) as file:
        file.write(content)


def is_left(name: str) -> bool:
    """Whether a file is called as one that is still being written, or was when its process was killed."""
    return _LEFT.fullmatch(name) is not None


def remove_left(folder: Path) -> None:
    """Remove what killed processes have left in a folder of files that they were writing by `replacing`."""
    left: list[Path] = []
    with suppress(OSError), os.scandir(folder) as entries:
        left = [Path(entry.path) for entry in entries if is_left(entry.name) and entry.is_file(follow_symlinks=False)]
    for partial in left:
        with suppress(OSError):
            if fcntl is None:
                partial.unlink()  # refused while its writer lives
                continue
            with partial.open("rb") as file:
                if _lock(file):
                    partial.unlink()


def _begin(path: Path) -> tuple[Path, BinaryIO]:
    """A new file beside `path`, locked for as long as this process has it open."""
    while True:
        # A writer that was given up for dead may still run: its leftovers must not meet ours under one name.
        partial = path.with_name(f"{path.name}.{secrets.token_hex(4)}{PARTIAL}")
        file = partial.open("xb")
        _lock(file)
        if partial.exists():  # not taken for a leftover before it was locked
            return partial, file
        file.close()


def _lock(file: BinaryIO) -> bool:
    """Whether this process now holds the file alone."""
    if fcntl is None:
        return False
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:  # another process does, or the file system knows no locks
        return False
    return True
