"""Writes JSON, and reads external JSON with typed validation; a fault is one error that says where."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping
from functools import cache
from typing import Any, TypeVar

import msgspec

from vitime_cache.errors import VitimeError

Kind = TypeVar("Kind")


def read_json(data: bytes | str, kind: type[Kind], what: str, *, error: type[VitimeError] = VitimeError) -> Kind:
    """Read JSON as a value of `kind`: a dataclass, a TypedDict, dict[str, float] …

    NaN and Infinity, which Python writes although JSON lacks them, are accepted as numbers.

    Parameters
    ----------
    what
        Beginning of the error message, such as "the marker of signal 'a'".

    Raises
    ------
    VitimeError
        The given `error`, if it is not JSON or has other types: "… is damaged: Expected `int`, got `str` - at
        `$.seed`".
    """
    try:
        value = json.loads(data)
        json.dumps(value, ensure_ascii=False).encode()  # half a surrogate pair cannot be printed
        return msgspec.convert(value, kind)
    except (ValueError, RecursionError, OverflowError) as problem:
        raise error(f"{what} is damaged: {' '.join(str(problem).split())[:200]}") from problem


def check_attributes(
    attributes: Mapping[Any, Any],
    kinds: Mapping[str, Any],
    texts: Iterable[str],
    whole: str,
    called: str,
    *,
    error: type[VitimeError] = VitimeError,
) -> None:
    """Check that attributes are there: JSON of these kinds, and plain texts.

    Parameters
    ----------
    whole, called
        For messages: what has the attributes, such as "the verdict", and how one of them is called, such as
        "the verdict's attribute {!r}".

    Raises
    ------
    VitimeError
        The given `error`, naming the attribute, the value in it and the expected type.
    """
    for name in (*kinds, *texts):
        if name not in attributes:
            raise error(f"{whole} lacks the attribute {name!r}")
        if not isinstance(attributes[name], str):
            raise error(f"{called.format(name)} is not text")
    for name, kind in kinds.items():
        read_json(attributes[name], kind, called.format(name), error=error)


def write_json(document: Any) -> str:
    """Write dicts, lists and plain values as JSON; numbers that are not finite become null."""
    return json.dumps(_without_nan(document), allow_nan=False)


def _without_nan(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _without_nan(each) for name, each in value.items()}
    if isinstance(value, list):
        return [_without_nan(each) for each in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def decode(data: bytes, kind: type[Kind]) -> Kind | None:
    """The same for our own files, without an explanation of faults: several times as quick."""
    try:
        return _decoder(kind).decode(data)  # type: ignore[arg-type, no-any-return]
    except (ValueError, RecursionError, OverflowError):
        return None


@cache
def _decoder(kind: type[Any]) -> msgspec.json.Decoder[Any]:
    return msgspec.json.Decoder(kind)
