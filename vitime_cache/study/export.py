"""Exports heads of a store as pictures and numbers to files."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import product
from pathlib import Path
from typing import TypeVar

import xarray as xr

from vitime_cache.attention import schema
from vitime_cache.charts import HeadView, Paper
from vitime_cache.charts.shading import Contrast
from vitime_cache.series.bounds import SignalError
from vitime_cache.series.spans import to_samples
from vitime_cache.study.defaults import CONTRAST, DPI
from vitime_cache.study.first_head import first_head, newest_verdict, sweep_tracking
from vitime_cache.study.pictures import FORMATS, ExportError, Format, experiment_files, file_name, write_files

Item = TypeVar("Item", str, int, Format)

MOST_LISTED = 20  # names that an error lists


def export(
    source: xr.Dataset | str | Path,
    signals: Sequence[str] | str | None = None,
    layers: Sequence[str] | str | None = None,
    heads: Sequence[int] | int | str | None = None,
    out_dir: str | Path = "exports",
    formats: Sequence[str] = FORMATS,
    contrast: Contrast | None = CONTRAST,
    *,
    dpi: float = DPI,
    paper: Paper | None = None,
    period: float | str | None = None,
    overwrite: bool = False,
    progress: Callable[[int, int], None] | None = None,
    tell: Callable[[str], object] | None = None,
) -> list[Path]:
    """Write the pictures and the numbers of some heads for some signals.

    Parameters
    ----------
    source
        Path or URL of a store, or a Dataset as `open_store` and `capture` return it.
    signals
        Names; None takes all.
    layers
        Names or "all". None takes the layer of the default head.
    heads
        Numbers or "all". None takes all heads if layers are named, else the default head: the head that the answer
        rests on most if the store has an answer about the signal, else that of `study.first_head`.
    out_dir
        Folder of the files, created if needed.
    formats
        "png", "svg" and "pdf" for the pictures, "csv" and "parquet" for the numbers.
    contrast
        Options of the heatmap with contrast; None leaves that picture out.
    dpi
        Dots per inch of PNG files.
    paper
        Makes figures for a paper: as wide as its column, without titles, with their captions in a file.
    period
        Whose multiples the lag curves mark, in samples or as a span of time such as "1d"; None takes the slowest true
        harmonic of the signal, if one is known.
    overwrite
        Replace existing files.
    progress
        Called after each file with the number written and the total number.
    tell
        Called at the end with a line on each default head: which one was taken, and why.

    Returns
    -------
    list
        The files, `experiment_<signal>_<layer>_head_<head>_<what>.<format>`.

    Raises
    ------
    ExportError
        For an unknown signal, layer, head or format, naming the known ones, for a period that is none, or for a file
        that already exists. Nothing has been written then.
    StoreError
        If `source` is not a store.
    """
    ds = _opened(source)
    names = [str(name) for name in ds[schema.SIGNAL].values]
    layer_names = [str(layer) for layer in ds[schema.LAYER].values]
    numbers = list(range(ds.sizes[schema.HEAD]))
    chosen = _chosen("signal", signals, names, default=names)
    kinds = _chosen("format", formats, FORMATS, default=FORMATS)
    tracking, told = sweep_tracking(ds), list[str]()
    files: dict[Path, Callable[[], bytes]] = {}
    for signal in chosen:
        one = ds.sel({schema.SIGNAL: signal})
        samples = None if period is None else _samples(period, one)
        here, there = layer_names[:1], numbers
        if layers is None:
            verdict = None if isinstance(source, xr.Dataset) else newest_verdict(source, one)
            best_layer, best_head, reason = first_head(one, verdict, tracking)
            here, there = [best_layer], [best_head]
            if heads is None:
                told.append(f"{signal}: {best_layer}, head {best_head}: {reason}")
        for layer, head in product(
            _chosen("layer", layers, layer_names, default=here), _chosen("head", heads, numbers, default=there)
        ):
            stem = f"{file_name(signal)}_{file_name(layer)}_head_{head}"
            view = HeadView(one, layer, head, shown_in="weight")
            files |= experiment_files([view], stem, Path(out_dir), kinds, contrast, dpi, paper, samples)
    if len({str(path).casefold() for path in files}) < len(files):
        raise ExportError("names of two signals, and so their files, differ only in case; export them one by one")
    written = write_files(files, overwrite=overwrite, progress=progress)
    if tell is not None:  # at the end, so that an error is the only line
        for line in told:
            tell(line)
    return written


def _samples(period: float | str, ds: xr.Dataset) -> float:
    """A period of one signal in samples."""
    try:
        return to_samples(str(period), float(ds[schema.SAMPLE_SECONDS]))
    except SignalError as error:
        raise ExportError(f"{schema.name_of(ds)}: {error}") from error


def _opened(source: xr.Dataset | str | Path) -> xr.Dataset:
    """A Dataset with the dimension `signal`."""
    if not isinstance(source, xr.Dataset):
        from vitime_cache.store.reader import open_store

        return open_store(source)
    ds = schema.validate(source)
    return ds if schema.SIGNAL in ds.dims else ds.expand_dims(schema.SIGNAL)


def _chosen(
    what: str, wanted: Sequence[Item | str] | int | str | None, available: Sequence[Item], default: Sequence[Item]
) -> list[Item]:
    """The requested items, each once.

    Raises
    ------
    ExportError
        Naming an item that does not exist, and those that do.
    """
    if not available:
        raise ExportError(f"there is no {what} to export")
    if wanted is None:
        return list(default)
    asked = [wanted] if isinstance(wanted, str | int) else list(wanted)
    if asked == ["all"] and "all" not in available:
        return list(available)
    for one in asked:
        if one not in available:
            listed = ", ".join(str(name) for name in available[:MOST_LISTED])
            more = f" and {len(available) - MOST_LISTED} more" if len(available) > MOST_LISTED else ""
            raise ExportError(f"no {what} {one!r}; there are {listed}{more}")
    if not asked:
        raise ExportError(f"no {what} was chosen; name at least one")
    return list(dict.fromkeys(one for one in available if one in asked))
