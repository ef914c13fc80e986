"""Base classes of all errors that a user can fix, and of all notes; what the system refuses, in words."""

from __future__ import annotations

import errno
import re

_ELSEWHERE = "choose another place, or change what this one permits"
_REMEDIES = {
    errno.EACCES: _ELSEWHERE,
    errno.EPERM: _ELSEWHERE,
    errno.EROFS: _ELSEWHERE,
    errno.ENOSPC: "make room on this disk, or choose another place",
    errno.EDQUOT: "make room on this disk, or choose another place",
    errno.EFBIG: "files may not be that large here: choose another place, or raise the limit (ulimit -f)",
    errno.EMFILE: "close other files, or raise the limit (ulimit -n)",
    errno.ENFILE: "close other programs",
    errno.ENOLCK: "this disk has no locks: choose a place on another",
    errno.ENOTSUP: "this disk cannot do that: choose a place on another",
    errno.ELOOP: "it is a link to itself: choose another place",
    errno.EEXIST: "choose another name",
    errno.EISDIR: "name a file",
    errno.ENOTDIR: "there is a file where a folder is needed: choose another place",
    errno.ENOENT: "make its folder first, or choose another place",
    errno.ENAMETOOLONG: "choose a shorter name",
}


class VitimeError(ValueError):
    """A fault in the input or the environment; the message says what to do. Every other error is a defect.

    Its message is one line, whatever it quotes.
    """

    def __init__(self, *facts: object) -> None:
        super().__init__(*(re.sub(r"\s*\n\s*", " ", fact) if isinstance(fact, str) else fact for fact in facts))


class Note(UserWarning):
    """One sentence about something unexpected that is not an error; the command line prints it on its own line."""


def in_words(error: Exception) -> str:
    """What an error says; of the system's, what it refused, and if known what to do about it."""
    if not isinstance(error, OSError) or error.errno is None or not error.strerror:
        return str(error)
    where, remedy = error.filename2 or error.filename, _REMEDIES.get(error.errno)
    return f"{f'{where}: ' if where else ''}{error.strerror.lower()}{f'; {remedy}' if remedy else ''}"
