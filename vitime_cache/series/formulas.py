"""Formulas in TOML → signals: sums of harmonics and noise, whose future is known."""

from __future__ import annotations

import math
import tomllib
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from vitime_cache.series.bounds import MAX_SERIES, MAX_VALUES, SignalError
from vitime_cache.series.signal import Harmonic, Signal, compose

_SIGNAL_KEYS = ("name", "description", "harmonics", "noise", "seed", "n", "horizon", "reduced_of")
_HARMONIC_KEYS = ("period", "angular_frequency", "phase", "amplitude")


def read_toml(file: str, data: bytes, horizon: int, last: int | None) -> list[Signal]:
    """The signals of all [[signal]] tables, each cut to its `last` samples of history if that is given.

    Raises
    ------
    SignalError
        Naming the file, the number of the signal, the key and the value.
    """
    try:
        document = tomllib.loads(data.decode("utf-8-sig"))
    except (ValueError, RecursionError) as error:
        raise SignalError(f"{file} is not valid TOML: {error}") from error
    _check_keys(document, ("signal",), file)
    tables = document.get("signal", [])
    if not isinstance(tables, list) or not tables:
        raise SignalError(f"{file} holds no [[signal]] table")
    if len(tables) > MAX_SERIES:
        raise SignalError(f"{file} holds {len(tables)} signals; at most {MAX_SERIES} are read")
    signals: dict[str, Signal] = {}
    samples = 0
    for number, table in enumerate(tables, start=1):
        try:
            signal = _from_table(table, horizon)
        except ValueError as error:
            raise SignalError(f"{file}, signal {number}: {error}") from error
        if signal.name in signals:
            raise SignalError(f"{file}, signal {number}: an earlier one is named {signal.name!r} too; rename one")
        signals[signal.name] = signal
        samples += len(signal.values) + signal.horizon
        if samples > MAX_VALUES:
            raise SignalError(f"{file} asks for more than {MAX_VALUES} samples in all; lower n or horizon")
    return [_ending(signal, last) for signal in signals.values()]


def _ending(signal: Signal, last: int | None) -> Signal:
    """The end of a formula's history, with the phases of its harmonics moved to the new start."""
    if last is None or last >= len(signal.values):
        return signal
    start = len(signal.values) - last
    harmonics = [
        replace(each, phase=math.fmod(each.phase + 2 * math.pi * start / each.period, 2 * math.pi))
        for each in signal.harmonics
    ]
    return replace(signal, values=signal.values[start:], harmonics=tuple(harmonics))


def _from_table(table: Any, horizon: int) -> Signal:
    """The signal of one [[signal]] table."""
    _check_keys(table, _SIGNAL_KEYS, "[[signal]]")
    options = {"horizon": horizon, **table}
    if "name" not in options:
        raise SignalError("it has no name")
    tables = options.pop("harmonics", [])
    if not isinstance(tables, list):
        raise SignalError(f"harmonics must be a list of tables, got {tables!r:.60}")
    if not tables and not options.get("noise"):
        raise SignalError("it has neither harmonics nor noise, and would be zero throughout")
    return compose(options.pop("name"), [_harmonic(each) for each in tables], **options)


def _harmonic(table: Any) -> Harmonic:
    """A harmonic by its period in samples, or by its angular frequency in radians per sample."""
    _check_keys(table, _HARMONIC_KEYS, "a harmonic")
    options = dict(table)
    if ("period" in options) == ("angular_frequency" in options):
        raise SignalError(f"a harmonic needs either period or angular_frequency, got {table!r:.80}")
    if "angular_frequency" in options:
        frequency = options.pop("angular_frequency")
        if isinstance(frequency, bool) or not isinstance(frequency, int | float) or not 0 < frequency <= math.pi:
            raise SignalError(f"angular_frequency must lie between 0 and π radians per sample, got {frequency!r:.60}")
        options["period"] = 2 * math.pi / frequency
    return Harmonic(**options)


def _check_keys(table: Any, known: Sequence[str], where: str) -> None:
    if not isinstance(table, dict):
        raise SignalError(f"{where} must be a table, got {table!r:.60}")
    for key in table:
        if key not in known:
            raise SignalError(f"{where}: unknown key {key!r:.60}; known are {', '.join(known)}")
