"""The installed package is whole: what a clone has beside the code comes along, and is found from anywhere."""

from __future__ import annotations

import ast
import os
import re
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from email import message_from_bytes
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from vitime_cache.extras import EXTRA

CLONE = Path(__file__).parent.parent
BESIDE = [
    "streamlit_app.py",
    ".streamlit/config.toml",
    "weights/README.md",
    "weights/TRIALS.md",
    "weights/vitime-mini.safetensors",
    "weights/vitime-mini.toml",
    "weights/vitime-mini-more.toml",
    "weights/vitime-mini-gpu.toml",
    "weights/vitime-mini-lifelike.toml",
]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> zipfile.ZipFile:
    """What `pip install .` would unpack; made by the build backend itself."""
    folder = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)]
    subprocess.run(command, cwd=CLONE, check=True, capture_output=True)
    [path] = folder.glob("*.whl")
    return zipfile.ZipFile(path)


@pytest.fixture(scope="module")
def installed(wheel: zipfile.ZipFile, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that holds the package, and no clone around it."""
    folder = tmp_path_factory.mktemp("site")
    wheel.extractall(folder)
    return folder


def python(installed: Path, cwd: Path, *arguments: str) -> str:
    """The output of Python with that package, run from `cwd`."""
    environment = {key: value for key, value in os.environ.items() if not key.startswith("VITIME")}
    environment |= {"PYTHONPATH": str(installed), "PYTHONDONTWRITEBYTECODE": "1"}
    done = subprocess.run(
        [sys.executable, *arguments], cwd=cwd, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_every_file_of_the_package_and_everything_beside_it_comes_along(wheel: zipfile.ZipFile) -> None:
    names = set(wheel.namelist())
    package = {
        str(path.relative_to(CLONE))
        for path in (CLONE / "vitime_cache").rglob("*")
        if path.is_file() and path.suffix in (".py", ".csv", ".png", ".md")
    }
    beside = [*BESIDE, *(f"pages/{path.name}" for path in (CLONE / "pages").glob("*.py"))]
    assert package <= names
    assert {f"vitime_cache/home/{name}" for name in beside} <= names
    for name in beside:
        assert wheel.read(f"vitime_cache/home/{name}") == (CLONE / name).read_bytes()


def test_nothing_else_comes_along(wheel: zipfile.ZipFile) -> None:
    strangers = [
        name for name in wheel.namelist() if name.split("/")[0] not in ("vitime_cache",) and "info" not in name
    ]
    assert strangers == []
    assert not [name for name in wheel.namelist() if "__pycache__" in name or "store/zarr" in name]


def test_it_declares_what_it_imports_in_its_requirements_or_in_the_extra_named_for_it(wheel: zipfile.ZipFile) -> None:
    [info] = [name for name in wheel.namelist() if name.endswith("METADATA")]
    metadata = message_from_bytes(wheel.read(info))
    declared: dict[str, set[str]] = {}
    for line in metadata.get_all("Requires-Dist") or []:
        requirement = Requirement(line)
        extra = re.search(r"extra == ['\"](\w+)", str(requirement.marker or ""))
        declared.setdefault(extra[1] if extra else "", set()).add(canonicalize_name(requirement.name))
    assert set(metadata.get_all("Provides-Extra") or []) == {"app", "train", "cluster", "cloud"}

    distributions = packages_distributions()
    for package in {name.split(".")[0] for path in (CLONE / "vitime_cache").rglob("*.py") for name in _imports(path)}:
        if (
            package in ("vitime_cache", "triton") or package in sys.stdlib_module_names
        ):  # triton comes with torch for CUDA
            continue
        names = {canonicalize_name(name) for name in distributions[package]}
        assert names & declared[EXTRA.get(package, "")], f"{package} is imported and not declared"


def _imports(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module


def test_it_gives_the_command_and_says_that_it_is_typed(wheel: zipfile.ZipFile) -> None:
    [points] = [name for name in wheel.namelist() if name.endswith("entry_points.txt")]
    assert "vitime-cache = vitime_cache.cli.main:main" in wheel.read(points).decode()
    assert "vitime_cache/py.typed" in wheel.namelist()


def test_what_an_extra_brings_is_named_where_it_is_missing_and_nothing_else_needs_it(
    installed: Path, tmp_path: Path
) -> None:
    missing = ("altair", "streamlit", "vl_convert")
    code = (
        f"import importlib, sys; sys.modules |= dict.fromkeys({missing})\n"
        "import vitime_cache as vc; vc.open_store, vc.capture, vc.ask, vc.build\n"
        "from vitime_cache.extras import remedy\n"
        f"for package in {missing}:\n"
        "    try: importlib.import_module(package)\n"
        "    except ImportError as error: print(remedy(error))\n"
    )
    told = python(installed, tmp_path, "-c", code).splitlines()
    assert [line.endswith("pip install 'vitime-cache[app]'") for line in told] == [True] * len(missing), told


def test_the_command_works_from_anywhere(installed: Path, tmp_path: Path) -> None:
    assert "vitime-mini" in python(
        installed, tmp_path, "-c", "from vitime_cache.model.checkpoint import find_weights; print(find_weights())"
    )
    listed = python(installed, tmp_path, "-c", "import sys; from vitime_cache.cli.main import main; main(['signals'])")
    assert "nile" in listed
    assert list(tmp_path.iterdir()) == []


def test_the_app_shows_its_pages_from_anywhere(installed: Path, tmp_path: Path) -> None:
    code = (
        "from streamlit.testing.v1 import AppTest; from vitime_cache import places\n"
        "app = AppTest.from_file(str(places.APP), default_timeout=60).run()\n"
        "assert not app.exception, app.exception\n"
        "app.switch_page('pages/library.py').run()\n"
        "assert not app.exception, app.exception\n"
        "print(places.HOME, app.title[0].value)"
    )
    home, title = python(installed, tmp_path, "-c", code).split()
    assert Path(home) == installed / "vitime_cache" / "home"
    assert title == "Library"
