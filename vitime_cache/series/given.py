"""Turns what a caller passes as one signal or several into `Signal`s: signals, plain samples, tables."""

from __future__ import annotations

import re
import warnings
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, cast

from numpy.typing import ArrayLike

from vitime_cache.checks import may_be_sample, numbers
from vitime_cache.series.bounds import ReadingWarning, SignalError
from vitime_cache.series.frames import is_table
from vitime_cache.series.signal import Signal
from vitime_cache.series.sources import read_signals

if TYPE_CHECKING:
    import pandas as pd


def as_signal(given: Signal | ArrayLike | pd.Series[Any] | pd.DataFrame) -> Signal:
    """A signal itself, or plain samples (T,), (1, T) or (T, 1) as one: a list, an array, a tensor, a pandas Series.

    Raises
    ------
    SignalError
        If it is not a series, or is a DataFrame or a list of several.
    """
    listed = isinstance(given, list | tuple) and given and all(isinstance(each, Signal) for each in given)
    if is_table(given) or listed:
        if len(signals := as_signals(given)) > 1:
            names = ", ".join(signal.name for signal in signals[:5])
            first = "its first, [0]" if listed else "read_signals(data)[0]"
            raise SignalError(
                f"the {type(given).__name__} holds {len(signals)} series, {names}: give one, such as {first}"
            )
        return signals[0]
    if isinstance(given, Signal):
        return given
    _refuse_names(given)
    values = numbers(given, "a series", error=SignalError)
    if values.ndim > 1 and values.size > max(values.shape):
        raise SignalError(
            f"the {type(given).__name__} has shape {values.shape}, and a signal is one row of numbers: give one row or "
            "column of it, or several series as the columns of a pandas DataFrame, where time runs down"
        )
    return Signal("signal", values.ravel() if values.ndim > 1 and hasattr(given, "__array__") else values)


def as_signals(
    given: Signal | ArrayLike | Iterable[Signal | pd.Series[Any]] | pd.Series[Any] | pd.DataFrame,
) -> list[Signal]:
    """A list of signals from one signal, from any iterable of signals, or from a table (read as a file would be).

    Raises
    ------
    SignalError
        Naming the first item that is not a signal, and how to make one.
    """
    if isinstance(given, Signal):
        return [given]
    if is_table(given):
        return _of_table(given)
    _refuse_names(given)
    if hasattr(given, "__array__"):  # an array, a tensor
        return [as_signal(cast("ArrayLike", given))]
    listed: list[Any] = list(given) if isinstance(given, Iterable) and not isinstance(given, str | bytes) else [given]
    if listed and listed[0] is not given and all(map(may_be_sample, listed)):
        return [as_signal(listed)]
    listed = [as_signal(each) if is_table(each) else each for each in listed]
    for each in listed:
        if not isinstance(each, Signal):
            raise SignalError(
                f"signals are a Signal or several, got a {type(each).__name__}: make one by "
                "Signal('name', values, horizon=720), or read a file with read_signals"
            )
    return listed


def _refuse_names(given: object) -> None:
    """Refuse a dict: whether its values are samples, signals or something else, its caller knows."""
    if isinstance(given, Mapping):
        raise SignalError(
            f"got a {type(given).__name__} of series by name: make a list of them, each a "
            "Signal(name, values, horizon=720), or a table, pandas.DataFrame(series)"
        )


def _of_table(given: Any) -> list[Signal]:
    """The series of a table. Notes become warnings, and an error names the arguments of `read_signals`."""
    notes: list[str] = []
    try:
        signals = read_signals(given, tell=notes.append)
    except SignalError as error:
        said = re.sub(r" \(--[^)]*\)", "", str(error))
        how = " (make it with read_signals(data, …), which takes these choices)" if said != str(error) else ""
        raise SignalError(said + how) from error
    for note in notes:
        warnings.warn(note, ReadingWarning, stacklevel=4)
    return signals
