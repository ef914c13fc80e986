"""The planted networks do what is said of them, by attention and by what the forecast is made of; not by `ask`."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest
import torch

from benchmarks import planted
from benchmarks.planted import COLUMNS, HISTORY, Case, Plan, column_scores
from vitime_cache.arrays import Floats
from vitime_cache.attention.capture import capture
from vitime_cache.evidence.levels.table import CLAIM_NAMES, KINDS
from vitime_cache.interventions.named_heads import ablate_heads
from vitime_cache.model.encoding import SeriesEncoding

pytestmark = pytest.mark.slow

NOTICED = 0.1  # of the probability of a column of the forecast, moved elsewhere; LayerNorm moves 0.01


SEED = 11


@cache
def made(kind: str) -> Case:
    return planted.case(kind, SEED)


def images(case: Case) -> torch.Tensor:
    """The intact image, and one for every history patch with that patch's columns blank, (1 + HISTORY, 1, h, W)."""
    encoding = SeriesEncoding.fit(case.signal.values, planted.HORIZON, case.model.config)
    intact = torch.from_numpy(encoding.image(case.signal.values)).T[None, None]
    every = intact.repeat(1 + HISTORY, 1, 1, 1)
    width = case.model.config.patch_width
    for patch in range(HISTORY):
        every[1 + patch, ..., patch * width : (patch + 1) * width] = 0
    return every


def dependence(case: Case) -> Floats:
    """How far blanking a history patch moves the probability at a future patch, (HISTORY, future patches), 0 … 2."""
    with torch.inference_mode():
        intact, *blanked = case.model(images(case))
    moved = (torch.stack(blanked) - intact).abs().sum(dim=-1)
    return moved.reshape(HISTORY, COLUMNS, -1).mean(dim=-1)[:, HISTORY:].double().numpy()


def lags_noticed(case: Case) -> set[int]:
    patches, futures = np.nonzero(dependence(case) > NOTICED)
    return {int(HISTORY + future - patch) for patch, future in zip(patches, futures, strict=True)}


def attention(case: Case, plan: Plan) -> Floats:
    """Attention of a query column to a key column, of the mass of one row of tokens, (COLUMNS, COLUMNS)."""
    ds = capture(case.model, case.signal)
    mean = ds.time_attention.sel(layer=plan.layer, head=plan.head).values
    return mean.astype(np.float64) * case.model.config.grid[0]


@pytest.mark.parametrize("kind", planted.KINDS)
def test_the_forecast_is_made_of_the_lags_that_were_planted_and_of_no_other(kind: str) -> None:
    case = made(kind)
    if case.lags is not None:
        assert lags_noticed(case) == set(case.lags)


@pytest.mark.parametrize("kind", planted.KINDS)
def test_every_truth_speaks_of_planted_heads_in_the_words_of_a_verdict(kind: str) -> None:
    case = made(kind)
    heads = {(plan.layer, plan.head) for plan in case.plans}
    truth = case.truth
    assert truth.kinds <= set(KINDS)
    assert set(truth.must) | set(truth.may) <= set(CLAIM_NAMES)
    assert truth.carriers.union(*truth.must.values(), *truth.may.values()) <= heads
    assert bool(truth.carriers) == bool(truth.kinds & {"mostly", "partly"})


@pytest.mark.parametrize("kind", planted.KINDS)
def test_whether_whole_periods_are_used_follows_from_the_lags(kind: str) -> None:
    """Of the truth tables: a lag lies whole periods back where one patch holds both moments, as EVIDENCE's ON."""
    case = made(kind)
    if case.lags is None:
        return
    period = case.period / planted.SAMPLES_PER_PATCH
    whole = [lag for lag in case.lags if abs(lag - period * max(round(lag / period), 1)) < 0.95]
    yes = any(KINDS[each].answer == "yes" for each in case.truth.kinds)
    assert yes == bool(whole)
    assert ("indifferent" in case.truth.kinds) == (case.lags == ())


def test_a_copier_attends_one_period_back_and_its_forecast_is_the_last_period() -> None:
    case = planted.case("copier", seed=1)
    [plan] = case.plans
    [lag] = plan.lags
    looked = attention(case, plan)
    assert (np.diagonal(looked, -lag) > 0.95).all()
    assert (looked.sum(axis=1)[:lag] < 0.05).all()  # nothing one period back: the sink
    ahead = capture(case.model, case.signal).forecast_quantile.sel(quantile=0.5).dropna("time").values
    samples = lag * planted.SAMPLES_PER_PATCH
    last = case.signal.values[-samples:][: planted.HORIZON]
    assert np.corrcoef(ahead[: len(last)], last)[0, 1] > 0.9


