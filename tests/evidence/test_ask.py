"""A whole question, on a network small enough to be asked in a second."""

from __future__ import annotations

import pickle
from dataclasses import replace
from itertools import islice
from typing import Any

import numpy as np
import pytest
import torch
import xarray as xr
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

import vitime_cache as vc
from tests.conftest import random_model
from vitime_cache.charts.answer import clock_of
from vitime_cache.errors import VitimeError
from vitime_cache.evidence.ask import answers, ask
from vitime_cache.evidence.levels.influence import influence_curve, one_patch_replaced
from vitime_cache.evidence.levels.table import (
    BY_ATTENTION,
    INCONCLUSIVE,
    KINDS,
    LEVEL,
    NOT_SUPPORTED,
    NOT_TESTED,
    STAGES,
    SUPPORTED,
)
from vitime_cache.evidence.question import identity, prepare, unanswered
from vitime_cache.evidence.verdict import schema as vschema
from vitime_cache.evidence.window_runs import WindowRuns
from vitime_cache.interventions import references
from vitime_cache.model.config import ViTimeConfig
from vitime_cache.model.network import ViTime
from vitime_cache.series.signal import Harmonic, Signal, compose

PERIOD = 24.0
QUICK: dict[str, Any] = {"nulls": 19}


@pytest.fixture(scope="module")
def model() -> ViTime:
    found = random_model(
        ViTimeConfig(
            image_height=16, context_columns=160, horizon_columns=80, patch_height=8, patch_width=8,
            encoder_width=16, encoder_depth=2, decoder_width=8, decoder_depth=1, heads=2,
        )
    )  # fmt: skip
    for block in found.blocks_by_layer().values():
        block.attn.proj.weight.mul_(5)
    found.decoder_pred.weight.mul_(10)
    return found


@pytest.fixture(scope="module")
def signal() -> Signal:
    return compose("day", [Harmonic(PERIOD), Harmonic(12, 0.4, 1.0)], n=200, horizon=60, noise=0.2, seed=1)


@pytest.fixture(scope="module")
def parts(model: ViTime, signal: Signal) -> list[xr.Dataset]:
    """The verdict after each level, as whoever waits is handed it."""
    return [
        pickle.loads(pickle.dumps(part)) for part in answers(model, prepare(model, signal, PERIOD, **QUICK))
    ]  # fmt: skip


@pytest.fixture(scope="module")
def verdict(parts: list[xr.Dataset]) -> xr.Dataset:
    return parts[-1]


def test_before_the_first_level_the_series_and_its_forecast_are_known_without_an_answer(
    model: ViTime, signal: Signal, verdict: xr.Dataset
) -> None:
    steps: list[str] = []
    question = prepare(model, signal, PERIOD, **QUICK)
    first, second, third = islice(answers(model, question, lambda _, step: steps.append(step), before=True), 3)
    assert vschema.facts(first, "stages") == []
    assert vschema.facts(first, "answer")["kind"] == "open"
    assert np.isnan(first.influence_share)
    for name in ("history", "future", "forecast", "forecast_low", "stand_in"):
        np.testing.assert_array_equal(first[name], verdict[name])
    same(second, next(answers(model, question, start=first)))
    assert vschema.facts(third, "stages") == ["influence", "mechanism"]


def test_whoever_is_handed_a_level_was_told_that_the_next_one_runs_now(model: ViTime, signal: Signal) -> None:
    steps: list[str] = []
    shares: list[float] = []

    def told(share: float, step: str) -> None:
        steps.append(step)
        shares.append(share)

    parts = answers(model, prepare(model, signal, PERIOD, **QUICK), told)
    assert [steps[-1] for _ in parts] == [LEVEL[stage].title for stage in (*STAGES[1:], STAGES[-1])]
    assert shares == sorted(shares)


# Known where attention is shown to carry it; a small network may have no other set to hold it against.
OF_THE_SET = {"set_rank", "set_path", "set_share", "set_without", "set_random", "head_share"}


def same(a: xr.Dataset, b: xr.Dataset) -> None:
    xr.testing.assert_identical(a.drop_attrs(deep=False), b.drop_attrs(deep=False))
    told = ("question", "answer", "families", "dropped", "stages", "window_facts")
    assert {name: vschema.facts(a, name) for name in told} == {name: vschema.facts(b, name) for name in told}


def claim(ds: xr.Dataset, name: str, of: str = "verdict") -> np.ndarray:
    values: np.ndarray = ds[of].sel({vschema.CLAIM: name}).values
    return values


