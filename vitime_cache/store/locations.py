"""Opens the place of a store, a local folder or a URL, behind the same operations on objects."""

from __future__ import annotations

import os
from pathlib import Path

from vitime_cache.store.local_objects import open_folder
from vitime_cache.store.objects import Objects, StoreError
from vitime_cache.store.remote_objects import open_url


def open_objects(path: str | Path) -> Objects:
    """The objects below a folder or a URL; nothing is created until the first `put`.

    Raises
    ------
    StoreError
        If the URL needs a package that is not installed, its protocol is unknown, or the path is a file.
    """
    if not isinstance(path, str | os.PathLike):
        raise StoreError(f"a store is a folder or a URL, got {path!r:.60}")
    url = os.fspath(path)
    if not isinstance(url, str) or "\0" in url:
        raise StoreError(f"a store is a folder or a URL, got {path!r:.60}")
    if url.startswith("file://"):
        return open_folder(Path(url.removeprefix("file://")))
    if "://" in url:
        return open_url(url)
    return open_folder(Path(os.path.expanduser(path)))  # noqa: PTH111 - Path's fails for a folder called ~a
