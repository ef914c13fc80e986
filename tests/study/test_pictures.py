"""Files of an experiment: their names, what the pictures show, and that a file is whole or not there."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import altair as alt
import numpy as np
import pandas as pd
import pytest
import xarray as xr
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from vitime_cache import charts
from vitime_cache.attention.mock import mock_dataset
from vitime_cache.charts import HeadView
from vitime_cache.charts.shading import NO_CONTRAST, Contrast
from vitime_cache.model.config import ViTimeConfig
from vitime_cache.study.pictures import (
    ExportError,
    experiment_files,
    file_name,
    heatmaps,
    lag_rows,
    write_files,
)

WIDE = ViTimeConfig(
    image_height=16, context_columns=200, horizon_columns=120, patch_height=8, patch_width=8,
    encoder_width=16, encoder_depth=1, decoder_width=16, decoder_depth=1, heads=4,
)  # fmt: skip


@pytest.fixture(scope="module")
def ds() -> xr.Dataset:
    """300 + 180 samples over 40 patches: 12 samples a patch, a period of 60."""
    return mock_dataset(WIDE, n_history=300, horizon=180, period=60.0, tokens=False).sel(signal="full")


def view(ds: xr.Dataset, head: int = 0) -> HeadView:
    return HeadView(ds, "decoder.0", head, shown_in="weight")


@given(st.text(), st.text())
def test_different_names_give_different_file_names_that_stay_in_their_folder(one: str, other: str) -> None:
    for name in (one, other):
        path = Path("exports") / f"experiment_{file_name(name)}_time-lag correlation.parquet.partial"
        assert path.resolve().parent == Path("exports").resolve()
        assert len(path.name.encode()) <= 255
        assert path.name.isprintable()
    assert (file_name(one) == file_name(other)) == (one == other)


@pytest.mark.parametrize("name", ["1", "full", "my experiment", "CO2_mauna-loa.v2", "température", "日本"])
def test_a_plain_name_stays_as_it_is(name: str) -> None:
    assert file_name(name) == name


@pytest.mark.parametrize("name", ["../../etc/passwd", "C:\\x", "a\0b", "x" * 200, "日" * 100, "a|b", " a", "line\n"])
def test_another_name_is_changed_and_marked_by_its_hash(name: str) -> None:
    changed = file_name(name)
    assert changed[-9] == "-"
    assert not set(changed) & set('/\\:*?"<>|\0\n')


def test_the_files_are_named_as_in_the_reference_study(ds: xr.Dataset) -> None:
    pictures = experiment_files([view(ds)], "1", Path("maps"), ("png", "svg"))
    names = ["temporal_dependencies_heads_contrast", "temporal_dependencies_heads_no_contrast", "time-lag correlation"]
    assert [str(p) for p in pictures] == [f"maps/experiment_1_{n}.{end}" for end in ("png", "svg") for n in names]
    numbers = experiment_files([view(ds)], "1", Path("maps"), ("csv", "parquet"))
    tables = ["time_attention", "lag_attention"]
    assert [str(p) for p in numbers] == [f"maps/experiment_1_{n}.{end}" for end in ("csv", "parquet") for n in tables]
    plain = experiment_files([view(ds)], "1", Path("maps"), ("png",), contrast=None)
    assert [str(p) for p in plain] == [f"maps/experiment_1_{n}.png" for n in names[1:]]


@pytest.mark.parametrize("dpi", [100, 200])
def test_a_png_has_the_resolution_asked_for_and_the_size_that_follows(ds: xr.Dataset, dpi: float) -> None:
    files = experiment_files([view(ds)], "1", Path(), ("png",), dpi=dpi)
    with Image.open(io.BytesIO(files[Path("experiment_1_temporal_dependencies_heads_contrast.png")]())) as image:
        assert image.info["dpi"] == pytest.approx((dpi, dpi), abs=0.1)
        # A map of 520 CSS pixels, 72 to the inch in vl-convert, plus what stands around it.
        assert 520 / 72 * dpi < image.width < 1.4 * 520 / 72 * dpi


def test_an_svg_shows_the_map_and_no_cells_for_a_mouse(ds: xr.Dataset) -> None:
    files = experiment_files([view(ds)], "1", Path(), ("svg",))
    svg = files[Path("experiment_1_temporal_dependencies_heads_contrast.svg")]().decode()
    assert svg.startswith("<svg")
    assert "data:image/png;base64," in svg
    assert svg.count("<path") + svg.count("<rect") < 400  # 1600 cells


def test_heads_stand_side_by_side_each_with_its_own_legend(ds: xr.Dataset) -> None:
    contrast = Contrast(gamma=0.5, show_log=False)
    picture = heatmaps([view(ds, 0), view(ds, 3)], contrast)
    assert [part["title"]["text"].split()[-1] for part in picture["concat"]] == ["0", "3"]
    for part, head in zip(picture["concat"], (0, 3), strict=True):
        whole = charts.heatmap(view(ds, head), contrast)
        assert part["layer"] == whole["layer"]
    assert picture["resolve"]["legend"]["color"] == "independent"
    assert heatmaps([view(ds)], contrast)["concat"] != heatmaps([view(ds)], NO_CONTRAST)["concat"]


def test_the_pictures_follow_the_vega_lite_schema(ds: xr.Dataset) -> None:
    for picture in (heatmaps([view(ds, 0), view(ds, 1)], Contrast()), lag_rows([view(ds, 0), view(ds, 1)])):
        alt.ConcatChart.from_dict(picture)  # raises where the schema does not hold


def rows_of(picture: dict[str, Any]) -> list[str]:
    return [row["title"]["text"].split(":")[0] for row in picture["concat"]]


def test_the_lag_picture_keeps_history_and_forecast_apart_on_an_axis_in_samples(ds: xr.Dataset) -> None:
    picture = lag_rows([view(ds)])
    regions = ["all", "history→history", "forecast→history", "forecast→forecast"]
    assert rows_of(picture) == [f"Region {region}" for region in regions]
    assert "One patch of lag is 12 samples. P = 60 samples" in picture["title"]["subtitle"]
    for row in picture["concat"]:
        line = next(layer for layer in row["layer"] if layer["mark"]["type"] == "line")
        table = pd.read_csv(io.StringIO(line["data"]["values"]))
        assert set(table["lag"] % 12) == {0}
        assert line["encoding"]["x"]["scale"]["domain"] == [0, 480]  # 40 patches


def test_a_region_without_enough_pairs_and_a_period_that_cannot_be_resolved_are_left_out() -> None:
    short = mock_dataset(WIDE, n_history=440, horizon=40, period=20.0, tokens=False).sel(signal="full")
    picture = lag_rows([HeadView(short, "decoder.0", 0)])
    assert rows_of(picture) == ["Region all", "Region history→history"]
    assert picture["title"]["subtitle"] == "One patch of lag is 12 samples"


def test_tables_hold_every_view_with_its_labels_and_parquet_the_weights(ds: xr.Dataset) -> None:
    files = experiment_files([view(ds, 1), view(ds, 2)], "1", Path(), ("csv", "parquet"))
    for name in ("time_attention", "lag_attention"):
        text = pd.read_csv(io.BytesIO(files[Path(f"experiment_1_{name}.csv")]()))
        columns = pd.read_parquet(io.BytesIO(files[Path(f"experiment_1_{name}.parquet")]()))
        pd.testing.assert_frame_equal(text, columns, check_dtype=False, rtol=1e-6)
        assert text[["signal", "layer", "head"]].drop_duplicates().to_numpy().tolist() == [
            ["full", "decoder.0", 1],
            ["full", "decoder.0", 2],
        ]
        assert columns.attrs["weights"] == "mock"
    cells = pd.read_csv(io.BytesIO(files[Path("experiment_1_time_attention.csv")]()))
    attention = cells[cells["head"] == 2].pivot(index="query_patch", columns="key_patch", values="attention")
    np.testing.assert_allclose(attention.to_numpy(), ds.time_attention.sel(layer="decoder.0", head=2), rtol=1e-6)


def test_the_lag_table_repeats_the_reference_curve_in_samples(ds: xr.Dataset) -> None:
    files = experiment_files([view(ds)], "1", Path(), ("csv",))
    table = pd.read_csv(io.BytesIO(files[Path("experiment_1_lag_attention.csv")]()))
    study = table[table["region"] == "all"]
    attention = ds.time_attention.sel(layer="decoder.0", head=0).values
    np.testing.assert_allclose(study["attention"], [np.diag(attention, -k).mean() for k in study["patches"]], rtol=1e-5)
    np.testing.assert_allclose(study["lag"], 12 * study["patches"])


def test_files_are_written_with_their_folders_and_counted(tmp_path: Path) -> None:
    folder, counted = tmp_path / "deep" / "er", []
    files = {folder / name: partial_bytes for name, partial_bytes in (("a", lambda: b"1"), ("b", lambda: b"2"))}
    assert write_files(files, progress=lambda done, total: counted.append((done, total))) == list(files)
    assert [path.read_bytes() for path in sorted(folder.iterdir())] == [b"1", b"2"]
    assert counted == [(1, 2), (2, 2)]


def test_a_file_that_exists_stops_the_export_before_anything_is_written(tmp_path: Path) -> None:
    (tmp_path / "b").write_bytes(b"mine")
    files = {tmp_path / name: lambda: b"new" for name in "abc"}
    with pytest.raises(ExportError, match=r"there already: .*/b; pass --overwrite"):
        write_files(files)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["b"]
    assert (tmp_path / "b").read_bytes() == b"mine"
    (tmp_path / "c").touch()
    with pytest.raises(ExportError, match=r"there already: .*/b and 1 more; pass"):
        write_files(files)
    write_files(files, overwrite=True)
    assert [path.read_bytes() for path in sorted(tmp_path.iterdir())] == [b"new"] * 3


def test_a_failure_leaves_the_earlier_file_and_no_partial_one(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"old")

    def fail() -> bytes:
        assert not list(tmp_path.glob("*.partial"))
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        write_files({tmp_path / "a": fail}, overwrite=True)
    assert [(path.name, path.read_bytes()) for path in tmp_path.iterdir()] == [("a", b"old")]


def test_a_file_never_shows_half_written_under_its_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full_disk(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full_disk)
    with pytest.raises(OSError, match="No space"):
        write_files({tmp_path / "a": lambda: b"long"})
    assert list(tmp_path.iterdir()) == []
