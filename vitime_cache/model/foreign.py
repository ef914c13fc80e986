"""Recognises by its first bytes what a file is, if it holds no weights that we can read."""

from __future__ import annotations

import re
from pathlib import Path

from vitime_cache.signatures import STAND_INS

SAFETENSORS, ARCHIVE = "safetensors", "archive"
_FIRST = 1024
_LEGACY = b"\x80\x02\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19."  # the magic number of torch.save before 1.6
_KNOWN = (
    (rb"PK\x03\x04", ARCHIVE),
    *STAND_INS,
    (re.escape(_LEGACY), "in the format of torch before 1.6: load it there and save it again with torch.save"),
    (rb"\x80[\x02-\x05]", "a bare pickle, which could run code: save the weights with torch.save or as safetensors"),
    (rb"\x1f\x8b|BZh|\xfd7zXZ|7z\xbc\xaf|Rar!", "compressed: unpack it first"),
    (rb"\x89HDF", "in HDF5: save the weights with torch.save or as safetensors"),
)  # fmt: skip


def kind_of(path: Path) -> str:
    """ "safetensors" or "archive" (from torch.save), judged by the content and not by the file name.

    Raises
    ------
    ValueError
        For anything else, saying what the file is.
    """
    with path.open("rb") as file:
        first = file.read(_FIRST)
    if not first:
        raise ValueError("empty")
    for pattern, kind in _KNOWN:
        if re.match(pattern, first, re.IGNORECASE):
            if kind == ARCHIVE:
                return kind
            raise ValueError(kind)
    if first[8:9] == b"{" or path.suffix.lower() == ".safetensors":
        return SAFETENSORS
    return ARCHIVE
