"""`python -m vitime_cache export`: what is chosen, what is refused, and what every flag changes."""

from __future__ import annotations

import argparse
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import xarray as xr

from vitime_cache.attention.mock import mock_dataset
from vitime_cache.attention.schema import SchemaError
from vitime_cache.charts.contrast import Contrast, ContrastError
from vitime_cache.cli.export import add_arguments, run
from vitime_cache.model.config import ViTimeConfig
from vitime_cache.store.objects import StoreError
from vitime_cache.study.defaults import CONTRAST
from vitime_cache.study.export import export
from vitime_cache.study.pictures import FORMATS, ExportError


def config(heads: int = 8) -> ViTimeConfig:
    return ViTimeConfig(
        image_height=16, context_columns=64, horizon_columns=64, patch_height=8, patch_width=8,
        encoder_width=32, encoder_depth=1, decoder_width=32, decoder_depth=2, heads=heads,
    )  # fmt: skip


def mock(names: tuple[str, ...] = ("full", "reduced_harmonic"), heads: int = 8) -> xr.Dataset:
    return mock_dataset(config(heads), names, n_history=128, horizon=128, tokens=False)


def names(files: list[Path]) -> list[str]:
    """What comes before `_time_attention.csv` and its like."""
    return sorted({re.sub(r"(_head_\d+)_.*", r"\1", path.name) for path in files})


def test_the_default_is_head_7_of_the_last_layer_for_every_signal_in_every_format(tmp_path: Path) -> None:
    files = export(mock(), out_dir=tmp_path, dpi=36)
    assert sorted(files) == sorted(tmp_path.iterdir())
    stems = ["experiment_full_decoder.1_head_7", "experiment_reduced_harmonic_decoder.1_head_7"]
    ends = {end: [path.name for path in files if path.suffix == f".{end}"] for end in FORMATS}
    assert {end: len(found) for end, found in ends.items()} == {"png": 6, "svg": 6, "csv": 4, "parquet": 4}
    assert all(name.startswith(tuple(stems)) for found in ends.values() for name in found)


def test_a_model_with_fewer_heads_shows_its_last_one(tmp_path: Path) -> None:
    files = export(mock(heads=4), "full", out_dir=tmp_path, formats=["csv"])
    assert names(files) == ["experiment_full_decoder.1_head_3"]


def test_signals_layers_and_heads_are_chosen_by_name(tmp_path: Path) -> None:
    files = export(mock(), ["reduced_harmonic"], ["decoder.0", "encoder.0"], [2, 0, 2], tmp_path, ["csv"])
    expected = [f"experiment_reduced_harmonic_{layer}_head_{h}" for layer in ("decoder.0", "encoder.0") for h in (0, 2)]
    assert names(files) == expected
    table = pd.read_csv(tmp_path / "experiment_reduced_harmonic_encoder.0_head_2_time_attention.csv")
    expected_map = mock().time_attention.sel(signal="reduced_harmonic", layer="encoder.0", head=2)
    assert table["attention"].to_numpy() == pytest.approx(expected_map.to_numpy().ravel(), rel=1e-6)


def test_all_layers_and_all_heads_can_be_asked_for(tmp_path: Path) -> None:
    files = export(mock(heads=4), "full", "all", "all", tmp_path, ["csv"])
    assert len(names(files)) == 3 * 4


def test_a_captured_signal_exports_without_a_store(tmp_path: Path) -> None:
    files = export(mock().sel(signal="full"), out_dir=tmp_path, formats=["parquet"])
    assert names(files) == ["experiment_full_decoder.1_head_7"]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"signals": ["ful"]}, "no signal 'ful'; there are full, reduced_harmonic$"),
        ({"layers": ["decoder.2"]}, "no layer 'decoder.2'; there are encoder.0, decoder.0, decoder.1$"),
        ({"heads": [0, 8]}, "no head 8; there are 0, 1, 2, 3, 4, 5, 6, 7$"),
        ({"formats": ["pdf"]}, "no format 'pdf'; there are png, svg, csv, parquet$"),
        ({"signals": []}, "no signal was chosen; name at least one"),
    ],
)
def test_an_unknown_choice_is_refused_naming_what_there_is(tmp_path: Path, options: Any, message: str) -> None:
    with pytest.raises(ExportError, match=message):
        export(mock(), out_dir=tmp_path / "out", **options)
    assert not (tmp_path / "out").exists()


def test_an_error_lists_at_most_twenty_signals(tmp_path: Path) -> None:
    many = mock(tuple(f"s{i:02}" for i in range(23)))
    with pytest.raises(ExportError, match=r"no signal 'x'; there are s00, .*, s19 and 3 more$"):
        export(many, "x", out_dir=tmp_path)


def test_a_store_without_signals_and_a_dataset_of_something_else_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ExportError, match="there is no signal to export"):
        export(mock().isel(signal=slice(0, 0)), out_dir=tmp_path)
    with pytest.raises(SchemaError, match="lacks the variable 'time_attention'"):
        export(xr.Dataset(), out_dir=tmp_path)
    with pytest.raises(StoreError, match="no store at"):
        export(tmp_path / "nothing.zarr", out_dir=tmp_path)


