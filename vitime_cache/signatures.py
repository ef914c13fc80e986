"""Recognises by its first bytes a file that stands where another was meant to be."""

from __future__ import annotations

import re

STAND_INS = (
    (rb"version https://git-lfs", "a Git LFS pointer, not the file itself: fetch the file with `git lfs pull`"),
    (rb"\s*(<!doctype|<html|<head|<\?xml)", "a web page, not the file itself: use the link behind its download button"),
)


def stand_in(data: bytes) -> str:
    """What a file is in place of the one that was meant, and how to get that; "" where it is none of these."""
    return next((kind for pattern, kind in STAND_INS if re.match(pattern, data, re.IGNORECASE)), "")