def test_a_verdict_is_complete_valid_and_says_of_every_claim_about_every_head_one_of_three_words(
    verdict: xr.Dataset,
) -> None:
    assert vschema.complete(vschema.validate(verdict))
    assert set(np.unique(verdict.verdict.values)) <= {SUPPORTED, NOT_SUPPORTED, INCONCLUSIVE}
    for name, variable in vschema.VARIABLES.items():
        if variable.dtype.startswith("float") and name not in OF_THE_SET:
            assert np.isfinite(verdict[name].values).any(), name
    carried = vschema.facts(verdict, "answer")["kind"] in BY_ATTENTION
    assert {bool(np.isfinite(verdict[name].values).any()) for name in OF_THE_SET - {"set_random"}} == {carried}
    assert vschema.facts(verdict, "answer")["kind"] in set(KINDS) - {"open"}
    assert vschema.facts(verdict, "answer")["headline"]
    assert verdict.attrs["weights"] == model_note(verdict)


def model_note(ds: xr.Dataset) -> str:
    assert vschema.facts(ds, "question")["weights"] == "random"
    return "random weights: a control, not a trained model"


def test_the_verdict_grows_level_by_level_and_what_was_handed_out_stays_as_it_was(
    parts: list[xr.Dataset], model: ViTime, signal: Signal
) -> None:
    assert [vschema.facts(part, "stages") for part in parts] == [list(STAGES[: i + 1]) for i in range(len(STAGES))]
    assert [vschema.facts(part, "answer")["kind"] == "open" for part in parts] == [True] + [False] * (len(STAGES) - 1)
    assert (claim(parts[2], "reads") == NOT_TESTED).all()
    assert np.isnan(parts[0].mechanism_share)
    assert np.isfinite(parts[1].mechanism_share)
    np.testing.assert_array_equal(parts[1].influence_curve, parts[-1].influence_curve)
    said: list[float] = []
    again = ask(model, signal, PERIOD, progress=lambda share, _: said.append(share), **QUICK)
    same(again, parts[-1])
    assert said == sorted(said)
    assert 0 <= said[0] < 0.1
    assert 0.9 < said[-1] <= 1


@pytest.mark.parametrize("done", [1, 3, 4, 6])
def test_a_question_that_was_left_goes_on_from_its_finished_levels(
    parts: list[xr.Dataset], model: ViTime, signal: Signal, done: int
) -> None:
    rest = list(answers(model, prepare(model, signal, PERIOD, **QUICK), start=parts[done - 1]))
    assert len(rest) == len(STAGES) - done
    same(rest[-1], parts[-1])


def test_going_on_from_a_complete_verdict_gives_it_back_and_from_another_question_is_refused(
    parts: list[xr.Dataset], model: ViTime, signal: Signal
) -> None:
    assert ask(model, signal, PERIOD, start=parts[-1], **QUICK).identical(parts[-1])
    with pytest.raises(vschema.VerdictError, match="another question"):
        ask(model, signal, PERIOD, start=parts[0], seed=3, **QUICK)


def test_another_seed_has_other_masks_and_another_name(model: ViTime, signal: Signal, verdict: xr.Dataset) -> None:
    other = next(iter(answers(model, prepare(model, signal, PERIOD, seed=1, **QUICK))))
    assert other.influence_share != verdict.influence_share
    assert vschema.question_key(other) != vschema.question_key(verdict)


def test_the_effect_of_a_head_is_that_of_ablate_heads_on_the_same_window(
    model: ViTime, signal: Signal, verdict: xr.Dataset
) -> None:
    [window] = prepare(model, signal, PERIOD, **QUICK).windows
    ds = vc.capture(model, window)
    for layer in model.config.layers:
        for head in range(2):
            told = verdict.sel(layer=layer, head=head)
            for of in (window, ds):  # a Dataset does not know the future
                one = vc.ablate_heads(model, of, [(layer, head)], period=PERIOD).effect[0]
                known = one.notnull()
                np.testing.assert_allclose(
                    told.knockout.isel(window=0).where(known), one, rtol=0, atol=1e-5 if of is window else 1e-4
                )
            assert told.matters_each[0].item() == pytest.approx(
                told.knockout.sel(outcome="distance").item(), abs=1e-6
            )  # the window itself is one replicate, its stand-ins are the others


