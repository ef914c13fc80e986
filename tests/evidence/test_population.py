"""Many signals: which are asked about, what a row holds, what is said of all."""

from __future__ import annotations

import json
import re
import threading
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import binom

from benchmarks import planted
from tests.conftest import random_model
from tests.evidence.test_verdict import OTHERS, kind_of, places, replaced
from vitime_cache.charts.population import population_card
from vitime_cache.evidence.ask import answers
from vitime_cache.evidence.levels.table import BY_ATTENTION, KINDS
from vitime_cache.evidence.population import schema as population_schema
from vitime_cache.evidence.population.ask_all import Many, ask_all, part_of_many, rows, taken_over
from vitime_cache.evidence.population.mock import mock_population
from vitime_cache.evidence.population.report import (
    head_counts,
    headline,
    notes,
    row_words,
    share,
    table_of,
    to_json,
)
from vitime_cache.evidence.question import identity, prepare
from vitime_cache.evidence.verdict import schema as vschema
from vitime_cache.evidence.verdict.data import set_heads
from vitime_cache.evidence.verdict.schema import VerdictError
from vitime_cache.model.config import ViTimeConfig
from vitime_cache.series.signal import Signal
from vitime_cache.stats.intervals import proportion_interval

CONFIG = ViTimeConfig(
    image_height=16, context_columns=160, horizon_columns=80, patch_height=8, patch_width=8,
    encoder_width=16, encoder_depth=1, decoder_width=8, decoder_depth=1, heads=2,
)  # fmt: skip


@pytest.fixture(scope="module")
def model():
    return random_model(CONFIG)


def wave(name: str, period: float = 24.0, n: int = 260, seed: int = 0) -> Signal:
    noise = np.random.default_rng(seed).standard_normal(n)
    return Signal(name, np.sin(2 * np.pi * np.arange(n) / period) + 0.2 * noise, horizon=60)


def signals() -> list[Signal]:
    noise = np.random.default_rng(3).standard_normal(260)
    return [wave("day"), Signal("flat", np.full(260, 2.0), horizon=60), Signal("noise", noise, horizon=60),
            wave("other", 22.0, seed=1)]  # fmt: skip


@pytest.fixture(scope="module")
def table(model):
    return ask_all(model, signals())


def test_a_signal_without_a_period_and_a_constant_one_are_counted_and_said_not_refused(table):
    assert table["kind"].values[1:3].tolist() == ["constant", "no period"]
    assert all(kind in KINDS and kind != "open" for kind in table["kind"].values[[0, 3]])
    assert "is constant" in table["reason"].values[1]
    assert population_schema.complete(population_schema.validate(table))
    said = notes(table)
    assert "1 signal not asked about: no period of it is proposed." in said
    assert "1 signal not asked about: it is constant." in said
    assert np.isnan(table["period"].values[1:3]).all()


def test_a_row_is_what_the_verdict_on_that_signal_alone_says(model, table):
    question = part_of_many(prepare(model, signals()[3]))
    *_, verdict = answers(model, question)
    row = table.isel(signal=3)
    for name in population_schema.FIGURES[:11]:
        assert np.allclose(row[name], verdict[name], equal_nan=True), name
    assert row["kind"] == vschema.facts(verdict, "answer")["kind"]
    few = set(map(tuple, np.argwhere(row["in_set"].values)))
    assert few == (set(set_heads(verdict)) if row["kind"] in BY_ATTENTION else set())


def test_influence_and_mechanism_are_those_of_the_question_asked_in_full_but_for_masks_that_are_added():
    case = planted.case("copier", 3)
    model, question = case.model, prepare(case.model, case.signal, case.period, window=case.window)
    alone = {}
    for verdict in answers(model, question):
        alone[vschema.facts(verdict, "stages")[-1]] = verdict
        if "mechanism" in alone:
            break
    *_, part = answers(model, part_of_many(question))
    assert set(set_heads(part)) == {(int(layer[-1]) + 1, head) for layer, head in case.truth.carriers}
    for name in ("mechanism_share", "mechanism_rest", "mechanism_low", "influence_effect"):
        assert float(part[name]) == pytest.approx(float(alone["mechanism"][name]), abs=1e-5), name
    assert identity(model, question) != identity(model, part_of_many(question)), "one is not taken for the other"
    assert "levels" not in identity(model, question), "answers that were stored before parts were asked are found"
    assert vschema.facts(part, "stages") == list(population_schema.LEVELS)
    assert not vschema.complete(part)


