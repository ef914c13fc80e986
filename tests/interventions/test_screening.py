from __future__ import annotations

import numpy as np
import pytest
import torch

from tests.conftest import random_model
from tests.interventions.conftest import CONFIG, walk
from vitime_cache.attention.forward import above
from vitime_cache.interventions.references import mean_outputs
from vitime_cache.interventions.runs import run_signal
from vitime_cache.interventions.screening import promising_first, screen_heads
from vitime_cache.model.encoding import SeriesEncoding


def test_screening_is_the_derivative_of_the_knockout() -> None:
    """Pull every head's output a thousandth of the way to its mean: the forecast's strength moves as estimated."""
    torch.manual_seed(0)
    model, signal = random_model(CONFIG), walk()
    reference = [walk(seed) for seed in range(3, 6)]
    ds = screen_heads(model, signal, reference)
    model = model.double()
    intact, means = run_signal(model, signal), mean_outputs(model, reference)
    ahead = SeriesEncoding.fit(signal.values, signal.horizon, CONFIG).history_columns
    rows = torch.arange(16.0).double() * CONFIG.row_step

    def line(probability: torch.Tensor) -> np.ndarray:
        return (probability[0].double() @ rows)[ahead:].numpy()

    shape = line(intact.probability) - line(intact.probability).mean()
    shape /= np.linalg.norm(shape) * len(shape) ** 0.5
    for number, layer in enumerate(CONFIG.layers):
        for head in range(2):
            z = intact.outputs[number][0, head]
            moved = [z + sign * 1e-2 * (means[number][head] - z) for sign in (1, -1)]
            up, down = (line(above(model, intact, number, [head], each[None])) for each in moved)
            estimate = ds.attribution.sel(layer=layer, head=head).item()
            assert shape @ (up - down) / 2e-2 == pytest.approx(estimate, rel=2e-2, abs=1e-5)
    assert "screening only" in ds.attrs["intervention"]


def test_a_head_comes_forward_by_any_score_and_by_none_that_says_nothing_of_it() -> None:
    nothing, even, by_one, by_other = (
        np.full(5, np.nan),
        np.zeros(5),
        np.array([0, 0, 1, 2, 3]),
        np.array([9, 1, 0, 0, 0]),
    )
    assert promising_first(nothing, by_one).tolist()[:3] == [4, 3, 2]
    assert promising_first(even, by_one).tolist()[:3] == [4, 3, 2]
    assert set(promising_first(by_one, by_other).tolist()[:2]) == {0, 4}
    assert promising_first(nothing, even).tolist() == [0, 1, 2, 3, 4]
