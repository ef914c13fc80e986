"""Checks of numbers and arrays from users, with an error of the calling room in one sentence."""

from __future__ import annotations

import math
from collections.abc import Collection
from decimal import Decimal
from numbers import Real
from operator import index
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vitime_cache.errors import VitimeError


def whole(
    value: Any, what: str, low: int, high: float = math.inf, *, error: type[VitimeError] = VitimeError
) -> int:  # fmt: skip
    """A whole number from `low` to `high`; anything else is an `error` that begins with `what`."""
    try:
        found = index(value)
    except TypeError:
        found = low - 1
    if isinstance(value, bool) or not low <= found <= high:
        bounds = f"from {low} on" if high == math.inf else f"from {low} to {high}"
        raise error(f"{what} must be a whole number {bounds}, got {value!r:.60}")
    return found


def positive(value: Any, what: str, unit: str = "", *, error: type[VitimeError] = VitimeError) -> float:
    """A positive finite number of `unit`; anything else is an `error` that begins with `what`."""
    if not 0 < (found := real(value)) < math.inf:
        raise error(f"{what} must be a positive number{unit and f' of {unit}'}, got {value!r:.60}")
    return found


def choice(value: Any, what: str, choices: Collection[str], *, error: type[VitimeError] = VitimeError) -> None:
    """Refuse what is none of a few words: an `error` that begins with `what`."""
    if not isinstance(value, str) or value not in choices:
        *first, last = map(repr, choices)
        words = f"{', '.join(first)} or {last}" if first else last
        raise error(f"{what} must be {words}, got {value!r:.60}")


def truth(value: Any, what: str, *, error: type[VitimeError] = VitimeError) -> bool:
    """True or False; anything else is an `error` that begins with `what`."""
    if not isinstance(value, bool | np.bool_):
        raise error(f"{what} must be True or False, got {value!r:.60}")
    return bool(value)


def text(value: Any, what: str, *, error: type[VitimeError] = VitimeError) -> None:
    """Refuse what is no text: an `error` that begins with `what`."""
    if not isinstance(value, str):
        raise error(f"{what} must be a text, got {value!r:.60}")


def called(value: Any, what: str, *, error: type[VitimeError] = VitimeError) -> None:
    """Refuse a callback that is neither None nor can be called: an `error` that begins with `what`."""
    if not (value is None or callable(value)):
        raise error(f"{what} must be a function or None, got {value!r:.60}")


def is_number(value: Any) -> bool:
    """Whether the value is one real number, including NaN and infinities."""
    return isinstance(value, int | float | np.integer | np.floating) and not isinstance(value, bool)


def numbers(values: Any, what: str, *, error: type[VitimeError] = VitimeError) -> NDArray[Any]:
    """Convert lists, arrays and tensors (on any device, with or without gradient) to an array of their own type.

    Raises
    ------
    VitimeError
        The given `error`, for text, complex numbers, dictionaries, generators and rows of different lengths.
    """
    given = values
    try:
        if hasattr(given, "detach"):
            given = given.detach().cpu()
            if "bfloat16" in str(given.dtype):  # a type that numpy lacks
                given = given.float()
        found = np.asarray(given)
        if found.dtype == object and found.ndim and all(map(may_be_sample, found.flat)):
            found = found.astype(np.float64)
        if np.ma.is_masked(given):  # masked values count as missing
            found = np.ma.filled(np.ma.asarray(given, dtype=np.float64), np.nan)
    except (TypeError, ValueError, RuntimeError, OverflowError) as problem:  # RuntimeError: of a tensor without values
        raise error(f"{what} must be a list of numbers or an array: {problem}") from problem
    if found.dtype.kind not in "biuf":
        raise error(f"{what} must be an array of real numbers, got a {type(values).__name__} of type {found.dtype}")
    return found


def real(value: Any) -> float:
    """One real number of any type as a float; NaN for anything else, infinite for an integer beyond all floats.

    Bounds are compared with this: numpy would round them to a narrow type of its own, with a warning.
    """
    try:
        return float(value) if is_number(value) else math.nan
    except OverflowError:
        return math.inf if value > 0 else -math.inf


def may_be_sample(value: Any) -> bool:
    """Whether an object stands for one number: also None, a missing one, and what has no dimensions, as a tensor."""
    known = value is None or isinstance(value, Real | Decimal) or getattr(value, "shape", None) == ()
    return known and not isinstance(value, bool)
