"""Imports run downward only, and what is heavy is imported only where it is needed."""

from __future__ import annotations

import ast
import subprocess
import sys
from functools import cache
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "vitime_cache"

# From the ground up: a room imports itself and the rooms of the floors below its own, never one beside it.
FLOORS = [
    {"_version", "arrays", "atomic", "errors", "extras", "numerals", "places", "shown", "signatures", "threads"},
    {"checks", "child", "typed_json"},
    {"series", "model", "stats"},
    {"attention"},
    {"training", "interventions"},
    {"evidence"},
    {"compare"},
    {"store", "charts"},
    {"study"},
    {"ui", "cli", "notebook"},
    {"pages", "streamlit_app", "__main__"},
]

# Library → the only files and rooms that may import it.
HEAVY = {
    "torch": {
        "model/network", "model/checkpoint", "model/drawing",
        "attention/cores", "attention/forward", "attention/streaming", "attention/kernel", "attention/capture",
        "attention/host", "attention/passes",
        "interventions", "training",
        "study/prediction", "study/rollout", "study/multi_head", "study/seen_attention",
    },
    "triton": {"attention/kernel"},
    "timm": {"model/network", "training"},
    "zarr": {"store"},
    "distributed": {"store/workers"},
    "altair": {"charts"},
    "vl_convert": {"charts"},
    "streamlit": {"ui", "pages", "streamlit_app"},
}  # fmt: skip


@cache
def sources() -> dict[str, Path]:
    """Every file of the package and the app, as "room/module" or, outside a room, "module"."""
    paths = {
        p.relative_to(PACKAGE).with_suffix("").as_posix().removesuffix("/__init__"): p for p in PACKAGE.rglob("*.py")
    }
    face = paths.pop("__init__")  # of the package; it imports all names on first use
    assert face.exists()
    pages = {f"pages/{p.stem}": p for p in (ROOT / "pages").glob("*.py")}
    return paths | pages | {"streamlit_app": ROOT / "streamlit_app.py"}


def room(name: str) -> str:
    return name.split("/")[0]


def floor(name: str) -> int:
    return next(level for level, rooms in enumerate(FLOORS) if room(name) in rooms)


@cache
def imports(path: Path, *, types_too: bool = False) -> set[str]:
    """Modules that a file imports when it runs, dotted; with `types_too` also what only type checking imports."""
    tree = ast.parse(path.read_text())
    checking = {
        node
        for block in ast.walk(tree)
        if isinstance(block, ast.If) and "TYPE_CHECKING" in ast.dump(block.test)
        for node in ast.walk(block)
    }
    found = set()
    for node in ast.walk(tree):
        if node in checking and not types_too:
            continue
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            assert node.level == 0, f"{path.name} imports relatively"
            names = {f"{node.module}.{alias.name}" for alias in node.names}
            from_face = node.module == "vitime_cache"
            found |= names if from_face else {name if is_module(name) else node.module for name in names}
    return found


def is_module(dotted: str) -> bool:
    """Whether a dotted name is a module of the package, not a name within one."""
    return dotted.removeprefix("vitime_cache.").replace(".", "/") in sources()


def test_every_room_stands_on_one_floor() -> None:
    rooms = {room(name) for name in sources()}
    assert rooms <= set().union(*FLOORS), sorted(rooms - set().union(*FLOORS))
    assert sum(map(len, FLOORS)) == len(set().union(*FLOORS))


def test_a_module_imports_only_its_own_room_and_those_below() -> None:
    rooms = set().union(*FLOORS)
    for name, path in sources().items():
        for imported in imports(path):
            top, _, rest = imported.partition(".")
            if top != "vitime_cache":
                continue
            target = rest.split(".")[0]
            assert target in rooms, f"{name} imports {imported}: a name of the package's face, which stands above it"
            assert target == room(name) or floor(target) < floor(name), f"{name} imports {imported}, not below it"


def test_no_module_imports_itself_by_a_detour_not_even_for_its_types() -> None:
    graph = {
        f"vitime_cache.{name.replace('/', '.')}": imports(path, types_too=True) for name, path in sources().items()
    }
    TopologicalSorter(graph).prepare()  # raises CycleError, which names the circle


@pytest.mark.parametrize("library", HEAVY)
def test_a_heavy_library_is_imported_only_where_it_is_needed(library: str) -> None:
    users = {name for name, path in sources().items() if library in {i.split(".")[0] for i in imports(path)}}
    strangers = {name for name in users if name not in HEAVY[library] and room(name) not in HEAVY[library]}
    assert not strangers


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


RACE = """
import importlib, importlib.abc, sys, threading, time
inside, failures = threading.Event(), []

class Slow(importlib.abc.MetaPathFinder):
    '''Holds up the thread that imports zarr in the midst of it, so that another comes meanwhile.'''

    def find_spec(self, name, path=None, target=None):
        if name == "zarr.abc.codec" and threading.current_thread().name == "first":
            inside.set()
            time.sleep(1)

def load(name):
    try:
        importlib.import_module(name)
    except ImportError as error:
        failures.append(str(error))

sys.meta_path.insert(0, Slow())
first = threading.Thread(target=load, args=("zarr",), name="first")
second = threading.Thread(target=load, args=({module!r},), name="second")
first.start()
inside.wait(30)
second.start()
first.join(), second.join()
print(failures)
"""
INSIDE_ZARR = sorted(
    name
    for name, path in sources().items()
    if "zarr." in path.read_text() and any(each.startswith("zarr.") for each in imports(path))
)


@pytest.mark.parametrize("name", INSIDE_ZARR)
def test_a_module_that_needs_the_inside_of_zarr_waits_while_another_thread_imports_zarr(name: str) -> None:
    code = RACE.format(module=f"vitime_cache.{name.replace('/', '.')}")
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
