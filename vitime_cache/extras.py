"""Packages that only a part of this one needs, and the extra of `pip install` that brings each."""

from __future__ import annotations

from collections.abc import Mapping

EXTRA: Mapping[str, str] = {
    "altair": "app", "vl_convert": "app", "PIL": "app", "streamlit": "app", "cachetools": "app",
    "distributed": "cluster", "fsspec": "cloud", "s3fs": "cloud",
}  # fmt: skip


def remedy(error: ImportError) -> str:
    """What to install where an optional package is missing; "" where the import failed for another reason."""
    package = (error.name or "").split(".")[0]
    if package not in EXTRA:
        return ""
    return f"this needs {package}, which is not installed: pip install 'vitime-cache[{EXTRA[package]}]'"
