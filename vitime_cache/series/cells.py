"""What a cell of text may hold: a number in one of two notations, or a mark that says it is missing."""

from __future__ import annotations

import math
import re
from array import array
from collections.abc import Iterable
from contextlib import suppress
from itertools import chain
from typing import TYPE_CHECKING, Literal

import numpy as np
from numpy.typing import NDArray

from vitime_cache.series.bounds import MAX_BYTES, SignalError, check_length

if TYPE_CHECKING:
    import pandas as pd

MISSING = frozenset(
    (
        "", "nan", "-nan", "na", "n/a", "n/e", "missing", "unavailable", "unknown", ":", "***", "#n/a",
        "#na", "#n/a n/a", "<na>", "null", "none", "nat", "nil", "\\n", "?",
        ".", "-", "--", "..", "…", "*", "#num!", "#value!", "#div/0!", "1.#qnan", "-1.#ind",
    )
)  # fmt: skip

_POWER = r"([eE][+-]?\d+)?"
_SIGN = "[+−-]?"  # U+2212 is a minus too
_APART = " '’\xa0\u202f"  # thousands separators of either notation; the last two are spaces
PLAIN = rf"{_SIGN}(\d+\.?\d*|\.\d+){_POWER}|{_SIGN}([iI][nN][fF](inity)?)"
COMMA = rf"{_SIGN}(0|[1-9]\d*|\d{{1,3}}([.{_APART}]\d{{3}})+),\d+{_POWER}"
GROUPS = rf"{_SIGN}[1-9]\d{{0,2}}((,\d{{3}})+|([{_APART}]\d{{3}})+)(\.\d*)?{_POWER}"
_EITHER = rf"{_SIGN}[1-9]\d{{0,2}},\d{{3}}{_POWER}"  # 1,234 is a little more than one, or more than a thousand
_BOTH = rf"{_SIGN}[1-9]\d{{0,2}}([{_APART}]\d{{3}})+"  # 1'234 is the same in both
_THOUSANDS = rf"{_SIGN}[1-9]\d{{0,2}}\.\d{{3}}"  # 2.850 is a little less than three, or nearly three thousand
_HUNDREDS = rf"{_SIGN}\d{{1,3}}"
_GERMAN_DATE = r"\d{1,2}\.\d{1,2}\.\d{2}(\d{2})?\b.*"
_WHOLE = rf"{_SIGN}(\d+{_POWER}|\d{{1,3}}([.{_APART}]\d{{3}})+)"  # a plain number in a file with decimal commas

# A number with a sign, a currency and a unit. What follows a date or a time of day is not a unit.
_MEASURE = r"(?!(?i:days?|[ap]m|st|nd|rd|th|(?:jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec)[a-z]*)$)"
_MEASURE += r"[a-zA-Z°µμ%‰€$£¥][^\s()\d,;:]*[\d²³]?"
_WITH_UNIT = (
    rf"^([(+−-]*)\s*(US\$|[€$£¥₹]|EUR|USD|GBP|CHF|JPY)?\s*([(+−-]*)"
    rf"(\d[\d.,{_APART}]*(?:[eE][+-]?\d+)?|\.\d+)\s*({_MEASURE})?\)?$"
)

Notation = Literal["point", "comma"]


def is_number(cell: str) -> bool:
    """Whether a stripped cell is a number in either notation."""
    return any(re.fullmatch(pattern, cell) for pattern in (PLAIN, COMMA, GROUPS))


def is_missing(cell: str) -> bool:
    """Whether a cell marks a missing value."""
    return cell.strip().lower() in MISSING


