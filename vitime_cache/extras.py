"""Optional dependencies, and the extra of `pip install` that installs each."""

from __future__ import annotations

from collections.abc import Mapping

EXTRA: Mapping[str, str] = {
    "altair": "app", "vl_convert": "app", "PIL": "app", "streamlit": "app", "cachetools": "app",
    "distributed": "cluster", "fsspec": "cloud", "s3fs": "cloud",
}  # fmt: skip


def remedy(error: ImportError) -> str:
    """What to install if an optional package is missing; "" if the import failed for another reason."""
    package = (error.name or "").split(".")[0]
    if package not in EXTRA:
        return ""
    return f"this needs {package}, which is not installed: pip install 'vitime-cache[{EXTRA[package]}]'"
