from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader

from tests.conftest import small_config
from vitime_cache.model.drawing import draw
from vitime_cache.model.encoding import SeriesEncoding
from vitime_cache.training.batches import NEAR, Batch, Batches, choose_columns, image_rows
from vitime_cache.training.config import MINI, Stage, TrainConfig
from vitime_cache.training.synthesis import Mixture

NETWORK = small_config(context_columns=40, horizon_columns=56)  # 2 × 12 tokens, the border after the fifth column
CONFIG = TrainConfig(
    network=NETWORK, stages=(Stage(6, Mixture(repeats=1.0), (10.0, 30.0), whole=0.4),), batch_size=4,
    future_columns=3, history_columns=2,
)  # fmt: skip


def same(a: Batch, b: Batch) -> bool:
    columns = a.columns is b.columns if a.columns is None or b.columns is None else torch.equal(a.columns, b.columns)
    return a.border == b.border and columns and torch.equal(a.rows, b.rows) and torch.equal(a.periods, b.periods)


@pytest.mark.parametrize("workers", [1, 2])
def test_any_number_of_workers_draws_the_same_batches_in_the_same_order(workers: int) -> None:
    here = [Batches(CONFIG)[step] for step in range(2, 6)]
    loader = DataLoader(Batches(CONFIG), batch_size=None, sampler=range(2, 6), num_workers=workers)
    assert all(same(a, b) for a, b in zip(here, loader, strict=True))
    assert {batch.columns is None for batch in here} == {True, False}, "steps of both kinds are compared"


def test_a_batch_depends_on_seed_and_step() -> None:
    batches = Batches(CONFIG)
    assert same(batches[3], Batches(CONFIG)[3])
    assert not same(batches[3], batches[4])
    assert not same(batches[3], Batches(replace(CONFIG, seed=1))[3])


def test_what_is_drawn_from_rows_is_the_encoding_s_image_of_the_series() -> None:
    series = np.random.default_rng(0).standard_normal((3, MINI.columns)).cumsum(axis=1)
    for border in (335, 512, 1003):
        rows, end = image_rows(series, border, MINI)
        encoding = SeriesEncoding.fit(series[:, :end], MINI.columns - end, MINI)
        assert encoding.history_columns == end
        expected = encoding.image(series[:, :end]).swapaxes(1, 2)
        np.testing.assert_allclose(draw(rows[:, :end], MINI)[:, 0].numpy(), expected, rtol=0, atol=1e-5)
        assert np.array_equal(rows.numpy(), encoding.rows(series))


def test_a_border_at_which_rounding_loses_a_column_moves_by_it() -> None:
    series = np.random.default_rng(0).standard_normal((1, MINI.columns))
    ends = {border: image_rows(series, border, MINI)[1] for border in range(2, MINI.columns - 1)}
    moved = {border: end for border, end in ends.items() if end != border}
    assert moved
    assert all(border - end in (1, 2) for border, end in moved.items())


def test_scored_columns_are_of_the_future_first_then_of_the_history_and_differ() -> None:
    columns = choose_columns(50, 40, 0.0, CONFIG, torch.manual_seed(0))
    assert columns.shape == (50, 5)
    assert ((columns[:, :3] >= 5) & (columns[:, :3] < 12)).all()
    assert (columns[:, 3:] < 5).all()
    assert all(len(set(row.tolist())) == 5 for row in columns)
    assert len({tuple(row.tolist()) for row in columns}) > 20, "drawn anew for each series"


def test_a_column_of_tokens_that_the_border_cuts_counts_as_history() -> None:
    columns = choose_columns(50, 41, 0.0, CONFIG, torch.manual_seed(0))
    assert int(columns[:, :3].min()) == 6


def test_near_columns_lie_next_to_the_border() -> None:
    wide = TrainConfig(network=small_config(context_columns=40, horizon_columns=400), future_columns=3)
    near = choose_columns(200, 40, 1.0, wide, torch.manual_seed(0))[:, :3]
    assert int(near.max()) < 5 + NEAR
    assert int(choose_columns(200, 40, 0.0, wide, torch.manual_seed(0))[:, :3].max()) > 40
