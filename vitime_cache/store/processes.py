"""Writes signals in several local processes; one that dies is replaced, and none outlives the build."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from queue import SimpleQueue

from vitime_cache.child import ERROR, RESULT, Child, Replies, Request, Tell, receive
from vitime_cache.store.objects import StoreError
from vitime_cache.store.workers import Batch, Job, Written, write_noted

ATTEMPTS = 3  # processes that may die over one batch
_jobs: list[Job] = []  # in a worker: its only job


def write_in_processes(jobs: Sequence[Job], batches: Sequence[Batch], lost: Callable[[], object]) -> Iterator[Written]:
    """Yield markers and notes of each batch as its process finishes.

    Parameters
    ----------
    jobs
        One for each process; any of them can write any batch.
    lost
        Called when a process has died, because it may have left unnamed files.

    Raises
    ------
    StoreError
        If several processes have died over one batch.
    """
    waiting = deque(batches)
    died = dict.fromkeys(map(id, batches), 0)
    replies: Replies = SimpleQueue()
    threads = {"OMP_NUM_THREADS": str(max((os.cpu_count() or 1) // len(jobs), 1))} | dict(os.environ)
    with ExitStack() as stack:

        def start(job: Job) -> Child:
            child = Child(environment=threads)
            stack.callback(child.kill)  # unfinished objects have no name yet
            child.begin(_take, job, replies=replies)
            job_of[child] = job
            return child

        job_of: dict[Child, Job] = {}
        idle = list(map(start, jobs[: len(batches)]))
        busy: dict[Request, Batch] = {}
        while waiting or busy:
            while idle and waiting:
                batch = waiting.popleft()
                busy[idle.pop().begin(_write, batch, replies=replies)] = batch
            request, kind, value = receive(replies)
            if kind == ERROR:
                raise value
            batch = busy.pop(request, {})
            if not batch:  # a process has taken the job, or has died over it and then over its batch
                continue
            if kind == RESULT:
                idle.append(request.child)
                yield value
                continue
            lost()
            died[id(batch)] += 1
            if died[id(batch)] == ATTEMPTS:
                names = ", ".join(repr(one.name) for one in batch.values())
                raise StoreError(f"{ATTEMPTS} processes died over {names}; give them more memory, or fewer --workers")
            waiting.appendleft(batch)
            idle.append(start(job_of.pop(request.child)))


def _take(tell: Tell, job: Job) -> None:  # noqa: ARG001
    _jobs[:] = [job]


def _write(tell: Tell, batch: Batch) -> Written:  # noqa: ARG001
    return write_noted(_jobs[0], batch)
