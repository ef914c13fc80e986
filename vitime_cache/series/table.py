"""Files → tables of numbers, times and texts. pandas and pyarrow do the reading; sizes are bounded here.

A table is a DataFrame whose index is the place of each row in the file: in text the line, counted from 1 with the
header, elsewhere the sample. `layouts` finds the series in it.
"""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import re
import zipfile
import zlib
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path, PurePosixPath
from tokenize import TokenError
from typing import TYPE_CHECKING, Any, BinaryIO

import numpy as np

from vitime_cache.series import bounds
from vitime_cache.series.arrow import read_feather, read_parquet
from vitime_cache.series.bounds import NOTES, SignalError, check_length, check_width, reading_errors
from vitime_cache.series.text import read_text
from vitime_cache.series.workbook import read_workbook
from vitime_cache.signatures import stand_in

if TYPE_CHECKING:
    import pandas as pd

COMPRESSED = {".gz": gzip.open, ".bz2": bz2.open, ".xz": lzma.open, ".zip": None}


def read_bytes(source: str | Path | BinaryIO, name: str | None = None) -> tuple[str, bytes]:
    """The name of a file, without its folders, and its content.

    Parameters
    ----------
    source
        A path, or a stream opened in binary mode.
    name
        Name of a stream, whose ending says the format. It is a label and is never opened.

    Raises
    ------
    SignalError
        If there is no such file, or it is empty or larger than 50 MB.
    """
    if isinstance(source, str | Path):
        path = Path(source)
        try:
            if not path.exists():
                raise SignalError(f"there is no file {str(path)!r}")
            if not path.is_file():
                raise SignalError(f"{str(path)!r} is not a file; name the files in it one by one")
            with path.open("rb") as stream:
                data = stream.read(bounds.MAX_BYTES + 1)
        except OSError as error:
            raise SignalError(f"{str(path)[:200]!r} cannot be read: {error.strerror}") from error
        name = name or path.name
    elif not hasattr(source, "read"):
        raise SignalError(f"the source is a path, a binary stream or a table, got {source!r:.60}")
    else:
        if not name:
            raise SignalError("a stream has no file name: pass name='series.csv', whose ending says the format")
        data = source.read(bounds.MAX_BYTES + 1)
        if not isinstance(data, bytes):
            raise SignalError(f"{name} is open as text; open it in binary mode")
    name = PurePosixPath(name.replace("\\", "/")).name
    if len(data) > bounds.MAX_BYTES:
        raise SignalError(
            f"{name} is larger than {bounds.MAX_BYTES / 1e6:.0f} MB; split it, or keep the columns you need"
        )
    if not data:
        raise SignalError(f"{name} is empty")
    return name, data


def unpack(file: str, data: bytes) -> tuple[str, bytes]:
    """Unpack a compressed file; its name loses the ending that says so.

    Raises
    ------
    SignalError
        If it unpacks to more than 50 MB, is broken, or is an archive of several files.
    """
    path = PurePosixPath(file)
    if (ending := path.suffix.lower()) not in COMPRESSED:
        return file, data
    broken = (OSError, EOFError, ValueError, lzma.LZMAError, zlib.error, zipfile.BadZipFile, NotImplementedError)
    with reading_errors(f"{file} cannot be unpacked", *broken, RuntimeError):
        if ending == ".zip":
            archive = zipfile.ZipFile(io.BytesIO(data))
            inside = [name for name in archive.namelist() if not name.endswith("/") and "__MACOSX" not in name]
            if len(inside) != 1:
                raise SignalError(f"{file} holds {len(inside)} files; take out the one that holds the series")
            name, stream = PurePosixPath(inside[0]).name, archive.open(inside[0])
            name = path.stem if name == path.name else name  # as earlier pandas wrote "v.csv.zip"
        else:
            name, stream = path.stem, COMPRESSED[ending](io.BytesIO(data))  # type: ignore[assignment, misc]
        data = stream.read(bounds.MAX_BYTES + 1)
    if len(data) > bounds.MAX_BYTES:
        raise SignalError(f"{file} unfolds to more than {bounds.MAX_BYTES / 1e6:.0f} MB; split it, or keep less")
    if not data:
        raise SignalError(f"{file} is empty")
    return name, data


