"""Output for terminals that cannot write every character: each has a plain replacement, so that printing never fails.

A question mark would not do: in a table of verdicts it means "inconclusive".
"""

from __future__ import annotations

import codecs
import os
import sys

PLAIN = {
    "…": "...", "→": "->", "✓": "+", "✗": "x", "–": "-", "−": "-", "·": "/", "×": "x", "±": "+-", "κ": "kappa",
    "“": '"', "”": '"', "‘": "'", "’": "'", "²": "2", "≤": "<=", "≥": ">=", "•": "*", "½": "1/2",
}  # fmt: skip
OTHER = "?"
STANDARD_ERROR = 2  # its descriptor; input and output have those below
_HANDLER = "vitime_plain_signs"


def plain_signs() -> None:
    """Let both streams replace characters that their encoding lacks, if they would fail or print escapes.

    A stream that was closed before the command began, as by `>&-`, takes everything and keeps nothing. So does its
    descriptor: the next file to be opened would get it, and with it what libraries write past Python, such as warnings.
    """
    while (free := os.open(os.devnull, os.O_RDWR)) <= STANDARD_ERROR:
        pass
    os.close(free)
    codecs.register_error(_HANDLER, _replaced)
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, "w", encoding="utf-8"))  # noqa: PTH123, SIM115 - open to the end
        stream = getattr(sys, name)
        if hasattr(stream, "reconfigure") and stream.errors in ("strict", "backslashreplace", "surrogateescape"):
            stream.reconfigure(errors=_HANDLER)


def _replaced(error: UnicodeError) -> tuple[str, int]:
    if not isinstance(error, UnicodeEncodeError):
        raise error
    missing = error.object[error.start : error.end]
    return "".join(PLAIN.get(sign, OTHER) for sign in missing), error.end