def to_numbers(cells: pd.Series, notation: Notation | None) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """Texts (T,) as numbers.

    Parameters
    ----------
    notation
        "comma": 1.234,5; "point": 1,234.5; None: numbers contain no comma.

    Returns
    -------
    tuple
        The numbers, NaN where a cell is missing or not a number, and which cells are not numbers; both (T,).
    """
    import pyarrow as pa

    if notation != "comma":
        with suppress(pa.ArrowInvalid):  # the fastest way, which takes plain numbers only
            values = pa.chunked_array([pa.array(cells, pa.string(), from_pandas=True)]).cast(pa.float64())
            return values.to_numpy(), np.zeros(len(cells), bool)
    some = [cell.strip() for cell in cells.iloc[:: max(len(cells) // 20, 1)].dropna()]
    if not any(map(is_number, some)) and not all(map(is_missing, some)):
        return np.full(len(cells), np.nan), np.ones(len(cells), bool)
    texts = cells.str.strip().fillna("")
    missing = texts.str.lower().isin(MISSING)
    kinds = {None: PLAIN, "point": f"{PLAIN}|{GROUPS}", "comma": f"{COMMA}|{_WHOLE}"}[notation]
    numbers = texts.str.fullmatch(f"({kinds})") & ~missing
    plain = texts.where(numbers, "nan").str.replace("−", "-")
    if notation:
        plain = plain.str.replace(f"[.{_APART}]" if notation == "comma" else f"[,{_APART}]", "", regex=True)
    if notation == "comma":
        plain = plain.str.replace(",", ".")
    return plain.to_numpy(np.float64), ~(numbers | missing).to_numpy()


def without_units(cells: pd.Series) -> tuple[pd.Series, str] | None:
    """Remove a shared unit from texts (T,), or the brackets that mark negative numbers.

    Returns
    -------
    tuple
        The texts, unchanged where the unit is another one, and the removed unit, "" for brackets. None if there is
        nothing to remove.
    """
    texts = cells.str.strip().fillna("")
    known = texts[~texts.str.lower().isin(MISSING)]
    some = known.iloc[:: max(len(known) // 40, 1)].str.extract(_WITH_UNIT)[3].dropna()
    if 2 * len(some) < min(len(known), 40) or not all(map(is_number, some.str.strip())) or known.nunique() < 2:
        return None
    parts = known.str.extract(_WITH_UNIT).fillna("")
    units = (parts[1] + parts[4])[parts[3] != ""]
    unit = str(units.mode().iloc[0])
    fit = (parts[1] + parts[4] == unit) & (parts[3] != "")
    bare = known[(parts[1] + parts[4] == "") & (parts[3] != "")]
    if unit and bare.str.contains("[1-9]").any():
        return None  # 0.5 beside 50% is the same or another
    signs = parts[0] + parts[2]
    if not unit and not signs.str.contains("(", regex=False).any():
        return None
    numbers = signs.str.replace("(", "-") + parts[3].str.strip()
    return cells.mask(fit.reindex(cells.index, fill_value=False), numbers.reindex(cells.index)), unit


def notation_of(where: str, columns: Iterable[pd.Series], in_quotes: bool = False) -> Notation | None:
    """The notation of columns of text that are not plain numbers; None if no number contains a comma.

    If commas separate the cells and a cell with a comma is quoted (`in_quotes`), groups of three digits are thousands.

    Raises
    ------
    SignalError
        If every comma may be a decimal comma or a thousands separator.
    """
    found: set[Notation] = set()
    unclear, apart = "", False
    for column in columns:
        texts = column.str.strip().fillna("")
        if not any(re.fullmatch(f"{COMMA}|{GROUPS}", text) for text in texts.iloc[:5]):
            continue
        comma, groups, either, both = (texts.str.fullmatch(f"({each})") for each in (COMMA, GROUPS, _EITHER, _BOTH))
        if 2 * (comma | groups).sum() <= len(texts):  # a word among numbers is refused where they are read
            continue
        found |= {"comma"} if (comma & ~either).any() else set()
        found |= {"point"} if (groups & ~either & ~both).any() else set()
        unclear = unclear or (texts[either].iloc[0] if either.any() else "")
        apart = apart or bool(both.any())
    if len(found) == 1:
        return found.pop()
    if unclear and not found and not in_quotes:
        raise SignalError(
            f"{where}: {unclear[:60]!r} has a decimal comma, or one that keeps thousands apart: say which with "
            "decimal='comma' or 'point' (--decimal comma)"
        )
    return "point" if (apart or unclear) and not found else None


def _has_decimals(column: pd.Series) -> bool:
    """Whether texts (T,) are numbers with a point, of which some cannot keep thousands apart."""
    texts = column.str.strip().fillna("")
    with_point = texts[texts.str.contains(".", regex=False) & ~texts.str.lower().isin(MISSING)]
    is_plain = len(with_point) > 0 and re.fullmatch(PLAIN, with_point.iloc[0]) is not None
    return is_plain and not bool(with_point.str.fullmatch(_THOUSANDS).all())


def refuse_points_within(where: str, columns: Iterable[pd.Series], separated_by_commas: bool = False) -> None:
    """Refuse numbers whose points may all keep thousands apart, where something speaks for it.

    That is a date with points, as files with such dates mostly have a decimal comma; or, in a file that is not
    separated by commas, a column where numbers from 1.000 on have three decimals and those below a thousand none.
    """
    columns = list(columns)
    dated = any(re.fullmatch(_GERMAN_DATE, str(column.iloc[0]).strip()) for column in columns if len(column))
    if any(_has_decimals(column.iloc[:50]) for column in columns):  # nearly every file, told without reading it all
        return
    apart, beside_hundreds = "", False
    for column in columns:
        texts = column.str.strip().fillna("")
        known = texts[~texts.str.lower().isin(MISSING)]
        pointed = known.str.contains(".", regex=False)
        with_point = known[pointed]
        if len(with_point) and re.fullmatch(PLAIN, with_point.iloc[0]):
            if _has_decimals(with_point):
                return
            apart = apart or with_point.iloc[0]
            rest = known[~pointed]
            beside_hundreds |= bool(rest.str.fullmatch(_HUNDREDS).all() and rest.str.fullmatch(r"\D?\d{3}").any())
    if apart and (dated or (beside_hundreds and not separated_by_commas)):
        raise SignalError(
            f"{where}: {apart!r} has a decimal point, or one that keeps thousands apart: say which with "
            "decimal='point' or 'comma' (--decimal comma)"
        )


def refuse_commas_within(text: str, where: str, other_remedy: str = "") -> None:
    """Raise SignalError if every comma may be a decimal, a thousands or a separating one.

    A comma followed by a space separates. On a single line without other separators, commas separate whole numbers.
    """
    groups = (found.group() for found in re.finditer(r"[^;\s]*,[^;\s]*", text))
    first = next(groups, None)
    if first is None or not re.search(r"[;\s]", text.strip()):
        return
    if all(re.fullmatch(COMMA, group) or re.fullmatch(GROUPS, group) for group in chain([first], groups)):
        raise SignalError(
            f"{where}: {first[:60]!r} is one number with a comma in it, or several numbers. Write a decimal point and "
            f"nothing between thousands, or put a blank after a comma that separates{other_remedy}"
        )


def pasted_numbers(text: str, name: str) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Numbers separated by commas, semicolons, spaces or line ends, NaN where one is missing; and the row of each.

    Between two commas in a row a number is missing. "1,5;2,5" may be two numbers or four, "1,234" one or two: such text
    is refused if all its commas may be read either way and something else separates the numbers.

    Raises
    ------
    SignalError
        Naming `name`, row and cell.
    """
    if len(text) > MAX_BYTES:
        raise SignalError(f"{name}: the text is longer than {MAX_BYTES / 1e6:.0f} million characters")
    refuse_commas_within(text, name)
    if grouped := re.search(r"(?<![\d.,])[1-9]\d{0,2}([ \xa0\u202f]\d{3})*[ \xa0\u202f]0\d\d(?![\d.])", text):
        raise SignalError(f"{name}: {grouped.group()!r:.60} is one number or several; write nothing between thousands")
    values, rows = array("d"), array("q")
    for row, line in enumerate(text.splitlines(), start=1):
        cells = re.split(r"\s*[,;]\s*|\s+", line.strip())
        if cells[-1] == "":  # a blank line, or a separator at the end of the line
            cells.pop()
        for cell in cells:
            if not (re.fullmatch(PLAIN, cell) or is_missing(cell)):
                raise SignalError(f"{name}, row {row}: {cell[:60]!r} is not a number with a decimal point; correct it")
            values.append(math.nan if is_missing(cell) else float(cell.replace("−", "-")))
            rows.append(row)
    check_length(name, len(values))
    return np.array(values), np.array(rows, np.int64)
