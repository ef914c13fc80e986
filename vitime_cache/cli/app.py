"""`app`: the pages over the stores, in a browser."""

from __future__ import annotations

import argparse
import os
import subprocess
import sys

from vitime_cache.cli.arguments import at_least
from vitime_cache.places import APP, HOME, store_folder

PURPOSE = "open the app over the stores in store/"
EXAMPLE = "--port 8600"
AFTER_INTERRUPT = ""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The flags of `app`."""
    parser.add_argument("--port", type=at_least(1, 65_535), default=8501, help="where the server listens (8501)")
    parser.add_argument("--headless", action="store_true", help="open no browser")


def run(args: argparse.Namespace) -> int:
    """Serve until interrupted; the server's exit status."""
    options = [f"--server.port={args.port}", f"--server.headless={str(args.headless).lower()}"]
    options += ["--server.showEmailPrompt=false"]  # which would wait for an answer on a machine new to Streamlit
    command = [sys.executable, "-m", "streamlit", "run", str(APP), *options]
    # In its own folder, where the server finds its settings; stores stay where the person is.
    stores = {"VITIME_STORE_FOLDER": str(store_folder().resolve())}
    return subprocess.run(command, cwd=HOME, env=os.environ | stores, check=False).returncode
