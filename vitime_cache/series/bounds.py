"""How much a file of series may hold, so that none can fill the memory, and the error that says so in one line."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Literal

from vitime_cache.checks import choice, truth
from vitime_cache.errors import Note, VitimeError

MAX_BYTES = 50_000_000  # of a file, and of what a compressed text unfolds to
MAX_SERIES = 10_000  # in a file
MAX_SAMPLES = 1_000_000  # of a series
MAX_VALUES = 50_000_000  # in a file
MAX_UNPACKED = 8 * MAX_VALUES + MAX_BYTES  # bytes of a binary file, which may be compressed
MAX_CELL = 100  # characters of a text in a binary file: a time, the name of a series

TO_FILL = "fill='interpolate' (--fill interpolate)"
WAY_OUT = "or take the rows as they are, one after the other, with time='none' (--time none)"

SEPARATOR = "separator"  # attribute of a table: what separated its cells, where it was a text
NOTES = "notes"  # attribute of a table: sentences on what was left out of it as it was parsed

Fill = Literal["none", "interpolate"]
Tell = Callable[[str], object]


class ReadingWarning(Note):
    """What was left out or put right as a file was read."""


class SignalError(VitimeError):
    """A series, or a file of series, that cannot be used."""


@dataclass(frozen=True)
class Choices:
    """How a person wants a table to be read; None is for the reader to see. `read_signals` says what each means."""

    fill: Fill = "none"
    last: int | None = None
    columns: tuple[str, ...] = ()
    time: str | None = None
    rows: bool | None = None
    decimal: Literal["point", "comma"] | None = None
    day_first: bool | None = None
    missing: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        choice(self.fill, "fill", ("none", "interpolate"), error=SignalError)
        if self.decimal is not None:
            choice(self.decimal, "decimal", ("point", "comma"), error=SignalError)
        for name in ("rows", "day_first"):
            if (value := getattr(self, name)) is not None:
                truth(value, name, error=SignalError)
        if self.last is not None and not (isinstance(self.last, int | float) and abs(self.last) < MAX_VALUES):
            raise SignalError(f"last is a number of samples, got {self.last!r:.60}")
        if not isinstance(self.time, str | None):
            raise SignalError(f"time is the name of a column, or 'none', got {self.time!r:.60}")


def listed(given: object, what: str, *kinds: type) -> tuple[str, ...]:
    """One value of some kinds, or several, as texts; a SignalError that names them for anything else."""
    several = given if isinstance(given, Iterable) and not isinstance(given, str | bytes) else (given,)
    values = tuple(several)
    if not all(isinstance(value, kinds) for value in values):
        raise SignalError(f"{what}, got {given!r:.60}")
    return tuple(map(str, values))


def check_length(where: str, length: int) -> None:
    """Refuse more samples than a series may have."""
    if length > MAX_SAMPLES:
        raise SignalError(f"{where} has more than {MAX_SAMPLES} samples; shorten it or average over samples")


def check_width(file: str, count: int, length: int = 0) -> None:
    """Refuse more series, or more values in all, than a file may have."""
    if count > MAX_SERIES:
        raise SignalError(f"{file} holds {count} series; at most {MAX_SERIES} are read")
    if count * length > MAX_VALUES:
        raise SignalError(f"{file} holds {count} × {length} values; at most {MAX_VALUES} are read")


@contextmanager
def reading_errors(message: str, *kinds: type[Exception]) -> Iterator[None]:
    """Turn what a library raises on a broken file into a SignalError of one line."""
    try:
        yield
    except SignalError:
        raise
    except kinds as error:
        said = re.sub(r" at 0x[0-9a-f]+", "", " ".join(str(error).split()))  # no reader can use an address in memory
        raise SignalError(f"{message}: {said[:300]}") from error
