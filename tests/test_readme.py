"""The README's example is run as it stands, and every command that a page or a help text names can be given."""

from __future__ import annotations

import re
import shlex
import warnings
from importlib.util import find_spec
from pathlib import Path

import pytest

from vitime_cache import build, catalogue
from vitime_cache.cli.main import COMMANDS, parsed
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


ROOT = README.parent
PAGES = [
    README,
    ROOT / "CONTRIBUTING.md",
    *sorted((ROOT / "weights").glob("*.md")),
    *sorted((ROOT / "docs").glob("*.md")),
]
COMMAND = re.compile(r"\s*(?:\$ )?((?:python -m |vitime-cache|streamlit run|make )[^#`]*)")


def commands() -> list[str]:
    """Every command on a page, in blocks and within sentences, and the example in the help of each command."""
    found = [f"vitime-cache {name} {module.EXAMPLE}".strip() for name, module in COMMANDS.items()]
    for page in PAGES:
        text = page.read_text().replace("\\\n", " ")
        blocks = re.findall(r"```(?!python)\w*\n(.*?)```", text, re.DOTALL) + re.findall(r"`([^`\n]+)`", text)
        lines = (line for block in blocks for line in block.splitlines())
        found += [" ".join(match[1].split()) for line in lines if (match := COMMAND.match(line))]
    return sorted(set(found))


@pytest.mark.parametrize("command", commands())
def test_a_command_that_a_page_or_a_help_text_names_can_be_given(command: str) -> None:
    """Ours are parsed as when they are run; of others the file, the module with its options, or the target exists."""
    words = shlex.split(command.replace("python -m vitime_cache", "vitime-cache"))
    if words[0] == "vitime-cache":
        if words[1:]:
            assert parsed(words[1:]).command
    elif words[0] == "make":
        assert re.search(rf"(?m)^{words[1]}:", (ROOT / "Makefile").read_text())
    elif words[0] == "streamlit":
        assert (ROOT / words[2]).is_file()
    elif words[2] == "build":
        pass  # of packages, which CI installs
    else:
        place = Path(str(find_spec(words[2]).origin))  # type: ignore[union-attr]
        assert ROOT in place.parents
        source = "".join(map(Path.read_text, place.parent.glob("*.py") if place.name == "__init__.py" else [place]))
        assert [word for word in words[3:] if word.startswith("--") and f'"{word}"' not in source] == []
