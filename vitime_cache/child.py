"""A child Python process that works on requests: the app's model runs in one, and so do a build's workers.

It is started by `subprocess`, because `multiprocessing` would run the main module again: under Streamlit, the app.
Requests and replies are pickles on its standard input and output. Their content is pickled separately, so that the
thread that reads the pipe imports nothing, and content is unpickled where it is used.

A request that arrives during another one runs first, as soon as the other reports its progress.
"""

from __future__ import annotations

import itertools
import os
import pickle
import signal
import subprocess
import sys
import threading
import time
import traceback
from collections.abc import Callable, Mapping
from contextlib import suppress
from functools import partial
from multiprocessing import get_all_start_methods, set_start_method
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import Any, NoReturn

from vitime_cache.threads import WAITING

# Callback for replies of a running request: a kind and its content.
Tell = Callable[[str, Any], None]

# Ends of a request: a result, an error, or stopped as requested; the process died or hung over it; or the process ended
# because of something else, so that the request is not at fault.
RESULT, ERROR, STOPPED, DIED, HUNG, LOST = "result", "error", "stopped", "died", "hung", "lost"
ENDS = frozenset({RESULT, ERROR, STOPPED, DIED, HUNG, LOST})
_BEGUN, _ALIVE = "begun", "alive"  # replies of the process itself
_BEAT = 1.0  # seconds between two signs of life
_BUSY = 0.01  # share of a processor that counts as a sign of life
_START = "import sys; sys.path[:] = {path!r}; from vitime_cache.child import serve; serve()"


class _StopError(Exception):
    """Nobody waits for the result of a request any more."""


