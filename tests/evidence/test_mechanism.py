"""The mechanism level and single heads against the plain second implementation of value patching."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from tests.interventions.conftest import CONFIG
from tests.interventions.test_value_patch import loud_model, plain
from vitime_cache.evidence.levels import mechanism
from vitime_cache.evidence.levels.heads_set import choose_and_test, read_heads
from vitime_cache.evidence.levels.mechanism import measure_mechanism
from vitime_cache.evidence.window_runs import Cell, WindowRuns, cells
from vitime_cache.interventions.value_patch import all_pairs, lag_pairs
from vitime_cache.model.network import ViTime
from vitime_cache.series.signal import Signal

PERIOD, LAYERS, HEADS = 36.0, len(CONFIG.layers), CONFIG.heads  # samples; three patches of 12
EVERY = np.ones((LAYERS, HEADS), dtype=bool)
ON = lag_pairs(np.isin(np.arange(12), [3, 6, 9]), 6)  # whole periods back, for queries of the forecast


@pytest.fixture(scope="module")
def model() -> ViTime:
    return loud_model()


@pytest.fixture(scope="module")
def windows(model: ViTime) -> list[WindowRuns]:
    rng = np.random.default_rng(0)
    series = np.sin(2 * np.pi * np.arange(280) / PERIOD) + 0.3 * rng.standard_normal(280)
    return [
        WindowRuns(model, Signal("wave", series[start : start + 72], 72), PERIOD, series[:start]) for start in (0, 136)
    ]


class Plainly:
    """The same patches by whole matrices."""

    def __init__(self, window: WindowRuns, draw: int) -> None:
        self.window = window
        self.image, other = (window._images(c[None]) for c in (window.drawn, window.stand_in_columns(draw)))
        with torch.inference_mode():
            self.attention, _, intact = plain(window.model, self.image)
            _, self.values, stand_in = plain(window.model, other)
            _, intact_values, _ = plain(window.model, self.image)
            _, self.held, _ = plain(window.model, other, None, intact_values, ON, EVERY)
        self.intact, self.whole = self.rows(intact), self.rows(stand_in)

    def rows(self, probability: torch.Tensor) -> np.ndarray:
        rows = (probability[0].double().numpy() @ np.arange(CONFIG.image_height)) * CONFIG.row_step
        return rows[self.window.history_columns :]

    def change(self, pairs: np.ndarray, heads: np.ndarray = EVERY, *, held: bool = False) -> np.ndarray:
        """With `held`, values come from the run of the stand-in in which the reads whole periods back are held."""
        with torch.inference_mode():
            values = self.held if held else self.values
            found = plain(self.window.model, self.image, self.attention, values, pairs, heads)[2]
        return self.rows(found) - self.intact


def test_every_share_is_that_of_the_plain_second_implementation(
    windows: list[WindowRuns], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mechanism, "CELLS", 2)
    found = measure_mechanism(windows)
    first = windows[0].first_future
    assert first == 6
    sums: dict[str, float] = dict.fromkeys(("all", "on", "rest", "6", "decoder", "covered", "whole", "there"), 0.0)
    for cell in cells(2, 2):
        patched = Plainly(windows[cell.window], cell.draw)
        every = patched.change(all_pairs(12, first))
        whole = patched.whole - patched.intact
        last = np.zeros_like(EVERY)
        last[-1] = True
        each = {
            "all": every, "on": patched.change(ON), "rest": patched.change(all_pairs(12, first) & ~ON, held=True),
            "6": patched.change(lag_pairs(np.arange(12) == 6, first)), "decoder": patched.change(ON, last),
        }  # fmt: skip
        for name, change in each.items():
            sums[name] += float(change @ every)
        sums["covered"] += float(every @ whole)
        sums["whole"] += float(whole @ whole)
        sums["there"] += float(each["on"] @ each["on"])
    assert found.share == pytest.approx(sums["on"] / sums["all"], abs=1e-3)
    assert found.rest == pytest.approx(sums["rest"] / sums["all"], abs=1e-3)
    assert found.by_multiple[1] == pytest.approx(sums["6"] / sums["all"], abs=1e-3)
    assert found.by_layer[-1] == pytest.approx(sums["decoder"] / sums["all"], abs=1e-3)
    assert found.size == pytest.approx(sums["there"] / sums["all"], abs=1e-3)
    assert found.coverage == pytest.approx(sums["covered"] / sums["whole"], abs=1e-3)
    assert abs(found.share) > 0.01
    assert found.low <= found.share <= found.high


def test_single_heads_are_those_of_the_plain_second_implementation(windows: list[WindowRuns]) -> None:
    some = np.zeros_like(EVERY)
    some[0, 1] = some[-1, 0] = True
    found = read_heads(windows[1], 3, some)
    patched = Plainly(windows[1], 3)
    together = patched.change(ON)
    assert found.size == pytest.approx(float(together @ together), rel=1e-3)
    for at in ((0, 1), (LAYERS - 1, 0)):
        alone = np.zeros_like(EVERY)
        alone[at] = True
        assert found.projection[at] / found.size == pytest.approx(
            float(patched.change(ON, alone) @ together) / found.size, abs=1e-3
        )
    assert np.isnan(found.effect[~some]).all()
    assert (found.effect[some] > 0).all()


def test_the_set_is_tested_on_stand_ins_and_windows_that_it_was_not_chosen_on(windows: list[WindowRuns]) -> None:
    reads: dict[Cell, object] = {}
    found = choose_and_test(windows, EVERY, reads=reads)  # type: ignore[arg-type]
    assert found is not None
    assert {cell.window for cell in reads} == {0}  # the other window tests
    order = [tuple(at) for at in np.argwhere(EVERY)[np.argsort(-found.head_share[EVERY])].tolist()]
    assert found.heads == order[: len(found.heads)]
    assert len(found.path) == len(found.heads)
    assert all(share < 0.9 for share in found.path[:-1])
    test = [Plainly(windows[cell.window], cell.draw) for cell in cells(2, 4)[1::2]]
    member = np.zeros_like(EVERY)
    for head in found.heads:
        member[head] = True
    together = [each.change(ON) for each in test]
    size = sum(float(change @ change) for change in together)
    for heads, share in ((member, found.share), (~member, found.without)):
        carried = sum(
            float(each.change(ON, heads) @ change) if heads.any() else 0.0
            for each, change in zip(test, together, strict=True)
        )
        assert share == pytest.approx(carried / size, abs=1e-3)


def test_replicates_take_windows_in_turn_and_a_new_stand_in_each() -> None:
    assert cells(1, 4) == [Cell(0, 0), Cell(0, 1), Cell(0, 2), Cell(0, 3)]
    assert cells(2, 4) == [Cell(0, 0), Cell(1, 1), Cell(0, 2), Cell(1, 3)]
    assert cells(6, 4) == [Cell(i, i) for i in range(6)]
