"""The notebooks of the documentation: every cell runs, and their outputs are there and small."""

from __future__ import annotations

from pathlib import Path

import pytest

nbformat = pytest.importorskip("nbformat")
NOTEBOOKS = sorted((Path(__file__).parents[1] / "docs" / "notebooks").glob("*.ipynb"))


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_is_kept_with_outputs_without_errors_and_small(path: Path) -> None:
    cells = [cell for cell in nbformat.read(path, as_version=4).cells if cell.cell_type == "code"]
    assert any(cell.outputs for cell in cells)
    assert not [each for cell in cells for each in cell.outputs if each.output_type == "error"]
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
    """In this process: a kernel of its own would load everything again."""
    monkeypatch.chdir(tmp_path)
    names: dict[str, object] = {}
    for cell in nbformat.read(path, as_version=4).cells:
        if cell.cell_type == "code":
            exec(compile(cell.source, path.name, "exec"), names)
