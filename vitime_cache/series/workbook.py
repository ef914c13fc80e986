"""Workbooks of spreadsheet programs → tables. They are converted to text, and read as text files are."""

from __future__ import annotations

import csv
import io
import zipfile
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from vitime_cache.series import bounds
from vitime_cache.series.bounds import NOTES, SignalError, Tell, check_length, check_width, reading_errors
from vitime_cache.series.text import read_text

if TYPE_CHECKING:
    import pandas as pd

_FIRST_ROWS = 200  # that are looked at to choose a sheet


def read_workbook(file: str, data: bytes) -> pd.DataFrame:
    """The first sheet, read as `read_text` reads a text file; a formula gives the value saved with it.

    Raises
    ------
    SignalError
        Naming the file, and what to install if the package for it is missing.
    """
    import pandas as pd

    notes = list[str]()
    with reading_errors(f"{file} cannot be read", Exception):  # any error that a damaged file causes
        parts = zipfile.ZipFile(io.BytesIO(data)).infolist()
        if sum(part.file_size for part in parts) > bounds.MAX_BYTES:  # a few kilobytes can unfold to any size
            raise SignalError(f"{file} unfolds to more than {bounds.MAX_BYTES / 1e6:.0f} MB; save the sheet as CSV")
        try:
            with pd.ExcelFile(io.BytesIO(data), engine="openpyxl") as book:
                rows = _rows(file, book.book, notes.append)
        except ImportError as error:
            raise SignalError(
                f"{file} needs openpyxl, which is not installed: pip install openpyxl; or save the sheet as CSV"
            ) from error
    width = max(map(len, rows), default=0)
    text = io.StringIO()
    csv.writer(text, "excel-tab", lineterminator="\n").writerows([*row, *[""] * (width - len(row))] for row in rows)
    frame = read_text(file, text.getvalue().encode(errors="replace"), separator="\t")
    frame.attrs[NOTES] = notes + frame.attrs[NOTES]
    return frame


def _has_numbers(sheet: Any) -> bool:
    """Whether several of the first rows of a sheet have numbers: one of remarks has hardly any."""
    sheet.reset_dimensions()
    first = sheet.iter_rows(max_row=_FIRST_ROWS, values_only=True)
    return sum(any(isinstance(cell, int | float) for cell in row) for row in first) > 1


def _rows(file: str, book: Any, tell: Tell) -> list[Sequence[Any]]:
    """Rows up to their last cell, bounded while they are read: pandas would first pad all to the widest."""
    if not book.worksheets:
        raise SignalError(f"{file} has no sheet of cells")
    sheets = [sheet for sheet in book.worksheets if sheet.sheet_state == "visible"] or book.worksheets
    sheet = next((sheet for sheet in sheets if _has_numbers(sheet)), sheets[0])
    if others := [other.title for other in sheets if other is not sheet]:
        tell(f"{file}: the sheet {sheet.title!r} is read; left out: {', '.join(others)[:200]}")
    rows, width = list[Sequence[Any]](), 0
    sheet.reset_dimensions()  # the size that a file states may be wrong
    for row in sheet.iter_rows(values_only=True):
        end = next((end for end in range(len(row), 0, -1) if row[end - 1] is not None), 0)
        rows.append(row[:end])
        width = max(width, end)
        check_length(file, len(rows) - 1)
        check_width(file, width, len(rows))
    return rows
