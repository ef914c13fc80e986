"""The words of a verdict: true of true networks and of false ones, and honest where it cannot be known."""

import json
import re

import numpy as np
import pytest

from tests.conftest import small_config
from vitime_cache._version import __version__
from vitime_cache.evidence.levels.answer_kind import ALONE, BLURRED
from vitime_cache.evidence.levels.table import BY_ATTENTION, INCONCLUSIVE, KINDS, NOT_TESTED, SUPPORTED
from vitime_cache.evidence.verdict import schema as vschema
from vitime_cache.evidence.verdict.as_json import to_json
from vitime_cache.evidence.verdict.data import head_order, set_heads, verdict_table
from vitime_cache.evidence.verdict.headline import headline
from vitime_cache.evidence.verdict.mock import MADE, mock_verdict
from vitime_cache.evidence.verdict.phrases import interval
from vitime_cache.evidence.verdict.report import NOT_CLAIMED, sentences, with_words
from vitime_cache.numerals import percent


def made(kind="mostly", **options):
    return mock_verdict(kind=kind, stages=("influence",) if kind == "open" else vschema.STAGES, **options)


def changed(ds, **values):
    """The verdict with some variables replaced, scalars or whole arrays."""
    return ds.assign({name: ds[name].copy(data=np.full(ds[name].shape, value)) for name, value in values.items()})


BEGINNINGS = {kind: of.words for kind, of in KINDS.items()} | {"mostly": "Yes, mostly", "partly": "Yes, partly"}


@pytest.mark.parametrize(("kind", "begins"), BEGINNINGS.items())
def test_a_headline_begins_with_the_answer_and_ends_with_what_was_tested(kind, begins):
    told = headline(made(kind))
    assert told.startswith(f"{begins}: ")
    assert "Tested on one window" in told
    assert told.endswith(".")
    assert not re.search(r"nan|None|\.\.|  | ,", told), told


@pytest.mark.parametrize("kind", [kind for kind in MADE if kind != "indifferent"])
def test_every_figure_of_a_headline_is_one_of_the_verdict(kind):
    rng = np.random.default_rng(3)
    for _ in range(5):
        names = [f"{level}_{part}" for level in ("influence", "mechanism") for part in ("share", "low", "high")]
        names += ["mechanism_rest", "mechanism_beside", "influence_by_chance", "set_share"]
        figures = dict(zip(names, rng.uniform(-0.3, 1.3, len(names)), strict=True))
        ds = changed(made(kind), **figures)
        told = headline(ds)
        shares = [int(text.replace("−", "-")) for text in re.findall(r"(−?\d+) %", told)]
        known = {round(100 * float(ds[name])) for name in names}
        chance = float(ds["influence_by_chance"])
        seen = chance + ALONE * (1 - chance) + float(ds["influence_share"] - ds["influence_low"])
        seen += BLURRED * max(float(ds["mechanism_beside"]), 0)
        known.add(round(100 * seen))
        assert set(shares) <= known, told
        assert interval(*(float(ds[f"influence_{part}"]) for part in ("share", "low", "high"))) in told


@pytest.mark.parametrize("kind", BY_ATTENTION)
@pytest.mark.parametrize(
    ("share", "begins"),
    [(0.34, "Yes, partly: 34 %"), (0.5, "Yes, partly"), (0.504, "Yes, partly: 50 %"), (0.51, "Yes, mostly: 51 %")],
)
def test_a_yes_is_called_mostly_only_where_the_share_after_it_is_more_than_half(kind, share, begins):
    assert headline(changed(made(kind), influence_share=share)).startswith(begins)


def test_a_yes_names_the_share_the_chance_the_way_and_the_heads():
    told = headline(made(period=64.0))
    assert "84 % (74 … 94) of how this forecast follows its past comes from whole periods of 64 samples back" in told
    assert "25 % would by chance" in told
    assert "99 % is read there, 95 % of it through 3 of 12 heads: decoder.0 · 2, 0, 3." in told
    assert "changes the forecast by 0.45 standard deviations" in told


def test_of_a_partial_yes_both_shares_are_told():
    assert "58 % is read there (38 % elsewhere), 95 % of it through" in headline(made("partly"))


def test_by_a_detour_no_head_is_named_and_the_way_is_left_open():
    told = headline(made("detour"))
    assert "is not shown" in told
    assert "It may come by" in told
    assert "decoder" not in told


