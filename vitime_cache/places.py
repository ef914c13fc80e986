"""Places of the files that belong to the code: at the top of a clone, or inside an installed package."""

from __future__ import annotations

import os
from pathlib import Path

_PACKAGE = Path(__file__).parent
_CLONE = _PACKAGE.parent
HOME = _CLONE if (_CLONE / "streamlit_app.py").is_file() else _PACKAGE / "home"
WEIGHTS = HOME / "weights"
APP = HOME / "streamlit_app.py"
STORE_FOLDER, FIRST_STORE = "VITIME_STORE_FOLDER", "VITIME_STORE"  # environment variables


def store_folder() -> Path:
    """The folder of stores: `store` in the working directory, or the value of VITIME_STORE_FOLDER."""
    return Path(os.environ.get(STORE_FOLDER, "store"))


def default_store(weights: str) -> Path:
    """The default store for weights of this name, in commands and the app."""
    return store_folder() / f"{weights}.zarr"
