"""Build the default store in its own process, so that pages stay responsive and a build outlives a session."""

from __future__ import annotations

import subprocess
import sys
import tempfile
import threading
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

import streamlit as st

from vitime_cache.places import HOME


@dataclass
class Job:
    """One `python -m vitime_cache build`, its output in a temporary file."""

    process: subprocess.Popen[bytes]
    output: IO[bytes] = field(repr=False)

    @property
    def running(self) -> bool:
        """Whether the build is still running."""
        return self.process.poll() is None

    @property
    def failure(self) -> str:
        """The last output of a failed build; empty while it runs or after it succeeded."""
        if self.running or self.process.returncode == 0:
            return ""
        self.output.seek(0)
        text = self.output.read().decode(errors="replace").strip()
        return text[-2000:] or f"the build ended with status {self.process.returncode}"


@st.cache_resource(show_spinner=False)
def _jobs() -> tuple[dict[Path, Job], threading.Lock]:
    return {}, threading.Lock()


def job(store: Path) -> Job | None:
    """The last build of that store that this server started, or None."""
    return _jobs()[0].get(store)


def start(store: Path, weights: Path, tokens: str) -> None:
    """Start building the catalogue into `store`, unless a build of it is running."""
    jobs, lock = _jobs()
    with lock:
        if store in jobs and jobs[store].running:
            return
        output = tempfile.TemporaryFile()  # noqa: SIM115 - open as long as the job is known
        process = subprocess.Popen(command(store, weights, tokens), cwd=HOME, stdout=output, stderr=output)
        jobs[store] = Job(process, output)


def command(store: Path, weights: Path, tokens: str) -> list[str]:
    """The command that builds the catalogue into `store`."""
    options = ["--store", str(store), "--weights", str(weights), "--tokens", tokens, "--quiet"]
    return [sys.executable, "-m", "vitime_cache", "build", *options]
