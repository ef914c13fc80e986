"""The README's example is run as it stands, on the weights that are shipped."""

from __future__ import annotations

import re
import warnings
from pathlib import Path

import pytest

from vitime_cache import build, catalogue
from vitime_cache.model.checkpoint import SHIPPED_NAME
from vitime_cache.places import WEIGHTS

README = Path(__file__).parent.parent / "README.md"


def test_the_five_lines_of_the_readme_find_a_head(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    full = [signal for signal in catalogue() if signal.name == "full"]
    build(full, tmp_path / "store" / "vitime-mini.zarr", WEIGHTS / SHIPPED_NAME, tokens="none", device="cpu")
    (code,) = (block for block in re.findall(r"```python\n(.*?)```", README.read_text(), re.S) if "open_zarr" in block)
    monkeypatch.chdir(tmp_path)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        exec(compile(code, "README.md", "exec"), {})
    assert re.fullmatch(r"\('(en|de)coder\.\d', \d\)\n", capsys.readouterr().out)


def test_pictures_and_files_the_readme_points_to_exist() -> None:
    links = re.findall(r"\]\(((?!http)[^)#]+)\)", README.read_text())
    assert len(links) > 5
    assert [link for link in links if not (README.parent / link).exists()] == []