def test_a_period_that_no_window_shows_is_a_reason_and_a_span_needs_known_spacing(model):
    long = ask_all(model, signals()[:2], period=250.0)
    assert long["kind"].values.tolist() == ["not seen", "constant"]
    longer = ask_all(
        model, signals()[:1], period=24.0, window=(9000, 60)
    )  # than the series: the period is not to blame
    assert "1 signal not asked about: no window of it shows the period." in notes(longer)
    span = ask_all(model, signals()[:1], period="1d")
    assert span["kind"].values.tolist() == ["no spacing"]
    assert headline(span) == "The question could not be asked about any signal."
    for wrong in ({"period": -3}, {"sample": 0}, {"seed": -1}, {"period": float("nan")}):
        with pytest.raises(VerdictError):
            ask_all(model, signals(), **wrong)


def test_a_sample_is_drawn_by_its_seed_without_repetition_and_kept_in_order():
    every = [wave(f"s{i}", seed=i) for i in range(20)]
    drawn = [[s.name for s in Many.of(every, sample=8, seed=seed).signals] for seed in (0, 0, 1)]
    assert drawn[0] == drawn[1] != drawn[2]
    assert len(set(drawn[0])) == 8
    assert drawn[0] == sorted(drawn[0], key=lambda name: int(name[1:]))
    assert [len(Many.of(every, sample=sample).signals) for sample in (1, 19, 20, 50)] == [1, 19, 20, 20]


def test_a_table_that_was_left_goes_on_and_finished_rows_are_worked_out_once(model, table):
    many = Many.of(signals())
    first = next(rows(model, many, many.blank(model)))
    assert first.place == 0
    assert not population_schema.complete(first.table)
    assert "Not finished: 3 signals still to come." in notes(first.table)
    worked_on = [row.place for row in rows(model, many, taken_over(many.blank(model), [first.table]))]
    assert worked_on == [1, 2, 3]
    fewer = Many.of([signals()[3], wave("new", 21.0, seed=9)])
    taken = taken_over(fewer.blank(model), [table])
    assert taken["kind"].values.tolist() == [table["kind"].values[3], "open"], "rows go by series, not by place"
    assert taken["influence_share"].values[0] == table["influence_share"].values[3]
    other = Many.of(signals(), period=12.0)
    assert set(taken_over(other.blank(model), [table])["kind"].values) == {"open"}, "another question"


def test_a_row_is_taken_over_only_where_its_span_is_as_many_samples_and_its_reason_is_about_the_same_signal(model):
    unknown, hourly, daily = (replace(wave("day"), sample_seconds=seconds) for seconds in (0.0, 3600.0, 86400.0))
    [first, of_hours] = (ask_all(model, [one], "1d") for one in (unknown, hourly))
    assert first["kind"].values == "no spacing"
    for other in (hourly, daily):
        assert taken_over(Many.of([other], "1d").blank(model), [first])["kind"].values == "open", (
            "its spacing is known now"
        )
    taken = taken_over(Many.of([daily, replace(hourly, name="same")], "1d").blank(model), [of_hours])
    assert taken["kind"].values.tolist() == ["open", of_hours["kind"].values[0]]
    assert (
        len({population_schema.question_name(population_schema.facts(each, "question")) for each in (first, of_hours)})
        == 2
    )
    flat = replace(signals()[1], name="renamed")
    none = ask_all(model, signals()[1:2])
    assert taken_over(Many.of(signals()[1:2]).blank(model), [none])["kind"].values == "constant"
    assert taken_over(Many.of([flat]).blank(model), [none])["kind"].values == "open", "the reason names the other"


def test_progress_rises_to_the_last_signal_and_names_it(model):
    told = []
    ask_all(model, signals(), progress=lambda part, what: told.append((part, what)))
    parts = [part for part, _ in told]
    assert parts == sorted(parts)
    assert parts[-1] == 1
    assert told[-1][1] in {f"4 of 4: {signal.name}, done" for signal in signals()}


