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
from PIL import Image

from vitime_cache.attention import schema
from vitime_cache.attention.mock import mock_dataset
from vitime_cache.attention.schema import SchemaError
from vitime_cache.charts import Paper
from vitime_cache.charts.shading import Contrast, ContrastError
from vitime_cache.cli.export import add_arguments, run
from vitime_cache.evidence.question import series_hash
from vitime_cache.evidence.verdict.data import set_heads
from vitime_cache.evidence.verdict.mock import mock_verdict
from vitime_cache.model.config import ViTimeConfig
from vitime_cache.store.objects import StoreError
from vitime_cache.store.verdicts import KeptVerdict
from vitime_cache.study.defaults import CONTRAST
from vitime_cache.study.export import export
from vitime_cache.study.first_head import newest_verdict
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


def test_every_format_is_written_for_every_signal(tmp_path: Path) -> None:
    files = export(mock(), None, "decoder.1", 7, tmp_path, dpi=36)
    assert sorted(files) == sorted(tmp_path.iterdir())
    stems = ["experiment_full_decoder.1_head_7", "experiment_reduced_harmonic_decoder.1_head_7"]
    ends = {end: [path.name for path in files if path.suffix == f".{end}"] for end in FORMATS}
    counts = {"png": 6, "svg": 6, "pdf": 6, "csv": 4, "parquet": 4}
    assert {end: len(found) for end, found in ends.items()} == counts
    assert all(name.startswith(tuple(stems)) for found in ends.values() for name in found)


def test_without_a_name_the_head_of_the_published_weights_is_the_study_s_and_of_others_it_is_not(
    tmp_path: Path,
) -> None:
    told: list[str] = []
    published = mock().assign_attrs(weights="ViTime_Model")
    assert names(export(published, "full", out_dir=tmp_path / "a", formats=["csv"], tell=told.append)) == [
        "experiment_full_decoder.1_head_7"
    ]
    assert told.pop() == "full: decoder.1, head 7: the head that the reference study looks at"
    others = names(export(mock(), "full", out_dir=tmp_path / "b", formats=["csv"], tell=told.append))
    assert others[0].endswith("_head_0")  # the made-up head that looks one period back
    assert "stands out most one period of 63 samples back" in told.pop()


def test_without_a_name_the_head_that_the_store_s_answer_rests_on_is_taken(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    verdict = mock_verdict(config())
    layer, head = set_heads(verdict)[0]
    monkeypatch.setattr("vitime_cache.store.reader.open_store", lambda _: mock())
    monkeypatch.setattr("vitime_cache.study.export.newest_verdict", lambda *_: verdict)
    told: list[str] = []
    files = export("some.zarr", "full", out_dir=tmp_path, formats=["csv"], tell=told.append)
    expected = str(verdict["layer"].values[layer])
    assert names(files) == [f"experiment_full_{expected}_head_{head}"]
    assert told == [f"full: {expected}, head {head}: the answer rests on it most"]


def test_the_newest_verdict_is_of_that_series_and_those_weights(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ds = mock().sel(signal="full").assign_attrs(weights_sha256="a" * 64)
    asked: list[str] = []

    def kept(_: Path, *series: str, **times: object) -> list[KeptVerdict]:
        asked.extend(series)
        assert set(times) == {"sample_seconds", "start"}
        return [
            KeptVerdict("of others", {"weights_sha256": "b" * 64}, (), "2030"),
            KeptVerdict("newest", {"weights_sha256": "a" * 64}, (), "2029"),
            KeptVerdict("older", {"weights_sha256": "a" * 64}, (), "2028"),
        ]

    monkeypatch.setattr("vitime_cache.store.verdicts.verdicts_on", kept)
    monkeypatch.setattr("vitime_cache.store.verdicts.open_verdict", lambda _, group: group)
    assert newest_verdict(tmp_path, ds) == "newest"
    assert asked == [series_hash(schema.signal_of(ds).values)]
    assert newest_verdict(tmp_path, ds.assign_attrs(weights_sha256="c" * 64)) is None


def test_of_a_layer_named_alone_all_heads_are_taken(tmp_path: Path) -> None:
    files = export(mock(heads=4), "full", "encoder.0", out_dir=tmp_path, formats=["csv"])
    assert names(files) == [f"experiment_full_encoder.0_head_{head}" for head in range(4)]


def test_a_figure_for_a_paper_is_exactly_as_wide_as_its_column_and_has_a_caption(tmp_path: Path) -> None:
    files = export(mock(), "full", "decoder.1", 0, tmp_path, ["png", "pdf"], dpi=72, paper=Paper(3.5))
    widths = {Image.open(path).width for path in files if path.suffix == ".png"}
    assert widths == {252}
    assert sum(path.suffix == ".pdf" and path.read_bytes().startswith(b"%PDF") for path in files) == 3
    (captions,) = (path.read_text() for path in files if path.suffix == ".txt")
    for stated in ("Weights mock", "128 samples of history and a forecast of 128", "mean over the rows of the image"):
        assert captions.count(stated) == 3


def test_numbers_alone_have_no_captions(tmp_path: Path) -> None:
    files = export(mock(), "full", "decoder.1", 0, tmp_path, ["csv"], paper=Paper(3.5))
    assert {path.suffix for path in files} == {".csv"}


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
    files = export(mock().sel(signal="full"), None, "decoder.1", 7, tmp_path, ["parquet"])
    assert names(files) == ["experiment_full_decoder.1_head_7"]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"signals": ["ful"]}, "no signal 'ful'; there are full, reduced_harmonic$"),
        ({"layers": ["decoder.2"]}, "no layer 'decoder.2'; there are encoder.0, decoder.0, decoder.1$"),
        ({"heads": [0, 8]}, "no head 8; there are 0, 1, 2, 3, 4, 5, 6, 7$"),
        ({"formats": ["gif"]}, "no format 'gif'; there are png, svg, pdf, csv, parquet$"),
        ({"signals": []}, "no signal was chosen; name at least one"),
    ],
)
def test_an_unknown_choice_is_refused_naming_what_there_is(tmp_path: Path, options: Any, message: str) -> None:
    with pytest.raises(ExportError, match=message):
        export(mock(), out_dir=tmp_path / "out", **options)
    assert not (tmp_path / "out").exists()


