"""`export`: writes pictures and numbers of heads to files."""

from __future__ import annotations

import argparse

from vitime_cache.cli import console
from vitime_cache.cli.arguments import add_store, span, store_of
from vitime_cache.shown import counted

PURPOSE = "write pictures and numbers of heads to files"
EXAMPLE = "store/vitime-mini.zarr --signal full --column single --format pdf"
AFTER_INTERRUPT = "Files that were complete stay."


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The flags of `export`."""
    from vitime_cache.charts.paper import COLUMNS, Paper
    from vitime_cache.study.defaults import CONTRAST, DPI
    from vitime_cache.study.pictures import FORMATS

    add_store(parser)
    add = parser.add_argument
    add("--signal", nargs="+", metavar="NAME", help="signals (default: all)")
    add("--layer", nargs="+", metavar="NAME", help="layers such as decoder.1, or all (default: that of the head)")
    add("--head", nargs="+", type=_head, metavar="N",
        help="heads, or all (default: the head that the store's answer about the signal rests on most; without an "
        "answer one that is printed with the reason; with --layer all heads)")  # fmt: skip
    add("--period", type=span, help="mark its multiples in lag curves: 24 samples, 24h, 1d, '2 weeks' (default: the "
        "slowest true harmonic, if one is known)")  # fmt: skip
    add("--format", nargs="+", choices=FORMATS, default=FORMATS, help="formats of pictures and numbers (default: all)")
    add("--out", default="exports", metavar="DIR", help="folder of the files (default: exports)")
    add("--overwrite", action="store_true", help="replace existing files")
    add("--quiet", action="store_true", help="print errors, and notes on files, only")
    add = parser.add_argument_group(
        "figures of a paper", "as wide as a column, without titles; the captions are in a separate text file"
    ).add_argument
    columns = ", ".join(f"{name} ({inches} in)" for name, inches in COLUMNS.items())
    add("--column", type=_inches, metavar="WIDTH", help=f"{columns}, or inches (default: the study's own pictures)")
    add("--font", type=float, default=Paper().points, metavar="POINTS", help="font size there (%(default)g)")
    add = parser.add_argument_group("contrast and resolution of the pictures").add_argument
    add("--gamma", type=float, default=CONTRAST.gamma, help="power law: below 1 brightens faint values (%(default)s)")
    add("--percentiles", nargs=2, type=float, default=CONTRAST.robust_percentiles, metavar=("LOW", "HIGH"),
        help="percentiles of the values that become the darkest and the lightest shade (5 99)")  # fmt: skip
    add("--log", action=argparse.BooleanOptionalAction, default=CONTRAST.show_log, help="logarithmic shades (on)")
    add("--outline", type=_percentile, default=CONTRAST.top_overlay_percent, metavar="PERCENT",
        help="outline the cells from this percentile on, or none (%(default)s)")  # fmt: skip
    add("--no-contrast", action="store_true", help="leave out the heatmap with contrast")
    add("--dpi", type=float, default=DPI, help="dots per inch of PNG files (%(default)s)")


def run(args: argparse.Namespace) -> int:
    """Export with a progress bar."""
    from rich.progress import Progress

    from vitime_cache.charts import Paper
    from vitime_cache.charts.shading import Contrast
    from vitime_cache.study.export import export

    contrast = Contrast(
        robust_percentiles=tuple(args.percentiles),
        gamma=args.gamma,
        show_log=args.log,
        top_overlay_percent=args.outline,
    )
    bar = Progress(console=console.errors, disable=args.quiet)
    task = bar.add_task("files")

    def advance(done: int, total: int) -> None:
        bar.start()  # only now: a refused export shows no bar
        bar.update(task, completed=done, total=total)

    try:
        files = export(
            store_of(args),
            args.signal,
            args.layer,
            args.head,
            args.out,
            args.format,
            None if args.no_contrast else contrast,
            dpi=args.dpi,
            paper=None if args.column is None else Paper(args.column, args.font),
            period=args.period,
            tell=None if args.quiet else console.errors.print,
            overwrite=args.overwrite,
            progress=advance,
        )
    finally:
        if bar.live.is_started:
            bar.stop()
    if not args.quiet:
        print(f"{counted(len(files), 'file')} in {args.out}")
    return 0


def _head(text: str) -> int | str:
    if text != "all" and not text.isdigit():
        raise argparse.ArgumentTypeError(f"{text!r} is neither the number of a head nor all")
    return text if text == "all" else int(text)


def _inches(text: str) -> float:
    from vitime_cache.charts.paper import COLUMNS

    try:
        return COLUMNS[text] if text in COLUMNS else float(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is neither {' nor '.join(COLUMNS)} nor a width in inches") from None


def _percentile(text: str) -> float | None:
    if text == "none":
        return None
    try:
        return float(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is neither a percentile nor none") from None