def test_signals_that_would_share_a_file_where_case_is_ignored_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ExportError, match="differ in case only"):
        export(mock(("Full", "full")), out_dir=tmp_path, formats=["csv"])
    assert export(mock(("Full", "full")), "Full", out_dir=tmp_path, formats=["csv"])


def test_a_name_from_outside_cannot_leave_the_folder(tmp_path: Path) -> None:
    files = export(mock(("../../up", "/etc/passwd")), out_dir=tmp_path / "out", formats=["csv"])
    assert {path.parent for path in files} == {tmp_path / "out"}
    assert sorted(path.name for path in tmp_path.iterdir()) == ["out"]
    assert set(pd.concat(map(pd.read_csv, files))["signal"]) == {"../../up", "/etc/passwd"}


def test_exporting_twice_is_refused_unless_asked_for(tmp_path: Path) -> None:
    export(mock(), "full", out_dir=tmp_path, formats=["csv"])
    with pytest.raises(ExportError, match=r"there already: .* and 1 more; pass --overwrite"):
        export(mock(), out_dir=tmp_path, formats=["csv"])
    assert len(list(tmp_path.iterdir())) == 2
    assert len(export(mock(), out_dir=tmp_path, formats=["csv"], overwrite=True)) == 4


# --- the command -----------------------------------------------------------------------------------------------------


def parse(*flags: str) -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    add_arguments(parser)
    return parser.parse_args(flags)


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[tuple[tuple[Any, ...], dict[str, Any]]]:
    """What `run` passes to `export`."""
    calls: list[tuple[tuple[Any, ...], dict[str, Any]]] = []
    monkeypatch.setattr(
        "vitime_cache.study.export.export", lambda *args, **options: calls.append((args, options)) or []
    )
    return calls


def test_flags_that_are_not_given_are_the_study_s(asked: list[Any]) -> None:
    assert run(parse("some.zarr")) == 0
    ((args, options),) = asked
    assert args == ("some.zarr", None, None, None, "exports", FORMATS, CONTRAST)
    assert (options["dpi"], options["overwrite"]) == (200, False)


def test_every_flag_reaches_the_export(asked: list[Any]) -> None:
    run(parse(
        "s.zarr", "--signal", "full", "a b", "--layer", "decoder.0", "--head", "7", "0", "--format", "png", "csv",
        "--out", "there", "--gamma", "0.3", "--percentiles", "1", "98", "--no-log", "--outline", "95", "--dpi", "96",
        "--overwrite", "--quiet",
    ))  # fmt: skip
    ((args, options),) = asked
    contrast = Contrast(robust_percentiles=(1, 98), gamma=0.3, show_log=False, top_overlay_percent=95)
    assert args == ("s.zarr", ["full", "a b"], ["decoder.0"], [7, 0], "there", ["png", "csv"], contrast)
    assert (options["dpi"], options["overwrite"]) == (96, True)


def test_outline_none_no_contrast_and_all_heads_are_understood(asked: list[Any]) -> None:
    run(parse("s.zarr", "--outline", "none", "--head", "all", "--log"))
    run(parse("s.zarr", "--no-contrast"))
    assert asked[0][0][6].top_overlay_percent is None
    assert asked[0][0][3] == ["all"]
    assert asked[1][0][6] is None


def test_without_a_store_that_of_the_default_weights_is_meant(
    asked: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("vitime_cache.model.checkpoint.find_weights", lambda: Path("weights/mine.safetensors"))
    run(parse())
    assert asked[0][0][0] == "store/mine.zarr"


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--head", "seven"], "'seven' is neither the number of a head nor all"),
        (["--outline", "most"], "'most' is neither a percentile nor none"),
        (["--format", "pdf"], "invalid choice: 'pdf'"),
        (["--percentiles", "5"], "expected 2 arguments"),
    ],
)
def test_a_flag_that_cannot_be_read_is_refused(
    capsys: pytest.CaptureFixture[str], flags: list[str], message: str
) -> None:
    with pytest.raises(SystemExit):
        parse("s.zarr", *flags)
    assert message in capsys.readouterr().err


def test_a_contrast_out_of_range_is_refused_before_the_store_is_opened(tmp_path: Path) -> None:
    with pytest.raises(ContrastError, match="gamma must be above 0"):
        run(parse(str(tmp_path / "none.zarr"), "--gamma", "0"))


def test_the_command_counts_its_files_and_shows_progress_only_where_wanted(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("vitime_cache.store.reader.open_store", lambda _: mock())
    assert run(parse("s.zarr", "--format", "csv", "--out", str(tmp_path))) == 0
    shown = capsys.readouterr()
    assert shown.out == f"4 files in {tmp_path}\n"
    assert "100%" in shown.err
    assert run(parse("s.zarr", "--format", "csv", "--out", str(tmp_path), "--overwrite", "--quiet")) == 0
    assert capsys.readouterr() == ("", "")


def test_exporting_does_not_import_torch() -> None:
    heavy = {"torch", "timm", "streamlit", "zarr"}
    code = f"import vitime_cache.study.export, sys; print(sorted({heavy} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
