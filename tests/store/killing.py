"""A child process that dies by SIGKILL right before a chosen change of the disk."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable
from pathlib import Path


def die_at(kill_at: int | None) -> Callable[[], int]:
    """Count this process's changes of the disk from now on, and die before the `kill_at`-th; gives the count so far."""
    one_at_a_time = threading.Lock()
    changes = 0

    def counted(function: Callable, *, changes_something: Callable[..., bool] = lambda *_: True) -> Callable:
        def change(*args, **kwargs):
            nonlocal changes
            with one_at_a_time:
                if changes_something(*args):
                    changes += 1
                    if changes == kill_at:
                        os.kill(os.getpid(), signal.SIGKILL)
                return function(*args, **kwargs)

        return change

    # Threads race for the folders they share and all but one find them made: only that one counts, so that the
    # number of changes is the same in every build.
    def makes_a_folder(folder: Path, *_: object) -> bool:
        return not folder.exists() and folder.parent.exists()

    os.fsync = counted(lambda _: None)
    os.replace = counted(os.replace)  # called when a file has its content but not yet its name
    os.mkdir = counted(os.mkdir, changes_something=lambda folder, *_: makes_a_folder(Path(folder)))
    os.unlink, os.rmdir = counted(os.unlink), counted(os.rmdir)  # of a single file, and of whole folders
    return lambda: changes
