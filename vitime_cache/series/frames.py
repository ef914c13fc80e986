"""Tables of other libraries → tables: pandas, and what converts to it, such as xarray and polars."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeGuard

from vitime_cache.series.bounds import SignalError

if TYPE_CHECKING:
    import pandas as pd


def is_table(given: Any) -> TypeGuard[pd.Series[Any] | pd.DataFrame]:
    """Whether an object is a pandas Series or DataFrame, or converts to one."""
    if hasattr(given, "to_pandas"):
        return True
    kinds = type(given).__mro__ if not isinstance(given, type) else ()
    return any(kind.__module__ == "pandas" and kind.__name__ in ("Series", "DataFrame") for kind in kinds)


def frame_of(given: Any) -> pd.DataFrame:
    """A Series or a DataFrame as a table, with its index as first columns.

    Raises
    ------
    SignalError
        If it cannot be a table, such as an array of three dimensions.
    """
    import pandas as pd

    kind = type(given).__name__
    try:
        frame = given.to_pandas() if hasattr(given, "to_pandas") else given
    except (ValueError, TypeError, ImportError) as error:
        raise SignalError(f"the {kind} is not a table of series: {error}") from error
    if isinstance(frame, pd.Series):
        frame = frame.to_frame("signal" if frame.name is None else frame.name)
    if not isinstance(frame, pd.DataFrame):
        raise SignalError(f"the {kind} is not a table of series")
    names = ["_".join(map(str, name)) if isinstance(name, tuple) else str(name) for name in frame.columns]
    frame = frame.set_axis(names, axis=1)
    if not _counts(frame.index):
        levels = ["index" if name is None else str(name) for name in frame.index.names]
        taken = {*names, *(level for level in levels if levels.count(level) > 1)}
        levels = [f"{level} {place}" if level in taken else level for place, level in enumerate(levels, 1)]
        frame = frame.reset_index(names=levels)
    return frame.set_axis(pd.RangeIndex(1, len(frame) + 1))


def _counts(index: pd.Index) -> bool:
    """Whether an index only numbers the rows, as the default one of pandas and xarray does."""
    import pandas as pd

    return isinstance(index, pd.RangeIndex) and index.step == 1 and (index.name is None or index.start == 0)
