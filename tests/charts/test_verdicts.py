"""Pictures of a verdict: what they show of it, for every kind of answer and every head, complete or not."""

import io
import json
import re
from contextlib import suppress
from functools import partial

import altair
import numpy as np
import pandas as pd
import pytest
import vl_convert
from altair.utils.schemapi import validate_jsonschema
from rich.console import Console

from vitime_cache import charts
from vitime_cache.attention import schema
from vitime_cache.charts.card import verdict_card
from vitime_cache.charts.style import axes_fitted, for_dark
from vitime_cache.cli import console
from vitime_cache.evidence.agreement import looking_and_mattering
from vitime_cache.evidence.levels.table import CLAIMS, KINDS, OUTCOMES
from vitime_cache.evidence.verdict import schema as vschema
from vitime_cache.evidence.verdict.data import verdict_table
from vitime_cache.evidence.verdict.mock import mock_verdict
from vitime_cache.evidence.window import choose_window

LAST = "decoder.0"
OF_ANSWER = (charts.answer_forecast, charts.answer_influence, charts.answer_attention, charts.answer_heads)
OF_HEAD = (charts.verdict_curve, charts.verdict_sweep, charts.verdict_effect)


@pytest.fixture(scope="module")
def verdict():
    return mock_verdict(windows=2)


def cells(chart, at=0) -> pd.DataFrame:
    return pd.read_csv(io.StringIO(chart["layer"][at]["data"]["values"]))


def every_chart(verdict, width: int = 860) -> dict:
    """Each chart by its name; those of the answer are told how wide they will be, the others stand in columns."""
    shares = {f"shares by {by}": partial(charts.answer_shares, by=by) for by in ("phase", "multiple", "layer")}
    drawn = {name: draw(verdict, width=width) for name, draw in ({d.__name__: d for d in OF_ANSWER} | shares).items()}
    drawn |= {draw.__name__: draw(verdict, LAST, 0) for draw in OF_HEAD}
    drawn["grid"] = charts.claims_grid(verdict, selected=(LAST, 2))
    drawn["looking"] = charts.looking_chart(looking_and_mattering(verdict), "full")
    return drawn


def test_every_picture_of_a_verdict_follows_the_schema_and_renders(verdict):
    drawn = every_chart(verdict)
    drawn["window"] = charts.window_picture("a", np.arange(500.0), choose_window(500, 24, columns=1232, patch_width=16))
    for name, chart in drawn.items():
        validate_jsonschema(chart, altair.Chart._rootschema)
        assert vl_convert.vegalite_to_svg(for_dark(chart)).startswith("<svg"), name
        assert chart["autosize"]["type"] == "fit-x", f"{name} is as wide as its column"


def test_no_line_below_a_title_is_longer_than_a_narrow_screen_shows(verdict):
    for name, chart in every_chart(verdict, width=360).items():
        lines = np.atleast_1d(chart["title"]["subtitle"])
        assert max(map(len, lines)) <= 56, (name, lines)
        assert len(chart["title"]["text"]) <= 44, name
    window = choose_window(9000, 62.83, columns=1232, patch_width=16)
    chart = charts.window_picture("a", np.arange(9000.0), window)
    assert max(map(len, np.atleast_1d(chart["title"]["subtitle"]))) < 90


def test_on_a_wide_screen_every_sentence_below_a_title_is_one_line(verdict):
    for draw in (charts.answer_influence, charts.answer_attention):
        assert all(line.endswith(".") for line in draw(verdict, width=880)["title"]["subtitle"])


@pytest.mark.parametrize("kind", KINDS)
def test_what_a_verdict_does_not_know_is_no_picture_but_a_reason(kind):
    ds = mock_verdict(kind=kind, stages=("influence",) if kind == "open" else vschema.STAGES)
    for draw in (*OF_ANSWER, charts.answer_shares):
        with suppress(charts.ChartError):  # but for nothing else
            assert vl_convert.vegalite_to_svg(draw(ds))
    ds = mock_verdict(stages=())
    nothing = ds.assign({name: ds[name] * np.nan for name in ("history", "future", "forecast")})
    with pytest.raises(charts.ChartError, match="not been"):
        charts.answer_forecast(nothing)
    with pytest.raises(charts.ChartError, match="follows too little"):
        charts.answer_shares(mock_verdict(kind="indifferent"))


def test_influence_and_attention_lie_on_one_axis_with_whole_periods_marked(verdict):
    first, second = charts.answer_influence(verdict), charts.answer_attention(verdict)
    domains = [chart["layer"][1]["encoding"]["x"]["scale"]["domain"] for chart in (first, second)]
    assert domains[0] == domains[1]
    for chart in (first, second):
        bands = chart["layer"][0]["data"]["values"]
        period = vschema.facts(verdict, "question")["period"]
        assert [round((band["from"] + band["to"]) / 2 / period, 6) for band in bands] == [*range(1, len(bands) + 1)]
    table = charts.answer_influence_table(verdict)
    whole = table[table["whole"]]
    assert whole["intact"].mean() > 5 * whole["blocked"].mean(), "what is left once attention there is held"
    assert set(table) == {"lag", "whole", "intact", "blocked"}


