"""What all errors that a person can mend have in common, and all notes that are told and change nothing."""

from __future__ import annotations


class VitimeError(ValueError):
    """Something a person gave, or a machine lacks; the message says what to do. Every other error is a defect."""


class Note(UserWarning):
    """One sentence on what was done otherwise than expected; the command line gives it a line of its own."""
