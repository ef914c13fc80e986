"""A user's own series as training data: windows of any length at any place, except at the end of each series.

A series has three parts. The first provides training windows. The second is used to choose the best state of the run.
The third is held out: no batch has a value of it, and its error is reported but decides nothing (`backtest`).
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from vitime_cache.arrays import Floats
from vitime_cache.model.checkpoint import sha256
from vitime_cache.series.bounds import SignalError
from vitime_cache.series.signal import Signal
from vitime_cache.series.sources import read_signals
from vitime_cache.series.spans import to_samples
from vitime_cache.shown import terminal
from vitime_cache.training.config import TrainingError

SHORTEST = 32  # samples of a window, history and horizon together
SPARSEST = 4  # samples per column in the longest window; drawing skips samples between columns
HELD_OUT = 5  # one fifth of each series by default
NAMED = 3  # files, and columns, that a note names one by one
MAX_NAME = 80  # characters of a file's or a column's name in a note


@dataclass(frozen=True, eq=False)
class Split:
    """A series whose last 2 × `end` samples are not used for training: `end` to choose by, and `end` held out.

    Raises
    ------
    TrainingError
        If too little is left for training, or the rest is constant.
    """

    name: str
    values: Floats
    end: int
    filled: int = 0

    def __post_init__(self) -> None:
        samples, left = len(self.values), len(self.values) - 2 * self.end
        if self.end < 1:
            raise TrainingError(f"at least one sample of each series must be held out, got {self.end}")
        if samples < SHORTEST + 2:
            raise TrainingError(
                f"series {self.name!r} is shorter than a window: it has {samples} samples, a window needs {SHORTEST} "
                "besides those held out"
            )
        if left < SHORTEST:
            raise TrainingError(
                f"series {self.name!r} has {samples} samples; {self.end} held out and {self.end} to choose the weights "
                f"by leave {max(left, 0)} to teach from, and a window needs {SHORTEST}: hold out fewer (--holdout)"
            )
        if np.ptp(self.taught) == 0 or self.taught.std() == 0 or len(self.taught) < SHORTEST:  # 1e-200 squared is 0
            raise TrainingError(
                f"series {self.name!r} is constant, or interpolated, over the part to teach from; leave it out "
                "(--column names those to read)"
            )
        if not self.chosen_by:
            raise TrainingError(
                f"series {self.name!r} is interpolated over the {self.end} samples to choose the weights by; hold out "
                "more (--holdout), or leave it out (--column names those to read)"
            )

    @cached_property
    def taught(self) -> Floats:
        """The samples from which windows are cut."""
        return self.values[: self._known_before(len(self.values) - 2 * self.end)]

    @cached_property
    def chosen_by(self) -> int:
        """Samples, from the end of the training part on, whose forecasts choose the best state: at most `end`."""
        begin = len(self.values) - 2 * self.end
        return max(self._known_before(begin + self.end) - begin, 0)

    def _known_before(self, cut: int) -> int:
        """The number of samples before `cut` that do not depend on values behind it.

        A value that was interpolated over a gap across the cut does. Such a run is a straight line up to the cut, and
        is left out.
        """
        stop, first = cut, cut - self.filled
        while stop > max(first, 2) and _in_line(self.values[stop - 2 : stop + 1]):
            stop -= 1
        return stop


@dataclass(frozen=True, eq=False)
class OwnSeries:
    """Series to adapt a network to.

    Attributes
    ----------
    splits
        The series with their splits.
    share
        Average share of these series in each batch; the rest is synthetic.
    told
        Description for the note of the weights: how many, of which files, with hashes.
    """

    splits: tuple[Split, ...]
    share: float
    told: str

    def __post_init__(self) -> None:
        if not self.splits:
            raise TrainingError("there are no series to teach from")
        if not 0 < self.share <= 1:
            raise TrainingError(f"the share of one's own series is above 0 and at most 1, got {self.share}")

    @classmethod
    def of(
        cls, signals: Sequence[Signal], *, share: float = 0.5, hold_out: int | str | None = None,
        told: str | None = None,
    ) -> OwnSeries:  # fmt: skip
        """Split signals; known futures are not used.

        Parameters
        ----------
        hold_out
            Samples held out at the end of each series; as many before them are used to choose the best state. None
            takes a fifth of each series; a text such as "2 weeks" is a span of time.

        Raises
        ------
        TrainingError
            Naming the series that cannot be split.
        """
        splits = tuple(Split(each.name, each.values, _held_out(each, hold_out), each.filled) for each in signals)
        if told is None:
            told = f"{len(splits)} series (SHA-256 of their values {_hash(splits)})"
        return cls(splits, share, told)

    @property
    def identity(self) -> dict[str, Any]:
        """What two runs must have in common to learn from the same windows."""
        ends = [split.end for split in self.splits]
        return {"data": self.told, "share": self.share, "held out": ends, "values": _hash(self.splits)}

    def windows(self, rng: np.random.Generator, n: int, columns: int) -> Floats:
        """Random windows (n, columns), each from one series, with real-valued start and length.

        Lengths are log-uniform from `SHORTEST` samples to the whole training part, or `SPARSEST` samples per column.
        """
        values, first, samples = self._joined
        which = rng.integers(len(self.splits), size=n)
        most = np.minimum(samples[which], SPARSEST * columns) - 1
        span = np.exp(rng.uniform(np.log(SHORTEST - 1), np.log(most)))  # samples from the first column to the last
        begin = rng.uniform(0, samples[which] - 1 - span)
        at = begin[:, None] + span[:, None] * np.linspace(0, 1, columns)
        left = np.clip(at.astype(np.intp), 0, samples[which, None] - 2)
        weight = np.clip(at - left, 0, 1)
        here = first[which, None] + left
        drawn: Floats = values[here] * (1 - weight) + values[here + 1] * weight
        return drawn

    @cached_property
    def _joined(self) -> tuple[Floats, np.ndarray, np.ndarray]:
        """All training parts in one array, with the start and length of each series in it."""
        samples = np.array([len(split.taught) for split in self.splits])
        return np.concatenate([split.taught for split in self.splits]), np.cumsum(samples) - samples, samples


def read_own_series(
    files: Sequence[str | Path], *, share: float = 0.5, hold_out: int | str | None = None, **reading: Any
) -> OwnSeries:
    """Read all series of files, as `reading` tells `series.read_signals`, and split them as `OwnSeries.of`.

    Raises
    ------
    SignalError
        Naming file, column and row of a value that cannot be read, or of a missing one that is not to be filled.
    TrainingError
        Naming the series that cannot be split.
    """
    signals = [signal for file in files for signal in read_signals(file, **reading)]
    columns = [_printable(name) for name in reading.get("columns", ())]
    more = f" and {len(columns) - NAMED} more columns" if len(columns) > NAMED else ""
    chosen = f" ({', '.join(columns[:NAMED])}{more})" if columns else ""
    told = f"{len(signals)} series{chosen} of {_named([Path(file) for file in files])}"
    return OwnSeries.of(signals, share=share, hold_out=hold_out, told=told)


def _held_out(signal: Signal, hold_out: int | str | None) -> int:
    """Samples at the end of a series, of which as many again are chosen by."""
    if not isinstance(hold_out, str):
        return len(signal.values) // HELD_OUT if hold_out is None else hold_out
    try:
        return round(to_samples(hold_out, signal.sample_seconds))
    except SignalError as error:
        raise TrainingError(f"series {signal.name!r}: {error}") from error


def _named(files: Sequence[Path]) -> str:
    """Names of files with the beginning of their SHA-256; many files share one hash of all hashes."""
    hashes = [sha256(file) for file in files]
    told = [f"{_printable(file.name)} (SHA-256 {digest[:12]})" for file, digest in zip(files, hashes, strict=True)]
    if len(told) <= NAMED:
        return ", ".join(told)
    joint = hashlib.sha256("".join(hashes[NAMED:]).encode()).hexdigest()
    return f"{', '.join(told[:NAMED])} and {len(told) - NAMED} more files (SHA-256 of their hashes {joint[:12]})"


def _printable(name: str) -> str:
    return " ".join(terminal(name).split())[:MAX_NAME]


def _hash(splits: Sequence[Split]) -> str:
    """The beginning of a hash of all values."""
    return hashlib.sha256(b"".join(split.values.astype("<f8").tobytes() for split in splits)).hexdigest()[:12]


def _in_line(three: Floats) -> bool:
    """Whether the middle one of three values lies half-way between its neighbours, apart from rounding."""
    return bool(abs(three[0] - 2 * three[1] + three[2]) <= 1e-9 * np.abs(three).max())
