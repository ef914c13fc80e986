"""What the isolated process does with a file of series."""

from __future__ import annotations

import pandas  # noqa: F401  (the memory of these is taken before the limit is set)
import pyarrow.parquet  # noqa: F401

from vitime_cache.series.sources import SignalError, read_signals


def attempt(path: str) -> str:
    """ "read" or "refused"."""
    try:
        signals = read_signals(path, fill="interpolate")
    except SignalError as error:
        if "\n" in str(error).strip() or len(str(error)) > 1500:
            raise AssertionError(f"no message for a person: {error}") from error
        return "refused"
    assert all(len(signal.values) > 1 and signal.fingerprint for signal in signals)
    return "read"
