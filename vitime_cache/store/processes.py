"""Several processes on this machine that write signals: one that dies is replaced, and none outlives the build."""

from __future__ import annotations

import os
import pickle
import signal
import threading
import traceback
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from multiprocessing import get_all_start_methods, get_context, parent_process, set_start_method
from multiprocessing.connection import Connection, wait
from typing import Any

from vitime_cache.store.manifest import Marker
from vitime_cache.store.objects import StoreError
from vitime_cache.store.workers import Batch, Job

ATTEMPTS = 3  # how many processes a batch may bring down
_SPAWN = get_context("spawn")  # a fork would copy the locks of torch's threads


def write_in_processes(
    count: int, job: Job, batches: Sequence[Batch], lost: Callable[[], object]
) -> Iterator[list[Marker]]:
    """Yield the markers of each batch as its process finishes.

    Parameters
    ----------
    lost
        Called when a process has died, which may have left files without a name.

    Raises
    ------
    StoreError
        If a batch has brought down several processes.
    """
    waiting = deque(batches)
    died = dict.fromkeys(map(id, batches), 0)
    with ExitStack() as stack:
        idle = [stack.enter_context(_Worker(job, count)) for _ in range(min(count, len(batches)))]
        busy: dict[Connection, tuple[_Worker, Batch]] = {}
        while waiting or busy:
            while idle and waiting:
                worker, batch = idle.pop(), waiting.popleft()
                worker.give(batch)
                busy[worker.pipe] = worker, batch
            for pipe in wait(list(busy)):
                assert isinstance(pipe, Connection)
                worker, batch = busy.pop(pipe)
                try:
                    done = pipe.recv()
                except (EOFError, OSError):
                    lost()
                    died[id(batch)] += 1
                    if died[id(batch)] == ATTEMPTS:
                        names = ", ".join(repr(one.name) for one in batch.values())
                        raise StoreError(
                            f"{ATTEMPTS} processes died over {names}; give them more memory, or fewer --workers"
                        ) from None
                    waiting.appendleft(batch)
                    idle.append(stack.enter_context(_Worker(job, count)))
                    continue
                if isinstance(done, BaseException):
                    raise done
                idle.append(worker)
                yield done


class _Worker:
    """A process that writes one batch after the other; used as a context, at whose end it is gone."""

    def __init__(self, job: Job, count: int) -> None:
        self.pipe, theirs = _SPAWN.Pipe()
        # As bytes, so that the process reads them, and imports what they need, only when it is ready to.
        self._process = _SPAWN.Process(target=_work, args=(pickle.dumps(job), theirs, count), daemon=True)
        with _ctrl_c_held_back():
            self._process.start()
        theirs.close()  # so that its end shows here when the process dies

    def __enter__(self) -> _Worker:
        return self

    def __exit__(self, *_: object) -> None:
        self._process.kill()  # what it has not finished has no name yet
        self._process.join()
        self.pipe.close()

    def give(self, batch: Batch) -> None:
        """Begin a batch; that the process has died shows when its answer is waited for."""
        try:
            self.pipe.send(batch)
        except OSError:
            return


@contextmanager
def _ctrl_c_held_back() -> Iterator[None]:
    """A terminal sends it to all processes of a command: one that starts here is deaf to it from its first moment."""
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _work(pickled: bytes, pipe: Connection, count: int) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the process that builds, which then ends this one
    threading.Thread(target=_end_with_parent, daemon=True).start()
    # Before torch and others are imported. They read the one once, and by the other they make locks without a name in
    # the system: with one, each process that is killed leaves something that Python complains of at the end.
    os.environ.setdefault("OMP_NUM_THREADS", str(max((os.cpu_count() or 1) // count, 1)))
    if "fork" in get_all_start_methods():
        set_start_method("fork", force=True)
    job: Job = pickle.loads(pickled)
    with suppress(EOFError):
        while True:
            batch = pipe.recv()
            done: Any
            try:
                done = job.write(batch)
            except Exception as error:
                done = _portable(error)
            pipe.send(done)


def _portable(error: Exception) -> Exception:
    """An error as another process can raise it, with the traceback of this one."""
    told = traceback.format_exc()
    try:
        error = pickle.loads(pickle.dumps(error))
    except Exception:  # whatever its class does not support
        error = RuntimeError(f"{type(error).__name__}: {error}")
    error.add_note(told)
    return error


def _end_with_parent() -> None:
    parent = parent_process()
    assert parent is not None
    parent.join()
    os._exit(1)