@pytest.fixture
def _two_cores():
    """Signals are asked about side by side; other tests run torch on one core."""
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    assert torch.get_num_threads() == 2, "asking about many leaves torch as it was"
    torch.set_num_threads(before)


@pytest.mark.usefixtures("_two_cores")
def test_signals_side_by_side_have_the_answers_they_have_one_after_the_other(model, table):
    told = []
    side_by_side = ask_all(model, signals(), progress=lambda part, _: told.append((part, threading.get_ident())))
    for name in (*population_schema.VARIABLES, "kind", "reason"):
        one, other = table[name].values, side_by_side[name].values
        assert np.allclose(one, other, atol=1e-5, equal_nan=True) if one.dtype.kind == "f" else (one == other).all(), (
            name
        )
    assert [part for part, _ in told] == sorted(part for part, _ in told)
    assert {thread for _, thread in told} == {threading.get_ident()}, "progress is told where the question was asked"


@pytest.mark.usefixtures("_two_cores")
def test_whoever_stops_ends_the_work_on_every_signal_and_keeps_the_rows_before(model):
    kept, threads = [], threading.active_count()

    def stop_after_one(*_: object) -> None:
        if kept:
            raise KeyboardInterrupt

    many = [signals()[0]] + [wave(f"s{i}", 21.0, seed=i) for i in range(8)]
    with pytest.raises(KeyboardInterrupt):
        ask_all(model, many, progress=stop_after_one, partial=kept.append)
    assert (kept[-1]["kind"].values != "open").sum() == len(kept) < 3
    assert threading.active_count() == threads, "no signal is worked on any more"


def test_the_headline_counts_yes_among_answers_and_names_the_head_that_carries_it_most_often():
    ds = mock_population(["mostly"] * 20 + ["detour"] * 3 + ["elsewhere"] * 4 + ["unsettled", "not shown", "no period"])
    low, high = (round(100 * end) for end in proportion_interval(23, 29))
    assert headline(ds) == (
        f"On 23 of 29 signals, 79 % ({low} … {high}), the forecast uses what lies whole periods back, on 20 of them "
        "through attention there; decoder.0 · 0 is among the few heads that carry it on 20."
    )
    assert "On 4 it does not; on 2 neither is shown." in notes(ds)
    assert head_counts(ds)[0] == ("decoder.0", 0, 20)
    assert head_counts(ds)[1] == ("decoder.0", 1, 10)


def test_heads_are_counted_most_signals_first_and_equals_in_the_order_of_the_network():
    ds = mock_population(["mostly"] * 5)
    layers = ds["layer"].values.tolist()
    ds["in_set"].values[:] = False
    for layer, head, number in ((0, 1, 2), (1, 0, 4), (1, 2, 2), (2, 3, 5)):
        ds["in_set"].values[:number, layer, head] = True
    expected = [(2, 3, 5), (1, 0, 4), (0, 1, 2), (1, 2, 2)]
    assert head_counts(ds) == [(layers[layer], head, number) for layer, head, number in expected]
    assert f"{layers[2]} · 3 is among the few heads that carry it on 5." in headline(ds)


def test_what_is_said_of_none_of_one_and_of_a_sample_is_true():
    none = mock_population(["elsewhere", "indifferent", "not shown"])
    assert headline(none).startswith("On 0 of 3 signals, 0 % (0 … 71), the forecast uses what lies whole periods back.")
    assert "On 2 it does not; on 1 neither is shown." in notes(none)
    assert headline(mock_population(["mostly"])).startswith("On 1 of 1 signal, 100 % (3 … 100)")
    assert headline(mock_population(["open"])) == "No signal has been asked about yet."
    assert "2 of 29 signals were drawn at random." in notes(mock_population(["mostly", "open"], available=29))
    assert "drawn at random" not in notes(none)
    assert share(mock_population(["constant"]))[1:] == (0.0, 1.0)


