"""The columns of a table: those of numbers, in whichever notation they are written, and the others."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from vitime_cache.series.bounds import SEPARATOR, Choices, SignalError, Tell
from vitime_cache.series.cells import Notation, is_missing, notation_of, refuse_points_within, to_numbers, without_units

if TYPE_CHECKING:
    import pandas as pd

# Nines, the ends of integers, and what files of wells and of netCDF have.
_MARK = re.compile(
    r"-?(9{2,}(\.9+)?|9\.9{2,}|999\.25|3276[78]|214748364[78]|1(\.00000002)?e\+20|1e\+30|9\.9692(1|09968)e\+36)"
    r"|-200|65535|4294967295"
)
_TOTAL = re.compile(r"(grand |sub)?(totals?|sums?|averages?|means?|summe|gesamt(summe)?|mittel(wert)?|durchschnitt)\W*")


@dataclass(frozen=True)
class Table:
    """The columns of a table by what they hold.

    Attributes
    ----------
    numbers
        Columns of numbers (T,), NaN where one is missing.
    others
        Columns of texts, times and truth values.
    broken
        Of the columns of numbers those with cells that are none: the position of the first such cell, and the cell.
    rows
        (T,) where each row stands in the file.
    in_front
        The first column of the file.
    units
        What was taken off columns of numbers, "" for brackets.
    separator
        What separates the decimals of its texts, "point" or "comma".
    """

    file: str
    numbers: dict[str, NDArray[np.float64]]
    others: dict[str, pd.Series]
    broken: dict[str, tuple[int, str]]
    rows: NDArray[np.int64]
    in_front: str = ""
    units: dict[str, str] = field(default_factory=dict)
    separator: Notation = "point"

    @cached_property
    def names(self) -> list[str]:
        """Every column, those of numbers first."""
        return list(dict.fromkeys([*self.numbers, *self.others]))

    def where(self, name: str) -> str:
        """How a column is called in messages."""
        return f"{self.file}, column {name!r:.60}"

    def keys(self, names: Sequence[str]) -> pd.DataFrame:
        """Some columns (T, names) as texts, by which rows are told apart."""
        import pandas as pd

        columns = {
            name: pd.Series(self.numbers[name].astype(np.int64)) if name in self.numbers else self.others[name]
            for name in names
        }
        texts = {name: column.astype("str").fillna("").str.strip() for name, column in columns.items()}
        return pd.DataFrame({name: np.asarray(text) for name, text in texts.items()})

    def distinct(self, names: Sequence[str], times: NDArray[Any] | None = None) -> int:
        """How many different rows some columns have, together with the times (T,) if these are given."""
        keys = self.keys(names)
        return int((~(keys if times is None else keys.assign(**{"the time": times})).duplicated()).sum())

    def check_marks(self, names: Sequence[str], choices: Choices) -> None:
        """Refuse numbers such as -999 that are far outside the others: they may mark what is missing."""
        for name in names if "none" not in choices.missing else ():
            values = self.numbers[name]
            if not (_may_mark(np.fmin.reduce(values)) or _may_mark(np.fmax.reduce(values))):
                continue
            kinds, times = np.unique(values[np.isfinite(values)], return_counts=True)
            rest = [kind for kind in (*kinds[:4], *kinds[-4:]) if not _may_mark(kind)]
            if not rest:
                continue
            spread = 1 if rest[0] == rest[-1] else rest[-1] - rest[0]
            with np.errstate(over="ignore"):
                away = np.maximum(rest[0] - kinds, kinds - rest[-1]) / spread
            for at in np.flatnonzero(away > np.where(times > 1, 1, 10)):
                if _may_mark(kinds[at]):
                    often, short = int(times[at]), f"{kinds[at]:.10g}"
                    mark = short if float(short) == kinds[at] else repr(float(kinds[at]))
                    raise SignalError(
                        f"{self.where(name)}: {mark} stands {often} time{'s' * (often > 1)}, and the other values lie "
                        f"from {rest[0]:.6g} to {rest[-1]:.6g}. If it marks missing values, say so with "
                        f"missing=[{mark}] (--missing {mark}); if it is a value, with missing=['none'] (--missing none)"
                    )

    def check_numbers(self, names: Sequence[str], remedy: str = "") -> None:
        """Refuse a column with a cell that is no number."""
        for name in names:
            if name in self.broken:
                at, cell = self.broken[name]
            elif name in self.others:
                at, cell = 0, str(self.others[name].iloc[0])
            else:
                continue
            raise SignalError(
                f"{self.where(name)}, row {self.rows[at]}: {cell[:60]!r} is not a number with a decimal "
                f"{self.separator}; correct it{remedy}"
            )


def columns_of(file: str, frame: pd.DataFrame, choices: Choices, tell: Tell) -> Table:
    """The columns of a frame; texts that are numbers in one of the notations are numbers.

    Units are taken off, and sums below the rows left out; both are told.
    """
    import pandas as pd

    frame = frame if choices.rows else _without_totals(file, frame, tell)
    frame = _without_strays(file, frame, tell)
    names = [str(name).strip() or (f"column {place}" if place > 1 else "") for place, name in enumerate(frame, 1)]
    times = Counter(names)
    if twice := next((name for name in names if name and times[name] > 1), ""):
        raise SignalError(f"{file}: two columns are named {twice!r}; rename one")
    places = {name: place for place, name in enumerate(names)}
    kinds = [dtype.kind for dtype in frame.dtypes]
    plain = _plain_numbers(frame, {name: place for name, place in places.items() if kinds[place] in "iuf"})
    columns = {name: frame.iloc[:, place] for name, place in places.items() if name not in plain}
    texts = {
        name: column.astype("str")
        for name, column in columns.items()
        if column.dtype.kind not in "cbmM" and not isinstance(column.dtype, pd.PeriodDtype)
    }
    if choices.missing:
        texts = {name: text.mask(text.str.strip().isin(choices.missing), "") for name, text in texts.items()}
    read, taken_off, notation = _numbers_of(file, texts, choices, frame.attrs.get(SEPARATOR) == ",")
    table = Table(file, {}, {}, {}, np.asarray(frame.index), names[0] if names else "", taken_off, notation or "point")
    for name in places:
        if name in plain:
            table.numbers[name] = plain[name]
        elif name in texts:
            values, wrong = read[name]
            if np.isfinite(values).sum() < wrong.sum():
                table.others[name] = columns[name].astype("str")
                continue
            table.numbers[name] = values
            if name in taken_off:
                unit = taken_off[name]
                what = f"{unit!r} is taken off its numbers" if unit else "numbers in brackets are read as negative"
                tell(f"{table.where(name)}: {what}")
            if wrong.any():
                at = int(wrong.argmax())
                table.broken[name] = at, texts[name].iloc[at]
        else:
            column = columns[name]
            table.others[name] = column.dt.to_timestamp() if isinstance(column.dtype, pd.PeriodDtype) else column
    if choices.missing:
        marks = to_numbers(pd.Series(choices.missing, dtype="str"), notation)[0]
        table.numbers.update(
            {name: np.where(np.isin(each, marks), np.nan, each) for name, each in table.numbers.items()}
        )
    if len(table.numbers) > 1 and not np.isfinite(table.numbers.get("", np.zeros(1))).any():
        del table.numbers[""]  # behind a separator at the end of each line
    return table


def _numbers_of(
    file: str, texts: dict[str, pd.Series], choices: Choices, in_quotes: bool
) -> tuple[dict[str, tuple[NDArray[np.float64], NDArray[np.bool_]]], dict[str, str], Notation | None]:
    """Columns of texts (T,) as numbers and which are none, what was taken off them, and their common notation."""
    texts, taken_off = dict(texts), dict[str, str]()
    read = {name: to_numbers(text, None) for name, text in texts.items()}
    for name in [name for name, (_, wrong) in read.items() if wrong.any()]:
        if found := without_units(texts[name]):
            texts[name], taken_off[name] = found
            read[name] = to_numbers(texts[name], None)
    notation = choices.decimal or notation_of(
        file, [texts[name][wrong] for name, (_, wrong) in read.items() if wrong.any()], in_quotes
    )
    if notation is None:
        refuse_points_within(file, texts.values(), in_quotes)
        return read, taken_off, None
    for name, text in texts.items():
        again = to_numbers(text, notation)
        if read[name][1].any() or not again[1].any():  # 0.5 may stand in a column beside one of 0,5
            read[name] = again
    return read, taken_off, notation


def _plain_numbers(frame: pd.DataFrame, places: dict[str, int]) -> dict[str, NDArray[np.float64]]:
    """Columns (T,) of numeric type, all at once: one by one, ten thousand columns take pandas a second."""
    values = frame.iloc[:, list(places.values())].to_numpy(dtype=np.float64, na_value=np.nan)
    return dict(zip(places, np.ascontiguousarray(values.T), strict=True))


def _may_mark(value: np.floating[Any]) -> bool:
    return _MARK.fullmatch(f"{value:.10g}") is not None


def _without_strays(file: str, frame: pd.DataFrame, tell: Tell) -> pd.DataFrame:
    """Without columns that have no name and mostly no cells, as beside a remark or behind the end of each line."""
    strays = []
    for place in [place for place, name in enumerate(frame) if place and not str(name).strip()]:
        there = ~frame.iloc[:, place].astype("str").fillna("").map(is_missing).to_numpy(bool)
        if 2 * there.sum() < len(there):
            strays.append(place)
            if there.any():
                row, count = frame.index[int(there.argmax())], int(there.sum())
                many = f"{count} of {len(there)} cells, the first in row {row}"
                tell(f"{file}, column {place + 1}: left out, it has no name and {many}")
    return frame if not strays else frame.iloc[:, [place for place in range(frame.shape[1]) if place not in strays]]


def _without_totals(file: str, frame: pd.DataFrame, tell: Tell) -> pd.DataFrame:
    """The rows above sums and averages of them, each named by a word that stands nowhere above it."""
    end = len(frame)
    for at in range(end - 1, max(end - 6, 0), -1):
        cells = [str(cell).strip() for cell in frame.iloc[at]]
        words = [place for place, cell in enumerate(cells) if _TOTAL.fullmatch(cell.lower())]
        if any((frame.iloc[:at, place] != frame.iloc[at, place]).all() for place in words):
            end = at
            said = ", ".join(cell for cell in cells if not is_missing(cell))
            tell(f"{file}, row {frame.index[at]}: left out, it is a total and no sample: {said[:60]!r}")
        elif not all(map(is_missing, cells)):
            break
        elif end < len(frame):  # blank lines above a total
            end = at
    return frame.iloc[:end]
