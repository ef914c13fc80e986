"""What all errors that a person can mend have in common."""

from __future__ import annotations


class VitimeError(ValueError):
    """Something a person gave, or a machine lacks; the message says what to do. Every other error is a defect."""
