"""Looking against mattering: the rank correlation and what is said of it."""

import numpy as np
import pytest

from vitime_cache.evidence.agreement import FEWEST, looking_and_mattering
from vitime_cache.evidence.verdict.mock import mock_verdict


def with_heads(prominence, effect):
    """A verdict of 3 × 4 heads that look and matter as told."""
    ds = mock_verdict()
    ds["figure"].loc[{"claim": "looks"}] = np.reshape(prominence, (3, 4))
    ds["figure"].loc[{"claim": "matters"}] = np.reshape(effect, (3, 4))
    return ds


def ranks(values):
    return np.argsort(np.argsort(values)).astype(float)


def test_the_correlation_is_that_of_the_ranks():
    rng = np.random.default_rng(0)
    x, y = rng.random(12), rng.random(12)
    found = looking_and_mattering(with_heads(x, y))
    assert found.rho == pytest.approx(np.corrcoef(ranks(x), ranks(y))[0, 1], abs=1e-6)
    assert found.low < found.rho < found.high
    assert len(found.heads) == 12


@pytest.mark.parametrize(("order", "words"), [(1, "positively related"), (-1, "negatively related")])
def test_a_monotone_relation_is_said_to_agree_or_to_be_opposed(order, words):
    x = np.arange(12.0)
    found = looking_and_mattering(with_heads(x, np.exp(order * x)))
    assert found.rho == pytest.approx(order)
    assert words in found.words
    assert f"over 12 heads: {'−' * (order < 0)}1 (95 % interval" in found.words


def test_unrelated_ranks_are_not_shown_to_agree():
    rng = np.random.default_rng(3)
    said = [looking_and_mattering(with_heads(rng.random(12), rng.random(12))).words for _ in range(20)]
    assert sum("not shown to be related" in words for words in said) >= 16


def test_heads_without_a_knockout_are_left_out_and_too_few_give_no_correlation():
    effect = np.full(12, np.nan)
    effect[: FEWEST - 1] = np.arange(FEWEST - 1)
    found = looking_and_mattering(with_heads(np.arange(12.0), effect))
    assert len(found.heads) == FEWEST - 1
    assert np.isnan(found.rho)
    assert "no rank correlation" in found.words
    assert "no rank correlation" in looking_and_mattering(mock_verdict(stages=())).words


@pytest.mark.parametrize(
    ("looking", "effect", "words"),
    [(np.ones(12), np.arange(12.0), "All 12 heads look alike"), (np.arange(12.0), np.zeros(12), "All 12 heads matter")],
)
def test_heads_that_are_all_alike_have_no_ranks_though_all_were_knocked_out(looking, effect, words):
    found = looking_and_mattering(with_heads(looking, effect))
    assert np.isnan(found.rho)
    assert found.words.startswith(words)