def test_a_no_says_how_little_it_was_or_how_much_would_come_by_chance():
    for effect, told in ((0.008, "0.008"), (0.0196, "0.0196"), (0.019996, "0.019996"), (0.0194, "0.019")):
        ds = changed(made("indifferent"), influence_effect=effect)
        assert f"changes it by {told} standard deviations; less than 0.02 counts as none" in headline(ds)
    assert "17 % (9 … 25)" in (told := headline(made("elsewhere")))
    assert "where 25 % would by chance" in told


def test_what_is_not_shown_says_what_would_have_been_seen():
    shares = {"influence_share": 0.3, "influence_low": 0.1, "influence_by_chance": 0.2, "mechanism_beside": 0.0}
    ds = changed(made("not shown"), **shares)
    assert "A share above about 56 % would have counted on its own." in headline(ds)
    assert "too little more to count" not in headline(ds)
    blurred = changed(ds, mechanism_beside=0.2)  # of which half is taken off before the rest counts
    assert "A share above about 66 % would have counted" in headline(blurred)
    words = headline(changed(ds, influence_low=0.22))
    assert "where 20 % would by chance: too little more to count on its own" in words


@pytest.mark.parametrize(
    ("period", "seconds", "told"),
    [
        (63.0, 0.0, "whole periods of 63 samples back"), (24.0, 3600.0, "whole periods of 24 samples (24 hours) back"),
        (168.0, 3600.0, "168 samples (7 days)"), (40.5, 0.0, "40.5 samples back"), (63.0, 0.37, "63 samples ("),
    ],
)  # fmt: skip
def test_a_period_is_told_in_samples_and_in_time_where_that_is_known(period, seconds, told):
    assert told in headline(made(period=period, sample_seconds=seconds))


def test_a_period_of_two_and_a_half_samples_is_told_and_its_coarseness_too():
    config = small_config(context_columns=40, horizon_columns=56, patch_width=1)
    ds = mock_verdict(config, period=2.5)
    assert "whole periods of 2.5 samples back" in headline(ds)
    assert "anything finer than half a patch" in sentences(ds)[NOT_CLAIMED]


def test_one_window_and_one_head_are_told_in_the_singular():
    config = small_config(context_columns=160, horizon_columns=160, heads=1, encoder_depth=1, decoder_depth=1)
    ds = mock_verdict(config, period=40.0)
    ds["asked"][{"layer": 0}] = False
    told = headline(ds)
    assert "through 1 of 2 heads: decoder.0 · 0" in told, "the set is chosen among all heads, whichever are asked about"
    assert "Tested on one window and 2 heads" in told
    said = sentences(ds)
    assert said["heads"].startswith("The head asked about is read whole periods back by the forecast (decoder.0 · 0)")
    assert said["set"].startswith("1 of 2 heads (decoder.0 · 0) alone")
    assert "all others without it" in said["set"]
    several = headline(made(windows=3))
    assert "Tested on 3 windows and 12 heads" in several


def test_heads_beyond_six_are_counted_and_not_named():
    ds = made()
    rank = np.full(ds["set_rank"].shape, np.nan, "float32")
    rank.flat[:9] = np.arange(1, 10)
    told = headline(ds.assign(set_rank=ds["set_rank"].copy(data=rank)))
    assert "9 of 12 heads: encoder.0 · 0, 1, 2, 3; encoder.1 · 0, 1 and 3 more." in told


def test_heads_that_were_not_tested_or_not_settled_are_no_nos():
    ds = made()
    ds["verdict"].loc[{"claim": "reads"}] = INCONCLUSIVE
    ds["verdict"].loc[{"claim": "matters"}] = NOT_TESTED
    told = sentences(ds)["heads"]
    assert "Of 12 heads, none is read whole periods back by the forecast; 12 inconclusive, which is not a no" in told
    assert "No head was tested: matters" in told
    ds["verdict"].loc[{"claim": "matters", "layer": "decoder.0", "head": 1}] = SUPPORTED
    said = sentences(ds)["heads"]
    assert "The one head that was tested matters to the forecast (decoder.0 · 1); 11 not tested" in said