@pytest.mark.parametrize(("count", "n"), [(0, 7), (3, 7), (7, 7), (23, 29)])
def test_the_interval_of_a_proportion_is_that_of_clopper_and_pearson(count, n):
    low, high = proportion_interval(count, n)
    if count:
        assert binom.sf(count - 1, n, low) == pytest.approx(0.025), "as many or more, were the share the lower end"
    if count < n:
        assert binom.cdf(count, n, high) == pytest.approx(0.025)
    assert 0 <= low <= count / n <= high <= 1


def test_the_table_as_rows_and_as_json_says_what_the_dataset_says():
    ds = mock_population(["mostly", "elsewhere", "constant"])
    frame = table_of(ds)
    assert frame["heads"].tolist() == ["decoder.0 · 0, decoder.0 · 1", "", ""]
    assert frame["answer"].tolist() == ["Yes, through attention there", "No: elsewhere", "Not asked: constant"]
    document = json.loads(to_json(ds))
    assert (document["yes"], document["answered"], document["kinds"]["constant"]) == (1, 2, 1)
    assert document["signals"][2]["influence_share"] is None
    assert document["headline"] == headline(ds)


def test_a_dataset_that_is_no_table_of_signals_is_refused_by_name():
    ds = mock_population(["mostly"])
    with pytest.raises(VerdictError, match="lacks the variable 'in_set'"):
        population_schema.validate(ds.drop_vars("in_set"))
    with pytest.raises(VerdictError, match="lacks the coordinate 'kind'"):
        population_schema.validate(ds.drop_vars("kind"))
    with pytest.raises(VerdictError, match="got 'perhaps'"):
        population_schema.validate(ds.assign_coords(kind=("signal", np.array(["perhaps"], object))))


MADE_UP = mock_population(["mostly", "no period"], available=3)


@settings(deadline=None)
@given(name=st.sampled_from(["question", "counts", "config"]), other=st.sampled_from(OTHERS), data=st.data())
def test_a_fact_of_another_type_is_refused_wherever_it_stands(name, other, data):
    value = population_schema.facts(MADE_UP, name)
    value |= {"period": "1d", "window": [40, 20]} if name == "question" else {}
    at = () if name == "config" else data.draw(st.sampled_from(list(places(value))))
    inner = value
    for key in at:
        inner = inner[key]
    of_period = at == ("period",)  # of which a text may be wrong, and any span is right
    if (kind_of(inner) == kind_of(other) and not of_period) or (of_period and other == 0.5):
        return
    if other is None and at in (("period",), ("window",)):
        return
    with pytest.raises(VerdictError, match="question|no period" if of_period else name):
        population_schema.check_facts(MADE_UP.attrs | {name: json.dumps(replaced(value, at, other))})


@pytest.mark.parametrize(("name", "value", "words"), [
    ("created", 5, "is not text"), ("weights", 5.0, "is not text"), ("question", 5, "is not text"),
    ("counts", "{", "is damaged"), ("config", "[]", "is damaged"),
])  # fmt: skip
def test_an_attribute_that_is_no_such_fact_is_refused_by_its_name(name, value, words):
    with pytest.raises(VerdictError, match=f"{name}.*{words}"):
        population_schema.validate(MADE_UP.assign_attrs({name: value}))


@pytest.mark.parametrize("seconds", [-1.0, np.nan, "1", 1])
def test_spacing_that_is_no_number_of_seconds_is_refused(seconds):
    odd = MADE_UP.assign_coords(sample_seconds=("signal", [seconds] * 2))
    with pytest.raises(VerdictError, match="sample_seconds"):
        population_schema.validate(odd)


def test_rows_tell_their_period_in_time_where_that_is_known_and_older_tables_in_samples():
    hourly = MADE_UP.assign_coords(sample_seconds=("signal", [3600.0, 0.0]))
    assert "Period 24 samples (24 hours)" in row_words(hourly, 0)
    assert re.search(r"; of what attention carries, (\d+ %|no figure) from there$", row_words(hourly, 0))
    assert "<td>24 samples (24 hours)</td>" in population_card(hourly)
    older = MADE_UP.drop_vars("sample_seconds")
    assert re.search("Period 24 samples, ", row_words(population_schema.validate(older), 0))
