"""`train` on one's own series, through `main(argv)` on temporary folders."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import pytest

from tests.conftest import random_model, small_config
from vitime_cache.cli.main import main
from vitime_cache.model.checkpoint import load_model, save_safetensors

WAVE = [f"{np.sin(i / 3):.5f}" for i in range(120)]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working directory with weights and files of series."""
    monkeypatch.chdir(tmp_path)
    save_safetensors(
        random_model(small_config()), tmp_path / "small.safetensors", note="random; not the published ViTime model"
    )
    (tmp_path / "wave.csv").write_text("\n".join(["wave", *WAVE]) + "\n")
    (tmp_path / "gap.csv").write_text(
        "\n".join(["index,wave", *(f"{i},{'' if i == 30 else w}" for i, w in enumerate(WAVE))]) + "\n"
    )
    (tmp_path / "two.csv").write_text(
        "wave;none;mark\n"
        + "\n".join(f"{w.replace('.', ',')};1;{-999 if i == 30 else i % 5}" for i, w in enumerate(WAVE))
    )
    (tmp_path / "short.csv").write_text("\n".join(["wave", *WAVE[:30]]) + "\n")
    (tmp_path / "other.toml").write_text("[network]\nencoder_depth = 3\n")
    return tmp_path


TRAIN = "train --start small.safetensors --steps 2 --batch-size 2 --device cpu --out mine.safetensors"


def run(command: str) -> int:
    return main(command.split())


def test_adapting_writes_weights_whose_note_names_the_data_by_hash(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(f"{TRAIN} --data wave.csv gap.csv --fill interpolate --share 0.75 --holdout 20 --workers 1") == 0
    told = capsys.readouterr()
    assert told.out == ""
    lines = told.err.splitlines()
    assert lines[0].startswith("step 0  mean absolute error in standard deviations: validation ")
    assert lines[-1].startswith("written: mine.safetensors, ")
    note = load_model("mine.safetensors", "cpu").weights.note
    for name in ("wave.csv", "gap.csv"):
        digest = hashlib.sha256((folder / name).read_bytes()).hexdigest()
        assert f"{name} (SHA-256 {digest[:12]})" in note
    digest = hashlib.sha256((folder / "small.safetensors").read_bytes()).hexdigest()[:12]
    assert note.endswith(
        f" after those of small.safetensors (SHA-256 {digest}), random; not the published ViTime model"
    )
    assert "--fill" not in note


def test_what_a_message_on_a_file_tells_to_say_can_be_said(folder: Path) -> None:
    assert run(f"{TRAIN} --data two.csv --column wave mark --missing -999 --fill interpolate --decimal comma") == 0
    digest = hashlib.sha256((folder / "two.csv").read_bytes()).hexdigest()
    note = load_model("mine.safetensors", "cpu").weights.note
    assert f"2 series (wave, mark) of two.csv (SHA-256 {digest[:12]})" in note


def test_adapting_starts_from_the_default_weights_unless_told(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("vitime_cache.places.WEIGHTS", folder)
    (folder / "small.safetensors").rename(folder / "vitime-mini.safetensors")
    assert run("train --data wave.csv --steps 1 --batch-size 2 --device cpu --out mine.safetensors --quiet") == 0
    assert capsys.readouterr() == ("", "")
    assert "after those of vitime-mini.safetensors" in load_model("mine.safetensors", "cpu").weights.note


@pytest.mark.parametrize(
    ("command", "told"),
    [
        (f"{TRAIN} --data short.csv", "series 'wave' is shorter than a window: it has 30 samples, a window needs 32"),
        (f"{TRAIN} --data wave.csv short.csv", "series 'wave' is shorter than a window"),
        (f"{TRAIN} --data wave.csv --holdout 50", "50 held out and 50 to choose the weights by leave 20 to teach from"),
        (f"{TRAIN} --data wave.csv --holdout 5000", "leave 0 to teach from"),
        (f"{TRAIN} --data gap.csv", "gap.csv"),
        (f"{TRAIN} --data missing.csv", "missing.csv"),
        (f"{TRAIN} --data two.csv --column none", "series 'none' is constant"),
        (f"{TRAIN} --data two.csv --column mark", "(--missing -999)"),
        (f"{TRAIN} --column wave", "--column is about your own series; name them by --data"),
        (f"{TRAIN} --no-day-first", "--day-first is about your own series; name them by --data"),
        (f"{TRAIN} --data wave.csv --share 2", "above 0 and at most 1, got 2.0"),
        (f"{TRAIN} --data wave.csv --config other.toml", "has a different network than this run trains: "),
        (f"{TRAIN} --share 0.5", "--share is about your own series; name them by --data"),
        (f"{TRAIN} --data wave.csv --holdout 1d", "series 'wave': the spacing of the samples is not known"),
        (f"{TRAIN} --holdout 5", "--holdout is about your own series; name them by --data"),
        (f"{TRAIN} --fill interpolate", "--fill is about your own series; name them by --data"),
        (f"{TRAIN} --data small.safetensors", "small.safetensors"),
        (f"{TRAIN.replace('small', 'absent')} --data wave.csv", "absent.safetensors"),
        (f"{TRAIN.replace('mine.safetensors', 'wave.csv/mine.safetensors')} --data wave.csv", "wave.csv"),
        (f"{TRAIN.replace('mine.safetensors', 'mine.pth')} --data wave.csv", "written as .safetensors, got mine.pth"),
        (f"{TRAIN.replace('mine', 'small')} --data wave.csv", "small.safetensors already exists"),
    ],
)
def test_what_cannot_be_adapted_is_refused_in_one_line_with_nothing_written(
    folder: Path, capsys: pytest.CaptureFixture[str], command: str, told: str
) -> None:
    before = {path: path.read_bytes() for path in folder.rglob("*")}
    assert run(command) == 1
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.startswith("error: ")
    assert said.err.count("\n") == 1
    assert told in said.err
    assert {path: path.read_bytes() for path in folder.rglob("*")} == before
