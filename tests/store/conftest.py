"""A store to be copied, and the fork server that the tests with killed builds start their children from."""

from __future__ import annotations

import os
import shutil
import sys
from multiprocessing import forkserver, get_context
from pathlib import Path

import pytest

from tests.store.standin import build, make_signals

# What a build, a verification and a verdict import on first use, too: each child would spend two seconds on torch.
PRELOADED = [
    "tests.store.standin", "vitime_cache.attention.passes", "vitime_cache.evidence.verdict.mock", "dask.array",
]  # fmt: skip


@pytest.fixture(scope="session")
def built_once(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("built") / "a.zarr"
    build(make_signals(2), path)
    return path


@pytest.fixture
def path_of_two(tmp_path: Path, built_once: Path) -> Path:
    """A store of two signals, to be changed: a copy takes a twentieth of a build's time."""
    return Path(shutil.copytree(built_once, tmp_path / "a.zarr"))


@pytest.fixture(scope="module")
def fork_server():
    """A server that has imported everything and forks within milliseconds; it has no threads for a fork to break."""
    get_context("forkserver").set_forkserver_preload(PRELOADED)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", os.pathsep.join(sys.path))  # Python 3.11 does not tell the server
        forkserver.ensure_running()
