"""Base classes of all errors that a user can fix, and of all notes."""

from __future__ import annotations

import re


class VitimeError(ValueError):
    """A fault in the input or the environment; the message says what to do. Every other error is a defect.

    Its message is one line, whatever it quotes.
    """

    def __init__(self, *facts: object) -> None:
        super().__init__(*(re.sub(r"\s*\n\s*", " ", fact) if isinstance(fact, str) else fact for fact in facts))


class Note(UserWarning):
    """One sentence about something unexpected that is not an error; the command line prints it on its own line."""
