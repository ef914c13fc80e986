"""A whole question, on a network small enough to be asked in a second."""

import json
import pickle

import numpy as np
import pytest
import torch
import xarray as xr

from tests.conftest import random_model
from vitime_cache.errors import VitimeError
from vitime_cache.evidence.ask import answers, ask
from vitime_cache.evidence.question import identity, prepare
from vitime_cache.evidence.verdict import schema as v
from vitime_cache.evidence.verdict.report import head_order, sentences, to_json, verdict_table
from vitime_cache.model.config import ViTimeConfig
from vitime_cache.series.signal import Harmonic, Signal, compose

PERIOD = 24.0
QUICK = {"nulls": 19, "controls": 39}


@pytest.fixture(scope="module")
def model():
    return random_model(
        ViTimeConfig(
            image_height=16, context_columns=160, horizon_columns=80, patch_height=8, patch_width=8,
            encoder_width=16, encoder_depth=2, decoder_width=8, decoder_depth=1, heads=2,
        )
    )  # fmt: skip


@pytest.fixture(scope="module")
def signal():
    return compose("day", [Harmonic(PERIOD), Harmonic(12, 0.4, 1.0)], n=200, horizon=60, noise=0.2, seed=1)


@pytest.fixture(scope="module")
def verdict(model, signal):
    return ask(model, signal, PERIOD, **QUICK)


def same(a: xr.Dataset, b: xr.Dataset) -> None:
    xr.testing.assert_identical(a.drop_attrs(deep=False), b.drop_attrs(deep=False))
    assert {k: x for k, x in a.attrs.items() if k != "created"} == {k: x for k, x in b.attrs.items() if k != "created"}


def test_a_verdict_is_complete_valid_and_says_of_every_rung_of_every_head_one_of_three_words(verdict):
    assert v.complete(v.validate(verdict))
    assert set(np.unique(verdict.verdict.values)) <= {v.SUPPORTED, v.NOT_SUPPORTED, v.INCONCLUSIVE}
    for name in (
        "lag_curve",
        "null_mean",
        "null_p",
        "slope_low",
        "knockout",
        "mask",
        "comb",
        "comb_kept",
        "knockout_rank",
    ):
        known = np.isfinite(verdict[name].values)
        assert known.mean() > 0.3, name
    counts = v.facts(verdict, "counts")
    assert counts["controls"] == np.isfinite(verdict.mask_control.values[:, 0, 0, 0]).sum()
    assert (counts["heads"], counts["nulls"], counts["windows"]) == (6, 19, 1)


def test_equal_questions_have_equal_answers_and_another_seed_another_one(model, signal, verdict):
    same(ask(model, signal, PERIOD, **QUICK), verdict)
    other = ask(model, signal, PERIOD, seed=1, **QUICK)
    assert not np.array_equal(other.null_mean, verdict.null_mean)
    assert v.question_key(other) != v.question_key(verdict)


def test_the_verdict_grows_rung_by_rung_and_what_was_handed_out_stays_as_it_was(model, signal, verdict):
    said: list[float] = []
    parts = [
        pickle.loads(pickle.dumps(part))
        for part in answers(model, prepare(model, signal, PERIOD, **QUICK), lambda share, _: said.append(share))
    ]
    assert [v.facts(part, "stages") for part in parts] == [list(v.STAGES[: i + 1]) for i in range(4)]
    assert (parts[0].verdict.sel(rung="tracking") == v.NOT_TESTED).all()
    assert np.isnan(parts[2].mask).all()
    same(parts[-1], verdict)
    assert said == sorted(said)
    assert 0 <= said[0] <= said[-1] <= 1


def test_the_period_is_proposed_where_none_is_named(model, signal):
    question = prepare(model, signal)
    assert question.period == pytest.approx(PERIOD, rel=0.01)
    assert question.period_from == "proposed"
    assert "the strongest of the series" in question.words


def test_only_the_heads_asked_about_are_answered_for(model, signal):
    ds = ask(model, signal, PERIOD, heads=[("encoder.1", 0), ("decoder.0", 1)], **QUICK)
    assert ds.asked.values.sum() == 2
    assert (ds.verdict.values[:, ~ds.asked.values] == v.NOT_TESTED).all()
    assert np.isnan(ds.p_value.values[:, ~ds.asked.values]).all()
    assert len(verdict_table(ds)) == 2
    assert "2 heads" in ds.attrs["sentences"]


def test_a_long_series_is_asked_about_in_several_windows_and_says_so(model):
    long = compose("long", [Harmonic(PERIOD)], n=900, horizon=60, noise=0.3, seed=2)
    ds = ask(model, long, PERIOD, **QUICK)
    assert ds.sizes["window"] > 3
    assert "windows of 'long'" in v.facts(ds, "sentences")["supported"]
    assert np.isfinite(ds.mask_low).any()
    one = ask(model, compose("short", [Harmonic(PERIOD)], n=120, horizon=40), PERIOD, **QUICK)
    assert "On this one window of 'short'" in v.facts(one, "sentences")["supported"]
    assert "other windows" in v.facts(one, "sentences")["not_supported"]


