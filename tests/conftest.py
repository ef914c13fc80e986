"""What several test modules share: the golden checkpoint and small networks with random weights."""

from __future__ import annotations

import gc
import os
import signal
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import settings

from vitime_cache.model.checkpoint import load_model
from vitime_cache.model.config import ViTimeConfig
from vitime_cache.model.network import ViTime

# A shell's background jobs are deaf to Ctrl-C, and so would be the processes that tests send it to.
signal.signal(signal.SIGINT, signal.default_int_handler)

# A process that is killed loses nothing that it gave to the kernel, and no test pulls the plug.
os.fsync = lambda _: None

# The same examples on every run, so that a change and not chance decides. New ones: HYPOTHESIS_PROFILE=explore.
settings.register_profile("same", derandomize=True)
settings.register_profile("explore", max_examples=1000, deadline=None)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "same"))

DATA = Path(__file__).parent / "data"
GOLDEN_WEIGHTS = DATA / "vitime_tiny.pth"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Slow tests come first, so that no worker is left with one when the others have nothing to do any more."""
    items.sort(key=lambda item: item.get_closest_marker("slow") is None)


def pytest_collection_finish() -> None:
    """What was imported lives to the end, so that the collector may pass over it.

    Streamlit collects after every run of a page, and statsmodels at every correction: a sixth of a second each time.
    """
    gc.collect()
    gc.freeze()


def pytest_unconfigure() -> None:
    """Let the interpreter free all it holds as it ends: triton otherwise writes a hundred lines on what it leaks."""
    gc.unfreeze()


@pytest.fixture(scope="session")
def golden() -> dict[str, np.ndarray]:
    """What the published code computes from `vitime_tiny.pth`, for four signals."""
    with np.load(DATA / "vitime_tiny_expected.npz", allow_pickle=False) as file:
        return dict(file)


@pytest.fixture(scope="session")
def golden_model() -> ViTime:
    return load_model(GOLDEN_WEIGHTS, device="cpu")


def small_config(**changes: object) -> ViTimeConfig:
    """16 rows × 48 columns in 2 × 6 tokens: small enough for hundreds of runs."""
    values: dict[str, object] = {
        "image_height": 16, "context_columns": 20, "horizon_columns": 28, "patch_height": 8, "patch_width": 8,
        "encoder_width": 16, "encoder_depth": 2, "decoder_width": 8, "decoder_depth": 1, "heads": 2,
    }  # fmt: skip
    return ViTimeConfig(**{**values, **changes})  # type: ignore[arg-type]


def random_model(config: ViTimeConfig, seed: int = 0) -> ViTime:
    """A network whose weights are large enough that its heads differ from uniform attention."""
    torch.manual_seed(seed)
    model = ViTime(config).eval().requires_grad_(False)
    for block in model.blocks_by_layer().values():
        block.attn.qkv.weight.mul_(4)
    return model
