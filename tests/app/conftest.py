"""Stores and weights for the app, small enough that a page is tested in a fraction of a second."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path

import pytest
import streamlit as st
import torch
from streamlit.components.v2 import manifest_scanner
from streamlit.testing.v1 import AppTest

from vitime_cache import places
from vitime_cache.model import checkpoint
from vitime_cache.model.config import ViTimeConfig
from vitime_cache.model.network import ViTime
from vitime_cache.series.examples import catalogue
from vitime_cache.series.sources import Signal
from vitime_cache.store.build import build
from vitime_cache.ui import question_form, questions, shared
from vitime_cache.ui.folds import FOLD
from vitime_cache.ui.processes.engine import engine

ENTRY = Path(__file__).parents[2] / "streamlit_app.py"
NOTE = "random weights for tests; not the published ViTime model"
SMALL = ViTimeConfig(
    image_height=32, context_columns=512, horizon_columns=720, patch_height=16, patch_width=16,
    encoder_width=32, encoder_depth=2, decoder_width=16, decoder_depth=1, heads=4,
)  # fmt: skip
OTHER = ViTimeConfig(
    **{**SMALL.to_dict(), "patch_width": 32, "heads": 2, "context_columns": 1024, "horizon_columns": 1440}
)


FOLDS = (
    "another", "ask", "autocorrelation", "compose", "delete_question", "delete_signal", "details", "heads", "layers",
    "moment", "network", "peaks",
)  # fmt: skip
BEGIN_BY_ITSELF = question_form.begin_by_itself


def signals(*names: str) -> list[Signal]:
    return [signal for signal in catalogue() if signal.name in names]


def write_weights(config: ViTimeConfig, path: Path) -> Path:
    """A network with the same random weights every time, scaled up so that its heads differ from uniform attention."""
    path.parent.mkdir(parents=True, exist_ok=True)
    torch.manual_seed(0)
    model = ViTime(config).requires_grad_(False)
    for block in model.blocks_by_layer().values():
        block.attn.qkv.weight.mul_(4)
    checkpoint.save_safetensors(model, path, note=NOTE)
    return path


@pytest.fixture(scope="session")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small network with random weights, under the name of the shipped one."""
    return write_weights(SMALL, tmp_path_factory.mktemp("weights") / checkpoint.SHIPPED_NAME)


@pytest.fixture(scope="session")
def built(weights: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store of four signals; copy it before writing to it."""
    path = tmp_path_factory.mktemp("built") / "vitime-mini.zarr"
    build(signals("full", "reduced_harmonic", "harmonic_63", "white_noise"), path, weights)
    return path


@pytest.fixture(scope="session")
def built_by_another(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store of a model with other layers, heads and patches."""
    folder = tmp_path_factory.mktemp("other")
    build(signals("full", "ar1"), folder / "other.zarr", write_weights(OTHER, folder / "other.safetensors"))
    return folder / "other.zarr"


@pytest.fixture(scope="session", autouse=True)
def packages_are_searched_once() -> Iterator[None]:
    """Search the installed packages for components once, as a server does: every AppTest would, for 0.4 s."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(manifest_scanner, "scan_component_manifests", cache(manifest_scanner.scan_component_manifests))
        yield


@pytest.fixture(scope="session", autouse=True)
def no_model_is_left() -> Iterator[None]:
    """End the process of the model after the last test."""
    yield
    engine().stop()


@pytest.fixture(autouse=True)
def the_main_module_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    """Streamlit puts the app in its place, and a process that `multiprocessing` starts later would run the app."""
    monkeypatch.setitem(sys.modules, "__main__", sys.modules["__main__"])


@pytest.fixture
def folder(weights: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """An empty folder of stores, seen by the app; no caches from earlier tests, and no question that nobody asked."""
    monkeypatch.setenv("VITIME_STORE_FOLDER", str(tmp_path))
    monkeypatch.setattr(places, "WEIGHTS", weights.parent)
    monkeypatch.setattr(question_form, "begin_by_itself", lambda *_: None)
    shared.forget_everything()
    st.cache_resource.clear()
    yield tmp_path
    for each in questions.known().values():
        for session in list(each.asked_by):
            each.leave(session)


@pytest.fixture
def begins(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The first question about a series begins by itself, as it does for a person."""
    assert folder.is_dir()
    monkeypatch.setattr(question_form, "begin_by_itself", BEGIN_BY_ITSELF)


@pytest.fixture
def store(built: Path, folder: Path) -> Path:
    """The folder of stores with a store of four signals in it; its path."""
    return Path(shutil.copytree(built, folder / built.name))


def unfold(at: AppTest, *names: str) -> AppTest:
    """Open some folds of the pages, or all."""
    for name in names or FOLDS:
        at.session_state[FOLD + name] = True
    return at


@pytest.fixture
def open_page(folder: Path) -> Callable[..., AppTest]:
    """Open a page of the app in a session of its own, with an address, and with all its folds open."""

    def run(page: str = "library", *, unfolded: bool = True, **address: str) -> AppTest:
        assert folder.is_dir()
        at = AppTest.from_file(str(ENTRY), default_timeout=60)
        if unfolded:
            unfold(at)
        for key, value in address.items():
            at.query_params[key] = value
        return at.switch_page(f"pages/{page}.py").run()

    return run
