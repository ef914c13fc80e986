"""`ask` of networks whose answers are known, a few of them; `benchmarks.evidence` asks them all, many times."""

from __future__ import annotations

from dataclasses import replace
from functools import cache

import numpy as np
import pytest
import xarray as xr

from benchmarks import planted
from vitime_cache.evidence.ask import answers
from vitime_cache.evidence.levels.influence import InfluenceCurve, influence_curve
from vitime_cache.evidence.question import prepare
from vitime_cache.evidence.verdict import schema as vschema
from vitime_cache.evidence.window_runs import WindowRuns

SEED = 21
MASKS = (32, 64)  # at the first look and at most, fewer than by default: enough for a clear answer
DETAILED = ("four_alike",)  # of which families of heads are told


@cache
def asked(kind: str, last: str = "mechanism") -> xr.Dataset:
    """The verdict on a kind's question, up to a level."""
    case = planted.case(kind, SEED)
    question = prepare(case.model, case.signal, case.period, window=case.window, seed=SEED)
    first, most = MASKS
    effort = replace(question.effort, details=kind in DETAILED, masks=first, most_masks=most)
    question = question.with_effort(effort)
    return next(ds for ds in answers(case.model, question) if last in vschema.facts(ds, "stages"))


@cache
def curves(kind: str) -> InfluenceCurve:
    """The influence of single patches in a kind's question, by lag."""
    case = planted.case(kind, SEED)
    question = prepare(case.model, case.signal, case.period, window=case.window, seed=SEED)
    [signal], [first] = question.windows, question.window.starts
    return influence_curve(WindowRuns(case.model, signal, case.period, question.series[:first]), SEED)


def judged(kind: str, last: str = "mechanism") -> planted.Judgement:
    return planted.judge(asked(kind, last), planted.case(kind, SEED).truth)


@pytest.mark.parametrize("kind", ["soft_copier", "bias_head", "beside_lag_12", "four_other_lags", "absolute_column"])
def test_the_forecast_as_a_whole_is_answered_as_the_network_works(kind: str) -> None:
    assert judged(kind).words == "right"


def test_a_copier_of_one_and_a_half_periods_is_a_no() -> None:
    said = judged("period_and_a_half", "set")
    assert said.kind == "elsewhere"
    assert said.words == "right"


def test_a_copier_is_found_at_every_level_up_to_its_looks_and_no_other_head_is_named() -> None:
    said = judged("copier", "looking")
    assert said.kind == "mostly"
    assert said.words == "right"


def test_of_four_heads_that_do_the_same_three_are_enough_and_the_fourth_is_told_as_able_to_stand_in() -> None:
    assert judged("four_alike", "set").words == "right"


def test_of_two_heads_that_do_the_same_both_are_of_the_set() -> None:
    ds = asked("redundant", "set")
    assert judged("redundant", "set").words == "right"
    assert float(ds.set_share) > 0.9
    assert float(ds.set_without) < 0.1


def test_the_set_is_the_prefix_that_reaches_nine_tenths_in_the_order_of_single_shares() -> None:
    verdict = asked("redundant", "set")
    rank, share = verdict.set_rank.values, verdict.head_share.values
    order = [tuple(at) for at in np.argwhere(np.isfinite(rank))[np.argsort(rank[np.isfinite(rank)])].tolist()]
    assert [rank[at] for at in order] == list(range(1, len(order) + 1))
    assert [share[at] for at in order] == sorted((share[at] for at in order), reverse=True)
    assert min(share[at] for at in order) >= np.sort(share.ravel())[-len(order)]
    path = verdict.set_path.values
    assert np.isfinite(path).sum() == len(order)
    assert (path[: len(order) - 1] < 0.9).all()


def test_a_head_that_looks_one_period_back_for_a_constant_is_not_used() -> None:
    """Taking its attention away changes the forecast; replacing what it reads there does not."""
    ds = asked("bias_head")
    assert vschema.facts(ds, "answer")["kind"] == "indifferent"
    assert float(ds.mechanism_effect) < 0.02


def test_of_a_forecast_that_does_not_change_no_shares_are_told() -> None:
    ds = asked("bias_head")
    shares = [name for name in ds if str(name).startswith(("influence_", "mechanism_"))]
    told = {name for name in shares if np.isfinite(ds[name].values).any()}
    effects = {"influence_effect", "influence_by_chance", "mechanism_effect", "mechanism_coverage"}
    assert told == effects | {"influence_curve"}
    assert vschema.facts(ds, "counts")["masks"] == 0


@pytest.mark.parametrize("kind", ["period_and_a_half", "two_hops"])
def test_no_head_is_named_where_attention_whole_periods_back_is_not_shown_to_carry_it(kind: str) -> None:
    ds = asked(kind, "set")
    named = [name for name in (*ds, "families") if str(name).startswith(("set_", "head_share"))]
    assert not any(np.isfinite(ds[name].values).any() for name in named)
    assert vschema.facts(ds, "families") == []


def test_two_hops_are_a_detour_no_attention_reaches_that_far() -> None:
    ds = asked("two_hops", "set")
    assert judged("two_hops", "set").words == "right"
    assert float(ds.influence_low) > 0.3
    assert float(ds.mechanism_high) < 0.1


def test_the_influence_curve_has_its_peak_at_the_lag_that_the_forecast_is_made_of() -> None:
    case = planted.case("period_and_a_half", SEED)
    assert case.lags is not None
    [lag] = case.lags
    curve = curves("period_and_a_half").intact
    assert int(np.nanargmax(curve)) == lag
    assert curve[lag] > 3 * np.nanmedian(curve)


def test_patching_whole_periods_takes_the_peak_there_and_leaves_other_lags() -> None:
    for kind, left in (("copier", False), ("period_and_a_half", True)):
        case = planted.case(kind, SEED)
        assert case.lags is not None
        [lag] = case.lags
        assert (curves(kind).blocked[lag] > 0.5 * curves(kind).intact[lag]) == left


def test_a_judgement_tells_false_from_withheld() -> None:
    case = planted.case("copier", SEED)
    ds = asked("copier", "looking")
    [(layer, head)] = case.truth.carriers
    no = vschema.with_facts(ds, answer={**vschema.facts(ds, "answer"), "kind": "elsewhere"})
    assert planted.judge(no, case.truth).false["model"] == ("elsewhere",)
    unknown = vschema.with_facts(ds, answer={**vschema.facts(ds, "answer"), "kind": "not shown"})
    assert planted.judge(unknown, case.truth).withheld["model"] == ("not shown",)
    other = planted.Truth(case.truth.kinds, frozenset({(layer, (head + 1) % 4)}))
    assert planted.judge(ds, other).false["set"] == (f"{layer} {head} is not of the set",)
    assert f"{layer} {head} reads" in planted.judge(ds, other).false["heads"]
