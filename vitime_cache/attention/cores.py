"""Threads that each run torch on one core: small tasks are quicker side by side than each spread over the cores."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterable
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from functools import lru_cache
from typing import TypeVar

import torch

Item = TypeVar("Item")

_starting = threading.RLock()  # while workers start, torch.get_num_threads() may return 1


def workers(*, side_by_side: bool) -> ThreadPoolExecutor:
    """A worker for each core, each running torch on one thread, or else one worker for which torch uses all cores."""
    with _starting:
        threads = torch.get_num_threads()
        return _single_threaded(threads) if side_by_side and threads > 1 else ThreadPoolExecutor(1)


def _single_threaded(threads: int) -> ThreadPoolExecutor:
    """A pool whose workers each run torch on one thread.

    torch keeps a number of threads for each thread, and a process-wide number that new threads start with. Setting the
    first also sets the second, so all workers start here and the process-wide number is restored.
    """
    started = threading.Barrier(threads + 1)

    def start() -> None:
        try:
            torch.set_num_threads(1)
        finally:
            started.wait()

    pool = ThreadPoolExecutor(threads, thread_name_prefix="core", initializer=start)
    with _starting:
        found = torch.get_num_threads()
        try:
            for _ in range(threads):
                pool.submit(int)
            started.wait()
        finally:
            torch.set_num_threads(found)
    return pool


def on_cores(task: Callable[[Item], object], items: Iterable[Item]) -> None:
    """Run `task` on every item; no task is still running when this returns or raises."""
    with _starting:
        threads = torch.get_num_threads()
        pool = _kept(threads) if threads > 1 else None
    if pool is None:
        for item in items:
            task(item)
        return
    futures = [pool.submit(task, item) for item in items]
    try:
        wait(futures, return_when=FIRST_EXCEPTION)
    finally:
        for future in futures:
            future.cancel()
        wait(futures)
    for future in futures:
        if not future.cancelled():
            future.result()


@lru_cache
def _kept(threads: int) -> ThreadPoolExecutor:
    """The process's own pool: starting threads costs more than a head of a small network."""
    return _single_threaded(threads)


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_kept.cache_clear)  # threads do not survive a fork