def test_a_period_given_in_samples_or_in_time_is_marked_in_place_of_the_true_one(tmp_path: Path) -> None:
    ds = mock(("full",)).assign_coords(sample_seconds=("signal", [3600.0]))
    drawn = []
    for period in ("3d", "72", 72.0, None):
        files = export(ds, "full", "decoder.0", 0, tmp_path, ["svg"], None, period=period, overwrite=True)
        svg = next(file for file in files if "time-lag" in file.name).read_text()
        drawn.append(re.sub(r"\bclip\d+", "clip", svg))  # numbered on from one picture of a process to the next
    assert "P = 72 samples (3 days)" in re.sub("<[^>]*>", "", drawn[0])
    assert drawn[0] == drawn[1] == drawn[2]
    assert "the slowest true harmonic" in re.sub("<[^>]*>", "", drawn[3])
    assert "the slowest true harmonic" not in drawn[0]


@pytest.mark.parametrize(("period", "message"), [
    ("3d", "full: the spacing of the samples is not known: give '3d' in samples"), ("soon", "'soon' is not a span"),
    (0.0, "'0.0' is not a span"), (float("nan"), "'nan' is not a span"), (-3, "'-3' is not a span"),
])  # fmt: skip
def test_a_period_that_is_none_is_refused_before_anything_is_written(
    tmp_path: Path, period: float | str, message: str
) -> None:
    with pytest.raises(ExportError, match=message):
        export(mock(), ["full"], "decoder.0", 0, tmp_path / "out", period=period)
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
    with pytest.raises(ExportError, match="differ only in case"):
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
    assert (options["dpi"], options["overwrite"], options["paper"], options["period"]) == (200, False, None, None)


def test_every_flag_reaches_the_export(asked: list[Any]) -> None:
    run(parse(
        "s.zarr", "--signal", "full", "a b", "--layer", "decoder.0", "--head", "7", "0", "--format", "png", "csv",
        "--out", "there", "--gamma", "0.3", "--percentiles", "1", "98", "--no-log", "--outline", "95", "--dpi", "96",
        "--overwrite", "--quiet", "--column", "double", "--font", "9", "--period", "2 weeks",
    ))  # fmt: skip
    ((args, options),) = asked
    contrast = Contrast(robust_percentiles=(1, 98), gamma=0.3, show_log=False, top_overlay_percent=95)
    assert args == ("s.zarr", ["full", "a b"], ["decoder.0"], [7, 0], "there", ["png", "csv"], contrast)
    assert (options["dpi"], options["overwrite"], options["paper"]) == (96, True, Paper(7.2, 9))
    assert options["period"] == "2 weeks"


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
        (["--period", "soon"], "'soon' is not a span such as 24, 24h, 1d or '2 weeks'"),
        (["--head", "seven"], "'seven' is neither the number of a head nor all"),
        (["--outline", "most"], "'most' is neither a percentile nor none"),
        (["--format", "gif"], "invalid choice: 'gif'"),
        (["--column", "triple"], "'triple' is neither single nor double nor a width in inches"),
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
    assert "full: decoder.0, head 0" in shown.err.replace("\n", " ")
    assert "100%" in shown.err
    assert run(parse("s.zarr", "--format", "csv", "--out", str(tmp_path), "--overwrite", "--quiet")) == 0
    assert capsys.readouterr() == ("", "")


def test_exporting_does_not_import_torch() -> None:
    heavy = {"torch", "timm", "streamlit", "zarr"}
    code = f"import vitime_cache.study.export, sys; print(sorted({heavy} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
