"""Files of one experiment: the reference study's three pictures of some heads, and the numbers behind them.

Names of signals and experiments are user input; only this module turns them into file names. A file appears under its
name only when it is complete.
"""

from __future__ import annotations

import hashlib
import io
import re
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Literal, get_args

import numpy as np
import pandas as pd
from PIL import Image

from vitime_cache import charts
from vitime_cache.atomic import behind, remove_left, replacing
from vitime_cache.attention import lags, schema
from vitime_cache.attention.peaks import SHORTEST_PERIOD
from vitime_cache.charts import HeadView
from vitime_cache.charts.shading import NO_CONTRAST, Contrast
from vitime_cache.charts.style import Spec
from vitime_cache.errors import VitimeError
from vitime_cache.study.defaults import CONTRAST, DPI, MOST_LAGS

Format = Literal["png", "svg", "pdf", "csv", "parquet"]
FORMATS: tuple[Format, ...] = get_args(Format)

PICTURES = get_args(charts.FileFormat)
ABREAST = 3  # heatmaps per row
CORRELATIONS = (14 * DPI, 6 * DPI)  # pixels of the study's newer figure
MOST_NAME_BYTES = 120  # of user input in a file name; file systems allow 255 in all


class ExportError(VitimeError):
    """Something that cannot be exported: a name that does not exist, a file that already exists."""


def experiment_files(
    views: Sequence[HeadView],
    stem: str,
    folder: Path,
    formats: Sequence[Format] = FORMATS,
    contrast: Contrast | None = CONTRAST,
    dpi: float = DPI,
    paper: charts.Paper | None = None,
    period: float | None = None,
) -> dict[Path, Callable[[], bytes]]:
    """The files of one experiment, each with a function that makes its content.

    Parameters
    ----------
    views
        Heads of one signal; they share each file.
    stem
        The experiment's name, safe in a file name (see `file_name`). Files are `experiment_<stem>_<what>.<format>`,
        where <what> is as in the reference study.
    formats
        "png", "svg" and "pdf" for the pictures, "csv" and "parquet" for the numbers.
    contrast
        Options of the heatmaps with contrast; None leaves that picture out.
    dpi
        Dots per inch of PNG files.
    paper
        Width and font size of figures in print, without titles. One more file has the figures' captions.
    period
        As `lag_rows` takes it.
    """
    pictures: dict[str, Callable[[], Spec]] = {
        "temporal_dependencies_heads_contrast": partial(heatmaps, views, contrast),
        "temporal_dependencies_heads_no_contrast": partial(heatmaps, views, NO_CONTRAST),
        "time-lag correlation": partial(lag_rows, views, period),
    }
    if contrast is None:
        del pictures["temporal_dependencies_heads_contrast"]
    tables = {"time_attention": charts.heatmap_table, "lag_attention": region_table}
    files: dict[Path, Callable[[], bytes]] = {}
    for suffix in formats:
        for what in pictures if suffix in PICTURES else tables:
            path = folder / f"experiment_{stem}_{what}.{suffix}"
            if suffix == "csv" or suffix == "parquet":
                files[path] = partial(_tabulate, tables[what], views, suffix)
            else:
                files[path] = partial(_draw, pictures[what], suffix, dpi, paper)
    if paper is not None and set(formats) & set(PICTURES):
        files[folder / f"experiment_{stem}_captions.txt"] = partial(_captions, pictures, views[0])
    return files


def write_files(
    files: Mapping[Path, Callable[[], bytes]],
    *,
    overwrite: bool = False,
    progress: Callable[[int, int], None] | None = None,
) -> list[Path]:
    """Make and write every file, first under a name that ends in `.partial`.

    Parameters
    ----------
    overwrite
        Replace existing files.
    progress
        Called after each file with the number written and the total number.

    Raises
    ------
    ExportError
        Naming the first file that already exists; nothing has been written then.
    """
    there = [path for path in files if path.exists()]
    if there and not overwrite:
        more = f" and {len(there) - 1} more" if len(there) > 1 else ""
        raise ExportError(
            f"there already: {there[0]}{more}; pass --overwrite (overwrite=True) or choose another folder"
        )
    for folder in {behind(path).parent for path in files}:
        remove_left(folder)
    for number, (path, content) in enumerate(files.items(), start=1):
        made = content()
        path.parent.mkdir(parents=True, exist_ok=True)
        with replacing(path) as file:
            file.write(made)
        if progress:
            progress(number, len(files))
    return list(files)


def file_name(name: str) -> str:
    """User input as part of a file name: no separators, no control characters, not too long.

    A changed name ends in eight digits of the hash of the original, so that different names stay different.
    """
    kept = re.sub(r"[^\w .-]", "_", name).strip()
    kept = kept.encode()[:MOST_NAME_BYTES].decode(errors="ignore")
    return kept if kept == name else f"{kept}-{hashlib.sha256(name.encode()).hexdigest()[:8]}"


