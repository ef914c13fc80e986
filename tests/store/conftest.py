"""The fork server that the tests with killed builds start their children from."""

from __future__ import annotations

import os
import sys
from multiprocessing import forkserver, get_context

import pytest

# What a build, a verification and a verdict import on first use, too: each child would spend two seconds on torch.
PRELOADED = [
    "tests.store.standin", "vitime_cache.attention.passes", "vitime_cache.evidence.verdict.mock", "dask.array",
]  # fmt: skip


@pytest.fixture(scope="module")
def fork_server():
    """A server that has imported everything and forks within milliseconds; it has no threads for a fork to break."""
    get_context("forkserver").set_forkserver_preload(PRELOADED)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", os.pathsep.join(sys.path))  # Python 3.11 does not tell the server
        forkserver.ensure_running()