def read_tables(file: str, data: bytes) -> list[pd.DataFrame]:
    """The tables in a file: one, or for an NPZ archive one for each length of its arrays.

    Raises
    ------
    SignalError
        Naming the file and, if possible, the row.
    """
    ending = PurePosixPath(file).suffix.lower()
    if ending in (".xls", ".ods"):
        raise SignalError(
            f"{file}: workbooks are read as .xlsx; open it and save it as that, or its first sheet as CSV"
        )
    if ending not in READERS:
        known = ", ".join(sorted([*ENDINGS, ".toml"]))
        raise SignalError(
            f"{file}: the ending {ending!r} is none of {known}, with .gz, .bz2, .xz or .zip behind it; save the "
            "table as one of them"
        )
    if re.match(rb"\s*(\{|\[\s*[\[{\"])", data):
        raise SignalError(f"{file} is JSON, not a table; write its series as columns of a CSV file")
    if re.match(rb"\s*\[1\]\s", data):
        raise SignalError(f"{file} is a vector as R prints it; write it with write.csv")
    if kind := stand_in(data):
        raise SignalError(f"{file} is {kind}")
    tables = READERS[ending](file, data)
    return tables if isinstance(tables, list) else [tables]


def _read_npy(file: str, data: bytes) -> pd.DataFrame:
    """One series (T,), or a series per column (T, series): time runs down the rows, as in the other formats."""
    import pandas as pd

    values = _array(file, data)
    if values.ndim not in (1, 2) or values.size == 0:
        raise SignalError(f"{file} has shape {values.shape}; one series is (samples,), several are (samples, series)")
    check_length(file, len(values))
    several = values.astype(np.float64).reshape(len(values), -1)
    check_width(file, several.shape[1], len(values))
    names = _numbered(PurePosixPath(file).stem, several.shape[1])
    return pd.DataFrame(several, columns=names, index=range(1, len(values) + 1))


def _read_npz(file: str, data: bytes) -> list[pd.DataFrame]:
    """Tables of arrays of the same length, as columns. Texts and objects beside them are left out."""
    import pandas as pd

    broken = (*_BROKEN, zipfile.BadZipFile, zlib.error, RuntimeError)
    tables, left = defaultdict[int, dict[str, Any]](dict), list[SignalError]()
    with reading_errors(f"{file} cannot be read as an NPZ file", *broken):
        archive = zipfile.ZipFile(io.BytesIO(data))
        parts = archive.infolist()
        if len(parts) > bounds.MAX_SERIES or sum(part.file_size for part in parts) > bounds.MAX_UNPACKED:
            raise SignalError(f"{file} unfolds to more than {bounds.MAX_UNPACKED / 1e6:.0f} MB; split it")
        for part in parts:
            name = part.filename.removesuffix(".npy")
            where = f"{file}, array {name!r}"
            try:
                array = _array(where, archive.read(part))
                if array.ndim not in (1, 2) or not len(array):
                    raise SignalError(f"{where} has shape {array.shape}, no (samples,) or more of them")
            except SignalError as error:
                left.append(error)
                continue
            tables[len(array)] |= _columns(name, array)
    if not tables:
        raise left[0] if left else SignalError(f"{file} holds no arrays")
    for length, table in tables.items():
        check_length(file, length)
        check_width(file, len(table), length)
    frames = [pd.DataFrame(table, index=range(1, length + 1)) for length, table in tables.items()]
    frames[0].attrs[NOTES] = [f"left out: {error}" for error in left]
    return frames


def _columns(name: str, array: np.ndarray[Any, Any]) -> dict[str, Any]:
    """An array (T,) or (T, series) as columns."""
    several = array.reshape(len(array), -1).T
    return dict(zip(_numbered(name, len(several)), several, strict=True))


def _numbered(name: str, count: int) -> list[str]:
    """Names of so many columns, numbered where there are several."""
    return [f"{name}_{number}" for number in range(1, count + 1)] if count > 1 else [name]


def _array(file: str, data: bytes) -> np.ndarray[Any, Any]:
    """The numbers or times that numpy saved."""
    if not data.startswith(np.lib.format.MAGIC_PREFIX):
        raise SignalError(f"{file} is not an NPY file; write it with numpy.save")
    with reading_errors(f"{file} cannot be read as an NPY file of float64", *_BROKEN):
        values: np.ndarray[Any, Any] = np.load(io.BytesIO(data), allow_pickle=False)
    if (
        values.dtype.kind not in "iufM"
        or values.dtype.itemsize > 8
        or (values.dtype.kind == "M" and ".npz" not in file)
    ):
        raise SignalError(f"{file} holds values of type {values.dtype}; save an array of float64")
    return values


_BROKEN = (ValueError, TypeError, EOFError, OSError, OverflowError, MemoryError, SyntaxError, TokenError)

READERS: dict[str, Callable[[str, bytes], Any]] = {
    **dict.fromkeys((".csv", ".tsv", ".txt", ".dat"), read_text),
    ".parquet": read_parquet,
    ".feather": read_feather,
    ".npy": _read_npy,
    ".npz": _read_npz,
    ".xlsx": read_workbook,
    ".xlsm": read_workbook,
}

ENDINGS = (*READERS, *COMPRESSED)
