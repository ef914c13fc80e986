"""Hostile files tried in a process of its own, with a limit of memory and of time.

    with Isolated(attempt) as child:
        verdict = child.harmless("f.csv", data)

`attempt(path: str)`, a function of a module, uses the file in every way that a person could. A message for a person
is as good an end as none; what else it raises is told by its type; a process that dies or hangs is an answer, too.
"""

from __future__ import annotations

import importlib
import json
import os
import resource
import select
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from types import TracebackType
from typing import Self

from hypothesis import HealthCheck, settings

from vitime_cache.errors import VitimeError

many = settings(max_examples=130, deadline=None, suppress_health_check=list(HealthCheck))

ROOT = Path(__file__).parent.parent


@dataclass(frozen=True)
class Verdict:
    """How an attempt went: "read", "refused" or the type of what it raised, the message, and how long it took."""

    outcome: str
    message: str
    seconds: float


class Isolated:
    """The process.

    Parameters
    ----------
    room
        Bytes it may take beyond what it has when it starts.
    patience
        Seconds after which an attempt counts as hanging.
    """

    def __init__(self, attempt: Callable[[str], object], room: int = 2**30, patience: float = 60.0) -> None:
        where = [attempt.__module__, attempt.__qualname__]
        self.command = [sys.executable, "-m", "tests.isolated", *where, str(room)]
        self.patience = patience
        self.process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        self.folder = TemporaryDirectory(prefix="hostile-")
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None):
        if self.process:
            self.process.kill()
            self.process.communicate()
        self.folder.cleanup()

    def harmless(self, name: str, data: bytes) -> Verdict:
        """What becomes of a file of this name and content, which must be read or refused, and soon."""
        path = Path(self.folder.name, name)
        path.write_bytes(data)
        verdict = self.ask(str(path))
        assert verdict.outcome in ("read", "refused"), verdict
        assert verdict.seconds < 30, verdict  # on a busy machine; a bomb takes minutes
        return verdict

    def ask(self, text: str) -> Verdict:
        """What becomes of `text`; starts another process if the last one died of it."""
        if self.process is None or self.process.poll() is not None:
            pipe = subprocess.PIPE
            # Else every thread reserves 128 MB of addresses that it never uses.
            thrifty = os.environ | {"MALLOC_ARENA_MAX": "1"}
            self.process = subprocess.Popen(
                self.command, cwd=ROOT, env=thrifty, stdin=pipe, stdout=pipe, stderr=subprocess.DEVNULL
            )
            assert self.process.stdout
            self.process.stdout.readline()  # it is ready
        assert self.process.stdin
        assert self.process.stdout
        self.process.stdin.write(json.dumps(text).encode() + b"\n")
        self.process.stdin.flush()
        if not select.select([self.process.stdout], [], [], self.patience)[0]:
            self.process.kill()
            return Verdict("hangs", "", self.patience)
        line = self.process.stdout.readline()
        if not line:
            return Verdict("dies", f"status {self.process.wait()}", 0.0)
        return Verdict(**json.loads(line))


def _serve(module: str, name: str, room: int) -> None:
    attempt = getattr(importlib.import_module(module), name)
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    limit = pages * os.sysconf("SC_PAGE_SIZE") + room
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
    print("ready", flush=True)
    for line in sys.stdin:
        path, start = json.loads(line), time.perf_counter()
        try:
            attempt(path)
            outcome, message = "read", ""
        except VitimeError as error:
            message = str(error)
            for_a_person = Path(path).name in message and "\n" not in message.strip() and len(message) <= 1500
            outcome = "refused" if for_a_person else "no message for a person"
        except BaseException as error:
            outcome, message = type(error).__name__, str(error)
        print(json.dumps(vars(Verdict(outcome, message[:2000], time.perf_counter() - start))), flush=True)


if __name__ == "__main__":
    _serve(sys.argv[1], sys.argv[2], int(sys.argv[3]))
