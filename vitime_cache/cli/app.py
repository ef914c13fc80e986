"""`app`: the pages over the stores, in a browser."""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
from pathlib import Path

from vitime_cache.cli.arguments import UsageError, at_least
from vitime_cache.places import APP, FIRST_STORE, HOME, STORE_FOLDER, store_folder

PURPOSE = "open the app over the stores in store/"
EXAMPLE = "store/vitime-mini.zarr --port 8600"
AFTER_INTERRUPT = ""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The flags of `app`."""
    parser.add_argument(
        "store", nargs="?", metavar="STORE", type=Path,
        help="the store that is shown first, with those beside it; or a folder of stores (store/)",
    )  # fmt: skip
    parser.add_argument("--port", type=at_least(1, 65_535), default=8501, help="where the server listens (8501)")
    parser.add_argument("--address", help="on which address (all; localhost: for this machine alone)")
    parser.add_argument("--headless", action="store_true", help="open no browser")


def run(args: argparse.Namespace) -> int:
    """Serve until interrupted; the server's exit status.

    Raises
    ------
    UsageError
        If STORE is no folder.
    """
    options = [f"--server.port={args.port}", f"--server.headless={str(args.headless).lower()}"]
    options += [f"--server.address={args.address}"] if args.address else []
    options += ["--server.showEmailPrompt=false"]  # which would wait for an answer on a machine new to Streamlit
    command = [sys.executable, "-m", "streamlit", "run", str(APP), *options]
    # In its own folder, where the server finds its settings; stores stay where the person is.
    return subprocess.run(command, cwd=HOME, env=os.environ | _stores(args.store), check=False).returncode


def _stores(store: Path | None) -> dict[str, str]:
    """The folder of stores and the one shown first, as the app is told."""
    if store is None:
        return {STORE_FOLDER: str(store_folder().resolve())}
    if not store.is_dir():
        raise UsageError(f"the app shows folders on this machine, and {store} is none")
    if store.suffix == ".zarr":
        return {STORE_FOLDER: str(store.resolve().parent), FIRST_STORE: store.resolve().name}
    return {STORE_FOLDER: str(store.resolve())}
