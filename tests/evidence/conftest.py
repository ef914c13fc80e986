"""A small network and walks that fit it, for the tests of interventions and evidence."""

from __future__ import annotations

import numpy as np
import pytest

from tests.conftest import random_model, small_config
from vitime_cache.model.network import ViTime
from vitime_cache.series.signal import Signal

CONFIG = small_config(context_columns=40, horizon_columns=56, encoder_width=32, decoder_width=16)  # 2 × 12 tokens


def walk(seed: int = 0, n: int = 60, horizon: int = 84) -> Signal:
    series = np.random.default_rng(seed).standard_normal(n + horizon).cumsum()
    return Signal(f"walk {seed}", series[:n], horizon=horizon, future=series[n:])


SIGNALS = [walk(0), walk(1, n=100, horizon=44)]


@pytest.fixture(scope="module")
def model() -> ViTime:
    return random_model(CONFIG)
