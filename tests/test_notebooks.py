"""The notebooks of the documentation: every cell runs, and their outputs are there and small."""

from __future__ import annotations

from pathlib import Path

import pytest

import vitime_cache
from tests.conftest import random_model
from vitime_cache.model.config import ViTimeConfig

nbformat = pytest.importorskip("nbformat")
SMALL = ViTimeConfig(
    image_height=32, context_columns=512, horizon_columns=720, patch_height=16, patch_width=16, encoder_width=32,
    encoder_depth=2, decoder_width=16, decoder_depth=1, heads=4,
)  # fmt: skip
NOTEBOOKS = sorted((Path(__file__).parents[1] / "docs" / "notebooks").glob("*.ipynb"))


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_is_kept_with_outputs_without_errors_and_small(path: Path) -> None:
    cells = [cell for cell in nbformat.read(path, as_version=4).cells if cell.cell_type == "code"]
    assert any(cell.outputs for cell in cells)
    assert not [each for cell in cells for each in cell.outputs if each.output_type == "error"]
    warned = [each for cell in cells for each in cell.outputs if each.get("name") == "stderr"]
    assert not warned, "a warning names folders of the machine that ran it"
    assert path.stat().st_size < 1_500_000


def test_the_analysis_of_a_store_needs_xarray_alone() -> None:
    (path,) = (path for path in NOTEBOOKS if path.stem == "store_with_xarray")
    build, *analysis = (cell.source for cell in nbformat.read(path, as_version=4).cells if cell.cell_type == "code")
    assert "vc.build(" in build
    assert not [source for source in analysis if "vitime_cache" in source or "vc." in source]


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_every_cell_of_a_notebook_runs(path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In this process: a kernel of its own would load everything again.

    The network is a small one with random weights, which answers in a tenth of the time. The outputs that are kept are
    those of the shipped weights.
    """
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(vitime_cache, "load_model", lambda: random_model(SMALL))
    names: dict[str, object] = {}
    for cell in nbformat.read(path, as_version=4).cells:
        if cell.cell_type == "code":
            exec(compile(cell.source, path.name, "exec"), names)
