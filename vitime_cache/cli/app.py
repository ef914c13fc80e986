"""`app`: serves the pages over the stores for a browser."""

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
        help="the store to show first, with the others in its folder; or a folder of stores (store/)",
    )  # fmt: skip
    parser.add_argument("--port", type=at_least(1, 65_535), default=8501, help="port of the server (8501)")
    parser.add_argument("--address", help="address of the server (all; localhost: this machine only)")
    parser.add_argument("--headless", action="store_true", help="do not open a browser")


def run(args: argparse.Namespace) -> int:
    """Serve until interrupted; the server's exit status.

    Raises
    ------
    UsageError
        If STORE is not a folder.
    """
    options = [f"--server.port={args.port}", f"--server.headless={str(args.headless).lower()}"]
    options += [f"--server.address={args.address}"] if args.address else []
    options += ["--server.showEmailPrompt=false"]  # the prompt would block on a machine new to Streamlit
    command = [sys.executable, "-m", "streamlit", "run", str(APP), *options]
    # In the app's folder, where the server finds its settings; stores stay relative to the user's folder.
    return subprocess.run(command, cwd=HOME, env=os.environ | _stores(args.store), check=False).returncode


def _stores(store: Path | None) -> dict[str, str]:
    """The folder of stores and the first store, as environment variables of the app."""
    if store is None:
        return {STORE_FOLDER: os.path.realpath(store_folder())}
    if not store.is_dir():
        raise UsageError(f"the app shows folders on this machine, and {store} is not one")
    if store.suffix == ".zarr":
        place = Path(os.path.realpath(store))
        return {STORE_FOLDER: str(place.parent), FIRST_STORE: place.name}
    return {STORE_FOLDER: os.path.realpath(store)}