def test_what_a_head_reads_is_that_of_patch_values_with_the_same_stand_in(
    model: ViTime, signal: Signal, verdict: xr.Dataset
) -> None:
    [window] = prepare(model, signal, PERIOD, **QUICK).windows
    moved = Signal("moved", verdict.stand_in.values[0, : len(window.values)], window.horizon)
    lags = np.flatnonzero(verdict.whole_periods.values)
    for layer, head in (("decoder.0", 1), ("encoder.0", 0)):
        one = vc.patch_values(model, window, [(layer, head)], lags, moved).effect.sel(outcome="distance").item()
        assert verdict.reads_each.sel(layer=layer, head=head)[0].item() == pytest.approx(one, abs=1e-5)
    every = [(layer, head) for layer in model.config.layers for head in range(2)]
    together = vc.patch_values(model, window, every, lags, moved)
    np.testing.assert_allclose(
        verdict.forecast_without[0].dropna("sample"), together.forecast[0].dropna("time"), atol=1e-5
    )
    np.testing.assert_allclose(
        verdict.forecast[0].dropna("sample"), together.intact_forecast[0].dropna("time"), atol=1e-5
    )


def test_the_forecast_without_its_past_is_that_of_the_stand_in_beside_it(
    model: ViTime, signal: Signal, verdict: xr.Dataset
) -> None:
    [window] = prepare(model, signal, PERIOD, **QUICK).windows
    runs = WindowRuns(model, window, PERIOD)
    columns = runs.encoding.columns_of(verdict.stand_in.values[0, : len(window.values)])
    expected = runs.values_of(runs.forecasts(columns[None])[0])
    np.testing.assert_allclose(verdict.forecast_stand_in[0].dropna("sample"), expected, atol=1e-5)
    assert np.abs(expected - verdict.forecast[0].dropna("sample")).max() > 1e-3


def test_the_influence_curve_is_the_mean_change_of_the_pairs_at_each_lag(model: ViTime, signal: Signal) -> None:
    [window] = prepare(model, signal, PERIOD, **QUICK).windows
    runs = WindowRuns(model, window, PERIOD)
    changes: dict[int, list[float]] = {}
    for patch, history in enumerate(one_patch_replaced(runs.drawn, runs.patch_width, np.random.default_rng([3, 5]))):
        [by_patch] = runs.change_by_patch(runs.forecasts(history[None]))
        for future in range(runs.first_future + 1, runs.patches):
            change = by_patch[future - runs.patches]
            changes.setdefault(future - patch, []).append(float(np.sqrt((change**2).mean())))
    curve = influence_curve(runs, seed=3).intact
    for lag, found in enumerate(curve):
        expected = np.mean(changes[lag]) if lag in changes else np.nan
        assert found == pytest.approx(expected, rel=1e-4, nan_ok=True), lag
    assert max(map(len, changes.values())) > 1


def test_figures_and_intervals_lie_where_their_verdicts_say(verdict: xr.Dataset) -> None:
    margin = vschema.facts(verdict, "counts")["margin"]
    for name in ("reads", "matters"):
        low, high, code = claim(verdict, name, "low"), claim(verdict, name, "high"), claim(verdict, name)
        np.testing.assert_array_equal(code == SUPPORTED, low > margin)
        np.testing.assert_array_equal(code == NOT_SUPPORTED, high < margin)
        assert (low <= claim(verdict, name, "figure")).all()
        assert vschema.facts(verdict, "counts")["smallest"][name] >= margin
    assert verdict.influence_low <= verdict.influence_share <= verdict.influence_high
    assert verdict.mechanism_low <= verdict.mechanism_share <= verdict.mechanism_high
    # With the rest they are all values; the two do not add up exactly where the network is no line.
    assert float(verdict.mechanism_share + verdict.mechanism_rest) == pytest.approx(1, abs=0.3)


def test_the_period_is_proposed_where_none_is_named(model: ViTime, signal: Signal) -> None:
    question = prepare(model, signal)
    assert question.period == pytest.approx(PERIOD, rel=0.01)
    assert question.period_from == "proposed"
    assert "the strongest of the series" in question.words


def test_a_question_counts_the_interpolated_samples_of_its_series(model: ViTime, signal: Signal) -> None:
    for filled in (0, 3):
        blank = unanswered(model, prepare(model, replace(signal, filled=filled), PERIOD))
        assert vschema.facts(blank, "window_facts")["filled"] == filled


def test_only_the_heads_asked_about_are_answered_for(model: ViTime, signal: Signal) -> None:
    ds = ask(model, signal, PERIOD, heads=[("encoder.1", 0), ("decoder.0", 1)], **QUICK)
    assert ds.asked.values.sum() == 2
    assert (ds.verdict.values[:, ~ds.asked.values] == NOT_TESTED).all()


