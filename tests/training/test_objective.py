from __future__ import annotations

import numpy as np
import pytest
import torch

from tests.conftest import random_model, small_config
from vitime_cache.model.drawing import draw
from vitime_cache.training.batches import Batches, choose_columns
from vitime_cache.training.config import Stage, TrainConfig
from vitime_cache.training.objective import (
    PeriodReadout,
    choose_tokens,
    cross_entropy,
    patch_scores,
    sampled_loss,
    whole_loss,
)
from vitime_cache.training.synthesis import Mixture

NETWORK = small_config(context_columns=40, horizon_columns=56)  # 2 × 12 tokens, the border after the fifth column
CONFIG = TrainConfig(
    network=NETWORK, stages=(Stage(6, Mixture(repeats=1.0), (10.0, 30.0), study_border=1.0),), batch_size=4,
    future_columns=3, history_columns=2,
)  # fmt: skip


def first_batch() -> tuple[torch.Tensor, torch.Tensor, int]:
    """Images (4, 1, 16, 96), rows (4, 96) and the border."""
    batch = Batches(CONFIG)[0]
    return draw(batch.rows[:, : batch.border], NETWORK), batch.rows.long(), batch.border


def test_shown_tokens_are_the_scored_columns_and_the_inked_history() -> None:
    images, _, border = first_batch()
    patches = images.unfold(2, 8, 8).unfold(3, 8, 8).flatten(-2).flatten(1, 3)  # (4, 24, 64)
    columns = choose_columns(4, border, 0.0, CONFIG, torch.manual_seed(0))
    tokens = choose_tokens(patches, columns, border, CONFIG)
    for shown, scored, pixels in zip(tokens.tolist(), columns.tolist(), patches, strict=True):
        assert shown[:10] == [row * 12 + column for row in (0, 1) for column in scored]
        rest = shown[10:]
        assert len(set(shown)) == len(shown)
        assert all(token % 12 < 5 for token in rest), "no other token of the future"
        hidden = [t for t in range(24) if t % 12 < 5 and t not in shown]
        assert not hidden or pixels[rest].sum(-1).min() >= pixels[hidden].sum(-1).max()


def test_tokens_in_another_order_are_scored_alike() -> None:
    model = random_model(NETWORK)
    images, _, _ = first_batch()
    patches = images.unfold(2, 8, 8).unfold(3, 8, 8).flatten(-2).flatten(1, 3)
    order = torch.randperm(24, generator=torch.manual_seed(0)).repeat(4, 1)
    in_order = patch_scores(model, patches, torch.arange(24).repeat(4, 1))
    shuffled = patch_scores(model, patches[:, order[0]], order)
    torch.testing.assert_close(shuffled, in_order[:, order[0]], rtol=1e-4, atol=1e-5)


def test_the_sampled_loss_is_the_loss_at_the_scored_columns() -> None:
    images, rows, border = first_batch()
    every = TrainConfig(network=NETWORK, future_columns=7, history_columns=5)
    columns = torch.arange(12).roll(-5).repeat(4, 1)  # all of the future, then all of the history: all tokens
    model = random_model(NETWORK)
    expected = cross_entropy(model.logits(images), rows, every.softness).mean()
    torch.testing.assert_close(sampled_loss(model, images, rows, border, columns, every), expected)


def test_the_future_weighs_more_than_the_history() -> None:
    logits = torch.zeros(1, 96, 16)
    rows = torch.zeros(1, 96, dtype=torch.long)
    perfect = torch.full((96, 16), -30.0)
    perfect[:, 0] = 30.0
    sharp = TrainConfig(network=NETWORK, softness=1e-3)
    history_right, future_right = logits.clone(), logits.clone()
    history_right[0, :40], future_right[0, 40:] = perfect[:40], perfect[40:]
    weight = 40 + 5 * 56
    assert float(whole_loss(history_right, rows, 40, sharp)) == pytest.approx(np.log(16) * 5 * 56 / weight)
    assert float(whole_loss(future_right, rows, 40, sharp)) == pytest.approx(np.log(16) * 40 / weight)


def test_series_without_a_period_teach_no_period() -> None:
    readout = PeriodReadout(4)
    encoded = torch.randn(3, 5, 4)
    torch.nn.init.zeros_(readout.weight)
    torch.nn.init.zeros_(readout.bias)
    none = torch.full((3,), torch.nan)
    assert readout.loss(encoded, none).item() == 0
    assert readout.loss(encoded, torch.tensor([torch.nan, 160.0, 40.0])).item() == pytest.approx(1.0)
