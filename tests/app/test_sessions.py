"""Ten sessions at once over a server of its own, one running live, while a store is being built."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from benchmarks.app_session import ROOT, Server, Session, served
from vitime_cache.store.reader import open_store
from vitime_cache.ui.routing import PAGES

SIGNALS = ("full", "reduced_harmonic", "harmonic_63", "white_noise")


@pytest.fixture
def server(built: Path, weights: Path, tmp_path: Path) -> Iterator[Server]:
    shutil.copytree(built, tmp_path / built.name)
    with served(tmp_path, weights.parent) as server:
        yield server
    assert "Traceback" not in (tmp_path / "server.log").read_text()


def look_about(server: Server, number: int) -> list[str]:
    """Go through the pages with a choice of one's own; what was wrong."""
    name, head = SIGNALS[number % 4], str(number % 3)
    wrong = []
    with Session(server) as session:
        for page in ("", "heatmap", "lags", "heads", "compare", "heatmap"):
            run = session.open(page, f"store=vitime-mini.zarr&signal={name}&layer=decoder.0&head={head}")
            wrong += run.exceptions + [text for text in run.alerts if "cannot be read" in text]
            if page == "heatmap" and f"{name}, decoder.0, head {head}" not in run.charts[0]:
                wrong.append(f"asked for {name}, head {head}, got {run.charts[0][:200]}")
        session.change("Head", "3")
        wrong += [] if "head=3" in session.query and f"signal={name}" in session.query else [session.query]
    return wrong


def run_live(server: Server) -> list[str]:
    """Run the model three times; what was wrong."""
    wrong = []
    with Session(server) as session:
        session.open("live")
        for _ in range(3):
            run = session.change("Run the model", True)
            wrong += run.exceptions + run.alerts
            wrong += [] if any("composed" in chart for chart in run.charts) else ["no chart of the run"]
    return wrong


def test_ten_sessions_see_their_own_choice_while_one_runs_live_and_a_store_is_built(
    server: Server, weights: Path, tmp_path: Path
) -> None:
    command = [sys.executable, "-m", "vitime_cache", "build", "--quiet", "--weights", str(weights)]
    build = subprocess.Popen([*command, "--store", str(tmp_path / "vitime-mini.zarr")], cwd=ROOT)
    with ThreadPoolExecutor(10) as pool:
        live = pool.submit(run_live, server)
        others = [pool.submit(look_about, server, number) for number in range(9)]
        wrong = [text for future in (live, *others) for text in future.result()]
    assert build.wait(timeout=120) == 0
    assert not wrong
    assert open_store(tmp_path / "vitime-mini.zarr").sizes["signal"] == 29


@pytest.mark.parametrize("page", PAGES)
def test_a_fresh_server_whose_first_visitor_follows_a_link_shows_the_whole_app(page: str, server: Server) -> None:
    with Session(server) as session:
        run = session.open(page, "store=vitime-mini.zarr")
        assert not run.exceptions
        assert "Store" in session.widgets, "the page ran without its entry point"
