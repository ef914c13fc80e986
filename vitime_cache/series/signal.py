"""The types: a harmonic, and a signal, which is a series with a name. Both validate themselves."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from vitime_cache.checks import numbers, real, text, whole
from vitime_cache.series.bounds import MAX_SAMPLES, SignalError

if TYPE_CHECKING:
    from vitime_cache.series.axis import Column

MAX_MAGNITUDE = 1e30  # float32 holds 3.4e38; this leaves room for a forecast
MAX_HARMONICS = 1000


@dataclass(frozen=True)
class Harmonic:
    """amplitude · sin(2π n / period + phase).

    Parameters
    ----------
    period
        In samples, at least 2: once sampled, a shorter one appears as a longer one.
    amplitude
        In units of the signal.
    phase
        In radians; π/2 makes it a cosine.

    Raises
    ------
    SignalError
        Naming the field and the value.
    """

    period: float
    amplitude: float = 1.0
    phase: float = 0.0

    def __post_init__(self) -> None:
        for field in ("period", "amplitude", "phase"):
            object.__setattr__(self, field, _finite(getattr(self, field), f"the {field} of a harmonic"))
        if self.period < 2:
            raise SignalError(f"the period of a harmonic must be at least 2 samples, got {self.period}")

    def at(self, n: np.ndarray) -> np.ndarray:
        """Values at sample numbers n."""
        n = numbers(n, "n, sample numbers,", error=SignalError)
        return np.asarray(self.amplitude * np.sin(2 * np.pi * n / self.period + self.phase))


@dataclass(frozen=True, eq=False)
class Signal:
    """A series to run a model on.

    Parameters
    ----------
    name
        Up to 200 printable characters, unique in a store.
    values
        (T,) history, T ≥ 2, finite. Kept as a read-only float64 copy.
    horizon
        Samples to forecast.
    description
        What the signal is.
    harmonics
        The true harmonics, if known.
    reduced_of
        Name of the fuller signal that this one is a reduction of, or "".
    filled
        Number of values that were missing and are interpolated.
    sample_seconds
        Seconds from one sample to the next, 0 if not known. Months and years have their mean length.
    start
        Time of the first sample in ISO 8601, such as "2016-07-01T00:00:00", or "" if not known.
    future
        (horizon,) the true future, if known. Never shown to a model.

    Raises
    ------
    SignalError
        Naming the signal, the value and the sample (counted from 0).
    """

    name: str
    values: np.ndarray
    horizon: int = 720
    description: str = ""
    harmonics: tuple[Harmonic, ...] = ()
    reduced_of: str = ""
    filled: int = 0
    sample_seconds: float = 0.0
    start: str = ""
    future: np.ndarray | None = None

    def __post_init__(self) -> None:
        _check_text(self.name, "the name of a signal", 200)
        who = f"signal {self.name!r}"
        if not self.name:
            raise SignalError("a signal needs a name, got ''")
        _check_text(self.reduced_of, f"{who}: reduced_of", 200)
        _check_text(self.description, f"{who}: the description", 2000)
        _check_text(self.start, f"{who}: the start", 40)
        if self.reduced_of == self.name:
            raise SignalError(f"{who} cannot be a reduction of itself; leave reduced_of empty")
        given: Any = self.harmonics
        object.__setattr__(self, "harmonics", tuple(given) if isinstance(given, Iterable) else (given,))
        if len(self.harmonics) > MAX_HARMONICS:
            raise SignalError(f"{who} has {len(self.harmonics)} harmonics; at most {MAX_HARMONICS} are kept")
        if strange := [each for each in self.harmonics if not isinstance(each, Harmonic)]:
            raise SignalError(f"{who}: harmonics must be Harmonic(period, amplitude, phase), got {strange[0]!r:.60}")
        object.__setattr__(self, "horizon", whole(self.horizon, f"{who}: horizon", 1, MAX_SAMPLES, error=SignalError))
        object.__setattr__(self, "values", _series(self.values, who))
        if len(self.values) < 2:
            raise SignalError(f"{who} has {len(self.values)} sample(s); at least 2 are needed")
        object.__setattr__(self, "filled", whole(self.filled, f"{who}: filled", 0, len(self.values), error=SignalError))
        object.__setattr__(self, "sample_seconds", _finite(self.sample_seconds, f"{who}: sample_seconds"))
        if self.sample_seconds < 0:
            raise SignalError(f"{who}: sample_seconds must not be negative, got {self.sample_seconds}")
        if self.future is not None:
            object.__setattr__(self, "future", _series(self.future, f"the future of {who}"))
            if len(self.future) != self.horizon:
                raise SignalError(f"{who}: its future has {len(self.future)} samples, its horizon {self.horizon}")

    def __setstate__(self, state: dict[str, Any]) -> None:
        """A copy is as unchangeable: numpy copies what is read-only as writeable, and the fingerprint is kept."""
        self.__dict__.update(state)
        for value in state.values():
            if isinstance(value, np.ndarray):
                value.setflags(write=False)

    @cached_property
    def fingerprint(self) -> str:
        """SHA-256 of all that a store keeps of a signal (not its future), as 64 hex digits."""
        harmonics = [(harmonic.period, harmonic.amplitude, harmonic.phase) for harmonic in self.harmonics]
        facts = [self.name, self.horizon, harmonics, self.reduced_of, self.description, self.filled, len(self.values)]
        if self.sample_seconds:  # 12 digits: two ways to compute a month differ in the last bit
            facts.append(f"{self.sample_seconds:.12g}")
        if self.start:
            facts.append(self.start)
        values = self.values
        if spread := float(values.max() - values.min()):
            # The last bit of sin differs between processors: 8 digits of the spread forgive it.
            values = values.round(min(8 - math.ceil(math.log10(spread)), 200)) + 0.0  # + 0.0: no negative zeros
        return hashlib.sha256(json.dumps(facts).encode() + values.astype("<f8", copy=False).tobytes()).hexdigest()

    @cached_property
    def known(self) -> np.ndarray:
        """All known samples: the history and, if known, the true future."""
        return self.values if self.future is None else np.concatenate((self.values, self.future))

    def with_horizon(self, horizon: int) -> Signal:
        """The same history with another horizon, and its future if enough of it is known."""
        changed = replace(self, horizon=horizon, future=None)
        if self.future is None or changed.horizon > self.horizon:
            return changed
        return replace(changed, future=self.future[: changed.horizon])


def compose(
    name: str,
    harmonics: Sequence[Harmonic],
    *,
    n: int = 512,
    horizon: int = 720,
    noise: float = 0.0,
    seed: int = 0,
    description: str = "",
    reduced_of: str = "",
) -> Signal:
    """A sum of harmonics and white noise over samples 0 … n − 1, with the same sum continued as its future.

    Parameters
    ----------
    n
        Samples of history.
    noise
        Standard deviation of the noise, drawn from `seed`. The history is the same for every horizon.

    Raises
    ------
    SignalError
        Naming the parameter and the value.
    """
    n = whole(n, f"signal {name!r}: n", 2, MAX_SAMPLES, error=SignalError)
    horizon = whole(horizon, f"signal {name!r}: horizon", 1, MAX_SAMPLES, error=SignalError)
    seed = whole(seed, f"signal {name!r}: seed", 0, 2**63, error=SignalError)
    if (noise := _finite(noise, f"signal {name!r}: noise")) < 0:
        raise SignalError(f"signal {name!r}: noise is a standard deviation and cannot be negative, got {noise}")
    samples = np.arange(n + horizon)
    series = np.zeros(len(samples))
    if noise:
        series += noise * np.random.default_rng(seed).standard_normal(len(samples))
    for harmonic in harmonics:
        series += harmonic.at(samples)
    return hold_out(name, series, horizon, description=description, harmonics=tuple(harmonics), reduced_of=reduced_of)


def hold_out(name: str, series: np.ndarray, horizon: int, **fields: Any) -> Signal:
    """A signal whose future is the last `horizon` samples of `series` and whose history is the rest."""
    return Signal(name, series[:-horizon], horizon=horizon, future=series[-horizon:], **fields)


def from_column(column: Column, horizon: int, where: str) -> Signal:
    """A series of a table as a signal; an error names its place in the file."""
    facts = {name: getattr(column, name) for name in ("filled", "sample_seconds", "start")}
    try:
        return Signal(column.name, column.values, horizon, **facts)
    except SignalError as error:
        raise SignalError(f"{where}: {error}") from error


def _check_text(value: str, what: str, longest: int) -> None:
    text(value, what, error=SignalError)
    if len(value) > longest or value != value.strip() or not value.isprintable():
        raise SignalError(
            f"{what} must be one line of at most {longest} printable characters, no blanks around it, got {value!r:.60}"
        )


def _finite(value: Any, what: str) -> float:
    if not -MAX_MAGNITUDE <= (found := real(value)) <= MAX_MAGNITUDE:
        raise SignalError(f"{what} must be a finite number within ±{MAX_MAGNITUDE:g}, got {value!r:.60}")
    return found


def _series(values: Any, who: str) -> np.ndarray:
    given = numbers(values, who, error=SignalError)
    if given.ndim != 1 or given.dtype == bool:
        raise SignalError(f"{who} must be one row of numbers, got shape {given.shape} of type {given.dtype}")
    if len(given) > MAX_SAMPLES:
        raise SignalError(f"{who} has {len(given)} samples; at most {MAX_SAMPLES} are allowed")
    series = given.astype(np.float64)
    magnitude = np.abs(series)
    if not magnitude.max(initial=0.0) <= MAX_MAGNITUDE:  # of NaN, too
        sample = int((~(magnitude <= MAX_MAGNITUDE)).argmax())
        raise SignalError(
            f"{who}, sample {sample}: {series[sample]} is not a finite number within ±{MAX_MAGNITUDE:g}; "
            "correct the value, or rescale the series"
        )
    series.setflags(write=False)
    return series