def test_a_long_series_is_asked_about_in_several_windows(model: ViTime) -> None:
    long = compose("long", [Harmonic(PERIOD)], n=900, horizon=60, noise=0.3, seed=2)
    ds = ask(model, long, PERIOD, **QUICK)
    windows = ds.sizes["window"]
    assert windows > 3
    assert np.isfinite(ds.forecast).any("sample").all()
    assert vschema.facts(ds, "counts")["stand_ins"] == max(4, windows)
    np.testing.assert_allclose(ds.matters_each[:windows], ds.knockout[0], rtol=1e-5)
    np.testing.assert_allclose(claim(ds, "matters", "figure"), ds.matters_each.mean("replicate"), rtol=1e-5)
    # What precedes a window is known, so that its stand-in is made of real samples alone.
    start, history = int(ds.window_start[1]), prepare(model, long, PERIOD, **QUICK).window.history
    series = np.concatenate((long.values, long.future))
    time = np.arange(history)
    trend = np.polyval(np.polyfit(time, series[start : start + history], 1), np.arange(-12, history))
    expected = (series[start - 12 : start + history] - trend)[:history] + trend[12:]
    np.testing.assert_allclose(ds.stand_in[1].dropna("sample"), expected, atol=1e-9)


def test_no_head_is_said_to_stay_where_the_history_is_too_short_for_a_peak_to_move(
    model: ViTime, signal: Signal
) -> None:
    """The lags of a short history show no peak that far back, whatever a head does."""
    assert prepare(model, signal, PERIOD, window=(128, 112), **QUICK).effort.sweep > 0
    ds = ask(model, signal, PERIOD, window=(120, 120), heads=[("decoder.0", 0)], **QUICK)
    assert vschema.complete(ds)
    assert (claim(ds, "tracks") == NOT_TESTED).all()
    said = vschema.facts(ds, "answer")["sentences"]["tracking"]
    assert said == "No head was tested: tracks. 15 patches of history are too few for a peak to move; 16 are enough."


def test_a_budget_too_small_for_everything_says_what_it_drops_before_it_starts_and_when(
    model: ViTime, signal: Signal
) -> None:
    ds = ask(model, signal, PERIOD, budget=1e-9, **QUICK)
    dropped = vschema.facts(ds, "dropped")
    assert vschema.complete(ds)
    assert "Before the start: null inputs and the sweep of periods are left out." in dropped
    assert not any("one by one" in each for each in dropped)
    assert (claim(ds, "matters") != NOT_TESTED).all()  # so few are tested together
    assert (claim(ds, "depends") == NOT_TESTED).all()
    assert (claim(ds, "tracks") == NOT_TESTED).all()
    assert np.isfinite(ds.mechanism_share)
    assert vschema.facts(ds, "question")["budget"] == 1e-9


def test_a_question_stops_when_whoever_waits_has_left(model: ViTime, signal: Signal) -> None:
    def leave(share: float, _: str) -> None:
        if share > 0.1:
            raise InterruptedError

    kept: list[xr.Dataset] = []
    with pytest.raises(InterruptedError):
        ask(model, signal, PERIOD, progress=leave, partial=kept.append, **QUICK)
    assert all(not vschema.complete(ds) for ds in kept)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"period": 3.0, "window": (160, 80)}, "cannot be seen at 8 samples a patch"),
        ({"period": 500.0}, "longer series|shorter period"),
        ({"heads": [("decoder.9", 0)]}, "decoder.9"),
        ({"heads": []}, "no head was named"),
        ({"nulls": 18}, "needs 19 nulls"),
        ({"level": 0.0}, "level"),
        ({"window": (500, 100)}, "within the 260 samples"),
    ],
)
def test_what_cannot_be_asked_is_an_error_that_says_why(model, signal, change, message) -> None:
    with pytest.raises(VitimeError, match=message):
        ask(model, signal, **({"period": PERIOD} | QUICK | change))


@pytest.mark.parametrize("values", [np.ones(200), np.random.default_rng(0).standard_normal(200)])
def test_a_series_with_nothing_to_ask_about_is_refused_without_a_period(model, values) -> None:
    with pytest.raises(VitimeError, match=r"constant|stands out"):
        ask(model, Signal("flat", values))


def test_the_model_computes_the_same_before_and_after(model: ViTime, signal: Signal) -> None:
    image = torch.rand(1, 1, 16, 240)
    before = model(image)
    ask(model, signal, PERIOD, heads=[("encoder.0", 0)], **QUICK)
    assert torch.equal(model(image), before)


WAVE = np.sin(2 * np.pi * np.arange(240) / PERIOD)


@pytest.mark.parametrize("series", [np.ones(240), 1e6 + 1e-9 * WAVE], ids=["constant", "rounding"])
def test_a_constant_series_is_not_asked_about(model, series) -> None:
    with pytest.raises(vschema.VerdictError, match=r"'signal' is constant"):
        prepare(model, series, PERIOD, **QUICK)