class Child:
    """The process; safe to use from many threads.

    Parameters
    ----------
    silence
        Seconds without a sign of life after which a working process is ended; None waits for ever. Signs of life are
        progress of its main thread and use of a processor, so slow work is not silence.
    environment
        Environment variables in addition to those of this process.
    """

    def __init__(self, silence: float | None = None, environment: Mapping[str, str] | None = None) -> None:
        path = [str(Path(each).absolute()) for each in sys.path]
        self._process = subprocess.Popen(
            [sys.executable, "-c", _START.format(path=path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            env={**WAITING, **os.environ, **(environment or {})},
            start_new_session=True,  # Ctrl-C is for this process alone
        )  # fmt: skip
        self.pid = self._process.pid
        self._lock, self._numbers = threading.Lock(), itertools.count()
        self._requests: dict[int, Request] = {}
        self._begun: list[int] = []  # the last of them is being worked on
        self._heard, self._ended = 0, False
        self._killed_for: tuple[int | None, str] = None, DIED
        self._outbox: SimpleQueue[tuple[int, bytes | None] | None] = SimpleQueue()
        threading.Thread(target=self._talk, daemon=True).start()
        threading.Thread(target=self._listen, daemon=True).start()
        if silence is not None:
            threading.Thread(target=self._watch, args=(silence,), daemon=True).start()

    @property
    def alive(self) -> bool:
        """Whether the process accepts requests."""
        return not self._ended and self._process.poll() is None

    def begin(self, work: Callable[..., Any], *arguments: Any, replies: Replies | None = None) -> Request:
        """Let the process call `work(tell, *arguments)`; if it has died, the reply says so.

        Parameters
        ----------
        replies
            A queue shared by several requests; None gives the request its own.
        """
        content = pickle.dumps((work, arguments))
        with self._lock:
            request = Request(self, next(self._numbers), SimpleQueue() if replies is None else replies)
            if self._ended:
                request.put(LOST)
            self._requests[request.number] = request
        self._outbox.put((request.number, content))
        return request

    def stop(self, request: Request) -> None:
        """Request the end of a request, which comes when it next reports its progress."""
        self._outbox.put((request.number, None))

    def kill(self, over: Request | None = None, how: str = DIED) -> None:
        """End the process at once, and all its requests with it.

        Parameters
        ----------
        over
            The request that is the reason; None means the current one. The other requests end as LOST.
        how
            The end of that request.
        """
        with self._lock:
            self._killed_for = None if over is None else over.number, how
        self._process.kill()
        self._process.wait()
        self._outbox.put(None)

    def _talk(self) -> None:
        assert self._process.stdin
        with suppress(OSError), self._process.stdin as pipe:
            while (message := self._outbox.get()) is not None:
                pickle.dump(message, pipe)
                pipe.flush()

    def _listen(self) -> None:
        assert self._process.stdout
        with suppress(EOFError, OSError, pickle.UnpicklingError), self._process.stdout as pipe:
            while True:
                number, kind, content = pickle.load(pipe)
                self._heard += 1
                if kind != _ALIVE:
                    self._take(number, kind, content)
        with self._lock:
            self._ended = True
            fault, how = self._killed_for
            faults = self._begun[-1:] if fault is None else [fault]
            for number, request in self._requests.items():
                request.put(how if number in faults else LOST)
        self._outbox.put(None)
        self._process.wait()

    def _take(self, number: int, kind: str, content: bytes) -> None:
        with self._lock:
            if kind == _BEGUN:
                self._begun.append(number)
                return
            request = self._requests[number]
            if kind in ENDS:
                del self._requests[number]
                self._begun.remove(number)
            request.put(kind, content)

    def _watch(self, silence: float) -> None:
        """Count silent moments in this process, so that a suspended machine does not count as silence."""
        heard, silent = self._heard, 0.0
        while self.alive:
            time.sleep(_BEAT)
            silent = silent + _BEAT if heard == self._heard and self._requests else 0.0
            heard = self._heard
            if silent >= silence:
                self.kill(how=HUNG)


class Request:
    """One request to a process, and its replies."""

    def __init__(self, child: Child, number: int, replies: Replies) -> None:
        self.child, self.number, self._replies = child, number, replies

    def put(self, kind: str, content: bytes = b"") -> None:
        """Add a reply."""
        self._replies.put((self, kind, content))

    def reply(self, timeout: float | None = None) -> tuple[str, Any] | None:
        """The next reply as (kind, content), or None after the timeout; the last reply is one of `ENDS`."""
        with suppress(Empty):
            return receive(self._replies, timeout)[1:]
        return None

    def leave(self, patience: float) -> None:
        """Stop the request; end the process if that takes longer than `patience` seconds."""
        self.child.stop(self)
        end = time.monotonic() + patience
        while (reply := self.reply(max(end - time.monotonic(), 0))) is not None:
            if reply[0] in ENDS:
                return
        self.child.kill(over=self)


Replies = SimpleQueue[tuple[Request, str, bytes]]


def receive(replies: Replies, timeout: float | None = None) -> tuple[Request, str, Any]:
    """The next reply to any request as (request, kind, content); raises `Empty` after the timeout."""
    request, kind, content = replies.get(timeout=timeout)
    return request, kind, pickle.loads(content) if content else None


def serve() -> None:
    """Work on requests until the process that started this one ends."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    replies = os.fdopen(os.dup(sys.stdout.fileno()), "wb")
    if sys.stderr is None:  # the standard error of the process that started this one is closed
        sys.stderr = open(os.devnull, "w")  # noqa: PTH123, SIM115
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())  # so that output of libraries is not read as a reply
    # Otherwise locks of libraries would be named in the system: a killed process would leave some, and Python would
    # warn about them at exit.
    if "fork" in get_all_start_methods():
        set_start_method("fork", force=True)
    _Server(replies).run()


class _Server:
    """The inside of the process: the main thread works, one thread reads requests, one sends signs of life."""

    def __init__(self, pipe: Any) -> None:
        self._pipe, self._writing = pipe, threading.Lock()
        self._inbox: SimpleQueue[tuple[int, bytes | None]] = SimpleQueue()
        self._open: list[int] = []
        self._stopped: set[int] = set()
        for thread in (self._read, self._beat):
            threading.Thread(target=thread, daemon=True).start()

    def run(self) -> None:
        while True:
            self._take(*self._inbox.get())

    def _take(self, number: int, content: bytes | None) -> None:
        if content is None:
            self._stopped.update({number} & set(self._open))
            return
        self._open.append(number)
        self._send(number, _BEGUN, b"")
        try:
            work, arguments = pickle.loads(content)
            kind, reply = RESULT, pickle.dumps(work(partial(self._tell, number), *arguments))
        except _StopError:
            kind, reply = STOPPED, b""
        except Exception as error:
            kind, reply = ERROR, pickle.dumps(_portable(error))
        self._open.remove(number)
        self._stopped.discard(number)
        self._send(number, kind, reply)

    def _tell(self, number: int, kind: str, value: Any) -> None:
        self._send(number, kind, pickle.dumps(value))
        with suppress(Empty):
            while True:
                self._take(*self._inbox.get_nowait())
        if number in self._stopped:
            raise _StopError

    def _send(self, number: int, kind: str, content: bytes) -> None:
        try:
            with self._writing:
                pickle.dump((number, kind, content), self._pipe)
                self._pipe.flush()
        except OSError:
            _end()

    def _read(self) -> None:
        with suppress(Exception):
            while True:
                self._inbox.put(pickle.load(sys.stdin.buffer))
        _end()

    def _beat(self) -> None:
        main = threading.main_thread().ident
        assert main is not None
        seen: tuple[int, int] | None = None
        while True:
            used = time.process_time()
            time.sleep(_BEAT)
            frame = sys._current_frames().get(main)
            now = None if frame is None else (id(frame), frame.f_lasti)
            if not self._open or now != seen or time.process_time() - used > _BUSY * _BEAT:
                self._send(-1, _ALIVE, b"")
            seen = now
            del frame


def _end() -> NoReturn:
    """End at once, because the parent has ended; unfinished files here have no name yet."""
    os._exit(0)


def _portable(error: Exception) -> Exception:
    """An error that another process can raise, with the traceback of this process."""
    told = traceback.format_exc()
    try:
        error = pickle.loads(pickle.dumps(error))
    except Exception:  # its class may not support pickling
        error = RuntimeError(f"{type(error).__name__}: {error}")
    error.add_note(told)
    return error