def test_a_partial_verdict_speaks_of_what_was_worked_on_and_lists_the_rest():
    for n in range(len(vschema.STAGES)):
        said = sentences(mock_verdict(stages=vschema.STAGES[:n]))
        assert list(said) == [*vschema.STAGES[:n], NOT_CLAIMED]
        assert "Not worked on yet:" in said[NOT_CLAIMED]
    assert "Not worked on yet" not in sentences(made())[NOT_CLAIMED]
    assert headline(mock_verdict(stages=())).startswith("Not answered yet: still to be worked on: does the forecast")


def test_because_of_the_period_is_not_claimed_of_any_yes():
    for kind, of in KINDS.items():
        said = sentences(made(kind))[NOT_CLAIMED]
        assert ("that it is because of the period" in said) == (of.answer == "yes"), kind
        assert "other windows or other series" in said
    assert "other windows" not in sentences(made(windows=2))[NOT_CLAIMED]


@pytest.mark.parametrize(
    ("coverage", "told"), [(0.5, "the rest comes by other routes"), (1.0, ""), (1.3, "work against them")]
)
def test_what_values_do_not_carry_is_said_where_it_is_much(coverage, told):
    said = sentences(changed(made(), mechanism_coverage=coverage))[NOT_CLAIMED]
    assert (told in said) if told else ("The values that are read carry" not in said)


def test_a_network_that_nothing_changes_has_no_change_to_share_out():
    said = sentences(changed(made("indifferent"), mechanism_coverage=0.0))[NOT_CLAIMED]
    assert "The values that are read carry" not in said


def test_heads_that_a_budget_left_untried_are_not_counted_as_tested():
    ds = made()
    tried = ds["set_rank"].notnull()
    ds["head_share"] = ds["head_share"].where(tried)
    ds["verdict"][{vschema.CLAIM: slice(0, 2)}] = ds["verdict"][{vschema.CLAIM: slice(0, 2)}].where(tried, NOT_TESTED)
    few = int(tried.sum())
    assert f"and {few} of 12 heads" in headline(ds)
    assert f"through all {few} heads that were tried" in headline(ds)
    assert sentences(ds)["set"].startswith(f"all {few} heads that were tried")


def test_the_largest_part_is_named_only_where_there_is_one():
    ds = changed(made(), mechanism_by_multiple=0.03, mechanism_by_layer=0.02)
    assert "The most is read" not in sentences(ds)["mechanism"]
    ds["mechanism_by_multiple"][2] = 0.15
    assert "The most is read 3 periods back (15 %) among the multiples; parts" in sentences(ds)["mechanism"]


def test_a_region_where_no_head_was_tested_is_not_counted_as_one_where_none_looks():
    ds = made()
    assert "By region, history→history: 4, forecast→history: 4." in sentences(ds)["looking"]
    ds["looks"][{vschema.REGION: 1}] = NOT_TESTED
    assert "By region, history→history: 4, forecast→history: not tested." in sentences(ds)["looking"]


def test_a_day_whose_size_follows_the_week_has_no_period_of_its_own_beside_the_day():
    ds = made(period=24.0)
    window = vschema.facts(ds, "window_facts") | {"length": 1344, "samples_per_patch": 4.8}

    def said(*periods: float) -> str:
        proposals = [{"period": each, "power": 0.1, "p_value": 0.001} for each in (24.0, *periods)]
        return sentences(vschema.with_facts(ds, window_facts=window | {"proposed": proposals}))[NOT_CLAIMED]

    assert "28 samples" in said(28.0)
    assert "28 samples" not in said(28.0, 168.0)
    assert "27 samples" in said(27.0, 168.0)


def test_another_period_of_the_series_that_shares_lags_is_named():
    ds = made(period=64.0)
    window = vschema.facts(ds, "window_facts")
    proposals = [{"period": each, "power": 0.1, "p_value": 0.001} for each in (64.0, 64.3, 100.0, 448.0)]
    said = sentences(vschema.with_facts(ds, window_facts=window | {"proposed": proposals}))[NOT_CLAIMED]
    assert "also has a period of 448 samples, which shares lags" in said
    proposals += [{"period": each, "power": 0.1, "p_value": 0.001} for each in (32.0, 128.0)]
    said = sentences(vschema.with_facts(ds, window_facts=window | {"proposed": proposals}))[NOT_CLAIMED]
    assert "also has periods of 448 samples, 32 samples and 128 samples, which share lags" in said


