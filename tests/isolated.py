"""Code of ours tried on hostile input in a process of its own, with a limit of memory and of time.

    with Isolated("tests.model.hostile_weights") as child:
        verdict = child.ask(path)

The module named has a function `attempt(text: str) -> str`, which uses what the text names and says in a word how that
went. What it raises is told by its type; a process that dies or hangs is an answer, too.
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
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

ROOT = Path(__file__).parent.parent


@dataclass(frozen=True)
class Verdict:
    """How an attempt went: its word or the type of what it raised, the message, and how long it took."""

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

    def __init__(self, module: str, room: int = 2**30, patience: float = 60.0) -> None:
        self.command = [sys.executable, "-m", "tests.isolated", module, str(room)]
        self.patience = patience
        self.process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None):
        if self.process:
            self.process.kill()
            self.process.communicate()

    def ask(self, text: str) -> Verdict:
        """What becomes of `text`; starts another process if the last one died of it."""
        if self.process is None or self.process.poll() is not None:
            pipe = subprocess.PIPE
            self.process = subprocess.Popen(self.command, cwd=ROOT, stdin=pipe, stdout=pipe, stderr=subprocess.DEVNULL)
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


def _serve(module: str, room: int) -> None:
    attempt = importlib.import_module(module).attempt
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    limit = pages * os.sysconf("SC_PAGE_SIZE") + room
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
    print("ready", flush=True)
    for line in sys.stdin:
        start = time.perf_counter()
        try:
            outcome, message = attempt(json.loads(line)), ""
        except BaseException as error:
            outcome, message = type(error).__name__, str(error)[:2000]
        print(json.dumps(vars(Verdict(outcome, message, time.perf_counter() - start))), flush=True)


if __name__ == "__main__":
    _serve(sys.argv[1], int(sys.argv[2]))