def test_above_any_lag_the_pointer_reads_every_curve_there(verdict):
    influence, attention = charts.answer_influence_table(verdict), charts.answer_attention_table(verdict)
    told = {
        charts.answer_influence: influence.drop(columns=["lag", "whole"]),
        charts.answer_attention: attention.drop(columns=["lag", "whole"]),
        partial(charts.verdict_curve, head_layer=LAST, head=0): charts.verdict_curve_table(verdict, LAST, 0)[
            ["attention"]
        ],
    }
    for draw, values in told.items():
        chart = draw(verdict)
        boxes, lines = cells(chart, -1), chart["layer"][-1]["encoding"]["tooltip"]
        spp = float(vschema.facts(verdict, "window_facts")["samples_per_patch"])
        assert (boxes["after"] - boxes["before"]).to_numpy() == pytest.approx(spp, rel=1e-3)
        assert boxes["before"].iloc[1:].to_numpy() == pytest.approx(boxes["after"].iloc[:-1].to_numpy())
        fields = [line["field"] for line in lines if not line["field"].startswith("lag")]
        assert boxes[fields].to_numpy(float) == pytest.approx(values.to_numpy(), rel=6e-3, abs=1e-9)


def test_the_forecast_is_drawn_with_and_without_that_past(verdict):
    parts = charts.answer_forecast_table(verdict).groupby("part")["value"]
    assert set(parts.groups) == {"history", "actual", "forecast", "forecast without that past"}
    assert parts.std()["forecast without that past"] < 0.5 * parts.std()["forecast"]
    table = charts.answer_forecast_table(verdict)
    low = verdict["forecast_low"].isel(window=-1).values
    np.testing.assert_array_equal(table["low"].dropna(), low[np.isfinite(low)])
    assert set(table.dropna()["part"]) == {"forecast"}
    early = charts.answer_forecast_table(mock_verdict(stages=("influence",)))
    assert "forecast without that past" not in set(early["part"])


def test_shares_are_those_of_the_verdict(verdict):
    by_phase = charts.answer_shares_table(verdict).set_index("what")["share"]
    assert by_phase["whole periods back"] == pytest.approx(float(verdict["mechanism_share"]))
    assert charts.answer_shares_table(mock_verdict(period=24.0, sample_seconds=3600.0))["what"][1].endswith(
        " hours off"
    )
    assert by_phase["everything else"] == pytest.approx(float(verdict["mechanism_rest"]))
    for by, name in (("multiple", "mechanism_by_multiple"), ("layer", "mechanism_by_layer")):
        assert np.allclose(charts.answer_shares_table(verdict, by)["share"], verdict[name].values)
    wide = verdict.assign(
        mechanism_low=verdict["mechanism_low"] * 0 - 0.2, mechanism_high=verdict["mechanism_high"] + 1
    )
    scale = charts.answer_shares(wide)["layer"][0]["encoding"]["x"]["scale"]
    assert scale["domain"] == pytest.approx([-0.2, 2.0]), "the interval lies within the axis"
    assert charts.answer_shares_table(verdict, "multiple")["what"].tolist()[:2] == ["1 period back", "2 periods back"]


def test_the_few_heads_are_framed_and_numbered_in_the_grid(verdict):
    table = charts.answer_heads_table(verdict)
    assert len(table) == 12
    few = table[table["place"] > 0].sort_values("place")
    assert few["head"].tolist() == [2, 0, 3]
    assert cells(charts.answer_heads(verdict), 1)["head"].tolist() == [0, 2, 3]


def test_the_grid_says_of_every_head_and_claim_what_the_verdict_says(verdict):
    table = charts.claims_grid_table(verdict).set_index(["layer", "head", "claim"])
    assert len(table) == verdict["verdict"].size
    for (layer, head, claim), row in table.iterrows():
        at = {"layer": layer, "head": head, "claim": claim}
        assert row["verdict"] == OUTCOMES[int(verdict["verdict"].sel(at))].word
        assert row["figure"] == pytest.approx(float(verdict["figure"].sel(at)), rel=1e-3, abs=1e-4)


def test_a_bar_is_as_long_as_the_effect_and_each_claim_has_a_scale_of_its_own(verdict):
    verdict = verdict.copy(deep=True)
    verdict["figure"][{"claim": 2, "layer": 0, "head": 1}] = -1.0  # looks away
    chart = charts.claims_grid(verdict)
    bars = pd.concat([cells(chart, i) for i, of in enumerate(chart["layer"]) if of["mark"]["type"] == "bar"])
    bars["share"] = (bars["end"] - bars["from"]) / (bars["to"] - bars["from"])
    for claim in ("reads", "matters"):
        of_heads = bars[bars["claim"] == claim]
        ratio = of_heads["share"] / of_heads["figure"]
        assert np.allclose(ratio, ratio.iloc[0], rtol=1e-2)
        assert of_heads["share"].max() == pytest.approx(1)
    assert bars["share"].between(0, 1 + 1e-9).all()
    assert bars[bars["figure"] < 0]["share"].tolist() == [0.0]


