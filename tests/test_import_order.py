"""Imports run downward only, and what is heavy is imported only where it is needed."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parent.parent / "vitime_cache"

# From the bottom up: a module imports only modules that stand above it in this list.
ORDER = [
    *("_version", "errors", "places"),
    *("model", "series"),
    "attention",
    *("training", "evidence"),
    "store",
    "charts",
    "study",
    *("ui", "cli"),
    "__main__",
]

HEAVY = {
    "torch": {"model", "attention", "training", "study"},
    "timm": {"model", "training"},
    "zarr": {"store"},
    "altair": {"charts"},
    "streamlit": {"ui"},
    "distributed": {"store"},
}


def modules() -> dict[str, list[Path]]:
    """Module name → its files; a package counts as one module."""
    found: dict[str, list[Path]] = {}
    for path in PACKAGE.rglob("*.py"):
        name = path.relative_to(PACKAGE).parts[0].removesuffix(".py")
        if name != "__init__":
            found.setdefault(name, []).append(path)
    return found


def imports(path: Path) -> list[tuple[str, bool]]:
    """(imported module, whether at import time) for every import statement that runs; type checking does not."""
    tree = ast.parse(path.read_text())
    checking = {
        node
        for block in ast.walk(tree)
        if isinstance(block, ast.If) and "TYPE_CHECKING" in ast.dump(block.test)
        for node in ast.walk(block)
    }
    top = set(tree.body)
    found = []
    for node in ast.walk(tree):
        if node in checking:
            continue
        if isinstance(node, ast.Import):
            found += [(alias.name, node in top) for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module:
            if node.module == "vitime_cache":
                found += [(f"vitime_cache.{alias.name}", node in top) for alias in node.names]
            found.append((node.module, node in top))
    return found


def test_every_module_has_a_place_in_the_order() -> None:
    assert modules().keys() <= set(ORDER), sorted(modules().keys() - set(ORDER))


@pytest.mark.parametrize("name", sorted(modules()))
def test_a_module_imports_only_what_stands_before_it(name: str) -> None:
    for path in modules()[name]:
        for imported, _ in imports(path):
            parts = imported.split(".")
            if parts[0] == "vitime_cache" and len(parts) > 1 and parts[1] in modules() and parts[1] != name:
                assert ORDER.index(parts[1]) < ORDER.index(name), f"{path.name} imports {imported} from above itself"


@pytest.mark.parametrize("heavy", HEAVY)
def test_a_heavy_library_is_imported_only_where_it_is_needed(heavy: str) -> None:
    users = {
        name
        for name, paths in modules().items()
        for path in paths
        for imported, _ in imports(path)
        if imported.split(".")[0] == heavy
    }
    assert users <= HEAVY[heavy], sorted(users - HEAVY[heavy])


@pytest.mark.parametrize("statement", ["import vitime_cache", "from vitime_cache import open_store, catalogue"])
def test_reading_a_store_does_not_import_torch(statement: str) -> None:
    code = f"{statement}; import sys; print(sorted({{'torch', 'timm', 'streamlit', 'distributed'}} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_public_names_are_all_there() -> None:
    import vitime_cache

    for name in vitime_cache.__all__:
        assert getattr(vitime_cache, name) is not None
    with pytest.raises(AttributeError, match="no attribute 'captrue'"):
        vitime_cache.captrue  # noqa: B018
