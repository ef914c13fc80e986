"""The schema of verdicts, and made-up ones of every kind."""

import itertools
import json
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from tests.conftest import small_config
from vitime_cache.evidence.levels.table import CLAIM_NAMES, KINDS, NOT_TESTED, SUPPORTED
from vitime_cache.evidence.verdict import schema as vschema
from vitime_cache.evidence.verdict.mock import MADE, mock_verdict


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("windows", [1, 3])
def test_a_made_up_verdict_of_every_kind_follows_the_schema(kind, windows):
    stages = ("influence",) if kind == "open" else vschema.STAGES
    ds = vschema.validate(mock_verdict(kind=kind, windows=windows, stages=stages))
    assert vschema.facts(ds, "answer")["kind"] == kind
    assert set(ds.data_vars) == set(vschema.VARIABLES)
    assert ds.sizes["window"] == windows == vschema.facts(ds, "counts")["windows"]
    assert vschema.complete(ds) == (kind != "open")


@pytest.mark.parametrize("heads", [1, 2, 8])
@pytest.mark.parametrize("period", [40.0, 64.0, 100.3])
def test_a_made_up_verdict_fits_any_network_and_period(heads, period):
    config = small_config(context_columns=160, horizon_columns=160, encoder_width=32, decoder_width=16, heads=heads)
    ds = mock_verdict(config, period=period)
    assert ds.sizes["head"] == heads
    assert float(ds["set_rank"].max()) >= 1


def test_what_is_made_up_adds_up():
    for kind in MADE:
        ds = mock_verdict(kind=kind)
        if kind == "indifferent":
            assert np.isnan(ds["mechanism_share"])
            continue
        parts = sum(float(ds[f"influence_{part}"]) for part in ("share", "near", "far"))
        assert parts == pytest.approx(1, abs=1e-6)
        for name in ("mechanism_by_multiple", "mechanism_by_layer"):
            assert float(ds[name].sum()) == pytest.approx(float(ds["mechanism_share"]), abs=1e-6)
    ds = mock_verdict()
    low, figure, high = (ds[name].sel(claim="reads").values for name in ("low", "figure", "high"))
    assert (low <= figure).all()
    assert (figure <= high).all()
    yes = ds["verdict"].sel(claim="reads").values == SUPPORTED
    assert np.array_equal(yes, np.isfinite(ds["set_rank"].values)), "heads that are read are those of the set"
    assert yes.sum() == 3
    at = int(ds["influence_curve"].sel(curve="intact").argmax("past_lag"))
    assert bool(ds["whole_periods"][at])


def test_what_a_level_has_not_worked_on_is_missing():
    known = [_known(mock_verdict(stages=vschema.STAGES[:n])) for n in range(len(vschema.STAGES) + 1)]
    before = {"history", "future", "forecast", "forecast_low", "forecast_high", "stand_in", "forecast_stand_in"}
    assert known[0] == before, "input and output of the model"
    for stage, before, after in zip(vschema.STAGES, known, known[1:], strict=False):
        assert before < after, stage
    assert (mock_verdict(stages=())["verdict"] == NOT_TESTED).all()


def _known(ds) -> set[str]:
    """Variables that have a number."""
    return {
        name for name, of in vschema.VARIABLES.items() if of.dtype.startswith("float") and np.isfinite(ds[name]).any()
    }


def test_a_dataset_that_is_no_verdict_is_refused_by_the_name_of_what_is_wrong():
    ds = mock_verdict()
    nameless = ds.copy()
    del nameless.attrs["answer"]
    wrong = {
        "lacks the variable 'influence_share'": ds.drop_vars("influence_share"),
        "expected float32": ds.assign(head_share=ds["head_share"].astype("float64")),
        "has dimensions": ds.assign(head_share=ds["head_share"].T),
        "lacks the coordinate 'window_start'": ds.drop_vars("window_start"),
        "lacks the attribute 'answer'": nameless,
        "'counts' is damaged": ds.assign_attrs(counts="{"),
        "'created' is not text": ds.assign_attrs(created=5),
        "'config' is damaged: .*patch_width": ds.assign_attrs(
            config=json.dumps(vschema.facts(ds, "config") | {"patch_width": 2**63})
        ),
        "'config' is damaged: .*mu_norm": ds.assign_attrs(
            config=json.dumps(vschema.facts(ds, "config") | {"mu_norm": -1.0})
        ),
        "the coordinate 'head' names two places alike": ds.assign_coords(head=-np.ones_like(ds["head"])),
        "of the kind 'surely'": vschema.with_facts(ds, answer=vschema.facts(ds, "answer") | {"kind": "surely"}),
        "levels are influence.*got 'luck'": ds.assign_attrs(stages='["luck"]'),
        "the claims are": ds.assign_coords(claim=[f"{name}?" for name in CLAIM_NAMES]),
        "verdict is one of": ds.assign(verdict=ds["verdict"] + np.int8(7)),
    }
    for message, each in wrong.items():
        with pytest.raises(vschema.VerdictError, match=message):
            vschema.validate(each)