def test_a_budget_too_small_for_everything_says_what_was_not_tested(model, signal):
    ds = ask(model, signal, PERIOD, budget=1e-9, **QUICK)
    left = v.facts(ds, "screening")["not_tested"]
    assert len(left) == 5
    assert (ds.verdict.sel(rung="causal") == v.NOT_TESTED).sum() >= 4
    assert "not tested: causal" in v.facts(ds, "sentences")["not_supported"]
    assert np.isfinite(ds.attribution).all()


def test_a_question_stops_when_whoever_waits_has_left(model, signal):
    def leave(share: float, _: str) -> None:
        if share > 0.1:
            raise InterruptedError

    with pytest.raises(InterruptedError):
        ask(model, signal, PERIOD, progress=leave, **QUICK)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"period": 3.0, "window": (160, 80)}, "cannot be seen at 8 samples a patch"),
        ({"period": 500.0}, "longer series|shorter period"),
        ({"heads": [("decoder.9", 0)]}, "decoder.9"),
        ({"heads": []}, "no head was named"),
        ({"nulls": 18}, "needs 19 nulls"),
        ({"level": 0.0}, "level"),
        ({"controls": 0}, "control"),
        ({"window": (500, 100)}, "within the 260 samples"),
    ],
)
def test_what_cannot_be_asked_is_an_error_that_says_why(model, signal, change, message):
    with pytest.raises(VitimeError, match=message):
        ask(model, signal, **({"period": PERIOD} | QUICK | change))


@pytest.mark.parametrize("values", [np.ones(200), np.random.default_rng(0).standard_normal(200)])
def test_a_series_with_nothing_to_ask_about_is_refused_without_a_period(model, values):
    with pytest.raises(VitimeError, match=r"constant|stands out"):
        ask(model, Signal("flat", values))


def test_the_table_puts_the_heads_with_most_rungs_first_and_json_holds_every_number(verdict):
    table = verdict_table(verdict)
    rungs = (table[list(v.RUNGS)] == "supported").sum(axis=1)
    assert rungs.is_monotonic_decreasing
    assert len(head_order(verdict)) == 6
    document = json.loads(to_json(verdict))
    assert set(document["variables"]) == set(v.VARIABLES)
    found = np.array(document["variables"]["lag_curve"]["values"], dtype=float)
    np.testing.assert_allclose(found, verdict.lag_curve.values, rtol=1e-5)
    assert document["attributes"]["question"]["signal"] == "day"


def test_no_sentence_claims_more_than_its_verdicts(verdict):
    nothing = verdict.copy()
    nothing["verdict"] = nothing.verdict * 0 + np.int8(v.INCONCLUSIVE)
    text = sentences(nothing)
    assert "nothing is shown." in text["supported"]
    assert "that any matters to the forecast" in text["not_supported"]
    assert "inconclusive, which is not a no" in text["not_supported"]
    assert "supported" not in text["supported"]


def test_the_model_computes_the_same_before_and_after(model, signal):
    image = torch.rand(1, 1, 16, 240)
    before = model(image)
    ask(model, signal, PERIOD, heads=[("encoder.0", 0)], **QUICK)
    assert torch.equal(model(image), before)


WAVE = np.sin(2 * np.pi * np.arange(240) / PERIOD)


@pytest.mark.parametrize("series", [np.ones(240), 1e6 + 1e-9 * WAVE], ids=["constant", "rounding"])
def test_a_constant_series_is_not_asked_about(model, series):
    with pytest.raises(v.VerdictError, match=r"'signal' is constant"):
        prepare(model, series, PERIOD, **QUICK)


def test_a_window_that_is_constant_is_not_asked_about(model):
    with pytest.raises(v.VerdictError, match=r"a window of 'signal' is constant.*where the series varies"):
        prepare(model, np.where(np.arange(240) < 60, WAVE, 0.5), PERIOD, **QUICK)


@pytest.mark.parametrize("scale", [1e-12, 1e-30, 1e25])
def test_a_series_in_a_small_or_a_large_unit_is_asked_about_like_any_other(model, scale):
    assert prepare(model, scale * WAVE, **QUICK).period == pytest.approx(prepare(model, WAVE, **QUICK).period)


def test_equal_questions_are_known_as_such_however_their_heads_are_given(model, signal):
    pairs = [("decoder.0", 1), ("encoder.1", 0)]
    keys = [
        identity(model, prepare(model, signal, PERIOD, heads=heads, **QUICK))
        for heads in (pairs, pairs[::-1], set(pairs), iter(pairs), [list(pair) for pair in pairs])
    ]
    assert all(key == keys[0] for key in keys)
    assert keys[0]["heads"] == [["encoder.1", 0], ["decoder.0", 1]]
    every = [(layer, head) for layer in model.config.layers for head in range(2)]
    assert identity(model, prepare(model, signal, PERIOD, heads=every, **QUICK))["heads"] == "all"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"nulls": 2, "level": 0.4}, "a level of 0.4 needs 3 nulls or more, got 2"),
        ({"nulls": 98, "level": 0.01}, "a level of 0.01 needs 99 nulls or more, got 98"),
        ({"controls": 10**6}, "controls must be at most 1000"),
        ({"heads": [("decoder.0", True)]}, "no head True in layer"),
    ],
)
def test_a_question_that_would_fail_later_is_refused_at_once(model, signal, options, message):
    with pytest.raises(VitimeError, match=message):
        prepare(model, signal, PERIOD, **options)