def test_windows_that_are_constant_are_not_asked_about(model) -> None:
    with pytest.raises(
        vschema.VerdictError, match=r"the last window of 'signal'.* is constant.*where the series varies"
    ):
        prepare(model, np.where(np.arange(240) < 60, WAVE, 0.5), PERIOD, **QUICK)
    whole = prepare(model, np.tile(WAVE, 4), PERIOD, **QUICK).window
    part = prepare(model, np.where(np.arange(960) < whole.starts[1], 0.5, np.tile(WAVE, 4)), PERIOD, **QUICK).window
    assert part.starts == whole.starts[1:]
    assert part.words.endswith(f"the first {whole.starts[1]} samples of 960 are left out, where a history is constant.")
    assert "constant" not in whole.words


@pytest.mark.parametrize("scale", [1e-12, 1e-30, 1e25])
def test_a_series_in_a_small_or_a_large_unit_is_asked_about_like_any_other(model, scale) -> None:
    assert prepare(model, scale * WAVE, **QUICK).period == pytest.approx(prepare(model, WAVE, **QUICK).period)


def test_equal_questions_are_known_as_such_however_their_heads_are_given(model: ViTime, signal: Signal) -> None:
    pairs = [("decoder.0", 1), ("encoder.1", 0)]
    keys = [
        identity(model, prepare(model, signal, PERIOD, heads=heads, **QUICK))
        for heads in (pairs, pairs[::-1], set(pairs), iter(pairs), [list(pair) for pair in pairs])
    ]
    assert all(key == keys[0] for key in keys)
    assert keys[0]["heads"] == [["encoder.1", 0], ["decoder.0", 1]]
    every = [(layer, head) for layer in model.config.layers for head in range(2)]
    assert identity(model, prepare(model, signal, PERIOD, heads=every, **QUICK))["heads"] == "all"
    assert "version" not in keys[0]  # the method's number decides, not the package's


def test_the_answer_of_a_series_with_dates_is_drawn_over_its_dates(model: ViTime, signal: Signal) -> None:
    dated = replace(signal, sample_seconds=3600.0, start="2016-07-01T00:00:00")
    assert clock_of(unanswered(model, prepare(model, dated, PERIOD, **QUICK))).moment(30) == "2 Jul 2016 06:00"
    assert clock_of(unanswered(model, prepare(model, signal, PERIOD, **QUICK))).moment(30) == "sample 30"


def test_a_plan_allows_what_it_was_asked_to_decide(model: ViTime) -> None:
    long = compose("long", [Harmonic(PERIOD)], n=1400, horizon=60, noise=0.3, seed=2)
    for level, nulls, enough in ((0.05, 99, 39), (0.01, 99, 99), (0.05, 19, 19), (0.002, 499, 499)):
        question = prepare(model, long, PERIOD, level=level, nulls=nulls)
        assert len(question.windows) == 6
        assert question.effort.nulls == enough
        assert question.effort.nulls >= 1 / level - 1


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"nulls": 2, "level": 0.4}, "a level of 0.4 needs 3 nulls or more, got 2"),
        ({"nulls": 98, "level": 0.01}, "a level of 0.01 needs 99 nulls or more, got 98"),
        ({"heads": [("decoder.0", True)]}, "no head True in layer"),
    ],
)
def test_a_question_that_would_fail_later_is_refused_at_once(model, signal, options, message) -> None:
    with pytest.raises(VitimeError, match=message):
        prepare(model, signal, PERIOD, **options)


class NoFloat64(TorchDispatchMode):
    """Refuses every operation on float64, as Apple's devices do."""

    def __torch_dispatch__(self, operation: Any, types: Any, given: Any = (), named: Any = None) -> Any:
        found = operation(*given, **(named or {}))
        for each in tree_leaves((given, found)):
            assert not (isinstance(each, torch.Tensor) and each.dtype == torch.float64), operation
        return found


def test_a_device_without_float64_answers_and_intervenes_too(
    model: ViTime, signal: Signal, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert references.exact(torch.device("mps")) == torch.float32
    monkeypatch.setattr(references, "exact", lambda _: torch.float32)
    head = [("decoder.0", 1)]
    with NoFloat64():
        vc.capture(model, signal, tokens="all")
        vc.ask(model, signal, PERIOD, **QUICK)
        vc.ablate_heads(model, signal, head)
        vc.patch_values(model, signal, head, [3, 6])
        vc.mask_lags(model, signal, head, period=PERIOD, renormalise=True)
