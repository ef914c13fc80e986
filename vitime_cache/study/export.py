"""A store's heads to files: `python -m vitime_cache export`, and the function behind it."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from itertools import product
from pathlib import Path
from typing import TypeVar

import xarray as xr

from vitime_cache.attention import schema
from vitime_cache.charts import HeadView
from vitime_cache.charts.contrast import Contrast
from vitime_cache.model.checkpoint import find_weights
from vitime_cache.study.pictures import (
    DPI,
    FORMATS,
    HEAD,
    STUDY,
    ExportError,
    Format,
    experiment_files,
    file_name,
    write_files,
)

Item = TypeVar("Item", str, int, Format)

MOST_LISTED = 20  # names that an error lists


def export(
    source: xr.Dataset | str | Path,
    signals: Sequence[str] | str | None = None,
    layers: Sequence[str] | str | None = None,
    heads: Sequence[int] | str | None = None,
    out_dir: str | Path = "exports",
    formats: Sequence[str] = FORMATS,
    contrast: Contrast | None = STUDY,
    *,
    dpi: float = DPI,
    overwrite: bool = False,
    progress: Callable[[int, int], None] | None = None,
) -> list[Path]:
    """Write the pictures and the numbers of some heads for some signals.

    Parameters
    ----------
    source
        Path or URL of a store, or a Dataset as `open_store` and `capture` return it.
    signals
        Names; None takes all.
    layers
        Names or "all"; None takes the last layer, the one the reference study shows.
    heads
        Numbers or "all"; None takes head 7, the reference study's, or the last one where there are fewer.
    out_dir
        Folder of the files, made where it does not exist.
    formats
        "png" and "svg" for the pictures, "csv" and "parquet" for the numbers.
    contrast
        Options of the heatmap with contrast; None leaves that picture out.
    dpi
        Dots per inch of PNG files.
    overwrite
        Replace files that are already there.
    progress
        Called after each file with the number written and the number of all.

    Returns
    -------
    list
        The files, `experiment_<signal>_<layer>_head_<head>_<what>.<format>`.

    Raises
    ------
    ExportError
        Before anything is written: an unknown signal, layer, head or format, naming those there are, or a file that
        exists already.
    StoreError
        Where `source` is no store.
    """
    ds = _opened(source)
    names = [str(name) for name in ds[schema.SIGNAL].values]
    layer_names = [str(layer) for layer in ds[schema.LAYER].values]
    numbers = list(range(ds.sizes[schema.HEAD]))
    chosen = product(
        _chosen("signal", signals, names, default=names),
        _chosen("layer", layers, layer_names, default=layer_names[-1:]),
        _chosen("head", heads, numbers, default=[min(HEAD, numbers[-1])]),
    )
    kinds = _chosen("format", formats, FORMATS, default=FORMATS)
    files: dict[Path, Callable[[], bytes]] = {}
    for signal, layer, head in chosen:
        view = HeadView(ds.sel({schema.SIGNAL: signal}), layer, head)
        stem = f"{file_name(signal)}_{file_name(layer)}_head_{head}"
        files |= experiment_files([view], stem, Path(out_dir), kinds, contrast, dpi)
    if len({str(path).casefold() for path in files}) < len(files):
        raise ExportError("names of two signals differ in case only, and so would their files; export them one by one")
    return write_files(files, overwrite=overwrite, progress=progress)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The flags of `python -m vitime_cache export`."""
    add = parser.add_argument
    add("store", nargs="?", help="folder or URL (default: the store of the default weights)")
    add("--signal", nargs="+", metavar="NAME", help="signals (default: all)")
    add("--layer", nargs="+", metavar="NAME", help="layers such as decoder.5, or all (default: the last)")
    add("--head", nargs="+", type=_head, metavar="N",
        help=f"heads, or all (default: {HEAD}, the reference study's; the last one where there are fewer)")  # fmt: skip
    add("--format", nargs="+", choices=FORMATS, default=FORMATS, help="pictures and numbers (default: all of these)")
    add("--out", default="exports", metavar="DIR", help="folder of the files (default: exports)")
    add("--overwrite", action="store_true", help="replace files that are already there")
    add("--quiet", action="store_true", help="print errors only")
    add = parser.add_argument_group("contrast and size of the pictures").add_argument
    add("--gamma", type=float, default=STUDY.gamma, help="power law: below 1 lifts faint values (%(default)s)")
    add("--percentiles", nargs=2, type=float, default=STUDY.robust_percentiles, metavar=("LOW", "HIGH"),
        help="percentiles of the values that become the darkest and the lightest shade (5 99)")  # fmt: skip
    add("--log", action=argparse.BooleanOptionalAction, default=STUDY.show_log, help="logarithmic shades (on)")
    add("--outline", type=_percentile, default=STUDY.top_overlay_percent, metavar="PERCENT",
        help="outline the cells from this percentile on, or none (%(default)s)")  # fmt: skip
    add("--no-contrast", action="store_true", help="leave out the heatmap with contrast")
    add("--dpi", type=float, default=DPI, help="dots per inch of PNG files (%(default)s)")


def run(arguments: argparse.Namespace) -> int:
    """Do what the flags of `add_arguments` ask for; 0 for success.

    Raises
    ------
    ExportError, StoreError, CheckpointError, ContrastError, ChartError
        With one message that says what to do.
    """
    from rich.console import Console
    from rich.progress import Progress

    contrast = Contrast(
        robust_percentiles=tuple(arguments.percentiles),
        gamma=arguments.gamma,
        show_log=arguments.log,
        top_overlay_percent=arguments.outline,
    )
    bar = Progress(console=Console(stderr=True), disable=arguments.quiet)
    task = bar.add_task("files")

    def advance(done: int, total: int) -> None:
        bar.start()  # not before: an export that is refused shows no bar
        bar.update(task, completed=done, total=total)

    try:
        files = export(
            arguments.store or Path("store") / f"{find_weights().stem}.zarr",
            arguments.signal,
            arguments.layer,
            arguments.head,
            arguments.out,
            arguments.format,
            None if arguments.no_contrast else contrast,
            dpi=arguments.dpi,
            overwrite=arguments.overwrite,
            progress=advance,
        )
    finally:
        bar.stop()
    if not arguments.quiet:
        print(f"{len(files)} files in {arguments.out}")
    return 0


def _opened(source: xr.Dataset | str | Path) -> xr.Dataset:
    """A Dataset with the dimension `signal`."""
    if not isinstance(source, xr.Dataset):
        from vitime_cache.store.format import open_store

        return open_store(source)
    ds = schema.validate(source)
    return ds if schema.SIGNAL in ds.dims else ds.expand_dims(schema.SIGNAL)


def _chosen(
    what: str, wanted: Sequence[Item | str] | str | None, available: Sequence[Item], default: Sequence[Item]
) -> list[Item]:
    """What was asked for, once each.

    Raises
    ------
    ExportError
        Naming what does not exist, and what does.
    """
    if not available:
        raise ExportError(f"there is no {what} to export")
    if wanted is None:
        return list(default)
    asked = [wanted] if isinstance(wanted, str) else list(wanted)
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


def _head(text: str) -> int | str:
    if text != "all" and not text.isdigit():
        raise argparse.ArgumentTypeError(f"{text!r} is neither the number of a head nor all")
    return text if text == "all" else int(text)


def _percentile(text: str) -> float | None:
    if text == "none":
        return None
    try:
        return float(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is neither a percentile nor none") from None
