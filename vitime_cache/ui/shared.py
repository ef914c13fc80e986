"""What pages show, worked out once for all sessions.

A result is kept under the names of its arguments. A Dataset is named by its attribute `KEY`, which holds the store, the
state of that store and the signal or verdict, so that what a store showed before it changed is never found again. Each
function keeps its latest results and no more.

Streamlit's own caches hash every argument and copy every result on each use, a tenth of the time of a page. Results
here are the same object for everyone: nobody may change one.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable
from hashlib import blake2b
from threading import Condition
from types import FunctionType
from typing import Any, TypeVar, cast

import numpy as np
import xarray as xr
from cachetools import Cache, LRUCache, cached

from vitime_cache.charts import HeadView

KEY = "app_key"  # attribute that names a Dataset
END = "\0"  # of the path that such a name begins with: no path holds it, but "@" or "|" may
Function = TypeVar("Function", bound=Callable[..., Any])
_EVERY: list[Cache[Hashable, Any]] = []


def shared(most: int, size: Callable[[Any], int] | None = None) -> Callable[[Function], Function]:
    """A decorator that keeps the results used last, up to `most` of them or, by their `size`, of that size in all.

    While one session works a result out, others that want the same wait for it. An error is not kept.
    """
    results: LRUCache[Hashable, Any] = LRUCache(most, getsizeof=size)
    _EVERY.append(results)
    keep: Any = cached(results, key=_names, condition=Condition())
    return cast("Callable[[Function], Function]", keep)


def forget_everything() -> None:
    """Empty all of these caches."""
    for results in _EVERY:
        results.clear()


def _names(*args: Any, **options: Any) -> Hashable:
    return tuple(map(_name, args)), tuple((option, _name(options[option])) for option in sorted(options))


def _name(value: Any) -> Hashable:
    """What stands for an argument; a TypeError from the cache if it is neither hashable nor named here."""
    if isinstance(value, xr.Dataset):
        return str(value.attrs[KEY])
    if isinstance(value, HeadView):
        return _name(value.ds), value.layer, value.head, value.queries, value.shown_in
    if isinstance(value, np.ndarray):
        return value.shape, value.dtype.str, blake2b(value.tobytes()).digest()
    if isinstance(value, list | tuple):
        return tuple(map(_name, value))
    if isinstance(value, dict):
        return tuple((key, _name(each)) for key, each in value.items())
    if isinstance(value, FunctionType):
        return f"{value.__module__}.{value.__qualname__}"  # a page makes its functions anew on each run
    return value  # type: ignore[no-any-return]
