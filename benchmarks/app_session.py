"""A browser session without a browser: Streamlit's protocol over a websocket, so that only the server is measured."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Self
from urllib.error import URLError
from urllib.request import urlopen

from streamlit.proto.BackMsg_pb2 import BackMsg
from streamlit.proto.ForwardMsg_pb2 import ForwardMsg
from streamlit.proto.WidgetStates_pb2 import WidgetState, WidgetStates
from websockets.sync.client import ClientConnection, connect
from websockets.typing import Subprotocol

ROOT = Path(__file__).parents[1]
VALUE = {
    "selectbox": "string_value",
    "checkbox": "bool_value",
    "button": "trigger_value",
    "number_input": "double_value",
    "text_area": "string_value",
    "expandable": "bool_value",
    "popover": "bool_value",
}


@dataclass
class Widget:
    """A widget as the server described it: its kind, proto, and the fragment it is in."""

    kind: str
    proto: Any
    fragment: str


@dataclass
class Run:
    """One run of the script: how long it took, and what it showed."""

    seconds: float = 0.0
    cpu: float = 0.0  # seconds of all of the server's threads
    charts: list[str] = field(default_factory=list)
    texts: list[str] = field(default_factory=list)
    alerts: list[str] = field(default_factory=list)
    exceptions: list[str] = field(default_factory=list)
    bytes: int = 0


@dataclass(frozen=True)
class Server:
    """The app in a process of its own."""

    url: str
    pid: int

    def cpu_seconds(self) -> float:
        """Processor time the server has taken, which a busy machine does not stretch."""
        fields = Path(f"/proc/{self.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


class Session:
    """A session with its address and widgets; every method that changes something returns the run it caused."""

    def __init__(self, server: Server) -> None:
        self.server, self.query, self.page_hash = server, "", ""
        self.widgets: dict[str, Widget] = {}
        self.states: dict[str, WidgetState] = {}
        self.opened = connect(
            server.url.replace("http", "ws") + "/_stcore/stream", subprotocols=[Subprotocol("streamlit")], max_size=None
        )

    def __enter__(self) -> Self:
        self.socket: ClientConnection = self.opened.__enter__()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.opened.__exit__(kind, error, at)

    def open(self, page: str = "", query: str = "") -> Run:
        """Go to a page, by the name in its address."""
        self.widgets, self.states, self.query, self.page_hash = {}, {}, query, ""
        return self._run("", page)

    def change(self, label: str, value: Any) -> Run:
        """Give the widget with that label another value."""
        widget = self.widgets[label]
        self.states[widget.proto.id] = WidgetState(id=widget.proto.id, **{VALUE[widget.kind]: value})
        run = self._run(widget.fragment)
        if widget.kind == "button":
            del self.states[widget.proto.id]
        return run

    def _run(self, fragment: str, page: str = "") -> Run:
        message = BackMsg()
        state = message.rerun_script
        state.query_string, state.page_script_hash, state.page_name = self.query, self.page_hash, page
        state.fragment_id = fragment
        state.widget_states.CopyFrom(WidgetStates(widgets=list(self.states.values())))
        run, start, cpu = Run(), time.perf_counter(), self.server.cpu_seconds()
        self.socket.send(message.SerializeToString())
        while not self._receive(run):
            pass
        run.seconds, run.cpu = time.perf_counter() - start, self.server.cpu_seconds() - cpu
        return run

    def _receive(self, run: Run) -> bool:
        """Take one message; whether it says that the script has finished and runs no more."""
        data = self.socket.recv(timeout=300)
        assert isinstance(data, bytes)
        run.bytes += len(data)
        message = ForwardMsg.FromString(data)
        kind = message.WhichOneof("type")
        if kind == "navigation":
            self.page_hash = message.navigation.page_script_hash
        elif kind == "page_info_changed":
            self.query = message.page_info_changed.query_string
        elif kind == "delta" and message.delta.WhichOneof("type") == "new_element":
            self._keep(message.delta, run)
        elif kind == "delta" and message.delta.WhichOneof("type") == "add_block":
            self._keep_fold(message.delta)
        finished = {ForwardMsg.FINISHED_SUCCESSFULLY, ForwardMsg.FINISHED_FRAGMENT_RUN_SUCCESSFULLY}
        return kind == "script_finished" and message.script_finished in finished

    def _keep_fold(self, delta: Any) -> None:
        """Note an expander or popover whose content the server leaves out until it is opened."""
        kind = delta.add_block.WhichOneof("type")
        if kind in ("expandable", "popover") and (fold := getattr(delta.add_block, kind)).id:
            self.widgets[fold.label] = Widget(kind, fold, delta.fragment_id)

    def _keep(self, delta: Any, run: Run) -> None:
        element = delta.new_element
        kind = element.WhichOneof("type")
        proto = getattr(element, kind)
        if kind == "vega_lite_chart":
            run.charts.append(proto.spec)
        elif kind == "exception":
            run.exceptions.append(f"{proto.message}\n" + "\n".join(proto.stack_trace))
        elif kind in ("markdown", "alert"):
            (run.texts if kind == "markdown" else run.alerts).append(proto.body)
        elif hasattr(proto, "label") and hasattr(proto, "id"):
            self.widgets[proto.label] = Widget(kind, proto, delta.fragment_id)


@contextmanager
def served(stores: Path, weights: Path) -> Iterator[Server]:
    """The app in a process of its own over a folder of stores, once it answers."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = int(probe.getsockname()[1])
    with (stores / "server.log").open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "benchmarks.app_server", str(port), str(weights)],
            cwd=ROOT, stdout=log, stderr=log, start_new_session=True,
            env={**os.environ, "VITIME_STORE_FOLDER": str(stores), "NO_COLOR": "1"},
        )  # fmt: skip
    url = f"http://127.0.0.1:{port}"
    try:
        _wait(url, process)
        yield Server(url, process.pid)
    finally:
        os.killpg(process.pid, signal.SIGTERM)
        process.wait(timeout=30)


def _wait(url: str, process: subprocess.Popen[bytes], timeout: float = 60) -> None:
    end = time.monotonic() + timeout
    while time.monotonic() < end:
        if process.poll() is not None:
            raise RuntimeError(f"the server of {url} ended with status {process.returncode}")
        try:
            with urlopen(f"{url}/_stcore/health", timeout=1):
                return
        except (URLError, OSError):
            time.sleep(0.02)
    raise TimeoutError(f"{url} did not answer within {timeout} s")