def heatmaps(views: Sequence[HeadView], contrast: Contrast | None) -> Spec:
    """The heads' maps side by side, each with its own colour scale."""
    own = {"scale": {"color": "independent"}, "legend": {"color": "independent"}}
    return charts.beside([charts.heatmap(view, contrast) for view in views], columns=ABREAST) | {"resolve": own}


def lag_rows(views: Sequence[HeadView], period: float | None = None) -> Spec:
    """Attention against lag: the reference study's curve over all pairs, and below it each region that has pairs.

    The study's curve mixes queries and keys of history and forecast, although they behave differently. Multiples of
    `period`, in samples, are marked; None marks those of the slowest true harmonic, if one is known.
    """
    first, patch = views[0], views[0].samples_per_patch
    why = "" if period else ", the slowest true harmonic"
    period = period or _slowest_period(first)
    shown = [region for region in lags.REGIONS if region == "all" or not charts.lag_table(views, region).empty]
    rows = []
    for region in shown:
        row = charts.lag_curves(views, region, period=period, max_lag=MOST_LAGS * patch, height=160)
        plain = {"text": row["title"]["subtitle"], "subtitle": "", "fontSize": 12, "fontWeight": "normal"}
        rows.append(row | {"title": row["title"] | plain})
    heads = ", ".join(str(view.head) for view in views)
    marked = f". P = {first.clock.span(period)}{why}" if period else ""
    title = row["title"] | {
        "text": f"How far it looks: {first.signal}, {first.layer}, head {heads}",
        "subtitle": f"One patch of lag is {first.clock.span(patch)}{marked}",
        "fontSize": 13,
        "fontWeight": "bold",
    }
    return charts.beside(rows, columns=1) | {"title": title}


def correlations_png(view: HeadView, contrast: Contrast) -> bytes:
    """One head in the study's newer figure: heatmap on the left with queries upwards, lag curve on the right.

    14 × 6 inches at 200 dots per inch, on white.
    """
    map_side, curve_width = 300, 470  # in points of 1/72 inch, without axes, legend and titles
    curve = charts.lag_curves(
        [view], period=_slowest_period(view), max_lag=MOST_LAGS * view.samples_per_patch,
        width=curve_width, height=map_side,
    )  # fmt: skip
    spec = charts.beside([charts.heatmap(view, contrast, size=map_side, upwards=True), curve])
    drawn = Image.open(io.BytesIO(charts.figure_bytes(spec, "png", DPI))).convert("RGB")
    drawn.thumbnail(CORRELATIONS)  # titles of any length fit
    sheet = Image.new("RGB", CORRELATIONS, "white")
    sheet.paste(drawn, ((sheet.width - drawn.width) // 2, (sheet.height - drawn.height) // 2))
    png = io.BytesIO()
    sheet.save(png, "PNG", dpi=(DPI, DPI))
    return png.getvalue()


def region_table(view: HeadView) -> pd.DataFrame:
    """One row per region and lag: region, then the columns of `charts.lag_table`."""
    parts = [charts.lag_table([view], region).assign(region=region) for region in lags.REGIONS]
    table = pd.concat(parts, ignore_index=True)
    return table[["region", *table.columns.drop(["curve", "region"])]]


def _slowest_period(view: HeadView) -> float | None:
    """Period of the signal's slowest known harmonic in samples, if the lag axis can resolve it."""
    known = view.ds[schema.COMPONENT_PERIOD].values
    slowest = float(np.nanmax(known, initial=0))
    return slowest if slowest >= SHORTEST_PERIOD * view.samples_per_patch else None


def _draw(picture: Callable[[], Spec], suffix: charts.FileFormat, dpi: float, paper: charts.Paper | None) -> bytes:
    return charts.figure_bytes(picture(), suffix, dpi, paper=paper)


def _captions(pictures: Mapping[str, Callable[[], Spec]], view: HeadView) -> bytes:
    """One paragraph for each figure, beginning with the end of its file's name."""
    return "\n\n".join(f"{what}: {charts.caption(draw(), view.ds)}" for what, draw in pictures.items()).encode() + b"\n"


def _tabulate(
    table: Callable[[HeadView], pd.DataFrame], views: Sequence[HeadView], suffix: Literal["csv", "parquet"]
) -> bytes:
    """The views' tables one below the other, with columns signal, layer and head first; Parquet also has attributes."""
    whole = pd.concat([_labelled(view, table(view)) for view in views], ignore_index=True)
    if suffix == "csv":
        return whole.to_csv(index=False).encode()
    whole.attrs = {str(key): str(value) for key, value in views[0].ds.attrs.items()}
    return bytes(whole.to_parquet(index=False))


def _labelled(view: HeadView, table: pd.DataFrame) -> pd.DataFrame:
    table.insert(0, "signal", view.signal)
    table.insert(1, "layer", view.layer)
    table.insert(2, "head", view.head)
    return table