def test_a_period_that_the_lags_do_not_tell_from_the_one_asked_about_is_named():
    ds = made(period=64.0)
    window = vschema.facts(ds, "window_facts")
    for each, said_so in ((64.0, False), (65.0, False), (70.0, True), (64.0 + window["samples_per_patch"], False)):
        proposals = [{"period": each, "power": 0.1, "p_value": 0.001}]
        said = sentences(vschema.with_facts(ds, window_facts=window | {"proposed": proposals}))[NOT_CLAIMED]
        assert ("do not tell it from this one" in said) == said_so, each
        assert ("has a period of 70 samples" in said) == said_so


def test_that_a_period_was_proposed_is_said_beside_the_null_inputs_that_were_given_one_too():
    ds = made()
    assert "proposed" not in sentences(ds)["nulls"]
    proposed = vschema.facts(ds, "question") | {"period_from": "proposed"}
    for some, told in ((0, "of 297 null series, none has one."), (2, "of 297 null series, 2 have one.")):
        counts = vschema.facts(ds, "counts") | {"null_kinds": 3, "null_periods": some}
        assert sentences(vschema.with_facts(ds, question=proposed, counts=counts))["nulls"].endswith(told)


def test_a_set_that_carries_less_than_it_should_is_said_to():
    ds = made()
    assert "No set" not in sentences(ds)["set"]
    assert "No set of up to 3 heads carried 90 % where" in sentences(changed(ds, set_path=0.7))["set"]


def test_what_a_budget_left_out_is_said():
    ds = vschema.with_facts(made(), dropped=["20 heads were not tested alone"])
    assert "20 heads were not tested alone." in sentences(ds)[NOT_CLAIMED]


def test_shares_are_rounded_and_never_bent():
    assert [percent(x) for x in (0.994, 0.996, 1.2, -0.001, -0.06, np.nan)] == [
        "99 %", "100 %", "120 %", "0 %", "−6 %", "no figure",
    ]  # fmt: skip
    assert interval(0.5, np.nan, 0.6) == "50 %"


def test_an_unknown_kind_of_answer_is_refused():
    with pytest.raises(vschema.VerdictError, match="'surely'"):
        headline(vschema.with_facts(made(), answer={"kind": "surely"}))


def test_words_are_kept_with_the_verdict():
    ds = with_words(made())
    answer = vschema.facts(ds, "answer")
    said = {"headline": headline(ds), "sentences": sentences(ds)}
    assert answer == {"kind": "mostly", **said, "version": __version__}, "another version may word it otherwise"


def test_heads_of_the_set_come_first_then_those_with_most_supported():
    ds = made()
    order = head_order(ds)
    assert order[:3] == set_heads(ds) == [(2, 2), (2, 0), (2, 3)]
    assert order[3] == (0, 3), "it matters, and is not in the set"
    assert sorted(order) == [(i, h) for i in range(3) for h in range(4)]
    table = verdict_table(ds)
    assert list(zip(table["layer"], table["head"], strict=True))[:2] == [("decoder.0", 2), ("decoder.0", 0)]
    assert table["reads_verdict"].tolist()[:4] == ["supported"] * 3 + ["not supported"]


def test_the_answer_as_data_has_the_fields_that_other_programs_read():
    for kind in KINDS:
        document = json.loads(to_json(made(kind)))
        assert document["answer"] == KINDS[kind].answer
        assert document["headline"] == headline(made(kind))
        assert {"share", "low", "high", "by_chance", "lags", "curve"} <= set(document["influence"])
        assert {"share", "low", "high", "rest", "other_phases", "by_k", "by_layer", "coverage", "effect"} <= set(
            document["mechanism"]
        )
        assert {"heads", "share", "without", "random"} == set(document["set"])
        of_head = {"layer", "head", *(f"knockout{end}" for end in ("", "_low", "_high", "_verdict"))}
        of_head |= {*(f"reads{end}" for end in ("", "_low", "_high", "_verdict")), "looks_verdict"}
        assert all(of_head <= set(row) for row in document["heads"])
        assert len(document["variables"]) == len(vschema.VARIABLES)
    assert json.loads(to_json(made()))["set"]["heads"] == [["decoder.0", 2], ["decoder.0", 0], ["decoder.0", 3]]
    assert json.loads(to_json(made("indifferent")))["mechanism"]["share"] is None


