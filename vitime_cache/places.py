"""Where the files beside the code lie: in a clone at its top, in an installed package inside it."""

from __future__ import annotations

import os
from pathlib import Path

_PACKAGE = Path(__file__).parent
_CLONE = _PACKAGE.parent
HOME = _CLONE if (_CLONE / "streamlit_app.py").is_file() else _PACKAGE / "home"
WEIGHTS = HOME / "weights"
APP = HOME / "streamlit_app.py"
STORE_FOLDER, FIRST_STORE = "VITIME_STORE_FOLDER", "VITIME_STORE"  # variables of the environment


def store_folder() -> Path:
    """The folder of stores: `store` below the working directory, or what VITIME_STORE_FOLDER names."""
    return Path(os.environ.get(STORE_FOLDER, "store"))


def default_store(weights: str) -> Path:
    """The store that commands and the app take for weights of this name, unless one is named."""
    return store_folder() / f"{weights}.zarr"