def test_what_is_inconclusive_is_hatched_and_what_is_not_tested_is_left_blank(verdict):
    mixed = verdict.copy(deep=True)
    codes = np.resize([1, 0, -1, -2], mixed["verdict"].shape)
    mixed["verdict"].values[:] = codes
    chart = charts.claims_grid(mixed)
    marks = {of["mark"]["type"]: set(cells(chart, i)["verdict"]) for i, of in enumerate(chart["layer"])
             if "data" in of and of["mark"].get("opacity") != 0}  # fmt: skip
    assert marks["point"] == {"inconclusive"}
    assert "not tested" not in set().union(*marks.values())


def test_grid_command_and_card_put_the_heads_in_one_order(verdict):
    rng = np.random.default_rng(5)
    mixed = verdict.copy(deep=True)
    mixed["figure"].values[:] = rng.random(mixed["figure"].shape)
    mixed["verdict"].values[:] = rng.integers(-1, 2, mixed["verdict"].shape)
    drawn = list(dict.fromkeys(cells(charts.claims_grid(mixed), -1)["name"].str.replace(" · ", " ")))
    told = Console(file=io.StringIO(), width=160, markup=False)
    console.show_verdict(mixed, told, rows=12)
    printed = re.findall(r"│ (\w+\.\d \d) +│", told.file.getvalue())
    card = verdict_card(mixed)
    assert "Click" not in card, "there is nothing to click"
    carded = re.findall(r"<td>(\w+\.\d \d)</td>", card)
    assert len(drawn) == 12
    assert drawn == printed == carded
    assert drawn == [f"{row.layer} {row.head}" for row in verdict_table(mixed).itertuples()]


def test_heads_not_asked_about_do_not_come_and_of_many_the_best_are_shown(verdict):
    asked = verdict["asked"].copy()
    asked[{"head": 0}] = False
    assert 0 not in set(charts.claims_grid_table(verdict.assign(asked=asked))["head"])
    assert charts.claims_grid(verdict)["height"] == 20 * 12


def test_a_partial_verdict_says_what_has_not_been_worked_on():
    partial = mock_verdict(stages=("influence", "mechanism"))
    told = " ".join(charts.claims_grid(partial)["title"]["subtitle"])
    assert "Not worked on yet:" in told
    assert all(claim.title.lower() in told for claim in CLAIMS)
    for draw in OF_HEAD:
        with pytest.raises(charts.ChartError, match=r"yet|come"):
            draw(partial, LAST, 0)


def test_a_head_that_is_not_there_is_named():
    with pytest.raises(charts.ChartError, match="no head 9"):
        charts.verdict_curve(mock_verdict(), LAST, 9)


def test_a_heads_curve_is_drawn_by_region_against_nulls(verdict):
    for region in vschema.REGIONS:
        table = charts.verdict_curve_table(verdict, LAST, 0, region)
        tokens = schema.config_of(verdict).tokens  # of which each has an even attention of 1 / tokens
        expected = verdict["lag_curve"].sel(layer=LAST, head=0, region=region).values[1:] * tokens
        assert np.allclose(table["attention"], expected, equal_nan=True)
        assert {"shuffled_upper", "ar1_mean"} <= set(table)
        assert "keys in the history" in str(charts.verdict_curve(verdict, LAST, 0, region)["title"]["subtitle"])


def test_the_effects_of_a_head_are_drawn_with_their_intervals_and_the_margin(verdict):
    chart = charts.verdict_effect(verdict, LAST, 2)
    told = " ".join(chart["title"]["subtitle"])
    assert "Read by the forecast: 0.225 (0.176 … 0.274), supported." in told
    assert {"effect": 0.02} in [row for of in chart["layer"] if isinstance(of["data"]["values"], list)
                                for row in of["data"]["values"]]  # fmt: skip
    others, own = (cells(chart, at).set_index(["row", "layer", "head"])["effect"] for at in (0, -1))
    for row, claim in (("what it reads replaced", "reads"), ("its output replaced", "matters")):
        figure = verdict["figure"].sel(claim=claim)
        assert own[row, LAST, 2] == pytest.approx(float(figure.sel(layer=LAST, head=2)), rel=1e-3)
        for layer, head in ((LAST, 1), ("encoder.0", 3)):
            assert others[row, layer, head] == pytest.approx(float(figure.sel(layer=layer, head=head)), rel=1e-3)


def test_the_title_of_an_axis_is_wrapped_to_a_narrow_page_and_stays_one_line_on_a_wide_one(verdict) -> None:
    chart = charts.verdict_effect(verdict, LAST, 0)
    title = "change of the forecast, std of the history"
    for width, many in ((170, True), (600, False)):
        shown = [each["encoding"]["x"] for each in axes_fitted(chart, width)["layer"]]
        [found] = {json.dumps(each["title"]) for each in shown if "title" in each}
        lines = json.loads(found)
        assert isinstance(lines, list) == many
        assert " ".join(lines if many else [lines]) == title
        assert not many or max(map(len, lines)) <= width / 6.2
