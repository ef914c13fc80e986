"""Files that appear whole or not at all."""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

PARTIAL = ".partial"  # ends the name of a file that is still being written


@contextmanager
def replacing(path: Path) -> Iterator[BinaryIO]:
    """Write a file under another name, sync it, and give it its own; after an error nothing of it is left.

    Its name is an entry of the folder: whoever must survive a loss of power syncs that too (`store.objects`).
    """
    # A writer that was given up for dead may still run: its leftovers must not meet ours under one name.
    partial = path.with_name(f"{path.name}.{secrets.token_hex(4)}{PARTIAL}")
    try:
        with partial.open("wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        partial.replace(path)
    except BaseException:
        partial.unlink(missing_ok=True)
        raise