def test_a_soft_copier_spreads_a_fifth_of_its_attention() -> None:
    case = planted.case("soft_copier", seed=1)
    [plan] = case.plans
    [lag] = plan.lags
    assert 0.6 < attention(case, plan)[np.arange(HISTORY, COLUMNS), np.arange(HISTORY, COLUMNS) - lag].mean() < 0.9


@pytest.mark.parametrize("queries", ["history", "future"])
def test_queries_that_may_not_look_look_at_the_sink(queries: str) -> None:
    case = planted.case({"history": "inert_history_queries", "future": "future_queries"}[queries], seed=2)
    [plan] = case.plans
    [lag] = plan.lags
    looked = attention(case, plan)
    future = looked[HISTORY:].sum(axis=1)
    history = looked[lag:HISTORY].sum(axis=1)
    on, off = (future, history) if queries == "future" else (history, future)
    assert (on > 0.95).all()
    assert (off < 0.05).all()


def test_an_absolute_column_is_looked_at_by_all_queries() -> None:
    case = planted.case("absolute_column", seed=3)
    [plan] = case.plans
    assert (attention(case, plan)[:, plan.column] > 0.95).all()


def test_an_even_head_looks_nowhere() -> None:
    case = planted.case("even_head", seed=3)
    looked = attention(case, case.plans[0])
    assert looked.max() < 1.2 * looked.min()


def test_two_hops_look_at_their_own_lags_which_add_up_to_a_period() -> None:
    case = planted.case("two_hops", seed=4)
    hops = [next(iter(plan.lags)) for plan in case.plans]
    assert sum(hops) == case.period / planted.SAMPLES_PER_PATCH
    for plan, lag in zip(case.plans, hops, strict=True):
        assert (np.diagonal(attention(case, plan), -lag) > 0.95).all()


def test_a_matcher_follows_whatever_period_the_series_has() -> None:
    for seed in range(3):
        case = planted.case("matcher", seed)
        [plan] = case.plans
        period = int(case.period / planted.SAMPLES_PER_PATCH)
        looked = attention(case, plan)[:HISTORY, :HISTORY]
        curve = [np.diagonal(looked, -lag).mean() for lag in range(3, 14)]
        assert 3 + int(np.argmax(curve)) in (period, 2 * period)


def test_the_members_of_a_cancelled_pair_matter_alone_and_not_together() -> None:
    case = planted.case("cancelled_pair", seed=5)
    heads = [(plan.layer, plan.head) for plan in case.plans]
    alone, together = (
        float(ablate_heads(case.model, case.signal, knocked).effect.sel(outcome="distance").squeeze())
        for knocked in (heads[:1], heads)
    )
    assert alone > 0.1
    assert together < 0.01


def test_the_blank_forecast_of_a_bias_head_without_attention_shows_that_its_magnitude_matters() -> None:
    case = planted.case("bias_head", seed=6)
    assert lags_noticed(case) == set()
    blank = planted.network("bias head that writes nothing", [Plan(case.plans[0].layer, strength=0.0)])
    with torch.inference_mode():
        drawn, nothing = (model(images(case)[:1]) for model in (case.model, blank))
    assert float((drawn - nothing).abs().sum(dim=-1)[:, HISTORY * 8 :].mean()) > 0.5


def test_scores_are_written_down_as_they_are() -> None:
    scores = column_scores(Plan(lags={2: 5.0, -1: 3.0}))
    assert scores[7, 5] == 5.0
    assert scores[7, 8] == 3.0
    assert np.count_nonzero(scores[7]) == 2


def test_a_kind_is_drawn_anew_by_its_seed_and_the_same_for_the_same() -> None:
    first, again, other = (planted.case("copier", seed) for seed in (1, 1, 2))
    np.testing.assert_array_equal(first.signal.values, again.signal.values)
    assert first.plans == again.plans
    assert not np.array_equal(first.signal.values, other.signal.values)
    assert (
        len({(planted.case("copier", seed).plans[0].layer, planted.case("copier", seed).period) for seed in range(8)})
        > 2
    )


def test_sharpened_random_heads_attend_by_content() -> None:
    model = planted.sharpened(1)
    signals = [planted.case("copier", seed).signal for seed in range(2)]
    first, second = (capture(model, signal).time_attention.values for signal in signals)
    assert np.abs(first - second).max() > 0.1 * first.max()
