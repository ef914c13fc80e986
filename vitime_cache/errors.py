"""Base classes of all errors that a user can fix, and of all notes."""

from __future__ import annotations


class VitimeError(ValueError):
    """A fault in the input or the environment; the message says what to do. Every other error is a defect."""


class Note(UserWarning):
    """One sentence about something unexpected that is not an error; the command line prints it on its own line."""
