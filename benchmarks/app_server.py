"""Serve the app with the weights of a folder: python -m benchmarks.app_server PORT WEIGHTS_FOLDER."""

from __future__ import annotations

import sys
from pathlib import Path

from streamlit.web import bootstrap

from vitime_cache import places


def main(port: str, weights: str) -> None:
    """Run the server until it is stopped."""
    places.WEIGHTS = Path(weights)
    options = {"server_port": int(port), "server_address": "127.0.0.1", "server_headless": True}
    bootstrap.load_config_options(options)
    bootstrap.run(str(Path(__file__).parents[1] / "streamlit_app.py"), False, [], options)


if __name__ == "__main__":
    main(*sys.argv[1:])
