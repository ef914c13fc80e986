"""Ten sessions at once over a server of its own, one bringing series, while a store is being built."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from benchmarks.app_session import ROOT, Server, Session, served
from vitime_cache.store.reader import open_store
from vitime_cache.ui import own
from vitime_cache.ui.routing import MOVED

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
        for page in ("", "heads", "compare", "head"):
            run = session.open(page, f"store=vitime-mini.zarr&signal={name}&layer=decoder.0&head={head}")
            wrong += run.exceptions + [text for text in run.alerts if "cannot be read" in text]
            if page == "head" and f"{name}, decoder.0, head {head}" not in run.charts[0]:
                wrong.append(f"asked for {name}, head {head}, got {run.charts[0][:200]}")
        session.change("Head", "3")
        wrong += [] if "head=3" in session.query and f"signal={name}" in session.query else [session.query]
    return wrong


def bring(server: Server) -> list[str]:
    """Bring three series, the last one twice; what was wrong."""
    with Session(server) as session:
        first = session.open("ask")
        wrong = first.exceptions
        if "Paste numbers" not in session.widgets:
            return [*wrong, f"the page is not there: {first.texts} {first.alerts}"]
        for numbers in ("1 2 3 4 " * 40, "1 2 3 4 5 6 " * 40, "3 1 2 " * 40, "3 1 2 " * 40):
            run = session.change("Paste numbers", numbers)
            wrong += run.exceptions
            wrong += [] if re.search(r"q=[0-9a-f]{16}", session.query) else [f"no address of its own: {session.query}"]
    return wrong


def test_ten_sessions_see_their_own_choice_while_one_brings_series_and_a_store_is_built(
    server: Server, weights: Path, tmp_path: Path
) -> None:
    command = [sys.executable, "-m", "vitime_cache", "build", "--quiet", "--weights", str(weights)]
    build = subprocess.Popen([*command, "--store", str(tmp_path / "vitime-mini.zarr")], cwd=ROOT)
    with ThreadPoolExecutor(10) as pool:
        brought = pool.submit(bring, server)
        others = [pool.submit(look_about, server, number) for number in range(9)]
        wrong = [text for future in (brought, *others) for text in future.result()]
    assert build.wait(timeout=120) == 0
    assert not wrong
    assert open_store(tmp_path / "vitime-mini.zarr").sizes["signal"] == 29
    assert len(list((tmp_path / own.FOLDER).glob("*.zarr"))) == 3


@pytest.mark.parametrize("page", ["ask", "compare"])  # the page at the root, and one of those below it
def test_a_fresh_server_whose_first_visitor_follows_a_link_shows_the_whole_app(page: str, server: Server) -> None:
    with Session(server) as session:
        run = session.open(page, "store=vitime-mini.zarr")
        assert not run.exceptions
        assert "Store" in session.widgets, "the page ran without its entry point"


def test_an_old_address_leads_on_to_the_page_in_its_place_with_the_same_choice(server: Server) -> None:
    with Session(server) as session:
        for old, page in MOVED.items():
            session.open(page, "signal=white_noise")  # without a period about which a question would begin by itself
            expected = session.page_hash
            run = session.open(old, "signal=white_noise&layer=encoder.1&head=2")
            assert not run.exceptions
            assert session.page_hash == expected, old
            assert {"signal=white_noise", "head=2"} <= set(session.query.split("&")), old