@pytest.mark.parametrize("kind", KINDS)
def test_every_span_in_the_answer_about_an_hourly_series_is_told_in_time_too(kind):
    stages = ("influence",) if kind == "open" else vschema.STAGES
    ds = mock_verdict(kind=kind, period=24.0, sample_seconds=3600.0, stages=stages)
    facts = vschema.facts(ds, "window_facts")
    others = [{"period": period, "power": 0.1, "p_value": 0.001} for period in (26.0, 168.0)]
    ds = vschema.with_facts(ds, window_facts=facts | {"proposed": others})
    said = " ".join((headline(ds), *sentences(ds).values()))
    assert "168 samples (7 days)" in said
    assert not re.search(r"\d samples(?! \()", said), said


def test_interpolated_samples_are_told() -> None:
    ds = made()
    assert "interpolated" not in sentences(ds)[NOT_CLAIMED]
    window = vschema.facts(ds, "window_facts") | {"length": 900}
    told = [sentences(vschema.with_facts(ds, window_facts=window | {"filled": n}))[NOT_CLAIMED] for n in (1, 6)]
    assert "1 of the 900 samples of the series was missing and is interpolated." in told[0]
    assert "6 of the 900 samples of the series were missing and are interpolated." in told[1]


def test_parts_of_the_past_that_work_against_one_another_are_told() -> None:
    against = "Parts of the past work against one another"
    assert against not in headline(made("elsewhere"))
    assert against in headline(changed(made("not shown"), influence_share=-0.8, influence_low=-1.2))
    assert against in headline(changed(made("not shown"), influence_share=3.0, influence_low=2.0))
    as_by_chance = changed(made("not shown"), influence_low=0.1, influence_high=0.2, mechanism_size=0.2)
    assert against not in headline(as_by_chance)
    assert against in headline(changed(as_by_chance, mechanism_size=1.2))
    unsettled = made("unsettled")
    unsettled["influence_curve"][{vschema.CURVE: 1}] = 0.0
    assert "the input alone does not show it" in headline(unsettled)
    unnamed = sentences(changed(unsettled, set_rank=np.nan))["set"]  # though all may be read there
    assert unnamed.endswith("not shown that attention whole periods back carries what is followed.")
    assert against not in headline(unsettled)
    too_much = headline(changed(unsettled, influence_share=1.7, influence_low=1.4, influence_high=1.9))
    assert against in too_much
    assert "does not show it" not in too_much


def test_what_is_read_beside_whole_periods_back_is_told_where_it_may_be_all_of_the_influence() -> None:
    ds = changed(made("not shown"), influence_share=0.5, influence_low=0.45, influence_high=0.55)
    ds = changed(ds, mechanism_beside=0.92)
    assert "92 % is read one patch beside them, where the image blurs their ink" in headline(ds)


def test_influence_that_goes_with_what_is_read_there_is_told_where_shares_of_attention_do_not_show_it() -> None:
    ds = changed(made("not shown"), influence_share=0.7, influence_low=0.6, influence_high=0.8, mechanism_beside=0.0)
    ds["influence_curve"][{vschema.CURVE: 1}] = 0.0
    told = headline(ds)
    assert "and that goes when what is read there is held" in told
    for effect, share, coverage in ((0.0199, np.nan, 0.9), (0.3, 0.4, 0.1)):  # too little to tell where it is read
        some = changed(ds, mechanism_effect=effect, mechanism_share=share, mechanism_coverage=coverage)
        said = headline(some)
        assert (
            f"change it by {effect:g} standard deviations, {percent(coverage)} of the whole change: too little" in said
        )
        assert "no figure" not in said
        assert "against one another" not in said
    assert "Parts of the past work against one another, so that these shares say little." in told


def test_a_yes_that_the_held_reads_contradict_says_that_the_influence_stays() -> None:
    stays = "but the influence of that past stays while these reads are held"
    for kind in ("detour", "unsettled"):
        ds = made(kind)
        ds["influence_curve"][:] = 0.2
        assert stays in headline(ds), kind
        ds["influence_curve"][{vschema.CURVE: 1}] = 0.01
        assert stays not in headline(ds), kind