def test_equal_questions_have_equal_keys_and_others_have_others():
    same, other = mock_verdict(), mock_verdict(period=64.5)
    assert vschema.question_key(mock_verdict()) == vschema.question_key(same) != vschema.question_key(other)
    assert vschema.question_key(same).replace("-", "").replace("_", "").isalnum()


def test_what_is_neither_shown_nor_ruled_out_is_inconclusive_and_what_was_not_asked_not_tested():
    yes, no = np.array([True, False, False, True]), np.array([False, True, False, False])
    asked = np.array([True, True, True, False])
    assert vschema.three_values(yes, no, asked).tolist() == [
        vschema.SUPPORTED,
        vschema.NOT_SUPPORTED,
        vschema.INCONCLUSIVE,
        vschema.NOT_TESTED,
    ]


MADE_UP = vschema.with_facts(mock_verdict(), dropped=["20 heads"], families=[[["decoder.0", 1], ["decoder.0", 2]]])
OTHERS: list[Any] = ["<b>", -1, 10**400, 0.5, float("nan"), float("inf"), True, None, [], {}, [[]], [None], {"": {}}]


def places(value: Any, at: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """The way to every value within a JSON value."""
    yield at
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, inner in items:
        yield from places(inner, (*at, key))


def replaced(value: Any, at: tuple[Any, ...], new: Any) -> Any:
    if not at:
        return new
    copy: Any = list(value) if isinstance(value, list) else dict(value)
    copy[at[0]] = replaced(value[at[0]], at[1:], new)
    return copy


def kind_of(value: Any) -> str:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return type(value).__name__
    return "number"


@pytest.mark.parametrize(
    "name", ["question", "window_facts", "counts", "answer", "families", "dropped", "stages"]
)  # fmt: skip
def test_a_fact_of_another_type_is_refused_wherever_it_stands(name):
    value = vschema.facts(MADE_UP, name)
    for at, other in itertools.product(places(value), OTHERS):
        inner = value
        for key in at:
            inner = inner[key]
        if kind_of(inner) == kind_of(other) or (at == ("budget",) and other == 0.5):
            continue
        with pytest.raises(vschema.VerdictError, match=name):
            vschema.check_facts(MADE_UP.attrs | {name: json.dumps(replaced(value, at, other))})


@pytest.mark.parametrize("odd", [0, -1, float("nan"), float("inf"), 10**400])
def test_an_impossible_span_is_refused(odd):
    for name, fact in (("question", "period"), ("window_facts", "samples_per_patch"), ("window_facts", "period")):
        facts = vschema.facts(MADE_UP, name) | {fact: odd}
        with pytest.raises(vschema.VerdictError, match=fact if odd != 10**400 else name):
            vschema.check_facts(MADE_UP.attrs | {name: json.dumps(facts)})


@pytest.mark.parametrize("odd", [float("nan"), float("inf")])
@pytest.mark.parametrize("name", ["question", "window_facts"])
def test_no_number_of_a_question_or_its_windows_is_infinite(name, odd):
    facts = vschema.facts(MADE_UP, name)
    for fact in [fact for fact, value in facts.items() if kind_of(value) == "number"] + ["budget"] * (
        name == "question"
    ):
        with pytest.raises(vschema.VerdictError, match=fact):
            vschema.check_facts(MADE_UP.attrs | {name: json.dumps(facts | {fact: odd})})
