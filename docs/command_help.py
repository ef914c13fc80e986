"""Puts what `vitime-cache COMMAND --help` prints in the place of `{{ help COMMAND }}` on a page."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from typing import Any

PLACE = re.compile(r"\{\{ help ([a-z]*) ?\}\}")


def on_page_markdown(markdown: str, **_: Any) -> str:
    """Called by MkDocs for every page."""
    return PLACE.sub(lambda found: f"```text\n{help_of(found[1])}```", markdown)


def help_of(command: str) -> str:
    """The help text of a command, or of the program for ""."""
    return subprocess.run(
        [sys.executable, "-m", "vitime_cache", *([command] if command else []), "--help"],
        env=os.environ | {"COLUMNS": "100"}, capture_output=True, text=True, check=True,
    ).stdout  # fmt: skip
