"""Debian's Chromium over the app, as a person uses it."""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest

ARGS = (
    "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--disable-background-networking",
    "--disable-component-update", "--disable-sync", "--no-first-run",
)  # fmt: skip
# On a link to a page Streamlit's client first looks for its server below that page, and finds it one level up.
PROBE = re.compile(r"/\w+/_stcore/(health|host-config)$")


def chromium() -> str:
    """Path of the browser; skips the test where there is none."""
    for path in (os.environ.get("CHROMIUM", ""), "/usr/bin/chromium", "/usr/bin/chromium-browser"):
        if path and Path(path).exists():
            return path
    pytest.skip("no Chromium: install Debian's package `chromium`, or name the program in CHROMIUM")
